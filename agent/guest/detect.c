/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/detect.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/guest/osrelease.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/safepath.h"

/* An init larger than this is not looked through for the library that it is linked to. */
#define INIT_SIZE_MAX (16 * 1024 * 1024)

#define SYSTEMD_LIBRARY "libsystemd-shared-"

static int read_os_release(const GuestRoot *root, char **ret, GError **err)
{
	int r = guest_root_read(root, "/etc/os-release", ret, err);

	if (r < 0 || *ret)
		return r;
	return guest_root_read(root, "/usr/lib/os-release", ret, err);
}

static const char *ostype_of_os_release(const char *text, GPtrArray *warnings)
{
	g_autofree char *id = osrelease_dup_value(text, "ID");
	g_autofree char *escaped = NULL;
	const char *ostype = id ? ostype_from_id(id) : NULL;

	if (id && !ostype) {
		escaped = g_strescape(id, NULL);
		g_ptr_array_add(warnings,
			g_strdup_printf("the ID '%s' in os-release is not known", escaped));
	}

	return ostype;
}

static int ostype_of_lsb_release(const GuestRoot *root, const char **ret, GError **err)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r;

	r = guest_root_read(root, "/etc/lsb-release", &text, err);
	if (r < 0)
		return r;

	lines = g_strsplit(text ? text : "", "\n", -1);
	for (char **line = lines; *line; line++)
		if (g_ascii_strcasecmp(g_strstrip(*line), "DISTRIB_ID=Ubuntu") == 0)
			*ret = "ubuntu";
	return 0;
}

static const char *ostype_of_files(const GuestRoot *root)
{
	static const struct {
		const char *path;
		const char *ostype;
	} signs[] = {
		{"/etc/debian_version", "debian"},
		{"/etc/devuan_version", "devuan"},
		{"/etc/SuSE-brand", "opensuse"},
		{"/etc/SuSE-release", "opensuse"},
		{"/etc/fedora-release", "fedora"},
		{"/etc/centos-release", "centos"},
		{"/etc/redhat-release", "centos"},
		{"/etc/arch-release", "archlinux"},
		{"/etc/alpine-release", "alpine"},
		{"/etc/gentoo-release", "gentoo"},
		{"/nix/store", "nixos"},
		{"/etc/openEuler-release", "openeuler"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(signs); i++)
		if (safepath_exists(root->fd, signs[i].path))
			return signs[i].ostype;

	return NULL;
}

int detect_ostype(const GuestRoot *root, const char **ret, GPtrArray *warnings, GError **err)
{
	g_autofree char *os_release = NULL;
	const char *ostype = NULL;
	int r;

	assert(root && ret && warnings);

	r = read_os_release(root, &os_release, err);
	if (r < 0)
		return r;

	if (os_release)
		ostype = ostype_of_os_release(os_release, warnings);
	if (!ostype) {
		r = ostype_of_lsb_release(root, &ostype, err);
		if (r < 0)
			return r;
	}
	if (!ostype)
		ostype = ostype_of_files(root);
	if (!ostype && os_release)
		return err_set(err, EINVAL,
			"the distribution in the container is not known (set ostype to unmanaged "
			"to use it as it is)");
	if (!ostype)
		g_ptr_array_add(warnings,
			g_strdup("the container has no os-release file: it is left unmanaged"));

	*ret = ostype ? ostype : "unmanaged";
	return 0;
}

int detect_version(
	const GuestRoot *root, const char *ostype, char **ret, GPtrArray *warnings, GError **err)
{
	const OstypeVersionFile *file = ostype_version_file(ostype);
	g_autofree char *text = NULL;
	int r;

	assert(root && ret && warnings);

	if (!file) {
		*ret = g_strdup("");
		return 0;
	}

	if (str_equal(file->path, "/etc/os-release"))
		r = read_os_release(root, &text, err);
	else
		r = guest_root_read(root, file->path, &text, err);
	if (r < 0)
		return r;
	if (!text)
		return err_set(err, EINVAL, "cannot tell the release of %s: %s is missing", ostype,
			file->path);

	return file->parse(text, ret, warnings, err);
}

const char *elf_arch(const uint8_t *header, size_t size)
{
	unsigned machine;

	if (size < EI_NIDENT + 4 || memcmp(header, ELFMAG, SELFMAG) != 0)
		return NULL;

	/* e_machine follows e_type, in the file's own byte order. */
	if (header[EI_DATA] == ELFDATA2LSB)
		machine = (unsigned)(header[EI_NIDENT + 2] | header[EI_NIDENT + 3] << 8);
	else
		machine = (unsigned)(header[EI_NIDENT + 3] | header[EI_NIDENT + 2] << 8);

	switch (machine) {
	case EM_386:
		return "i386";
	case EM_X86_64:
		return "amd64";
	case EM_ARM:
		return "armhf";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return header[EI_CLASS] == ELFCLASS32 ? "riscv32" : "riscv64";
	default:
		return NULL;
	}
}

/* Opens a regular file; a negative errno for everything else. */
static int open_regular(const GuestRoot *root, const char *path)
{
	auto_close int fd = safepath_open(root->fd, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? fd_steal(&fd) : -EINVAL;
}

/* The program behind `#!` in the first line of a script; NULL: it is no script. */
static char *dup_interpreter(const GuestRoot *root, const char *path)
{
	char head[PATH_MAX];
	auto_close int fd = open_regular(root, path);
	const char *start;
	ssize_t n = (fd >= 0) ? read(fd, head, sizeof(head) - 1) : -1;

	if (n < 2 || head[0] != '#' || head[1] != '!')
		return NULL;

	head[n] = '\0';
	start = head + 2 + strspn(head + 2, " \t");
	return g_strndup(start, strcspn(start, " \t\n"));
}

const char *detect_arch(const GuestRoot *root, const char *ostype, GPtrArray *warnings)
{
	g_autofree char *interpreter = NULL;
	uint8_t header[EI_NIDENT + 4];
	const char *arch = NULL;
	auto_close int fd = -1;
	ssize_t n;

	assert(root && ostype && warnings);

	if (str_equal(ostype, "nixos"))
		interpreter = dup_interpreter(root, "/sbin/init");
	fd = open_regular(root, interpreter ? interpreter : "/bin/sh");
	n = (fd >= 0) ? read(fd, header, sizeof(header)) : -1;
	if (n > 0)
		arch = elf_arch(header, (size_t)n);

	if (!arch)
		g_ptr_array_add(warnings,
			g_strdup("cannot tell the container's architecture, taking amd64"));
	return arch ? arch : "amd64";
}

bool detect_systemd_is_init(const GuestRoot *root)
{
	assert(root);

	return guest_root_is_same(root, "/sbin/init", "/lib/systemd/systemd") ||
	       guest_root_is_same(root, "/sbin/init", "/usr/lib/systemd/systemd");
}

unsigned detect_systemd_release(const GuestRoot *root)
{
	g_autofree char *init = NULL;
	const char *name;
	size_t size;

	if (!detect_systemd_is_init(root) ||
		safepath_read(root->fd, "/sbin/init", INIT_SIZE_MAX, &init, &size) < 0)
		return 0;

	name = memmem(init, size, SYSTEMD_LIBRARY, strlen(SYSTEMD_LIBRARY));
	return name ? (unsigned)strtoul(name + strlen(SYSTEMD_LIBRARY), NULL, 10) : 0;
}
