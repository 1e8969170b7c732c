/* SPDX-License-Identifier: Apache-2.0 */

/* The log: entries are appended in the order of the bus, acknowledged when our disk has them,
 * committed when enough disks have them, and applied in their order.
 *
 * Who says what.  A member knows that an entry is committed from the acknowledgements of others and
 * from its own disk.  Somebody waits at the origin only, which counts its own disk: so the first
 * `need` - 1 other members that are level speak at once.  The origin's own word is for the others, and
 * rides with its next changes, or goes alone after ACK_RIDE_MS.  Then everybody knows, and more is
 * noise: the rest speak only when this takes longer than ACK_PATIENCE_MS. */

#include "cfs/replica_internal.h"

#include <string.h>

#include "cfs/bytes.h"

/* --- The image -------------------------------------------------------------------------------- */

LogEntry *log_entry_free(LogEntry *entry)
{
	if (!entry)
		return NULL;

	g_clear_pointer(&entry->entry.op, g_bytes_unref);
	op_free(entry->op);
	g_free(entry);
	return NULL;
}

static void log_entry_destroy(void *entry)
{
	log_entry_free(entry);
}

Image *image_new(void)
{
	static const TreeLimits limits = {.file_max = OP_DATA_MAX,
		.total_max = TREE_TOTAL_MAX,
		.entries_max = TREE_ENTRIES_MAX};
	Image *image = g_new0(Image, 1);

	image->tree = tree_new(&limits);
	image->origins = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	image->log = g_ptr_array_new_with_free_func(log_entry_destroy);
	image->log_first = 1;
	return image;
}

Image *image_free(Image *image)
{
	if (!image)
		return NULL;

	tree_free(image->tree);
	g_hash_table_destroy(image->origins);
	g_ptr_array_unref(image->log);
	g_free(image);
	return NULL;
}

uint64_t image_last(const Image *image)
{
	return image->log_first + image->log->len - 1;
}

LogEntry *image_entry(const Image *image, uint64_t index)
{
	assert(index >= image->log_first);
	assert(index <= image_last(image));

	return g_ptr_array_index(image->log, index - image->log_first);
}

const uint8_t *image_last_hash(const Image *image)
{
	if (image_last(image) == image->commit)
		return image->commit_hash;
	return image_entry(image, image_last(image))->entry.hash;
}

Origin *image_origin(Image *image, uint32_t node)
{
	Origin *origin = g_hash_table_lookup(image->origins, GUINT_TO_POINTER(node));

	if (!origin) {
		origin = g_new0(Origin, 1);
		origin->node = node;
		g_hash_table_insert(image->origins, GUINT_TO_POINTER(node), origin);
	}
	return origin;
}

/* Takes entry, whose index and hash are set. */
void image_append(Image *image, LogEntry *entry)
{
	assert(entry->entry.index == image_last(image) + 1);

	g_ptr_array_add(image->log, entry);
	image->log_bytes += entry->size;
}

/* Forgets what is behind index, none of which is applied. */
void image_cut(Image *image, uint64_t index)
{
	assert(index >= image->commit);
	assert(index + 1 >= image->log_first);

	while (image_last(image) > index) {
		image->log_bytes -= image_entry(image, image_last(image))->size;
		g_ptr_array_remove_index(image->log, image->log->len - 1);
	}
}

/* Makes an entry of our own with the operation decoded; -EBADMSG or -EPROTONOSUPPORT when it is
 * none. */
int log_entry_new(const ReplicaEntry *from, LogEntry **ret)
{
	g_autoptr(LogEntry) entry = g_new0(LogEntry, 1);
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(from->op, &size);
	int r;

	entry->entry = *from;
	g_bytes_ref(entry->entry.op);
	entry->size = (uint32_t)size;
	r = op_decode(bytes, size, &entry->op);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&entry);
	return 0;
}

/* --- Appending -------------------------------------------------------------------------------- */

/* The hash of the log up to an entry, from the one before it.  Of the operation only the size goes in:
 * (origin, boot, seq) names its content for ever, and hashing the content of large files would cost
 * every node more than all the rest of a write. */
void log_hash(const uint8_t *previous, const ReplicaEntry *entry, uint8_t *ret)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autoptr(GByteArray) head = g_byte_array_new();
	gsize size = REPLICA_HASH_SIZE;

	bytes_put(head, previous, REPLICA_HASH_SIZE);
	bytes_put_u64(head, entry->index);
	bytes_put_u64(head, entry->epoch);
	bytes_put_u64(head, entry->boot);
	bytes_put_u64(head, entry->seq);
	bytes_put_u32(head, entry->origin);
	bytes_put_u32(head, (uint32_t)g_bytes_get_size(entry->op));
	g_checksum_update(sum, head->data, (gssize)head->len);
	g_checksum_get_digest(sum, ret, &size);
}

