/* SPDX-License-Identifier: Apache-2.0 */

/* The protocol: a replicated log over virtual synchrony.
 *
 * What the bus gives (CPG, agreed delivery).  All members of a view get the same messages and changes
 * of membership in the same order, their own messages too.  Members that go together from one view to
 * the next have got the same.  Not given: that another member has got a message at all.  It may have
 * been cut off just before, in a view of its own in which it has seen less than we, or more.  So
 * nothing is acknowledged because it was delivered, only because `need` disks are known to hold it.
 *
 * Nor is it given that what we got at the end of a view is without holes.  At a change of the ring, totem
 * delivers what it has of the old one up to the first message that nobody has who goes along with us;
 * then, across such holes, what comes from those who go along; and only then the new membership.  (The
 * transitional configuration is between the two, but is not told to processes.)  So A may have m4, m6
 * of its own and no m5 of B, while B and C have m4, m5, and have acknowledged both.
 *
 * The log.  Changes are entries with an index, the epoch in which they were appended, and a hash of
 * the log up to them, by which two nodes find that their logs are one.  The tree is the result of
 * applying the committed prefix.  `promised` and `adopted` are epochs: the highest that this node has
 * promised itself to, and the last that it joined with its log level.
 *
 * Normal operation, in an open epoch.  An origin multicasts OPS.  Every member that is level appends
 * the entries as they are delivered, writes them, and says so with ACK.  An entry is committed where
 * it is known that `need` disks of the epoch hold it; there it is applied; at its origin, answered.
 *
 * Change of view.
 *
 *	1. One member announces VIEW.  Everybody who delivers it stops: the epoch that was open is over
 *	   for it, whatever of it is still under way (messages carry the id of their agreement).
 *	2. Each lets go of what may be behind a hole, and tells STATE: promised, adopted, log end, commit
 *	   index, what it knows of quorum.  Who is unsure tells again when it has heard all (R14).
 *	3. With the last STATE, all decide alike.  `need` is a majority of the configured nodes (n).  The
 *	   source is the member with the highest (adopted, last index).  The epoch is the highest
 *	   promised one, plus one.
 *	4. Each writes its promise to its disk, then multicasts PROMISE.
 *	5. With the promise that makes them `need`, the epoch opens.  Who has the source's log adopts the
 *	   epoch: number and log end are written together before its first ACK in it.  The others get
 *	   what they miss from the source (PIECE, LIST), and adopt the epoch in the batch that
 *	   switches it in.  Those who are level write meanwhile, if they are `need`.
 *
 * Invariants.
 *
 *	R1	An epoch opens once at most: `need` members have promised it on their disks, each promises
 *		only higher epochs than before, and any two sets of `need` members share one.
 *	R2	A member appends to its log only in the epoch that it has adopted, in the view that opened
 *		it, in the order of the bus.  So the logs of two members that adopted the same epoch last,
 *		and have left it, are prefixes one of the other (with R14).
 *	R3	An ACK of (epoch, index) says: my disk holds that I have adopted the epoch, and its log up
 *		to index.
 *	R4	A log is shortened or changed only by R14, behind what anybody can have counted, or by
 *		taking over what a source has sent, in an open epoch, in one transaction: the end of its
 *		log behind an index at which both logs have one hash and which is not before our commit
 *		index, or its tree with the log from there.
 *	R5	The tree, and each answer, come from entries that `need` disks hold.
 *	R6	The commit index of a process never falls: a source's log contains all that anybody has
 *		committed, and it sends the picture of a tree after it has applied the highest commit
 *		index told.  Who starts anew may begin with a lower one (R15).
 *	R7	What a member tells or acknowledges is never more than what it would be after a crash and a
 *		restart, except that STATE counts entries and adoptions that are still on the way to its
 *		disk, and a commit index of which the disk may not know.  The former serve to choose the
 *		source, never to count disks; the latter is true wherever it is known.
 *	R8	A change is applied once: an origin sends a change again only when it is ACTIVE and finds it
 *		neither applied nor in its log, which is then the epoch's; and applying skips numbers that
 *		are not above the last applied one of the same run of the origin.
 *	R9	Messages count only from members of the agreement that the receiver is in.
 *	R10	A renewal is answered with success only if, at its place in the order of an epoch, its sender
 *		was level and neither its tree nor its log had the lock taken over, and `need` voters that
 *		had adopted the epoch on their disks have delivered it.  A takeover gets into a log only in
 *		the epoch that it cites, and only if no renewal of the lock in that epoch is before it but
 *		those that it cites.
 *
 * Holes.
 *
 *	R14	Who leaves an epoch cuts its log behind `proven`, or behind its commit index if that is
 *		higher, before it tells anything, and on its disk before it promises anything.  `proven`
 *		is the end of the log with which it adopted the epoch, or the index of the last ACK of
 *		its own, as a voter, that came back to it in that epoch.
 *
 * What is cut was counted by nobody.  An ACK of it, if there was one, was either ordered in the old ring:
 * then it came back to us before the view changed, whatever else did not.  Or it was not: then it comes
 * with the id of an agreement that is over (R9).  And who counts its own disk without an ACK has moved
 * its commit index.
 *
 * What is left has no hole.  When an ACK was ordered in a ring, that ring had not changed for its
 * sender, so the sender had all up to what the ACK speaks of.  Commit indexes follow from ACKs: that of
 * a companion speaks of what we both have, or all that had been ordered before it; that of anybody
 * else is delivered to us only without a hole before it.  With `need` 1, the only voter decides alone,
 * and the ACKs of others, who are no voters, prove nothing.
 *
 * Cutting less and preferring the source with the highest `proven` would save some messages, but not
 * locks: between two equals, the one with a takeover behind a hole would win over the renewal that it
 * has missed.  What is cut is sent again by its origin (R8).
 *
 * Who has restarted, and not written before that it had left its last epoch (`settled`), does not know
 * what of its log it has acknowledged, and who has lost the bus not whether an ACK came through.  Both
 * keep all.  Such a member, if its log ends behind its commit index,
 * is unsure, says so, and speaks again when all have told: if a voter that is sure and has adopted the
 * same epoch has another entry at the end of its own log, it tells its commit index as its log end, and
 * is not the source.  Both logs are one as far as either was counted on, so that voter has all of it.
 *
 * What remains: A ends when its disk has entries behind a hole, and not yet the cut, which is the next
 * batch; every member present that holds what A has missed has ended, too, before its disk knew that the
 * epoch was over; and they meet before an epoch opens without A.  Then the longer log wins.  It takes
 * processes that end on both sides within milliseconds of one change of the ring.
 *
 * Why an acknowledged entry is never lost.  Let x be committed in epoch e: need(e) disks hold it with e
 * adopted.  Let f > e be the next epoch that opens.  need(f) members promised f; one of them, m, holds
 * x.  m told its state before it promised f, in the view of f, and had x then already: between telling
 * and promising it appends nothing, and after that nothing in e.  So m told adopted >= e; not more than
 * e, because f is the next epoch that opens; and a log end not before x, by R14, or else a voter has told
 * one that does.  The source told at least that.  By R2 it has x, and so has everybody who adopts f; for
 * the epochs behind f, the same again.
 *
 * The adopted epoch decides, not the epoch of the last entry: otherwise a member with an entry of an old
 * epoch that was stored by few could win over members that have adopted a later one, and displace what is
 * committed there (figure 8 of the Raft paper; "last normal view" of Viewstamped Replication).  The
 * promise must be on disks before the epoch opens: otherwise a member that alone saw the decision could
 * adopt a number, while the others, who forgot it or never saw it, commit in a lower or equal one, and win
 * over them later with a log that lacks what they committed.
 *
 * Blank members.  A member whose database is new, or was damaged and set aside, has forgotten what it
 * promised and acknowledged: the argument above, which finds the entry or the promise with one of
 * those who promise f, does not hold for it.  It is known by its adopted epoch, which is 0.  (Three
 * nodes: x is acknowledged by 1 and 2, 2 loses its disk, 1 is away.  2 and 3 are a majority, and
 * know nothing of x.)  So:
 *
 *	R11	An epoch opens only if more than n - majority of those who promise it remember: then any
 *		majority that acknowledged or promised before has one of them in it.  Or if all n
 *		configured nodes have told: then nobody who is away can know better.
 *
 * A blank member remembers again when it adopts an epoch g.  It holds then whatever was committed
 * before, and its promise is above all that it has forgotten and that opened.  For let it have
 * promised e, which opened, before its loss: one r that remembers promised both e and g.  r told its
 * state for e before our member could promise it, so before the loss, so before r promised g: g > e.  If
 * r itself was blank in between, the same holds for the epoch that gave r its memory, which was
 * adopted earlier: by induction, g > e.  Until then it takes part like any other in all that counts
 * acknowledgements: what it acknowledges, it has adopted.
 *
 * A new cluster is blank as a whole, and begins when all its nodes have met once.  A second node that
 * is added to a cluster of one is half of the two, and the other half remembers: n - majority is 0.
 * For the rest there is the word of the operator that an empty database has lost nothing (`trusted`).
 *
 * What a member misses.  Its entries up to its commit index are a prefix of the source's log: they are
 * committed, and the source has all that is.  What is behind may differ, and has never touched its tree.  So
 * the source, while its log reaches back to the member's end, or else to its commit index, sends entries
 * from there.  That both are one up to there is not assumed but seen, from the hash.
 *
 * Further back there is only the tree.  By the same argument (inode, version) names the content of a
 * row: versions count the changes of one history, of which the member's tree is an earlier state.  This
 * does not hold after the operator's word, below, on both sides of a cut.  Nobody can tell by then, so
 * rows are compared by a digest too:
 *
 *	R12	What a member has after a transfer is the source's state at one index of the epoch's log,
 *		whatever it had before.  A log: its hashes lead to the one that the source has told.  A
 *		tree: each row was the source's when it was compared; each that has changed since comes
 *		with the picture; its log ends where the source's began the epoch, or where what has been
 *		delivered since leads to.
 *
 * What a database holds.  A change is written once for those who wait for it: its entry.  Rows follow.
 *
 *	R15	A database holds the tree at one index, with what was applied of each origin; the log that
 *		goes on from there, or begins before; and a lower bound of what of it is committed.  Rows,
 *		origins and their index are one transaction.  An entry is deleted only when rows on the
 *		disk contain it, or together with the writing of such rows.  So whatever batches a crash
 *		leaves, in their order, are a tree and the entries that lead on from it, and applying them
 *		again gives what was shown.  What is committed and not known to be when a process starts
 *		is what it learns with the next epoch, like any entry.
 *
 * Newer formats.
 *
 *	R13	Who gets a message, an operation or rows of a newer format from a member takes part in
 *		nothing until that member is gone.  It could not append what others append, so it must
 *		not append what follows; all of its version stop at the same place of the order.
 *
 * Why two never hold one lock.  A lease of length ttl lets its holder believe from the moment when it
 * asked for the lock, or for its last renewal that succeeded.  A challenger waits for ttl from the moment
 * when it saw the last renewal or the taking, or when the epoch opened or its tree was switched,
 * whichever is last, and then sends a takeover T that cites what it has seen.  No clocks are compared.
 * Let renewal N be good in epoch e, and T commit.  T was appended first in the epoch that it cites, f.
 *
 *	f = e	All who deliver both do so in one order, and no log keeps what is behind a hole (R14): who
 *		tells T has delivered N, if N was before it, and whose N is good has T, if T was.  If T is before N, N's sender has T in its log
 *		or tree, and N is not good.  If N is before T, T cites N, or it is refused: so T's sender
 *		had seen N, which is later than when N was asked for, and has waited for ttl since.
 *	f > e	`need` voters delivered N in e; one of them promised f later; f opened later still.  T's
 *		sender waits from there.
 *	f < e	If e began with T in the log of its source, N's sender, which is level, had it too, and N
 *		is not good.  If it began without, T never commits: of the voters that confirmed N,
 *		which have adopted e on their disks, each later epoch has one; so its source has adopted
 *		e or a later one, and its log comes from that of e (R2), where T is not.  For this
 *		alone a voter confirms only after its adoption is on its disk.
 *
 * Of the taking itself, the same: who sees the lock saw its entry applied, or switched to a tree with it,
 * or began an epoch with it, all of it after it was asked for.  A takeover that is refused leaves a gap in
 * the numbers of its origin, and applying takes note of it (advance_origin()), so that an origin that was
 * cut off meanwhile does not mistake a refusal for success.
 *
 * The operator's word.  When votequorum reports quorum for fewer than a majority of the configured nodes (a
 * quorum device, `pvecm expected`), `need` is every member that is online.  R1 does not hold between such
 * an epoch and one of the nodes that were left out: the operator answers for them being down.  One of those
 * who are there must remember even so: nobody asks for an empty cluster beside a full one. */

