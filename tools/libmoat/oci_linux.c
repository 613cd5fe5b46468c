/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: linux. */
#include "oci.h"
#include <linux/if.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Those of a sandbox are never the host's own; the network's may be. */
static int
read_namespaces(struct oci *o, json_t *l)
{
	static const char *const types[] = {
		"pid", "ipc", "uts", "mount", "network", "user", "cgroup", "time"};
	const char **const joined[8] = {
		&o->pid_path, &o->ipc_path, &o->uts_path, NULL, &o->network_path};
	bool seen[8] = {false};
	json_t *list, *v;
	size_t i, k;

	if (oci_array(o, l, "linux", "namespaces", &list) < 0)
		return -1;
	json_array_foreach(list, i, v)
	{
		const char *type = "", *path = NULL;
		char where[48];

		snprintf(where, sizeof where, "linux.namespaces[%zu]", i);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", where);
		if (oci_string(o, v, where, "type", &type) < 0 ||
			oci_string(o, v, where, "path", &path) < 0)
			return -1;
		for (k = 0; k < 8; k++)
			if (strcmp(types[k], type) == 0)
				break;
		if (k == 8)
			return oci_error(o, "%s.type: \"%s\" is not a namespace", where, type);
		if (seen[k])
			return oci_error(o, "%s.type: \"%s\" is listed twice", where, type);
		if (path && *path && joined[k])
			*joined[k] = path;
		else if (path && *path)
			return oci_error(o,
				"%s.path: cannot join the %s namespace %.200s: each container has "
				"its own",
				where, type, path);
		o->own_time |= strcmp(type, "time") == 0;
		seen[k] = true;
	}
	for (k = 0; k < 4; k++)
		if (!seen[k])
			return oci_error(o,
				"linux.namespaces: without \"%s\" the host's would be shared, "
				"which a sandbox cannot",
				types[k]);
	o->host_network = !seen[4];
	return 0;
}

int
oci_idmap(struct oci *o, json_t *obj, const char *of, const char *key,
	const struct moat_idmap **ret, size_t *n)
{
	struct moat_idmap *map;
	json_t *list, *v;
	size_t i;

	if (oci_array(o, obj, of, key, &list) < 0)
		return -1;
	if (!list)
		return 0;
	if (json_array_size(list) > 100)
		return oci_error(o, "%s.%s: more than 100", of, key);
	if (!(map = oci_alloc(o, json_array_size(list) + 1, sizeof *map)))
		return -1;
	if (oci_texts_add(o, &o->owned, (const char *)map) < 0) {
		free(map);
		return -1;
	}
	json_array_foreach(list, i, v)
	{
		uint64_t inside = 0, outside = 0, size = 0;
		char where[80];

		snprintf(where, sizeof where, "%s.%s[%zu]", of, key, i);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", where);
		if (oci_uint(o, v, where, "containerID", UINT32_MAX, &inside) < 0 ||
			oci_uint(o, v, where, "hostID", UINT32_MAX, &outside) < 0 ||
			oci_uint(o, v, where, "size", UINT32_MAX, &size) < 0)
			return -1;
		if (size == 0)
			return oci_error(o, "%s.size: zero", where);
		map[i] = (struct moat_idmap){(uint32_t)inside, (uint32_t)outside, (uint32_t)size};
	}
	*ret = map;
	*n = json_array_size(list);
	return 0;
}

static int
read_resources(struct oci *o, json_t *l)
{
	json_t *res;

	return oci_object(o, l, "linux", "resources", &res) < 0
		       ? -1
		       : oci_resources(o, res, "linux.resources");
}

int
oci_personality(struct oci *o, json_t *l, struct moat_config *c)
{
	const char *domain = "LINUX";
	json_t *p;

	if (oci_object(o, l, "linux", "personality", &p) < 0)
		return -1;
	if (!p)
		return 0;
	if (oci_string(o, p, "linux.personality", "domain", &domain) < 0)
		return -1;
	if (strcmp(domain, "LINUX32") == 0)
		c->personality = 8; /* PER_LINUX32 */
	else if (strcmp(domain, "LINUX") != 0)
		return oci_error(o, "linux.personality.domain: \"%s\" is not supported", domain);
	return 0;
}

