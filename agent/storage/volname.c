/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/volname.h"

#include <string.h>

#include "agent/ct/options.h"
#include "base/macro.h"

/* Kinds of guest volumes by the first word of their file name. */
static const struct image_kind {
	const char *prefix;
	const char *suffix;
	VolumeFormat format;
	bool base;
} image_kinds[] = {
	{"vm", ".raw", VOLUME_FORMAT_RAW, false},
	{"base", ".raw", VOLUME_FORMAT_RAW, true},
	{"subvol", ".subvol", VOLUME_FORMAT_SUBVOL, false},
	{"basevol", ".subvol", VOLUME_FORMAT_SUBVOL, true},
};

/* Suffixes that files of a content type must have one of; NULL-terminated. */
static const char *const template_suffixes[] = {
	".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", NULL};
static const char *const backup_suffixes[] = {
	".tar", ".tgz", ".tar.gz", ".tar.lzo", ".tar.zst", ".tar.bz2", NULL};
static const char *const iso_suffixes[] = {".iso", ".img", NULL};

static const struct file_kind {
	StorageContent content;
	const char *const *suffixes; /* NULL: any. */
} file_kinds[] = {
	{STORAGE_CONTENT_VZTMPL, template_suffixes},
	{STORAGE_CONTENT_BACKUP, backup_suffixes},
	{STORAGE_CONTENT_ISO, iso_suffixes},
	{STORAGE_CONTENT_SNIPPETS, NULL},
	{STORAGE_CONTENT_IMPORT, NULL},
};

/* File names travel in configuration lines, property strings and tables, so they have no blanks,
 * commas or control characters; a leading dot would hide them, and includes "." and "..". */
static bool file_name_is_valid(const char *file)
{
	if (!*file || *file == '.' || strlen(file) > NAME_MAX)
		return false;
	for (const char *c = file; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == ',' || *c == '/')
			return false;
	return true;
}

static bool has_suffix_of(const char *file, const char *const *suffixes)
{
	if (!suffixes)
		return true;
	for (unsigned i = 0; suffixes[i]; i++)
		if (g_str_has_suffix(file, suffixes[i]) && strlen(file) > strlen(suffixes[i]))
			return true;
	return false;
}

static bool tail_is_valid(const char *tail)
{
	if (!*tail)
		return false;
	for (const char *c = tail; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
			return false;
	return true;
}

/* "disk-K" with K below the limit and without leading zero. */
static int tail_parse_disk(const char *tail)
{
	char *end;
	guint64 disk;

	if (!g_str_has_prefix(tail, "disk-"))
		return -1;
	tail += strlen("disk-");
	if (!g_ascii_isdigit(*tail) || (*tail == '0' && tail[1]))
		return -1;
	disk = g_ascii_strtoull(tail, &end, 10);
	return *end || disk >= VOLUME_DISK_MAX ? -1 : (int)disk;
}

static bool image_parse(VolumeName *name, const char *file)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(image_kinds); i++) {
		const struct image_kind *kind = &image_kinds[i];
		g_autofree char *head = g_strdup_printf("%s-%u-", kind->prefix, name->vmid);
		g_autofree char *tail = NULL;

		if (!g_str_has_prefix(file, head) || !g_str_has_suffix(file, kind->suffix) ||
			strlen(file) <= strlen(head) + strlen(kind->suffix))
			continue;
		tail = g_strndup(
			file + strlen(head), strlen(file) - strlen(head) - strlen(kind->suffix));
		if (!tail_is_valid(tail))
			return false;

		name->content = STORAGE_CONTENT_ROOTDIR;
		name->format = kind->format;
		name->base = kind->base;
		name->disk = tail_parse_disk(tail);
		return true;
	}
	return false;
}

static bool file_parse(VolumeName *name, const char *directory, const char *file)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(file_kinds); i++) {
		if (!str_equal(directory, storage_content_to_string(file_kinds[i].content)))
			continue;

		name->content = file_kinds[i].content;
		name->format = VOLUME_FORMAT_FILE;
		name->disk = -1;
		return has_suffix_of(file, file_kinds[i].suffixes);
	}
	return false;
}

int volume_name_parse(const char *name, VolumeName **ret)
{
	g_autoptr(VolumeName) parsed = NULL;
	g_autofree char *directory = NULL;
	const char *slash;

	assert(name);
	assert(ret);

	slash = strchr(name, '/');
	if (!slash || strlen(name) > VOLUME_NAME_MAX || !file_name_is_valid(slash + 1))
		return -EINVAL;

	directory = g_strndup(name, slash - name);
	parsed = g_new0(VolumeName, 1);
	parsed->file = g_strdup(slash + 1);
	if (ct_id_parse(directory, &parsed->vmid, NULL) >= 0) {
		if (!image_parse(parsed, parsed->file))
			return -EINVAL;
	} else {
		parsed->vmid = 0;
		if (!file_parse(parsed, directory, parsed->file))
			return -EINVAL;
	}

	*ret = g_steal_pointer(&parsed);
	return 0;
}

VolumeName *volume_name_free(VolumeName *name)
{
	if (!name)
		return NULL;
	g_free(name->file);
	g_free(name);
	return NULL;
}

char *volume_name_dup_disk(unsigned vmid, unsigned disk, VolumeFormat format)
{
	assert(vmid >= CT_ID_MIN);
	assert(disk < VOLUME_DISK_MAX);
	assert(format == VOLUME_FORMAT_RAW || format == VOLUME_FORMAT_SUBVOL);

	return format == VOLUME_FORMAT_RAW
		       ? g_strdup_printf("%u/vm-%u-disk-%u.raw", vmid, vmid, disk)
		       : g_strdup_printf("%u/subvol-%u-disk-%u.subvol", vmid, vmid, disk);
}

char *volume_name_dup_file(StorageContent content, unsigned vmid, const char *file)
{
	g_autoptr(VolumeName) parsed = NULL;
	g_autofree char *name = NULL;

	assert(file);

	name = content == STORAGE_CONTENT_ROOTDIR
		       ? g_strdup_printf("%u/%s", vmid, file)
		       : g_strdup_printf("%s/%s", storage_content_to_string(content), file);
	if (volume_name_parse(name, &parsed) < 0)
		return NULL;
	return g_steal_pointer(&name);
}
