/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The schema of containers: every option with its type, limits, default and description, and the
 * property strings inside them.  Pure tables; an option is added here and nowhere else. */

#include "base/schema.h"

/* All options of a container's configuration. */
extern const SchemaOption ct_options[];

/* Keys of netN, rootfs, mpN, unusedN, features, devN, startup. */
extern const SchemaOption ct_net_props[];
extern const SchemaOption ct_rootfs_props[];
extern const SchemaOption ct_mp_props[];
extern const SchemaOption ct_unused_props[];
extern const SchemaOption ct_features_props[];
extern const SchemaOption ct_dev_props[];
extern const SchemaOption ct_startup_props[];

#define CT_NET_MAX    32
#define CT_MP_MAX     256
#define CT_UNUSED_MAX 256
#define CT_DEV_MAX    256

/* CTIDs: 100 … 999999999, decimal without leading zero. */
#define CT_ID_MIN 100U
#define CT_ID_MAX 999999999U

/* -EINVAL with the reason for anything else. */
int ct_id_parse(const char *text, unsigned *ret_id, GError **err);
