/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guest.h"

#include <fcntl.h>
#include <jansson.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/guest/guest_child.h"
#include "agent/guest/guestnames.h"
#include "agent/guest/hostkeys.h"
#include "agent/guest/osrelease.h"
#include "base/caps.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/safepath.h"

/* Work on the guest's files is done by a child that chroots into the tree and gives up all
 * capabilities but those over files.  Paths and links of the guest are resolved below the root's
 * descriptor anyway (base/safepath.h); the child makes sure that a mistake there stays inside.  It
 * writes one JSON object to a pipe:
 *
 *	{"ostype": "debian", "version": "12", "arch": "amd64", "ssh": true,
 *	 "warnings": ["…"], "error": "…", "errno": 22}		error and errno only on failure
 *
 * The parent applies what was found to the configuration, which it alone may change. */

/* Set-up reads and writes a few small files; only a hanging disk takes this long. */
#define CHILD_TIMEOUT_S 120

/* Of the child's report: warnings quote the guest's files. */
#define REPORT_SIZE_MAX 65536

/* What the child is to do. */
typedef struct Work {
	const char *rootfs_path;
	const char *forced_ostype; /* NULL: detect it. */
	bool setup_wanted;         /* Otherwise detection is all. */
	GuestPhase phase;
	const GuestSetup *setup;
	const CtSection *section;
	const GPtrArray *host_keys;
} Work;

static int confine(const char *rootfs_path, GError **err)
{
	/* Those of the container's root over its own files. */
	static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID};
	int r;

	if (chroot(rootfs_path) < 0 || chdir("/") < 0)
		return err_set_errno(err, -errno, "cannot enter '%s'", rootfs_path);

	r = caps_keep(kept, G_N_ELEMENTS(kept));
	return (r < 0) ? err_set_errno(err, r, "cannot give up capabilities") : 0;
}

static int do_work(const Work *work, GuestFound *found, GPtrArray *warnings, GError **err)
{
	GuestRoot root = {
		.uid = work->setup ? work->setup->root_uid : 0,
		.gid = work->setup ? work->setup->root_gid : 0,
	};
	auto_close int root_fd = -1;
	int r;

	r = confine(work->rootfs_path, err);
	if (r < 0)
		return r;
	root_fd = safepath_open_root("/");
	if (root_fd < 0)
		return err_set_errno(err, root_fd, "cannot open '%s'", work->rootfs_path);

	root.fd = root_fd;
	r = guest_child_detect(&root, work->forced_ostype, found, warnings, err);
	if (r < 0 || !work->setup_wanted)
		return r;

	return guest_child_setup(&root, work->phase, work->setup, work->section, found,
		work->host_keys, warnings, err);
}

static json_t *report_to_json(
	const GuestFound *found, const GPtrArray *warnings, int r, const GError *error)
{
	g_autofree char *version = g_utf8_make_valid(found->version ? found->version : "", -1);
	json_t *report = json_pack("{s:s*, s:s, s:s*, s:b}", "ostype", found->ostype, "version",
		version, "arch", found->arch, "ssh", found->has_ssh);
	json_t *list = json_array();

	for (unsigned i = 0; i < warnings->len; i++) {
		g_autofree char *valid = g_utf8_make_valid(warnings->pdata[i], -1);

		(void)json_array_append_new(list, json_string(valid));
	}
	(void)json_object_set_new(report, "warnings", list);
	if (r < 0) {
		g_autofree char *valid = g_utf8_make_valid(error->message, -1);

		(void)json_object_set_new(report, "error", json_string(valid));
		(void)json_object_set_new(report, "errno", json_integer(-r));
	}
	return report;
}

/* The child's whole life.  It is a copy of a process with one thread, so that it may use all of
 * GLib, but it must not return into its parent's code. */
static G_GNUC_NORETURN void run_child(const Work *work, int report_fd)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	GuestFound found = {0};
	json_t *report;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(CHILD_TIMEOUT_S);
	(void)umask(022);

	r = do_work(work, &found, warnings, &error);
	report = report_to_json(&found, warnings, r, error);
	_exit(json_dumpfd(report, report_fd, 0) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static json_t *read_report(int fd)
{
	g_autofree char *text = g_malloc(REPORT_SIZE_MAX);
	size_t size = 0;
	ssize_t n;

	do {
		n = read(fd, text + size, REPORT_SIZE_MAX - size);
		if (n > 0)
			size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));

	return json_loadb(text, size, 0, NULL);
}

static void take_warnings(const json_t *report, GPtrArray *warnings)
{
	const json_t *list = json_object_get(report, "warnings");

	for (size_t i = 0; i < json_array_size(list); i++)
		g_ptr_array_add(warnings, g_strdup(json_string_value(json_array_get(list, i))));
}

static const char *arch_constant(const char *name)
{
	static const char *const names[] = {
		"amd64", "arm64", "armhf", "i386", "riscv32", "riscv64"};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (str_equal(names[i], name))
			return names[i];

	return NULL;
}

