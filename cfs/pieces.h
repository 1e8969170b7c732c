/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Messages in pieces, for a bus that takes smaller ones only: cutting them, and putting together what
 * members send.
 *
 * Pieces of one sender arrive in order, because the bus is FIFO for each sender; those of several may
 * be mixed.  Whoever begins a message has given up the one before.  Pure. */

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* In front of the bytes of each piece, and how many of these it has at most. */
#define PIECE_HEADER 4
#define PIECE_DATA   (128 * 1024)

/* Longest message: what would become longer is dropped. */
#define PIECES_MESSAGE_MAX (64 * 1024 * 1024)

/* Writes the header of the piece that begins at offset `at` of a message of so many bytes.  Returns
 * how many bytes of the message follow it. */
size_t piece_begin(size_t message_size, size_t at, uint8_t ret_header[PIECE_HEADER]);

/* --- Putting together ------------------------------------------------------------------------- */

typedef struct Pieces Pieces;

/* A message of a sender is whole; borrowed for the call. */
typedef void (*PiecesWhole)(void *data, uint32_t sender, const uint8_t *bytes, size_t size);

Pieces *pieces_new(PiecesWhole whole, void *data);
Pieces *pieces_free(Pieces *pieces);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pieces, pieces_free)

/* The next piece of a sender.  One that does not follow on what there is of his message is dropped,
 * and the message with it.  -EBADMSG: it is in a format that we do not know, and does nothing. */
int pieces_add(Pieces *pieces, uint32_t sender, const uint8_t *bytes, size_t size);

/* Forgets all messages that are not whole. */
void pieces_clear(Pieces *pieces);
