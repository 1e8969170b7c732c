/* SPDX-License-Identifier: Apache-2.0 */

/* Agreement in a view: one announces, all tell, all decide alike, `need` promise, the epoch opens.
 *
 * Every step is a message in the bus's order, so all who stay together take it at the same place in
 * the stream.  Who does not stay has another view, and its messages are not for us. */

#include "cfs/replica_internal.h"

#include <string.h>

/* --- Beginning -------------------------------------------------------------------------------- */

/* Forgets the agreement; what was under way on the bus is not for the next one. */
static void reset(Replica *r)
{
	if (r->state == REPLICA_STATE_ACTIVE || r->state == REPLICA_STATE_OUTSIDE)
		submit_stall(r);
	r->ops_under_way = false;
	source_stop(r);
	catchup_stop(r);
	disk_abandon(r);
	replica_forget_outgoing(r);
	memset(&r->view, 0, sizeof(r->view));
	memset(r->peers, 0, sizeof(r->peers));
	r->n_peers = 0;
	r->announcing = false;
	r->left_out = false;
	r->told_last = false;
	r->tell = false;
	r->hopeless = false;
	r->forgetful = false;
	r->epoch = 0;
	r->source = 0;
	r->need = 0;
	r->need_memory = 0;
	r->need_reduced = false;
	r->promise_sent = false;
	r->acked = 0;
	r->acked_any = false;
	r->ack_under_way = false;
	r->ack_wanted = 0;
	r->own_last = 0;
	r->ack_since_ms = -1;
	r->known = 0;
	r->known_ms = 0;
	lease_reset(r);
	r->gathering_since_ms = replica_now(r);
}

/* The bus is gone, and with it perhaps an acknowledgement of ours that others have got. */
void view_leave(Replica *r)
{
	if (r->state == REPLICA_STATE_ACTIVE)
		r->unsure = image_last(r->image) > r->image->commit;
	reset(r);
	r->n_members = 0;
	r->newer = 0;
	replica_set_state(r, REPLICA_STATE_OUTSIDE);
}

static bool is_member(const Replica *r, uint32_t node)
{
	for (unsigned i = 0; i < r->n_members; i++)
		if (r->members[i] == node)
			return true;
	return false;
}

void view_enter(Replica *r, const uint32_t *nodes, unsigned n_nodes)
{
	assert(n_nodes > 0 && n_nodes <= REPLICA_NODES_MAX);

	log_leave(r);
	reset(r);
	memcpy(r->members, nodes, n_nodes * sizeof(nodes[0]));
	r->n_members = n_nodes;
	if (!is_member(r, r->newer))
		r->newer = 0;
	replica_set_state(r, REPLICA_STATE_GATHERING);
	if (nodes[0] == r->options.node && !r->newer)
		view_announce(r);
}

/* A member has sent what only a newer version of this program understands.  Whatever it was, we would
 * go on without: so we take part in nothing until that member is gone (R13).  All who are of our
 * version do so at this place in the order of the bus. */
void view_go_blind(Replica *r, uint32_t node)
{
	if (!is_member(r, node))
		return;
	log_leave(r);
	reset(r);
	r->newer = node;
	replica_set_state(r, REPLICA_STATE_GATHERING);
}

/* Begins an agreement of those members that want accepts. */
static void announce_to(Replica *r, bool (*want)(const Replica *r, uint32_t node))
{
	WireMessage message = {
		.type = WIRE_VIEW, .view = {.node = r->options.node, .boot = r->options.boot}};

	if (r->announcing)
		return;
	message.view.counter = ++r->n_announced;
	message.announce.n_members = r->n_members;
	memcpy(message.announce.members, r->members, sizeof(r->members));
	for (unsigned i = 0; i < r->n_members; i++)
		if (want(r, r->members[i]))
			message.announce.nodes[message.announce.n_nodes++] = r->members[i];
	r->announcing = true;
	replica_send(r, &message);
}

void view_announce(Replica *r)
{
	announce_to(r, is_member);
}

static bool has_told(const Replica *r, uint32_t node)
{
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].node == node)
			return r->peers[i].told;
	return false;
}

static bool takes_part(const Replica *r, const WireMessage *message, uint32_t node)
{
	for (uint32_t i = 0; i < message->announce.n_nodes; i++)
		if (message->announce.nodes[i] == node)
			return true;
	return false;
}

