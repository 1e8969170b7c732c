/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/shadow.h"

#include <crypt.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/macro.h"

#define SECONDS_PER_DAY 86400

#define SALT_LENGTH_MAX 16

/* libxcrypt makes four characters of salt from three bytes, as long as one more follows: eight. */
#define SALT_BYTES 7

#define SALT_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./"

enum {
	PASSWD_HASH = 1,
	PASSWD_HOME = 5,
	SHADOW_HASH = 1,
	SHADOW_CHANGED = 2,
};

bool shadow_is_hash(const char *text)
{
	static const char *const methods[] = {"$1$", "$2$", "$2a$", "$2x$", "$2y$", "$5$", "$6$"};

	assert(text);

	for (unsigned i = 0; i < G_N_ELEMENTS(methods); i++) {
		const char *salt = text + strlen(methods[i]);
		size_t length;

		if (!g_str_has_prefix(text, methods[i]))
			continue;
		length = strspn(salt, SALT_CHARACTERS);
		if (length >= 1 && length <= SALT_LENGTH_MAX && salt[length] == '$') {
			const char *hash = salt + length + 1;

			return *hash && hash[strspn(hash, SALT_CHARACTERS)] == '\0';
		}
	}

	return false;
}

int shadow_hash_password(const char *password, char **ret, GError **err)
{
	struct crypt_data *data;
	char random_bytes[SALT_BYTES];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash;

	assert(ret);

	if (!password || shadow_is_hash(password)) {
		*ret = g_strdup(password ? password : "*");
		return 0;
	}

	if (strlen(password) >= CRYPT_MAX_PASSPHRASE_SIZE)
		return err_set(err, EINVAL, "the password is longer than %d characters",
			CRYPT_MAX_PASSPHRASE_SIZE - 1);
	if (getrandom(random_bytes, sizeof(random_bytes), 0) != (ssize_t)sizeof(random_bytes))
		return err_set_errno(err, -errno, "cannot get random bytes for a salt");
	if (!crypt_gensalt_rn(
		    "$6$", 0, random_bytes, sizeof(random_bytes), setting, (int)sizeof(setting)))
		return err_set_errno(err, -errno, "cannot make a salt");

	data = g_new0(struct crypt_data, 1);
	hash = crypt_rn(password, setting, data, (int)sizeof(*data));
	if (hash)
		*ret = g_strdup(hash);
	explicit_bzero(data, sizeof(*data));
	g_free(data);
	return hash ? 0 : err_set(err, EINVAL, "cannot hash the password");
}

/* Whether a line of an account file is about user. */
static bool is_about(const char *line, const char *user)
{
	size_t length = strlen(user);

	return strncmp(line, user, length) == 0 && line[length] == ':';
}

/* Sets fields of user's lines; values[i] NULL keeps field i, and missing fields are added empty. */
static char *set_fields(
	const char *text, const char *user, const char *const *values, unsigned n_values)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_auto(GStrv) fields = NULL;
		g_autoptr(GPtrArray) all = g_ptr_array_new();

		if (!is_about(*line, user))
			continue;

		fields = g_strsplit(*line, ":", -1);
		for (char **field = fields; *field; field++)
			g_ptr_array_add(all, *field);
		while (all->len < n_values)
			g_ptr_array_add(all, (char *)"");
		for (unsigned i = 0; i < n_values; i++)
			if (values[i])
				all->pdata[i] = (char *)values[i];
		g_ptr_array_add(all, NULL);

		g_free(*line);
		*line = g_strjoinv(":", (char **)all->pdata);
	}

	return g_strjoinv("\n", lines);
}

char *shadow_set_passwd(const char *passwd, const char *user, const char *value)
{
	const char *values[] = {NULL, [PASSWD_HASH] = value};

	assert(passwd && user && value);

	return set_fields(passwd, user, values, G_N_ELEMENTS(values));
}

char *shadow_set_hash(const char *shadow, const char *user, const char *hash, int64_t now_s)
{
	g_autofree char *day = g_strdup_printf("%" G_GINT64_FORMAT, now_s / SECONDS_PER_DAY);
	const char *values[] = {NULL, [SHADOW_HASH] = hash, [SHADOW_CHANGED] = day};

	assert(shadow && user && hash);

	return set_fields(shadow, user, values, G_N_ELEMENTS(values));
}

char *shadow_dup_home(const char *passwd, const char *user)
{
	g_auto(GStrv) lines = g_strsplit(passwd, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_auto(GStrv) fields = NULL;

		if (!is_about(*line, user))
			continue;
		fields = g_strsplit(*line, ":", -1);
		if (g_strv_length(fields) > PASSWD_HOME && *fields[PASSWD_HOME])
			return g_strdup(fields[PASSWD_HOME]);
	}

	return NULL;
}
