/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs of workers that change what is on a storage. */

#include <string.h>

#include "agent/job.h"
#include "agent/storage/storage.h"
#include "agent/storage/template.h"
#include "base/err.h"
#include "base/macro.h"

/* Digits, in KiB, or with M or G. */
static int parse_size(const char *text, uint64_t *ret_bytes, GError **err)
{
	char *unit;
	guint64 number = g_ascii_strtoull(text, &unit, 10);
	unsigned shift = 10;

	if (str_equal(unit, "M"))
		shift = 20;
	else if (str_equal(unit, "G"))
		shift = 30;
	if (!g_ascii_isdigit(*text) || (*unit && shift == 10))
		return err_set(err, EINVAL, "'%s' is not a size in KiB, or with M or G", text);
	if (number > (uint64_t)INT64_MAX >> shift)
		return err_set(err, ERANGE, "size '%s' is too large", text);
	*ret_bytes = number << shift;
	return 0;
}

/* imgalloc: {"storage", "filename" ("" chooses one), "size"}; answers with the volume id. */
static int run_alloc(Job *job, json_t **ret_result, GError **err)
{
	const char *filename = job_param(job, "filename");
	const char *storage_name = job_param(job, "storage");
	const char *size = job_param(job, "size");
	g_autoptr(StorageSet) set = NULL;
	g_autofree char *volid = NULL;
	VolumeSpec spec = {
		.vmid = job->vmid,
		.name = filename && *filename ? filename : NULL,
	};
	Storage *storage;
	int r;

	assert(storage_name && size); /* Required by the method's schema. */
	assert(job->vmid > 0);

	r = parse_size(size, &spec.size_bytes, err);
	if (r < 0)
		return r;
	r = storage_set_load(&set, err);
	if (r < 0)
		return r;
	r = storage_require(set, storage_name, job->node, STORAGE_CONTENT_ROOTDIR, &storage, err);
	if (r < 0)
		return r;
	r = volume_alloc(set, storage_id(storage), &spec, &volid, err);
	if (r < 0)
		return r;

	*ret_result = json_string(volid);
	return 0;
}

/* imgdel: {"storage", "volume"}: the volume's id or its name on the storage. */
static int run_free(Job *job, json_t **ret_result, GError **err)
{
	const char *storage_name = job_param(job, "storage");
	const char *volume = job_param(job, "volume");
	g_autoptr(StorageSet) set = NULL;
	g_autofree char *volid = NULL;
	g_autofree char *id = NULL;
	g_autofree char *name = NULL;
	Storage *storage;
	int r;

	assert(storage_name && volume); /* Required by the method's schema. */

	r = storage_set_load(&set, err);
	if (r < 0)
		return r;
	if (*volume == '/')
		r = template_volid(set, volume, &volid, err);
	else
		volid = strchr(volume, ':') ? g_strdup(volume)
					    : g_strdup_printf("%s:%s", storage_name, volume);
	if (*volume == '/' && r < 0)
		return r;
	r = volume_id_parse(volid, &id, &name, err);
	if (r < 0)
		return r;
	if (!str_equal(id, storage_name))
		return err_set(
			err, EINVAL, "volume '%s' is not on storage '%s'", volid, storage_name);
	r = storage_require(set, id, job->node, 0, &storage, err);
	if (r < 0)
		return r;
	r = volume_free(set, volid, err);
	if (r < 0)
		return r;
	job_log(job, "Removed volume '%s'", volid);
	return 0;
}

const JobType storage_jobs[] = {
	{"imgalloc", run_alloc},
	{"imgdel", run_free},
	{0},
};
