/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs (acl(5); Linux: fs/posix_acl.c). A file system keeps them as what they are to a guest,
 * the extended attributes system.posix_acl_access and _default; ids in them are those of the first
 * user namespace. With an ACL the group bits of a mode are its mask: they alone would give the
 * owning group more than its entry does.
 *
 * Of each inode it is remembered which it has not; where somebody else may give it one
 * (SUPER_SHARED) only the file system does so, with its other attributes. dir_lock is held wherever
 * one is changed.
 */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>
#include <string.h>

#define ACL_VERSION 2u
#define ACL_ENTRIES ((ACL_BYTES_MAX - 4) / sizeof(struct acl_entry))

enum acl_tag {
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
};

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

/* Entries in order: the owner, users, the owning group, groups, the mask, all others. */
struct acl {
	uint32_t n;
	struct acl_entry e[];
};

static size_t
bytes_of(uint32_t n)
{
	return 4 + n * sizeof(struct acl_entry);
}

/* posix_acl_valid(3): each entry in its place, and a mask where there is anybody named. */
static bool
valid(const struct acl *a)
{
	static const uint16_t order[] = {
		ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER};
	unsigned at = 0;
	bool named = false, mask = false;

	for (uint32_t k = 0; k < a->n; k++) {
		const struct acl_entry *e = &a->e[k];

		if (e->perm & ~7u)
			return false;
		while (at < 6 && order[at] != e->tag) {
			/* those that there has to be one of are not passed over */
			if (order[at] & (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER))
				return false;
			at++;
		}
		if (at == 6)
			return false;
		if (e->tag & (ACL_USER | ACL_GROUP))
			named = true;
		else
			at++;
		mask |= e->tag == ACL_MASK;
	}
	return at == 6 && (mask || !named);
}

/* From an attribute's value. -EINVAL, -EOPNOTSUPP (another version), -ENOMEM. */
static int
parse(const void *val, size_t size, struct acl **ret)
{
	uint32_t version;
	struct acl *a;

	if (size < bytes_of(0) || (size - 4) % sizeof(struct acl_entry) || size > ACL_BYTES_MAX)
		return -EINVAL;
	memcpy(&version, val, sizeof version);
	if (version != ACL_VERSION)
		return -EOPNOTSUPP;
	a = malloc(sizeof *a + size);
	if (!a)
		return -ENOMEM;
	a->n = (uint32_t)((size - 4) / sizeof(struct acl_entry));
	memcpy(a->e, (const char *)val + 4, size - 4);
	*ret = a;
	return 0;
}

/* buf: bytes_of(a->n) */
static void
format(const struct acl *a, void *buf)
{
	uint32_t version = ACL_VERSION;

	memcpy(buf, &version, sizeof version);
	memcpy((char *)buf + 4, a->e, a->n * sizeof *a->e);
}

static bool
has_acls(const struct inode *i)
{
	return (atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_POSIXACL) &&
	       !LX_S_ISLNK(inode_mode(i)) && i->ops->getxattr;
}

static bool
kept_by_host(const struct inode *i)
{
	return atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_ACL_HOST;
}

/* *ret is NULL when there is none. */
static int
get(struct inode *i, const struct call *c, const char *name, struct acl **ret)
{
	uint8_t *buf;
	ssize_t n;
	int r;

	*ret = NULL;
	buf = malloc(ACL_BYTES_MAX);
	if (!buf)
		return -ENOMEM;
	n = i->ops->getxattr(i, c, name, buf, ACL_BYTES_MAX);
	if (n == -ENODATA || n == -EOPNOTSUPP || n == 0)
		r = 0;
	else
		r = n < 0 ? (int)n : parse(buf, (size_t)n, ret);
	free(buf);
	if (*ret && !valid(*ret)) {
		free(*ret);
		*ret = NULL;
		r = -EIO;
	}
	return r;
}

static int
put(struct inode *i, const struct call *c, const char *name, const struct acl *a)
{
	uint8_t *buf = malloc(bytes_of(a->n));
	int r;

	if (!buf)
		return -ENOMEM;
	format(a, buf);
	r = i->ops->setxattr ? i->ops->setxattr(i, c, name, buf, bytes_of(a->n), 0) : -EOPNOTSUPP;
	free(buf);
	return r;
}

static _Atomic bool *
none_of(struct inode *i, const char *name)
{
	return strcmp(name, ACL_ACCESS) == 0 ? &i->no_acl : &i->no_default_acl;
}

/* The same, knowing where there is none. */
static int
get_known(struct inode *i, const struct call *c, const char *name, struct acl **ret)
{
	_Atomic bool *none = none_of(i, name);
	uint32_t shared = atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_SHARED;
	uint32_t before;
	int r;

	*ret = NULL;
	if (!has_acls(i) || atomic_load(none))
		return 0;
	before = atomic_load(&i->acl_sets);
	r = get(i, c, name, ret);
	if (r || *ret || shared)
		return r;
	mutex_lock(&i->lock);
	if (atomic_load(&i->acl_sets) == before)
		atomic_store(none, true);
	mutex_unlock(&i->lock);
	return 0;
}

