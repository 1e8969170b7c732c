/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/change.h"

#include <string.h>

#include "agent/ct/ctfile.h"
#include "agent/ct/formats.h"
#include "agent/ct/netdev.h"
#include "agent/ct/options.h"
#include "agent/ct/staged.h"
#include "agent/job.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

/* Options that a container cannot be without, or whose absence would say something else. */
static const char *const undeletable[] = {"memory", "ostype", "rootfs", "unprivileged", NULL};

/* Options that only operations of their own change. */
static const struct {
	const char *name;
	const char *reason;
} unsettable[] = {
	{"template", "a container becomes a template by 'pct template'"},
	{"unprivileged", "cannot be changed after creation"},
	{"unused", "unused volumes are recorded, not set"},
};

uint32_t ct_change_random(CtChangeEnv *env)
{
	return g_random_int();
}

/* --- Checks of one option --------------------------------------------------------------------- */

/* An address that begins with the prefix, random from there; owned by the caller. */
static char *generate_mac(CtChangeEnv *env)
{
	const size_t length = strlen("00:00:00:00:00:00");
	GString *mac = g_string_new(env->mac_prefix ?: CT_MAC_PREFIX_DEFAULT);

	while (mac->len < length) {
		if (mac->str[mac->len - 1] != ':')
			g_string_append_c(mac, ':');
		g_string_append_printf(mac, "%02X", env->random(env) & 0xff);
	}
	g_string_ascii_up(mac);
	return g_string_free(mac, FALSE);
}

/* Fills in what a user may leave out. */
static void complete_net(PropString *ps, CtChangeEnv *env)
{
	if (!propstring_get(ps, "hwaddr")) {
		g_autofree char *mac = generate_mac(env);

		propstring_set(ps, "hwaddr", mac);
	}
	if (!propstring_get(ps, "type"))
		propstring_set(ps, "type", "veth");
}

int ct_change_complete_nets(CtSection *section, CtChangeEnv *env, GError **err)
{
	assert(section && env && env->random);

	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *key = g_strdup_printf("net%u", i);
		const char *value = ct_section_get(section, key);
		g_autoptr(PropString) ps = NULL;
		g_autofree char *text = NULL;
		int r;

		if (!value)
			continue;
		r = propstring_parse(ct_net_props, SCHEMA_FILE, value, &ps, err);
		if (r < 0)
			return err_prefix(err, r, "%s", key);
		complete_net(ps, env);
		text = propstring_to_string(ps);
		ct_section_set(section, key, text);
	}
	return 0;
}

static int check_net(PropString *ps, CtChangeEnv *env, GError **err)
{
	/* Router advertisements are read by the guest's kernel, not by the host. */
	if (propstring_get_boolean(ps, "host-managed", false) &&
		str_equal(propstring_get(ps, "ip6"), "auto"))
		return err_set(err, EINVAL, "ip6=auto cannot be managed by the host");
	/* Without its VLAN the interface would be in another network than was asked for. */
	if (propstring_get(ps, "tag") || propstring_get(ps, "trunks"))
		return err_set(err, EOPNOTSUPP, "VLANs (tag, trunks) are not supported");

	complete_net(ps, env);
	return 0;
}

static int check_volume(const char *volume, CtChangeEnv *env, GError **err)
{
	const char *colon = strchr(volume, ':');
	g_autofree char *storage = NULL;

	if (volume[0] == '/')
		return env->is_root
			       ? 0
			       : err_set(err, EPERM,
					 "only root can use devices and directories of the host");
	if (!colon || !env->check_storage)
		return 0;

	storage = g_strndup(volume, (size_t)(colon - volume));
	return env->check_storage(env, storage, err);
}

static int check_device(const CtChangeEnv *env, GError **err)
{
	if (!env->is_root)
		return err_set(err, EPERM, "only root can pass devices to a container");
	return err_set(
		err, EOPNOTSUPP, "handing devices of the host to a container is not supported");
}

static int check_props(const SchemaOption *option, PropString *ps, CtChangeEnv *env, GError **err)
{
	if (option->props == ct_net_props)
		return check_net(ps, env, err);
	if (option->props == ct_rootfs_props || option->props == ct_mp_props)
		return check_volume(propstring_get(ps, "volume"), env, err);
	if (option->props == ct_dev_props)
		return check_device(env, err);
	return 0;
}

/* Whether zone is the third column of a line of zone.tab. */
static bool zone_exists(const char *zone_tab, const char *zone)
{
	g_auto(GStrv) lines = g_strsplit(zone_tab, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_auto(GStrv) columns = g_strsplit(*line, "\t", -1);

		if (**line != '#' && g_strv_length(columns) >= 3 && str_equal(columns[2], zone))
			return true;
	}
	return false;
}

