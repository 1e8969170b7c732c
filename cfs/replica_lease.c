/* SPDX-License-Identifier: Apache-2.0 */

/* Leases of locks: renewals, which are messages and no entries, and the judgement of takeovers.
 *
 * Renewals come every second from every node; in the log they would never let a disk rest.  So they
 * are counted in memory, by all members of the agreement alike, from the opening of the epoch: how
 * many there were, and how many of each lock.  A member that has adopted the epoch on its disk says
 * with CONFIRM how many it has seen; its node may believe in a renewal of its own when `need` voters
 * have seen it (R10 in replica.c).
 *
 * A takeover cites the epoch and how often the lock had been renewed in it.  It is judged when it is
 * delivered: if its citation does not hold, it is not appended, by any member.  Nothing else goes into
 * the judgement, so that members whose tree is still on the way to them judge alike.
 *
 * Who confirms: as with acknowledgements, those who speak first, and the others only when these take
 * long; each at once after a pause, but then no more than once in CONFIRM_GAP_MS. */

#include "cfs/replica_internal.h"

/* What is known of a lock in this epoch. */
typedef struct Seen {
	uint64_t token;
	uint64_t renewals; /* In the order of the bus: the same on all members. */
	int64_t at_ms;     /* Here: when it was renewed or made. */
} Seen;

/* A renewal that somebody on this node waits for. */
typedef struct Renewal {
	uint64_t token;
	void *change_token;
	int64_t since_ms;
	bool sent;       /* In this epoch. */
	uint64_t number; /* How many renewals there were with it; 0: not delivered yet. */
} Renewal;

/* --- What is known of each lock --------------------------------------------------------------- */

GHashTable *lease_table_new(void)
{
	return g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
}

static Seen *seen(Replica *r, uint64_t token)
{
	Seen *seen = g_hash_table_lookup(r->leases, &token);

	if (!seen) {
		seen = g_new0(Seen, 1);
		seen->token = token;
		g_hash_table_insert(r->leases, &seen->token, seen);
	}
	return seen;
}

static uint64_t n_renewals(const Replica *r, uint64_t token)
{
	const Seen *seen = g_hash_table_lookup(r->leases, &token);

	return seen ? seen->renewals : 0;
}

static bool is_lock(const Replica *r, uint64_t token)
{
	const TreeNode *node = tree_by_inode(r->image->tree, token);
	TreeLease lease;

	return node && tree_node_lease(node, &lease);
}

bool replica_lease(const Replica *r, uint64_t token, ReplicaLease *ret)
{
	const Seen *seen;

	assert(ret);

	if (r->state != REPLICA_STATE_ACTIVE || !is_lock(r, token))
		return false;
	seen = g_hash_table_lookup(r->leases, &token);
	ret->since_ms = seen ? MAX(seen->at_ms, r->leases_since_ms) : r->leases_since_ms;
	ret->epoch = r->epoch;
	ret->renewals = seen ? seen->renewals : 0;
	return true;
}

void lease_applied(Replica *r, const GPtrArray *changes)
{
	for (guint i = 0; i < changes->len; i++) {
		const TreeChange *change = g_ptr_array_index(changes, i);

		if (change->created && is_lock(r, change->inode))
			seen(r, change->inode)->at_ms = replica_now(r);
		/* What was renewed is kept: the others may not have come so far in the log, and must
		 * judge as we do. */
		else if (change->removed && n_renewals(r, change->inode) == 0)
			g_hash_table_remove(r->leases, &change->inode);
	}
}

/* --- Epochs ----------------------------------------------------------------------------------- */

void lease_reset(Replica *r)
{
	g_hash_table_remove_all(r->leases);
	r->n_renewed = 0;
	r->renewals_seen = 0;
	r->renewals_foreign = 0;
	r->confirmed = 0;
	r->confirm_under_way = false;
	r->confirm_wanted_ms = -1;
	r->renew_under_way = false;
	for (GList *link = r->renewals.head; link; link = link->next) {
		Renewal *renewal = link->data;

		renewal->sent = false;
		renewal->number = 0;
	}
}

/* All locks count as renewed just now: when the epoch opens, and when the tree is another one. */
void lease_begin(Replica *r)
{
	r->leases_since_ms = replica_now(r);
}

/* --- Judging ---------------------------------------------------------------------------------- */

