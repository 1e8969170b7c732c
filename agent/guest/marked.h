/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Marked sections: our lines inside a file that the guest owns too.  Two comment lines enclose
 * them, so that they can be found and replaced while the rest of the file stays as it is.  Pure. */

#include <stdbool.h>

#define MARKED_BEGIN "# --- BEGIN PVE ---"
#define MARKED_END   "# --- END PVE ---"

/* Where the section goes in a file that has none yet. */
typedef enum MarkedPlace {
	MARKED_APPEND,
	MARKED_PREPEND,
	MARKED_REPLACE_ALL, /* The whole file becomes the section. */
} MarkedPlace;

/* The new text of a file, owned by the caller; NULL: leave it as it is (or absent).  old is its
 * present text, NULL when it does not exist.  text goes between the marks; when it is empty, a
 * section that is there is taken out.  An empty result means that nothing but our section was in
 * the file. */
char *marked_apply(const char *old, const char *text, MarkedPlace place);

/* text without its marked section; owned by the caller. */
char *marked_strip(const char *text);

/* Whether the line (up to its end or newline) is a mark; spaces in it do not count. */
bool marked_is_begin(const char *line);
bool marked_is_end(const char *line);