/* An announcement that was sent before the membership changed is delivered after it, but is not
 * about it: who has come since would be left out. */
static bool announcement_fits(const Replica *r, uint32_t sender, const WireMessage *message)
{
	if (message->view.node != sender || !takes_part(r, message, sender))
		return false;
	if (message->announce.n_members != r->n_members ||
		memcmp(message->announce.members, r->members,
			r->n_members * sizeof(r->members[0])) != 0)
		return false;
	for (uint32_t i = 0; i < message->announce.n_nodes; i++)
		if (!is_member(r, message->announce.nodes[i]))
			return false;
	return true;
}

void view_receive_announce(Replica *r, uint32_t sender, const WireMessage *message)
{
	if (!announcement_fits(r, sender, message))
		return;

	log_leave(r);
	reset(r);
	replica_set_state(r, REPLICA_STATE_GATHERING);
	if (!takes_part(r, message, r->options.node)) {
		/* The others could not wait for us; view_pump() asks to be let in again. */
		r->left_out = true;
		return;
	}
	r->view = message->view;
	r->n_peers = message->announce.n_nodes;
	for (unsigned i = 0; i < r->n_peers; i++)
		r->peers[i].node = message->announce.nodes[i];
	r->tell = true;
}

/* --- Telling ---------------------------------------------------------------------------------- */

/* Marks the voters: members that any member believes to be configured.  Returns the size of the
 * union of all beliefs. */
static unsigned mark_voters(Replica *r)
{
	uint32_t all[REPLICA_NODES_MAX * REPLICA_NODES_MAX];
	unsigned n_all = 0;

	for (unsigned i = 0; i < r->n_peers; i++) {
		const WireState *state = &r->peers[i].state;

		for (uint32_t j = 0; r->peers[i].told && j < state->n_configured; j++) {
			unsigned at = 0;

			while (at < n_all && all[at] != state->configured[j])
				at++;
			if (at == n_all)
				all[n_all++] = state->configured[j];
		}
	}
	for (unsigned i = 0; i < r->n_peers; i++) {
		r->peers[i].voter = false;
		for (unsigned j = 0; j < n_all; j++)
			r->peers[i].voter |= all[j] == r->peers[i].node;
	}
	return n_all;
}

static bool all_told(const Replica *r)
{
	for (unsigned i = 0; i < r->n_peers; i++)
		if (!r->peers[i].told)
			return false;
	return r->n_peers > 0;
}

/* Whether all have told, and nobody has another word to say. */
static bool all_are_sure(const Replica *r)
{
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].state.unsure)
			return false;
	return all_told(r);
}

/* Whether a voter knows better than we, who are unsure, what our log of this epoch should be.  Then the
 * source is one who has at least what that voter has. */
static bool is_refuted(Replica *r)
{
	const Image *image = r->image;

	(void)mark_voters(r);
	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];
		const WireState *state = &peer->state;

		if (!peer->voter || peer->unsure || state->adopted != r->adopted ||
			state->last <= image->commit || state->last > image_last(image))
			continue;
		if (memcmp(image_entry(image, state->last)->entry.hash, state->last_hash,
			    REPLICA_HASH_SIZE) != 0)
			return true;
	}
	return false;
}

static void send_state(Replica *r)
{
	WireMessage message = {.type = WIRE_STATE, .view = r->view};
	WireState *state = &message.state;
	bool refuted = r->unsure && all_told(r) && is_refuted(r);

	state->promised = r->promised;
	state->adopted = r->adopted;
	state->last = refuted ? r->image->commit : image_last(r->image);
	state->commit = r->image->commit;
	memcpy(state->last_hash, refuted ? r->image->commit_hash : image_last_hash(r->image),
		REPLICA_HASH_SIZE);
	memcpy(state->commit_hash, r->image->commit_hash, REPLICA_HASH_SIZE);
	state->quorate = r->quorate;
	state->reduced = r->reduced;
	state->trusted = r->options.trusted;
	state->unsure = r->unsure && !all_told(r);
	state->n_online = r->n_online;
	state->n_configured = r->n_configured;
	memcpy(state->configured, r->configured, sizeof(state->configured));
	r->told_last = !state->unsure;
	r->tell = false;
	replica_send(r, &message);
}

