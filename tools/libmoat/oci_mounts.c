/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: root and mounts. */
#include "oci.h"
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define MOUNT_DATA_MAX 4096 /* mount(2) */

#define OPT_BIND       1
#define OPT_NOTHING    2 /* says what is so anyway */
#define OPT_REFUSE     3
#define OPT_COPY_UP    4
#define OPT_RBIND      5
#define OPT_PRIVATE    6 /* what the host mounts below later stays out */
#define OPT_SLAVE      7 /* it comes in, as without any of these */
#define OPT_UNBINDABLE 8
#define OPT_IDMAP      9
#define OPT_RIDMAP     10
#define OPT_SHARED     11 /* as SLAVE for who makes no mounts */

static const struct option {
	const char *name;
	unsigned long set, clear;
	int special;
} options[] = {
/* What is bound is one mount inside, with all that is below it: the recursive ones are the
 * same. */
#define FLAG(name, set, clear)                                                                     \
	{name, set, clear, 0},                                                                     \
	{                                                                                          \
		"r" name, set, clear, 0                                                            \
	}
	FLAG("ro", MS_RDONLY, 0),
	FLAG("rw", 0, MS_RDONLY),
	FLAG("nosuid", MS_NOSUID, 0),
	FLAG("suid", 0, MS_NOSUID),
	FLAG("nodev", MS_NODEV, 0),
	FLAG("dev", 0, MS_NODEV),
	FLAG("noexec", MS_NOEXEC, 0),
	FLAG("exec", 0, MS_NOEXEC),
	FLAG("noatime", MS_NOATIME, 0),
	FLAG("atime", 0, MS_NOATIME),
	FLAG("nodiratime", MS_NODIRATIME, 0),
	FLAG("diratime", 0, MS_NODIRATIME),
	FLAG("relatime", MS_RELATIME, 0),
	FLAG("norelatime", 0, MS_RELATIME),
	FLAG("strictatime", MS_STRICTATIME, MS_RELATIME | MS_NOATIME),
	FLAG("nostrictatime", 0, MS_STRICTATIME),
	FLAG("nosymfollow", 256, 0),
	FLAG("symfollow", 0, 256),
#undef FLAG
	{"bind", 0, 0, OPT_BIND},
	{"rbind", 0, 0, OPT_RBIND},
	{"defaults", 0, 0, OPT_NOTHING},
	{"async", 0, 0, OPT_NOTHING},
	/* Nothing propagates from the sandbox to the host. */
	{"private", 0, 0, OPT_PRIVATE},
	{"rprivate", 0, 0, OPT_PRIVATE},
	{"slave", 0, 0, OPT_SLAVE},
	{"rslave", 0, 0, OPT_SLAVE},
	{"shared", 0, 0, OPT_SHARED},
	{"rshared", 0, 0, OPT_SHARED},
	{"unbindable", 0, 0, OPT_UNBINDABLE},
	{"runbindable", 0, 0, OPT_UNBINDABLE},
	{"idmap", 0, 0, OPT_IDMAP},
	{"ridmap", 0, 0, OPT_RIDMAP},
	{"tmpcopyup", 0, 0, OPT_COPY_UP},
	{"remount", 0, 0, OPT_REFUSE},
	{"mand", 0, 0, OPT_REFUSE},
	/* Of a file system on a disk, which none of those that can be mounted is; what is bound
	 * keeps the host's, as with mount(8). */
	{"sync", 0, 0, OPT_NOTHING},
	{"dirsync", 0, 0, OPT_NOTHING},
	{"iversion", 0, 0, OPT_NOTHING},
	{"noiversion", 0, 0, OPT_NOTHING},
	{"lazytime", 0, 0, OPT_NOTHING},
	{"nolazytime", 0, 0, OPT_NOTHING},
	{"nomand", 0, 0, OPT_NOTHING},
	{"silent", 0, 0, OPT_NOTHING},
	{"loud", 0, 0, OPT_NOTHING},
};

const char *
moat_oci_mount_option(size_t i)
{
	if (i >= sizeof options / sizeof options[0])
		return NULL;
	return options[i].special == OPT_REFUSE ? "" : options[i].name;
}

