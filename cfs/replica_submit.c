/* SPDX-License-Identifier: Apache-2.0 */

/* Changes of this node: they wait in one queue in the order of their numbers, travel together, and are
 * answered when their entries are applied.
 *
 * One message is under way at a time; what comes meanwhile goes with the next.  What a change of view
 * swept away is sent again when we are ACTIVE: then our log is the epoch's, so it is known which
 * changes are applied, which are in the log, and which are gone (R8). */

#include "cfs/replica_internal.h"

static Pending *pending_free(Pending *pending)
{
	g_bytes_unref(pending->bytes);
	g_free(pending);
	return NULL;
}

/* Takes a change out of the queue, and answers it. */
static void answer(Replica *r, GList *link, int result)
{
	Pending *pending = link->data;
	void *token = pending->token;

	g_queue_delete_link(&r->pending, link);
	r->pending_bytes -= g_bytes_get_size(pending->bytes);
	r->n_under_way -= pending->under_way;
	pending_free(pending);
	r->env.answer(r->env.data, token, result);
}

static GList *find_pending(Replica *r, uint64_t seq)
{
	GList *link = r->pending.head;

	while (link && ((const Pending *)link->data)->seq < seq)
		link = link->next;
	return link && ((const Pending *)link->data)->seq == seq ? link : NULL;
}

int replica_writable(const Replica *r)
{
	if (!r->quorate || r->newer || r->state == REPLICA_STATE_OUTSIDE)
		return -EROFS;
	return r->state == REPLICA_STATE_GATHERING && r->hopeless ? -EROFS : 0;
}

static int admit(const Replica *r, const Op *op)
{
	int result;

	result = replica_writable(r);
	if (result < 0)
		return result;
	result = op_check(op);
	if (result < 0)
		return result;
	result = tree_admit(r->image->tree, &r->options.limits, op);
	if (result < 0)
		return result;
	return r->pending.length < REPLICA_PENDING_MAX &&
			       r->pending_bytes < REPLICA_PENDING_BYTES_MAX
		       ? 0
		       : -EAGAIN;
}

/* Queues a change; the pump sends it. */
int submit_change(Replica *r, Op *op, void *token)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	Pending *pending;
	int result;

	result = admit(r, op);
	if (result < 0)
		return result;

	op_encode(op, bytes);
	op_free(op);
	pending = g_new0(Pending, 1);
	pending->seq = ++r->next_seq;
	pending->bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
	pending->token = token;
	pending->since_ms = replica_now(r);
	g_queue_push_tail(&r->pending, pending);
	r->pending_bytes += g_bytes_get_size(pending->bytes);
	r->counters.submitted++;
	return 0;
}

/* Our change was applied, here and now. */
void submit_applied(Replica *r, uint64_t seq, int result, GPtrArray *changes)
{
	GList *link = find_pending(r, seq);

	if (changes->len > 0)
		r->env.applied(
			r->env.data, changes, link ? ((const Pending *)link->data)->token : NULL);
	if (link)
		answer(r, link, result);
}

/* Our change was turned away when it was delivered, by all members alike. */
void submit_refused(Replica *r, uint64_t seq, int result)
{
	GList *link = find_pending(r, seq);

	if (link)
		answer(r, link, result);
}

/* Answers what was applied while we were not looking. */
static void answer_applied(Replica *r, const Origin *origin)
{
	GList *link;

	while ((link = r->pending.head)) {
		uint64_t seq = ((const Pending *)link->data)->seq;

		if (seq > origin->seq)
			return;
		answer(r, link, origin->results[seq % REPLICA_IN_FLIGHT_MAX]);
	}
}

/* We have become ACTIVE: our log is the epoch's.  Answers what has been applied without us, finds
 * what is in the log, and leaves the rest to be sent. */
