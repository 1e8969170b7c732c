/* SPDX-License-Identifier: Apache-2.0 */

/* Values of container options, of users and of files: what is accepted is canonical the second
 * time. */

#include "base/propstring.h"

#include "agent/ct/options.h"
#include "tests/fuzz/fuzz.h"

/* The first byte of the input chooses the option. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = NULL, *once = NULL, *twice = NULL;
	const SchemaOption *option;
	SchemaStrictness strictness;
	unsigned n = 0;
	int64_t bytes;
	int r;

	if (size == 0)
		return 0;
	text = fuzz_dup_text(data + 1, size - 1);
	(void)size_parse(text, &bytes);

	while (ct_options[n].name)
		n++;
	option = &ct_options[(data[0] >> 1) % n];
	strictness = data[0] & 1 ? SCHEMA_INPUT : SCHEMA_FILE;
	if (schema_normalize(option, strictness, text, &once, NULL) < 0)
		return 0;
	r = schema_normalize(option, strictness, once, &twice, NULL);
	assert(r == 0 && strcmp(once, twice) == 0);
	return 0;
}
