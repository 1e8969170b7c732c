/* SPDX-License-Identifier: Apache-2.0 */

/* Parameters of API requests, as a form and as JSON. */

#include "agent/api/params.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *form = json_object(), *object = json_object();

	(void)params_add_form(form, (const char *)data, size, NULL);
	(void)params_add_json(object, (const char *)data, size, NULL);
	assert(json_object_size(form) <= PARAMS_MAX && json_object_size(object) <= PARAMS_MAX);
	json_decref(form);
	json_decref(object);
	return 0;
}