#include "cfs/replica_internal.h"

#include <string.h>

/* --- Helpers of all parts --------------------------------------------------------------------- */

const char *replica_state_to_string(ReplicaState state)
{
	static const char *const names[REPLICA_N_STATES] = {
		[REPLICA_STATE_OUTSIDE] = "outside",
		[REPLICA_STATE_GATHERING] = "gathering",
		[REPLICA_STATE_PROMISING] = "promising",
		[REPLICA_STATE_CATCHING_UP] = "catching-up",
		[REPLICA_STATE_ACTIVE] = "active",
	};

	assert(state < REPLICA_N_STATES);

	return names[state];
}

int64_t replica_now(const Replica *r)
{
	return r->env.now_ms(r->env.data);
}

void replica_set_state(Replica *r, ReplicaState next)
{
	static const unsigned allowed[REPLICA_N_STATES] = {
		[REPLICA_STATE_OUTSIDE] =
			1U << REPLICA_STATE_OUTSIDE | 1U << REPLICA_STATE_GATHERING,
		[REPLICA_STATE_GATHERING] = 1U << REPLICA_STATE_OUTSIDE |
					    1U << REPLICA_STATE_GATHERING |
					    1U << REPLICA_STATE_PROMISING,
		[REPLICA_STATE_PROMISING] =
			1U << REPLICA_STATE_OUTSIDE | 1U << REPLICA_STATE_GATHERING |
			1U << REPLICA_STATE_CATCHING_UP | 1U << REPLICA_STATE_ACTIVE,
		[REPLICA_STATE_CATCHING_UP] = 1U << REPLICA_STATE_OUTSIDE |
					      1U << REPLICA_STATE_GATHERING |
					      1U << REPLICA_STATE_ACTIVE,
		[REPLICA_STATE_ACTIVE] =
			1U << REPLICA_STATE_OUTSIDE | 1U << REPLICA_STATE_GATHERING,
	};

	assert(allowed[r->state] & 1U << next);

	r->state = next;
	r->env.state_changed(r->env.data);
}

