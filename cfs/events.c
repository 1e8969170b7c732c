/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/events.h"

#include <string.h>

#include "base/macro.h"

typedef struct Subscription {
	uint64_t subscriber;
	uint64_t number;
	uint32_t kinds;
	bool secrets;
	bool exact;
	char *text;
	size_t text_length;
} Subscription;

struct Events {
	void (*deliver)(void *data, uint64_t subscriber, uint64_t number, const Event *event);
	void *data;
	GPtrArray *subscriptions; /* In the order of their making. */
	bool publishing;
};

static void subscription_free(void *data)
{
	Subscription *subscription = data;

	g_free(subscription->text);
	g_free(subscription);
}

Events *events_new(
	void (*deliver)(void *data, uint64_t subscriber, uint64_t number, const Event *event),
	void *data)
{
	Events *events = g_new0(Events, 1);

	assert(deliver);

	events->deliver = deliver;
	events->data = data;
	events->subscriptions = g_ptr_array_new_with_free_func(subscription_free);
	return events;
}

Events *events_free(Events *events)
{
	if (!events)
		return NULL;

	g_ptr_array_unref(events->subscriptions);
	g_free(events);
	return NULL;
}

int events_subscribe(
	Events *events, uint64_t subscriber, uint64_t number, const EventFilter *filter)
{
	Subscription *made;
	unsigned n = 0;

	assert(!events->publishing);

	if (filter->kinds == 0 || filter->kinds & ~(uint32_t)EVENT_KINDS)
		return -EINVAL;
	for (unsigned i = 0; i < events->subscriptions->len; i++) {
		const Subscription *other = g_ptr_array_index(events->subscriptions, i);

		if (other->subscriber != subscriber)
			continue;
		if (other->number == number)
			return -EEXIST;
		n++;
	}
	if (n >= (filter->secrets ? EVENTS_FILTERS_MAX : EVENTS_READER_FILTERS_MAX))
		return -ENOSPC;

	made = g_new0(Subscription, 1);
	made->subscriber = subscriber;
	made->number = number;
	made->kinds = filter->kinds;
	made->secrets = filter->secrets;
	made->exact = filter->exact;
	made->text = g_strdup(filter->text);
	made->text_length = strlen(filter->text);
	g_ptr_array_add(events->subscriptions, made);
	return 0;
}

int events_unsubscribe(Events *events, uint64_t subscriber, uint64_t number)
{
	assert(!events->publishing);

	for (unsigned i = 0; i < events->subscriptions->len; i++) {
		const Subscription *subscription = g_ptr_array_index(events->subscriptions, i);

		if (subscription->subscriber == subscriber && subscription->number == number) {
			g_ptr_array_remove_index(events->subscriptions, i);
			return 0;
		}
	}
	return -ENOENT;
}

void events_forget(Events *events, uint64_t subscriber)
{
	assert(!events->publishing);

	for (unsigned i = events->subscriptions->len; i > 0; i--) {
		const Subscription *subscription = g_ptr_array_index(events->subscriptions, i - 1);

		if (subscription->subscriber == subscriber)
			g_ptr_array_remove_index(events->subscriptions, i - 1);
	}
}

bool events_wanted(const Events *events, EventKind kind)
{
	for (unsigned i = 0; i < events->subscriptions->len; i++) {
		const Subscription *subscription = g_ptr_array_index(events->subscriptions, i);

		if (subscription->kinds & kind)
			return true;
	}
	return false;
}

/* Whether path is the subscription's or, unless exact, below it. */
static bool path_passes(const Subscription *subscription, const char *path)
{
	if (subscription->text_length == 0 && !subscription->exact)
		return true;
	if (strncmp(path, subscription->text, subscription->text_length) != 0)
		return false;
	path += subscription->text_length;
	return *path == '\0' || (*path == '/' && !subscription->exact);
}

static bool passes(const Subscription *subscription, const Event *event)
{
	if (!(subscription->kinds & event->kind) || (event->secret && !subscription->secrets))
		return false;
	if (event->kind == EVENT_PATH)
		return path_passes(subscription, event->text);
	if (event->kind == EVENT_STATUS)
		return subscription->text_length == 0 || str_equal(subscription->text, event->text);
	return true;
}

void events_publish(Events *events, const Event *event)
{
	assert(!events->publishing);
	assert(event->text);

	events->publishing = true;
	for (unsigned i = 0; i < events->subscriptions->len; i++) {
		const Subscription *subscription = g_ptr_array_index(events->subscriptions, i);

		if (passes(subscription, event))
			events->deliver(events->data, subscription->subscriber,
				subscription->number, event);
	}
	events->publishing = false;
}