void submit_resume(Replica *r)
{
	const Origin *origin =
		g_hash_table_lookup(r->image->origins, GUINT_TO_POINTER(r->options.node));
	GList *link;

	r->n_under_way = 0;
	for (link = r->pending.head; link; link = link->next)
		((Pending *)link->data)->under_way = false;

	if (origin && origin->boot == r->options.boot)
		answer_applied(r, origin);
	for (uint64_t index = r->image->commit + 1; index <= image_last(r->image); index++) {
		const ReplicaEntry *entry = &image_entry(r->image, index)->entry;

		if (entry->origin != r->options.node || entry->boot != r->options.boot)
			continue;
		link = find_pending(r, entry->seq);
		if (!link)
			continue;
		((Pending *)link->data)->under_way = true;
		r->n_under_way++;
	}
}

/* We are ACTIVE no more, or the view turned out to be unable to write. */
void submit_stall(Replica *r)
{
	r->ops_under_way = false;
	r->stalled_since_ms = replica_now(r);
}

/* --- Sending ---------------------------------------------------------------------------------- */

/* Sends the change at link, and with it of those behind it what a message takes.  Among these some may
 * be in the log already: after a change of view they are behind one that was refused there. */
static void send_ops(Replica *r, GList *link)
{
	WireMessage message = {.type = WIRE_OPS,
		.view = r->view,
		.ops = {.epoch = r->epoch, .boot = r->options.boot}};
	size_t n_bytes = 0;

	for (; link && r->n_under_way < REPLICA_IN_FLIGHT_MAX; link = link->next) {
		Pending *pending = link->data;
		gsize size;
		const uint8_t *bytes = g_bytes_get_data(pending->bytes, &size);

		if (pending->under_way)
			continue;
		if (message.ops.n_ops > 0 && n_bytes + size > OPS_BYTES_MAX)
			break;
		message.ops.ops[message.ops.n_ops++] =
			(WireOp){.seq = pending->seq, .bytes = bytes, .size = size};
		n_bytes += size;
		pending->under_way = true;
		pending->sent = true;
		r->n_under_way++;
	}
	assert(message.ops.n_ops > 0);

	r->ops_under_way = true;
	log_ride(r, &message);
	replica_send(r, &message);
}

/* When a change has waited long enough for a view that writes. */
static int64_t give_up_ms(const Replica *r, const Pending *pending)
{
	return MAX(r->stalled_since_ms, pending->since_ms) + REPLICA_WAIT_MS;
}

/* Answers what has no hope: at once what was never sent when there is no quorum, the rest when its
 * time is over. */
static void give_up(Replica *r)
{
	bool hopeless = replica_writable(r) < 0;
	int64_t now_ms = replica_now(r);
	GList *next;

	for (GList *link = r->pending.head; link; link = next) {
		const Pending *pending = link->data;

		next = link->next;
		if (!pending->sent && hopeless)
			answer(r, link, -EROFS);
		else if (now_ms >= give_up_ms(r, pending))
			answer(r, link, pending->sent ? -EIO : -EROFS);
	}
}

void submit_pump(Replica *r)
{
	GList *link = r->pending.head;

	if (!link)
		return;
	if (r->state != REPLICA_STATE_ACTIVE) {
		give_up(r);
		return;
	}
	if (r->ops_under_way || r->n_under_way >= REPLICA_IN_FLIGHT_MAX)
		return;
	/* A message and a batch of the disk cost the same for one change and for many.  So who comes
	 * waits until there are as many as are under way, or these are done: of many writers, half
	 * wait for the disk while the other half come together. */
	if (r->pending.length < 2 * r->n_under_way)
		return;
	while (link && ((const Pending *)link->data)->under_way)
		link = link->next;
	if (link)
		send_ops(r, link);
}

int64_t submit_deadline(const Replica *r)
{
	const GList *head = r->pending.head;

	if (!head || r->state == REPLICA_STATE_ACTIVE)
		return -1;
	return give_up_ms(r, head->data);
}

void submit_free(Replica *r)
{
	Pending *pending;

	while ((pending = g_queue_pop_head(&r->pending)))
		pending_free(pending);
}