static int take_report(
	const json_t *report, GuestFound *ret_found, GPtrArray *warnings, GError **err)
{
	const char *ostype = json_string_value(json_object_get(report, "ostype"));
	const char *message = json_string_value(json_object_get(report, "error"));

	take_warnings(report, warnings);
	if (message) {
		int code = (int)json_integer_value(json_object_get(report, "errno"));

		return err_set(err, code > 0 ? code : EIO, "%s", message);
	}

	*ret_found = (GuestFound){
		.ostype = ostype ? ostype_from_id(ostype) : NULL,
		.arch = arch_constant(json_string_value(json_object_get(report, "arch"))),
		.version = g_strdup(json_string_value(json_object_get(report, "version"))),
		.has_ssh = json_is_true(json_object_get(report, "ssh")),
	};
	if (ret_found->ostype && ret_found->arch && ret_found->version)
		return 0;

	guest_found_clear(ret_found);
	return err_set(err, EBADMSG, "the guest set-up gave no proper answer");
}

static int run_work(const Work *work, GuestFound *ret_found, GPtrArray *warnings, GError **err)
{
	auto_close int read_fd = -1;
	auto_close int write_fd = -1;
	json_auto_t *report = NULL;
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set_errno(err, -errno, "cannot make a pipe");
	read_fd = fds[0];
	write_fd = fds[1];

	pid = fork();
	if (pid < 0)
		return err_set_errno(err, -errno, "cannot start the guest set-up");
	if (pid == 0)
		run_child(work, write_fd);

	fd_clear(&write_fd);
	report = read_report(read_fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set_errno(err, -errno, "cannot wait for the guest set-up");

	if (WIFSIGNALED(status))
		return err_set(
			err, EIO, "the guest set-up was ended by signal %d", WTERMSIG(status));
	if (!report)
		return err_set(err, EBADMSG, "the guest set-up gave no answer");
	return take_report(report, ret_found, warnings, err);
}

static int make_host_keys(const CtSection *section, GPtrArray **ret, GError **err)
{
	g_autofree char *label = guest_name_dup_label(section);
	g_autofree char *comment = g_strconcat("root@", label, NULL);

	return host_keys_make(comment, ret, err);
}

/* What was found goes into a new container's configuration; later it is only compared. */
static void apply_found(GuestPhase phase, const GuestFound *found, bool forced, CtSection *section,
	GPtrArray *warnings)
{
	const char *ostype = ct_section_get(section, "ostype");

	if (ostype && !forced && !str_equal(ostype, found->ostype))
		g_ptr_array_add(
			warnings, g_strdup_printf("the container holds %s, its ostype says %s",
					  found->ostype, ostype));
	if (phase != GUEST_PHASE_POST_CREATE)
		return;

	ct_section_set(section, "ostype", found->ostype);
	if (!ct_section_get(section, "arch"))
		ct_section_set(section, "arch", found->arch);
}

int guest_setup(GuestPhase phase, const GuestSetup *setup, CtSection *section,
	const char *rootfs_path, GPtrArray *warnings, GError **err)
{
	g_autoptr(GPtrArray) host_keys = NULL;
	const char *configured, *forced;
	GuestFound found = {0};
	Work work;
	int r;

	assert(phase < GUEST_N_PHASES);
	assert(setup && section && rootfs_path && warnings);

	configured = ct_section_get(section, "ostype");
	forced = setup->ostype;
	if (!forced && configured && str_equal(configured, "unmanaged"))
		forced = ostype_from_id(configured);

	work = (Work){
		.rootfs_path = rootfs_path,
		.forced_ostype = forced,
		.phase = phase,
		.setup = setup,
		.section = section,
	};
	if (phase == GUEST_PHASE_POST_CREATE && setup->ssh_host_keys &&
		!(forced && str_equal(forced, "unmanaged"))) {
		g_autoptr(GPtrArray) ignored = g_ptr_array_new_with_free_func(g_free);

		/* Keys take a while to make, and most small templates have no ssh. */
		r = run_work(&work, &found, ignored, err);
		if (r == 0 && found.has_ssh && !str_equal(found.ostype, "unmanaged"))
			r = make_host_keys(section, &host_keys, err);
		guest_found_clear(&found);
		if (r < 0)
			return r;
	}

	work.setup_wanted = true;
	work.host_keys = host_keys;
	r = run_work(&work, &found, warnings, err);
	if (r < 0)
		return r;

	apply_found(phase, &found, forced != NULL, section, warnings);
	guest_found_clear(&found);
	return 0;
}

int guest_detect(const char *rootfs_path, const char **ret_ostype, char **ret_version,
	const char **ret_arch, GPtrArray *warnings, GError **err)
{
	Work work = {.rootfs_path = rootfs_path};
	GuestFound found = {0};
	int r;

	assert(rootfs_path && ret_ostype && ret_version && ret_arch && warnings);

	r = run_work(&work, &found, warnings, err);
	if (r < 0)
		return r;

	*ret_ostype = found.ostype;
	*ret_arch = found.arch;
	*ret_version = g_steal_pointer(&found.version);
	return 0;
}
