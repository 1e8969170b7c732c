/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/hostkeys.h"

#include <string.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/process.h"

#define KEY_SIZE_MAX 16384

static void host_key_free(HostKey *key)
{
	if (!key)
		return;

	if (key->private)
		explicit_bzero(key->private, strlen(key->private));
	g_free(key->private);
	g_free(key->public);
	g_free(key->path);
	g_free(key);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostKey, host_key_free)

static int make_key(
	const char *directory, const char *type, const char *comment, HostKey **ret, GError **err)
{
	g_autofree char *name = g_strdup_printf("ssh_host_%s_key", type);
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autofree char *public_path = g_strconcat(path, ".pub", NULL);
	const char *const argv[] = {
		"ssh-keygen", "-q", "-t", type, "-N", "", "-C", comment, "-f", path, NULL};
	g_autoptr(HostKey) key = g_new0(HostKey, 1);
	int r;

	r = process_run(argv, NULL, err);
	if (r < 0)
		return err_prefix(err, r, "cannot make the container's ssh host keys");

	key->path = g_strconcat("/etc/ssh/", name, NULL);
	r = file_read(path, KEY_SIZE_MAX, &key->private, NULL);
	if (r == 0)
		r = file_read(public_path, KEY_SIZE_MAX, &key->public, NULL);
	if (r < 0)
		return err_set_errno(err, r, "cannot read the new ssh host key '%s'", path);

	*ret = g_steal_pointer(&key);
	return 0;
}

int host_keys_make(const char *comment, GPtrArray **ret, GError **err)
{
	static const char *const types[] = {"rsa", "ecdsa", "ed25519"};
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func((GDestroyNotify)host_key_free);
	g_autoptr(GError) error = NULL;
	g_autofree char *directory = NULL;
	int r = 0;

	assert(comment && ret);

	directory = g_dir_make_tmp("atoll-keys-XXXXXX", &error);
	if (!directory)
		return err_take(err, EIO, &error);

	for (unsigned i = 0; r == 0 && i < G_N_ELEMENTS(types); i++) {
		HostKey *key = NULL;

		r = make_key(directory, types[i], comment, &key, err);
		if (r == 0)
			g_ptr_array_add(keys, key);
	}

	/* What is left of private keys in a directory of ours would be no error of the set-up. */
	(void)file_remove_tree(directory);
	if (r == 0)
		*ret = g_steal_pointer(&keys);
	return r;
}
