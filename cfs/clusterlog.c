/* SPDX-License-Identifier: Apache-2.0 */

/* The message, after version and type:
 *
 *	u32 node, u64 boot, u32 number, u64 time, u8 priority, u32 pid,
 *	then host, user, tag and message, each as u16 bytes and the bytes
 *
 * Entries are ordered by time, node, boot and number.  The list is the newest CLUSTERLOG_MAX of the
 * union of all that was told; that does not depend on the order of telling, so all who have been
 * told the same have the same list. */

#include "cfs/clusterlog.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

#define PRIORITY_MAX 7

typedef struct Kept {
	ClusterLogEntry entry; /* Its strings are ours. */
	bool unsent;
} Kept;

struct ClusterLog {
	ClusterLogOptions options;
	GSequence *kept; /* Of Kept, the oldest first. */
	GArray *view;    /* Members of the bus: of uint32_t. */
	uint32_t number; /* Of our last entry. */
};

static void kept_free(void *data)
{
	Kept *kept = data;

	g_free((char *)kept->entry.host);
	g_free((char *)kept->entry.user);
	g_free((char *)kept->entry.tag);
	g_free((char *)kept->entry.message);
	g_free(kept);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_kept(const void *a, const void *b, void *data)
{
	const ClusterLogEntry *x = &((const Kept *)a)->entry, *y = &((const Kept *)b)->entry;
	int r = compare_numbers(x->time_s, y->time_s);

	if (r == 0)
		r = compare_numbers(x->node, y->node);
	if (r == 0)
		r = compare_numbers(x->boot, y->boot);
	if (r == 0)
		r = compare_numbers(x->number, y->number);
	return r;
}

ClusterLog *clusterlog_new(const ClusterLogOptions *options)
{
	ClusterLog *log = g_new0(ClusterLog, 1);

	assert(options->added && options->env.send);
	assert(options->node != 0);

	log->options = *options;
	log->kept = g_sequence_new(kept_free);
	log->view = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	return log;
}

ClusterLog *clusterlog_free(ClusterLog *log)
{
	if (!log)
		return NULL;

	g_sequence_free(log->kept);
	g_array_unref(log->view);
	g_free(log);
	return NULL;
}

/* --- Bytes ------------------------------------------------------------------------------------ */

static void put_text(GByteArray *out, const char *text)
{
	bytes_put_u16(out, (uint16_t)strlen(text));
	bytes_put(out, text, strlen(text));
}

static GBytes *encode(const ClusterLogEntry *entry)
{
	GByteArray *out = g_byte_array_new();

	bytes_put_u8(out, WIRE_VERSION);
	bytes_put_u8(out, BESIDE_LOG);
	bytes_put_u32(out, entry->node);
	bytes_put_u64(out, entry->boot);
	bytes_put_u32(out, entry->number);
	bytes_put_u64(out, entry->time_s);
	bytes_put_u8(out, entry->priority);
	bytes_put_u32(out, entry->pid);
	put_text(out, entry->host);
	put_text(out, entry->user);
	put_text(out, entry->tag);
	put_text(out, entry->message);
	return g_byte_array_free_to_bytes(out);
}

/* Owned by the caller; "" when there is none. */
static char *get_text(BytesReader *reader)
{
	size_t length = bytes_get_u16(reader);
	const uint8_t *text = bytes_get(reader, length);

	/* A NUL inside would hide what follows it. */
	if (!text || memchr(text, '\0', length)) {
		reader->failed = true;
		return g_strdup("");
	}
	return g_strndup((const char *)text, length);
}

/* --- The list --------------------------------------------------------------------------------- */

static int check_text(const char *text, size_t max)
{
	if (strlen(text) > max)
		return -EMSGSIZE;
	if (!g_utf8_validate(text, -1, NULL))
		return -EINVAL;
	for (const char *at = text; *at; at = g_utf8_next_char(at))
		if (g_unichar_iscntrl(g_utf8_get_char(at)))
			return -EINVAL;
	return 0;
}

static int check_entry(const ClusterLogEntry *entry)
{
	int r = entry->priority > PRIORITY_MAX ? -EINVAL : 0;

	if (r == 0)
		r = check_text(entry->host, CLUSTERLOG_NAME_MAX);
	if (r == 0)
		r = check_text(entry->user, CLUSTERLOG_NAME_MAX);
	if (r == 0)
		r = check_text(entry->tag, CLUSTERLOG_NAME_MAX);
	if (r == 0)
		r = check_text(entry->message, CLUSTERLOG_MESSAGE_MAX);
	return r;
}

/* Takes kept, which is dropped if it is there already or older than what is kept. */
static void add(ClusterLog *log, Kept *kept)
{
	GSequenceIter *at = g_sequence_lookup(log->kept, kept, compare_kept, NULL);

	if (at) {
		kept_free(kept);
		return;
	}
	at = g_sequence_insert_sorted(log->kept, kept, compare_kept, NULL);
	if (g_sequence_get_length(log->kept) > CLUSTERLOG_MAX) {
		GSequenceIter *oldest = g_sequence_get_begin_iter(log->kept);
		bool is_new = oldest != at;

		g_sequence_remove(oldest);
		if (!is_new)
			return;
	}
	log->options.added(log->options.data);
}

void clusterlog_flush(ClusterLog *log)
{
	GSequenceIter *at = g_sequence_get_begin_iter(log->kept);

	for (; !g_sequence_iter_is_end(at); at = g_sequence_iter_next(at)) {
		Kept *kept = g_sequence_get(at);
		g_autoptr(GBytes) message = NULL;

		if (!kept->unsent)
			continue;
		message = encode(&kept->entry);
		if (log->options.env.send(log->options.env.data, message) < 0)
			return;
		kept->unsent = false;
	}
}

int clusterlog_write(ClusterLog *log, const ClusterLogEntry *entry)
{
	int r = check_entry(entry);
	Kept *kept;

	if (r < 0)
		return r;

	kept = g_new0(Kept, 1);
	kept->entry = *entry;
	kept->entry.node = log->options.node;
	kept->entry.boot = log->options.boot;
	kept->entry.number = ++log->number;
	kept->entry.host = g_strdup(entry->host);
	kept->entry.user = g_strdup(entry->user);
	kept->entry.tag = g_strdup(entry->tag);
	kept->entry.message = g_strdup(entry->message);
	kept->unsent = log->view->len > 0;
	add(log, kept);
	clusterlog_flush(log);
	return 0;
}

void clusterlog_each(
	const ClusterLog *log, bool (*visit)(const ClusterLogEntry *entry, void *data), void *data)
{
	GSequenceIter *at = g_sequence_get_end_iter(log->kept);

	while (!g_sequence_iter_is_begin(at)) {
		const Kept *kept;

		at = g_sequence_iter_prev(at);
		kept = g_sequence_get(at);
		if (!visit(&kept->entry, data))
			return;
	}
}

/* --- The bus ---------------------------------------------------------------------------------- */

void clusterlog_view_changed(ClusterLog *log, const uint32_t *nodes, unsigned n_nodes)
{
	bool newcomers = beside_has_newcomers(log->view, nodes, n_nodes);
	uint32_t speaker = beside_speaker(log->view, nodes, n_nodes, log->options.node);
	GSequenceIter *at = g_sequence_get_begin_iter(log->kept);

	/* The change may have swept away what was on its way; so everybody repeats his own words,
	 * and what others said before is for one to tell. */
	beside_remember(log->view, nodes, n_nodes);
	for (; !g_sequence_iter_is_end(at); at = g_sequence_iter_next(at)) {
		Kept *kept = g_sequence_get(at);

		kept->unsent = n_nodes > 0 && (kept->entry.node == log->options.node ||
						      (newcomers && speaker == log->options.node));
	}
	clusterlog_flush(log);
}

int clusterlog_message(ClusterLog *log, const uint8_t *bytes, size_t size)
{
	BytesReader reader = bytes_reader(bytes, size);
	Kept *kept = g_new0(Kept, 1);
	ClusterLogEntry *entry = &kept->entry;

	(void)bytes_get_u16(&reader);
	entry->node = bytes_get_u32(&reader);
	entry->boot = bytes_get_u64(&reader);
	entry->number = bytes_get_u32(&reader);
	entry->time_s = bytes_get_u64(&reader);
	entry->priority = bytes_get_u8(&reader);
	entry->pid = bytes_get_u32(&reader);
	entry->host = get_text(&reader);
	entry->user = get_text(&reader);
	entry->tag = get_text(&reader);
	entry->message = get_text(&reader);
	if (!bytes_at_end(&reader) || check_entry(entry) < 0) {
		kept_free(kept);
		return -EBADMSG;
	}
	add(log, kept);
	return 0;
}
