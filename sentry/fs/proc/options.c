/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount of /proc is told (proc(5)): who sees whose processes, and whether there is anything
 * but processes. */
#include "internal.h"
#include "sentry/fs/proc.h"
#include "sentry/kernel/pid_ns.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum hidepid {
	HIDEPID_OFF,
	HIDEPID_NOACCESS,
	HIDEPID_INVISIBLE,
	HIDEPID_PTRACEABLE = 4,
};

struct proc_options {
	_Atomic int hidepid;
	_Atomic uint32_t gid; /* who sees all the same */
	bool pids_only;	      /* constant: a remount keeps it */
	struct pid_ns *ns;    /* (C) a reference: whose numbers the names are */
};

static const struct {
	const char *name;
	int value;
} hidepids[] = {{"off", HIDEPID_OFF}, {"noaccess", HIDEPID_NOACCESS},
	{"invisible", HIDEPID_INVISIBLE}, {"ptraceable", HIDEPID_PTRACEABLE}};

static int
parse_hidepid(struct proc_options *o, const char *val)
{
	uint64_t v;
	bool number = fs_option_u64(val, 10, &v) == 0;

	for (size_t i = 0; val && i < sizeof hidepids / sizeof hidepids[0]; i++)
		if (number ? v == (uint64_t)hidepids[i].value
			   : strcmp(val, hidepids[i].name) == 0) {
			o->hidepid = hidepids[i].value;
			return 0;
		}
	return -EINVAL;
}

static int
parse_one(struct proc_options *o, const char *name, const char *val)
{
	uint64_t v;

	if (strcmp(name, "hidepid") == 0)
		return parse_hidepid(o, val);
	if (strcmp(name, "gid") == 0) {
		if (fs_option_u64(val, 10, &v) || v >= UINT32_MAX)
			return -EINVAL;
		o->gid = (uint32_t)v;
		return 0;
	}
	if (strcmp(name, "subset") == 0 && val && strcmp(val, "pid") == 0) {
		o->pids_only = true;
		return 0;
	}
	return -EINVAL;
}

int
proc_check_option(const char *name, const char *val)
{
	struct proc_options o = {0};

	return parse_one(&o, name, val);
}

static int
parse(struct proc_options *o, const char *options)
{
	char *text = options ? strdup(options) : NULL, *p = text, *name, *val;
	int r = 0;

	if (options && !text)
		return -ENOMEM;
	while (!r && fs_option_next(&p, &name, &val))
		r = parse_one(o, name, val);
	free(text);
	return r;
}

static void
release(struct super *sb)
{
	proc_options_free(sb->priv);
}

void
proc_options_free(void *options)
{
	struct proc_options *o = options;

	pid_ns_put(o->ns);
	free(o);
}

const struct pid_ns *
proc_pid_ns(const struct pseudo_ctx *x)
{
	return ((const struct proc_options *)x->inode->sb->priv)->ns;
}

int32_t
proc_nr(const struct pseudo_ctx *x, const struct pid *p)
{
	return p ? pid_nr_in(p, proc_pid_ns(x)) : 0;
}

static int
remount(struct super *sb, const struct call *c, const struct mount_request *rq)
{
	struct proc_options *o = sb->priv, n = {o->hidepid, o->gid, o->pids_only, NULL};
	int r = parse(&n, rq->options);

	(void)c;
	if (r)
		return r;
	if (n.pids_only != o->pids_only)
		return -EINVAL;
	o->hidepid = n.hidepid;
	o->gid = n.gid;
	return 0;
}

static void
show_options(struct super *sb, char *buf, size_t cap)
{
	struct proc_options *o = sb->priv;
	int n = 0;

	if (o->gid)
		n += snprintf(buf, cap, ",gid=%u", o->gid);
	for (size_t i = 1; i < sizeof hidepids / sizeof hidepids[0]; i++)
		if (o->hidepid == hidepids[i].value)
			n += snprintf(buf + n, cap - (size_t)n, ",hidepid=%s", hidepids[i].name);
	if (o->pids_only)
		snprintf(buf + n, cap - (size_t)n, ",subset=pid");
}

const struct super_ops proc_sops = {
	.release = release, .remount = remount, .show_options = show_options};

int
proc_options_new(const struct call *c, const char *options, void **ret, bool *pids_only)
{
	struct proc_options *o = calloc(1, sizeof *o);
	int r = o ? parse(o, options) : -ENOMEM;

	if (r) {
		free(o);
		return r;
	}
	o->ns = pid_ns_get(c->pid_ns);
	*pids_only = o->pids_only;
	*ret = o;
	return 0;
}

/* Linux: has_pid_permissions */
static bool
permitted(const struct proc_options *o, const struct call *c, struct task *t, int least)
{
	struct task *me = task_current();

	if (o->hidepid < least || !me)
		return true;
	if (o->hidepid != HIDEPID_PTRACEABLE && cred_in_group(c->cred, o->gid))
		return true;
	return task_may_access(me, t);
}

bool
proc_sees(const struct super *sb, const struct call *c, struct task *t)
{
	return permitted(sb->priv, c, t, HIDEPID_INVISIBLE);
}

int
proc_may_enter(const struct pseudo_ctx *x, int mask)
{
	(void)mask;
	if (!proc_still(x))
		return -ESRCH;
	return permitted(x->inode->sb->priv, x->c, proc_task(x), HIDEPID_NOACCESS) ? 0 : -EPERM;
}
