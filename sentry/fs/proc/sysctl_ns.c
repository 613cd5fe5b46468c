/* SPDX-License-Identifier: Apache-2.0 */
/* Values of /proc/sys outside net that belong to a namespace: names, System V IPC, message queues.
 */
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/mqueue.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/sched/sched.h"
#include "sysctl.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int
proc_sysctl_show_uts(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = task_current();

	if (!t)
		return -ESRCH;
	mutex_lock(&t->uts->lock);
	sbuf_printf(b, "%s\n", x->row->arg ? t->uts->domainname : t->uts->nodename);
	mutex_unlock(&t->uts->lock);
	return 0;
}

ssize_t
proc_sysctl_write_uts(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct task *t = task_current();
	ssize_t r;

	if (!t)
		return -ESRCH;
	if (!cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	mutex_lock(&t->uts->lock);
	r = proc_sysctl_put_text(
		x->row->arg ? t->uts->domainname : t->uts->nodename, 65, buf, len, pos);
	mutex_unlock(&t->uts->lock);
	return r;
}

/* The limits of System V IPC belong to an IPC namespace, too: the reader's. arg: the first of them,
 * and how many (from bit 8). */
int
proc_sysctl_show_ipc(const struct pseudo_ctx *x, struct sbuf *b)
{
	unsigned first = x->row->arg & 255, n = (unsigned)(x->row->arg >> 8);

	if (!x->c || !x->c->ipc)
		return -ESRCH;
	for (unsigned i = 0; i < n; i++)
		sbuf_printf(b, "%s%llu", i ? "\t" : "",
			(unsigned long long)ipc_limit_get(x->c->ipc, (enum ipc_limit)(first + i)));
	sbuf_puts(b, "\n");
	return 0;
}

/* Numbers without a sign; fewer of them than there are leave the rest alone. */
ssize_t
proc_sysctl_write_ipc(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	unsigned first = x->row->arg & 255, n = (unsigned)(x->row->arg >> 8);
	const char *at = buf + strspn(buf, " \t\n");
	char *end;
	int r = -EINVAL;

	if (!proc_sysctl_counts(pos))
		return (ssize_t)len;
	if (!x->c->ipc)
		return -ESRCH;
	for (unsigned i = 0; i < n && *at; i++) {
		unsigned long long v;

		errno = 0;
		v = strtoull(at, &end, 0);
		if (!isdigit((unsigned char)*at) || errno || (*end && !strchr(" \t\n", *end)))
			return -EINVAL;
		r = ipc_limit_set(x->c->ipc, (enum ipc_limit)(first + i), v);
		if (r < 0)
			return r;
		at = end + strspn(end, " \t\n");
	}
	return r < 0 ? r : at - buf;
}

/* Those of POSIX message queues belong to an IPC namespace: the reader's. */
int
proc_sysctl_show_mqueue(const struct pseudo_ctx *x, struct sbuf *b)
{
	int64_t v =
		x->c && x->c->ipc ? mq_limit_get(x->c->ipc, (enum mq_limit)x->row->arg) : -ESRCH;

	if (v < 0)
		return (int)v;
	sbuf_printf(b, "%lld\n", (long long)v);
	return 0;
}

ssize_t
proc_sysctl_write_mqueue(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	size_t used;
	int64_t v;
	int r;

	if (!proc_sysctl_counts(pos))
		return (ssize_t)len;
	if (proc_sysctl_numbers(buf, len, &v, 1, &used) < 1)
		return -EINVAL;
	r = x->c->ipc ? mq_limit_set(x->c->ipc, (enum mq_limit)x->row->arg, v) : -ESRCH;
	return r < 0 ? r : (ssize_t)used;
}

/* --- pid namespaces --- */

/* Eight for each CPU, and more than are reserved. */
static int32_t
pid_max_min(void)
{
	uint8_t mask[128] = {0};
	int32_t n = 0;

	sched_online_cpus(mask, sizeof mask);
	for (size_t i = 0; i < sizeof mask; i++)
		n += 8 * __builtin_popcount(mask[i]);
	return n > 301 ? n : 301;
}

static struct pid_ns *
pid_ns_here(void)
{
	struct task *t = task_current();

	return t && t->pid ? t->pid->ns : NULL;
}

static struct user_ns *
owner_of(const struct pid_ns *ns)
{
	return ns ? ns->user_ns : NULL;
}

uint64_t
proc_sysctl_bind_pid_ns(const struct pseudo_ctx *x)
{
	(void)x;
	return (uintptr_t)pid_ns_get(pid_ns_here());
}

void
proc_sysctl_unbind_pid_ns(uint64_t bound)
{
	pid_ns_put((struct pid_ns *)(uintptr_t)bound);
}

/* pid_table_root_permissions(). The first namespace may be many containers'. */
int
proc_sysctl_check_pid_max(const struct pseudo_ctx *x, int mask)
{
	const struct user_ns *owner = owner_of(pid_ns_here());
	uint32_t mode = x->row->mode;

	if (cred_capable_in(x->c->cred, owner, LX_CAP_SYS_ADMIN) ||
		x->c->cred->euid == uid_in(owner, 0))
		mode >>= 6;
	return (uint32_t)mask & ~mode & 7 ? -EACCES : 0;
}

void
proc_sysctl_attr_pid_max(const struct pseudo_ctx *x, struct inode *i)
{
	const struct user_ns *owner = owner_of(pid_ns_here());
	uint32_t uid = uid_in(owner, 0), gid = gid_in(owner, 0);

	(void)x;
	inode_store(i->uid, uid == UINT32_MAX ? 0 : uid);
	inode_store(i->gid, gid == UINT32_MAX ? 0 : gid);
}

int
proc_sysctl_show_pid_max(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%d\n", pid_ns_max((struct pid_ns *)(uintptr_t)x->bound));
	return 0;
}

/* One number between low and high: 1; 0: it is not at the beginning, and ignored; -EINVAL. */
static int
one_number(const char *buf, size_t len, int64_t pos, int64_t low, int64_t high, int32_t *ret,
	size_t *ret_used)
{
	int64_t v;

	*ret_used = len;
	if (!proc_sysctl_counts(pos) || !len)
		return 0;
	if (proc_sysctl_numbers(buf, len, &v, 1, ret_used) < 1 || v < low || v > high)
		return -EINVAL;
	*ret = (int32_t)v;
	return 1;
}

ssize_t
proc_sysctl_write_pid_max(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct pid_ns *ns = (struct pid_ns *)(uintptr_t)x->bound;
	int32_t v, least = pid_max_min();
	size_t used;
	int r;

	if (!ns && !cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	r = one_number(buf, len, pos, least, PID_MAX, &v, &used);
	if (r > 0)
		pid_ns_set_max(ns, v);
	return r < 0 ? r : (ssize_t)used;
}

int
proc_sysctl_show_last_pid(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%d\n", pid_ns_last(pid_ns_here()));
	return 0;
}

ssize_t
proc_sysctl_write_last_pid(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct pid_ns *ns = pid_ns_here();
	struct user_ns *owner = owner_of(ns);
	int32_t v;
	size_t used;
	int r;

	if (!cred_capable_in(x->c->cred, owner, LX_CAP_SYS_ADMIN) &&
		!cred_capable_in(x->c->cred, owner, LX_CAP_CHECKPOINT_RESTORE))
		return -EPERM;
	r = one_number(buf, len, pos, 0, pid_ns_max(ns), &v, &used);
	if (r > 0)
		pid_ns_set_last(ns, v);
	return r < 0 ? r : (ssize_t)used;
}

int
proc_sysctl_show_noexec(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%d\n", pid_ns_memfd_noexec(pid_ns_here()));
	return 0;
}

/* No namespace is more open than the one above it. */
ssize_t
proc_sysctl_write_noexec(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct pid_ns *ns = pid_ns_here();
	int32_t v;
	size_t used;
	int r;

	if (!cred_capable_in(x->c->cred, owner_of(ns), LX_CAP_SYS_ADMIN))
		return -EPERM;
	r = one_number(buf, len, pos, ns ? pid_ns_memfd_noexec(ns->parent) : 0, 2, &v, &used);
	if (r > 0)
		pid_ns_set_memfd_noexec(ns, v);
	return r < 0 ? r : (ssize_t)used;
}

/* --- user namespaces --- */

uint64_t
proc_sysctl_bind_user_ns(const struct pseudo_ctx *x)
{
	return (uintptr_t)user_ns_get(x->c->cred->user_ns);
}

void
proc_sysctl_unbind_user_ns(uint64_t bound)
{
	user_ns_put((struct user_ns *)(uintptr_t)bound);
}

/* set_permissions() of kernel/ucount.c */
int
proc_sysctl_check_user(const struct pseudo_ctx *x, int mask)
{
	return (mask & LX_W_OK) && !cred_capable_own(x->c->cred, LX_CAP_SYS_RESOURCE) ? -EACCES : 0;
}

int
proc_sysctl_show_user(const struct pseudo_ctx *x, struct sbuf *b)
{
	const struct user_ns *ns = (const struct user_ns *)(uintptr_t)x->bound;

	sbuf_printf(b, "%lld\n", (long long)user_ns_max(ns, (enum ucount)x->row->arg));
	return 0;
}

/* The first namespace's bounds are many containers', and those of the sentry. */
ssize_t
proc_sysctl_write_user(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct user_ns *ns = (struct user_ns *)(uintptr_t)x->bound;
	enum ucount what = (enum ucount)x->row->arg;
	int64_t most = ns || what < UCOUNT_INOTIFY_INSTANCES ? INT32_MAX
		       : what == UCOUNT_INOTIFY_INSTANCES    ? INOTIFY_MOST_INSTANCES
							     : INOTIFY_MOST_WATCHES;
	int32_t v;
	size_t used;
	int r;

	if (!ns && !cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	r = one_number(buf, len, pos, 0, most, &v, &used);
	if (r > 0)
		user_ns_set_max(ns, what, v);
	return r < 0 ? r : (ssize_t)used;
}
