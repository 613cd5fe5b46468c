/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids, capabilities (credentials(7), capabilities(7)). */
#include "sentry/cred/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>
#include <string.h>

#define NO_ID		       UINT32_MAX
#define SECBIT_NO_SETUID_FIXUP 4u
#define SECBIT_KEEP_CAPS       16u

int64_t
sys_getuid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return uid_out(t->cred->user_ns, t->cred->uid);
}

int64_t
sys_geteuid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return uid_out(t->cred->user_ns, t->cred->euid);
}

int64_t
sys_getgid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return gid_out(t->cred->user_ns, t->cred->gid);
}

int64_t
sys_getegid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return gid_out(t->cred->user_ns, t->cred->egid);
}

static int64_t
three_out(struct task *t, const uint64_t a[6], uint32_t x, uint32_t y, uint32_t z)
{
	if (copy_out(&t->mem.um, ua(a[0]), &x, 4) || copy_out(&t->mem.um, ua(a[1]), &y, 4) ||
		copy_out(&t->mem.um, ua(a[2]), &z, 4))
		return -EFAULT;
	return 0;
}

int64_t
sys_getresuid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;

	return three_out(t, a, uid_out(c->user_ns, c->uid), uid_out(c->user_ns, c->euid),
		uid_out(c->user_ns, c->suid));
}

int64_t
sys_getresgid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;

	return three_out(t, a, gid_out(c->user_ns, c->gid), gid_out(c->user_ns, c->egid),
		gid_out(c->user_ns, c->sgid));
}

/* capabilities(7), "Effect of user ID changes on capabilities" */
static void
fix_caps(struct cred *n, const struct cred *old)
{
	uint32_t root = uid_in(n->user_ns, 0);
	bool had_root = old->uid == root || old->euid == root || old->suid == root;
	bool has_root = n->uid == root || n->euid == root || n->suid == root;

	if (n->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (had_root && !has_root) {
		if (!(n->securebits & SECBIT_KEEP_CAPS))
			n->cap_permitted = n->cap_effective = 0;
		n->cap_ambient = 0;
	}
	if (old->euid == root && n->euid != root)
		n->cap_effective = 0;
	if (old->euid != root && n->euid == root)
		n->cap_effective = n->cap_permitted;
}

/* Ids from the guest: NO_ID stays. False: one has no meaning in its namespace. */
static bool
ids_in(const struct cred *c, const uint64_t *a, int n, bool gid, uint32_t *id)
{
	for (int i = 0; i < n; i++) {
		uint32_t v = (uint32_t)a[i];

		id[i] = gid ? gid_in(c->user_ns, v) : uid_in(c->user_ns, v);
		if (v != NO_ID && id[i] == NO_ID)
			return false;
	}
	return true;
}

static int64_t
commit(struct task *t, struct cred *n)
{
	if (n->euid != t->cred->euid || n->egid != t->cred->egid ||
		(n->cap_permitted & ~t->cred->cap_permitted)) {
		t->mm->dumpable =
			(uint8_t)sysctl_get(SYSCTL_SUID_DUMPABLE); /* prctl(2), PR_SET_DUMPABLE */
		t->pdeath_signal = 0;
	}
	task_set_cred(t, n);
	return 0;
}

int64_t
sys_setuid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id = uid_in(c->user_ns, (uint32_t)a[0]);
	struct cred *n;

	if (id == NO_ID)
		return -EINVAL;
	if (!cred_capable_own(c, LX_CAP_SETUID) && id != c->uid && id != c->suid)
		return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (cred_capable_own(c, LX_CAP_SETUID))
		n->uid = n->suid = id;
	n->euid = n->fsuid = id;
	fix_caps(n, c);
	return commit(t, n);
}

int64_t
sys_setgid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id = gid_in(c->user_ns, (uint32_t)a[0]);
	struct cred *n;

	if (id == NO_ID)
		return -EINVAL;
	if (!cred_capable_own(c, LX_CAP_SETGID) && id != c->gid && id != c->sgid)
		return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (cred_capable_own(c, LX_CAP_SETGID))
		n->gid = n->sgid = id;
	n->egid = n->fsgid = id;
	return commit(t, n);
}

int64_t
sys_setreuid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id[2], r, e;
	bool cap = cred_capable_own(c, LX_CAP_SETUID);
	struct cred *n;

	if (!ids_in(c, a, 2, false, id))
		return -EINVAL;
	r = id[0];
	e = id[1];
	if (r != NO_ID && !cap && r != c->uid && r != c->euid)
		return -EPERM;
	if (e != NO_ID && !cap && e != c->uid && e != c->euid && e != c->suid)
		return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (r != NO_ID)
		n->uid = r;
	if (e != NO_ID)
		n->euid = e;
	if (r != NO_ID || (e != NO_ID && e != c->uid))
		n->suid = n->euid;
	n->fsuid = n->euid;
	fix_caps(n, c);
	return commit(t, n);
}

