/* SPDX-License-Identifier: Apache-2.0 */

/* The message, after version and type:
 *
 *	u64 version, u8 set (0: removed), u16 bytes of the key, the key, the value to the end
 *
 * A key that is to be sent is marked; what is sent is its value at that time.  A removed key stays,
 * without a value, until that has been sent. */

#include "cfs/status.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

typedef struct Entry {
	uint32_t node;
	char *key;
	uint64_t version;
	GBytes *value; /* NULL: removed. */
	bool unsent;
} Entry;

struct Status {
	StatusOptions options;
	GSequence *entries; /* Of Entry, in order of nodes and then keys. */
	GArray *view;       /* Members of the bus: of uint32_t. */
	uint64_t version;   /* Of our last change. */
};

static void entry_free(void *data)
{
	Entry *entry = data;

	if (entry->value)
		g_bytes_unref(entry->value);
	g_free(entry->key);
	g_free(entry);
}

static int compare_entries(const void *a, const void *b, void *data)
{
	const Entry *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return strcmp(x->key, y->key);
}

static Entry *status_find(const Status *status, uint32_t node, const char *key)
{
	Entry probe = {.node = node, .key = (char *)key};
	GSequenceIter *at = g_sequence_lookup(status->entries, &probe, compare_entries, NULL);

	return at ? g_sequence_get(at) : NULL;
}

/* Where the entries of a node begin. */
static GSequenceIter *status_first(const Status *status, uint32_t node)
{
	static char least[] = "";
	Entry probe = {.node = node, .key = least};

	return g_sequence_search(status->entries, &probe, compare_entries, NULL);
}

static const Entry *entry_at(GSequenceIter *at)
{
	return g_sequence_iter_is_end(at) ? NULL : g_sequence_get(at);
}

static size_t entry_size(const Entry *entry)
{
	return strlen(entry->key) + (entry->value ? g_bytes_get_size(entry->value) : 0);
}

/* What a node tells. */
typedef struct Sum {
	unsigned n_keys;
	size_t n_bytes; /* In keys and values. */
} Sum;

static Sum sum_of(const Status *status, uint32_t node)
{
	GSequenceIter *at = status_first(status, node);
	Sum sum = {0};

	for (const Entry *entry = entry_at(at); entry && entry->node == node;
		entry = entry_at(at)) {
		sum.n_keys++;
		sum.n_bytes += entry_size(entry);
		at = g_sequence_iter_next(at);
	}
	return sum;
}

static StatusItem item_of(const Entry *entry)
{
	return (StatusItem){
		.node = entry->node,
		.key = entry->key,
		.version = entry->version,
		.value = entry->value,
	};
}

static void tell(const Status *status, const Entry *entry)
{
	const StatusItem item = item_of(entry);

	status->options.changed(status->options.data, &item);
}

static bool key_is_valid(const char *key, size_t length)
{
	if (length == 0 || length > STATUS_KEY_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!g_ascii_isgraph(key[i]))
			return false;
	return true;
}

Status *status_new(const StatusOptions *options)
{
	Status *status = g_new0(Status, 1);

	assert(options->changed && options->env.send);
	assert(options->node != 0);

	status->options = *options;
	status->version = options->version;
	status->entries = g_sequence_new(entry_free);
	status->view = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	return status;
}

Status *status_free(Status *status)
{
	if (!status)
		return NULL;

	g_sequence_free(status->entries);
	g_array_unref(status->view);
	g_free(status);
	return NULL;
}

/* --- Changes ---------------------------------------------------------------------------------- */

static Entry *put(Status *status, uint32_t node, const char *key, uint64_t version, GBytes *value)
{
	Entry *entry = status_find(status, node, key);

	if (!entry) {
		entry = g_new0(Entry, 1);
		entry->node = node;
		entry->key = g_strdup(key);
		(void)g_sequence_insert_sorted(status->entries, entry, compare_entries, NULL);
	}
	if (entry->value)
		g_bytes_unref(entry->value);
	entry->value = value ? g_bytes_ref(value) : NULL;
	entry->version = version;
	return entry;
}

static GBytes *encode(const Entry *entry)
{
	GByteArray *out = g_byte_array_new();
	size_t size;

	bytes_put_u8(out, WIRE_VERSION);
	bytes_put_u8(out, BESIDE_STATUS);
	bytes_put_u64(out, entry->version);
	bytes_put_u8(out, entry->value != NULL);
	bytes_put_u16(out, (uint16_t)strlen(entry->key));
	bytes_put(out, entry->key, strlen(entry->key));
	if (entry->value) {
		const void *bytes = g_bytes_get_data(entry->value, &size);

		bytes_put(out, bytes, size);
	}
	return g_byte_array_free_to_bytes(out);
}

void status_flush(Status *status)
{
	GSequenceIter *at = status_first(status, status->options.node), *next;

	for (; !g_sequence_iter_is_end(at); at = next) {
		Entry *entry = g_sequence_get(at);
		g_autoptr(GBytes) message = NULL;

		next = g_sequence_iter_next(at);
		if (entry->node != status->options.node)
			return;
		if (!entry->unsent)
			continue;
		/* Without a bus nobody has anything of ours; all are newcomers when it is back. */
		if (status->view->len > 0) {
			message = encode(entry);
			if (status->options.env.send(status->options.env.data, message) < 0)
				return;
		}
		entry->unsent = false;
		if (!entry->value)
			g_sequence_remove(at);
	}
}

