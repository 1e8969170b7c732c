/* SPDX-License-Identifier: Apache-2.0 */

/* The source's state on its way to members that differ.
 *
 * When the epoch opens, the source takes a picture of its image: rows, origins, and the entries
 * behind the commit index, up to the log end with which the epoch begins.  It sends it to all at once
 * as one stream of items cut into pieces, one piece under way at a time, so that changes find their
 * place between them.
 *
 * A member that differs builds the image beside its own, queueing the entries that are delivered
 * meanwhile, and puts it in the place of its own by one batch.  Then it is level: the queued entries
 * follow.  If it dies before, it is what it was.
 *
 *	stream   u64 commit, 32 bytes hash at commit, u64 version,
 *	         u32 rows, u32 origins, u32 entries, then so many of
 *	row      u64 inode, u64 parent, u64 version, u32 writer, u32 mtime_s, u8 directory,
 *	         u16 length of name, name, u32 length of data (0 for directories but locks), data
 *	origin   u32 node, u64 boot, u64 seq, u32 length of results, results
 *	entry    u64 index, u64 epoch, u64 boot, u64 seq, u32 origin, 32 bytes hash,
 *	         u32 length of operation, operation */

#include "cfs/replica_internal.h"

#include <string.h>

#include "cfs/bytes.h"

struct TransferOut {
	ReplicaBatch *picture;
	bool begun;         /* The head of the stream is written. */
	guint row;          /* Next of each … */
	guint origin;       /* … */
	guint entry;        /* … to be written to … */
	GByteArray *buffer; /* … what is not sent yet. */
	uint32_t number;    /* Of the next piece. */
	bool under_way;     /* The last piece has not come back. */
	bool finished;      /* The final piece is sent. */
};

struct TransferIn {
	GByteArray *buffer; /* Received and not read, less than one item and one piece. */
	uint32_t number;    /* Of the next piece. */
	bool begun;         /* The head is read … */
	uint32_t n_rows;    /* … and says how many … */
	uint32_t n_origins; /* … of each … */
	uint32_t n_entries; /* … there will be. */
	bool broken;        /* It makes no sense: the rest is ignored. */
	ReplicaBatch *batch;
	Image *image;  /* Complete, and waiting for the disk. */
	GQueue behind; /* Of LogEntry, delivered meanwhile. */
	uint64_t behind_bytes;
};

/* --- Sending ---------------------------------------------------------------------------------- */

static TransferOut *out_free(TransferOut *out)
{
	if (!out)
		return NULL;

	replica_batch_free(out->picture);
	g_byte_array_unref(out->buffer);
	g_free(out);
	return NULL;
}

void transfer_start_out(Replica *r)
{
	bool wanted = false;

	assert(!r->out);

	for (unsigned i = 0; i < r->n_peers; i++)
		wanted |= !r->peers[i].level;
	if (!wanted)
		return;
	r->out = g_new0(TransferOut, 1);
	r->out->picture = image_dump(r->image);
	r->out->buffer = g_byte_array_new();
	r->counters.transfers_out++;
}

static void put_bytes(GByteArray *out, GBytes *bytes)
{
	gsize size = 0;
	const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

	bytes_put_u32(out, (uint32_t)size);
	bytes_put(out, data, size);
}

static void put_head(GByteArray *out, const ReplicaBatch *picture)
{
	bytes_put_u64(out, picture->scalars.commit);
	bytes_put(out, picture->scalars.commit_hash, REPLICA_HASH_SIZE);
	bytes_put_u64(out, picture->scalars.version);
	bytes_put_u32(out, picture->rows->len);
	bytes_put_u32(out, picture->origins->len);
	bytes_put_u32(out, picture->entries->len);
}

static void put_row(GByteArray *out, const ReplicaRow *row)
{
	bytes_put_u64(out, row->inode);
	bytes_put_u64(out, row->parent);
	bytes_put_u64(out, row->version);
	bytes_put_u32(out, row->writer);
	bytes_put_u32(out, row->mtime_s);
	bytes_put_u8(out, row->directory);
	bytes_put_u16(out, (uint16_t)strlen(row->name));
	bytes_put(out, row->name, strlen(row->name));
	put_bytes(out, row->data);
}

