/* SPDX-License-Identifier: Apache-2.0 */

/* Transfer, the side of the source: what members that differ get when an epoch has opened.
 *
 * Who gets what.  The state that a member has told names two places of its log: the end, and the
 * commit index, up to which nothing can be taken back.  Where our log has the same hash at one of
 * them, both are one up to there, and the member needs the entries behind it: the end of the log.
 * Where it has not (the member was away for longer than our log reaches back, or histories have
 * parted by the operator's word) it gets the difference of the trees.
 *
 * Streams.  We send one stream of items (cfs/stream.h) after the other, in pieces of bounded size,
 * one piece under way at a time, so that changes find their place between them.
 *
 *	the end of the log, for all who need the same of it
 *		LOG, ENTRY … from the common index to the end with which the epoch began
 *	the difference of the trees, for one member after the other
 *		TREE, then for each range of inodes
 *			ASK; the member answers with LIST; ROW and REMOVED as they differ; and then
 *		PICTURE, ROW and REMOVED of all that has changed since TREE, ORIGIN …, ENTRY …
 *
 *	state     waits for                                         next
 *	IDLE      nothing, or somebody who needs something          LOG, ASK
 *	LOG       the piece under way                               IDLE behind the last entry
 *	ASK       the piece under way                               LISTING
 *	LISTING   LIST of the member; not for ever: it may stand    COMPARE, IDLE when it is late
 *	          still, and others wait too
 *	COMPARE   the piece under way                               ASK, REST behind the last range
 *	REST      the piece under way                               IDLE behind the last item
 *
 * The tree goes on changing meanwhile.  A range is compared with the tree of the moment; what changes
 * after the stream has begun is noted, and sent with the picture, which is of one moment: so all that
 * the member gets together is the tree at the picture's commit index.  What we hold for a transfer is
 * the inode numbers, one list, one piece, and the rows that have changed since.
 *
 * A row is the same when version and digest are.  Versions alone would do while histories are one;
 * the digest makes it certain when they are not (R12). */

#include "cfs/replica_internal.h"

#include <string.h>

#include "cfs/stream.h"

typedef enum OutState {
	OUT_IDLE,
	OUT_LOG,
	OUT_ASK,
	OUT_LISTING,
	OUT_COMPARE,
	OUT_REST,
} OutState;

struct TransferOut {
	OutState state;
	GByteArray *buffer; /* Written and not sent yet. */
	uint32_t number;    /* Of the next piece of the stream. */
	bool under_way;     /* The last piece has not come back. */

	/* Who waits. */
	StreamMember behind[REPLICA_NODES_MAX]; /* For the end of the log … */
	unsigned n_behind;
	GPtrArray *entries;                  /* … which is this, of ReplicaEntry … */
	guint entry;                         /* … and this the next of them. */
	uint32_t waiting[REPLICA_NODES_MAX]; /* For the difference of the trees. */
	unsigned n_waiting;

	/* The difference for one member. */
	uint32_t node; /* 0: for nobody. */
	uint32_t session;
	int64_t asked_ms;
	Difference *difference;
};

/* --- Beginning and end ------------------------------------------------------------------------ */

static void entry_destroy(void *data)
{
	ReplicaEntry *entry = data;

	g_bytes_unref(entry->op);
	g_free(entry);
}

static void end_stream(TransferOut *out)
{
	out->node = 0;
	out->difference = difference_free(out->difference);
	g_ptr_array_set_size(out->entries, 0);
	g_byte_array_set_size(out->buffer, 0);
	out->state = OUT_IDLE;
}

static TransferOut *out_new(void)
{
	TransferOut *out = g_new0(TransferOut, 1);

	out->buffer = g_byte_array_new();
	out->entries = g_ptr_array_new_with_free_func(entry_destroy);
	return out;
}

static TransferOut *out_free(TransferOut *out)
{
	if (!out)
		return NULL;

	end_stream(out);
	g_byte_array_unref(out->buffer);
	g_ptr_array_unref(out->entries);
	g_free(out);
	return NULL;
}

void source_stop(Replica *r)
{
	r->out = out_free(r->out);
}

/* The hash of our log up to index; NULL when the log does not reach back so far, or has not come so
 * far. */
static const uint8_t *hash_at(const Image *image, uint64_t index)
{
	static const uint8_t nothing[REPLICA_HASH_SIZE];

	if (index == image->commit)
		return image->commit_hash;
	if (index == 0 && image->log_first == 1)
		return nothing;
	if (index < image->log_first || index > image_last(image))
		return NULL;
	return image_entry(image, index)->entry.hash;
}

