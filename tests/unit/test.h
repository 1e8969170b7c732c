/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmocka and what it needs before it, in its order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
