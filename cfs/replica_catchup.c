/* SPDX-License-Identifier: Apache-2.0 */

/* Transfer, the side of a member that differs.  Which streams there are is told at the top of
 * replica_source.c.
 *
 * What a stream brings is collected beside our own state, and the entries that are delivered meanwhile
 * wait behind it.  When the stream is over and fits, one batch puts it in the place of what we had
 * (replica_switch.c): who dies before is what it was.
 *
 *	state    means
 *	NOTHING  no stream for us is under way, or it made no sense: the rest of it is ignored
 *	LOG      entries behind `common` are coming
 *	TREE     the difference of the trees is coming
 *	READY    all is there; it waits for the disk
 *
 * A stream that makes no sense is a fault of one of the two programs.  We ask for the tree anew, ever
 * less often, and say so in the log.  When the source is silent for long, though it should not be, we
 * ask all to agree anew: whoever stands still is left out then (replica_view.c). */

#include "cfs/replica_internal.h"

#include <string.h>

#include "cfs/stream.h"

typedef enum InState {
	IN_NOTHING,
	IN_LOG,
	IN_TREE,
	IN_READY,
} InState;

struct TransferIn {
	InState state;
	GByteArray *buffer; /* Received and not read, less than one item and one piece. */
	uint32_t number;    /* Of the next piece. */
	int64_t heard_ms;   /* When the source sent something last. */
	unsigned n_broken;  /* Streams that made no sense … */
	int64_t again_ms;   /* … and when we shall ask anew; -1: we need not. */

	uint64_t common;    /* IN_LOG: up to here our log is the source's … */
	GPtrArray *entries; /* … and these follow, of LogEntry. */

	uint32_t session; /* IN_TREE: as the source counts them. */
	GArray *inodes;   /* Of uint64_t, ascending: ours … */
	guint inode;      /* … the next to be listed … */
	uint64_t listed;  /* … and the end of what is listed. */
	GTree *rows;      /* Inode -> ReplicaRow of the source; NULL: it has none. */
	uint64_t n_bytes; /* In them. */
	StreamItem picture;
	ReplicaBatch *rest; /* Origins and entries; NULL: the picture has not come. */

	Staged *staged; /* IN_READY: for the disk. */

	GQueue behind; /* Of LogEntry, delivered meanwhile. */
	uint64_t behind_bytes;
	uint64_t behind_last; /* Index of the last of them. */
};

/* --- Life ------------------------------------------------------------------------------------- */

static int compare_inodes(const void *a, const void *b, void *data)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

static void entry_destroy(void *entry)
{
	log_entry_free(entry);
}

static void row_destroy(void *data)
{
	ReplicaRow *row = data;

	if (!row)
		return;
	g_free(row->name);
	g_clear_pointer(&row->data, g_bytes_unref);
	g_free(row);
}

/* Forgets what a stream has brought. */
static void forget_stream(TransferIn *in)
{
	g_byte_array_set_size(in->buffer, 0);
	g_clear_pointer(&in->entries, g_ptr_array_unref);
	in->entries = g_ptr_array_new_with_free_func(entry_destroy);
	g_tree_remove_all(in->rows);
	g_array_set_size(in->inodes, 0);
	in->inode = 0;
	in->listed = 0;
	in->n_bytes = 0;
	g_clear_pointer(&in->rest, replica_batch_free);
	in->state = IN_NOTHING;
}

static TransferIn *in_free(TransferIn *in)
{
	LogEntry *entry;

	if (!in)
		return NULL;

	forget_stream(in);
	while ((entry = g_queue_pop_head(&in->behind)))
		log_entry_free(entry);
	g_byte_array_unref(in->buffer);
	g_ptr_array_unref(in->entries);
	g_tree_destroy(in->rows);
	g_array_unref(in->inodes);
	staged_free(in->staged);
	g_free(in);
	return NULL;
}

void catchup_start(Replica *r)
{
	assert(!r->in);

	r->in = g_new0(TransferIn, 1);
	r->in->buffer = g_byte_array_new();
	r->in->rows = g_tree_new_full(compare_inodes, NULL, g_free, row_destroy);
	r->in->inodes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	r->in->entries = g_ptr_array_new_with_free_func(entry_destroy);
	r->in->heard_ms = replica_now(r);
	r->in->again_ms = -1;
	r->in->behind_last = replica_peer(r, r->source)->state.last;
}

void catchup_stop(Replica *r)
{
	r->in = in_free(r->in);
}