/* Whether what a state says of quorum is what corosync says to us, as far as it has a say: how many
 * are online only counts when they are fewer than a majority. */
static bool says_our_quorum(const Replica *r, const WireState *state)
{
	return state->quorate == r->quorate && state->reduced == r->reduced &&
	       (!state->reduced || state->n_online == r->n_online) &&
	       state->n_configured == r->n_configured &&
	       memcmp(state->configured, r->configured,
		       r->n_configured * sizeof(r->configured[0])) == 0;
}

/* --- Deciding --------------------------------------------------------------------------------- */

/* Whether a member can vouch for what it has promised and acknowledged before. */
static bool remembers(const Peer *peer)
{
	return peer->state.adopted > 0 || peer->state.trusted;
}

/* What those who have told amount to, as far as they vote. */
typedef struct Count {
	unsigned told;
	unsigned quorate;
	unsigned remember;
	unsigned alone; /* Have heard the operator's word, and miss nobody who is online. */
} Count;

static Count count_voters(const Replica *r)
{
	Count count = {0};

	for (unsigned i = 0; i < r->n_peers; i++)
		count.told += r->peers[i].voter && r->peers[i].told;
	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		if (!peer->voter || !peer->told)
			continue;
		count.quorate += peer->state.quorate;
		count.remember += remembers(peer);
		count.alone += peer->state.quorate && peer->state.reduced &&
			       peer->state.n_online == count.told;
	}
	return count;
}

typedef struct Need {
	unsigned disks;  /* That an entry needs; 0: no epoch can be formed … */
	bool forgetful;  /* … because too many are blank. */
	bool reduced;    /* On the operator's word. */
	unsigned memory; /* Promises of members that remember. */
} Need;

/* What an epoch needs if those who have told form it. */
static Need find_need(Replica *r)
{
	unsigned n_configured = mark_voters(r);
	unsigned majority = n_configured / 2 + 1;
	Count count = count_voters(r);
	Need need = {.reduced = count.told < majority};
	bool enough;

	/* Fewer than a majority: only on the operator's word, only if all of them have heard it, and
	 * only if nobody is missing who is online. */
	if (need.reduced) {
		enough = count.told > 0 && count.alone == count.told;
		need.memory = 1;
	} else {
		enough = count.quorate >= majority;
		need.memory = count.told == n_configured ? 0 : n_configured - majority + 1;
	}
	need.forgetful = enough && count.remember < need.memory;
	if (enough && !need.forgetful)
		need.disks = need.reduced ? count.told : majority;
	return need;
}

static bool is_better(const Peer *a, const Peer *b)
{
	if (a->state.adopted != b->state.adopted)
		return a->state.adopted > b->state.adopted;
	return a->state.last > b->state.last;
}

/* What the told states amount to. */
typedef struct Decision {
	Need need;
	uint64_t epoch;
	uint64_t commit;
	const Peer *source;
} Decision;

/* The same on all members: it depends on nothing but the states that were told. */
static bool decide(Replica *r, Decision *ret)
{
	*ret = (Decision){0};
	ret->need = find_need(r);
	if (ret->need.disks == 0)
		return false;

	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *peer = &r->peers[i];

		assert(peer->told);
		ret->epoch = MAX(ret->epoch, peer->state.promised + 1);
		if (!peer->voter)
			continue;
		ret->commit = MAX(ret->commit, peer->state.commit);
		/* Ties go to the lowest node: peers are ascending. */
		if (!ret->source || is_better(peer, ret->source))
			ret->source = peer;
	}
	return true;
}

static void mark_level(Replica *r, const Peer *source)
{
	for (unsigned i = 0; i < r->n_peers; i++) {
		Peer *peer = &r->peers[i];

		peer->level = peer->state.last == source->state.last &&
			      memcmp(peer->state.last_hash, source->state.last_hash,
				      REPLICA_HASH_SIZE) == 0;
	}
}

