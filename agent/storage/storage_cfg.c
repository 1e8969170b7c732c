/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_cfg.h"

#include <string.h>

#include "base/err.h"
#include "base/macro.h"

#define STORAGE_ID_MAX 100

static const struct content_name {
	StorageContent content;
	const char *name;
} content_names[] = {
	{STORAGE_CONTENT_ROOTDIR, "rootdir"},
	{STORAGE_CONTENT_IMAGES, "images"},
	{STORAGE_CONTENT_VZTMPL, "vztmpl"},
	{STORAGE_CONTENT_BACKUP, "backup"},
	{STORAGE_CONTENT_ISO, "iso"},
	{STORAGE_CONTENT_SNIPPETS, "snippets"},
	{STORAGE_CONTENT_IMPORT, "import"},
};

const char *storage_content_to_string(StorageContent content)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(content_names); i++)
		if (content_names[i].content == content)
			return content_names[i].name;
	assert(!"one bit of StorageContent");
	return NULL;
}

/* Whether word of length is a content type; *ret_bit is 0 for "none". */
static bool content_from_word(const char *word, unsigned *ret_bit)
{
	if (str_equal(word, "none")) {
		*ret_bit = 0;
		return true;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(content_names); i++)
		if (str_equal(word, content_names[i].name)) {
			*ret_bit = content_names[i].content;
			return true;
		}
	return false;
}

unsigned storage_content_parse(const char *list, GPtrArray *unknown)
{
	g_auto(GStrv) words = NULL;
	unsigned content = 0;

	assert(list);

	words = g_strsplit_set(list, ",; ", -1);
	for (unsigned i = 0; words[i]; i++) {
		unsigned bit = 0;

		if (!*words[i])
			continue;
		if (content_from_word(words[i], &bit))
			content |= bit;
		else if (unknown)
			g_ptr_array_add(unknown, g_strdup(words[i]));
	}
	return content;
}

static int check_content(const char *value, GError **err)
{
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);

	(void)storage_content_parse(value, unknown);
	if (unknown->len > 0)
		return err_set(
			err, EINVAL, "'%s' is not a content type", (const char *)unknown->pdata[0]);
	return 0;
}

static bool path_has_dots(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	for (unsigned i = 0; parts[i]; i++)
		if (str_equal(parts[i], ".") || str_equal(parts[i], ".."))
			return true;
	return false;
}

static int check_path(const char *value, GError **err)
{
	if (*value != '/' || path_has_dots(value))
		return err_set(err, EINVAL, "'%s' is not an absolute path without dots", value);
	return 0;
}

static int check_mountpoint(const char *value, GError **err)
{
	return schema_parse_boolean(value) >= 0 ? 0 : check_path(value, err);
}

/* CONTENT=DIRECTORY pairs; two types in one directory could not be told apart. */
static int check_content_dirs(const char *value, GError **err)
{
	g_auto(GStrv) pairs = g_strsplit(value, ",", -1);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (unsigned i = 0; pairs[i]; i++) {
		const char *equals = strchr(pairs[i], '=');
		g_autofree char *word = equals ? g_strndup(pairs[i], equals - pairs[i]) : NULL;
		unsigned bit;

		if (!equals || !content_from_word(word, &bit) || !bit)
			return err_set(err, EINVAL, "'%s' is not CONTENT=DIRECTORY", pairs[i]);
		if (!equals[1] || equals[1] == '/' || path_has_dots(equals + 1))
			return err_set(err, EINVAL, "'%s' is not a path below the storage's path",
				equals + 1);
		if (!g_hash_table_add(seen, g_strdup(equals + 1)))
			return err_set(err, EINVAL, "directory '%s' is used twice", equals + 1);
	}
	return 0;
}

static const char *const image_formats[] = {"raw", "subvol", NULL};

static const SchemaOption limit_props[] = {
	{.name = "clone", .type = SCHEMA_NUMBER, .description = "Limit of clones, KiB/s"},
	{.name = "default", .type = SCHEMA_NUMBER, .description = "Limit of all else, KiB/s"},
	{.name = "migration", .type = SCHEMA_NUMBER, .description = "Limit of migrations, KiB/s"},
	{.name = "move", .type = SCHEMA_NUMBER, .description = "Limit of moved volumes, KiB/s"},
	{.name = "restore", .type = SCHEMA_NUMBER, .description = "Limit of restores, KiB/s"},
	{},
};