bool lease_judge(const Replica *r, const Op *op)
{
	const OpTakeover *takeover = &op->takeover;

	if (takeover->token == 0)
		return true;
	return takeover->epoch == r->epoch && takeover->renewals == n_renewals(r, takeover->token);
}

/* Whether the log behind the tree takes a lock over: in this epoch, or in an earlier one that has left
 * the entry to us without a decision. */
static bool is_taken_over(const Replica *r, uint64_t token)
{
	for (uint64_t index = r->image->commit + 1; index <= image_last(r->image); index++)
		if (image_entry(r->image, index)->op->takeover.token == token)
			return true;
	return false;
}

/* --- Receiving -------------------------------------------------------------------------------- */

static void answer(Replica *r, GList *link, int result)
{
	Renewal *renewal = link->data;
	void *change_token = renewal->change_token;

	g_queue_delete_link(&r->renewals, link);
	g_free(renewal);
	r->env.answer(r->env.data, change_token, result);
}

/* Our renewal of a token has got its place in the order. */
static void receive_own(Replica *r, uint64_t token)
{
	GList *next;

	for (GList *link = r->renewals.head; link; link = next) {
		Renewal *renewal = link->data;

		next = link->next;
		if (!renewal->sent || renewal->number != 0 || renewal->token != token)
			continue;
		renewal->number = r->renewals_seen;
		if (!is_lock(r, token) || is_taken_over(r, token))
			answer(r, link, -ESTALE);
	}
}

static bool is_open(const Replica *r)
{
	return r->state == REPLICA_STATE_ACTIVE || r->state == REPLICA_STATE_CATCHING_UP;
}

void lease_receive_renew(Replica *r, uint32_t sender, const WireMessage *message)
{
	bool own = sender == r->options.node;

	if (!is_open(r) || message->renew.epoch != r->epoch)
		return;
	if (own)
		r->renew_under_way = false;

	for (uint32_t i = 0; i < message->renew.n_tokens; i++) {
		Seen *lock = seen(r, message->renew.tokens[i]);

		r->n_renewed += lock->renewals == 0;
		lock->renewals++;
		lock->at_ms = replica_now(r);
		r->renewals_seen++;
		if (own && r->state == REPLICA_STATE_ACTIVE)
			receive_own(r, lock->token);
	}
	if (!own)
		r->renewals_foreign = r->renewals_seen;
}

void lease_receive_confirm(Replica *r, Peer *peer, const WireMessage *message)
{
	if (!is_open(r) || message->confirm.epoch != r->epoch)
		return;
	if (peer->node == r->options.node)
		r->confirm_under_way = false;
	peer->confirmed = MAX(peer->confirmed, message->confirm.renewals);
}

/* --- Confirming ------------------------------------------------------------------------------- */

/* How many renewals a voter is known to have seen. */
static uint64_t confirmed_by(const Replica *r, const Peer *peer)
{
	if (peer->node != r->options.node)
		return peer->confirmed;
	return r->written_adopted == r->epoch ? r->renewals_seen : 0;
}

/* Whether `need` voters but us have confirmed so many renewals. */
static bool others_suffice(const Replica *r, uint64_t renewals)
{
	unsigned n_others = 0;

	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		n_others +=
			peer->voter && peer->node != r->options.node && peer->confirmed >= renewals;
	}
	return n_others >= r->need;
}

/* Whether others have sent renewals of which we have not spoken, and may. */
static bool has_news(const Replica *r)
{
	return r->state == REPLICA_STATE_ACTIVE && r->n_peers > 1 &&
	       r->written_adopted == r->epoch && r->renewals_foreign > r->confirmed &&
	       !r->confirm_under_way;
}

static int64_t confirm_due(const Replica *r)
{
	if (!log_speaks_first(r, 0))
		return r->confirm_wanted_ms + CONFIRM_PATIENCE_MS;
	return MAX(r->confirm_wanted_ms, r->confirmed_ms + CONFIRM_GAP_MS);
}

/* Finds out whether somebody may wait for our word, and since when. */
static bool confirm_wanted(Replica *r)
{
	bool wanted = r->confirm_wanted_ms >= 0;

	if (!has_news(r) || (wanted && others_suffice(r, r->confirm_wanted)))
		wanted = false;
	if (!wanted && has_news(r) && !others_suffice(r, r->renewals_foreign)) {
		wanted = true;
		r->confirm_wanted = r->renewals_foreign;
		r->confirm_wanted_ms = replica_now(r);
	}
	if (!wanted)
		r->confirm_wanted_ms = -1;
	return wanted;
}