static void put_origin(GByteArray *out, const ReplicaOrigin *origin)
{
	bytes_put_u32(out, origin->node);
	bytes_put_u64(out, origin->boot);
	bytes_put_u64(out, origin->seq);
	put_bytes(out, origin->results);
}

static void put_entry(GByteArray *out, const ReplicaEntry *entry)
{
	bytes_put_u64(out, entry->index);
	bytes_put_u64(out, entry->epoch);
	bytes_put_u64(out, entry->boot);
	bytes_put_u64(out, entry->seq);
	bytes_put_u32(out, entry->origin);
	bytes_put(out, entry->hash, REPLICA_HASH_SIZE);
	put_bytes(out, entry->op);
}

/* Writes the next item; false when there is none. */
static bool put_next(TransferOut *out)
{
	const ReplicaBatch *picture = out->picture;

	if (!out->begun) {
		put_head(out->buffer, picture);
		out->begun = true;
	} else if (out->row < picture->rows->len) {
		put_row(out->buffer, g_ptr_array_index(picture->rows, out->row++));
	} else if (out->origin < picture->origins->len) {
		put_origin(out->buffer, g_ptr_array_index(picture->origins, out->origin++));
	} else if (out->entry < picture->entries->len) {
		put_entry(out->buffer, g_ptr_array_index(picture->entries, out->entry++));
	} else {
		return false;
	}
	return true;
}

static void send_piece(Replica *r)
{
	TransferOut *out = r->out;
	WireMessage message = {.type = WIRE_PIECE,
		.view = r->view,
		.piece = {.epoch = r->epoch, .number = out->number++}};
	bool more = true;

	while (more && out->buffer->len < WIRE_PIECE_MAX)
		more = put_next(out);
	message.piece.bytes = out->buffer->data;
	message.piece.size = MIN(out->buffer->len, WIRE_PIECE_MAX);
	message.piece.final = !more && message.piece.size == out->buffer->len;
	replica_send(r, &message);
	g_byte_array_remove_range(out->buffer, 0, (guint)message.piece.size);
	out->under_way = true;
	out->finished = message.piece.final;
}

/* --- Receiving -------------------------------------------------------------------------------- */

static TransferIn *in_free(TransferIn *in)
{
	LogEntry *entry;

	if (!in)
		return NULL;

	while ((entry = g_queue_pop_head(&in->behind)))
		log_entry_free(entry);
	g_byte_array_unref(in->buffer);
	replica_batch_free(in->batch);
	image_free(in->image);
	g_free(in);
	return NULL;
}

void transfer_start_in(Replica *r)
{
	assert(!r->in);

	r->in = g_new0(TransferIn, 1);
	r->in->buffer = g_byte_array_new();
	r->in->batch = replica_batch_new();
	r->in->batch->sync = true;
	r->in->batch->replace = true;
}

void transfer_stop(Replica *r)
{
	r->out = out_free(r->out);
	r->in = in_free(r->in);
}

/* An entry that is delivered before we are level; taken. */
void transfer_queue(Replica *r, LogEntry *entry)
{
	TransferIn *in = r->in;

	g_queue_push_tail(&in->behind, entry);
	in->behind_bytes += entry->size;
	/* The others would write faster than we are told what was: begin again from what they have
	 * then. */
	if (in->behind_bytes > BEHIND_BYTES_MAX)
		view_announce(r);
}

static GBytes *get_bytes(BytesReader *reader)
{
	uint32_t size = bytes_get_u32(reader);
	const uint8_t *data = bytes_get(reader, size);

	return data ? g_bytes_new(data, size) : NULL;
}

static void get_head(TransferIn *in, BytesReader *reader)
{
	ReplicaScalars *scalars = &in->batch->scalars;
	const uint8_t *hash;

	scalars->commit = bytes_get_u64(reader);
	hash = bytes_get(reader, REPLICA_HASH_SIZE);
	scalars->version = bytes_get_u64(reader);
	in->n_rows = bytes_get_u32(reader);
	in->n_origins = bytes_get_u32(reader);
	in->n_entries = bytes_get_u32(reader);
	if (reader->failed)
		return;
	memcpy(scalars->commit_hash, hash, REPLICA_HASH_SIZE);
	in->batch->log_first = scalars->commit + 1;
	in->begun = true;
}

