/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups and sessions (credentials(7)). */
#include "sentry/syscall/internal.h"

int64_t
sys_setpgid(struct task *t, const uint64_t a[6])
{
	int32_t pid = arg_int(a[0]), pgid = arg_int(a[1]);
	struct tgroup *g;
	struct pid *p;
	int64_t err = 0;

	if (pgid < 0)
		return -EINVAL;
	mutex_lock(&tasklist_lock);
	if (!pid)
		pid = task_vtgid(t);
	if (!pgid)
		pgid = pid;
	if (pgid < 0) {
		mutex_unlock(&tasklist_lock);
		return -EINVAL;
	}
	g = tgroup_find_locked(pid);
	if (!g || g->state >= TG_DEAD) {
		err = task_find_locked(pid) && !g ? -EINVAL : -ESRCH;
		goto out;
	}
	if (g != t->tgroup) {
		err = -ESRCH;
		if (g->parent != t->tgroup)
			goto out;
		err = -EPERM;
		if (g->pid[PID_SID] != t->tgroup->pid[PID_SID])
			goto out;
		err = -EACCES;
		if (g->did_exec)
			goto out;
		err = 0;
	}
	if (g->session_leader) {
		err = -EPERM;
		goto out;
	}
	if (pgid == pid) {
		p = g->pid[PID_TGID];
	} else {
		struct tgroup *o;
		bool same = false;

		p = pid_find_locked(pgid);
		if (p)
			list_for_each_entry (o, &p->members[PID_PGID], pid_node[PID_PGID])
				if (o->pid[PID_SID] == t->tgroup->pid[PID_SID])
					same = true;
		if (!same) {
			err = -EPERM;
			goto out;
		}
	}
	if (g->pid[PID_PGID] != p)
		tgroup_set_pid_locked(g, PID_PGID, p);
out:
	mutex_unlock(&tasklist_lock);
	if (!err && g == t->tgroup)
		task_publish_identity(t);
	return err;
}

static int64_t
get_role(struct task *t, int32_t pid, enum pid_role role)
{
	struct tgroup *g;
	int64_t r = -ESRCH;

	mutex_lock(&tasklist_lock);
	g = pid ? tgroup_find_locked(pid) : t->tgroup;
	if (!g && pid) {
		struct task *o = task_find_locked(pid);

		g = o ? o->tgroup : NULL;
	}
	if (g && g->pid[role])
		r = pid_vnr(g->pid[role]);
	mutex_unlock(&tasklist_lock);
	return r;
}

int64_t
sys_getpgid(struct task *t, const uint64_t a[6])
{
	return arg_int(a[0]) < 0 ? -ESRCH : get_role(t, arg_int(a[0]), PID_PGID);
}

int64_t
sys_getpgrp(struct task *t, const uint64_t a[6])
{
	(void)a;
	return get_role(t, 0, PID_PGID);
}

int64_t
sys_getsid(struct task *t, const uint64_t a[6])
{
	return arg_int(a[0]) < 0 ? -ESRCH : get_role(t, arg_int(a[0]), PID_SID);
}

int64_t
sys_setsid(struct task *t, const uint64_t a[6])
{
	struct tgroup *g = t->tgroup;
	struct pid *p;
	int64_t r;

	(void)a;
	mutex_lock(&tasklist_lock);
	p = g->pid[PID_TGID];
	if (g->session_leader || !list_empty(&p->members[PID_PGID])) {
		r = -EPERM;
	} else {
		tgroup_set_pid_locked(g, PID_SID, p);
		tgroup_set_pid_locked(g, PID_PGID, p);
		g->session_leader = true;
		mutex_lock(&g->sighand->lock);
		g->tty = NULL;
		mutex_unlock(&g->sighand->lock);
		r = pid_vnr(p);
	}
	mutex_unlock(&tasklist_lock);
	if (r > 0)
		task_publish_identity(t);
	return r;
}