static int check_text(const SchemaOption *option, const char *value, CtChangeEnv *env, GError **err)
{
	if (str_equal(option->name, "timezone") && env->zone_tab && !str_equal(value, "host") &&
		!str_equal(value, "UTC") && !zone_exists(env->zone_tab, value))
		return err_set(err, EINVAL, "there is no time zone '%s'", value);
	if (str_equal(option->name, "hookscript") && env->check_hookscript)
		return env->check_hookscript(env, value, err);
	if (str_equal(option->name, "lock") && !env->is_root)
		return err_set(err, EPERM, "only root can lock a container by hand");
	return 0;
}

/* No property has a use for them, and to some readers of the file a line ends at a carriage return. */
static int check_characters(const char *value, GError **err)
{
	for (const char *c = value; *c; c++)
		if (g_ascii_iscntrl(*c))
			return err_set(err, EINVAL, "value has a control character");
	return 0;
}

int ct_change_check(const char *key, const char *value, CtChangeEnv *env, char **ret, GError **err)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);
	g_autoptr(PropString) ps = NULL;
	g_autofree char *canonical = NULL;
	int r;

	assert(key && value && env && env->random && ret);

	if (!option)
		return err_set(err, EINVAL, "unknown option");
	if (option->flags & SCHEMA_HIDDEN)
		return err_set(err, EINVAL, "cannot be set");

	r = schema_normalize(option, SCHEMA_INPUT, value, &canonical, err);
	if (r < 0)
		return r;
	if (option->type != SCHEMA_PROPS) {
		r = check_text(option, canonical, env, err);
		if (r < 0)
			return r;
		*ret = g_steal_pointer(&canonical);
		return 0;
	}

	r = check_characters(canonical, err);
	if (r < 0)
		return r;
	r = propstring_parse(option->props, SCHEMA_INPUT, canonical, &ps, err);
	if (r < 0)
		return r;
	r = check_props(option, ps, env, err);
	if (r < 0)
		return r;
	*ret = propstring_to_string(ps);
	return 0;
}

/* --- A request -------------------------------------------------------------------------------- */

typedef struct Request {
	CtConfig *config;
	CtChangeEnv *env;
	GPtrArray *warnings;
	CtSection *set;     /* Options to set, canonical; empty ones are among the deletes. */
	GPtrArray *deletes; /* char *, owned. */
	GPtrArray *reverts; /* char *, owned. */
	GString *problems;  /* One line each. */
} Request;

static void refuse(Request *q, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void refuse(Request *q, const char *key, const char *format, ...)
{
	va_list ap;

	g_string_append_printf(q->problems, "\n%s: ", key);
	va_start(ap, format);
	g_string_append_vprintf(q->problems, format, ap);
	va_end(ap);
}

static bool contains(const GPtrArray *keys, const char *key)
{
	for (unsigned i = 0; i < keys->len; i++)
		if (str_equal(g_ptr_array_index(keys, i), key))
			return true;
	return false;
}

static bool is_protected(const Request *q, const char *key)
{
	return ct_key_is_volume(key) &&
	       ct_section_get_boolean(ct_config_current(q->config), "protection");
}

static const char *unsettable_reason(const char *key)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(unsettable); i++)
		if (str_equal(option->name, unsettable[i].name))
			return unsettable[i].reason;
	return NULL;
}

static void check_set(Request *q, const char *key, const char *value)
{
	g_autofree char *canonical = NULL;
	g_autofree char *volume = NULL;
	g_autoptr(GError) error = NULL;

	if (ct_change_check(key, value, q->env, &canonical, &error) < 0) {
		/* A property string has a line for each of its keys, an option has one. */
		g_strdelimit(error->message, "\n", ' ');
		refuse(q, key, "%s", error->message);
		return;
	}
	if (unsettable_reason(key)) {
		refuse(q, key, "%s", unsettable_reason(key));
		return;
	}
	if (is_protected(q, key)) {
		refuse(q, key, "can't change volumes - protection mode enabled");
		return;
	}

	if (!*canonical) {
		g_ptr_array_add(q->deletes, g_strdup(key));
		return;
	}
	ct_section_set(q->set, key, canonical);
	volume = ct_section_dup_volume(q->set, key);
	if (volume && ct_volume_is_request(volume) && !strchr(volume, ':'))
		refuse(q, key, "volume '%s' does not name a storage", volume);
}

/* Whether the name in list (`delete` or `revert`) is one that may be there. */
static bool check_name(Request *q, const char *list, const char *key)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);

	if (!option || (option->flags & SCHEMA_HIDDEN)) {
		refuse(q, list, "unknown option '%s'", key);
		return false;
	}
	if (ct_section_get(q->set, key)) {
		refuse(q, list, "option '%s' is also set", key);
		return false;
	}
	return true;
}

static void check_revert(Request *q, const char *key)
{
	if (check_name(q, "revert", key) && !contains(q->reverts, key))
		g_ptr_array_add(q->reverts, g_strdup(key));
}