/* What was seen before this says nothing of what is there after it. */
static void
forget(struct inode *i, const char *name)
{
	mutex_lock(&i->lock);
	atomic_fetch_add(&i->acl_sets, 1);
	atomic_store(none_of(i, name), false);
	mutex_unlock(&i->lock);
}

void
inode_acl_changed(struct inode *i)
{
	forget(i, ACL_ACCESS);
	forget(i, ACL_DEFAULT);
}

/* --- permission --- */

/* The whole of acl(5), "access check algorithm"; the owner was looked at before. */
static int
allows(const struct acl *a, const struct inode *i, const struct cred *cr, uint32_t want)
{
	const struct acl_entry *hit = NULL;
	uint32_t mask = 7;
	bool in_group = false;

	for (uint32_t k = 0; k < a->n; k++)
		if (a->e[k].tag == ACL_MASK)
			mask = a->e[k].perm;
	for (uint32_t k = 0; k < a->n && !hit; k++) {
		const struct acl_entry *e = &a->e[k];

		switch (e->tag) {
		case ACL_USER:
			if (e->id == cr->fsuid)
				hit = e;
			break;
		case ACL_GROUP_OBJ:
		case ACL_GROUP:
			if (!cred_in_group(cr, e->tag == ACL_GROUP ? e->id : inode_load(i->gid)))
				break;
			in_group = true;
			if ((e->perm & want) == want)
				hit = e;
			break;
		case ACL_OTHER:
			if (in_group)
				return -EACCES;
			return (e->perm & want) == want ? 0 : -EACCES;
		default:
			break;
		}
	}
	return hit && (hit->perm & mask & want) == want ? 0 : -EACCES;
}

int
acl_permission(struct inode *i, const struct call *c, uint32_t want)
{
	struct acl *a;
	int r = get_known(i, c, ACL_ACCESS, &a);

	if (r)
		return r == -ENOMEM ? r : -EACCES;
	if (!a)
		return -EAGAIN;
	r = allows(a, i, c->cred, want & 7);
	free(a);
	return r;
}

/* --- modes --- */

/* The permission bits that say the same as a; *exact: nothing else is in it. */
static uint32_t
mode_of(const struct acl *a, bool *exact)
{
	uint32_t mode = 0, group = 0;
	bool mask = false;

	*exact = true;
	for (uint32_t k = 0; k < a->n; k++) {
		uint32_t p = a->e[k].perm;

		switch (a->e[k].tag) {
		case ACL_USER_OBJ:
			mode |= p << 6;
			break;
		case ACL_GROUP_OBJ:
			group = p;
			break;
		case ACL_MASK:
			mode |= p << 3;
			mask = true;
			*exact = false;
			break;
		case ACL_OTHER:
			mode |= p;
			break;
		default:
			*exact = false;
			break;
		}
	}
	return mask ? mode : mode | group << 3;
}

static struct acl_entry *
entry(struct acl *a, uint16_t tag)
{
	for (uint32_t k = 0; k < a->n; k++)
		if (a->e[k].tag == tag)
			return &a->e[k];
	return NULL;
}

/* What stands for the group bits of the mode. */
static struct acl_entry *
group_class(struct acl *a)
{
	struct acl_entry *e = entry(a, ACL_MASK);

	return e ? e : entry(a, ACL_GROUP_OBJ);
}

int
acl_chmod(struct inode *i, const struct call *c, uint32_t mode)
{
	struct acl *a;
	int r;

	if (kept_by_host(i))
		return 0;
	r = get_known(i, c, ACL_ACCESS, &a);
	if (r || !a)
		return r;
	entry(a, ACL_USER_OBJ)->perm = mode >> 6 & 7;
	group_class(a)->perm = mode >> 3 & 7;
	entry(a, ACL_OTHER)->perm = mode & 7;
	r = put(i, c, ACL_ACCESS, a);
	free(a);
	return r;
}

/* --- new files --- */

int
acl_new(struct inode *dir, const struct call *c, uint32_t *mode, struct acl_pair *ret)
{
	struct acl *a;
	bool exact;
	int r;

	*ret = (struct acl_pair){0};
	if (LX_S_ISLNK(*mode))
		return 0;
	r = get_known(dir, c, ACL_DEFAULT, &a);
	if (r)
		return r;
	if (!a) {
		if (c->fs)
			*mode &= ~(atomic_load(&c->fs->umask) & 0777u);
		return 0;
	}
	if (LX_S_ISDIR(*mode)) {
		ret->def = malloc(sizeof *a + bytes_of(a->n));
		if (!ret->def) {
			free(a);
			return -ENOMEM;
		}
		memcpy(ret->def, a, sizeof *a + a->n * sizeof *a->e);
	}
	entry(a, ACL_USER_OBJ)->perm &= *mode >> 6 & 7;
	group_class(a)->perm &= *mode >> 3 & 7;
	entry(a, ACL_OTHER)->perm &= *mode & 7;
	*mode = (*mode & ~0777u) | mode_of(a, &exact);
	if (exact)
		free(a);
	else
		ret->access = a;
	return 0;
}

