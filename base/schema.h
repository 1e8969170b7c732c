/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Option schema: the one place where an option is described.
 *
 * A table of SchemaOption, ended by an entry without name, describes a container's options, the
 * keys of a property string, a storage's properties or the parameters of an API method or a
 * command. From it come the parser and validator, the API's parameter checks, the commands' options
 * and their help.  Values travel as text, in the canonical form that schema_normalize() gives. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum SchemaType {
	SCHEMA_STRING,
	SCHEMA_BOOLEAN, /* 1/on/yes/true and 0/off/no/false in any case; canonical 1 and 0. */
	SCHEMA_INTEGER, /* Digits, or a minus sign and digits where min < 0. */
	SCHEMA_NUMBER,  /* Digits with an optional fraction. */
	SCHEMA_ENUM,    /* One of values. */
	SCHEMA_PROPS,   /* A property string described by props (base/propstring.h). */
	SCHEMA_N_TYPES,
} SchemaType;

typedef enum SchemaFlags {
	SCHEMA_REQUIRED = 1 << 0,    /* Must be given (key of a property string, API parameter). */
	SCHEMA_DEFAULT_KEY = 1 << 1, /* May be written without its name in a property string. */
	SCHEMA_POSITIONAL = 1 << 2,  /* Argument of a command rather than an option. */
	SCHEMA_HIDDEN = 1 << 3,      /* Set by the program itself; refused from a user. */
	SCHEMA_SECRET = 1 << 4,      /* Never logged or listed; commands prompt for it. */
	SCHEMA_MULTIPLE = 1 << 5,    /* Positional that takes all remaining arguments. */
	SCHEMA_INTERNAL = 1 << 6,    /* Set by the commands for their users, not offered to them. */
	SCHEMA_LIST = 1 << 7,        /* A list with commas: its option may be given repeatedly. */
	SCHEMA_LINES = 1 << 8,       /* The same with a newline between the parts. */
} SchemaFlags;

typedef struct SchemaOption SchemaOption;

struct SchemaOption {
	const char *name; /* NULL ends a table. */
	SchemaType type;
	unsigned flags;            /* SchemaFlags. */
	unsigned n_index;          /* 0, or the option is a family name0 … name(n_index - 1). */
	bool limited;              /* min and max hold. */
	double min, max;           /* Smallest and largest value, both included. */
	unsigned length_max;       /* Longest text in bytes; 0: SCHEMA_LENGTH_MAX. */
	const char *const *values; /* SCHEMA_ENUM: NULL-terminated. */
	const SchemaOption *props; /* SCHEMA_PROPS: the keys' table. */
	const char *default_value; /* In canonical form; NULL: none. */
	const char *description;   /* One sentence for help, without final stop. */
	const char *format_description; /* Shown in help instead of the type, e.g. "<volume>". */

	/* A check beyond type and limits (NULL: none).  Returns 0, or -EINVAL with a reason that
	 * does not name the option. */
	int (*check)(const char *value, GError **err);

	/* New canonical text for a value that passed its check (NULL: it is canonical as it is).
	 */
	char *(*canonical)(const char *value);
};

/* Longest value of an option that names no limit of its own. */
#define SCHEMA_LENGTH_MAX 65536

/* Values of an integer option are at most this, unless it names a limit of its own. */
#define SCHEMA_INTEGER_MAX INT64_MAX

/* The entry that describes key, NULL if there is none.  For a family (`net0`), *ret_index (if
 * wanted) is set to the number; "net", "net00" and "net32" of a family of 32 are not found. */
const SchemaOption *schema_find(const SchemaOption *table, const char *key, unsigned *ret_index);

typedef enum SchemaStrictness {
	SCHEMA_INPUT, /* From a user or the API: types, enums, limits, lengths, formats. */
	SCHEMA_FILE,  /* From a configuration file: enums and limits do not count (they may have
		       * been written by a newer version or an editor), formats do. */
} SchemaStrictness;

/* Checks value and sets *ret (owned by the caller) to its canonical text.  Returns 0, or -EINVAL
 * with the reason in err, which does not name the option ("value must be at least 16"). */
int schema_normalize(const SchemaOption *option, SchemaStrictness strictness, const char *value,
	char **ret, GError **err);

/* true, on, yes, 1 and their opposites in any case; -EINVAL for anything else. */
int schema_parse_boolean(const char *text);

/* What stands for the type in help: "<integer> (1 - 8192)", "<boolean>", "<debian | ubuntu>",
 * "[volume=]<volume> [,size=<size>]".  Owned by the caller. */
char *schema_type_dup_help(const SchemaOption *option);
