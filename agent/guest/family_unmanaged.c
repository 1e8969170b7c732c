/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

/* A guest that sets itself up, or that we know nothing about. */
const GuestFamily guest_family_unmanaged = {
	.ostype = "unmanaged",
	.unmanaged = true,
};
