/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: hooks. They are checked here, and run by who said that it does. */
#include "oci.h"
#include <stdio.h>

static const char *const kinds[] = {"prestart", "createRuntime", "createContainer",
	"startContainer", "poststart", "poststop", NULL};

static int
check_one(struct oci *o, json_t *hook, const char *where)
{
	struct oci_texts list = {0};
	const char *path = NULL;
	json_t *timeout;
	int r;

	if (!json_is_object(hook))
		return oci_error(o, "%s: not an object", where);
	if (oci_string(o, hook, where, "path", &path) < 0)
		return -1;
	if (!path || path[0] != '/')
		return oci_error(o, "%s.path: missing, or not an absolute path", where);
	r = oci_strings(o, hook, where, "args", &list) < 0 ||
			    oci_strings(o, hook, where, "env", &list) < 0
		    ? -1
		    : 0;
	oci_texts_free(&list);
	timeout = json_object_get(hook, "timeout");
	if (r == 0 && timeout &&
		(!json_is_integer(timeout) || json_integer_value(timeout) <= 0 ||
			json_integer_value(timeout) > INT32_MAX))
		return oci_error(o, "%s.timeout: not a number of seconds above zero", where);
	return r;
}

int
oci_hooks(struct oci *o, json_t *hooks)
{
	json_t *list, *hook;
	char where[64];
	size_t i;

	if (!hooks)
		return 0;
	for (const char *const *kind = kinds; *kind; kind++) {
		if (oci_array(o, hooks, "hooks", *kind, &list) < 0)
			return -1;
		json_array_foreach(list, i, hook)
		{
			snprintf(where, sizeof where, "hooks.%s[%zu]", *kind, i);
			if (check_one(o, hook, where) < 0)
				return -1;
		}
	}
	return 0;
}
