/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/upid.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"

#define FIELD_CHARACTERS G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-"

/* Fields between the colons; the text starts with "UPID" and ends with an empty one. */
enum {
	FIELD_UPID,
	FIELD_NODE,
	FIELD_PID,
	FIELD_PID_START,
	FIELD_START,
	FIELD_TYPE,
	FIELD_ID,
	FIELD_USER,
	FIELD_END,
	N_FIELDS,
};

static bool field_is_hex(const char *field, size_t digits_min, size_t digits_max)
{
	size_t length = strlen(field);

	return length >= digits_min && length <= digits_max &&
	       strspn(field, "0123456789ABCDEF") == length;
}

static bool field_consists_of(const char *field, const char *characters)
{
	return strspn(field, characters) == strlen(field);
}

/* No slash and no leading dot can get through, which is what makes a UPID safe as a file name. */
static bool fields_are_valid(char **fields)
{
	return g_strv_length(fields) == N_FIELDS && str_equal(fields[FIELD_UPID], "UPID") &&
	       *fields[FIELD_NODE] && field_consists_of(fields[FIELD_NODE], FIELD_CHARACTERS) &&
	       field_is_hex(fields[FIELD_PID], 8, 8) &&
	       field_is_hex(fields[FIELD_PID_START], 8, 9) &&
	       (strlen(fields[FIELD_PID_START]) == 8 || *fields[FIELD_PID_START] != '0') &&
	       field_is_hex(fields[FIELD_START], 8, 8) && *fields[FIELD_TYPE] &&
	       field_consists_of(fields[FIELD_TYPE], FIELD_CHARACTERS) &&
	       field_consists_of(fields[FIELD_ID], FIELD_CHARACTERS ".") && *fields[FIELD_USER] &&
	       field_consists_of(fields[FIELD_USER], FIELD_CHARACTERS "@.!") && !*fields[FIELD_END];
}

int upid_parse(const char *text, Upid **ret, GError **err)
{
	g_auto(GStrv) fields = NULL;
	g_autoptr(Upid) upid = NULL;
	uint64_t pid;

	assert(text);
	assert(ret);

	if (strlen(text) <= UPID_LENGTH_MAX)
		fields = g_strsplit(text, ":", N_FIELDS + 1);
	if (!fields || !fields_are_valid(fields))
		return err_set(
			err, EINVAL, "unable to parse worker upid '%.*s'", UPID_LENGTH_MAX, text);
	pid = strtoull(fields[FIELD_PID], NULL, 16);
	if (pid == 0 || pid > INT_MAX)
		return err_set(err, EINVAL, "unable to parse worker upid '%s'", text);

	upid = g_new0(Upid, 1);
	upid->node = g_strdup(fields[FIELD_NODE]);
	upid->pid = (pid_t)pid;
	upid->pid_start_ticks = strtoull(fields[FIELD_PID_START], NULL, 16);
	upid->start_s = (int64_t)strtoull(fields[FIELD_START], NULL, 16);
	upid->type = g_strdup(fields[FIELD_TYPE]);
	upid->id = g_strdup(fields[FIELD_ID]);
	upid->user = g_strdup(fields[FIELD_USER]);
	*ret = g_steal_pointer(&upid);
	return 0;
}

Upid *upid_free(Upid *upid)
{
	if (!upid)
		return NULL;
	g_free(upid->node);
	g_free(upid->type);
	g_free(upid->id);
	g_free(upid->user);
	g_free(upid);
	return NULL;
}

char *upid_to_string(const Upid *upid)
{
	assert(upid);
	assert(upid->pid > 0);
	assert(upid->start_s >= 0 && upid->start_s <= UINT32_MAX);

	return g_strdup_printf("UPID:%s:%08X:%08" PRIX64 ":%08" PRIX64 ":%s:%s:%s:", upid->node,
		(unsigned)upid->pid, upid->pid_start_ticks, (uint64_t)upid->start_s, upid->type,
		upid->id, upid->user);
}

char *upid_dup_log_path(const char *directory, const char *text)
{
	g_autoptr(Upid) upid = NULL;

	assert(directory);

	if (upid_parse(text, &upid, NULL) < 0)
		return NULL;
	return g_strdup_printf("%s/%X/%s", directory, (unsigned)(upid->start_s & 0xf), text);
}

unsigned upid_vmid(const Upid *upid)
{
	guint64 vmid;

	assert(upid);

	if (!g_ascii_string_to_unsigned(upid->id, 10, 1, 999999999, &vmid, NULL))
		return 0;
	return (unsigned)vmid;
}