Peer *replica_peer(const Replica *r, uint32_t node)
{
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].node == node)
			return (Peer *)&r->peers[i];
	return NULL;
}

static int descending(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left > *right ? -1 : *left < *right;
}

/* The highest number that n of those who have come somewhere have come to; 0: they are fewer. */
uint64_t replica_nth_highest(uint64_t *numbers, unsigned n_numbers, unsigned n)
{
	assert(n > 0);

	qsort(numbers, n_numbers, sizeof(numbers[0]), descending);
	return n <= n_numbers ? numbers[n - 1] : 0;
}

/* What a member has sent is not for us to understand. */
void replica_bad_message(Replica *r, uint32_t sender, int error)
{
	r->env.bad_message(r->env.data, sender, error);
	if (error == -EPROTONOSUPPORT)
		view_go_blind(r, sender);
}

/* --- Sending ---------------------------------------------------------------------------------- */

void replica_send(Replica *r, const WireMessage *message)
{
	g_queue_push_tail(&r->outgoing, wire_encode(message));
}

static void free_bytes(void *bytes)
{
	g_bytes_unref(bytes);
}

void replica_forget_outgoing(Replica *r)
{
	g_queue_clear_full(&r->outgoing, free_bytes);
	r->resend_ms = -1;
}

static void flush_outgoing(Replica *r)
{
	GBytes *message;

	r->resend_ms = -1;
	while ((message = g_queue_peek_head(&r->outgoing))) {
		if (r->env.send(r->env.data, message) == -EAGAIN) {
			r->resend_ms = replica_now(r) + RESEND_MS;
			return;
		}
		r->counters.sent++;
		r->counters.sent_bytes += g_bytes_get_size(message);
		g_bytes_unref(g_queue_pop_head(&r->outgoing));
	}
}