static void get_row(TransferIn *in, BytesReader *reader)
{
	g_autoptr(GBytes) data = NULL;
	ReplicaRow row = {0};
	uint16_t name_size;
	const uint8_t *name;

	row.inode = bytes_get_u64(reader);
	row.parent = bytes_get_u64(reader);
	row.version = bytes_get_u64(reader);
	row.writer = bytes_get_u32(reader);
	row.mtime_s = bytes_get_u32(reader);
	row.directory = bytes_get_u8(reader);
	name_size = bytes_get_u16(reader);
	name = bytes_get(reader, name_size);
	data = get_bytes(reader);
	if (reader->failed)
		return;
	row.name = g_strndup((const char *)name, name_size);
	replica_batch_add_row(in->batch, row.inode, row.parent, row.version, row.writer,
		row.mtime_s, row.directory, row.name,
		row.directory && g_bytes_get_size(data) == 0 ? NULL : data);
	g_free(row.name);
}

static void get_origin(TransferIn *in, BytesReader *reader)
{
	g_autoptr(GBytes) results = NULL;
	uint32_t node;
	uint64_t boot, seq;

	node = bytes_get_u32(reader);
	boot = bytes_get_u64(reader);
	seq = bytes_get_u64(reader);
	results = get_bytes(reader);
	if (!reader->failed)
		replica_batch_add_origin(in->batch, node, boot, seq, results);
}

static void get_entry(TransferIn *in, BytesReader *reader)
{
	g_autoptr(GBytes) op = NULL;
	ReplicaEntry entry;
	const uint8_t *hash;

	entry.index = bytes_get_u64(reader);
	entry.epoch = bytes_get_u64(reader);
	entry.boot = bytes_get_u64(reader);
	entry.seq = bytes_get_u64(reader);
	entry.origin = bytes_get_u32(reader);
	hash = bytes_get(reader, REPLICA_HASH_SIZE);
	op = get_bytes(reader);
	if (reader->failed)
		return;
	memcpy(entry.hash, hash, REPLICA_HASH_SIZE);
	entry.op = op;
	replica_batch_add_entry(in->batch, &entry);
}

static bool is_complete(const TransferIn *in)
{
	return in->begun && in->batch->rows->len == in->n_rows &&
	       in->batch->origins->len == in->n_origins && in->batch->entries->len == in->n_entries;
}

/* Reads all items that have arrived as a whole. */
static void get_items(TransferIn *in)
{
	BytesReader reader = bytes_reader(in->buffer->data, in->buffer->len);
	size_t n_read = 0;

	while (!is_complete(in)) {
		if (!in->begun)
			get_head(in, &reader);
		else if (in->batch->rows->len < in->n_rows)
			get_row(in, &reader);
		else if (in->batch->origins->len < in->n_origins)
			get_origin(in, &reader);
		else
			get_entry(in, &reader);
		if (reader.failed)
			break;
		n_read = in->buffer->len - reader.left;
	}
	g_byte_array_remove_range(in->buffer, 0, (guint)n_read);
}

/* The stream is over: makes the image, or finds that it is not the source's. */
static void finish_in(Replica *r, const Peer *source)
{
	TransferIn *in = r->in;
	g_autoptr(Image) image = NULL;

	in->broken = true;
	if (!is_complete(in) || in->buffer->len > 0)
		return;
	if (image_load(in->batch, &image, NULL) < 0)
		return;
	if (image_last(image) != source->state.last ||
		memcmp(image_last_hash(image), source->state.last_hash, REPLICA_HASH_SIZE) != 0)
		return;
	in->broken = false;
	in->image = g_steal_pointer(&image);
}

void transfer_receive_piece(Replica *r, uint32_t sender, const WireMessage *message)
{
	TransferIn *in = r->in;

	if (sender != r->source || message->piece.epoch != r->epoch)
		return;
	if (r->out && sender == r->options.node)
		r->out->under_way = false;
	if (!in || in->broken || in->image || r->state != REPLICA_STATE_CATCHING_UP)
		return;

	/* The bus loses nothing within a view; this is not a stream that we can read. */
	if (message->piece.number != in->number++) {
		in->broken = true;
		return;
	}
	g_byte_array_append(in->buffer, message->piece.bytes, (guint)message->piece.size);
	get_items(in);
	if (message->piece.final)
		finish_in(r, replica_peer(r, sender));
}