static void check_delete(Request *q, const char *key)
{
	if (!check_name(q, "delete", key))
		return;
	if (contains(q->reverts, key))
		refuse(q, "delete", "option '%s' is also reverted", key);
	else if (g_strv_contains(undeletable, key))
		refuse(q, "delete", "option '%s' cannot be deleted", key);
	else if (is_protected(q, key))
		refuse(q, "delete", "can't remove '%s' - protection mode enabled", key);
	else if (!contains(q->deletes, key))
		g_ptr_array_add(q->deletes, g_strdup(key));
}

static void check_list(
	Request *q, json_t *params, const char *name, void (*check)(Request *q, const char *key))
{
	const char *text = json_string_value(json_object_get(params, name));
	g_auto(GStrv) keys = format_list_split(text ?: "");

	for (char **key = keys; *key; key++)
		check(q, *key);
}

/* What option key will be after the request and all that is pending; NULL: not set. */
static const char *future_value(const Request *q, const char *key)
{
	const CtSection *pending = ct_config_pending(q->config);
	const char *current = ct_section_get(ct_config_current(q->config), key);

	if (ct_section_get(q->set, key))
		return ct_section_get(q->set, key);
	if (contains(q->deletes, key))
		return NULL;
	if (contains(q->reverts, key))
		return current;
	if (ct_staged_is_deleted(pending, key))
		return NULL;
	return ct_section_get(pending, key) ?: current;
}

/* Refuses network interfaces that the request gives the name of another one.  Those that it does not touch
 * may be wrong already, and are not its fault. */
static void check_net_names(Request *q)
{
	g_autoptr(CtSection) future = ct_section_new();

	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *key = g_strdup_printf("net%u", i);
		const char *value = future_value(q, key);

		if (value)
			ct_section_set(future, key, value);
	}
	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *key = g_strdup_printf("net%u", i);
		g_autoptr(GError) error = NULL;

		if (!ct_section_get(q->set, key) && !contains(q->reverts, key))
			continue;
		if (ct_netdev_check_name(future, i, &error) < 0)
			refuse(q, key, "%s", error->message);
	}
}

/* Reads params into q; whatever is refused becomes a problem. */
static void check_request(Request *q, json_t *params)
{
	const char *key;
	json_t *value;

	json_object_foreach(params, key, value)
		if (schema_find(ct_options, key, NULL) && json_is_string(value))
			check_set(q, key, json_string_value(value));

	check_list(q, params, "revert", check_revert);
	check_list(q, params, "delete", check_delete);
	check_net_names(q);
}

static void stage(const Request *q)
{
	CtSection *current = ct_config_current(q->config);
	CtSection *pending = ct_config_pending(q->config);
	g_autoptr(GPtrArray) keys = ct_section_keys(q->set);

	for (unsigned i = 0; i < q->reverts->len; i++)
		ct_staged_revert(pending, g_ptr_array_index(q->reverts, i));
	for (unsigned i = 0; i < q->deletes->len; i++) {
		const char *key = g_ptr_array_index(q->deletes, i);

		if (!ct_section_get(current, key) && !ct_section_get(pending, key) && q->warnings)
			g_ptr_array_add(q->warnings,
				g_strdup_printf("cannot delete '%s' - it is not set", key));
		ct_staged_delete(pending, key, false);
	}
	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);

		ct_staged_set(pending, key, ct_section_get(q->set, key));
	}
	ct_staged_simplify(q->config);
}

static void request_clear(Request *q)
{
	g_clear_pointer(&q->set, ct_section_free);
	g_clear_pointer(&q->deletes, g_ptr_array_unref);
	g_clear_pointer(&q->reverts, g_ptr_array_unref);
	if (q->problems)
		g_string_free(g_steal_pointer(&q->problems), TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Request, request_clear)

int ct_change_stage(CtConfig *config, json_t *params, const char *digest, CtChangeEnv *env,
	GPtrArray *warnings, GError **err)
{
	g_auto(Request) q = {.config = config, .env = env, .warnings = warnings};
	g_autoptr(GPtrArray) keys = NULL;
	int r;

	assert(config && params && digest && env);

	r = ct_lock_check(ct_config_current(config), NULL, err);
	if (r < 0)
		return r;
	r = ct_digest_check(digest, json_string_value(json_object_get(params, "digest")), err);
	if (r < 0)
		return r;

	q.set = ct_section_new();
	q.deletes = g_ptr_array_new_with_free_func(g_free);
	q.reverts = g_ptr_array_new_with_free_func(g_free);
	q.problems = g_string_new(NULL);
	check_request(&q, params);
	if (q.problems->len > 0)
		return err_set(err, EINVAL, JOB_BAD_PARAMETERS "%s", q.problems->str);

	keys = ct_section_keys(q.set);
	if (keys->len == 0 && q.deletes->len == 0 && q.reverts->len == 0)
		return err_set(err, EINVAL, "no options specified");

	stage(&q);
	return 0;
}
