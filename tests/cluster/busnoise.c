/* SPDX-License-Identifier: Apache-2.0 */

/* A member of the store's process group that talks nonsense:
 *
 *	busnoise noise COUNT SEED	random messages, half of them with a beginning that looks right
 *	busnoise newer COUNT SEED	messages that only a newer version could understand
 *
 * It prints `sent`, waits for the end of its standard input, and leaves.  What it sends carries the id of
 * the node that it runs on. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <corosync/cpg.h>

#define GROUP         "atoll-cfs"
#define SIZE_MAX_SENT 3000
#define TYPES         80
#define TRY_US        1000

/* Of cfs/cpg.c: version, first and last piece, number 0. */
static const uint8_t piece[] = {1, 3, 0, 0};

static void deliver(cpg_handle_t handle, const struct cpg_name *name, uint32_t node, uint32_t pid,
	void *message, size_t size)
{
}

static void changed(cpg_handle_t handle, const struct cpg_name *name,
	const struct cpg_address *members, size_t n_members, const struct cpg_address *left,
	size_t n_left, const struct cpg_address *joined, size_t n_joined)
{
}

static size_t make(uint8_t *bytes, bool newer, unsigned number)
{
	size_t size = sizeof(piece) + 2 + (size_t)rand() % (SIZE_MAX_SENT - sizeof(piece) - 2);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)rand();
	if (newer || number % 2) {
		memcpy(bytes, piece, sizeof(piece));
		bytes[sizeof(piece)] = newer ? UINT8_MAX : 1;
		bytes[sizeof(piece) + 1] = (uint8_t)(rand() % TYPES);
	} else {
		/* Whatever the pieces make up, it is of no version. */
		bytes[sizeof(piece)] = 0;
	}
	return size;
}

static cs_error_t multicast(cpg_handle_t handle, void *bytes, size_t size)
{
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	cs_error_t error;

	for (;;) {
		(void)cpg_dispatch(handle, CS_DISPATCH_ALL);
		error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
		if (error != CS_ERR_TRY_AGAIN)
			return error;
		(void)usleep(TRY_US);
	}
}

int main(int argc, char **argv)
{
	cpg_callbacks_t callbacks = {.cpg_deliver_fn = deliver, .cpg_confchg_fn = changed};
	struct cpg_name name = {.length = sizeof(GROUP) - 1, .value = GROUP};
	static uint8_t bytes[SIZE_MAX_SENT];
	unsigned count;
	cpg_handle_t handle;
	bool newer;

	if (argc != 4)
		return EXIT_FAILURE;
	newer = strcmp(argv[1], "newer") == 0;
	count = (unsigned)strtoul(argv[2], NULL, 10);
	srand((unsigned)strtoul(argv[3], NULL, 10));

	if (cpg_initialize(&handle, &callbacks) != CS_OK || cpg_join(handle, &name) != CS_OK)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < count; i++)
		if (multicast(handle, bytes, make(bytes, newer, i)) != CS_OK)
			return EXIT_FAILURE;
	(void)printf("sent\n");
	(void)fflush(stdout);
	(void)getchar();
	(void)cpg_finalize(handle);
	return EXIT_SUCCESS;
}
