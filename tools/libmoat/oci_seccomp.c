/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: linux.seccomp. libseccomp makes the filter program; the sandbox's kernel runs it.
 * Only the native ABI goes into it: calls of the others (x86, x32) do not exist inside.
 */
#include "oci.h"
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PROGRAM (4096 * 8) /* BPF_MAXINSNS */
#define MAX_ARGS    6
#define MAX_RULES   4096 /* each takes an instruction at least */

static int
read_action(struct oci *o, const char *where, const char *name, uint64_t err, uint32_t *ret)
{
	const struct {
		const char *name;
		uint32_t action;
	} actions[] = {{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW}, {"SCMP_ACT_LOG", SCMP_ACT_LOG},
		{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO((uint32_t)err)},
		{"SCMP_ACT_TRACE", SCMP_ACT_TRACE((uint32_t)err)}, {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
		{"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY}, {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS}};

	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(actions[i].name, name) == 0) {
			*ret = actions[i].action;
			return 0;
		}
	return oci_error(o, "%s: \"%s\" is not supported", where, name);
}

static int
read_op(const char *name, enum scmp_compare *ret)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {{"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT},
		{"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_EQ", SCMP_CMP_EQ},
		{"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
		{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
		if (strcmp(ops[i].name, name) == 0) {
			*ret = ops[i].op;
			return 0;
		}
	return -1;
}

/* The conditions of one rule. *ret_twice: one argument has several, of which any will do. */
static int
read_args(struct oci *o, json_t *rule, const char *where, struct scmp_arg_cmp *args, unsigned *ret,
	bool *ret_twice)
{
	unsigned seen = 0;
	json_t *list, *a;
	size_t i;

	*ret = 0;
	*ret_twice = false;
	if (oci_array(o, rule, where, "args", &list) < 0)
		return -1;
	if (json_array_size(list) > MAX_ARGS)
		return oci_error(o, "%s.args: more than %d", where, MAX_ARGS);
	json_array_foreach(list, i, a)
	{
		uint64_t index = 0, value = 0, two = 0;
		const char *name = "";
		enum scmp_compare op;
		char at[96];

		snprintf(at, sizeof at, "%s.args[%zu]", where, i);
		if (!json_is_object(a))
			return oci_error(o, "%s: not an object", at);
		if (oci_uint(o, a, at, "index", MAX_ARGS - 1, &index) < 0 ||
			oci_uint(o, a, at, "value", UINT64_MAX, &value) < 0 ||
			oci_uint(o, a, at, "valueTwo", UINT64_MAX, &two) < 0 ||
			oci_string(o, a, at, "op", &name) < 0)
			return -1;
		if (read_op(name, &op) < 0)
			return oci_error(o, "%s.op: \"%s\" is not a comparison", at, name);
		*ret_twice |= seen >> index & 1;
		seen |= 1u << index;
		args[(*ret)++] = (struct scmp_arg_cmp){(unsigned)index, op, value, two};
	}
	return 0;
}

/* What SCMP_ACT_NOTIFY cannot stand for with runc, which itself makes calls below the filter. */
static int
check_notify(struct oci *o, const char *where, json_t *names)
{
	json_t *v;
	size_t k;

	json_array_foreach(names, k, v)
	{
		if (json_is_string(v) && strcmp(json_string_value(v), "write") == 0)
			return oci_error(o,
				"%s: SCMP_ACT_NOTIFY cannot be used for the write syscall", where);
	}
	return 0;
}

/* Who answers for that action, if it is there at all. */
static int
read_listener(struct oci *o, json_t *s, bool notifies)
{
	const char *path = "", *metadata = "";

	if (oci_string(o, s, "linux.seccomp", "listenerPath", &path) < 0 ||
		oci_string(o, s, "linux.seccomp", "listenerMetadata", &metadata) < 0)
		return -1;
	if (*metadata && !*path)
		return oci_error(o, "linux.seccomp.listenerMetadata: listenerPath is not set");
	if (notifies && !*path)
		return oci_error(o,
			"linux.seccomp.syscalls: SCMP_ACT_NOTIFY: seccomp listenerPath is not set");
	o->listener_path = notifies ? path : NULL;
	o->listener_metadata = notifies && *metadata ? metadata : NULL;
	return 0;
}

static int
add_rule(struct oci *o, scmp_filter_ctx f, json_t *rule, size_t i, uint32_t by_default,
	bool *ret_notifies)
{
	struct scmp_arg_cmp args[MAX_ARGS];
	const char *action_name = "";
	char where[64], at[80];
	uint64_t err = EPERM;
	uint32_t action;
	unsigned nargs;
	bool twice;
	json_t *names, *v;
	size_t k;

	snprintf(where, sizeof where, "linux.seccomp.syscalls[%zu]", i);
	snprintf(at, sizeof at, "%s.action", where);
	if (!json_is_object(rule))
		return oci_error(o, "%s: not an object", where);
	if (oci_array(o, rule, where, "names", &names) < 0 ||
		oci_string(o, rule, where, "action", &action_name) < 0 ||
		oci_uint(o, rule, where, "errnoRet", 65535, &err) < 0 ||
		read_action(o, at, action_name, err, &action) < 0 ||
		read_args(o, rule, where, args, &nargs, &twice) < 0 ||
		(action == SCMP_ACT_NOTIFY && check_notify(o, at, names) < 0))
		return -1;
	*ret_notifies |= action == SCMP_ACT_NOTIFY;
	if (json_array_size(names) == 0)
		return oci_error(o, "%s.names: empty", where);
	if (action == by_default)
		return 0;
	json_array_foreach(names, k, v)
	{
		int nr = json_is_string(v) ? seccomp_syscall_resolve_name(json_string_value(v))
					   : __NR_SCMP_ERROR,
		    r = 0;

		if (!json_is_string(v))
			return oci_error(o, "%s.names[%zu]: not a string", where, k);
		/* One that does not exist here cannot be called either; profiles name those of all
		 * architectures. */
		if (nr < 0)
			continue;
		errno = 0;
		if (!twice)
			r = seccomp_rule_add_array(f, action, nr, nargs, args);
		for (unsigned a = 0; twice && a < nargs && r == 0; a++)
			r = seccomp_rule_add_array(f, action, nr, 1, &args[a]);
		if (r < 0 && (r == -ENOMEM || errno == ENOMEM))
			return oci_no_memory(o);
		if (r < 0 && r != -EEXIST)
			return oci_error(
				o, "%s: %s: %s", where, json_string_value(v), strerror(-r));
	}
	return 0;
}

static int
read_flags(struct oci *o, json_t *s, struct moat_config *c)
{
	struct oci_texts flags = {0};
	int r = oci_strings(o, s, "linux.seccomp", "flags", &flags);

	for (size_t i = 0; r == 0 && i < flags.n; i++) {
		if (strcmp(flags.v[i], "SECCOMP_FILTER_FLAG_LOG") == 0)
			c->seccomp_log = true;
		/* One thread has it when it starts; and what slows speculation down is the host's
		 * affair. */
		else if (strcmp(flags.v[i], "SECCOMP_FILTER_FLAG_TSYNC") != 0 &&
			 strcmp(flags.v[i], "SECCOMP_FILTER_FLAG_SPEC_ALLOW") != 0)
			r = oci_error(o, "linux.seccomp.flags[%zu]: \"%s\" is not supported", i,
				flags.v[i]);
	}
	oci_texts_free(&flags);
	return r;
}

/* The program of f, in o. */
static int export(struct oci *o, scmp_filter_ctx f, struct moat_config *c)
{
	int fd, r;
	ssize_t n = 0;

	if (!(o->seccomp = oci_alloc(o, 1, MAX_PROGRAM + 8)))
		return -1;
	errno = 0; /* libseccomp's own errors do not always tell */
	fd = memfd_create("seccomp", MFD_CLOEXEC);
	r = fd < 0 ? -errno : seccomp_export_bpf(f, fd);
	if (r < 0 && errno == ENOMEM)
		r = -ENOMEM;
	if (r == 0) {
		n = pread(fd, o->seccomp, MAX_PROGRAM + 8, 0);
		if (n <= 0 || n > MAX_PROGRAM)
			r = -E2BIG;
	}
	if (fd >= 0)
		close(fd);
	if (r == -ENOMEM)
		return oci_no_memory(o);
	if (r < 0)
		return oci_error(o, "linux.seccomp: cannot compile it: %s", strerror(-r));
	c->seccomp = o->seccomp;
	c->seccomp_bytes = (size_t)n;
	return 0;
}

int
oci_seccomp(struct oci *o, json_t *s, struct moat_config *c)
{
	const char *name = "";
	uint64_t err = EPERM;
	uint32_t action;
	scmp_filter_ctx f;
	json_t *rules, *archs, *rule;
	size_t i, nrules = 0;
	bool notifies = false;
	int r = 0;

	if (oci_string(o, s, "linux.seccomp", "defaultAction", &name) < 0 ||
		oci_uint(o, s, "linux.seccomp", "defaultErrnoRet", 65535, &err) < 0 ||
		oci_array(o, s, "linux.seccomp", "architectures", &archs) < 0 ||
		oci_array(o, s, "linux.seccomp", "syscalls", &rules) < 0 ||
		read_action(o, "linux.seccomp.defaultAction", name, err, &action) < 0 ||
		read_flags(o, s, c) < 0)
		return -1;
	if (action == SCMP_ACT_NOTIFY)
		return oci_error(o, "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used "
				    "as default action");
	json_array_foreach(archs, i, rule)
	{
		const char *arch = json_is_string(rule) ? json_string_value(rule) : "";

		if (strncmp(arch, "SCMP_ARCH_", 10) != 0)
			return oci_error(
				o, "linux.seccomp.architectures[%zu]: not an architecture", i);
	}
	/* What could not fit is not worked on, which would take libseccomp minutes. */
	json_array_foreach(rules, i, rule)
	{
		nrules += json_array_size(json_object_get(rule, "names"));
		if (nrules > MAX_RULES)
			return oci_error(
				o, "linux.seccomp.syscalls: more than %d rules", MAX_RULES);
	}
	errno = 0;
	f = seccomp_init(action);
	if (!f && errno == ENOMEM)
		return oci_no_memory(o);
	if (!f)
		return oci_error(o, "linux.seccomp.defaultAction: \"%s\" is refused", name);
	/* What is allowed whatever its arguments is found first. */
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	json_array_foreach(rules, i, rule)
	{
		r = add_rule(o, f, rule, i, action, &notifies);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = read_listener(o, s, notifies);
	if (r == 0)
		r = export(o, f, c);
	seccomp_release(f);
	return r;
}
