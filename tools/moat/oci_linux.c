/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: linux. */
#include "create.h"
#include "oci.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
		if (strcmp(type, "time") == 0)
			return oci_error(o, "%s.type: time namespaces are not supported", where);
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

static int
read_idmap(struct oci *o, json_t *l, const char *key, struct moat_idmap **ret, size_t *n)
{
	json_t *list, *v;
	size_t i;

	if (oci_array(o, l, "linux", key, &list) < 0)
		return -1;
	if (json_array_size(list) > 100)
		return oci_error(o, "linux.%s: more than 100", key);
	*ret = xcalloc(json_array_size(list) + 1, sizeof **ret);
	json_array_foreach(list, i, v)
	{
		uint64_t inside = 0, outside = 0, size = 0;
		char where[48];

		snprintf(where, sizeof where, "linux.%s[%zu]", key, i);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", where);
		if (oci_uint(o, v, where, "containerID", UINT32_MAX, &inside) < 0 ||
			oci_uint(o, v, where, "hostID", UINT32_MAX, &outside) < 0 ||
			oci_uint(o, v, where, "size", UINT32_MAX, &size) < 0)
			return -1;
		if (size == 0)
			return oci_error(o, "%s.size: zero", where);
		(*ret)[i] =
			(struct moat_idmap){(uint32_t)inside, (uint32_t)outside, (uint32_t)size};
	}
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

static int
read_personality(struct oci *o, json_t *l, struct moat_config *c)
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

/* One that a sandbox's own kernel has: those that every container gets (OCI, config-linux.md,
 * default devices). What a driver of the host does with a program's requests is nothing that a
 * sandbox could answer for. */
static bool
own_device(const char *type, uint64_t major, uint64_t minor)
{
	static const struct {
		unsigned major, minor;
	} own[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}};

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
	o->devices = xcalloc(json_array_size(list) + 1, sizeof *o->devices);
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

int
oci_linux(struct oci *o, json_t *l, struct moat_config *c)
{
	const char *propagation = "private";
	json_t *seccomp;

	if (read_namespaces(o, l) < 0 ||
		read_idmap(o, l, "uidMappings", &o->uid_map, &c->nuid_map) < 0 ||
		read_idmap(o, l, "gidMappings", &o->gid_map, &c->ngid_map) < 0 ||
		read_resources(o, l) < 0 || read_devices(o, l, c) < 0 ||
		oci_strings(o, l, "linux", "maskedPaths", &o->masked) < 0 ||
		oci_strings(o, l, "linux", "readonlyPaths", &o->readonly) < 0 ||
		oci_string(o, l, "linux", "cgroupsPath", &o->cgroups_path) < 0 ||
		read_personality(o, l, c) < 0 ||
		oci_string(o, l, "linux", "rootfsPropagation", &propagation) < 0)
		return -1;
	propagation += *propagation == 'r';
	if (strcmp(propagation, "shared") == 0 || strcmp(propagation, "unbindable") == 0)
		return oci_error(o,
			"linux.rootfsPropagation: \"%s\": nothing propagates out of a sandbox",
			propagation);
	if (*propagation && strcmp(propagation, "private") != 0 &&
		strcmp(propagation, "slave") != 0)
		return oci_error(
			o, "linux.rootfsPropagation: \"%s\" is not a propagation", propagation);
	if (o->cgroups_path && !*o->cgroups_path)
		o->cgroups_path = NULL;
	if (oci_object(o, l, "linux", "seccomp", &seccomp) < 0 ||
		(seccomp && oci_seccomp(o, seccomp, c) < 0) ||
		oci_object(o, l, "linux", "sysctl", &o->sysctl) < 0)
		return -1;
	c->uid_map = o->uid_map;
	c->gid_map = o->gid_map;
	c->masked_paths = o->masked.v;
	c->readonly_paths = o->readonly.v;
	return 0;
}
