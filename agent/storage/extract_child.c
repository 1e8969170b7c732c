/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/extract_child.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <iconv.h>
#include <linux/capability.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

/* Bytes read from the archive's file at a time. */
#define READ_SIZE (256 * 1024)

/* Warnings that are passed on; a broken archive could have millions. */
#define WARNINGS_MAX 100

/* Longest path name of an entry. */
#define PATH_LENGTH_MAX 4096

struct unpacking {
	const ExtractChild *child;
	struct archive *reader;
	struct archive *disk;
	unsigned n_entries;
	unsigned n_warnings;
};

static void send_message(const ExtractChild *child, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void send_message(const ExtractChild *child, const char *format, ...)
{
	char message[EXTRACT_MESSAGE_MAX];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	length = MIN(length, (int)sizeof(message) - 1);
	/* Nobody to tell when the parent is gone; we end with it. */
	(void)send(child->channel_fd, message, (size_t)length, MSG_NOSIGNAL);
}

/* Tells the parent why, and ends the process. */
G_NORETURN static void fail(const ExtractChild *child, int code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

G_NORETURN static void fail(const ExtractChild *child, int code, const char *format, ...)
{
	char sentence[EXTRACT_MESSAGE_MAX];
	va_list args;

	assert(code > 0);

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence) - 32, format, args);
	va_end(args);
	send_message(child, EXTRACT_MESSAGE_FAIL "%d %s", code, sentence);
	_exit(EXIT_FAILURE);
}

static void fail_unless(const ExtractChild *child, bool ok, const char *what)
{
	if (!ok)
		fail(child, errno, "cannot %s: %s", what, strerror(errno));
}

/* Leaves open what the child was given; the parent's other files are none of an archive's
 * business. */
static void close_others(const ExtractChild *child)
{
	for (unsigned fd = 0; fd < 1024; fd++)
		if ((int)fd != child->archive_fd && (int)fd != child->rootfs_fd &&
			(int)fd != child->channel_fd && fd > STDERR_FILENO)
			(void)close((int)fd);
	(void)close_range(1024, ~0U, 0);
}

static void enter_user_namespace(const ExtractChild *child)
{
	char answer[sizeof(EXTRACT_MESSAGE_MAPPED)] = "";

	fail_unless(child, unshare(CLONE_NEWUSER) == 0, "make a user namespace");
	send_message(child, EXTRACT_MESSAGE_UNSHARED);
	if (recv(child->channel_fd, answer, sizeof(answer) - 1, 0) <= 0 ||
		!str_equal(answer, EXTRACT_MESSAGE_MAPPED))
		_exit(EXIT_FAILURE); /* The parent knows why. */
	fail_unless(child, setgroups(0, NULL) == 0, "drop the groups");
	fail_unless(child, setresgid(0, 0, 0) == 0, "become the container's root group");
	fail_unless(child, setresuid(0, 0, 0) == 0, "become the container's root");
}

/* Keeps what it takes to make files of any owner with all their attributes. */
static void drop_capabilities(const ExtractChild *child)
{
	static const unsigned kept[] = {
		CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++) {
		struct __user_cap_data_struct *word = &data[CAP_TO_INDEX(kept[i])];

		word->effective |= CAP_TO_MASK(kept[i]);
		word->permitted |= CAP_TO_MASK(kept[i]);
	}
	fail_unless(child, syscall(SYS_capset, &header, data) == 0, "drop capabilities");
	fail_unless(child, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "give up new privileges");
}

/* From here on no path leads out of the target. */
static void lock_in(const ExtractChild *child)
{
	iconv_t converter;

	/* Names are bytes to us and UTF-8 to the pax format.  The locale and the converters' table
	 * must be in memory before the root changes: later they would be the archive's. */
	fail_unless(child, setlocale(LC_CTYPE, "C.UTF-8") != NULL, "set the locale C.UTF-8");
	converter = iconv_open("UTF-8", "UTF-16BE");
	if (converter != (iconv_t)-1)
		(void)iconv_close(converter);

	close_others(child);
	if (child->user_namespace)
		enter_user_namespace(child);
	fail_unless(child, fchdir(child->rootfs_fd) == 0, "enter the target");
	fail_unless(child, chroot(".") == 0, "change the root to the target");
	fail_unless(child, chdir("/") == 0, "enter the new root");
	(void)close(child->rootfs_fd);
	drop_capabilities(child);

	/* After the change of ids, which clears it. */
	fail_unless(child, prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "follow the parent");
	(void)umask(0);
}

static const char *error_text(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	return text ? text : "unknown error";
}

G_NORETURN static void fail_broken(const struct unpacking *u)
{
	/* The parent puts the archive's name in front. */
	fail(u->child, EBADMSG, "the archive is broken: %s", error_text(u->reader));
}

/* An entry could not be unpacked as it should.  Ends the process, unless the caller wants to go
 * on. */
static void entry_failed(struct unpacking *u, const char *path)
{
	int code = archive_errno(u->disk);

	if (code == ENOSPC || code == EDQUOT)
		fail(u->child, ENOSPC, "no space left while unpacking '%s'", path);
	/* Attributes that the file system does not have are missed by nobody who chose it. */
	if (!u->child->ignore_errors && code != EOPNOTSUPP)
		fail(u->child, code > 0 ? code : EIO, "cannot unpack '%s': %s", path,
			error_text(u->disk));
	if (++u->n_warnings <= WARNINGS_MAX)
		send_message(u->child, EXTRACT_MESSAGE_WARN "cannot unpack '%s': %s", path,
			error_text(u->disk));
}

