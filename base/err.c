/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>

#include "base/macro.h"

GQuark err_domain(void)
{
	return g_quark_from_static_string("atoll");
}

int err_set(GError **err, int code, const char *format, ...)
{
	assert(code > 0);
	assert(format);

	if (err) {
		va_list ap;

		assert(!*err);
		va_start(ap, format);
		*err = g_error_new_valist(ERR_DOMAIN, code, format, ap);
		va_end(ap);
	}

	return -code;
}

int err_set_errno(GError **err, int r, const char *format, ...)
{
	assert(r < 0);
	assert(format);

	if (err) {
		g_autofree char *sentence = NULL;
		va_list ap;

		va_start(ap, format);
		sentence = g_strdup_vprintf(format, ap);
		va_end(ap);
		return err_set(err, -r, "%s: %s", sentence, g_strerror(-r));
	}

	return r;
}

int err_prefix(GError **err, int r, const char *format, ...)
{
	assert(r < 0);
	assert(format);

	if (err && *err) {
		g_autofree char *context = NULL;
		va_list ap;

		va_start(ap, format);
		context = g_strdup_vprintf(format, ap);
		va_end(ap);
		g_prefix_error(err, "%s: ", context);
	}

	return r;
}

int err_take(GError **err, int code, GError **source)
{
	g_autoptr(GError) taken = NULL;

	assert(source && *source);

	taken = g_steal_pointer(source);
	return err_set(err, code, "%s", taken->message);
}