static const struct {
	const char *type;
	enum moat_mount_kind kind;
} kinds[] = {{"proc", MOAT_MOUNT_PROC}, {"sysfs", MOAT_MOUNT_SYSFS}, {"tmpfs", MOAT_MOUNT_TMPFS},
	{"devtmpfs", MOAT_MOUNT_DEV}, {"devpts", MOAT_MOUNT_DEVPTS}, {"mqueue", MOAT_MOUNT_MQUEUE},
	{"cgroup", MOAT_MOUNT_CGROUP}, {"cgroup2", MOAT_MOUNT_CGROUP}};

/* What is mounted inside does not come out. Without CAP_SYS_ADMIN nobody mounts anything there, but
 * in user namespaces, whose mounts propagate to none above. */
static int
read_shared(struct oci *o, const char *where, size_t i, const char *name, struct moat_mount *mnt)
{
	if (o->may_mount)
		return oci_error(o,
			"%s.options[%zu]: \"%s\" is not supported with CAP_SYS_ADMIN: what the "
			"container mounts does not propagate to the host",
			where, i, name);
	mnt->fixed = false;
	mnt->propagation = MS_SHARED | (*name == 'r' ? MS_REC : 0);
	return 0;
}

/* Options to flags; the rest, which is for the file system, goes to data. */
static int
read_options(struct oci *o, json_t *m, const char *where, struct moat_mount *mnt, bool *bind,
	bool *idmap, char **data)
{
	struct oci_texts list = {0};
	size_t k, len = 0;
	int r = oci_strings(o, m, where, "options", &list);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		len += strlen(list.v[i]) + 1;
	if (r == 0 && len >= MOUNT_DATA_MAX)
		r = oci_error(o, "%s.options: more than %d bytes", where, MOUNT_DATA_MAX);
	if (r == 0 && !(*data = oci_alloc(o, 1, len + 1)))
		r = -1;
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		for (k = 0; k < sizeof options / sizeof options[0]; k++)
			if (strcmp(options[k].name, list.v[i]) == 0)
				break;
		if (k == sizeof options / sizeof options[0]) {
			if (**data)
				strcat(*data, ",");
			strcat(*data, list.v[i]);
			continue;
		}
		if (options[k].special == OPT_REFUSE)
			r = oci_error(
				o, "%s.options[%zu]: \"%s\" is not supported", where, i, list.v[i]);
		if (options[k].special == OPT_SHARED)
			r = read_shared(o, where, i, list.v[i], mnt);
		*bind |= options[k].special == OPT_BIND || options[k].special == OPT_RBIND;
		if (options[k].special == OPT_BIND || options[k].special == OPT_RBIND)
			mnt->alone = options[k].special == OPT_BIND;
		if (options[k].special == OPT_PRIVATE || options[k].special == OPT_SLAVE)
			mnt->fixed = options[k].special == OPT_PRIVATE;
		if (options[k].special == OPT_IDMAP || options[k].special == OPT_RIDMAP) {
			*idmap = true;
			mnt->idmap_deep = options[k].special == OPT_RIDMAP;
		}
		if (options[k].special == OPT_UNBINDABLE)
			mnt->propagation = MS_UNBINDABLE;
		mnt->copy_up |= options[k].special == OPT_COPY_UP;
		mnt->flags |= options[k].set;
		mnt->flags &= ~options[k].clear;
	}
	oci_texts_free(&list);
	return r;
}

/* Stands for mappings that are to be read later. */
static const struct moat_idmap of_container;

/* A path of the configuration: relative ones start at the bundle. */
static const char *
host_path(struct oci *o, const char *path)
{
	return path[0] == '/' ? path : oci_print(o, "%s/%s", o->bundle, path);
}

static int
read_maps(struct oci *o, json_t *m, const char *where, struct moat_mount *mnt, bool idmap)
{
	if (oci_idmap(o, m, where, "uidMappings", &mnt->uid_map, &mnt->nuid_map) < 0 ||
		oci_idmap(o, m, where, "gidMappings", &mnt->gid_map, &mnt->ngid_map) < 0)
		return -1;
	if (!mnt->nuid_map != !mnt->ngid_map)
		return oci_error(o, "%s.%sMappings: missing", where, mnt->nuid_map ? "gid" : "uid");
	if (!mnt->nuid_map)
		mnt->uid_map = idmap ? &of_container : NULL;
	return 0;
}

int
oci_mount_idmaps(struct oci *o, const struct moat_config *c)
{
	for (size_t i = 1; i < c->nmounts; i++) {
		struct moat_mount *m = &o->mounts[i];

		if (m->uid_map != &of_container)
			continue;
		if (!c->nuid_map || !c->ngid_map)
			return oci_error(o,
				"mounts[%zu].options: idmap: neither the mount nor the container "
				"has mappings",
				i - 1);
		m->uid_map = c->uid_map;
		m->gid_map = c->gid_map;
		m->nuid_map = c->nuid_map;
		m->ngid_map = c->ngid_map;
	}
	return 0;
}