static int
read_time_offsets(struct oci *o, json_t *l, struct moat_config *c)
{
	struct {
		const char *clock;
		struct timespec *to;
	} clocks[] = {{"monotonic", &c->monotonic_offset}, {"boottime", &c->boottime_offset}};
	const char *where = "linux.timeOffsets", *clock;
	json_t *offsets, *v;
	size_t i;

	if (oci_object(o, l, "linux", "timeOffsets", &offsets) < 0)
		return -1;
	if (json_object_size(offsets) && !o->own_time)
		return oci_error(o, "%s: there is no \"time\" among linux.namespaces", where);
	json_object_foreach(offsets, clock, v)
	{
		json_t *secs = json_object_get(v, "secs"), *ns = json_object_get(v, "nanosecs");

		for (i = 0; i < 2; i++)
			if (strcmp(clocks[i].clock, clock) == 0)
				break;
		if (i == 2)
			return oci_error(
				o, "%s.%.64s: neither monotonic nor boottime", where, clock);
		if (!json_is_object(v))
			return oci_error(o, "%s.%s: not an object", where, clock);
		if (secs && !json_is_integer(secs))
			return oci_error(o, "%s.%s.secs: not a number", where, clock);
		if (ns && (!json_is_integer(ns) || json_integer_value(ns) < 0 ||
				  json_integer_value(ns) > 999999999))
			return oci_error(
				o, "%s.%s.nanosecs: not a number in its range", where, clock);
		clocks[i].to->tv_sec = (time_t)json_integer_value(secs);
		clocks[i].to->tv_nsec = (long)json_integer_value(ns);
	}
	return 0;
}