/* --- Switching -------------------------------------------------------------------------------- */

/* Hands the complete image to the disk. */
static void stage(Replica *r)
{
	TransferIn *in = r->in;

	in->batch->scalars.promised = r->promised;
	in->batch->scalars.adopted = r->epoch;
	disk_stage(r, g_steal_pointer(&in->batch), g_steal_pointer(&in->image));
}

typedef struct Difference {
	const Tree *old_tree;
	const Tree *new_tree;
	GPtrArray *changes;
} Difference;

static TreeChange *add_change(Difference *difference, const TreeNode *node)
{
	TreeChange *change = g_new0(TreeChange, 1);

	change->inode = tree_node_inode(node);
	change->parent = tree_node_parent(node);
	change->old_parent = change->parent;
	change->name = g_strdup(tree_node_name(node));
	g_ptr_array_add(difference->changes, change);
	return change;
}

static bool note_removed(const TreeNode *node, void *data)
{
	Difference *difference = data;

	if (!tree_by_inode(difference->new_tree, tree_node_inode(node)))
		add_change(difference, node)->removed = true;
	return true;
}

static bool same_data(GBytes *a, GBytes *b)
{
	return a && b ? g_bytes_equal(a, b) : a == b;
}

/* Versions alone do not tell: after the operator's word, histories may have parted. */
static bool same_entry(const TreeNode *a, const TreeNode *b)
{
	if (tree_node_version(a) != tree_node_version(b) ||
		tree_node_writer(a) != tree_node_writer(b) ||
		tree_node_mtime_s(a) != tree_node_mtime_s(b) ||
		tree_node_parent(a) != tree_node_parent(b) ||
		tree_node_is_directory(a) != tree_node_is_directory(b) ||
		!str_equal(tree_node_name(a), tree_node_name(b)))
		return false;
	return same_data(tree_node_data(a), tree_node_data(b));
}

static bool note_changed(const TreeNode *node, void *data)
{
	Difference *difference = data;
	const TreeNode *old = tree_by_inode(difference->old_tree, tree_node_inode(node));
	TreeChange *change;

	if (old && same_entry(old, node))
		return true;
	change = add_change(difference, node);
	change->created = !old;
	change->data_changed = true;
	if (!old)
		return true;
	change->old_parent = tree_node_parent(old);
	if (change->old_parent != change->parent || !str_equal(tree_node_name(old), change->name))
		change->old_name = g_strdup(tree_node_name(old));
	return true;
}

/* Puts image, which the database holds by now, in the place of ours; taken. */
void transfer_switch(Replica *r, Image *image)
{
	g_autoptr(Image) old = r->image;
	g_autoptr(GPtrArray) changes = tree_changes_new();
	Difference difference = {
		.old_tree = old->tree, .new_tree = image->tree, .changes = changes};
	LogEntry *entry;

	r->image = image;
	r->adopted = r->written_adopted;
	r->counters.transfers_in++;
	lease_begin(r);
	tree_each(old->tree, note_removed, &difference);
	tree_each(image->tree, note_changed, &difference);
	if (changes->len > 0)
		r->env.applied(r->env.data, changes, NULL);

	/* The view may be another one by now; then this is what we tell in it. */
	if (r->state != REPLICA_STATE_CATCHING_UP || r->epoch != r->adopted)
		return;
	r->counters.epochs++;
	replica_set_state(r, REPLICA_STATE_ACTIVE);
	while ((entry = g_queue_pop_head(&r->in->behind)))
		log_append(r, entry);
	r->in = in_free(r->in);
	submit_resume(r);
}

void transfer_pump(Replica *r)
{
	if (r->out && r->state == REPLICA_STATE_ACTIVE && !r->out->under_way) {
		if (r->out->finished)
			r->out = out_free(r->out);
		else
			send_piece(r);
	}
	if (r->in && r->in->image && !r->batch)
		stage(r);
}
