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
#include <sys/wait.h>
#include <unistd.h>

#include "agent/storage/idnames.h"
#include "base/fileutil.h"
#include "base/macro.h"

/* Bytes read at a time, and kept between the two processes. */
#define READ_SIZE (256 * 1024)
#define PIPE_SIZE (1024 * 1024)

/* Warnings that are passed on; a broken archive could have millions. */
#define WARNINGS_MAX 100

/* Longest path name of an entry. */
#define PATH_LENGTH_MAX 4096

struct unpacking {
	const ExtractChild *child;
	int tar_fd;         /* The decompressed archive. */
	pid_t decompressor; /* Writes to the other end. */
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

/* One entry of an ACL, as libarchive takes it apart. */
struct acl_entry {
	int type, permset, tag;
	int id; /* Negative: only a name. */
};

static const char *error_text(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	return text ? text : "unknown error";
}

G_NORETURN static void fail_broken(const ExtractChild *child, struct archive *reader)
{
	/* The parent puts the archive's name in front. */
	fail(child, EBADMSG, "the archive is broken: %s", error_text(reader));
}

/* Writes the decompressed archive to fd.  Filters are named one by one: "all" of libarchive has
 * some that run programs, and in the new root these would be the archive's. */
G_NORETURN static void decompress(const ExtractChild *child, int fd)
{
	struct archive *reader = archive_read_new();
	struct archive_entry *entry;
	la_int64_t offset;
	const void *block;
	size_t size;
	int r;

	assert(reader);
	(void)archive_read_support_filter_gzip(reader);
	(void)archive_read_support_filter_bzip2(reader);
	(void)archive_read_support_filter_xz(reader);
	(void)archive_read_support_filter_zstd(reader);
	(void)archive_read_support_format_empty(reader);
	(void)archive_read_support_format_raw(reader);
	if (archive_read_open_fd(reader, child->archive_fd, READ_SIZE) != ARCHIVE_OK)
		fail_broken(child, reader);
	r = archive_read_next_header(reader, &entry);
	while (r == ARCHIVE_OK) {
		r = archive_read_data_block(reader, &block, &size, &offset);
		/* An unpacker that has failed has also said why. */
		if (r == ARCHIVE_OK && file_write_all(fd, block, size) < 0)
			_exit(EXIT_FAILURE);
	}
	if (r != ARCHIVE_EOF)
		fail_broken(child, reader);
	_exit(EXIT_SUCCESS);
}

/* Decompressing and making files each take about half of the time, so each has a process. */
static void start_decompressor(struct unpacking *u)
{
	int pipe_fds[2];

	fail_unless(u->child, pipe2(pipe_fds, O_CLOEXEC) == 0, "make a pipe");
	(void)fcntl(pipe_fds[0], F_SETPIPE_SZ, PIPE_SIZE); /* Else there are a few more switches. */
	u->decompressor = fork();
	fail_unless(u->child, u->decompressor >= 0, "fork");
	if (u->decompressor == 0) {
		fail_unless(u->child, prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "follow the parent");
		(void)close(pipe_fds[0]);
		decompress(u->child, pipe_fds[1]);
	}
	(void)close(pipe_fds[1]);
	u->tar_fd = pipe_fds[0];
}

/* Reads on to the end of the archive, behind which the checksum may be, and makes sure that it was
 * good. */
static void finish_decompressor(struct unpacking *u)
{
	char rest[4096];
	int status;

	while (read(u->tar_fd, rest, sizeof(rest)) > 0)
		;
	if (waitpid(u->decompressor, &status, 0) < 0 || status != 0)
		_exit(EXIT_FAILURE); /* It has said why. */
}

static void warn(struct unpacking *u, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void warn(struct unpacking *u, const char *format, ...)
{
	char sentence[EXTRACT_MESSAGE_MAX];
	va_list args;

	if (++u->n_warnings > WARNINGS_MAX)
		return;
	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence) - 32, format, args);
	va_end(args);
	send_message(u->child, EXTRACT_MESSAGE_WARN "%s", sentence);
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
	warn(u, "cannot unpack '%s': %s", path, error_text(u->disk));
}

/* Name without leading "/" and "./" and final "/", "." for the root itself; owned by the caller.
 * NULL when it has a component "..", or is no usable name at all. */
static char *normalize(const char *name)
{
	size_t length;

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
	length = strlen(name);
	while (length > 0 && name[length - 1] == '/')
		length--;
	return length > 0 ? g_strndup(name, length) : g_strdup(".");
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

/* Archives may name the users and groups of ACLs instead of numbering them.  Without a number an
 * entry cannot be set: then the file gets no ACL, and a warning says so. */
static void number_acl(struct unpacking *u, struct archive_entry *entry, const char *path)
{
	g_autoptr(GArray) acl = g_array_new(FALSE, FALSE, sizeof(struct acl_entry));
	g_autofree char *unknown = NULL;
	struct acl_entry e;
	const char *name;

	if (archive_entry_acl_reset(entry, ARCHIVE_ENTRY_ACL_TYPE_POSIX1E) <= 0)
		return;
	while (archive_entry_acl_next(entry, ARCHIVE_ENTRY_ACL_TYPE_POSIX1E, &e.type, &e.permset,
		       &e.tag, &e.id, &name) == ARCHIVE_OK) {
		bool is_user = e.tag == ARCHIVE_ENTRY_ACL_USER;

		if (e.id < 0 && name && (is_user || e.tag == ARCHIVE_ENTRY_ACL_GROUP)) {
			int64_t id = id_by_name(is_user ? "/etc/passwd" : "/etc/group", name);

			if (id < 0 && !unknown)
				unknown = g_strdup(name);
			e.id = (int)id;
		}
		g_array_append_val(acl, e);
	}

	archive_entry_acl_clear(entry);
	if (unknown) {
		warn(u, "'%s' gets no ACL, as its '%s' is not known", path, unknown);
		return;
	}
	for (unsigned i = 0; i < acl->len; i++) {
		e = g_array_index(acl, struct acl_entry, i);
		(void)archive_entry_acl_add_entry(entry, e.type, e.permset, e.tag, e.id, NULL);
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
			fail_broken(u->child, u->reader);
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

/* Device nodes are the runtime's, and lost+found is the file system's. */
static bool is_excluded(const char *path)
{
	return g_str_has_prefix(path, "dev/") || str_equal(path, "lost+found") ||
	       g_str_has_prefix(path, "lost+found/");
}

static void unpack_entry(struct unpacking *u, struct archive_entry *entry)
{
	const char *link = archive_entry_hardlink(entry);
	g_autofree char *path = normalize(archive_entry_pathname(entry));
	g_autofree char *link_path = NULL;

	if (!path)
		fail(u->child, EBADMSG, "the archive has an entry with the bad name '%s'",
			archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "");
	if (is_excluded(path) || is_taken(path, entry))
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
	number_acl(u, entry, path);

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
			fail_broken(u->child, u->reader);
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

static void open_reader(struct unpacking *u)
{
	u->reader = archive_read_new();
	assert(u->reader);
	(void)archive_read_support_format_tar(u->reader);
	if (archive_read_open_fd(u->reader, u->tar_fd, READ_SIZE) != ARCHIVE_OK)
		fail_broken(u->child, u->reader);
}

void extract_child_run(const ExtractChild *child)
{
	struct unpacking u = {.child = child};

	lock_in(child);

	start_decompressor(&u);
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
	finish_decompressor(&u);

	send_message(child, EXTRACT_MESSAGE_DONE);
	_exit(EXIT_SUCCESS);
}