static int
read_memory_policy(struct oci *o, json_t *l, struct moat_config *c)
{
	static const struct {
		const char *name;
		int mode;
		bool nodes; /* it needs some */
	} modes[] = {{"MPOL_DEFAULT", MPOL_DEFAULT, false},
		{"MPOL_PREFERRED", MPOL_PREFERRED, true}, {"MPOL_BIND", MPOL_BIND, true},
		{"MPOL_INTERLEAVE", MPOL_INTERLEAVE, true}, {"MPOL_LOCAL", MPOL_LOCAL, false},
		{"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY, true},
		{"MPOL_WEIGHTED_INTERLEAVE", 6, true}};
	static const struct {
		const char *name;
		int flag;
	} names[] = {{"MPOL_F_NUMA_BALANCING", 1 << 13}, {"MPOL_F_RELATIVE_NODES", 1 << 14},
		{"MPOL_F_STATIC_NODES", 1 << 15}};
	const char *where = "linux.memoryPolicy", *mode = NULL, *nodes = "";
	struct oci_texts flags = {0};
	json_t *p;
	size_t i, k;
	int r;

	if (oci_object(o, l, "linux", "memoryPolicy", &p) < 0)
		return -1;
	if (!p)
		return 0;
	if (oci_string(o, p, where, "mode", &mode) < 0 ||
		oci_string(o, p, where, "nodes", &nodes) < 0 ||
		oci_cpus(o, "linux.memoryPolicy.nodes", nodes, (uint8_t *)o->memory_nodes,
			sizeof o->memory_nodes) < 0)
		return -1;
	for (i = 0; mode && i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(modes[i].name, mode) == 0)
			break;
	if (!mode || i == sizeof modes / sizeof modes[0])
		return oci_error(o, "%s.mode: missing, or not a policy", where);
	if (modes[i].nodes != (*nodes != 0))
		return oci_error(o, "%s.nodes: %s", where,
			modes[i].nodes ? "missing" : "there are none with this mode");
	c->memory_mode = modes[i].mode;
	c->memory_nodes = o->memory_nodes;
	r = oci_strings(o, p, where, "flags", &flags);
	for (i = 0; r == 0 && i < flags.n; i++) {
		for (k = 0; k < sizeof names / sizeof names[0]; k++)
			if (strcmp(names[k].name, flags.v[i]) == 0)
				break;
		if (k == sizeof names / sizeof names[0])
			r = oci_error(
				o, "%s.flags[%zu]: \"%s\" is not a flag", where, i, flags.v[i]);
		else
			c->memory_mode |= names[k].flag;
	}
	oci_texts_free(&flags);
	return r;
}

/* One that a sandbox's own kernel has: those that every container gets (OCI, config-linux.md,
 * default devices). What a driver of the host does with a program's requests is nothing that a
 * sandbox could answer for. */
static bool
own_device(const char *type, uint64_t major, uint64_t minor)
{
	static const struct {
		unsigned major, minor;
	} own[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {10, 200}, {10, 229}};

	if (strcmp(type, "p") == 0)
		return true;
	if (strcmp(type, "c") != 0 && strcmp(type, "u") != 0)
		return false;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (major == own[i].major && minor == own[i].minor)
			return true;
	return false;
}

static int
read_devices(struct oci *o, json_t *l, struct moat_config *c)
{
	json_t *list, *d;
	size_t i;

	if (oci_array(o, l, "linux", "devices", &list) < 0)
		return -1;
	if (!(o->devices = oci_alloc(o, json_array_size(list) + 1, sizeof *o->devices)))
		return -1;
	json_array_foreach(list, i, d)
	{
		const char *type = "", *path = "";
		uint64_t major = 0, minor = 0, mode = 0666, uid = 0, gid = 0;
		char where[48];

		snprintf(where, sizeof where, "linux.devices[%zu]", i);
		if (!json_is_object(d))
			return oci_error(o, "%s: not an object", where);
		if (oci_string(o, d, where, "type", &type) < 0 ||
			oci_string(o, d, where, "path", &path) < 0 ||
			oci_uint(o, d, where, "major", UINT32_MAX, &major) < 0 ||
			oci_uint(o, d, where, "minor", UINT32_MAX, &minor) < 0 ||
			oci_uint(o, d, where, "fileMode", UINT32_MAX, &mode) < 0 ||
			oci_uint(o, d, where, "uid", UINT32_MAX - 1, &uid) < 0 ||
			oci_uint(o, d, where, "gid", UINT32_MAX - 1, &gid) < 0)
			return -1;
		if (!*type || strlen(type) > 1 || !strchr("cubp", *type))
			return oci_error(o, "%s.type: neither c, b, u nor p", where);
		if (path[0] != '/')
			return oci_error(o, "%s.path: missing, or not an absolute path", where);
		if (!own_device(type, major, minor))
			return oci_error(
				o, "%s: %.200s: a sandbox gets no device of the host", where, path);
		o->devices[i] = (struct moat_device){path,
			(unsigned)(mode & 07777) | (*type == 'p' ? S_IFIFO : S_IFCHR),
			*type == 'p' ? 0 : (unsigned)major, *type == 'p' ? 0 : (unsigned)minor,
			(uint32_t)uid, (uint32_t)gid};
	}
	c->devices = o->devices;
	c->ndevices = json_array_size(list);
	return 0;
}

/* As the kernel has it, which takes a % for a place where to put a number. */
static bool
is_device_name(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && !strpbrk(name, "/:% \t\n\v\f\r");
}

static int
read_net_devices(struct oci *o, json_t *l)
{
	const char *name;
	json_t *all, *v;

	if (oci_object(o, l, "linux", "netDevices", &all) < 0)
		return -1;
	if (!(o->net_devices = oci_alloc(o, json_object_size(all) + 1, sizeof *o->net_devices)))
		return -1;
	json_object_foreach(all, name, v)
	{
		const char *inside = "";
		char where[32 + IFNAMSIZ];

		if (!is_device_name(name))
			return oci_error(
				o, "linux.netDevices.%.200s: not the name of a device", name);
		snprintf(where, sizeof where, "linux.netDevices.%s", name);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", where);
		if (oci_string(o, v, where, "name", &inside) < 0)
			return -1;
		if (*inside && !is_device_name(inside))
			return oci_error(o, "%s.name: \"%.200s\" is not the name of a device",
				where, inside);
		o->net_devices[o->nnet_devices++] = (struct moat_oci_value){name, inside};
	}
	return 0;
}

/* Of the root's mounts among each other. */
static int
read_propagation(struct oci *o, const char *name)
{
	static const struct {
		const char *name;
		unsigned long how;
	} kinds[] = {{"shared", MS_SHARED}, {"slave", MS_SLAVE}, {"private", MS_PRIVATE},
		{"unbindable", MS_UNBINDABLE}};
	bool deep = *name == 'r';
	unsigned long propagation = 0;
	char *text;

	if (!*name)
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(name + deep, kinds[i].name) == 0)
			propagation = kinds[i].how | (deep ? MS_REC : 0);
	if (!propagation)
		return oci_error(o, "linux.rootfsPropagation: \"%s\" is not a propagation", name);
	o->mounts[0].propagation = propagation;
	if (!(propagation & MS_SHARED))
		return 0;
	text = oci_print(o,
		"linux.rootfsPropagation: \"%s\" is so among the sandbox's own mounts: nothing "
		"propagates out of it",
		name);
	return text ? oci_texts_add(o, &o->warnings, text) : -1;
}

