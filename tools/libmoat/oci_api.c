/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json for who embeds moat; see moat/oci.h. The text is read and parsed here, its parts by
 * the other oci_*.c, and what the caller does not take care of is refused at the end.
 */
#include "base/json_text.h"
#include "internal.h"
#include "moat/oci.h"
#include "oci.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX   (8 << 20)
#define READ_AT_ONCE 65536

struct moat_oci_parts {
	struct oci o;
	char *text, *bundle;
};

static int
fail(struct moat_oci *r, struct moat_error *err)
{
	const struct oci *o = &r->parts->o;
	int code = error_set(err, -o->code, "%s", o->err);

	moat_oci_free(r);
	return code;
}

/* An empty one, with its text. */
static int
begin(const char *text, size_t len, const char *bundle, struct moat_oci **ret,
	struct moat_error *err)
{
	struct moat_oci *r = calloc(1, sizeof *r);
	struct moat_oci_parts *p = calloc(1, sizeof *p);

	if (r && p) {
		p->text = json_text_widen(text, len, &r->text_bytes);
		p->bundle = strdup(bundle);
	}
	if (!r || !p || !p->text || !p->bundle) {
		if (p) {
			free(p->text);
			free(p->bundle);
		}
		free(p);
		free(r);
		return error_set(err, -ENOMEM, "out of memory");
	}
	p->o.bundle = p->bundle;
	moat_config_init(&r->config);
	moat_resources_init(&r->resources);
	moat_resources_init(&p->o.resources);
	r->parts = p;
	r->text = p->text;
	*ret = r;
	return 0;
}

/* An object; name: of the text, in errors. */
static json_t *
parse(struct oci *o, const char *text, size_t len, const char *name)
{
	json_error_t e;
	json_t *v;

	errno = 0;
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	/* It says so itself only sometimes: else the text seems to be wrong where it stopped. */
	if (!v && (errno == ENOMEM || json_error_code(&e) == json_error_out_of_memory))
		oci_no_memory(o);
	else if (!v)
		oci_error(o, "%s:%d: %s", name, e.line, e.text);
	else if (!json_is_object(v))
		oci_error(o, "%s: not an object", name);
	else
		return v;
	json_decref(v);
	return NULL;
}

/* What was read, for the caller to see. */
static void
show(struct moat_oci *r)
{
	static const char *const nothing[] = {NULL};
	struct oci *o = &r->parts->o;

	r->warnings = o->warnings.n ? o->warnings.v : nothing;
	r->nwarnings = o->warnings.n;
	r->terminal = o->terminal;
	r->rows = o->rows;
	r->columns = o->columns;
	r->cgroups_path = o->cgroups_path;
	r->resources = o->resources;
	r->has_limits = oci_has_limits(o);
	r->host_network = o->host_network;
	r->network_path = o->network_path;
	r->pid_path = o->pid_path;
	r->ipc_path = o->ipc_path;
	r->uts_path = o->uts_path;
	r->listener_path = o->listener_path;
	r->listener_metadata = o->listener_metadata;
	r->sysctls = o->sysctls;
	r->nsysctls = o->nsysctls;
	r->net_devices = o->net_devices;
	r->nnet_devices = o->nnet_devices;
	r->intel_rdt = o->has_rdt ? &o->rdt : NULL;
	r->annotations = o->annotations;
	r->nannotations = o->nannotations;
	if (o->has_cpus) {
		r->exec_cpus = o->cpus;
		r->exec_cpus_bytes = sizeof o->cpus;
	}
}

static int
refuse_terminal(struct oci *o, unsigned care)
{
	return o->terminal && !(care & MOAT_OCI_TERMINAL)
		       ? oci_error(o, "process.terminal: whoever starts this makes no terminal")
		       : 0;
}

static int
refuse_agent(struct oci *o, unsigned care)
{
	return o->listener_path && !(care & MOAT_OCI_SECCOMP_AGENT)
		       ? oci_error(o,
				 "linux.seccomp.listenerPath: whoever starts this sends nothing "
				 "to an agent")
		       : 0;
}