void
acl_pair_free(struct acl_pair *p)
{
	free(p->access);
	free(p->def);
	*p = (struct acl_pair){0};
}

/* --- the attributes --- */

bool
acl_is_name(const char *name)
{
	return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
}

/* Ids between a guest's namespace and the first one. False: one has no meaning there. */
static bool
translate(struct acl *a, const struct user_ns *ns, bool in)
{
	for (uint32_t k = 0; k < a->n; k++) {
		struct acl_entry *e = &a->e[k];
		bool user = e->tag == ACL_USER, group = e->tag == ACL_GROUP;

		if (!user && !group) {
			e->id = UINT32_MAX;
			continue;
		}
		if (in)
			e->id = user ? uid_in(ns, e->id) : gid_in(ns, e->id);
		else
			e->id = user ? uid_out(ns, e->id) : gid_out(ns, e->id);
		if (e->id == UINT32_MAX)
			return false;
	}
	return true;
}

ssize_t
acl_getxattr(struct inode *i, const struct call *c, const char *name, void *buf, size_t size)
{
	struct acl *a;
	ssize_t n;
	int r;

	if (!has_acls(i))
		return -EOPNOTSUPP;
	r = get(i, c, name, &a);
	if (r)
		return r;
	if (!a)
		return -ENODATA;
	(void)translate(a, c->cred->user_ns, false);
	n = (ssize_t)bytes_of(a->n);
	if (size && size < (size_t)n)
		n = -ERANGE;
	else if (size)
		format(a, buf);
	free(a);
	return n;
}

/* The mode follows the ACL. */
static int
set_mode(struct inode *i, const struct call *c, uint32_t mode)
{
	struct iattr at = {.valid = IATTR_MODE | IATTR_CTIME, .ctime = vfs_now()};
	uint32_t host_mode = (inode_mode(i) & LX_S_IALLUGO & ~0777u) | mode;

	at.mode = host_mode;
	if (!cred_in_group(c->cred, inode_load(i->gid)) &&
		!inode_capable(i, c->cred, LX_CAP_FSETID))
		at.mode &= ~LX_S_ISGID;
	/* A host that keeps ACLs has the mode follow, but lets the gofer keep the bit. */
	if (i->ops->setattr && (!kept_by_host(i) || at.mode != host_mode))
		return i->ops->setattr(i, c, &at);
	inode_setattr_apply(i, &at);
	return 0;
}

static int
remove_attr(struct inode *i, const struct call *c, const char *name)
{
	int r = i->ops->removexattr ? i->ops->removexattr(i, c, name) : -EOPNOTSUPP;

	return r == -ENODATA ? 0 : r;
}

int
acl_setxattr(struct inode *i, const struct call *c, const char *name, const void *val, size_t size)
{
	bool access = !strcmp(name, ACL_ACCESS), exact = false;
	struct acl *a = NULL;
	uint32_t mode = 0;
	int r = 0;

	if (!has_acls(i))
		return -EOPNOTSUPP;
	if (!inode_owner_or_capable(i, c))
		return -EPERM;
	if (size)
		r = parse(val, size, &a);
	if (r)
		return r;
	if (!access && !inode_is_dir(i)) {
		r = a && a->n ? -EACCES : 0;
		free(a);
		return r;
	}
	if (a && !a->n) {
		free(a);
		a = NULL;
	}
	if (a && (!translate(a, c->cred->user_ns, true) || !valid(a))) {
		free(a);
		return -EINVAL;
	}
	if (a && access)
		mode = mode_of(a, &exact);
	forget(i, name);
	/* The host knows best what it makes of it. */
	if (a && (!exact || kept_by_host(i)))
		r = put(i, c, name, a);
	else
		r = remove_attr(i, c, name);
	forget(i, name); /* also for who looked before it was there */
	if (!r && a && access)
		r = set_mode(i, c, mode);
	free(a);
	return r;
}

void
acl_new_apply(struct inode *i, const struct call *c, struct acl_pair *p)
{
	int r = 0;

	/* Of a host's directory the new file has them already. */
	if (p->access && !kept_by_host(i)) {
		r = put(i, c, ACL_ACCESS, p->access);
		forget(i, ACL_ACCESS);
		/* The mask alone would give its group more than was meant. */
		if (r)
			(void)set_mode(i, c, inode_mode(i) & 0707u);
	}
	if (!r && p->def && !kept_by_host(i)) {
		r = put(i, c, ACL_DEFAULT, p->def);
		forget(i, ACL_DEFAULT);
	}
	if (r)
		log_debug("a new file without its ACL: %d", r);
	acl_pair_free(p);
}

int
acl_removexattr(struct inode *i, const struct call *c, const char *name)
{
	return acl_setxattr(i, c, name, NULL, 0);
}