static const SchemaOption prune_props[] = {
	{.name = "keep-all", .type = SCHEMA_BOOLEAN, .description = "Keep every backup"},
	{.name = "keep-daily", .type = SCHEMA_INTEGER, .description = "Newest of each of N days"},
	{.name = "keep-hourly", .type = SCHEMA_INTEGER, .description = "Newest of each of N hours"},
	{.name = "keep-last", .type = SCHEMA_INTEGER, .description = "Newest N"},
	{.name = "keep-monthly",
		.type = SCHEMA_INTEGER,
		.description = "Newest of each of N months"},
	{.name = "keep-weekly", .type = SCHEMA_INTEGER, .description = "Newest of each of N weeks"},
	{.name = "keep-yearly", .type = SCHEMA_INTEGER, .description = "Newest of each of N years"},
	{},
};

const SchemaOption storage_properties[] = {
	{.name = "blocksize", .type = SCHEMA_STRING, .description = "Block size of ZFS volumes"},
	{.name = "bwlimit",
		.type = SCHEMA_PROPS,
		.props = limit_props,
		.description = "Limits of transfer rates by kind of operation"},
	{.name = "content",
		.type = SCHEMA_STRING,
		.check = check_content,
		.format_description = "<list>",
		.description = "Content types that may be stored"},
	{.name = "content-dirs",
		.type = SCHEMA_STRING,
		.check = check_content_dirs,
		.format_description = "<content=directory, …>",
		.description = "Directories of content types below the path"},
	{.name = "create-base-path",
		.type = SCHEMA_BOOLEAN,
		.default_value = "1",
		.description = "Make the base directory when it is missing"},
	{.name = "create-subdirs",
		.type = SCHEMA_BOOLEAN,
		.default_value = "1",
		.description = "Make the directories of content types when they are missing"},
	{.name = "disable", .type = SCHEMA_BOOLEAN, .description = "Switch the storage off"},
	{.name = "export",
		.type = SCHEMA_STRING,
		.check = check_path,
		.description = "Exported directory of the NFS server"},
	{.name = "format",
		.type = SCHEMA_ENUM,
		.values = image_formats,
		.description = "Format of new volumes"},
	{.name = "is_mountpoint",
		.type = SCHEMA_STRING,
		.check = check_mountpoint,
		.default_value = "no",
		.format_description = "<yes | no | path>",
		.description = "Take the storage for offline unless this is mounted"},
	{.name = "mkdir",
		.type = SCHEMA_BOOLEAN,
		.default_value = "1",
		.description = "Old form of create-base-path and create-subdirs in one"},
	{.name = "mountpoint",
		.type = SCHEMA_STRING,
		.check = check_path,
		.description = "Where the ZFS pool is mounted"},
	{.name = "nocow", .type = SCHEMA_BOOLEAN, .description = "No copy on write (btrfs)"},
	{.name = "nodes",
		.type = SCHEMA_STRING,
		.format_description = "<list>",
		.description = "Nodes that the storage is for"},
	{.name = "options", .type = SCHEMA_STRING, .description = "Mount options (NFS)"},
	{.name = "path",
		.type = SCHEMA_STRING,
		.check = check_path,
		.format_description = "<path>",
		.description = "Base directory"},
	{.name = "pool", .type = SCHEMA_STRING, .description = "ZFS pool or dataset"},
	{.name = "prune-backups",
		.type = SCHEMA_PROPS,
		.props = prune_props,
		.description = "How many backups are kept"},
	{.name = "saferemove",
		.type = SCHEMA_BOOLEAN,
		.description = "Overwrite volumes before they are removed (LVM)"},
	{.name = "server", .type = SCHEMA_STRING, .description = "Name or address of the server"},
	{.name = "shared",
		.type = SCHEMA_BOOLEAN,
		.description = "The same content is there on all nodes"},
	{.name = "sparse", .type = SCHEMA_BOOLEAN, .description = "Thin provisioning (ZFS)"},
	{.name = "thinpool", .type = SCHEMA_STRING, .description = "LVM thin pool"},
	{.name = "vgname", .type = SCHEMA_STRING, .description = "LVM volume group"},
	{},
};

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define CONTENT_GUEST (STORAGE_CONTENT_IMAGES | STORAGE_CONTENT_ROOTDIR)

