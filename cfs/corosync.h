/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the adapters to corosync's libraries (cpg.c, quorum.c, cmap.c) share. */

#include <corosync/corotypes.h>

#include "base/macro.h"

/* A result of corosync's libraries as a negative errno; 0 for success. */
static inline int corosync_errno(cs_error_t error)
{
	switch (error) {
	case CS_OK:
		return 0;
	case CS_ERR_TRY_AGAIN:
	case CS_ERR_QUEUE_FULL:
	case CS_ERR_BUSY:
		return -EAGAIN;
	case CS_ERR_NOT_EXIST:
	case CS_ERR_NAME_NOT_FOUND:
		return -ENOENT;
	case CS_ERR_ACCESS:
	case CS_ERR_SECURITY:
		return -EACCES;
	case CS_ERR_TOO_BIG:
		return -EMSGSIZE;
	case CS_ERR_NO_MEMORY:
	case CS_ERR_NO_RESOURCES:
		return -ENOMEM;
	default:
		/* The connection is of no use any more (corosync stopped, or refuses us). */
		return -ENOTCONN;
	}
}
