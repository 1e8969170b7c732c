/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/pieces.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

#define LARGE (2 * PIECE_DATA + 5)

struct fixture {
	Pieces *pieces;
	unsigned n_whole;
	uint32_t sender; /* Of the last … */
	GBytes *message; /* … and what it was. */
};

static void on_whole(void *data, uint32_t sender, const uint8_t *bytes, size_t size)
{
	struct fixture *f = data;

	f->n_whole++;
	f->sender = sender;
	g_clear_pointer(&f->message, g_bytes_unref);
	f->message = g_bytes_new(bytes, size);
}

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	f->pieces = pieces_new(on_whole, f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	f->pieces = pieces_free(f->pieces);
	g_clear_pointer(&f->message, g_bytes_unref);
	g_free(f);
	return 0;
}

/* A message that shows where each of its bytes was. */
static GBytes *message_new(size_t size, unsigned seed)
{
	uint8_t *bytes = g_malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 12) + seed);
	return g_bytes_new_take(bytes, size);
}

/* Sends the piece that begins at an offset; returns where the next one begins. */
static size_t send_at(struct fixture *f, uint32_t sender, GBytes *message, size_t at)
{
	g_autoptr(GByteArray) piece = g_byte_array_new();
	uint8_t header[PIECE_HEADER];
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(message, &size);
	size_t part = piece_begin(size, at, header);

	g_byte_array_append(piece, header, sizeof(header));
	g_byte_array_append(piece, bytes + at, (guint)part);
	assert_int_equal(pieces_add(f->pieces, sender, piece->data, piece->len), 0);
	return at + part;
}

static unsigned send_all(struct fixture *f, uint32_t sender, GBytes *message)
{
	unsigned n = 0;

	for (size_t at = 0; at < g_bytes_get_size(message); n++)
		at = send_at(f, sender, message, at);
	return n;
}

static void send_raw(struct fixture *f, uint8_t flags, uint8_t number, const char *text)
{
	g_autoptr(GByteArray) piece = g_byte_array_new();
	const uint8_t header[PIECE_HEADER] = {1, flags, number, 0};

	g_byte_array_append(piece, header, sizeof(header));
	g_byte_array_append(piece, (const uint8_t *)text, (guint)strlen(text));
	assert_int_equal(pieces_add(f->pieces, 1, piece->data, piece->len), 0);
}

static void assert_whole(struct fixture *f, unsigned n, uint32_t sender, GBytes *message)
{
	assert_int_equal(f->n_whole, n);
	assert_int_equal(f->sender, sender);
	assert_true(g_bytes_equal(f->message, message));
}

static void the_header_has_its_layout(void **state)
{
	static const struct {
		size_t message_size, at, size;
		uint8_t header[PIECE_HEADER];
	} cases[] = {
		{1, 0, 1, {1, 3, 0, 0}},
		{PIECE_DATA, 0, PIECE_DATA, {1, 3, 0, 0}},
		{PIECE_DATA + 1, 0, PIECE_DATA, {1, 1, 0, 0}},
		{PIECE_DATA + 1, PIECE_DATA, 1, {1, 2, 1, 0}},
		{300 * PIECE_DATA, 258 * PIECE_DATA, PIECE_DATA, {1, 0, 2, 1}},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint8_t header[PIECE_HEADER];

		assert_int_equal(
			piece_begin(cases[i].message_size, cases[i].at, header), cases[i].size);
		assert_memory_equal(header, cases[i].header, PIECE_HEADER);
	}
}

static void messages_of_any_size_come_whole(void **state)
{
	static const struct {
		size_t size;
		unsigned n_pieces;
	} cases[] = {{1, 1}, {PIECE_DATA - 1, 1}, {PIECE_DATA, 1}, {PIECE_DATA + 1, 2},
		{2 * PIECE_DATA, 2}, {LARGE, 3}, {PIECES_MESSAGE_MAX, 512}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) message = message_new(cases[i].size, i);

		assert_int_equal(send_all(f, 1, message), cases[i].n_pieces);
		assert_whole(f, i + 1, 1, message);
	}
}

static void senders_may_be_mixed(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GBytes) first = message_new(LARGE, 1);
	g_autoptr(GBytes) second = message_new(LARGE, 2);
	g_autoptr(GBytes) small = message_new(9, 3);
	size_t first_at = 0, second_at = 0;

	for (unsigned i = 0; i < 2; i++) {
		first_at = send_at(f, 1, first, first_at);
		second_at = send_at(f, 2, second, second_at);
	}
	(void)send_all(f, 3, small);
	assert_whole(f, 1, 3, small);
	(void)send_at(f, 2, second, second_at);
	assert_whole(f, 2, 2, second);
	(void)send_at(f, 1, first, first_at);
	assert_whole(f, 3, 1, first);
}

