/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who wants to be told of what.
 *
 * A subscriber has any number of filters up to a limit, each under a number of its own choice; an event
 * is delivered once for each filter that it passes.  Events say that something has changed, never
 * what it is: whoever gets one reads the state anew.  Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Filters of one subscriber, and of one who is not told secrets: each change may have to be told for all
 * of them. */
#define EVENTS_FILTERS_MAX        256
#define EVENTS_READER_FILTERS_MAX 16

typedef enum EventKind {
	EVENT_INVALID = 0,
	EVENT_PATH = 1 << 0,    /* An entry of the tree was made, changed or removed. */
	EVENT_MEMBERS = 1 << 1, /* Nodes, configured or online. */
	EVENT_QUORUM = 1 << 2,  /* Whether changes are taken. */
	EVENT_STATUS = 1 << 3,  /* A status key of a node. */
	EVENT_LOG = 1 << 4,     /* The cluster log has a new entry. */
} EventKind;

#define EVENT_KINDS (EVENT_PATH | EVENT_MEMBERS | EVENT_QUORUM | EVENT_STATUS | EVENT_LOG)

typedef struct Event {
	EventKind kind;
	uint32_t node;    /* EVENT_STATUS: whose key; otherwise 0. */
	uint64_t version; /* EVENT_PATH: of the entry; EVENT_STATUS: of the key; otherwise 0. */
	bool secret;      /* EVENT_PATH: for root alone. */
	bool on; /* EVENT_PATH, EVENT_STATUS: it is there; EVENT_QUORUM: changes are taken. */
	const char *text; /* EVENT_PATH: the path; EVENT_STATUS: the key; otherwise "". */
} Event;

typedef struct EventFilter {
	uint32_t kinds; /* One or more of EventKind. */
	bool secrets;   /* Those for root alone as well. */
	bool exact;     /* EVENT_PATH: the path alone, not what is below. */

	/* EVENT_PATH: the path, "" for everything; EVENT_STATUS: the key, "" for all. */
	const char *text;
} EventFilter;

typedef struct Events Events;

/* deliver is called from events_publish(); it may not call the functions below. */
Events *events_new(
	void (*deliver)(void *data, uint64_t subscriber, uint64_t number, const Event *event),
	void *data);
Events *events_free(Events *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Events, events_free)

/* -EEXIST when the subscriber has a filter of that number, -EINVAL when it could let nothing pass,
 * -ENOSPC when it has too many. */
int events_subscribe(
	Events *events, uint64_t subscriber, uint64_t number, const EventFilter *filter);

/* -ENOENT when there is none. */
int events_unsubscribe(Events *events, uint64_t subscriber, uint64_t number);

/* Removes all filters of a subscriber. */
void events_forget(Events *events, uint64_t subscriber);

/* Whether anybody wants events of the kind: what makes one may be dear. */
bool events_wanted(const Events *events, EventKind kind);

/* Delivers to the subscribers in the order in which they subscribed. */
void events_publish(Events *events, const Event *event);
