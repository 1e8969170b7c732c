/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What requests and replies have in common, for the files of ipc_wire.h only:
 *
 *	ipc_wire.c          layouts, fields, lists, head of a message
 *	ipc_wire_request.c  requests
 *	ipc_wire_reply.c    answers and events
 *
 * A get that finds no valid field makes the reader fail. */

#include "cfs/bytes.h"
#include "cfs/ipc_wire.h"

typedef enum IpcClass {
	IPC_CLASS_REQUEST = 1,
	IPC_CLASS_ANSWER,
	IPC_CLASS_EVENT,
} IpcClass;

typedef struct IpcHeader {
	uint8_t class;
	uint8_t type;
	uint64_t number;
} IpcHeader;

/* Begins a message; its length is filled in when it is finished, which takes out. */
GByteArray *ipc_begin(IpcClass class, unsigned type, uint64_t number);
GBytes *ipc_finish(GByteArray *out);

/* The head of a message of size bytes: 0, -EBADMSG or -EPROTONOSUPPORT. */
int ipc_get_header(BytesReader *reader, size_t size, IpcHeader *ret);

void ipc_put_string(GByteArray *out, const char *string);
const char *ipc_get_string(BytesReader *reader);
void ipc_put_bytes(GByteArray *out, const uint8_t *bytes, size_t size);
const uint8_t *ipc_get_bytes(BytesReader *reader, size_t *ret_size);
bool ipc_get_bool(BytesReader *reader);
void ipc_put_entry(GByteArray *out, const ClusterLogEntry *entry);
void ipc_get_entry(BytesReader *reader, ClusterLogEntry *ret);

/* A list is the last field; type says of what. */
void ipc_put_list(GByteArray *out, const IpcList *list);
void ipc_get_list(BytesReader *reader, IpcType type, IpcList *ret);
