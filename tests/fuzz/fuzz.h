/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What fuzz targets share.  A target is one program: libFuzzer hands it inputs, and whatever it
 * crashes on, or an assertion of the target refuses, is a finding.
 *
 * The targets of text get a string that ends with the input: the readers behind them take strings,
 * as their callers have refused bytes of zero before. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "base/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Called once, before all inputs; targets need not have it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The input up to its first zero, owned by the caller. */
static inline char *fuzz_dup_text(const uint8_t *data, size_t size)
{
	return g_strndup((const char *)data, size);
}

/* Commands and numbers out of an input, for targets that are programs of steps.  At the end of the
 * input there are only zeros. */
typedef struct FuzzInput {
	const uint8_t *at;
	size_t left;
} FuzzInput;

static inline uint64_t fuzz_number(FuzzInput *input, unsigned n_bytes)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < n_bytes && input->left > 0; i++, input->left--)
		number |= (uint64_t)*input->at++ << (8 * i);
	return number;
}

static inline const uint8_t *fuzz_bytes(FuzzInput *input, size_t wanted, size_t *ret_size)
{
	const uint8_t *bytes = input->at;

	*ret_size = MIN(wanted, input->left);
	input->at += *ret_size;
	input->left -= *ret_size;
	return bytes;
}
