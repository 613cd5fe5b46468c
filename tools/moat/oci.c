/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: top level and the helpers of its readers. Nothing is passed over in silence: what
 * becomes of which field says oci_fields.def.
 */
#include "oci.h"
#include "hooks.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (8 << 20)

int
oci_error(struct oci *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->err, sizeof o->err, fmt, ap);
	va_end(ap);
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
	/* Numbers above INT64_MAX (RLIM_INFINITY) come as reals. */
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
oci_strings(struct oci *o, json_t *obj, const char *where, const char *key, struct strings *ret)
{
	json_t *a, *v;
	size_t i;

	if (oci_array(o, obj, where, key, &a) < 0)
		return -1;
	json_array_foreach(a, i, v)
	{
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
			return oci_error(o, "%s%s%s[%zu]: not a string", where, dot(where), key, i);
		strings_add(ret, json_string_value(v));
	}
	return 0;
}

json_t *
oci_list(const char *const *strings)
{
	json_t *a = json_array();

	for (; *strings; strings++)
		json_array_append_new(a, json_string(*strings));
	return a;
}

void *
oci_memory(void *p)
{
	if (!p) {
		complain("out of memory");
		exit(exit_failure);
	}
	return p;
}

const char *
oci_own(struct oci *o, char *s)
{
	if (o->nowned == sizeof o->owned / sizeof o->owned[0])
		s = NULL; /* cannot be: there are not so many mounts */
	oci_memory(s);
	o->owned[o->nowned++] = s;
	return s;
}

static int
load_json(struct oci *o)
{
	json_error_t e;
	char path[4200], *text;
	struct stat st;
	size_t n;
	FILE *f;
	int fd;

	snprintf(path, sizeof path, "%s/config.json", o->bundle);
	/* A bundle may hold anything: a FIFO is not waited for, and a device not read. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return oci_error(o, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return oci_error(o, "%s: not a regular file", path);
	}
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return oci_error(o, "out of memory");
	}
	text = xcalloc(1, CONFIG_MAX + 1);
	n = fread(text, 1, CONFIG_MAX + 1, f);
	fclose(f);
	if (n <= CONFIG_MAX)
		o->json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	free(text);
	if (n > CONFIG_MAX)
		return oci_error(o, "%s: larger than %d bytes", path, CONFIG_MAX);
	if (!o->json)
		return oci_error(o, "%s:%d: %s", path, e.line, e.text);
	return json_is_object(o->json) ? 0 : oci_error(o, "%s: not an object", path);
}

int
oci_load(struct oci *o, const char *bundle, struct moat_config *c)
{
	const char *version = NULL, *key;
	json_t *process, *linux_part, *annotations, *v;

	memset(o, 0, sizeof *o);
	moat_resources_init(&o->resources);
	o->bundle = bundle;
	if (load_json(o) < 0 || oci_fields(o, o->json, "", "") < 0 ||
		oci_string(o, o->json, "", "ociVersion", &version) < 0 ||
		oci_string(o, o->json, "", "hostname", &c->hostname) < 0 ||
		oci_string(o, o->json, "", "domainname", &c->domainname) < 0 ||
		oci_object(o, o->json, "", "process", &process) < 0 ||
		oci_object(o, o->json, "", "linux", &linux_part) < 0 ||
		oci_object(o, o->json, "", "annotations", &annotations) < 0 ||
		oci_object(o, o->json, "", "hooks", &o->hooks) < 0 || hooks_check(o, o->hooks) < 0)
		return -1;
	if (!version || strncmp(version, "1.", 2) != 0)
		return oci_error(o, "ociVersion: missing, or not 1.x");
	if (!process)
		return oci_error(o, "process: missing");
	json_object_foreach(annotations, key, v)
	{
		if (!json_is_string(v))
			return oci_error(o, "annotations.%.200s: not a string", key);
	}
	if ((c->hostname && strlen(c->hostname) > 64) ||
		(c->domainname && strlen(c->domainname) > 64))
		return oci_error(o, "hostname, domainname: longer than 64 bytes");
	if (c->hostname && !*c->hostname)
		c->hostname = NULL;
	if (oci_process(o, process, c) < 0 || oci_mounts(o, o->json, c) < 0)
		return -1;
	return linux_part ? oci_linux(o, linux_part, c) : oci_error(o, "linux: missing");
}

int
read_json(const char *option, const char *path, json_t **ret)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO
					: open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	json_error_t e;
	char *text;
	size_t n;
	FILE *f;

	*ret = NULL;
	if (fd > 0)
		(void)fcntl(fd, F_SETFL, 0);
	f = fd > 0 ? fdopen(fd, "r") : fd == 0 ? stdin : NULL;
	if (!f)
		return complain("%s: cannot open %s: %s", option, path, strerror(errno));
	text = xcalloc(1, CONFIG_MAX + 1);
	n = fread(text, 1, CONFIG_MAX + 1, f);
	if (f != stdin)
		fclose(f);
	if (n <= CONFIG_MAX)
		*ret = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	free(text);
	if (n > CONFIG_MAX)
		return complain("%s: %s: larger than %d bytes", option, path, CONFIG_MAX);
	if (!*ret)
		return complain("%s: %s:%d: %s", option, path, e.line, e.text);
	if (!json_is_object(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return complain("%s: %s: not an object", option, path);
	}
	return 0;
}

void
oci_warn(const struct oci *o)
{
	for (size_t i = 0; i < o->warnings.n; i++)
		warn("config.json: %s", o->warnings.v[i]);
}

void
oci_free(struct oci *o)
{
	for (size_t i = 0; i < o->nowned; i++)
		free(o->owned[i]);
	for (size_t i = 0; i < o->warnings.n; i++)
		free((void *)(uintptr_t)o->warnings.v[i]);
	strings_free(&o->warnings);
	strings_free(&o->args);
	strings_free(&o->env);
	strings_free(&o->masked);
	strings_free(&o->readonly);
	free(o->mounts);
	free(o->rlimits);
	free(o->groups);
	free(o->devices);
	free(o->seccomp);
	free(o->uid_map);
	free(o->gid_map);
	free(o->lists.io);
	free(o->lists.hugepages);
	free(o->lists.net_priorities);
	free(o->lists.devices);
	free(o->lists.rdma);
	free(o->lists.unified);
	json_decref(o->json);
}