/* An entry that is delivered before we are level; taken. */
void catchup_queue(Replica *r, LogEntry *entry)
{
	TransferIn *in = r->in;

	entry->entry.index = ++in->behind_last;
	entry->entry.epoch = r->epoch;
	g_queue_push_tail(&in->behind, entry);
	in->behind_bytes += entry->size;
	/* The others would write faster than we are told what was: begin again from what they have
	 * then. */
	if (in->behind_bytes > BEHIND_BYTES_MAX)
		view_announce(r);
}

/* Appends what has been delivered behind what we have got. */
void catchup_append_behind(Replica *r)
{
	LogEntry *entry;

	while ((entry = g_queue_pop_head(&r->in->behind))) {
		/* The tree may be of a later moment than the beginning of the epoch. */
		if (entry->entry.index <= image_last(r->image))
			log_entry_free(entry);
		else
			log_append(r, entry);
	}
}

/* --- Trouble ---------------------------------------------------------------------------------- */

static void give_up_stream(Replica *r, int error)
{
	TransferIn *in = r->in;

	forget_stream(in);
	r->env.bad_message(r->env.data, r->source, error);
	in->again_ms =
		replica_now(r) + MIN(AGAIN_MS_MIN << MIN(in->n_broken, 16), (int64_t)AGAIN_MS_MAX);
	in->n_broken++;
}

static void ask_again(Replica *r)
{
	WireMessage message = {.type = WIRE_AGAIN, .view = r->view, .again = {.epoch = r->epoch}};

	r->in->again_ms = -1;
	replica_send(r, &message);
}

/* --- Telling what we have --------------------------------------------------------------------- */

static bool collect_inode(const TreeNode *node, void *data)
{
	uint64_t inode = tree_node_inode(node);

	g_array_append_val((GArray *)data, inode);
	return true;
}

/* Lists the next of our rows; as many as the source may compare at once without keeping others
 * waiting. */
static int send_list(Replica *r, uint64_t after)
{
	TransferIn *in = r->in;
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	WireMessage message = {.type = WIRE_LIST, .view = r->view};
	uint64_t n_hashed = 0;

	if (after != in->listed)
		return -EBADMSG;
	while (in->inode < in->inodes->len && message.list.n_rows < r->options.list_max &&
		n_hashed < LIST_HASHED_MAX) {
		uint64_t inode = g_array_index(in->inodes, uint64_t, in->inode++);
		const TreeNode *node = tree_by_inode(r->image->tree, inode);
		WireListRow row = {.inode = inode, .version = tree_node_version(node)};

		n_hashed += replica_row_digest(node, row.digest);
		wire_put_list_row(bytes, &row);
		message.list.n_rows++;
		in->listed = inode;
	}
	if (in->inode == in->inodes->len)
		in->listed = UINT64_MAX;
	message.list.epoch = r->epoch;
	message.list.session = in->session;
	message.list.after = after;
	message.list.upto = in->listed;
	message.list.bytes = bytes->data;
	replica_send(r, &message);
	return 0;
}

/* --- Items ------------------------------------------------------------------------------------ */

/* The first item of a stream: is it for us? */
static void begin_stream(Replica *r, const StreamItem *item)
{
	TransferIn *in = r->in;

	if (item->type == STREAM_TREE && item->tree.node == r->options.node) {
		in->state = IN_TREE;
		in->session = item->tree.session;
		tree_each(r->image->tree, collect_inode, in->inodes);
	}
	for (uint32_t i = 0; item->type == STREAM_LOG && i < item->log.n_members; i++) {
		if (item->log.members[i].node != r->options.node)
			continue;
		in->state = IN_LOG;
		in->common = item->log.members[i].common;
	}
}

/* Takes the entry out of the item. */
static int add_log_entry(TransferIn *in, StreamItem *item)
{
	g_autoptr(LogEntry) entry = NULL;
	int r;

	if (item->entry.index != in->common + 1 + in->entries->len)
		return -EBADMSG;
	r = log_entry_new(&item->entry, &entry);
	if (r < 0)
		return r;
	g_ptr_array_add(in->entries, g_steal_pointer(&entry));
	return 0;
}

/* Takes the row out of the item; without one, the inode is to be removed. */
static int add_row(TransferIn *in, StreamItem *item)
{
	bool removed = item->type == STREAM_REMOVED;
	uint64_t *inode = g_new(uint64_t, 1);
	ReplicaRow *row = NULL;

	*inode = removed ? item->inode : item->row.inode;
	if (!removed) {
		in->n_bytes += item->row.data ? g_bytes_get_size(item->row.data) : 0;
		row = g_memdup2(&item->row, sizeof(item->row));
		item->type = STREAM_INVALID;
	}
	g_tree_replace(in->rows, inode, row);
	return in->n_bytes > TREE_TOTAL_MAX || g_tree_nnodes(in->rows) > 2 * (int)TREE_ENTRIES_MAX
		       ? -EBADMSG
		       : 0;
}

