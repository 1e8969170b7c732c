/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Containers' configuration files in the store, and the two locks on a container.
 *
 * The directory that a file is in says which node owns the container; only that node changes it.
 * The file lock is held for short edits (load, change, replace); the property `lock` in the
 * configuration for long operations, so that it is seen on every node and outlives a crash.
 *
 * Every change is one write to the store, which makes it all or nothing; without quorum it is
 * -EROFS "cluster not ready - no quorum". */

#include <glib.h>

#include "agent/ct/config.h"

/* How long to wait for the file lock: for an edit, and for a container that is being created. */
#define CT_LOCK_TIMEOUT_MS        10000U
#define CT_LOCK_CREATE_TIMEOUT_MS 5000U

/* All borrowed. */
typedef struct CtStore {
	const char *root;           /* The mounted store, PATH_STORE. */
	const char *node;           /* This node. */
	const char *lock_directory; /* Of the file locks, PATH_LOCK; made when missing. */
} CtStore;

/* The store of this machine for node, which is borrowed. */
CtStore ct_store_local(const char *node);

/* -ENOTCONN when the store is not there: one that is not mounted looks like one without files, and a mount
 * that has died refuses everything; neither says that there is no such container.  What reads below
 * asks this when it finds nothing. */
int ct_store_require(const CtStore *store, GError **err);

/* Where the file of vmid is when node owns it (NULL: this node); owned by the caller. */
char *ct_file_path(const CtStore *store, const char *node, unsigned vmid);

/* Reads the configuration of a container of node (NULL: this node).  *ret_digest (may be NULL) is
 * the digest of the text; both are owned by the caller.  warnings as in ct_config_parse().  -ENOENT
 * when it does not exist there. */
int ct_file_load(const CtStore *store, const char *node, unsigned vmid, CtConfig **ret,
	char **ret_digest, GPtrArray *warnings, GError **err);

/* Makes the file of a new container of this node.  -EEXIST names the node that has a guest with
 * this id; of callers on all nodes, one at most succeeds. */
int ct_file_create(const CtStore *store, unsigned vmid, const CtConfig *config, GError **err);

/* Replaces the content of a container of this node.  -ENOENT when it has gone. */
int ct_file_replace(const CtStore *store, unsigned vmid, const CtConfig *config, GError **err);

int ct_file_remove(const CtStore *store, unsigned vmid, GError **err);

/* The containers of node (NULL: this node), an array of unsigned in ascending order that the caller
 * owns. */
int ct_file_list(const CtStore *store, const char *node, GArray **ret, GError **err);

/* The node that has container vmid, owned by the caller.  -ENOENT when there is none, -EINVAL when
 * the id belongs to a virtual machine. */
int ct_file_find(const CtStore *store, unsigned vmid, char **ret_node, GError **err);

/* Takes the file lock of a container; *ret_fd owns it.  It is not re-entrant: who calls something
 * that takes it must not hold it.  -ETIMEDOUT as file_lock(). */
int ct_file_lock(
	const CtStore *store, unsigned vmid, unsigned timeout_ms, int *ret_fd, GError **err);

/* -EBUSY "CT is locked (backup)" when property `lock` is set to anything but allowed (NULL: nothing
 * is allowed). */
int ct_lock_check(const CtSection *current, const char *allowed, GError **err);

/* Removes the lock that is called name (NULL: any); -EINVAL when another one or none is set ("CT 100 is
 * not locked"). */
int ct_lock_remove(CtSection *current, unsigned vmid, const char *name, GError **err);

/* -EPERM "can't ACTION CT 100 - protection mode enabled" when the container is protected. */
int ct_protection_check(const CtSection *current, unsigned vmid, const char *action, GError **err);

/* -ESTALE "detected modified configuration …" when expected (NULL: not asked for) is not digest. */
int ct_digest_check(const char *digest, const char *expected, GError **err);
