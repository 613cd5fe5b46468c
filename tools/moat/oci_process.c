/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: process. */
#include "oci.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *const cap_names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
	"FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

const char *
oci_capability_name(size_t i)
{
	return i < sizeof cap_names / sizeof cap_names[0] ? cap_names[i] : NULL;
}

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {{"RLIMIT_AS", RLIMIT_AS}, {"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU}, {"RLIMIT_DATA", RLIMIT_DATA}, {"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS}, {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE}, {"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS}, {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME}, {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK}};

static int
read_user(struct oci *o, json_t *p, struct moat_config *c)
{
	uint64_t uid = 0, gid = 0, mask = 022;
	json_t *u, *list, *v;
	size_t i;

	if (oci_object(o, p, "process", "user", &u) < 0)
		return -1;
	if (!u)
		return 0;
	if (oci_uint(o, u, "process.user", "uid", UINT32_MAX - 1, &uid) < 0 ||
		oci_uint(o, u, "process.user", "gid", UINT32_MAX - 1, &gid) < 0 ||
		oci_uint(o, u, "process.user", "umask", 0777, &mask) < 0 ||
		oci_array(o, u, "process.user", "additionalGids", &list) < 0)
		return -1;
	c->uid = (uint32_t)uid;
	c->gid = (uint32_t)gid;
	c->umask = (uint32_t)mask;
	o->groups = xcalloc(json_array_size(list) + 1, sizeof *o->groups);
	json_array_foreach(list, i, v)
	{
		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
			json_integer_value(v) >= UINT32_MAX)
			return oci_error(
				o, "process.user.additionalGids[%zu]: not a group number", i);
		o->groups[c->ngroups++] = (uint32_t)json_integer_value(v);
	}
	c->groups = o->groups;
	return 0;
}

static int
read_caps(struct oci *o, json_t *p, struct moat_config *c)
{
	static const char *const names[] = {
		"bounding", "effective", "inheritable", "permitted", "ambient"};
	uint64_t *sets[] = {&c->cap_bounding, &c->cap_effective, &c->cap_inheritable,
		&c->cap_permitted, &c->cap_ambient};
	json_t *caps, *list, *v;
	size_t i, k;

	if (oci_object(o, p, "process", "capabilities", &caps) < 0)
		return -1;
	if (!caps)
		return 0;
	for (size_t s = 0; s < 5; s++) {
		if (oci_array(o, caps, "process.capabilities", names[s], &list) < 0)
			return -1;
		json_array_foreach(list, i, v)
		{
			const char *name = json_is_string(v) ? json_string_value(v) : "";

			for (k = 0; k < sizeof cap_names / sizeof cap_names[0]; k++)
				if (strncmp(name, "CAP_", 4) == 0 &&
					strcmp(name + 4, cap_names[k]) == 0)
					break;
			if (k == sizeof cap_names / sizeof cap_names[0])
				return oci_error(o,
					"process.capabilities.%s[%zu]: \"%s\" is not a capability",
					names[s], i, name);
			*sets[s] |= 1ULL << k;
		}
	}
	return 0;
}

static int
read_rlimits(struct oci *o, json_t *p, struct moat_config *c)
{
	unsigned seen = 0;
	json_t *list, *v;
	size_t i, k;

	if (oci_array(o, p, "process", "rlimits", &list) < 0)
		return -1;
	o->rlimits = xcalloc(json_array_size(list) + 1, sizeof *o->rlimits);
	json_array_foreach(list, i, v)
	{
		struct moat_rlimit *r = &o->rlimits[i];
		const char *type = "";
		char where[64];

		snprintf(where, sizeof where, "process.rlimits[%zu]", i);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", where);
		if (oci_string(o, v, where, "type", &type) < 0 ||
			oci_uint(o, v, where, "hard", UINT64_MAX, &r->max) < 0 ||
			oci_uint(o, v, where, "soft", UINT64_MAX, &r->cur) < 0)
			return -1;
		for (k = 0; k < sizeof rlimit_names / sizeof rlimit_names[0]; k++)
			if (strcmp(rlimit_names[k].name, type) == 0)
				break;
		if (k == sizeof rlimit_names / sizeof rlimit_names[0])
			return oci_error(o, "%s.type: \"%s\" is not a limit", where, type);
		r->resource = rlimit_names[k].resource;
		if (seen >> r->resource & 1)
			return oci_error(o, "%s.type: \"%s\" is listed twice", where, type);
		if (r->cur > r->max)
			return oci_error(o, "%s.soft: above hard", where);
		seen |= 1u << r->resource;
	}
	c->rlimits = o->rlimits;
	c->nrlimits = json_array_size(list);
	return 0;
}

int
oci_process(struct oci *o, json_t *p, struct moat_config *c)
{
	uint64_t rows = 0, columns = 0;
	bool home = false;
	json_t *size, *adj;

	if (oci_bool(o, p, "process", "terminal", &o->terminal) < 0 ||
		oci_object(o, p, "process", "consoleSize", &size) < 0 || read_user(o, p, c) < 0 ||
		oci_strings(o, p, "process", "args", &o->args) < 0 ||
		oci_strings(o, p, "process", "env", &o->env) < 0 ||
		oci_string(o, p, "process", "cwd", &c->cwd) < 0 || read_caps(o, p, c) < 0 ||
		read_rlimits(o, p, c) < 0 ||
		oci_bool(o, p, "process", "noNewPrivileges", &c->no_new_privs) < 0)
		return -1;
	if (size && (oci_uint(o, size, "process.consoleSize", "height", 65535, &rows) < 0 ||
			    oci_uint(o, size, "process.consoleSize", "width", 65535, &columns) < 0))
		return -1;
	o->rows = (uint16_t)rows;
	o->columns = (uint16_t)columns;
	if (o->args.n == 0)
		return oci_error(o, "process.args: empty");
	if (!c->cwd || c->cwd[0] != '/')
		return oci_error(o, "process.cwd: missing, or not an absolute path");
	c->make_cwd = true;
	adj = json_object_get(p, "oomScoreAdj");
	if (adj && (!json_is_integer(adj) || json_integer_value(adj) < -1000 ||
			   json_integer_value(adj) > 1000))
		return oci_error(o, "process.oomScoreAdj: not a number between -1000 and 1000");
	if (adj)
		c->oom_score_adj = (int)json_integer_value(adj);
	for (size_t i = 0; i < o->env.n; i++)
		home |= strncmp(o->env.v[i], "HOME=", 5) == 0;
	/* As runc does: programs rely on it. */
	if (!home)
		strings_add(&o->env, c->uid == 0 ? "HOME=/root" : "HOME=/");
	c->args = o->args.v;
	c->env = o->env.v;
	return 0;
}