/* Whether the hash of an entry is that of the log up to it. */
bool log_follows(const uint8_t *previous, const ReplicaEntry *entry)
{
	uint8_t expected[REPLICA_HASH_SIZE];

	log_hash(previous, entry, expected);
	return memcmp(entry->hash, expected, REPLICA_HASH_SIZE) == 0;
}

/* Takes entry, whose origin, boot, seq and operation are set. */
void log_append(Replica *r, LogEntry *entry)
{
	Image *image = r->image;

	assert(r->state == REPLICA_STATE_ACTIVE);

	entry->entry.index = image_last(image) + 1;
	entry->entry.epoch = r->epoch;
	log_hash(image_last_hash(image), &entry->entry, entry->entry.hash);
	image_append(image, entry);
	if (entry->entry.origin == r->options.node)
		r->own_last = entry->entry.index;
	else if (log_speaks_first(r, entry->entry.origin))
		r->ack_wanted = entry->entry.index;
}

/* Lets go of what is behind index, here and on the disk. */
void log_cut(Replica *r, uint64_t index)
{
	if (index >= image_last(r->image))
		return;
	image_cut(r->image, index);
	disk_forget_behind(r, index);
}

/* The epoch is over for us.  What we have delivered may have holes by now, behind what has been
 * acknowledged in time; nobody can have counted on us for that (R14). */
void log_leave(Replica *r)
{
	if (r->state != REPLICA_STATE_ACTIVE)
		return;
	log_cut(r, MAX(r->proven, r->image->commit));
	r->settled = r->adopted;
}

/* The entries of a message; an error when one of them is no operation: then none counts, on any
 * member. */
static int read_entries(uint32_t sender, const WireMessage *message, GPtrArray **ret)
{
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(log_entry_destroy);

	for (uint32_t i = 0; i < message->ops.n_ops; i++) {
		const WireOp *op = &message->ops.ops[i];
		g_autoptr(GBytes) bytes = g_bytes_new(op->bytes, op->size);
		const ReplicaEntry from = {
			.origin = sender, .boot = message->ops.boot, .seq = op->seq, .op = bytes};
		LogEntry *entry = NULL;
		int r = log_entry_new(&from, &entry);

		if (r < 0)
			return r;
		g_ptr_array_add(entries, entry);
	}
	*ret = g_steal_pointer(&entries);
	return 0;
}

/* An entry has got its place in the order; taken. */
static void receive_entry(Replica *r, LogEntry *entry)
{
	if (!lease_judge(r, entry->op)) {
		if (entry->entry.origin == r->options.node && entry->entry.boot == r->options.boot)
			submit_refused(r, entry->entry.seq, -ESTALE);
		log_entry_free(entry);
		return;
	}
	if (r->state == REPLICA_STATE_ACTIVE)
		log_append(r, entry);
	else
		catchup_queue(r, entry);
}

/* A member's disk holds the log of the epoch up to index. */
static void receive_ack(Replica *r, Peer *peer, uint64_t index)
{
	if (peer->node == r->options.node && peer->voter)
		r->proven = MAX(r->proven, index);
	if (!peer->level)
		r->env.state_changed(r->env.data);
	peer->level = true;
	peer->acked = MAX(peer->acked, index);
}

void log_receive_ops(Replica *r, Peer *peer, const WireMessage *message)
{
	g_autoptr(GPtrArray) entries = NULL;
	int result;

	if (r->state != REPLICA_STATE_ACTIVE && r->state != REPLICA_STATE_CATCHING_UP)
		return;
	if (message->ops.epoch != r->epoch)
		return;
	if (peer->node == r->options.node)
		r->ops_under_way = false;
	if (message->ops.acknowledges)
		receive_ack(r, peer, message->ops.acknowledged);

	result = read_entries(peer->node, message, &entries);
	if (result < 0) {
		replica_bad_message(r, peer->node, result);
		return;
	}

	g_ptr_array_set_free_func(entries, NULL);
	for (guint i = 0; i < entries->len; i++)
		receive_entry(r, g_ptr_array_index(entries, i));
}

/* --- Applying --------------------------------------------------------------------------------- */

/* Notes that an origin has come to seq.  The numbers that it has left out were refused when they were
 * delivered (lease_judge()): who finds out only from here gets that for an answer. */
static void advance_origin(Origin *origin, uint64_t boot, uint64_t seq)
{
	if (origin->boot != boot) {
		memset(origin->results, 0, sizeof(origin->results));
		origin->boot = boot;
		origin->seq = 0;
	}
	for (uint64_t left_out = seq - 1;
		left_out > origin->seq && seq - left_out < REPLICA_IN_FLIGHT_MAX; left_out--)
		origin->results[left_out % REPLICA_IN_FLIGHT_MAX] = -ESTALE;
	origin->seq = seq;
	origin->dirty = true;
}