static bool is_ours(const Image *image, uint64_t index, const uint8_t *hash)
{
	const uint8_t *own = hash_at(image, index);

	return own && memcmp(own, hash, REPLICA_HASH_SIZE) == 0;
}

/* Up to where the log of a member is ours, if we can send all that is behind it. */
static bool find_common(const Image *image, const WireState *state, uint64_t *ret)
{
	if (is_ours(image, state->last, state->last_hash))
		*ret = state->last;
	else if (is_ours(image, state->commit, state->commit_hash))
		*ret = state->commit;
	else
		return false;
	return *ret + 1 >= image->log_first;
}

static void want_log(TransferOut *out, uint32_t node, uint64_t common)
{
	out->behind[out->n_behind++] = (StreamMember){.node = node, .common = common};
}

static void want_tree(TransferOut *out, uint32_t node)
{
	for (unsigned i = 0; i < out->n_waiting; i++)
		if (out->waiting[i] == node)
			return;
	out->waiting[out->n_waiting++] = node;
}

/* The epoch has opened, and we are its source. */
void source_start(Replica *r)
{
	assert(!r->out);

	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];
		uint64_t common;

		if (peer->level)
			continue;
		if (!r->out)
			r->out = out_new();
		if (find_common(r->image, &peer->state, &common))
			want_log(r->out, peer->node, common);
		else
			want_tree(r->out, peer->node);
	}
}

/* An entry of the tree has changed. */
void source_mark(Replica *r, uint64_t inode)
{
	if (r->out && r->out->difference)
		difference_mark(r->out->difference, inode);
}

/* --- Streams ---------------------------------------------------------------------------------- */

static void begin_stream(TransferOut *out, OutState state, const StreamItem *first)
{
	assert(out->state == OUT_IDLE);
	assert(out->entries->len == 0);

	out->state = state;
	out->number = 0;
	stream_put(out->buffer, first);
}

/* Takes those who miss least out of those who miss something: they may be the ones without whom nobody
 * can write. */
static uint64_t take_nearest(TransferOut *out, StreamItem *first)
{
	uint64_t common = 0;
	unsigned n_left = 0;

	for (unsigned i = 0; i < out->n_behind; i++)
		common = MAX(common, out->behind[i].common);
	for (unsigned i = 0; i < out->n_behind; i++) {
		StreamMember member = out->behind[i];

		if (member.common == common)
			first->log.members[first->log.n_members++] = member;
		else
			out->behind[n_left++] = member;
	}
	out->n_behind = n_left;
	return common;
}

static void begin_log(Replica *r)
{
	TransferOut *out = r->out;
	StreamItem first = {.type = STREAM_LOG};
	uint64_t common = take_nearest(out, &first);
	uint64_t last = replica_peer(r, r->source)->state.last;

	/* While others had their turn, our log may have become shorter. */
	if (common + 1 < r->image->log_first) {
		for (uint32_t i = 0; i < first.log.n_members; i++)
			want_tree(out, first.log.members[i].node);
		return;
	}
	begin_stream(out, OUT_LOG, &first);
	out->entry = 0;
	for (uint64_t index = common + 1; index <= last; index++) {
		ReplicaEntry *entry =
			g_memdup2(&image_entry(r->image, index)->entry, sizeof(*entry));

		g_bytes_ref(entry->op);
		g_ptr_array_add(out->entries, entry);
	}
	r->counters.logs_out++;
}

static void begin_tree(Replica *r)
{
	TransferOut *out = r->out;
	StreamItem first = {.type = STREAM_TREE};

	out->node = out->waiting[0];
	memmove(out->waiting, out->waiting + 1, --out->n_waiting * sizeof(out->waiting[0]));
	out->difference = difference_new(r->image->tree);
	first.tree.node = out->node;
	first.tree.session = ++out->session;
	begin_stream(out, OUT_ASK, &first);
	r->counters.transfers_out++;
}

/* Begins with who is next; frees the whole when there is nobody. */
static void begin_next(Replica *r)
{
	while (r->out->state == OUT_IDLE && r->out->n_behind > 0)
		begin_log(r);
	if (r->out->state != OUT_IDLE)
		return;
	if (r->out->n_waiting > 0)
		begin_tree(r);
	else
		source_stop(r);
}

/* --- Items ------------------------------------------------------------------------------------ */

