/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A fixture for tests of guest set-up: a guest's tree in a temporary directory, and a configuration
 * for it. */

#include <string.h>
#include <sys/stat.h>

#include "agent/guest/guest_child.h"
#include "base/macro.h"
#include "base/safepath.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

#define TREE_FILE_MAX 65536

typedef struct Tree {
	void *path; /* Of tmpdir.h. */
	GuestRoot root;
	GuestSetup setup;
	GuestFound found;
	CtConfig *config;
	CtSection *section;
	GPtrArray *warnings;
	char text[TREE_FILE_MAX]; /* What tree_get() has read. */
} Tree;

static inline int tree_set_up(void **state)
{
	Tree *tree = g_new0(Tree, 1);

	*state = tree;
	if (tmpdir_set_up(&tree->path) < 0)
		return -1;

	tree->root =
		(GuestRoot){.fd = safepath_open_root(tree->path), .uid = getuid(), .gid = getgid()};
	tree->setup = (GuestSetup){.vmid = 100, .now_s = 86400 * 20000, .random_seed = 1};
	tree->config = ct_config_new();
	tree->section = ct_config_current(tree->config);
	tree->warnings = g_ptr_array_new_with_free_func(g_free);
	return tree->root.fd < 0 ? -1 : 0;
}

static inline int tree_tear_down(void **state)
{
	Tree *tree = *state;

	g_ptr_array_unref(tree->warnings);
	ct_config_free(tree->config);
	guest_found_clear(&tree->found);
	(void)close(tree->root.fd);
	(void)tmpdir_tear_down(&tree->path);
	g_free(tree);
	return 0;
}

static inline void tree_put(Tree *tree, const char *path, const char *text)
{
	assert_int_equal(guest_root_write(&tree->root, path, text, 0, NULL), 0);
}

/* NULL: no such file.  Borrowed until the next call. */
static inline const char *tree_get(Tree *tree, const char *path)
{
	g_autofree char *content = NULL;

	if (safepath_read(tree->root.fd, path, TREE_FILE_MAX - 1, &content, NULL) < 0)
		return NULL;
	(void)g_strlcpy(tree->text, content, TREE_FILE_MAX);
	return tree->text;
}

static inline void tree_put_systemd(Tree *tree)
{
	tree_put(tree, "/usr/lib/systemd/systemd", "ELF libsystemd-shared-252.so");
	assert_int_equal(fchmodat(tree->root.fd, "usr/lib/systemd/systemd", 0755, 0), 0);
	tree_put(tree, "/usr/lib/systemd/system/container-getty@.service", "TTYPath=/dev/pts/%I\n");
	assert_int_equal(guest_root_mkdir(&tree->root, "/sbin", 0755, NULL), 0);
	assert_int_equal(
		guest_root_link(&tree->root, "/sbin/init", "/usr/lib/systemd/systemd", NULL), 0);
}

static inline int tree_run(Tree *tree, GuestPhase phase)
{
	int r;

	guest_found_clear(&tree->found);
	r = guest_child_detect(&tree->root, NULL, &tree->found, tree->warnings, NULL);
	if (r < 0)
		return r;
	return guest_child_setup(&tree->root, phase, &tree->setup, tree->section, &tree->found,
		NULL, tree->warnings, NULL);
}

static inline bool tree_is_warned(const Tree *tree, const char *words)
{
	for (unsigned i = 0; i < tree->warnings->len; i++)
		if (strstr(tree->warnings->pdata[i], words))
			return true;

	return false;
}