/* The names are the sandbox's own, and are set as `hostname` and `domainname` are. */
static int
take_names(struct oci *o, struct moat_config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < o->nsysctls; i++) {
		const struct moat_oci_value *v = &o->sysctls[i];
		bool host = strcmp(v->name, "kernel.hostname") == 0;

		if (!host && strcmp(v->name, "kernel.domainname") != 0) {
			o->sysctls[n++] = *v;
			continue;
		}
		if (strlen(v->value) > OCI_NAME_MAX)
			return oci_error(
				o, "linux.sysctl.%s: longer than %d bytes", v->name, OCI_NAME_MAX);
		*(host ? &c->hostname : &c->domainname) = *v->value ? v->value : NULL;
	}
	o->nsysctls = n;
	return 0;
}

int
oci_linux(struct oci *o, json_t *l, struct moat_config *c)
{
	const char *propagation = "";
	json_t *seccomp;

	if (read_namespaces(o, l) < 0 ||
		oci_idmap(o, l, "linux", "uidMappings", &c->uid_map, &c->nuid_map) < 0 ||
		oci_idmap(o, l, "linux", "gidMappings", &c->gid_map, &c->ngid_map) < 0 ||
		read_resources(o, l) < 0 || read_devices(o, l, c) < 0 ||
		read_net_devices(o, l) < 0 || oci_rdt(o, l) < 0 ||
		oci_strings(o, l, "linux", "maskedPaths", &o->masked) < 0 ||
		oci_strings(o, l, "linux", "readonlyPaths", &o->readonly) < 0 ||
		oci_string(o, l, "linux", "cgroupsPath", &o->cgroups_path) < 0 ||
		oci_personality(o, l, c) < 0 || read_time_offsets(o, l, c) < 0 ||
		read_memory_policy(o, l, c) < 0 ||
		oci_string(o, l, "linux", "rootfsPropagation", &propagation) < 0)
		return -1;
	if (read_propagation(o, propagation) < 0)
		return -1;
	if (o->cgroups_path && !*o->cgroups_path)
		o->cgroups_path = NULL;
	if (oci_object(o, l, "linux", "seccomp", &seccomp) < 0 ||
		(seccomp && oci_seccomp(o, seccomp, c) < 0) ||
		oci_values(o, l, "linux", "sysctl", &o->sysctls, &o->nsysctls) < 0 ||
		take_names(o, c) < 0)
		return -1;
	if (oci_mount_idmaps(o, c) < 0)
		return -1;
	c->masked_paths = o->masked.v;
	c->readonly_paths = o->readonly.v;
	return 0;
}
