/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/changeenv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

#define ZONE_TAB     "/usr/share/zoneinfo/zone.tab"
#define TEXT_MAX     (1024 * 1024)
#define USER_OF_ROOT "root@pam"

char *datacenter_find(const char *text, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	size_t length = strlen(key);

	for (unsigned i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], key) && lines[i][length] == ':')
			return g_strstrip(g_strdup(lines[i] + length + 1));
	}
	return NULL;
}

static int check_storage(CtChangeEnv *env, const char *storage, GError **err)
{
	CtHostEnv *host = env->data;
	Storage *found;

	return storage_require(
		host->storages, storage, host->node, STORAGE_CONTENT_ROOTDIR, &found, err);
}

static int check_hookscript(CtChangeEnv *env, const char *volid, GError **err)
{
	CtHostEnv *host = env->data;
	g_autoptr(VolumeInfo) info = NULL;
	auto_close int fd = -1;
	struct stat st;
	int r;

	r = volume_open(host->storages, volid, O_PATH, &fd, &info, err);
	if (r < 0)
		return r;
	if (info->content != STORAGE_CONTENT_SNIPPETS)
		return err_set(err, EINVAL, "'%s' is not a snippet", volid);
	if (fstat(fd, &st) < 0)
		return err_set_errno(err, -errno, "cannot look at '%s'", volid);
	if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
		return err_set(err, EINVAL, "'%s' is not executable", volid);
	return 0;
}

void ct_host_env_init(CtHostEnv *host, const Job *job, const StorageSet *storages)
{
	g_autofree char *datacenter = NULL;

	*host = (CtHostEnv){.storages = storages, .node = job->node};
	/* Both files may be missing: then there is the default prefix, and any zone will do. */
	if (file_read(PATH_STORE "/datacenter.cfg", TEXT_MAX, &datacenter, NULL) >= 0)
		host->mac_prefix = datacenter_find(datacenter, "mac_prefix");
	(void)file_read(ZONE_TAB, TEXT_MAX, &host->zone_tab, NULL);

	host->env = (CtChangeEnv){
		.data = host,
		.is_root = str_equal(job->user, USER_OF_ROOT),
		.mac_prefix = host->mac_prefix,
		.zone_tab = host->zone_tab,
		.random = ct_change_random,
		.check_storage = check_storage,
		.check_hookscript = check_hookscript,
	};
}

void ct_host_env_clear(CtHostEnv *host)
{
	g_clear_pointer(&host->mac_prefix, g_free);
	g_clear_pointer(&host->zone_tab, g_free);
}