void view_receive_state(Replica *r, Peer *peer, const WireMessage *message)
{
	Decision decision;

	if (r->state != REPLICA_STATE_GATHERING)
		return;
	peer->told = true;
	peer->state = message->state;
	peer->unsure |= peer->state.unsure;
	r->tell |= all_told(r) && !r->told_last;
	if (!all_are_sure(r))
		return;
	r->hopeless = !decide(r, &decision);
	if (r->hopeless) {
		r->forgetful = decision.need.forgetful;
		r->env.state_changed(r->env.data);
		return;
	}

	r->need = decision.need.disks;
	r->need_memory = decision.need.memory;
	r->need_reduced = decision.need.reduced;
	r->epoch = decision.epoch;
	r->source = decision.source->node;
	r->commit_told = MIN(decision.commit, decision.source->state.last);
	mark_level(r, decision.source);
	assert(r->epoch > r->promised);
	r->promised = r->epoch;
	replica_set_state(r, REPLICA_STATE_PROMISING);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void open_epoch(Replica *r)
{
	lease_begin(r);
	if (!replica_peer(r, r->options.node)->level) {
		replica_set_state(r, REPLICA_STATE_CATCHING_UP);
		catchup_start(r);
		return;
	}

	log_cut(r, replica_peer(r, r->source)->state.last);
	r->adopted = r->epoch;
	r->proven = image_last(r->image);
	r->unsure = false;
	r->counters.epochs++;
	replica_set_state(r, REPLICA_STATE_ACTIVE);
	log_commit(r, r->commit_told);
	submit_resume(r);
	if (r->source == r->options.node)
		source_start(r);
}

void view_receive_promise(Replica *r, Peer *peer, const WireMessage *message)
{
	unsigned n_promised = 0, n_remember = 0;

	if (r->state != REPLICA_STATE_PROMISING || message->promise.epoch != r->epoch)
		return;
	peer->promised = true;
	for (unsigned i = 0; i < r->n_peers; i++) {
		const Peer *from = &r->peers[i];

		if (!from->voter || !from->promised)
			continue;
		n_promised++;
		n_remember += remembers(from);
	}
	if (n_promised >= r->need && n_remember >= r->need_memory)
		open_epoch(r);
}

/* --- Pump ------------------------------------------------------------------------------------- */

static unsigned own_rank(const Replica *r)
{
	unsigned rank = 0;

	while (rank < r->n_members && r->members[rank] != r->options.node)
		rank++;
	return rank;
}

/* Whether we are the lowest member that has told. */
static bool is_first_told(const Replica *r)
{
	for (unsigned i = 0; i < r->n_peers; i++)
		if (r->peers[i].told)
			return r->peers[i].node == r->options.node;
	return false;
}

/* Nobody has announced, or somebody does not tell. */
static void gather_again(Replica *r)
{
	int64_t waited_ms = replica_now(r) - r->gathering_since_ms;
	Need need;

	if (r->n_peers == 0) {
		if (r->left_out || waited_ms >= (int64_t)own_rank(r) * ANNOUNCE_MS)
			view_announce(r);
		return;
	}
	if (waited_ms < TELL_MS || all_are_sure(r) || !is_first_told(r))
		return;
	/* Fewer can at most do what a majority can: the operator's word is for whole views. */
	need = find_need(r);
	if (need.disks > 0 && !need.reduced)
		announce_to(r, has_told);
}

static void send_promise(Replica *r)
{
	WireMessage message = {
		.type = WIRE_PROMISE, .view = r->view, .promise = {.epoch = r->epoch}};

	r->promise_sent = true;
	replica_send(r, &message);
}

void view_pump(Replica *r)
{
	const Peer *self;

	if (r->state == REPLICA_STATE_OUTSIDE || r->announcing || r->newer)
		return;
	if (r->state == REPLICA_STATE_GATHERING) {
		/* While a batch replaces our state it is not known what we have. */
		if (r->tell && !disk_replacing(r))
			send_state(r);
		if (!disk_replacing(r))
			gather_again(r);
		return;
	}

	self = replica_peer(r, r->options.node);
	if (!says_our_quorum(r, &self->state)) {
		view_announce(r);
		return;
	}
	if (!r->promise_sent && r->written_promised >= r->epoch)
		send_promise(r);
}

int64_t view_deadline(const Replica *r)
{
	if (r->state != REPLICA_STATE_GATHERING || r->announcing || r->newer || disk_replacing(r))
		return -1;
	if (r->n_peers == 0)
		return r->gathering_since_ms + (int64_t)own_rank(r) * ANNOUNCE_MS;
	return all_are_sure(r) || !is_first_told(r) ? -1 : r->gathering_since_ms + TELL_MS;
}