/* Name without leading "/" and "./", "." for the root itself; owned by the caller.  NULL when it
 * has a component "..", or is no usable name at all. */
static char *normalize(const char *name)
{
	if (!name || !*name || strlen(name) > PATH_LENGTH_MAX)
		return NULL;
	for (;;) {
		if (*name == '/')
			name++;
		else if (name[0] == '.' && name[1] == '/')
			name += 2;
		else
			break;
	}
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (part[0] == '.' && part[1] == '.' && (!part[2] || part[2] == '/'))
			return NULL;
	}
	return g_strdup(*name ? name : ".");
}

static void bytes_destroy(void *data)
{
	g_bytes_unref(data);
}

/* Of extended attributes only these are data; the others are settings of this or another host. */
static void filter_xattrs(struct archive_entry *entry)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GPtrArray) values = NULL;
	const char *name;
	const void *value;
	size_t size;

	if (archive_entry_xattr_count(entry) == 0)
		return;
	names = g_ptr_array_new_with_free_func(g_free);
	values = g_ptr_array_new_with_free_func(bytes_destroy);
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (!g_str_has_prefix(name, "user.") && !str_equal(name, "security.capability"))
			continue;
		g_ptr_array_add(names, g_strdup(name));
		g_ptr_array_add(values, g_bytes_new(value, size));
	}
	archive_entry_xattr_clear(entry);
	for (unsigned i = 0; i < names->len; i++) {
		value = g_bytes_get_data(values->pdata[i], &size);
		archive_entry_xattr_add_entry(entry, names->pdata[i], value, size);
	}
}

static void copy_data(struct unpacking *u, const char *path)
{
	for (;;) {
		const void *block;
		size_t size;
		la_int64_t offset;
		int r = archive_read_data_block(u->reader, &block, &size, &offset);

		if (r == ARCHIVE_EOF)
			return;
		if (r < ARCHIVE_WARN)
			fail_broken(u);
		if (archive_write_data_block(u->disk, block, size, offset) < ARCHIVE_OK) {
			entry_failed(u, path);
			return;
		}
	}
}

/* Whether something that must stay is in the entry's place. */
static bool is_taken(const char *path, struct archive_entry *entry)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return !S_ISDIR(st.st_mode) || archive_entry_filetype(entry) != AE_IFDIR ||
	       archive_entry_hardlink(entry);
}

static void unpack_entry(struct unpacking *u, struct archive_entry *entry)
{
	const char *link = archive_entry_hardlink(entry);
	g_autofree char *path = normalize(archive_entry_pathname(entry));
	g_autofree char *link_path = NULL;

	if (!path)
		fail(u->child, EBADMSG, "the archive has an entry with the bad name '%s'",
			archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "");
	if (g_str_has_prefix(path, "dev/") || is_taken(path, entry))
		return;
	archive_entry_set_pathname(entry, path);
	if (link) {
		link_path = normalize(link);
		if (!link_path)
			fail(u->child, EBADMSG, "the archive has a hard link to the bad name '%s'",
				link);
		archive_entry_set_hardlink(entry, link_path);
	}
	filter_xattrs(entry);

	switch (archive_write_header(u->disk, entry)) {
	case ARCHIVE_OK:
		break;
	case ARCHIVE_WARN:
		entry_failed(u, path);
		break;
	default:
		entry_failed(u, path);
		return;
	}
	if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
		copy_data(u, path);
	if (archive_write_finish_entry(u->disk) < ARCHIVE_OK)
		entry_failed(u, path);
}

static void unpack(struct unpacking *u)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(u->reader, &entry)) != ARCHIVE_EOF) {
		/* A warning is about a name that is not UTF-8; it is kept as it is. */
		if (r < ARCHIVE_WARN)
			fail_broken(u);
		u->n_entries++;
		unpack_entry(u, entry);
	}

	/* The end of a tar is marked by blocks of zeros, which are read as a last header.  Without
	 * them it was cut between two entries. */
	if (u->n_entries == 0)
		fail(u->child, EBADMSG, "the archive is empty");
	if (archive_filter_bytes(u->reader, 0) <= archive_read_header_position(u->reader))
		fail(u->child, EBADMSG, "the archive is broken: it ends before its end mark");

	/* Times and modes of directories are set last. */
	if (archive_write_close(u->disk) < ARCHIVE_OK)
		entry_failed(u, "/");
}

/* Named one by one: "all" of libarchive has filters that run programs, and in the new root these
 * would be the archive's. */
static void open_reader(struct unpacking *u)
{
	u->reader = archive_read_new();
	assert(u->reader);
	(void)archive_read_support_filter_gzip(u->reader);
	(void)archive_read_support_filter_bzip2(u->reader);
	(void)archive_read_support_filter_xz(u->reader);
	(void)archive_read_support_filter_zstd(u->reader);
	(void)archive_read_support_format_tar(u->reader);
	if (archive_read_open_fd(u->reader, u->child->archive_fd, READ_SIZE) != ARCHIVE_OK)
		fail_broken(u);
}

void extract_child_run(const ExtractChild *child)
{
	struct unpacking u = {.child = child};

	lock_in(child);

	open_reader(&u);
	/* Made after the change of ids: it remembers who it runs as.  Without a lookup function
	 * owners are numbers, and no user data base of the archive's is read. */
	u.disk = archive_write_disk_new();
	assert(u.disk);
	(void)archive_write_disk_set_options(u.disk,
		ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
			ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SPARSE |
			ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
	unpack(&u);

	send_message(child, EXTRACT_MESSAGE_DONE);
	_exit(EXIT_SUCCESS);
}
