/* SPDX-License-Identifier: Apache-2.0 */
/* Values of /proc/sys outside net that belong to a namespace: names, System V IPC, message queues.
 */
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/mqueue.h"
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