static int
read_mount(struct oci *o, json_t *m, size_t i, struct moat_mount *mnt)
{
	const char *type = "", *source = NULL, *target = NULL;
	char where[32], *data = NULL;
	bool bind = false, idmap = false;
	size_t k;

	snprintf(where, sizeof where, "mounts[%zu]", i);
	if (!json_is_object(m))
		return oci_error(o, "%s: not an object", where);
	if (oci_string(o, m, where, "destination", &target) < 0 ||
		oci_string(o, m, where, "type", &type) < 0 ||
		oci_string(o, m, where, "source", &source) < 0 ||
		read_options(o, m, where, mnt, &bind, &idmap, &data) < 0) {
		free(data);
		return -1;
	}
	if (oci_texts_add(o, &o->owned, data) < 0) {
		free(data);
		return -1;
	}
	if (!target || !*target)
		return oci_error(o, "%s.destination: missing", where);
	if (strlen(target) >= PATH_MAX - 1)
		return oci_error(o, "%s.destination: longer than a path can be", where);
	if (target[0] != '/' && !(target = oci_print(o, "/%s", target)))
		return -1;
	mnt->target = target;
	mnt->source = source;
	mnt->options = *data ? data : NULL;
	if (bind || strcmp(type, "bind") == 0) {
		if (!source)
			return oci_error(o, "%s.source: missing", where);
		if (*data)
			return oci_error(o, "%s.options: \"%s\" is not supported for a bind mount",
				where, data);
		mnt->kind = MOAT_MOUNT_HOST;
		mnt->source = host_path(o, source);
		mnt->shared = true;
		return mnt->source ? read_maps(o, m, where, mnt, idmap) : -1;
	}
	if (idmap || json_object_get(m, "uidMappings") || json_object_get(m, "gidMappings"))
		return oci_error(o, "%s.%s: only what is bound can have mappings", where,
			json_object_get(m, "uidMappings")   ? "uidMappings"
			: json_object_get(m, "gidMappings") ? "gidMappings"
							    : "options");
	for (k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
		if (strcmp(kinds[k].type, type) == 0)
			break;
	if (k == sizeof kinds / sizeof kinds[0])
		return oci_error(o, "%s.type: \"%s\" is not supported", where, type);
	mnt->kind = kinds[k].kind;
	if (mnt->copy_up && mnt->kind != MOAT_MOUNT_TMPFS)
		return oci_error(o, "%s.options: tmpcopyup is for tmpfs", where);
	/* The runtime fills /dev with the usual devices. */
	if (mnt->kind == MOAT_MOUNT_TMPFS && strcmp(target, "/dev") == 0)
		mnt->kind = MOAT_MOUNT_DEV;
	return 0;
}

int
oci_mounts(struct oci *o, json_t *top, struct moat_config *c)
{
	json_t *root, *list, *m;
	const char *path = NULL;
	size_t i;

	if (oci_object(o, top, "", "root", &root) < 0 || oci_array(o, top, "", "mounts", &list) < 0)
		return -1;
	if (!root)
		return oci_error(o, "root: missing");
	if (oci_string(o, root, "root", "path", &path) < 0 ||
		oci_bool(o, root, "root", "readonly", &c->root_readonly) < 0)
		return -1;
	if (!path || !*path)
		return oci_error(o, "root.path: missing");
	if (json_array_size(list) > 200)
		return oci_error(o, "mounts: more than 200");
	o->may_mount =
		(c->cap_bounding | c->cap_permitted | c->cap_inheritable) & (1ULL << CAP_SYS_ADMIN);
	if (!(o->mounts = oci_alloc(o, json_array_size(list) + 2, sizeof *o->mounts)))
		return -1;
	o->mounts[0] = (struct moat_mount){.kind = MOAT_MOUNT_HOST,
		.source = host_path(o, path),
		.target = "/",
		/* Engines copy files into it while it runs. */
		.shared = true};
	if (!o->mounts[0].source)
		return -1;
	json_array_foreach(list, i, m) if (read_mount(o, m, i, &o->mounts[i + 1]) < 0) return -1;
	c->mounts = o->mounts;
	c->nmounts = json_array_size(list) + 1;
	return 0;
}
