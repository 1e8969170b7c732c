/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which distribution a tree holds, from the texts of its release files.  Pure. */

#include <glib.h>

/* The value of key in an os-release(5) file, owned by the caller; NULL: not there.  A value is
 * taken as it stands between single quotes, with backslash escapes between double quotes, and
 * otherwise up to the first character that is no letter or digit. */
char *osrelease_dup_value(const char *text, const char *key);

/* The type that an ID of os-release stands for, a borrowed constant; NULL when it is unknown. */
const char *ostype_from_id(const char *id);

/* Where the version of a type is written; NULL: the type has no version. */
typedef struct OstypeVersionFile {
	const char *ostype;
	const char *path;
	/* Turns the file's text into a version (owned by the caller).  -EINVAL with the reason when
	 * it is none that we support; newer ones than we know are a warning. */
	int (*parse)(const char *text, char **ret, GPtrArray *warnings, GError **err);
} OstypeVersionFile;

const OstypeVersionFile *ostype_version_file(const char *ostype);
