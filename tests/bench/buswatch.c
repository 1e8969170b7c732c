/* SPDX-License-Identifier: Apache-2.0 */

/* Corosync as it is without the store, on a process group of its own: what tests/bench/cfs compares
 * with.
 *
 *	buswatch latency COUNT SIZE	microseconds of each message to its own delivery, one at a time
 *	buswatch members		a line for each change of membership: seconds of the
 *					monotonic clock, number of members */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <corosync/cpg.h>

#include "base/macro.h"

typedef struct Watch {
	uint32_t node;  /* Ours. */
	bool delivered; /* What we sent last has come back. */
	bool is_member; /* The group has us. */
	bool tell;      /* Print changes of membership. */
} Watch;

static double now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static Watch *watch_of(cpg_handle_t handle)
{
	void *context = NULL;

	(void)cpg_context_get(handle, &context);
	return context;
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *name, uint32_t node,
	uint32_t pid, void *message, size_t size)
{
	Watch *watch = watch_of(handle);

	if (node == watch->node && pid == (uint32_t)getpid())
		watch->delivered = true;
}

static void on_change(cpg_handle_t handle, const struct cpg_name *name,
	const struct cpg_address *members, size_t n_members, const struct cpg_address *left,
	size_t n_left, const struct cpg_address *joined, size_t n_joined)
{
	Watch *watch = watch_of(handle);

	watch->is_member = true;
	if (!watch->tell)
		return;
	(void)printf("%.6f %zu\n", now_s(), n_members);
	(void)fflush(stdout);
}

static int fail(const char *doing, cs_error_t error)
{
	(void)fprintf(stderr, "buswatch: %s (error %d)\n", doing, (int)error);
	return EXIT_FAILURE;
}

static cs_error_t send_and_wait(cpg_handle_t handle, Watch *watch, struct iovec *message)
{
	cs_error_t error;

	watch->delivered = false;
	do
		error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, message, 1);
	while (error == CS_ERR_TRY_AGAIN);
	while (error == CS_OK && !watch->delivered)
		error = cpg_dispatch(handle, CS_DISPATCH_ONE);
	return error;
}

static cs_error_t latency(cpg_handle_t handle, Watch *watch, unsigned count, size_t size)
{
	struct iovec message = {.iov_base = calloc(1, size), .iov_len = size};
	cs_error_t error = CS_OK;

	assert(message.iov_base);

	for (unsigned i = 0; i < count && error == CS_OK; i++) {
		double begun = now_s();

		error = send_and_wait(handle, watch, &message);
		(void)printf("%.1f\n", (now_s() - begun) * 1e6);
	}
	free(message.iov_base);
	return error;
}

int main(int argc, char **argv)
{
	cpg_model_v1_data_t model = {
		.model = CPG_MODEL_V1,
		.cpg_deliver_fn = on_deliver,
		.cpg_confchg_fn = on_change,
	};
	struct cpg_name group = {.value = "atoll-bench", .length = sizeof("atoll-bench") - 1};
	Watch watch = {.tell = argc == 2 && strcmp(argv[1], "members") == 0};
	cpg_handle_t handle;
	cs_error_t error;

	if (!watch.tell && (argc != 4 || strcmp(argv[1], "latency") != 0)) {
		(void)fprintf(stderr, "usage: buswatch latency COUNT SIZE | members\n");
		return EXIT_FAILURE;
	}
	/* nsenter(1) started us, and is what gets killed. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	error = cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, &watch);
	if (error != CS_OK)
		return fail("cannot connect to corosync", error);
	error = cpg_local_get(handle, &watch.node);
	if (error == CS_OK)
		error = cpg_join(handle, &group);
	while (error == CS_OK && !watch.is_member)
		error = cpg_dispatch(handle, CS_DISPATCH_ONE);
	if (error == CS_OK && watch.tell)
		error = cpg_dispatch(handle, CS_DISPATCH_BLOCKING);
	else if (error == CS_OK)
		error = latency(handle, &watch, (unsigned)atoi(argv[2]), (size_t)atol(argv[3]));
	(void)cpg_finalize(handle);
	return error == CS_OK ? EXIT_SUCCESS : fail("the bus failed", error);
}
