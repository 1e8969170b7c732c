/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What somebody who asked the replica for something waits with: the token of replica_submit() and
 * replica_renew() in this process.  To be the first member of what it stands for. */

#include <stdbool.h>

typedef struct ChangeToken ChangeToken;

struct ChangeToken {
	/* Called exactly once, with the result of the change; the token is its own from then. */
	void (*answer)(ChangeToken *token, int result);
	bool from_fs; /* It is a request of the file system, which will tell the kernel the result. */
};