/* Applies the operation of an entry, unless its origin's later self or an earlier copy was faster.
 * Returns its result. */
static int apply_once(Replica *r, LogEntry *entry, GPtrArray *changes)
{
	Origin *origin = image_origin(r->image, entry->entry.origin);
	uint64_t seq = entry->entry.seq;
	int result;

	if (origin->boot == entry->entry.boot && seq <= origin->seq)
		return origin->results[seq % REPLICA_IN_FLIGHT_MAX];

	result = tree_apply(r->image->tree, entry->op, entry->entry.origin, changes);
	assert(result <= 0 && result > INT16_MIN);

	advance_origin(origin, entry->entry.boot, seq);
	origin->results[seq % REPLICA_IN_FLIGHT_MAX] = (int16_t)result;
	return result;
}

/* Takes the tree one entry further; returns the result of the operation. */
static int advance(Replica *r, LogEntry *entry, GPtrArray *changes)
{
	int result;

	assert(entry->entry.index == r->image->commit + 1);

	result = apply_once(r, entry, changes);
	g_clear_pointer(&entry->op, op_free);
	r->image->commit = entry->entry.index;
	memcpy(r->image->commit_hash, entry->entry.hash, REPLICA_HASH_SIZE);
	r->counters.entries++;

	if (r->dirty_since_ms < 0)
		r->dirty_since_ms = replica_now(r);
	r->dirty_bytes += entry->size;
	for (guint i = 0; i < changes->len; i++) {
		uint64_t inode = ((const TreeChange *)g_ptr_array_index(changes, i))->inode;

		disk_mark(r, inode);
		source_mark(r, inode);
	}
	return result;
}

static void apply_entry(Replica *r, LogEntry *entry)
{
	g_autoptr(GPtrArray) changes = tree_changes_new();
	int result = advance(r, entry, changes);

	lease_applied(r, changes);
	if (entry->entry.origin == r->options.node && entry->entry.boot == r->options.boot)
		submit_applied(r, entry->entry.seq, result, changes);
	else if (changes->len > 0)
		r->env.applied(r->env.data, changes, NULL);
}

/* Whether the log holds more than there is memory for: the disk has taken nothing for long. */
static bool is_too_long(const Replica *r)
{
	const Image *image = r->image;

	return image_last(image) - image->log_first >=
		       LOG_UNWRITTEN_FACTOR * (uint64_t)r->options.log_entries_max ||
	       image->log_bytes > LOG_UNWRITTEN_FACTOR * (uint64_t)REPLICA_LOG_BYTES_MAX;
}

/* Applies what is committed up to index. */
void log_commit(Replica *r, uint64_t index)
{
	assert(index <= image_last(r->image));

	if (index <= r->image->commit)
		return;
	if (is_too_long(r))
		log_release(r);
	r->committed_ms = replica_now(r);
	while (r->image->commit < index)
		apply_entry(r, image_entry(r->image, r->image->commit + 1));
}

/* Applies, before anybody looks, what the database knows to be committed and has not in its rows. */
void log_replay(Replica *r, uint64_t index)
{
	assert(r->state == REPLICA_STATE_OUTSIDE);

	index = MIN(index, image_last(r->image));
	r->committed_ms = replica_now(r);
	while (r->image->commit < index) {
		g_autoptr(GPtrArray) changes = tree_changes_new();

		(void)advance(r, image_entry(r->image, r->image->commit + 1), changes);
	}
}

/* --- Committing ------------------------------------------------------------------------------- */

/* Up to where our own disk holds the log of this epoch. */
static uint64_t own_index(const Replica *r)
{
	return r->written_adopted == r->epoch ? r->written : 0;
}

/* The highest index that `need` voting disks hold. */
static uint64_t committed_index(const Replica *r)
{
	uint64_t held[REPLICA_NODES_MAX];
	unsigned n_held = 0;

	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		if (peer->voter)
			held[n_held++] = peer->node == r->options.node ? own_index(r) : peer->acked;
	}
	assert(r->need <= n_held);

	return replica_nth_highest(held, n_held, r->need);
}

void log_receive_ack(Replica *r, Peer *peer, const WireMessage *message)
{
	if (r->state != REPLICA_STATE_ACTIVE && r->state != REPLICA_STATE_CATCHING_UP)
		return;
	if (message->ack.epoch != r->epoch)
		return;
	if (peer->node == r->options.node)
		r->ack_under_way = false;
	receive_ack(r, peer, message->ack.index);
}

/* --- Acknowledging ---------------------------------------------------------------------------- */

/* Whether we are one of those who speak at once, of a change of origin; 0: the origin's own disk does not
 * count before it has spoken. */