/* --- Inputs ----------------------------------------------------------------------------------- */

static void receive_piece(Replica *r, uint32_t sender, const WireMessage *message)
{
	if (sender != r->source || message->piece.epoch != r->epoch)
		return;
	if (sender == r->options.node)
		source_receive_piece(r);
	if (r->state == REPLICA_STATE_CATCHING_UP)
		catchup_receive_piece(r, message);
}

static void handle_message(Replica *r, uint32_t sender, const uint8_t *bytes, size_t size)
{
	WireMessage message;
	Peer *peer;
	int result;

	if (r->state == REPLICA_STATE_OUTSIDE || r->newer)
		return;
	result = wire_decode(bytes, size, &message);
	if (result < 0) {
		replica_bad_message(r, sender, result);
		return;
	}
	if (message.type == WIRE_VIEW) {
		view_receive_announce(r, sender, &message);
		return;
	}

	peer = replica_peer(r, sender);
	if (!peer || !wire_view_equal(&message.view, &r->view))
		return;
	switch (message.type) {
	case WIRE_STATE:
		view_receive_state(r, peer, &message);
		break;
	case WIRE_PROMISE:
		view_receive_promise(r, peer, &message);
		break;
	case WIRE_OPS:
		log_receive_ops(r, peer, &message);
		break;
	case WIRE_ACK:
		log_receive_ack(r, peer, &message);
		break;
	case WIRE_PIECE:
		receive_piece(r, sender, &message);
		break;
	case WIRE_LIST:
		source_receive_list(r, peer, &message);
		break;
	case WIRE_AGAIN:
		source_receive_again(r, peer, &message);
		break;
	case WIRE_RENEW:
		lease_receive_renew(r, sender, &message);
		break;
	case WIRE_CONFIRM:
		lease_receive_confirm(r, peer, &message);
		break;
	case WIRE_VIEW:
	case WIRE_INVALID:
	case WIRE_N_TYPES:
		g_assert_not_reached();
	}
}