int64_t
sys_setregid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id[2], r, e;
	bool cap = cred_capable_own(c, LX_CAP_SETGID);
	struct cred *n;

	if (!ids_in(c, a, 2, true, id))
		return -EINVAL;
	r = id[0];
	e = id[1];
	if (r != NO_ID && !cap && r != c->gid && r != c->egid)
		return -EPERM;
	if (e != NO_ID && !cap && e != c->gid && e != c->egid && e != c->sgid)
		return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (r != NO_ID)
		n->gid = r;
	if (e != NO_ID)
		n->egid = e;
	if (r != NO_ID || (e != NO_ID && e != c->gid))
		n->sgid = n->egid;
	n->fsgid = n->egid;
	return commit(t, n);
}

static bool
may_be(uint32_t id, bool cap, uint32_t x, uint32_t y, uint32_t z)
{
	return id == NO_ID || cap || id == x || id == y || id == z;
}

int64_t
sys_setresuid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id[3];
	struct cred *n;

	if (!ids_in(c, a, 3, false, id))
		return -EINVAL;
	for (int i = 0; i < 3; i++)
		if (!may_be(id[i], cred_capable_own(c, LX_CAP_SETUID), c->uid, c->euid, c->suid))
			return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (id[0] != NO_ID)
		n->uid = id[0];
	if (id[1] != NO_ID)
		n->euid = id[1];
	if (id[2] != NO_ID)
		n->suid = id[2];
	n->fsuid = n->euid;
	fix_caps(n, c);
	return commit(t, n);
}

int64_t
sys_setresgid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id[3];
	struct cred *n;

	if (!ids_in(c, a, 3, true, id))
		return -EINVAL;
	for (int i = 0; i < 3; i++)
		if (!may_be(id[i], cred_capable_own(c, LX_CAP_SETGID), c->gid, c->egid, c->sgid))
			return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (id[0] != NO_ID)
		n->gid = id[0];
	if (id[1] != NO_ID)
		n->egid = id[1];
	if (id[2] != NO_ID)
		n->sgid = id[2];
	n->fsgid = n->egid;
	return commit(t, n);
}

int64_t
sys_setfsuid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id = uid_in(c->user_ns, (uint32_t)a[0]), old = c->fsuid;
	const uint64_t fs_caps = 1ULL << LX_CAP_CHOWN | 1ULL << LX_CAP_DAC_OVERRIDE |
				 1ULL << LX_CAP_DAC_READ_SEARCH | 1ULL << LX_CAP_FOWNER |
				 1ULL << LX_CAP_FSETID | 1ULL << LX_CAP_MKNOD |
				 1ULL << LX_CAP_LINUX_IMMUTABLE | 1ULL << LX_CAP_MAC_OVERRIDE;
	struct cred *n;

	if (id == NO_ID || id == old ||
		!may_be(id, cred_capable_own(c, LX_CAP_SETUID), c->uid, c->euid, c->suid))
		return uid_out(c->user_ns, old);
	n = cred_dup(c);
	if (!n)
		return uid_out(c->user_ns, old);
	n->fsuid = id;
	if (!(n->securebits & SECBIT_NO_SETUID_FIXUP)) {
		uint32_t root = uid_in(c->user_ns, 0);

		if (old == root)
			n->cap_effective &= ~fs_caps;
		else if (id == root)
			n->cap_effective |= n->cap_permitted & fs_caps;
	}
	(void)commit(t, n);
	return uid_out(n->user_ns, old);
}

int64_t
sys_setfsgid(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint32_t id = gid_in(c->user_ns, (uint32_t)a[0]), old = c->fsgid;
	struct cred *n;

	if (id == NO_ID || id == old ||
		!may_be(id, cred_capable_own(c, LX_CAP_SETGID), c->gid, c->egid, c->sgid))
		return gid_out(c->user_ns, old);
	n = cred_dup(c);
	if (!n)
		return gid_out(c->user_ns, old);
	n->fsgid = id;
	(void)commit(t, n);
	return gid_out(n->user_ns, old);
}