bool log_speaks_first(const Replica *r, uint32_t origin)
{
	unsigned n_before = 0;

	for (unsigned i = 0; i < r->n_peers; i++)
		n_before += r->peers[i].node == origin && r->peers[i].voter && r->peers[i].level;
	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		if (peer->node == r->options.node)
			return peer->voter && n_before < r->need;
		n_before += peer->node != origin && peer->voter && peer->level;
	}
	return false;
}

/* Up to where all know that the log is committed, without a word of ours. */
static uint64_t known_index(const Replica *r)
{
	uint64_t held[REPLICA_NODES_MAX];
	unsigned n_held = 0;

	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		if (peer->voter && peer->level && peer->node != r->options.node)
			held[n_held++] = peer->acked;
	}
	return replica_nth_highest(held, n_held, r->need);
}

static bool has_news(const Replica *r)
{
	return r->state == REPLICA_STATE_ACTIVE && r->n_peers > 1 &&
	       r->written_adopted == r->epoch && (!r->acked_any || r->written > r->acked);
}

/* When we shall acknowledge, if nothing else happens. */
static int64_t ack_due(const Replica *r)
{
	int64_t lazy_ms, patience_ms;

	/* The first word in an epoch tells that we are level. */
	if (!r->acked_any)
		return r->ack_since_ms;
	lazy_ms = r->ack_since_ms + ACK_LAZY_MS;
	if (known_index(r) >= r->written)
		return lazy_ms;
	if (r->ack_wanted > r->acked)
		return r->ack_since_ms;
	patience_ms = r->own_last > r->acked ? ACK_RIDE_MS : ACK_PATIENCE_MS;
	return MIN(MAX(r->ack_since_ms, r->known_ms) + patience_ms, lazy_ms);
}

static void note_said(Replica *r)
{
	r->acked = r->written;
	r->acked_any = true;
	r->ack_since_ms = -1;
}

static void send_ack(Replica *r)
{
	WireMessage message = {
		.type = WIRE_ACK, .view = r->view, .ack = {.epoch = r->epoch, .index = r->written}};

	replica_send(r, &message);
	note_said(r);
	r->ack_under_way = true;
}

/* Lets our acknowledgement, if there is one to say, ride with changes of ours. */
void log_ride(Replica *r, WireMessage *message)
{
	assert(message->type == WIRE_OPS);

	if (!has_news(r))
		return;
	message->ops.acknowledges = true;
	message->ops.acknowledged = r->written;
	note_said(r);
}

void log_pump(Replica *r)
{
	if (r->state == REPLICA_STATE_ACTIVE)
		log_commit(r, MIN(committed_index(r), image_last(r->image)));
}

/* To be called when it is known whether changes of ours go. */
void log_acknowledge(Replica *r)
{
	int64_t now_ms;

	if (!has_news(r) || r->ack_under_way)
		return;
	now_ms = replica_now(r);
	/* While those speak whose turn it is, there is nothing to be impatient about. */
	if (known_index(r) > r->known) {
		r->known = known_index(r);
		r->known_ms = now_ms;
	}
	if (r->ack_since_ms < 0)
		r->ack_since_ms = now_ms;
	if (now_ms >= ack_due(r))
		send_ack(r);
}

int64_t log_deadline(const Replica *r)
{
	if (!has_news(r) || r->ack_under_way || r->ack_since_ms < 0)
		return -1;
	return ack_due(r);
}

/* --- Forgetting ------------------------------------------------------------------------------- */

/* The first entry that the database needs to keep.  What is not in its rows stays (R15): a slow disk may
 * be far behind what others have committed.  If it is too far, the rows must go along with the log. */
uint64_t log_first_to_keep(const Replica *r)
{
	const Image *image = r->image;
	uint64_t settled = is_too_long(r) ? image->commit : MIN(r->rows.commit, r->written);
	uint64_t first = image->log_first;
	uint64_t bytes = image->log_bytes;

	while (first < settled && (image_last(image) - first >= r->options.log_entries_max ||
					  bytes > REPLICA_LOG_BYTES_MAX)) {
		bytes -= image_entry(image, first)->size;
		first++;
	}
	return first;
}

/* Lets go of entries that the database need not keep either, when a good part of them can go together.
 * The others stay with their bytes: they are what a member that was away is given. */
void log_release(Replica *r)
{
	Image *image = r->image;
	uint64_t first = log_first_to_keep(r);
	uint64_t n_bytes = 0;

	for (uint64_t index = image->log_first; index < first; index++)
		n_bytes += image_entry(image, index)->size;
	if (first - image->log_first <= r->options.log_entries_max / 8 &&
		n_bytes <= REPLICA_LOG_BYTES_MAX / 8)
		return;
	image->log_bytes -= n_bytes;
	g_ptr_array_remove_range(image->log, 0, (guint)(first - image->log_first));
	image->log_first = first;
}
