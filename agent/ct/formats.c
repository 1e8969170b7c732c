/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/formats.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

#define ALPHA    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS   "0123456789"
#define WORD     ALPHA DIGITS "_"
#define OCTAL    "01234567"
#define HOST     ALPHA DIGITS "-"
#define VLAN_MAX 4094

/* Whether the first n bytes of text (not none) are all in set. */
static bool all_in(const char *text, size_t n, const char *set)
{
	size_t n_good = strspn(text, set);

	return n > 0 && n_good >= n;
}

/* Parses digits up to the end of text into *ret; false for anything else or above max. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	return g_ascii_string_to_unsigned(text, 10, 0, max, ret, NULL);
}

char **format_list_split(const char *value)
{
	g_auto(GStrv) parts = g_strsplit_set(value, ",; \t\r\n", -1);
	g_autoptr(GPtrArray) kept = g_ptr_array_new();

	for (char **part = parts; *part; part++)
		if (**part)
			g_ptr_array_add(kept, g_strdup(*part));

	g_ptr_array_add(kept, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&kept), FALSE);
}

/* --- Network ---------------------------------------------------------------------------------- */

int format_mac(const char *value, GError **err)
{
	size_t length = strlen(value);

	if (length != strlen("00:00:00:00:00:00"))
		return err_set(err, EINVAL, "'%s' is not a MAC address", value);
	for (size_t i = 0; i < length; i++)
		if (i % 3 == 2 ? value[i] != ':' : !g_ascii_isxdigit(value[i]))
			return err_set(err, EINVAL, "'%s' is not a MAC address", value);

	/* The lowest bit of the first byte marks addresses of groups. */
	if (g_ascii_xdigit_value(value[1]) & 1)
		return err_set(err, EINVAL, "'%s' is a multicast MAC address", value);

	return 0;
}

int format_ipv4(const char *value, GError **err)
{
	struct in_addr address;

	if (inet_pton(AF_INET, value, &address) != 1)
		return err_set(err, EINVAL, "'%s' is not an IPv4 address", value);
	return 0;
}

int format_ipv6(const char *value, GError **err)
{
	struct in6_addr address;

	if (inet_pton(AF_INET6, value, &address) != 1)
		return err_set(err, EINVAL, "'%s' is not an IPv6 address", value);
	return 0;
}

/* An address and a prefix of 8 to prefix_max bits. */
static int check_cidr(const char *value, int (*check_address)(const char *, GError **),
	uint64_t prefix_max, GError **err)
{
	g_autofree char *address = NULL;
	const char *slash = strchr(value, '/');
	uint64_t prefix;
	int r;

	if (!slash)
		return err_set(err, EINVAL, "'%s' has no prefix length, as in ADDRESS/%s", value,
			prefix_max == 32 ? "24" : "64");

	address = g_strndup(value, (size_t)(slash - value));
	r = check_address(address, err);
	if (r < 0)
		return r;

	if (!parse_number(slash + 1, prefix_max, &prefix) || prefix < 8)
		return err_set(err, EINVAL, "prefix length of '%s' must be 8 to %u", value,
			(unsigned)prefix_max);
	return 0;
}

int format_ipv4_config(const char *value, GError **err)
{
	if (str_equal(value, "dhcp") || str_equal(value, "manual"))
		return 0;
	return check_cidr(value, format_ipv4, 32, err);
}

int format_ipv6_config(const char *value, GError **err)
{
	if (str_equal(value, "auto") || str_equal(value, "dhcp") || str_equal(value, "manual"))
		return 0;
	return check_cidr(value, format_ipv6, 128, err);
}

int format_interface(const char *value, GError **err)
{
	size_t length = strlen(value);

	if (length >= IFNAMSIZ)
		return err_set(err, EINVAL,
			"'%s' is longer than the %d characters of a name of a "
			"network interface",
			value, IFNAMSIZ - 1);
	if (!all_in(value, length, WORD "-.") || str_equal(value, ".") || str_equal(value, ".."))
		return err_set(err, EINVAL, "'%s' is not a name of a network interface", value);
	return 0;
}

int format_vlan_list(const char *value, GError **err)
{
	g_auto(GStrv) parts = g_strsplit(value, ";", -1);

	for (char **part = parts; *part; part++) {
		uint64_t tag;

		if (!parse_number(*part, VLAN_MAX, &tag) || tag < 1)
			return err_set(err, EINVAL, "VLAN tag '%s' is not a number from 1 to %d",
				*part, VLAN_MAX);
	}
	return 0;
}

static bool is_dns_label(const char *label)
{
	size_t length = strlen(label);

	return length <= 63 && all_in(label, length, HOST) && label[0] != '-' &&
	       label[length - 1] != '-';
}

int format_dns_name(const char *value, GError **err)
{
	g_auto(GStrv) labels = g_strsplit(value, ".", -1);

	if (strlen(value) > 255)
		return err_set(err, EINVAL, "a DNS name has at most 255 characters");
	if (!labels[0])
		return err_set(err, EINVAL, "a DNS name cannot be empty");
	for (char **label = labels; *label; label++)
		if (!is_dns_label(*label))
			return err_set(err, EINVAL, "'%s' is not a DNS name", value);
	return 0;
}