static void put_log_entry(TransferOut *out)
{
	StreamItem item = {.type = STREAM_ENTRY};

	item.entry = *(const ReplicaEntry *)g_ptr_array_index(out->entries, out->entry++);
	stream_put(out->buffer, &item);
}

static void put_ask(Replica *r)
{
	const StreamItem item = {
		.type = STREAM_ASK, .inode = difference_compared(r->out->difference)};

	stream_put(r->out->buffer, &item);
	r->out->state = OUT_LISTING;
	r->out->asked_ms = replica_now(r);
}

/* A range is compared: another one, or all that is left. */
static void end_range(Replica *r)
{
	TransferOut *out = r->out;

	if (difference_compared(out->difference) < UINT64_MAX) {
		out->state = OUT_ASK;
		return;
	}
	/* Entries behind the beginning of the epoch are delivered to the member itself. */
	difference_take_rest(
		out->difference, r->image, replica_peer(r, r->source)->state.last, out->buffer);
	out->state = OUT_REST;
}

/* Takes one step that may write an item; false when the stream has to wait, or is over. */
static bool put_next(Replica *r)
{
	TransferOut *out = r->out;

	switch (out->state) {
	case OUT_LOG:
		if (out->entry < out->entries->len) {
			put_log_entry(out);
			return true;
		}
		break;
	case OUT_ASK:
		put_ask(r);
		return true;
	case OUT_COMPARE:
		if (!difference_put_next(out->difference, r->image->tree, out->buffer))
			end_range(r);
		return true;
	case OUT_REST:
		if (difference_put_rest(out->difference, out->buffer))
			return true;
		break;
	case OUT_IDLE:
	case OUT_LISTING:
		return false;
	}
	out->state = OUT_IDLE;
	return false;
}

/* --- Pieces ----------------------------------------------------------------------------------- */

static void send_piece(Replica *r)
{
	TransferOut *out = r->out;
	WireMessage message = {.type = WIRE_PIECE, .view = r->view, .piece = {.epoch = r->epoch}};

	/* One item more than fits: so it is known which piece is the last one, even when it is full. */
	while (out->buffer->len <= r->options.piece_max && put_next(r))
		;
	/* With nothing to say but that the stream is over, that is said. */
	if (out->buffer->len == 0 && out->state != OUT_IDLE)
		return;
	message.piece.number = out->number++;
	message.piece.bytes = out->buffer->data;
	message.piece.size = MIN(out->buffer->len, r->options.piece_max);
	message.piece.final = out->state == OUT_IDLE && message.piece.size == out->buffer->len;
	replica_send(r, &message);
	g_byte_array_remove_range(out->buffer, 0, (guint)message.piece.size);
	out->under_way = true;
	if (message.piece.final)
		end_stream(out);
}

void source_receive_piece(Replica *r)
{
	if (r->out)
		r->out->under_way = false;
}

void source_receive_list(Replica *r, const Peer *peer, const WireMessage *message)
{
	TransferOut *out = r->out;

	if (!out || out->state != OUT_LISTING || peer->node != out->node ||
		message->list.epoch != r->epoch || message->list.session != out->session ||
		message->list.after != difference_compared(out->difference))
		return;
	difference_set_list(out->difference, message);
	out->state = OUT_COMPARE;
}

/* What we have sent made no sense to a member: it gets the tree, whatever it should have got. */
void source_receive_again(Replica *r, const Peer *peer, const WireMessage *message)
{
	if (r->state != REPLICA_STATE_ACTIVE || r->source != r->options.node ||
		message->again.epoch != r->epoch || peer->level)
		return;
	if (!r->out)
		r->out = out_new();
	if (r->out->node == peer->node)
		end_stream(r->out);
	want_tree(r->out, peer->node);
}

/* Whether the member whose turn it is has kept us waiting for too long. */
static bool is_late(const Replica *r)
{
	return r->out->state == OUT_LISTING &&
	       replica_now(r) >= r->out->asked_ms + LIST_PATIENCE_MS;
}

void source_pump(Replica *r)
{
	TransferOut *out = r->out;

	if (!out || r->state != REPLICA_STATE_ACTIVE || out->under_way)
		return;
	if (out->buffer->len == 0 && is_late(r)) {
		uint32_t node = out->node;

		end_stream(out);
		want_tree(out, node);
	}
	if (out->buffer->len == 0 && out->state == OUT_IDLE)
		begin_next(r);
	if (r->out)
		send_piece(r);
}

int64_t source_deadline(const Replica *r)
{
	return r->out && r->out->state == OUT_LISTING ? r->out->asked_ms + LIST_PATIENCE_MS : -1;
}