static int
refuse_joined(struct oci *o)
{
	const struct {
		const char *type, *path;
	} joined[] = {{"network", o->network_path}, {"pid", o->pid_path}, {"ipc", o->ipc_path},
		{"uts", o->uts_path}};

	for (size_t i = 0; i < sizeof joined / sizeof joined[0]; i++)
		if (joined[i].path)
			return oci_error(o,
				"linux.namespaces: whoever starts this does not join the %s "
				"namespace %.200s",
				joined[i].type, joined[i].path);
	return 0;
}

/* What nobody would take care of. */
static int
refuse_rest(struct moat_oci *r, unsigned care)
{
	struct oci *o = &r->parts->o;
	const char *kind;
	json_t *list;

	if (refuse_terminal(o, care) < 0 || refuse_agent(o, care) < 0)
		return -1;
	if (!(care & MOAT_OCI_HOOKS)) {
		json_object_foreach(o->hooks, kind, list)
		{
			if (json_array_size(list))
				return oci_error(
					o, "hooks.%.64s: whoever starts this runs no hooks", kind);
		}
	}
	if (!(care & MOAT_OCI_CGROUP) && oci_has_limits(o))
		return oci_error(o, "linux.resources: whoever starts this makes no cgroup, which "
				    "would hold the limits");
	if (!(care & MOAT_OCI_NAMESPACES)) {
		if (refuse_joined(o) < 0)
			return -1;
		r->config.network = o->host_network ? "host" : "none";
	}
	if (o->nsysctls && !(care & MOAT_OCI_SYSCTL))
		return oci_error(o, "linux.sysctl.%.200s: whoever starts this sets none",
			o->sysctls[0].name);
	if (o->nnet_devices && !(care & MOAT_OCI_NET_DEVICES))
		return oci_error(o, "linux.netDevices.%s: whoever starts this moves none",
			o->net_devices[0].name);
	if (o->has_rdt && !(care & MOAT_OCI_INTEL_RDT))
		return oci_error(o, "linux.intelRdt: whoever starts this enters no group of it");
	return 0;
}

/* name: in errors, of the file as a whole. */
static int
read_config(const char *text, size_t len, const char *bundle, const char *name, unsigned care,
	struct moat_oci **ret, struct moat_error *err)
{
	struct moat_oci *r;
	struct oci *o;
	int code = begin(text, len, bundle, &r, err);

	if (code < 0)
		return code;
	o = &r->parts->o;
	o->json = parse(o, r->text, r->text_bytes, name);
	if (!o->json || oci_read(o, &r->config) < 0 || refuse_rest(r, care) < 0)
		return fail(r, err);
	show(r);
	*ret = r;
	return 0;
}

static int
too_long(size_t len, const char *name, struct moat_error *err)
{
	return len > CONFIG_MAX
		       ? error_set(err, -EINVAL, "%s: larger than %d bytes", name, CONFIG_MAX)
		       : 0;
}

int
moat_oci_parse(const char *text, size_t len, const char *bundle, unsigned care,
	struct moat_oci **ret, struct moat_error *err)
{
	int r = too_long(len, "config.json", err);

	if (r < 0)
		return r;
	if (!bundle || bundle[0] != '/')
		return error_set(err, -EINVAL, "bundle: not an absolute path");
	return read_config(text, len, bundle, "config.json", care, ret, err);
}

/* All of an open file, malloc'd. */
static int
read_all(int fd, const char *path, char **ret, size_t *ret_len, struct moat_error *err)
{
	size_t len = 0, cap = READ_AT_ONCE;
	char *text = malloc(cap + 1), *grown;
	ssize_t n = 1;

	while (text && n != 0 && len <= CONFIG_MAX) {
		if (len == cap) {
			grown = realloc(text, cap * 2 + 1);
			if (!grown)
				break;
			text = grown;
			cap *= 2;
		}
		n = read(fd, text + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = -errno;

			free(text);
			return error_set(err, r, "cannot read %s: %s", path, strerror(-r));
		}
		len += (size_t)n;
	}
	if (text && n == 0 && len <= CONFIG_MAX) {
		text[len] = 0;
		*ret = text;
		*ret_len = len;
		return 0;
	}
	free(text);
	if (text && len > CONFIG_MAX)
		return error_set(err, -EINVAL, "%s: larger than %d bytes", path, CONFIG_MAX);
	return error_set(err, -ENOMEM, "out of memory");
}