static int read_tree_item(Replica *r, StreamItem *item)
{
	TransferIn *in = r->in;

	switch (item->type) {
	case STREAM_ASK:
		return in->rest ? -EBADMSG : send_list(r, item->inode);
	case STREAM_ROW:
	case STREAM_REMOVED:
		return add_row(in, item);
	case STREAM_PICTURE:
		if (in->rest)
			return -EBADMSG;
		in->picture = *item;
		in->rest = replica_batch_new();
		return 0;
	case STREAM_ORIGIN:
		if (!in->rest)
			return -EBADMSG;
		replica_batch_add_origin(in->rest, item->origin.node, item->origin.boot,
			item->origin.seq, item->origin.results);
		return 0;
	case STREAM_ENTRY:
		if (!in->rest)
			return -EBADMSG;
		replica_batch_add_entry(in->rest, &item->entry);
		return 0;
	default:
		return -EBADMSG;
	}
}

static int read_item(Replica *r, StreamItem *item)
{
	switch (r->in->state) {
	case IN_LOG:
		return item->type == STREAM_ENTRY ? add_log_entry(r->in, item) : -EBADMSG;
	case IN_TREE:
		return read_tree_item(r, item);
	case IN_NOTHING:
	case IN_READY:
		break;
	}
	g_assert_not_reached();
}

/* Reads all items that have arrived as a whole. */
static int read_items(Replica *r, bool first)
{
	TransferIn *in = r->in;
	BytesReader reader = bytes_reader(in->buffer->data, in->buffer->len);
	int result;

	do {
		StreamItem item;

		result = stream_get(&reader, &item);
		if (result <= 0)
			break;
		if (first)
			begin_stream(r, &item);
		else
			result = read_item(r, &item);
		first = false;
		stream_item_clear(&item);
	} while (result >= 0 && in->state != IN_NOTHING);

	if (result >= 0)
		g_byte_array_remove_range(in->buffer, 0, in->buffer->len - (guint)reader.left);
	return result;
}

/* --- Pieces ----------------------------------------------------------------------------------- */

static int finish_stream(Replica *r)
{
	TransferIn *in = r->in;
	int result;

	if (in->state == IN_LOG)
		result = staged_new_log(r, in->common, in->entries, &in->staged);
	else
		result = in->rest ? staged_new_tree(r, in->rows, &in->picture, in->rest,
					    &in->behind, &in->staged)
				  : -EBADMSG;
	if (result < 0)
		return result;
	forget_stream(in);
	in->state = IN_READY;
	in->again_ms = -1;
	return 0;
}

void catchup_receive_piece(Replica *r, const WireMessage *message)
{
	TransferIn *in = r->in;
	bool first = message->piece.number == 0;
	int result;

	if (!in || in->state == IN_READY || disk_replacing(r))
		return;
	in->heard_ms = replica_now(r);
	if (first) {
		forget_stream(in);
		in->number = 0;
	} else if (in->state == IN_NOTHING) {
		return;
	}
	/* The bus loses nothing within a view: this would be no stream of ours. */
	result = message->piece.number == in->number++ ? 0 : -EBADMSG;
	if (result == 0) {
		g_byte_array_append(in->buffer, message->piece.bytes, (guint)message->piece.size);
		result = read_items(r, first);
	}
	if (result >= 0 && message->piece.final && in->state != IN_NOTHING)
		result = in->buffer->len == 0 ? finish_stream(r) : -EBADMSG;
	if (result == -EPROTONOSUPPORT)
		replica_bad_message(r, r->source, result);
	else if (result < 0)
		give_up_stream(r, result);
}

void catchup_pump(Replica *r)
{
	TransferIn *in = r->in;

	if (!in)
		return;
	if (in->state == IN_READY) {
		if (in->staged && !r->batch)
			disk_stage(r, g_steal_pointer(&in->staged));
		return;
	}
	if (in->again_ms >= 0 && replica_now(r) >= in->again_ms)
		ask_again(r);
	if (replica_now(r) >= in->heard_ms + SILENCE_MS) {
		in->heard_ms = replica_now(r);
		view_announce(r);
	}
}

int64_t catchup_deadline(const Replica *r)
{
	const TransferIn *in = r->in;

	if (!in || in->state == IN_READY)
		return -1;
	return in->again_ms >= 0 ? MIN(in->again_ms, in->heard_ms + SILENCE_MS)
				 : in->heard_ms + SILENCE_MS;
}