static void pump_confirm(Replica *r)
{
	WireMessage message = {.type = WIRE_CONFIRM, .view = r->view};
	int64_t now_ms = replica_now(r);

	if (!confirm_wanted(r) || now_ms < confirm_due(r))
		return;

	message.confirm.epoch = r->epoch;
	message.confirm.renewals = r->renewals_seen;
	replica_send(r, &message);
	r->confirmed = r->renewals_seen;
	r->confirmed_ms = now_ms;
	r->confirm_under_way = true;
	r->confirm_wanted_ms = -1;
}

/* How many renewals `need` voters have seen. */
static uint64_t n_good(const Replica *r)
{
	uint64_t confirmed[REPLICA_NODES_MAX];
	unsigned n_voters = 0;

	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].voter)
			confirmed[n_voters++] = confirmed_by(r, &r->peers[i]);
	assert(r->need <= n_voters);

	return replica_nth_highest(confirmed, n_voters, r->need);
}

static void pump_good(Replica *r)
{
	uint64_t good = n_good(r);
	GList *next;

	for (GList *link = r->renewals.head; link; link = next) {
		const Renewal *renewal = link->data;

		next = link->next;
		if (renewal->number != 0 && renewal->number <= good)
			answer(r, link, is_lock(r, renewal->token) ? 0 : -ESTALE);
	}
}

/* --- Renewing --------------------------------------------------------------------------------- */

int lease_renew(Replica *r, uint64_t token, void *change_token)
{
	Renewal *renewal;
	int result;

	result = replica_writable(r);
	if (result < 0)
		return result;
	if (!is_lock(r, token))
		return -ESTALE;
	if (r->renewals.length >= REPLICA_PENDING_MAX)
		return -EAGAIN;

	renewal = g_new0(Renewal, 1);
	renewal->token = token;
	renewal->change_token = change_token;
	renewal->since_ms = replica_now(r);
	g_queue_push_tail(&r->renewals, renewal);
	return 0;
}

static void send_renew(Replica *r)
{
	WireMessage message = {.type = WIRE_RENEW, .view = r->view, .renew = {.epoch = r->epoch}};

	for (GList *link = r->renewals.head; link; link = link->next) {
		Renewal *renewal = link->data;

		if (renewal->sent || message.renew.n_tokens == WIRE_RENEW_MAX)
			continue;
		message.renew.tokens[message.renew.n_tokens++] = renewal->token;
		renewal->sent = true;
	}
	if (message.renew.n_tokens == 0)
		return;
	replica_send(r, &message);
	r->renew_under_way = true;
}

/* What waits too long fails; without quorum at once.  Nothing is lost: a renewal that comes to light
 * later only makes others wait longer. */
static void give_up(Replica *r)
{
	bool hopeless = replica_writable(r) < 0;
	int64_t now_ms = replica_now(r);
	GList *next;

	for (GList *link = r->renewals.head; link; link = next) {
		const Renewal *renewal = link->data;

		next = link->next;
		if (hopeless)
			answer(r, link, -EROFS);
		else if (now_ms >= renewal->since_ms + REPLICA_WAIT_MS)
			answer(r, link, -EIO);
	}
}

void lease_pump(Replica *r)
{
	give_up(r);
	if (r->state != REPLICA_STATE_ACTIVE)
		return;

	pump_good(r);
	pump_confirm(r);
	if (!r->renew_under_way)
		send_renew(r);
	/* A new epoch forgets all counts, on all members. */
	if (r->n_renewed > RENEWED_MAX && r->source == r->options.node)
		view_announce(r);
}

int64_t lease_deadline(const Replica *r)
{
	const Renewal *oldest = g_queue_peek_head((GQueue *)&r->renewals);
	int64_t deadline_ms = oldest ? oldest->since_ms + REPLICA_WAIT_MS : -1;

	if (r->confirm_wanted_ms >= 0)
		deadline_ms = deadline_ms < 0 ? confirm_due(r) : MIN(deadline_ms, confirm_due(r));
	return deadline_ms;
}

void lease_free(Replica *r)
{
	g_queue_clear_full(&r->renewals, g_free);
	g_hash_table_destroy(r->leases);
}