static void handle_event(Replica *r, Event *event)
{
	if (event->persisted) {
		disk_persisted(r, event->result);
	} else {
		gsize size;
		const uint8_t *bytes = g_bytes_get_data(event->bytes, &size);

		handle_message(r, event->sender, bytes, size);
		g_bytes_unref(event->bytes);
	}
	g_free(event);
}

/* Does all that has become possible, and what comes of it.  Commits and answers first: they are what
 * others wait for.  The disk before the bus: a batch that is started now works while messages go. */
static void replica_pump(Replica *r)
{
	Event *event;

	do {
		r->again = false;
		while ((event = g_queue_pop_head(&r->inbox)))
			handle_event(r, event);
		view_pump(r);
		log_pump(r);
		lease_pump(r);
		catchup_pump(r);
		source_pump(r);
		submit_pump(r);
		log_acknowledge(r);
		disk_pump(r);
		flush_outgoing(r);
	} while (r->again || !g_queue_is_empty(&r->inbox));
}

static void enter(Replica *r)
{
	assert(r);
	assert(!r->busy);

	r->busy = true;
}

static void leave(Replica *r)
{
	replica_pump(r);
	assert(image_last(r->image) >= r->image->commit);
	assert(r->adopted <= r->promised);
	r->busy = false;
}

