/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields of config.json there are (oci_fields.def), and a walk of a configuration along them,
 * before anything reads it. */
#include "oci.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct field {
	const char *path;
	enum moat_oci_outcome outcome;
	const char *why;
} fields[] = {
#define DONE(path)	   {path, MOAT_OCI_HONOURED, ""},
#define REFUSED(path, why) {path, MOAT_OCI_REFUSED, why},
#define WARNED(path, why)  {path, MOAT_OCI_WARNED, why},
#include "oci_fields.def"
#undef DONE
#undef REFUSED
#undef WARNED
};

const char *
moat_oci_field(size_t i, enum moat_oci_outcome *outcome, const char **why)
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

static int
note(struct oci *o, const char *where, const char *why)
{
	char *text = oci_print(o, "%s: %s", where, why);

	return text ? oci_texts_add(o, &o->warnings, text) : -1;
}

static int walk(struct oci *o, json_t *v, const char *path, const char *where);

/* A value whose field is path. */
static int
visit(struct oci *o, json_t *v, const char *path, const char *where)
{
	const struct field *f = find(path);

	if (!f) {
		return note(o, where, "not a field of the specification");
	}
	if (f->path[strlen(path)] != 0 || f->outcome == MOAT_OCI_HONOURED)
		return walk(o, v, path, where);
	if (says_nothing(v))
		return 0;
	if (f->outcome == MOAT_OCI_REFUSED)
		return oci_error(o, "%s: %s", where, f->why);
	return note(o, where, f->why);
}

/* The field that path.key is, which may be called anything there. Malloc'd, or NULL. */
static char *
field_of(const char *path, const char *key)
{
	/* A name with a dot in it is no way to a part. */
	const char *names[] = {strpbrk(key, ".[") ? "?" : key, "*"};
	char *first = NULL, *text;

	for (int i = 0; i < 2; i++) {
		if (asprintf(&text, "%s%s%.200s", path, *path ? "." : "", names[i]) < 0)
			break;
		if (find(text)) {
			free(first);
			return text;
		}
		if (i == 0)
			first = text;
		else
			free(text);
	}
	return first;
}

/* A member of an object, called key. */
static int
walk_member(struct oci *o, json_t *e, const char *path, const char *where, const char *key)
{
	char *name = NULL, *field = field_of(path, key);
	int r = -1;

	if (!field || asprintf(&name, "%s%s%.200s", where, *where ? "." : "", key) < 0)
		name = NULL;
	r = name ? visit(o, e, field, name) : oci_no_memory(o);
	free(name);
	free(field);
	return r;
}

/* An entry of a list. */
static int
walk_entry(struct oci *o, json_t *e, const char *path, const char *where, size_t i)
{
	char *name = NULL, *field = NULL;
	int r;

	if (asprintf(&field, "%s[]", path) < 0)
		field = NULL;
	if (!field || asprintf(&name, "%s[%zu]", where, i) < 0)
		name = NULL;
	if (!name)
		r = oci_no_memory(o);
	else /* a list of things that have no parts has no more to look at */
		r = find(field) && json_is_object(e) ? walk(o, e, field, name) : 0;
	free(name);
	free(field);
	return r;
}

/* What is inside v. Values of the wrong type are for who reads them. */
static int
walk(struct oci *o, json_t *v, const char *path, const char *where)
{
	const char *key;
	json_t *e;
	size_t i;

	json_object_foreach(v, key, e)
	{
		if (walk_member(o, e, path, where, key) < 0)
			return -1;
	}
	json_array_foreach(v, i, e)
	{
		if (walk_entry(o, e, path, where, i) < 0)
			return -1;
	}
	return 0;
}

int
oci_fields(struct oci *o, json_t *v, const char *path, const char *where)
{
	return walk(o, v, path, where);
}
