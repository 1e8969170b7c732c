/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Storages and their volumes.
 *
 * /etc/pve/storage.cfg names storages; each has a type, and the type's back-end (backend.h) knows
 * how to make, find and free volumes.  A volume is named STORAGE:NAME everywhere.  Functions that
 * touch the disk may take long and run in workers, or in the agent where they only read
 * directories. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum StorageContent {
	STORAGE_CONTENT_ROOTDIR = 1 << 0,
	STORAGE_CONTENT_IMAGES = 1 << 1,
	STORAGE_CONTENT_VZTMPL = 1 << 2,
	STORAGE_CONTENT_BACKUP = 1 << 3,
	STORAGE_CONTENT_ISO = 1 << 4,
	STORAGE_CONTENT_SNIPPETS = 1 << 5,
	STORAGE_CONTENT_IMPORT = 1 << 6,
} StorageContent;

typedef struct Storage Storage;       /* One storage as configured. */
typedef struct StorageSet StorageSet; /* All of storage.cfg; `local` is always there. */

/* Reads text of storage.cfg (NULL or "": only `local`).  Unknown types and damaged sections are
 * skipped with a sentence each in warnings (array of char*, may be NULL). */
StorageSet *storage_set_parse(const char *text, GPtrArray *warnings);

/* The same from the store on this node. */
int storage_set_load(StorageSet **ret, GError **err);
StorageSet *storage_set_free(StorageSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageSet, storage_set_free)

/* Borrowed Storage*, sorted by id; the array is the caller's. */
GPtrArray *storage_set_list(const StorageSet *set);

/* Borrowed; -ENOENT "storage 'X' does not exist". */
int storage_find(const StorageSet *set, const char *id, Storage **ret, GError **err);

/* The storage if it can be used here and now for content (0: any): it exists, is enabled, is for
 * this node, has the content type; otherwise the reason. */
int storage_require(const StorageSet *set, const char *id, const char *node, unsigned content,
	Storage **ret, GError **err);

const char *storage_id(const Storage *storage);
const char *storage_type(const Storage *storage);
unsigned storage_content(const Storage *storage); /* StorageContent bits. */
bool storage_shared(const Storage *storage);
bool storage_disabled(const Storage *storage);
bool storage_on_node(const Storage *storage, const char *node); /* Not kept from it by `nodes`. */
const char *storage_property(const Storage *storage, const char *key); /* NULL: not set. */
const char *storage_content_to_string(StorageContent content);

typedef struct StorageStatus {
	bool active;
	uint64_t total_bytes, used_bytes, available_bytes;
} StorageStatus;

int storage_status(const Storage *storage, StorageStatus *ret, GError **err);

/* Volume ids. */
typedef enum VolumeFormat {
	VOLUME_FORMAT_RAW,    /* Image file or block device with a file system. */
	VOLUME_FORMAT_SUBVOL, /* Directory tree. */
	VOLUME_FORMAT_FILE,   /* Template, backup, snippet. */
	VOLUME_FORMAT_N,
} VolumeFormat;

/* "raw", "subvol", or what the suffix of a file name says: "tgz", "tzst", "tar", … */
const char *volume_format_to_string(VolumeFormat format, const char *volid);

typedef struct VolumeInfo {
	char *volid;
	VolumeFormat format;
	unsigned content;    /* One StorageContent bit. */
	unsigned vmid;       /* 0: belongs to nobody. */
	bool base;           /* Of a template: only read. */
	uint64_t size_bytes; /* Of an image its nominal size. */
	int64_t ctime_s;
} VolumeInfo;

VolumeInfo *volume_info_free(VolumeInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeInfo, volume_info_free)

/* "local:100/vm-100-disk-0.raw" into its two parts, owned by the caller.  -EINVAL "unable to parse
 * volume id 'X'".  Checks the shape only. */
int volume_id_parse(const char *volid, char **ret_storage, char **ret_name, GError **err);

/* What the name says about the volume, and its path on this host, both owned by the caller (either
 * may be NULL).  The path is only computed, nothing needs to exist. */
int volume_resolve(const StorageSet *set, const char *volid, VolumeInfo **ret_info, char **ret_path,
	GError **err);

/* What a new volume shall be. */
typedef struct VolumeSpec {
	unsigned vmid;       /* The guest that it is for. */
	uint64_t size_bytes; /* Of an image with an ext4 file system; 0: a directory, where the
				back-end has that. */
	unsigned root_uid;   /* Host ids of the owner of the root directory. */
	unsigned root_gid;
	const char *name; /* "vm-100-disk-7.raw"; NULL: the lowest free disk number. */
} VolumeSpec;

/* Makes a volume.  *ret_volid is owned by the caller.  Nothing is left behind on failure. */
int volume_alloc(const StorageSet *set, const char *storage, const VolumeSpec *spec,
	char **ret_volid, GError **err);

/* Opens the image, directory or file of a volume (flags as of open(2), O_CLOEXEC added) without
 * following a link below the storage's own directories.  *ret_info may be NULL; owned by the
 * caller. -ENOENT when the volume does not exist. */
int volume_open(const StorageSet *set, const char *volid, int flags, int *ret_fd,
	VolumeInfo **ret_info, GError **err);

/* Frees the volume; -ENOENT when it does not exist. */
int volume_free(const StorageSet *set, const char *volid, GError **err);

/* Array of VolumeInfo* (owned by the caller), guest volumes first; content 0 and vmid 0 mean any.
 */
int storage_list(
	const Storage *storage, unsigned content, unsigned vmid, GPtrArray **ret, GError **err);
