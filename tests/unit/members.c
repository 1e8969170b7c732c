/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/members.h"

#include "base/macro.h"

typedef struct Held {
	const Member *from;
	GBytes *message;
} Held;

void members_init(Members *members, const MembersKind *kind)
{
	*members = (Members){.kind = kind};
	g_queue_init(&members->held);
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		members->each[i].members = members;
		members->each[i].node = i + 1;
	}
}

static void deliver(Members *members, const Member *from, GBytes *message)
{
	size_t size;
	const uint8_t *bytes = g_bytes_get_data(message, &size);

	assert_int_equal(beside_type(bytes, size), members->kind->type);
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		Member *to = &members->each[i];

		if (to->module && to->side == from->side)
			assert_int_equal(
				members->kind->message(to->module, from->node, bytes, size), 0);
	}
}

int members_send(void *data, GBytes *message)
{
	const Member *from = data;
	Members *members = from->members;
	Held *held;

	if (from->refuses < 0)
		return from->refuses;
	members->n_sent++;
	if (members->changing) {
		held = g_new0(Held, 1);
		held->from = from;
		held->message = g_bytes_ref(message);
		g_queue_push_tail(&members->held, held);
	} else {
		deliver(members, from, message);
	}
	return 0;
}

void members_show_view(Members *members)
{
	Held *held;

	members->changing = true;
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		const Member *self = &members->each[i];
		uint32_t nodes[N_MEMBERS];
		unsigned n = 0;

		for (unsigned j = 0; j < N_MEMBERS; j++)
			if (members->each[j].module && members->each[j].side == self->side)
				nodes[n++] = members->each[j].node;
		if (self->module)
			members->kind->view_changed(self->module, nodes, n);
	}
	members->changing = false;
	while ((held = g_queue_pop_head(&members->held))) {
		deliver(members, held->from, held->message);
		g_bytes_unref(held->message);
		g_free(held);
	}
}