int64_t
sys_getgroups(struct task *t, const uint64_t a[6])
{
	const struct group_list *g = t->cred->groups;
	uint32_t n = g ? g->n : 0;
	int32_t size = arg_int(a[0]);

	if (size < 0)
		return -EINVAL;
	if (!size)
		return n;
	if ((uint32_t)size < n)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = gid_out(t->cred->user_ns, g->gid[i]);

		if (copy_out(&t->mem.um, ua(a[1] + i * 4UL), &v, sizeof v))
			return -EFAULT;
	}
	return (int64_t)n;
}

int64_t
sys_setgroups(struct task *t, const uint64_t a[6])
{
	uint32_t n = (uint32_t)a[0], *gids;
	struct cred *c;
	int err;

	if (!cred_capable_own(t->cred, LX_CAP_SETGID) ||
		!user_ns_setgroups_allowed(t->cred->user_ns) ||
		!user_ns_gid_mapped(t->cred->user_ns))
		return -EPERM;
	if (n > LX_NGROUPS_MAX)
		return -EINVAL;
	gids = malloc(n * 4UL + 4);
	if (!gids)
		return -ENOMEM;
	c = NULL;
	err = copy_in(&t->mem.um, gids, ua(a[1]), n * 4UL);
	for (uint32_t i = 0; i < n && !err; i++) {
		gids[i] = gid_in(t->cred->user_ns, gids[i]);
		if (gids[i] == NO_ID)
			err = -EINVAL;
	}
	if (!err && !(c = cred_dup(t->cred)))
		err = -ENOMEM;
	if (!err)
		err = cred_set_groups(c, gids, n);
	free(gids);
	if (err) {
		cred_put(c);
		return err;
	}
	return commit(t, c);
}

/* --- capget, capset --- */

struct cap_data {
	uint32_t effective, permitted, inheritable;
};

/* Version in the header: words of data. -EINVAL after writing back what we speak, as capget(2)
 * says. */
static int
cap_words(struct task *t, uint64_t hdr_addr, int32_t *pid)
{
	struct {
		uint32_t version;
		int32_t pid;
	} h;

	if (copy_in(&t->mem.um, &h, ua(hdr_addr), sizeof h))
		return -EFAULT;
	*pid = h.pid;
	switch (h.version) {
	case 0x19980330:
		return 1;
	case 0x20071026:
	case 0x20080522:
		return 2;
	default:
		h.version = 0x20080522;
		return copy_out(&t->mem.um, ua(hdr_addr), &h.version, sizeof h.version) ? -EFAULT
											: -EINVAL;
	}
}

int64_t
sys_capget(struct task *t, const uint64_t a[6])
{
	struct cap_data d[2];
	const struct cred *c;
	struct task *o;
	int32_t pid;
	int n = cap_words(t, a[0], &pid);

	if (n < 0)
		return n == -EINVAL && !a[1] ? 0 : n;
	if (pid < 0)
		return -EINVAL;
	if (!a[1])
		return 0;
	o = pid ? task_find_get(pid) : task_get(t);
	if (!o)
		return -ESRCH;
	mutex_lock(&o->pt_lock);
	c = o->cred;
	for (int i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)(c->cap_effective >> (32 * i));
		d[i].permitted = (uint32_t)(c->cap_permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(c->cap_inheritable >> (32 * i));
	}
	mutex_unlock(&o->pt_lock);
	task_put(o);
	return copy_out(&t->mem.um, ua(a[1]), d, (size_t)n * sizeof *d);
}

int64_t
sys_capset(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	struct cap_data d[2] = {0};
	uint64_t eff, perm, inh;
	struct cred *m;
	int32_t pid;
	int n = cap_words(t, a[0], &pid);

	if (n < 0)
		return n;
	if (pid && pid != task_vtid(t))
		return -EPERM;
	if (copy_in(&t->mem.um, d, ua(a[1]), (size_t)n * sizeof *d))
		return -EFAULT;
	eff = (d[0].effective | (uint64_t)d[1].effective << 32) & LX_CAP_ALL;
	perm = (d[0].permitted | (uint64_t)d[1].permitted << 32) & LX_CAP_ALL;
	inh = (d[0].inheritable | (uint64_t)d[1].inheritable << 32) & LX_CAP_ALL;
	if (!cred_capable_own(c, LX_CAP_SETPCAP) &&
		(inh & ~(c->cap_inheritable | c->cap_permitted)))
		return -EPERM;
	if ((inh & ~(c->cap_inheritable | c->cap_bounding)) || (perm & ~c->cap_permitted) ||
		(eff & ~perm))
		return -EPERM;
	m = cred_dup(c);
	if (!m)
		return -ENOMEM;
	m->cap_effective = eff;
	m->cap_permitted = perm;
	m->cap_inheritable = inh;
	m->cap_ambient &= perm & inh;
	return commit(t, m);
}