void replica_view_changed(Replica *r, const uint32_t *nodes, unsigned n_nodes)
{
	assert(n_nodes <= REPLICA_NODES_MAX);

	enter(r);
	if (n_nodes > 0)
		view_enter(r, nodes, n_nodes);
	else
		view_leave(r);
	leave(r);
}

void replica_message(Replica *r, uint32_t sender, const uint8_t *bytes, size_t size)
{
	assert(r);

	if (r->busy) {
		Event *event = g_new0(Event, 1);

		event->sender = sender;
		event->bytes = g_bytes_new(bytes, size);
		g_queue_push_tail(&r->inbox, event);
		return;
	}
	enter(r);
	handle_message(r, sender, bytes, size);
	leave(r);
}

void replica_persisted(Replica *r, int result)
{
	assert(r);
	assert(result <= 0);

	if (r->busy) {
		Event *event = g_new0(Event, 1);

		event->persisted = true;
		event->result = result;
		g_queue_push_tail(&r->inbox, event);
		return;
	}
	enter(r);
	disk_persisted(r, result);
	leave(r);
}

void replica_quorum_changed(Replica *r, const ReplicaQuorum *quorum)
{
	bool majority;

	assert(quorum->n_configured <= REPLICA_NODES_MAX);

	enter(r);
	majority = quorum->n_online >= quorum->n_configured / 2 + 1;
	r->quorate = quorum->quorate && (majority || !quorum->two_node);
	r->reduced = r->quorate && !majority;
	r->n_online = quorum->n_online;
	r->n_configured = quorum->n_configured;
	memset(r->configured, 0, sizeof(r->configured));
	memcpy(r->configured, quorum->configured,
		quorum->n_configured * sizeof(quorum->configured[0]));
	r->tell = r->state == REPLICA_STATE_GATHERING && r->n_peers > 0;
	r->env.state_changed(r->env.data);
	leave(r);
}

int replica_submit(Replica *r, Op *op, void *token)
{
	bool nested = r->busy;
	int result;

	assert(op);
	assert(token);

	if (!nested)
		enter(r);
	result = submit_change(r, op, token);
	r->again = true;
	if (!nested)
		leave(r);
	return result;
}

int replica_renew(Replica *r, uint64_t lock, void *token)
{
	bool nested = r->busy;
	int result;

	assert(token);

	if (!nested)
		enter(r);
	result = lease_renew(r, lock, token);
	r->again = true;
	if (!nested)
		leave(r);
	return result;
}

void replica_flush(Replica *r)
{
	enter(r);
	r->flush = r->dirty_since_ms >= 0;
	leave(r);
}