static const char *const common_keys[] = {
	"bwlimit", "content", "disable", "nodes", "prune-backups", NULL};

#define DIRECTORY_KEYS "content-dirs", "create-base-path", "create-subdirs", "format", "mkdir"

static const StorageType storage_types[] = {
	{"btrfs", KEYS("path"), KEYS(DIRECTORY_KEYS, "is_mountpoint", "nocow"), CONTENT_GUEST,
		false},
	{"dir", KEYS("path"), KEYS(DIRECTORY_KEYS, "is_mountpoint", "shared"), CONTENT_GUEST,
		false},
	{"lvm", KEYS("vgname"), KEYS("saferemove", "shared"), STORAGE_CONTENT_IMAGES, false},
	{"lvmthin", KEYS("thinpool", "vgname"), KEYS("saferemove"), CONTENT_GUEST, false},
	{"nfs", KEYS("export", "path", "server"), KEYS(DIRECTORY_KEYS, "options"),
		STORAGE_CONTENT_IMAGES, true},
	{"zfspool", KEYS("pool"), KEYS("blocksize", "mountpoint", "sparse"), CONTENT_GUEST, false},
};

const StorageType *storage_type_find(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(storage_types); i++)
		if (str_equal(storage_types[i].name, name))
			return &storage_types[i];
	return NULL;
}

bool storage_type_has(const StorageType *type, const char *key)
{
	return g_strv_contains(type->required, key) || g_strv_contains(type->optional, key) ||
	       g_strv_contains(common_keys, key);
}