static void what_is_cleared_does_not_come(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GBytes) message = message_new(LARGE, 1);
	size_t at = send_at(f, 1, message, 0);

	pieces_clear(f->pieces);
	at = send_at(f, 1, message, at);
	(void)send_at(f, 1, message, at);
	assert_int_equal(f->n_whole, 0);
	(void)send_all(f, 1, message);
	assert_whole(f, 1, 1, message);
}

static void a_piece_that_does_not_follow_ends_the_message(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GBytes) message = message_new(LARGE, 1);
	size_t at = send_at(f, 1, message, 0);

	/* The last before the one in the middle, which is too late then. */
	(void)send_at(f, 1, message, 2 * PIECE_DATA);
	at = send_at(f, 1, message, at);
	(void)send_at(f, 1, message, at);
	assert_int_equal(f->n_whole, 0);

	/* The same one twice. */
	at = send_at(f, 1, message, 0);
	(void)send_at(f, 1, message, at);
	at = send_at(f, 1, message, at);
	(void)send_at(f, 1, message, at);
	assert_int_equal(f->n_whole, 0);
}

static void who_begins_anew_has_given_up(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GBytes) given_up = message_new(LARGE, 1);
	g_autoptr(GBytes) message = message_new(LARGE, 2);
	g_autoptr(GBytes) small = message_new(9, 3);
	size_t at;

	(void)send_at(f, 1, given_up, 0);
	(void)send_all(f, 1, message);
	assert_whole(f, 1, 1, message);

	at = send_at(f, 1, given_up, 0);
	(void)send_all(f, 1, small);
	assert_whole(f, 2, 1, small);
	at = send_at(f, 1, given_up, at);
	(void)send_at(f, 1, given_up, at);
	assert_int_equal(f->n_whole, 2);
}

static void what_grows_too_long_is_dropped(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GBytes) message = message_new(PIECES_MESSAGE_MAX, 1);
	size_t at = 0;

	while (at < PIECES_MESSAGE_MAX - PIECE_DATA)
		at = send_at(f, 1, message, at);
	/* It is as large as it may be, and was not the last. */
	for (unsigned i = 0; i < 2; i++) {
		g_autofree uint8_t *piece = g_malloc0(PIECE_HEADER + PIECE_DATA);

		piece[0] = 1;
		piece[1] = i == 1 ? 2 : 0;
		piece[2] = (uint8_t)(511 + i);
		piece[3] = (uint8_t)((511 + i) >> 8);
		assert_int_equal(pieces_add(f->pieces, 1, piece, PIECE_HEADER + PIECE_DATA), 0);
	}
	assert_int_equal(f->n_whole, 0);
}

static void what_makes_no_sense_does_nothing(void **state)
{
	static const uint8_t future[] = {2, 3, 0, 0, 'x'};
	static const uint8_t shorter[] = {1, 3, 0};
	struct fixture *f = *state;

	assert_int_equal(pieces_add(f->pieces, 1, future, sizeof(future)), -EBADMSG);
	assert_int_equal(pieces_add(f->pieces, 1, shorter, sizeof(shorter)), -EBADMSG);
	/* A whole message and a first piece are number 0; others have a beginning. */
	send_raw(f, 3, 1, "x");
	send_raw(f, 1, 1, "x");
	send_raw(f, 2, 2, "y");
	send_raw(f, 0, 0, "x");
	send_raw(f, 2, 1, "y");
	assert_int_equal(f->n_whole, 0);

	/* It does not stand in the way of what makes sense. */
	send_raw(f, 1, 0, "a");
	assert_int_equal(pieces_add(f->pieces, 1, future, sizeof(future)), -EBADMSG);
	send_raw(f, 2, 1, "b");
	assert_int_equal(f->n_whole, 1);
	assert_memory_equal(g_bytes_get_data(f->message, NULL), "ab", 2);
}

#define PIECES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_has_its_layout),
		PIECES_TEST(messages_of_any_size_come_whole),
		PIECES_TEST(senders_may_be_mixed),
		PIECES_TEST(what_is_cleared_does_not_come),
		PIECES_TEST(a_piece_that_does_not_follow_ends_the_message),
		PIECES_TEST(who_begins_anew_has_given_up),
		PIECES_TEST(what_grows_too_long_is_dropped),
		PIECES_TEST(what_makes_no_sense_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
