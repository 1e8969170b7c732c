/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What commands print of the API's answers.  Widths and orders are those that scripts rely on. */

#include <jansson.h>

#include "cli/args.h"

/* pct list: VMID, Status, Lock, Name; nothing when there is no container. */
void print_containers(const json_t *data, const Args *args);

/* pct status: "status: running"; with --verbose sorted "key: value" lines. */
void print_container_status(const json_t *data, const Args *args);

/* pct config: sorted "key: value" lines, raw LXC entries last. */
void print_config(const json_t *data, const Args *args);

/* pct pending: "cur", "new" and "del" lines, sorted by key. */
void print_pending(const json_t *data, const Args *args);

/* pvesm status, pvesm list, pvesm path, pveam list. */
void print_storages(const json_t *data, const Args *args);
void print_volumes(const json_t *data, const Args *args);
void print_path(const json_t *data, const Args *args);
void print_templates(const json_t *data, const Args *args);

/* pvecm status and nodes. */
void print_cluster_status(const json_t *data, const Args *args);
void print_cluster_nodes(const json_t *data, const Args *args);

/* Any answer as JSON, for --output-format json (one line) and json-pretty. */
void print_json(const json_t *data, bool pretty);