bool storage_id_is_valid(const char *id)
{
	size_t length = strlen(id);

	if (length < 2 || length > STORAGE_ID_MAX || !g_ascii_isalpha(id[0]) ||
		!g_ascii_isalnum(id[length - 1]))
		return false;
	for (const char *c = id; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
			return false;
	return true;
}

static int compare_keys(const void *a, const void *b, void *data)
{
	return strcmp(a, b);
}

StorageSection *storage_section_new(const char *type, const char *id)
{
	StorageSection *section;

	assert(type);
	assert(storage_id_is_valid(id));

	section = g_new0(StorageSection, 1);
	section->type = g_strdup(type);
	section->id = g_strdup(id);
	section->properties = g_tree_new_full(compare_keys, NULL, g_free, g_free);
	return section;
}

StorageSection *storage_section_free(StorageSection *section)
{
	if (!section)
		return NULL;
	g_free(section->type);
	g_free(section->id);
	g_tree_unref(section->properties);
	g_free(section);
	return NULL;
}

static void storage_section_destroy(void *data)
{
	storage_section_free(data);
}

const char *storage_section_get(const StorageSection *section, const char *key)
{
	return g_tree_lookup(section->properties, key);
}

void storage_section_set(StorageSection *section, const char *key, const char *value)
{
	assert(key);
	assert(value);

	g_tree_replace(section->properties, g_strdup(key), g_strdup(value));
}

static void warn(GPtrArray *warnings, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void warn(GPtrArray *warnings, const char *format, ...)
{
	va_list args;

	if (!warnings)
		return;
	va_start(args, format);
	g_ptr_array_add(warnings, g_strdup_vprintf(format, args));
	va_end(args);
}

/* "TYPE: ID" starts a section; NULL when line is something else. */
static StorageSection *section_parse_head(const char *line)
{
	const char *colon = strchr(line, ':');
	g_autofree char *type = NULL;
	g_autofree char *id = NULL;

	if (!colon || colon == line)
		return NULL;
	type = g_strndup(line, colon - line);
	for (const char *c = type; *c; c++)
		if (!g_ascii_isalnum(*c))
			return NULL;
	id = g_strstrip(g_strdup(colon + 1));
	if (!storage_id_is_valid(id))
		return NULL;
	return storage_section_new(type, id);
}

/* A value that fails its check is reported and kept: the file's author sees it, and no storage goes
 * offline for a property that this operation may not even need. */
static void section_parse_property(StorageSection *section, char *line, GPtrArray *warnings)
{
	const StorageType *type = storage_type_find(section->type);
	const char *key = g_strstrip(line);
	g_autofree char *canonical = NULL;
	g_autoptr(GError) error = NULL;
	const SchemaOption *option;
	const char *value;
	char *space = line;

	while (*space && !g_ascii_isspace(*space))
		space++;
	if (*space)
		*space++ = '\0';
	value = g_strstrip(space);

	option = schema_find(storage_properties, key, NULL);
	if (!*value && option && option->type == SCHEMA_BOOLEAN)
		value = "1";
	if (storage_section_get(section, key))
		warn(warnings, "storage '%s': property '%s' is there twice, the last one counts",
			section->id, key);
	if (type && (!option || !storage_type_has(type, key)))
		warn(warnings, "storage '%s': unknown property '%s'", section->id, key);
	else if (type && schema_normalize(option, SCHEMA_FILE, value, &canonical, &error) < 0)
		warn(warnings, "storage '%s': property '%s': %s", section->id, key, error->message);

	storage_section_set(section, key, canonical ? canonical : value);
}

GPtrArray *storage_cfg_parse(const char *text, GPtrArray *warnings)
{
	g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func(storage_section_destroy);
	g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	StorageSection *section = NULL; /* Borrowed: where the current line belongs. */
	bool skipping = false;          /* In a damaged section, which was reported by its head. */

	for (unsigned i = 0; lines[i]; i++) {
		char *line = g_strchomp(lines[i]);

		if (*line == '#')
			continue;
		if (!*line) {
			section = NULL;
			skipping = false;
		} else if (!g_ascii_isspace(*line)) {
			g_autoptr(StorageSection) next = section_parse_head(line);

			section = NULL;
			skipping = true;
			if (!next) {
				warn(warnings, "line %u: '%s' is not TYPE: STORAGE", i + 1, line);
			} else if (sections->len >= STORAGE_CFG_SECTIONS_MAX) {
				warn(warnings, "storage '%s': more than %u storages", next->id,
					STORAGE_CFG_SECTIONS_MAX);
			} else if (g_hash_table_contains(ids, next->id)) {
				warn(warnings, "line %u: storage '%s' is there twice", i + 1,
					next->id);
			} else {
				skipping = false;
				section = next;
				g_hash_table_add(ids, next->id);
				g_ptr_array_add(sections, g_steal_pointer(&next));
			}
		} else if (section) {
			section_parse_property(section, line, warnings);
		} else if (!skipping) {
			warn(warnings, "line %u: '%s' belongs to no storage", i + 1,
				g_strstrip(line));
		}
	}
	return g_steal_pointer(&sections);
}

struct print {
	GString *text;
	const StorageType *type; /* NULL: not known. */
	bool required;           /* Which half of the keys is printed in this pass. */
};

static gboolean print_property(void *key, void *value, void *data)
{
	struct print *print = data;
	bool required = print->type && g_strv_contains(print->type->required, key);

	if (required == print->required && !str_equal(key, "disable"))
		g_string_append_printf(print->text, "\t%s%s%s\n", (char *)key,
			*(char *)value ? " " : "", (char *)value);
	return FALSE;
}

char *storage_cfg_print(const GPtrArray *sections)
{
	struct print print = {.text = g_string_new(NULL)};

	for (unsigned i = 0; i < sections->len; i++) {
		const StorageSection *section = sections->pdata[i];
		const char *disable = storage_section_get(section, "disable");

		print.type = storage_type_find(section->type);
		g_string_append_printf(
			print.text, "%s%s: %s\n", i > 0 ? "\n" : "", section->type, section->id);
		if (disable && !str_equal(disable, "0"))
			g_string_append(print.text, "\tdisable\n");
		print.required = true;
		g_tree_foreach(section->properties, print_property, &print);
		print.required = false;
		g_tree_foreach(section->properties, print_property, &print);
	}
	return g_string_free(print.text, FALSE);
}
