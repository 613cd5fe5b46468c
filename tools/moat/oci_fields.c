/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields of config.json there are (oci_fields.def), and a walk of a configuration along them,
 * before anything reads it. */
#include "oci.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct field {
	const char *path;
	enum oci_outcome outcome;
	const char *why;
} fields[] = {
#define DONE(path)	   {path, OCI_DONE, ""},
#define REFUSED(path, why) {path, OCI_REFUSED, why},
#define WARNED(path, why)  {path, OCI_WARNED, why},
#include "oci_fields.def"
#undef DONE
#undef REFUSED
#undef WARNED
};

const char *
oci_field(size_t i, enum oci_outcome *outcome, const char **why)
{
	if (i >= sizeof fields / sizeof fields[0])
		return NULL;
	*outcome = fields[i].outcome;
	*why = fields[i].why;
	return fields[i].path;
}

/* The field at path, or one that is further inside it. */
static const struct field *
find(const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		const char *f = fields[i].path;

		if (strncmp(f, path, n) == 0 && (!f[n] || f[n] == '.' || f[n] == '['))
			return &fields[i];
	}
	return NULL;
}

static bool
says_nothing(json_t *v)
{
	if (json_is_object(v))
		return json_object_size(v) == 0;
	if (json_is_array(v))
		return json_array_size(v) == 0;
	if (json_is_string(v))
		return json_string_length(v) == 0;
	return json_is_null(v) || json_is_false(v) ||
	       (json_is_integer(v) && json_integer_value(v) == 0);
}

static void
note(struct oci *o, const char *where, const char *why)
{
	char *text;

	if (asprintf(&text, "%s: %s", where, why) < 0)
		text = NULL;
	strings_add(&o->warnings, oci_memory(text));
}

static int walk(struct oci *o, json_t *v, const char *path, const char *where);

/* A value whose field is path. */
static int
visit(struct oci *o, json_t *v, const char *path, const char *where)
{
	const struct field *f = find(path);

	if (!f) {
		note(o, where, "not a field of the specification");
		return 0;
	}
	if (f->path[strlen(path)] != 0 || f->outcome == OCI_DONE)
		return walk(o, v, path, where);
	if (says_nothing(v))
		return 0;
	if (f->outcome == OCI_REFUSED)
		return oci_error(o, "%s: %s", where, f->why);
	note(o, where, f->why);
	return 0;
}

/* What is inside v. Values of the wrong type are for who reads them. */
static int
walk(struct oci *o, json_t *v, const char *path, const char *where)
{
	const char *dot = *where ? "." : "", *key;
	char *name = NULL, *field = NULL;
	json_t *e;
	size_t i;
	int r = 0;

	json_object_foreach(v, key, e)
	{
		if (asprintf(&name, "%s%s%.200s", where, dot, key) < 0 ||
			asprintf(&field, "%s%s%.200s", path, *path ? "." : "", key) < 0)
			oci_memory(NULL);
		if (!find(field)) {
			/* Perhaps there it may be called anything. */
			char *any;

			if (asprintf(&any, "%s%s*", path, *path ? "." : "") < 0)
				any = NULL;
			oci_memory(any);
			if (find(any)) {
				free(field);
				field = any;
			} else {
				free(any);
			}
		}
		r = visit(o, e, field, name);
		free(name);
		free(field);
		if (r < 0)
			return r;
	}
	json_array_foreach(v, i, e)
	{
		if (asprintf(&name, "%s[%zu]", where, i) < 0 || asprintf(&field, "%s[]", path) < 0)
			oci_memory(NULL);
		/* A list of things that have no parts has no more to look at. */
		r = find(field) && json_is_object(e) ? walk(o, e, field, name) : 0;
		free(name);
		free(field);
		if (r < 0)
			return r;
	}
	return 0;
}

int
oci_fields(struct oci *o, json_t *v, const char *path, const char *where)
{
	return walk(o, v, path, where);
}