int
moat_oci_load(const char *bundle, unsigned care, struct moat_oci **ret, struct moat_error *err)
{
	char path[4200], *text = NULL;
	struct stat st;
	size_t len = 0;
	int fd, r;

	if (!bundle || bundle[0] != '/' || strlen(bundle) > 4096)
		return error_set(err, -EINVAL, "bundle: not an absolute path");
	snprintf(path, sizeof path, "%s/config.json", bundle);
	/* A bundle may hold anything: a FIFO is not waited for, and a device not read. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		r = -errno;
		return error_set(err, r, "cannot open %s: %s", path, strerror(-r));
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		r = error_set(err, -EINVAL, "%s: not a regular file", path);
	else
		r = read_all(fd, path, &text, &len, err);
	close(fd);
	if (r == 0)
		r = read_config(text, len, bundle, path, care, ret, err);
	free(text);
	return r;
}

/* What holds for all processes of the container. */
static int
read_process(struct oci *o, struct moat_config *c)
{
	json_t *linux_part = json_object_get(o->more, "linux"), *seccomp,
	       *limits = json_object_get(json_object_get(o->more, "process"), "rlimits");

	if (!json_object_get(o->json, "rlimits") && limits &&
		json_object_set(o->json, "rlimits", limits) < 0)
		return oci_no_memory(o);
	if (oci_fields(o, o->json, "process", "process") < 0 || oci_process(o, o->json, c) < 0 ||
		oci_object(o, linux_part, "linux", "seccomp", &seccomp) < 0)
		return -1;
	if (linux_part && oci_personality(o, linux_part, c) < 0)
		return -1;
	c->make_cwd = false;
	return seccomp ? oci_seccomp(o, seccomp, c) : 0;
}

int
moat_oci_parse_process(const char *text, size_t len, const char *container_text,
	size_t container_len, unsigned care, struct moat_oci **ret, struct moat_error *err)
{
	struct moat_oci *r;
	struct oci *o;
	char *more;
	size_t more_len;
	int code = too_long(len, "process", err);

	if (code == 0)
		code = too_long(container_len, "config.json", err);
	if (code < 0 || (code = begin(text, len, "/", &r, err)) < 0)
		return code;
	o = &r->parts->o;
	o->json = parse(o, r->text, r->text_bytes, "process");
	more = json_text_widen(container_text, container_len, &more_len);
	if (!more)
		oci_no_memory(o);
	o->more = o->json && more ? parse(o, more, more_len, "config.json") : NULL;
	free(more);
	if (!o->more || read_process(o, &r->config) < 0 || refuse_terminal(o, care) < 0 ||
		refuse_agent(o, care) < 0)
		return fail(r, err);
	show(r);
	r->config.cpus = r->exec_cpus;
	r->config.cpus_bytes = r->exec_cpus_bytes;
	*ret = r;
	return 0;
}

int
moat_oci_parse_resources(
	const char *text, size_t len, struct moat_oci **ret, struct moat_error *err)
{
	struct moat_oci *r;
	struct oci *o;
	int code = too_long(len, "resources", err);

	if (code < 0 || (code = begin(text, len, "/", &r, err)) < 0)
		return code;
	o = &r->parts->o;
	o->json = parse(o, r->text, r->text_bytes, "resources");
	if (!o->json || oci_fields(o, o->json, "linux.resources", "resources") < 0 ||
		oci_resources(o, o->json, "resources") < 0)
		return fail(r, err);
	show(r);
	*ret = r;
	return 0;
}

void
moat_oci_free(struct moat_oci *r)
{
	if (!r)
		return;
	oci_release(&r->parts->o);
	free(r->parts->text);
	free(r->parts->bundle);
	free(r->parts);
	free(r);
}
