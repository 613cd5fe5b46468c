/* SPDX-License-Identifier: Apache-2.0 */
/* uid_map, gid_map and setgroups of a process's user namespace (user_namespaces(7)). */
#include "internal.h"
#include "sentry/kernel/nsfs.h"
#include <stdlib.h>
#include <string.h>

static struct user_ns *
user_ns_of(const struct pseudo_ctx *x)
{
	struct ns_ref r;

	(void)ns_of_task(proc_task(x), NS_USER, &r);
	return r.ns;
}

int
proc_show_id_map(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct id_extent *e = malloc(USER_NS_MAX_EXTENTS * sizeof *e);
	struct user_ns *ns = user_ns_of(x);
	uint32_t n;

	if (!e) {
		user_ns_put(ns);
		return -ENOMEM;
	}
	n = user_ns_map(ns, x->c ? x->c->cred->user_ns : NULL, x->row->arg, e, USER_NS_MAX_EXTENTS);
	for (uint32_t i = 0; i < n; i++)
		sbuf_printf(b, "%10u %10u %10u\n", e[i].first, e[i].lower, e[i].count);
	user_ns_put(ns);
	free(e);
	return 0;
}

ssize_t
proc_write_id_map(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct user_ns *ns = user_ns_of(x);
	int err;

	if (pos || len >= LX_PAGE_SIZE)
		err = -EINVAL;
	else
		err = user_ns_write_map(ns, x->c->cred, proc_asker(x), x->row->arg, buf);
	if (!err)
		kernel_ids_changed();
	user_ns_put(ns);
	return err ? err : (ssize_t)len;
}

int
proc_show_setgroups(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct user_ns *ns = user_ns_of(x);

	sbuf_puts(b, user_ns_setgroups_allowed(ns) ? "allow\n" : "deny\n");
	user_ns_put(ns);
	return 0;
}

ssize_t
proc_write_setgroups(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct user_ns *ns = user_ns_of(x);
	size_t n = len && buf[len - 1] == '\n' ? len - 1 : len;
	int err = -EINVAL;

	if (!cred_capable_in(x->c->cred, ns, LX_CAP_SYS_ADMIN))
		err = -EPERM;
	else if (!pos && n == 4 && memcmp(buf, "deny", 4) == 0)
		err = user_ns_deny_setgroups(ns);
	else if (!pos && n == 5 && memcmp(buf, "allow", 5) == 0)
		err = user_ns_setgroups_allowed(ns) ? 0 : -EPERM;
	user_ns_put(ns);
	return err ? err : (ssize_t)len;
}

/* To write it takes a right, but access(2) does not know. */
int
proc_open_setgroups(const struct pseudo_ctx *x, struct file *f)
{
	struct user_ns *ns = user_ns_of(x);
	bool may = !(f->mode & LX_FMODE_WRITE) || cred_capable_in(x->c->cred, ns, LX_CAP_SYS_ADMIN);

	user_ns_put(ns);
	return may ? 0 : -EACCES;
}
