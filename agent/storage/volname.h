/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names of volumes on storages that keep them as files: what stands behind the colon of a volume
 * id.
 *
 *	ID/vm-ID-disk-K.raw		image of guest ID
 *	ID/base-ID-disk-K.raw		image of a template; only read
 *	ID/subvol-ID-disk-K.subvol	directory of guest ID
 *	vztmpl/FILE			template of containers: .tar, .tar.gz, .tar.xz, .tar.zst …
 *	backup/FILE iso/FILE snippets/FILE import/FILE
 *
 * Instead of disk-K an image may have another tail of letters, digits, '.', '_' and '-'.
 *
 * Pure: nothing here looks at a disk. */

#include <stdbool.h>

#include <glib.h>

#include "agent/storage/storage.h"

/* Disk numbers of one guest are 0 … VOLUME_DISK_MAX - 1. */
#define VOLUME_DISK_MAX 1024

/* Longest name, and so longest path below a storage's directory. */
#define VOLUME_NAME_MAX 512

typedef struct VolumeName {
	StorageContent content;
	VolumeFormat format;
	unsigned vmid; /* 0: belongs to nobody. */
	int disk;      /* -1: not of the form disk-K. */
	bool base;     /* Image of a template. */
	char *file;    /* Last component. */
} VolumeName;

/* -EINVAL for a name that none of the forms above matches. */
int volume_name_parse(const char *name, VolumeName **ret);
VolumeName *volume_name_free(VolumeName *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeName, volume_name_free)

/* "100/vm-100-disk-0.raw" or its directory form; owned by the caller. */
char *volume_name_dup_disk(unsigned vmid, unsigned disk, VolumeFormat format);

/* The name of a file of this content ("vztmpl/x.tar"), NULL when its suffix does not fit; of an
 * image ("100/vm-100-disk-0.raw") for content ROOTDIR and vmid.  Owned by the caller. */
char *volume_name_dup_file(StorageContent content, unsigned vmid, const char *file);
