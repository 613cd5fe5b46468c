/* SPDX-License-Identifier: Apache-2.0 */
/* loginuid and sessionid of a task: as whom somebody logged in, whatever its ids have become since.
 * pam_loginuid(8) says it once, children keep it. Nothing here audits: the numbers are kept and
 * shown (Linux: proc_loginuid_write, audit_set_loginuid). */
#include "internal.h"
#include "sentry/cred/user_ns.h"

static _Atomic uint32_t sessions;

int
proc_show_loginuid(const struct pseudo_ctx *x, struct sbuf *b)
{
	const struct user_ns *ns = proc_asker(x)->user_ns;
	uint32_t uid = proc_task(x)->loginuid;

	sbuf_printf(b, "%u", uid_known(ns, uid) ? uid_out(ns, uid) : UINT32_MAX);
	return 0;
}

int
proc_show_sessionid(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%u", (unsigned)proc_task(x)->sessionid);
	return 0;
}

ssize_t
proc_write_loginuid(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct task *t = proc_task(x);
	uint64_t named;
	uint32_t uid;
	int err;

	if (t != task_current())
		return -EPERM;
	if (pos)
		return -EINVAL;
	err = proc_parse_u64(buf, 10, UINT32_MAX, &named);
	if (err)
		return err;
	uid = uid_in(proc_asker(x)->user_ns, (uint32_t)named);
	if (uid == UINT32_MAX && named != UINT32_MAX)
		return -EINVAL;
	/* Who has not logged in may say once as whom. */
	if (t->loginuid != UINT32_MAX && !cred_capable(x->c->cred, LX_CAP_AUDIT_CONTROL))
		return -EPERM;
	t->sessionid = uid == UINT32_MAX ? UINT32_MAX : atomic_fetch_add(&sessions, 1) + 1;
	t->loginuid = uid;
	return (ssize_t)len;
}
