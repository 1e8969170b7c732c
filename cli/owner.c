/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/owner.h"

#include <jansson.h>

#include <glib.h>

#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

#define VMLIST_PATH PATH_STORE "/.vmlist"

/* Some hundred thousand guests. */
#define VMLIST_SIZE_MAX (64 * 1024 * 1024)

char *owner_parse(const char *text, size_t size, const char *vmid)
{
	json_auto_t *list = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *guest = json_object_get(json_object_get(list, "ids"), vmid);

	assert(vmid);

	return g_strdup(json_string_value(json_object_get(guest, "node")));
}

char *owner_find(const char *vmid)
{
	g_autofree char *text = NULL;
	size_t size;

	/* Without store the agent of this node is asked, which says what is wrong. */
	if (file_read(VMLIST_PATH, VMLIST_SIZE_MAX, &text, &size) < 0)
		return NULL;
	return owner_parse(text, size, vmid);
}