void replica_tick(Replica *r)
{
	enter(r);
	leave(r);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int compare_inodes(const void *a, const void *b, void *data)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

int replica_new(const ReplicaOptions *options, const ReplicaEnv *env, const ReplicaBatch *image,
	Replica **ret, GError **err)
{
	g_autoptr(Image) loaded = NULL;
	Replica *r;
	int result;

	assert(options->node != 0);
	assert(options->piece_max <= WIRE_PIECE_MAX);
	assert(options->list_max <= WIRE_LIST_ROWS_MAX);
	assert(env);
	assert(image);

	result = image_load(image, &loaded, err);
	if (result < 0)
		return result;

	r = g_new0(Replica, 1);
	r->options = *options;
	if (r->options.log_entries_max == 0)
		r->options.log_entries_max = REPLICA_LOG_ENTRIES_MAX;
	if (r->options.piece_max == 0)
		r->options.piece_max = WIRE_PIECE_MAX;
	if (r->options.list_max == 0)
		r->options.list_max = WIRE_LIST_ROWS_MAX;
	r->env = *env;
	r->state = REPLICA_STATE_OUTSIDE;
	r->image = g_steal_pointer(&loaded);
	r->promised = MAX(image->scalars.promised, image->scalars.adopted);
	r->adopted = image->scalars.adopted;
	r->settled = image->scalars.settled;
	r->written = image_last(r->image);
	r->disk_cut = UINT64_MAX;
	r->taken_cut = UINT64_MAX;
	r->written_promised = r->promised;
	r->written_adopted = r->adopted;
	r->written_settled = r->settled;
	r->dirty = g_tree_new_full(compare_inodes, NULL, g_free, NULL);
	r->dirty_since_ms = -1;
	r->rows = image->scalars;
	r->resend_ms = -1;
	r->ack_since_ms = -1;
	r->stalled_since_ms = replica_now(r);
	g_queue_init(&r->inbox);
	g_queue_init(&r->outgoing);
	r->confirm_wanted_ms = -1;
	r->leases = lease_table_new();
	g_queue_init(&r->pending);
	g_queue_init(&r->renewals);
	log_replay(r, image->scalars.known);
	/* What is committed is certain. */
	r->unsure = r->settled != r->adopted && image_last(r->image) > r->image->commit;
	*ret = r;
	return 0;
}

static void event_destroy(void *data)
{
	Event *event = data;

	g_clear_pointer(&event->bytes, g_bytes_unref);
	g_free(event);
}

Replica *replica_free(Replica *r)
{
	if (!r)
		return NULL;

	assert(!r->busy);
	submit_free(r);
	lease_free(r);
	source_stop(r);
	catchup_stop(r);
	replica_forget_outgoing(r);
	g_queue_clear_full(&r->inbox, event_destroy);
	replica_batch_free(r->batch);
	staged_free(r->staged);
	image_free(r->image);
	g_tree_destroy(r->dirty);
	g_free(r);
	return NULL;
}

/* --- Queries ---------------------------------------------------------------------------------- */

const Tree *replica_tree(const Replica *r)
{
	return r->image->tree;
}

static int64_t sooner(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return MAX(a, b);
	return MIN(a, b);
}

int64_t replica_deadline_ms(const Replica *r)
{
	int64_t deadline_ms = r->resend_ms;

	deadline_ms = sooner(deadline_ms, view_deadline(r));
	deadline_ms = sooner(deadline_ms, log_deadline(r));
	deadline_ms = sooner(deadline_ms, submit_deadline(r));
	deadline_ms = sooner(deadline_ms, lease_deadline(r));
	deadline_ms = sooner(deadline_ms, source_deadline(r));
	deadline_ms = sooner(deadline_ms, catchup_deadline(r));
	return sooner(deadline_ms, disk_deadline(r));
}

static void member_status(const Replica *r, uint32_t node, ReplicaMember *ret)
{
	*ret = (ReplicaMember){.node = node, .catching_up = true};
	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		if (peer->node != node)
			continue;
		ret->acknowledged = node == r->options.node ? r->written : peer->acked;
		ret->catching_up = !peer->level;
		ret->blank = peer->told && peer->state.adopted == 0 && !peer->level;
	}
}

void replica_status(const Replica *r, ReplicaStatus *ret)
{
	bool open = r->state == REPLICA_STATE_ACTIVE || r->state == REPLICA_STATE_CATCHING_UP;

	*ret = (ReplicaStatus){
		.node = r->options.node,
		.state = r->state,
		.epoch = r->adopted,
		.last = image_last(r->image),
		.commit = r->image->commit,
		.first = r->image->log_first,
		.log_bytes = r->image->log_bytes,
		.view = r->view.counter,
		.view_node = r->view.node,
		.need = open ? r->need : 0,
		.quorate = r->quorate,
		.forgetful = r->forgetful,
		.reduced = open && r->need_reduced,
		.n_members = r->n_members,
		.newer = r->newer,
		.n_pending = r->pending.length,
		.counters = r->counters,
	};
	for (unsigned i = 0; i < r->n_members; i++)
		member_status(r, r->members[i], &ret->members[i]);
}
