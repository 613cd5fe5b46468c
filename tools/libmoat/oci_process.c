/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: process. */
#include "base/cpu_list.h"
#include "oci.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define GROUPS_MAX 65536 /* NGROUPS_MAX */

static const char *const cap_names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
	"FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

const char *
moat_oci_capability(size_t i)
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
	if (json_array_size(list) > GROUPS_MAX)
		return oci_error(o, "process.user.additionalGids: more than %d", GROUPS_MAX);
	c->uid = (uint32_t)uid;
	c->gid = (uint32_t)gid;
	c->umask = (uint32_t)mask;
	if (!(o->groups = oci_alloc(o, json_array_size(list) + 1, sizeof *o->groups)))
		return -1;
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
	if (!(o->rlimits = oci_alloc(o, json_array_size(list) + 1, sizeof *o->rlimits)))
		return -1;
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

static int
read_scheduler(struct oci *o, json_t *p, struct moat_config *c)
{
	static const struct {
		const char *name;
		int policy;
	} policies[] = {{"SCHED_OTHER", SCHED_OTHER}, {"SCHED_FIFO", SCHED_FIFO},
		{"SCHED_RR", SCHED_RR}, {"SCHED_BATCH", SCHED_BATCH}, {"SCHED_IDLE", SCHED_IDLE}};
	const char *where = "process.scheduler", *name = NULL;
	uint64_t priority = 0;
	struct oci_texts flags = {0};
	json_t *s, *nice;
	bool rt;
	size_t i;
	int r;

	if (oci_object(o, p, "process", "scheduler", &s) < 0)
		return -1;
	if (!s)
		return 0;
	if (oci_string(o, s, where, "policy", &name) < 0 ||
		oci_uint(o, s, where, "priority", 99, &priority) < 0)
		return -1;
	if (!name)
		return oci_error(o, "%s.policy: missing", where);
	for (i = 0; i < sizeof policies / sizeof policies[0]; i++)
		if (strcmp(policies[i].name, name) == 0)
			break;
	if (i == sizeof policies / sizeof policies[0])
		return oci_error(o, "%s.policy: \"%s\" is not supported", where, name);
	rt = policies[i].policy == SCHED_FIFO || policies[i].policy == SCHED_RR;
	if (rt != (priority > 0))
		return oci_error(o, "%s.priority: %s", where,
			rt ? "missing (1 to 99)" : "is for SCHED_FIFO and SCHED_RR");
	nice = json_object_get(s, "nice");
	if (nice && (!json_is_integer(nice) || json_integer_value(nice) < -20 ||
			    json_integer_value(nice) > 19))
		return oci_error(o, "%s.nice: not a number between -20 and 19", where);
	if (nice && rt && json_integer_value(nice))
		return oci_error(o, "%s.nice: is not for SCHED_FIFO and SCHED_RR", where);
	r = oci_strings(o, s, where, "flags", &flags);
	for (i = 0; r == 0 && i < flags.n; i++) {
		if (strcmp(flags.v[i], "SCHED_FLAG_RESET_ON_FORK") == 0)
			c->sched_reset = true;
		else
			r = oci_error(
				o, "%s.flags[%zu]: \"%s\" is not supported", where, i, flags.v[i]);
	}
	oci_texts_free(&flags);
	for (size_t k = 0; k < sizeof policies / sizeof policies[0]; k++)
		if (strcmp(policies[k].name, name) == 0)
			c->sched_policy = policies[k].policy;
	c->sched_priority = (int)priority;
	c->has_nice = nice && !rt;
	c->nice = (int)json_integer_value(nice);
	return r;
}

static int
read_io_priority(struct oci *o, json_t *p, struct moat_config *c)
{
	static const char *const classes[] = {
		"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
	const char *name = NULL;
	uint64_t priority = 0;
	unsigned i;
	json_t *s;

	if (oci_object(o, p, "process", "ioPriority", &s) < 0)
		return -1;
	if (!s)
		return 0;
	if (oci_string(o, s, "process.ioPriority", "class", &name) < 0 ||
		oci_uint(o, s, "process.ioPriority", "priority", 7, &priority) < 0)
		return -1;
	for (i = 1; name && i < 4; i++)
		if (strcmp(classes[i], name) == 0)
			break;
	if (!name || i == 4)
		return oci_error(o, "process.ioPriority.class: missing, or not a class");
	c->ioprio = i << 13 | (unsigned)priority;
	return 0;
}

int
oci_cpus(struct oci *o, const char *where, const char *list, uint8_t *mask, size_t cap)
{
	return cpu_list_parse(list, mask, cap)
		       ? 0
		       : oci_error(o, "%s: \"%s\" is not a list as \"0-3,7\"", where, list);
}

/* For programs that come later. */
static int
read_affinity(struct oci *o, json_t *p)
{
	static const char *const names[] = {"initial", "final"};
	json_t *a;

	if (oci_object(o, p, "process", "execCPUAffinity", &a) < 0)
		return -1;
	/* The first is for before it is in its cgroup, the other for after. */
	for (size_t i = 0; i < 2; i++) {
		const char *list = "";
		char where[48];

		snprintf(where, sizeof where, "process.execCPUAffinity.%s", names[i]);
		if (oci_string(o, a, "process.execCPUAffinity", names[i], &list) < 0)
			return -1;
		if (!*list)
			continue;
		if (oci_cpus(o, where, list, o->cpus, sizeof o->cpus) < 0)
			return -1;
		o->has_cpus = true;
	}
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
		read_rlimits(o, p, c) < 0 || read_scheduler(o, p, c) < 0 ||
		read_io_priority(o, p, c) < 0 || read_affinity(o, p) < 0 ||
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
	if (strlen(c->cwd) >= PATH_MAX)
		return oci_error(o, "process.cwd: longer than a path can be");
	c->make_cwd = true;
	adj = json_object_get(p, "oomScoreAdj");
	if (adj && (!json_is_integer(adj) || json_integer_value(adj) < -1000 ||
			   json_integer_value(adj) > 1000))
		return oci_error(o, "process.oomScoreAdj: not a number between -1000 and 1000");
	c->has_oom_score_adj = adj != NULL;
	if (adj)
		c->oom_score_adj = (int)json_integer_value(adj);
	for (size_t i = 0; i < o->env.n; i++)
		home |= strncmp(o->env.v[i], "HOME=", 5) == 0;
	/* As runc does: programs rely on it. */
	if (!home && oci_texts_add(o, &o->env, c->uid == 0 ? "HOME=/root" : "HOME=/") < 0)
		return -1;
	c->args = o->args.v;
	c->env = o->env.v;
	return 0;
}