/* Whether there is room for a value of ours in the place of entry (NULL: of nothing). */
static bool has_room(const Status *status, const Entry *entry, const char *key, GBytes *value)
{
	Sum sum = sum_of(status, status->options.node);

	if (entry)
		sum.n_bytes -= entry_size(entry);
	if ((!entry || !entry->value) && sum.n_keys >= STATUS_KEYS_MAX)
		return false;
	return sum.n_bytes + strlen(key) + g_bytes_get_size(value) <= STATUS_TOTAL_MAX;
}

int status_set(Status *status, const char *key, GBytes *value)
{
	uint32_t self = status->options.node;
	Entry *entry;
	bool there;

	if (!key_is_valid(key, strlen(key)))
		return -EINVAL;
	if (value && g_bytes_get_size(value) > STATUS_VALUE_MAX)
		return -EFBIG;
	entry = status_find(status, self, key);
	there = entry && entry->value;
	if (!value && !there)
		return -ENOENT;
	if (value && there && g_bytes_equal(value, entry->value))
		return 0;
	if (value && !has_room(status, entry, key, value))
		return -ENOSPC;

	entry = put(status, self, key, ++status->version, value);
	entry->unsent = true;
	tell(status, entry);
	status_flush(status);
	return 0;
}

static void remove_node(Status *status, uint32_t node)
{
	GSequenceIter *at = status_first(status, node), *next;

	for (; !g_sequence_iter_is_end(at); at = next) {
		Entry *entry = g_sequence_get(at);

		next = g_sequence_iter_next(at);
		if (entry->node != node)
			return;
		g_clear_pointer(&entry->value, g_bytes_unref);
		entry->version++;
		tell(status, entry);
		g_sequence_remove(at);
	}
}

static void mark_all(Status *status)
{
	GSequenceIter *at = status_first(status, status->options.node);

	for (; !g_sequence_iter_is_end(at); at = g_sequence_iter_next(at)) {
		Entry *entry = g_sequence_get(at);

		if (entry->node != status->options.node)
			return;
		entry->unsent = true;
	}
}

void status_view_changed(Status *status, const uint32_t *nodes, unsigned n_nodes)
{
	g_autoptr(GArray) before = status->view;

	status->view = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	beside_remember(status->view, nodes, n_nodes);
	for (unsigned i = 0; i < before->len; i++) {
		uint32_t node = g_array_index(before, uint32_t, i);

		if (node != status->options.node && !beside_contains(status->view, node))
			remove_node(status, node);
	}
	/* Those who stay as well: the change may have swept away what was on its way. */
	mark_all(status);
	status_flush(status);
}

static int apply(Status *status, uint32_t node, const char *key, uint64_t version, GBytes *value)
{
	const Entry *known = status_find(status, node, key);

	if (known && version <= known->version)
		return 0;
	if (!known && !value)
		return 0;
	/* Their bytes in all are the sender's to limit: we may know new values of some keys together
	 * with old ones of others. */
	if (!known && sum_of(status, node).n_keys >= STATUS_KEYS_MAX)
		return -ENOSPC;

	known = put(status, node, key, version, value);
	tell(status, known);
	if (!value) {
		Entry probe = {.node = node, .key = (char *)key};

		g_sequence_remove(
			g_sequence_lookup(status->entries, &probe, compare_entries, NULL));
	}
	return 0;
}

int status_message(Status *status, uint32_t sender, const uint8_t *bytes, size_t size)
{
	BytesReader reader = bytes_reader(bytes, size);
	g_autoptr(GBytes) value = NULL;
	g_autofree char *key = NULL;
	const uint8_t *name;
	uint64_t version;
	uint8_t set;
	size_t length;

	(void)bytes_get_u16(&reader);
	version = bytes_get_u64(&reader);
	set = bytes_get_u8(&reader);
	length = bytes_get_u16(&reader);
	name = bytes_get(&reader, length);
	if (reader.failed || set > 1 || !key_is_valid((const char *)name, length) ||
		reader.left > STATUS_VALUE_MAX || (!set && reader.left > 0))
		return -EBADMSG;
	/* Ours are here since they were set, and one who is gone has none. */
	if (sender == status->options.node || !beside_contains(status->view, sender))
		return 0;

	key = g_strndup((const char *)name, length);
	value = set ? g_bytes_new(reader.at, reader.left) : NULL;
	return apply(status, sender, key, version, value);
}

/* --- Queries ---------------------------------------------------------------------------------- */

bool status_get(const Status *status, uint32_t node, const char *key, StatusItem *ret)
{
	const Entry *entry = status_find(status, node, key);

	if (!entry || !entry->value)
		return false;
	*ret = item_of(entry);
	return true;
}

void status_each(
	const Status *status, bool (*visit)(const StatusItem *item, void *data), void *data)
{
	GSequenceIter *at = g_sequence_get_begin_iter(status->entries);

	for (; !g_sequence_iter_is_end(at); at = g_sequence_iter_next(at)) {
		const Entry *entry = g_sequence_get(at);
		StatusItem item = item_of(entry);

		if (entry->value && !visit(&item, data))
			return;
	}
}
