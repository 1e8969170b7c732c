/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/storewatch.h"

#include "base/macro.h"
#include "cfs/client.h"

struct StoreWatch {
	void (*changed)(void *data);
	void *data;
	CfsClient *client;
	CfsSubscription *events;
	guint idle; /* Tells; 0: nothing is to be told. */
};

static gboolean on_idle(gpointer data)
{
	StoreWatch *watch = data;

	watch->idle = 0;
	watch->changed(watch->data);
	return G_SOURCE_REMOVE;
}

/* Not from inside the client, which could not be freed then; and once for several events. */
static void tell(StoreWatch *watch)
{
	if (!watch->idle)
		watch->idle = g_idle_add(on_idle, watch);
}

static void on_connected(void *data, bool may_change)
{
	tell(data);
}

static void on_event(void *data, const Event *event)
{
	tell(data);
}

StoreWatch *store_watch_new(void (*changed)(void *data), void *data)
{
	const EventFilter filter = {.kinds = EVENT_MEMBERS | EVENT_QUORUM, .text = ""};
	StoreWatch *watch = g_new0(StoreWatch, 1);
	const CfsClientHandler handler = {.data = watch, .connected = on_connected};

	assert(changed);

	watch->changed = changed;
	watch->data = data;
	watch->client = cfs_client_new(NULL, NULL, &handler);
	watch->events = cfs_client_subscribe(watch->client, &filter, on_event, watch);
	return watch;
}

StoreWatch *store_watch_free(StoreWatch *watch)
{
	if (!watch)
		return NULL;

	if (watch->idle)
		g_source_remove(watch->idle);
	watch->events = cfs_subscription_free(watch->events);
	watch->client = cfs_client_free(watch->client);
	g_free(watch);
	return NULL;
}
