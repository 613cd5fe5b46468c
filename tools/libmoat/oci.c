/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: top level and the helpers of its readers. Nothing is passed over in silence: what
 * becomes of which field says oci_fields.def.
 */
#include "oci.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
oci_error(struct oci *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->err, sizeof o->err, fmt, ap);
	va_end(ap);
	o->code = EINVAL;
	return -1;
}

static const char *
dot(const char *where)
{
	return *where ? "." : "";
}

int
oci_string(struct oci *o, json_t *obj, const char *where, const char *key, const char **ret)
{
	json_t *v = json_object_get(obj, key);

	if (!v)
		return 0;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return oci_error(o, "%s%s%s: not a string", where, dot(where), key);
	*ret = json_string_value(v);
	return 0;
}

int
oci_bool(struct oci *o, json_t *obj, const char *where, const char *key, bool *ret)
{
	json_t *v = json_object_get(obj, key);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return oci_error(o, "%s%s%s: neither true nor false", where, dot(where), key);
	*ret = json_is_true(v);
	return 0;
}

int
oci_uint(
	struct oci *o, json_t *obj, const char *where, const char *key, uint64_t max, uint64_t *ret)
{
	json_t *v = json_object_get(obj, key);

	if (!v)
		return 0;
	/* Numbers above INT64_MAX (RLIM_INFINITY) come as reals: json_text_widen. */
	if (json_is_real(v) && max == UINT64_MAX && json_real_value(v) >= 9.2e18 &&
		json_real_value(v) <= 1.8446744073709552e19) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		(uint64_t)json_integer_value(v) > max)
		return oci_error(o, "%s%s%s: not a number in its range", where, dot(where), key);
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

int
oci_array(struct oci *o, json_t *obj, const char *where, const char *key, json_t **ret)
{
	json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_array(v))
		return oci_error(o, "%s%s%s: not a list", where, dot(where), key);
	*ret = v;
	return 0;
}

int
oci_object(struct oci *o, json_t *obj, const char *where, const char *key, json_t **ret)
{
	json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_object(v))
		return oci_error(o, "%s%s%s: not an object", where, dot(where), key);
	*ret = v;
	return 0;
}

int
oci_strings(struct oci *o, json_t *obj, const char *where, const char *key, struct oci_texts *ret)
{
	json_t *a, *v;
	size_t i;

	if (oci_array(o, obj, where, key, &a) < 0)
		return -1;
	json_array_foreach(a, i, v)
	{
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
			return oci_error(o, "%s%s%s[%zu]: not a string", where, dot(where), key, i);
		if (oci_texts_add(o, ret, json_string_value(v)) < 0)
			return -1;
	}
	return 0;
}

int
oci_values(struct oci *o, json_t *obj, const char *where, const char *key,
	struct moat_oci_value **ret, size_t *ret_n)
{
	const char *name;
	json_t *all, *v;
	size_t n = 0;

	if (oci_object(o, obj, where, key, &all) < 0 ||
		!(*ret = oci_alloc(o, json_object_size(all) + 1, sizeof **ret)))
		return -1;
	json_object_foreach(all, name, v)
	{
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
			return oci_error(
				o, "%s%s%s.%.200s: not a string", where, dot(where), key, name);
		(*ret)[n++] = (struct moat_oci_value){name, json_string_value(v)};
	}
	*ret_n = n;
	return 0;
}

int
oci_no_memory(struct oci *o)
{
	oci_error(o, "out of memory");
	o->code = ENOMEM;
	return -1;
}

void *
oci_alloc(struct oci *o, size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		oci_no_memory(o);
	return p;
}

int
oci_texts_add(struct oci *o, struct oci_texts *t, const char *s)
{
	if (t->n + 2 > t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 16;
		const char **v = realloc(t->v, cap * sizeof *v);

		if (!v)
			return oci_no_memory(o);
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = s;
	t->v[t->n] = NULL;
	return 0;
}

void
oci_texts_free(struct oci_texts *t)
{
	free(t->v);
	*t = (struct oci_texts){0};
}

char *
oci_print(struct oci *o, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		oci_no_memory(o);
		return NULL;
	}
	if (oci_texts_add(o, &o->owned, text) < 0) {
		free(text);
		return NULL;
	}
	return text;
}

int
oci_read(struct oci *o, struct moat_config *c)
{
	const char *version = NULL;
	json_t *process, *linux_part;

	moat_resources_init(&o->resources);
	if (oci_fields(o, o->json, "", "") < 0 ||
		oci_string(o, o->json, "", "ociVersion", &version) < 0 ||
		oci_string(o, o->json, "", "hostname", &c->hostname) < 0 ||
		oci_string(o, o->json, "", "domainname", &c->domainname) < 0 ||
		oci_object(o, o->json, "", "process", &process) < 0 ||
		oci_object(o, o->json, "", "linux", &linux_part) < 0 ||
		oci_values(o, o->json, "", "annotations", &o->annotations, &o->nannotations) < 0 ||
		oci_object(o, o->json, "", "hooks", &o->hooks) < 0 || oci_hooks(o, o->hooks) < 0)
		return -1;
	if (!version || strncmp(version, "1.", 2) != 0)
		return oci_error(o, "ociVersion: missing, or not 1.x");
	if (!process)
		return oci_error(o, "process: missing");
	if ((c->hostname && strlen(c->hostname) > OCI_NAME_MAX) ||
		(c->domainname && strlen(c->domainname) > OCI_NAME_MAX))
		return oci_error(o, "hostname, domainname: longer than %d bytes", OCI_NAME_MAX);
	if (c->hostname && !*c->hostname)
		c->hostname = NULL;
	if (oci_process(o, process, c) < 0 || oci_mounts(o, o->json, c) < 0)
		return -1;
	return linux_part ? oci_linux(o, linux_part, c) : oci_error(o, "linux: missing");
}

void
oci_release(struct oci *o)
{
	for (size_t i = 0; i < o->owned.n; i++)
		free((void *)(uintptr_t)o->owned.v[i]);
	oci_texts_free(&o->owned);
	oci_texts_free(&o->warnings);
	oci_texts_free(&o->args);
	oci_texts_free(&o->env);
	oci_texts_free(&o->masked);
	oci_texts_free(&o->readonly);
	oci_texts_free(&o->schemata);
	free(o->mounts);
	free(o->rlimits);
	free(o->groups);
	free(o->devices);
	free(o->seccomp);
	free(o->sysctls);
	free(o->net_devices);
	free(o->annotations);
	free(o->lists.io);
	free(o->lists.hugepages);
	free(o->lists.net_priorities);
	free(o->lists.devices);
	free(o->lists.rdma);
	free(o->lists.unified);
	json_decref(o->json);
	json_decref(o->more);
}