int format_dns_name_list(const char *value, GError **err)
{
	g_auto(GStrv) names = format_list_split(value);

	for (char **name = names; *name; name++) {
		int r = format_dns_name(*name, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* An address of either family; a link-local one may name its interface: fe80::1%eth0. */
static int check_nameserver(const char *value, GError **err)
{
	const char *percent = strchr(value, '%');
	g_autofree char *address = NULL;
	struct in6_addr parsed6;
	struct in_addr parsed4;

	if (!percent) {
		if (inet_pton(AF_INET, value, &parsed4) == 1 ||
			inet_pton(AF_INET6, value, &parsed6) == 1)
			return 0;
		return err_set(err, EINVAL, "'%s' is not an IP address", value);
	}

	address = g_strndup(value, (size_t)(percent - value));
	if (inet_pton(AF_INET6, address, &parsed6) != 1 || !IN6_IS_ADDR_LINKLOCAL(&parsed6))
		return err_set(err, EINVAL,
			"'%s' names an interface but is no link-local IPv6 address", value);
	return format_interface(percent + 1, err);
}

int format_nameserver_list(const char *value, GError **err)
{
	g_auto(GStrv) addresses = format_list_split(value);

	for (char **address = addresses; *address; address++) {
		int r = check_nameserver(*address, err);

		if (r < 0)
			return r;
	}
	return 0;
}

char *canonical_space_list(const char *value)
{
	g_auto(GStrv) parts = format_list_split(value);

	return g_strjoinv(" ", parts);
}

/* --- Volumes, files and devices --------------------------------------------------------------- */

/* Components that would lead elsewhere than the text says. */
static bool has_dots(const char *path)
{
	return strstr(path, "/./") || strstr(path, "/../") || g_str_has_suffix(path, "/.") ||
	       g_str_has_suffix(path, "/..") || g_str_has_prefix(path, "../");
}

int format_guest_path(const char *value, GError **err)
{
	if (has_dots(value))
		return err_set(err, EINVAL, "path '%s' must not contain '.' or '..'", value);
	return 0;
}

int format_mount_target(const char *value, GError **err)
{
	if (!value[strspn(value, "/")])
		return err_set(err, EINVAL, "'%s' is where the root volume is mounted", value);
	return format_guest_path(value, err);
}

/* A storage's name: two characters or more, a letter first, a letter or digit last. */
static bool is_storage_id(const char *text, size_t length)
{
	return length >= 2 && g_ascii_isalpha(text[0]) && all_in(text, length, WORD "-.") &&
	       g_ascii_isalnum(text[length - 1]);
}

int format_volume_id(const char *value, GError **err)
{
	const char *colon = strchr(value, ':');

	if (!colon || !colon[1] || !is_storage_id(value, (size_t)(colon - value)))
		return err_set(err, EINVAL, "unable to parse volume id '%s'", value);
	if (has_dots(value))
		return err_set(err, EINVAL, "volume '%s' must not contain '.' or '..'", value);
	for (const char *c = value; *c; c++)
		if (g_ascii_iscntrl(*c))
			return err_set(err, EINVAL, "volume id contains a control character");
	return 0;
}

int format_volume(const char *value, GError **err)
{
	if (value[0] == '/')
		return format_guest_path(value, err);

	/* A bare size: the storage is named by another parameter of create. */
	if (g_ascii_isdigit(value[0]) && all_in(value, strlen(value), DIGITS "."))
		return 0;
	return format_volume_id(value, err);
}

int format_device_path(const char *value, GError **err)
{
	if (!g_str_has_prefix(value, "/dev/") || !value[strlen("/dev/")] || has_dots(value))
		return err_set(err, EINVAL, "'%s' is not a path below /dev", value);
	return 0;
}

int format_octal_mode(const char *value, GError **err)
{
	if (strlen(value) != 4 || value[0] != '0' || !all_in(value, 4, OCTAL))
		return err_set(err, EINVAL, "mode '%s' is not of the form 0NNN, octal", value);
	return 0;
}

int format_mount_options(const char *value, GError **err)
{
	static const char *const known[] = {
		"discard", "lazytime", "noatime", "nodev", "noexec", "nosuid", NULL};
	g_auto(GStrv) options = g_strsplit(value, ";", -1);

	for (char **option = options; *option; option++)
		if (!g_strv_contains(known, *option))
			return err_set(err, EINVAL,
				"mount option '%s' is not one of discard, "
				"lazytime, noatime, nodev, noexec, nosuid",
				*option);
	return 0;
}

int format_mount_types(const char *value, GError **err)
{
	g_auto(GStrv) types = g_strsplit(value, ";", -1);

	for (char **type = types; *type; type++)
		if (!all_in(*type, strlen(*type), WORD "."))
			return err_set(err, EINVAL, "'%s' is not a type of file system", *type);
	return 0;
}

/* One exception of a mount point's map: u|g:container:disk:count. */
static bool is_idmap_exception(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", -1);
	uint64_t number[3];

	if (g_strv_length(parts) != 4 || (!str_equal(parts[0], "u") && !str_equal(parts[0], "g")))
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (!parse_number(parts[i + 1], UINT32_MAX - 1, &number[i]))
			return false;
	return number[2] > 0 && number[0] + number[2] <= UINT32_MAX &&
	       number[1] + number[2] <= UINT32_MAX;
}

int format_mount_idmap(const char *value, GError **err)
{
	g_auto(GStrv) exceptions = g_strsplit(value, ";", -1);

	if (str_equal(value, "passthrough"))
		return 0;
	for (char **exception = exceptions; *exception; exception++)
		if (!is_idmap_exception(*exception))
			return err_set(err, EINVAL,
				"'%s' is neither 'passthrough' nor TYPE:CONTAINER:DISK:COUNT "
				"with type u or g",
				*exception);
	return 0;
}

int format_size(const char *value, GError **err)
{
	int64_t bytes;

	if (size_parse(value, &bytes) < 0)
		return err_set(err, EINVAL, "'%s' is not a size", value);
	return 0;
}

char *canonical_size(const char *value)
{
	int64_t bytes;
	int r;

	r = size_parse(value, &bytes);
	assert(r == 0);
	return size_to_string(bytes);
}

/* --- The rest --------------------------------------------------------------------------------- */

int format_tags(const char *value, GError **err)
{
	g_auto(GStrv) tags = format_list_split(value);

	for (char **tag = tags; *tag; tag++)
		if (!all_in(*tag, 1, WORD) || !all_in(*tag, strlen(*tag), WORD "-+."))
			return err_set(err, EINVAL, "'%s' is not a valid tag", *tag);
	return 0;
}

static int compare_strings(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *canonical_tags(const char *value)
{
	g_autofree char *lower = g_ascii_strdown(value, -1);
	g_auto(GStrv) tags = format_list_split(lower);
	g_autoptr(GString) text = g_string_new(NULL);

	qsort(tags, g_strv_length(tags), sizeof(*tags), compare_strings);
	for (char **tag = tags; *tag; tag++) {
		if (tag > tags && str_equal(tag[0], tag[-1]))
			continue;
		if (text->len > 0)
			g_string_append_c(text, ';');
		g_string_append(text, *tag);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The shape of a zone's name.  Whether the zone exists is not asked here, because nodes may differ
 * in the zones that they know. */
int format_timezone(const char *value, GError **err)
{
	g_auto(GStrv) parts = g_strsplit(value, "/", -1);

	for (char **part = parts; *part; part++)
		if (!all_in(*part, strlen(*part), WORD "-+"))
			return err_set(err, EINVAL, "'%s' is not a time zone", value);
	if (!parts[0])
		return err_set(err, EINVAL, "a time zone cannot be empty");
	return 0;
}

int format_command_line(const char *value, GError **err)
{
	if (!*value)
		return err_set(err, EINVAL, "a command line cannot be empty");
	for (const char *c = value; *c; c++)
		if (g_ascii_iscntrl(*c) && *c != '\t')
			return err_set(err, EINVAL, "a command line has no control characters");
	return 0;
}

int format_environment(const char *value, GError **err)
{
	g_auto(GStrv) variables = g_strsplit(value, "\n", -1);

	for (char **variable = variables; *variable; variable++) {
		const char *equals = strchr(*variable, '=');

		if (!equals)
			return err_set(
				err, EINVAL, "'%s' is not of the form NAME=VALUE", *variable);
		if (!all_in(*variable, (size_t)(equals - *variable), WORD))
			return err_set(err, EINVAL,
				"'%.*s' is not a name of an environment variable",
				(int)(equals - *variable), *variable);
		for (const char *c = equals; *c; c++)
			if (g_ascii_iscntrl(*c) && *c != '\t')
				return err_set(err, EINVAL,
					"the value of environment variable '%.*s' has a control character",
					(int)(equals - *variable), *variable);
	}
	return 0;
}

/* Whether words[0] and words[1] are the type and the data of a key: all of them begin with the length of
 * the type's name, which base64 makes "AAAA". */
static bool is_ssh_key(char *const *words)
{
	static const char *const types[] = {"ssh-", "ecdsa-", "sk-"};

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		if (g_str_has_prefix(words[0], types[i]))
			return words[1] && g_str_has_prefix(words[1], "AAAA");
	return false;
}

int format_ssh_keys(const char *value, GError **err)
{
	g_auto(GStrv) lines = g_strsplit(value, "\n", -1);

	for (unsigned i = 0; lines[i]; i++) {
		const char *line = g_strstrip(lines[i]);
		g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
		bool good = !*line || *line == '#';

		/* Options may stand before the type. */
		for (char **word = words; !good && *word; word++)
			good = is_ssh_key(word);
		if (!good)
			return err_set(err, EINVAL, "line %u is not an SSH public key", i + 1);
	}
	return 0;
}
