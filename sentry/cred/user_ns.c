/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"
#include "sentry/cred/ucount.h"
#include "sentry/sysctl/sysctl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct id_map {
	uint32_t n;		/* 0: not written yet */
	struct id_extent *list; /* lower: ids of the first namespace */
};

struct user_ns {
	struct ref ref;
	struct user_ns *parent; /* a reference; NULL: the first */
	uint32_t owner, group, level;
	uint64_t id;
	struct mutex lock;	 /* rank LEAF: writing a map; a map that is there does not change */
	_Atomic uint32_t mapped; /* bit 0: uid is there, bit 1: gid */
	bool no_setgroups;	 /* lock */
	struct id_map map[2];
	_Atomic int32_t max[UCOUNTS]; /* /proc/sys/user */
};

/* Half of threads-max at most, as fork_init() has it. */
#define FIRST_MAX 16384
static _Atomic int32_t first_max[UCOUNTS] = {
	FIRST_MAX, FIRST_MAX, FIRST_MAX, FIRST_MAX, FIRST_MAX, FIRST_MAX, FIRST_MAX};

/* Of inotify, the first namespace's are those of fs.inotify. */
static int
as_sysctl(const struct user_ns *ns, enum ucount what)
{
	if (ns || what < UCOUNT_INOTIFY_INSTANCES)
		return -1;
	return what == UCOUNT_INOTIFY_INSTANCES ? SYSCTL_INOTIFY_MAX_USER_INSTANCES
						: SYSCTL_INOTIFY_MAX_USER_WATCHES;
}

int64_t
user_ns_max(const struct user_ns *ns, enum ucount what)
{
	int k = as_sysctl(ns, what);

	if (k >= 0)
		return sysctl_get((enum sysctl)k);
	return atomic_load(ns ? &((struct user_ns *)ns)->max[what] : &first_max[what]);
}

void
user_ns_set_max(struct user_ns *ns, enum ucount what, int32_t max)
{
	int k = as_sysctl(ns, what);

	if (k >= 0)
		sysctl_set((enum sysctl)k, max);
	else
		atomic_store(ns ? &ns->max[what] : &first_max[what], max);
}

uint64_t
ns_id_new(void)
{
	static _Atomic uint64_t next = 4026532500;

	return atomic_fetch_add(&next, 1);
}

int
user_ns_new(const struct cred *c, struct user_ns **ret)
{
	struct user_ns *ns;
	uint32_t level = c->user_ns ? c->user_ns->level + 1 : 1;
	int r;

	if (level > USER_NS_MAX_LEVEL)
		return -ENOSPC;
	r = ucount_take(c->user_ns, c->euid, UCOUNT_USER);
	if (r)
		return r;
	r = uid_known(c->user_ns, c->euid) && gid_known(c->user_ns, c->egid) ? -ENOMEM : -EPERM;
	ns = r == -ENOMEM ? calloc(1, sizeof *ns) : NULL;
	if (!ns) {
		ucount_give(c->user_ns, c->euid, UCOUNT_USER);
		return r;
	}
	ref_init(&ns->ref);
	mutex_init(&ns->lock, LR_LEAF);
	for (int i = 0; i < UCOUNTS; i++)
		ns->max[i] = INT32_MAX;
	ns->parent = user_ns_get(c->user_ns);
	ns->owner = c->euid;
	ns->group = c->egid;
	ns->level = level;
	ns->id = ns_id_new();
	ns->no_setgroups = c->user_ns && !user_ns_setgroups_allowed(c->user_ns);
	*ret = ns;
	return 0;
}

struct user_ns *
user_ns_get(struct user_ns *ns)
{
	if (ns)
		ref_get(&ns->ref);
	return ns;
}

void (*user_ns_gone)(uint64_t id);

void
user_ns_put(struct user_ns *ns)
{
	while (ns && ref_put(&ns->ref)) {
		struct user_ns *parent = ns->parent;

		ucount_give(parent, ns->owner, UCOUNT_USER);
		if (user_ns_gone)
			user_ns_gone(ns->id);
		free(ns->map[0].list);
		free(ns->map[1].list);
		mutex_destroy(&ns->lock);
		free(ns);
		ns = parent;
	}
}

struct user_ns *
user_ns_parent(const struct user_ns *ns)
{
	return ns ? ns->parent : NULL;
}

uint32_t
user_ns_owner(const struct user_ns *ns)
{
	return ns ? ns->owner : 0;
}

uint64_t
user_ns_id(const struct user_ns *ns)
{
	return ns ? ns->id : 4026531837;
}

bool
user_ns_is_below(const struct user_ns *ns, const struct user_ns *above)
{
	for (; ns && ns != above; ns = ns->parent)
		;
	return ns == above;
}

/* --- translation --- */

static bool
has_map(const struct user_ns *ns, int which)
{
	return atomic_load(&((struct user_ns *)ns)->mapped) >> which & 1;
}

static uint32_t
id_in(const struct user_ns *ns, int which, uint32_t id)
{
	const struct id_map *m;

	if (!ns || id == UINT32_MAX)
		return id;
	m = &ns->map[which];
	for (uint32_t i = 0; has_map(ns, which) && i < m->n; i++)
		if (id - m->list[i].first < m->list[i].count)
			return m->list[i].lower + (id - m->list[i].first);
	return UINT32_MAX;
}

/* UINT32_MAX: none. */
static uint32_t
id_out(const struct user_ns *ns, int which, uint32_t id)
{
	const struct id_map *m;

	if (!ns)
		return id;
	m = &ns->map[which];
	for (uint32_t i = 0; has_map(ns, which) && i < m->n; i++)
		if (id - m->list[i].lower < m->list[i].count)
			return m->list[i].first + (id - m->list[i].lower);
	return UINT32_MAX;
}

uint32_t
uid_in(const struct user_ns *ns, uint32_t uid)
{
	return id_in(ns, 0, uid);
}

uint32_t
gid_in(const struct user_ns *ns, uint32_t gid)
{
	return id_in(ns, 1, gid);
}

bool
uid_known(const struct user_ns *ns, uint32_t uid)
{
	return !ns || id_out(ns, 0, uid) != UINT32_MAX;
}

bool
gid_known(const struct user_ns *ns, uint32_t gid)
{
	return !ns || id_out(ns, 1, gid) != UINT32_MAX;
}

uint32_t
uid_out(const struct user_ns *ns, uint32_t uid)
{
	uint32_t v = id_out(ns, 0, uid);

	return ns && v == UINT32_MAX ? (uint32_t)sysctl_get(SYSCTL_OVERFLOWUID) : v;
}

uint32_t
gid_out(const struct user_ns *ns, uint32_t gid)
{
	uint32_t v = id_out(ns, 1, gid);

	return ns && v == UINT32_MAX ? (uint32_t)sysctl_get(SYSCTL_OVERFLOWGID) : v;
}

/* --- maps (user_namespaces(7), "Defining user and group ID mappings") --- */

static bool
overlap(uint32_t a, uint32_t b, uint32_t na, uint32_t nb)
{
	return a - b < nb || b - a < na;
}

static int
parse(const char *text, struct id_extent *list, uint32_t *n)
{
	*n = 0;
	while (*text) {
		unsigned long long v[3];
		int used = 0, len = (int)strcspn(text, "\n");
		char line[128];

		if (len >= (int)sizeof line || *n == USER_NS_MAX_EXTENTS)
			return -EINVAL;
		memcpy(line, text, (size_t)len);
		line[len] = 0;
		text += len + (text[len] == '\n');
		if (sscanf(line, " %llu %llu %llu %n", &v[0], &v[1], &v[2], &used) != 3 ||
			line[used])
			return -EINVAL;
		if (!v[2] || v[0] >= UINT32_MAX || v[1] >= UINT32_MAX || v[2] > UINT32_MAX ||
			v[0] + v[2] > UINT32_MAX || v[1] + v[2] > UINT32_MAX)
			return -EINVAL;
		for (uint32_t i = 0; i < *n; i++)
			if (overlap((uint32_t)v[0], list[i].first, (uint32_t)v[2], list[i].count) ||
				overlap((uint32_t)v[1], list[i].lower, (uint32_t)v[2],
					list[i].count))
				return -EINVAL;
		list[(*n)++] = (struct id_extent){(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2]};
	}
	return *n ? 0 : -EINVAL;
}

/* The lower ids are those of the parent: make them those of the first. All or nothing. */
static int
lower(const struct user_ns *ns, int which, struct id_extent *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t first = id_in(ns->parent, which, list[i].lower);
		uint32_t last = id_in(ns->parent, which, list[i].lower + list[i].count - 1);

		if (first == UINT32_MAX || last - first != list[i].count - 1)
			return -EPERM;
		list[i].lower = first;
	}
	return 0;
}

static bool
may_write(const struct user_ns *ns, const struct cred *c, const struct cred *opener, int which,
	const struct id_extent *list, uint32_t n)
{
	int cap = which ? LX_CAP_SETGID : LX_CAP_SETUID;

	/* one's own id alone, without privilege */
	if (n == 1 && list[0].count == 1 && c->euid == ns->owner) {
		if (!which && list[0].lower == c->euid)
			return true;
		if (which && ns->no_setgroups && list[0].lower == c->egid)
			return true;
	}
	return cred_capable_in(c, ns->parent, cap) && cred_capable_in(opener, ns->parent, cap);
}

int
user_ns_write_map(struct user_ns *ns, const struct cred *c, const struct cred *opener, bool gid,
	const char *text)
{
	struct id_extent *list;
	uint32_t n;
	int err;

	if (!ns || !cred_capable_in(c, ns, LX_CAP_SYS_ADMIN))
		return -EPERM;
	list = malloc(USER_NS_MAX_EXTENTS * sizeof *list);
	if (!list)
		return -ENOMEM;
	err = parse(text, list, &n);
	if (!err)
		err = lower(ns, gid, list, n);
	if (!err) {
		mutex_lock(&ns->lock);
		if (has_map(ns, gid) || !may_write(ns, c, opener, gid, list, n)) {
			err = -EPERM;
		} else {
			ns->map[gid].n = n;
			ns->map[gid].list = list;
			atomic_fetch_or(&ns->mapped, 1u << gid);
		}
		mutex_unlock(&ns->lock);
	}
	if (err)
		free(list);
	return err;
}

static struct id_map outside[2]; /* of the first; does not change while there are tasks */

int
user_ns_show_first(bool gid, const uint32_t *map, size_t n)
{
	struct id_extent *list;

	if (n > USER_NS_MAX_EXTENTS)
		return -EINVAL;
	list = calloc(n + 1, sizeof *list);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct id_extent){map[3 * i], map[3 * i + 1], map[3 * i + 2]};
	free(outside[gid].list);
	outside[gid] = (struct id_map){(uint32_t)n, list};
	return 0;
}

uint32_t
user_ns_map(const struct user_ns *ns, const struct user_ns *reader, bool gid, struct id_extent *ret,
	uint32_t max)
{
	const struct user_ns *seen = reader == ns ? user_ns_parent(ns) : reader;
	uint32_t n = 0;

	if (!ns && !reader && outside[gid].n) {
		for (; n < outside[gid].n && n < max; n++)
			ret[n] = outside[gid].list[n];
		return n;
	}
	if (!ns) {
		ret[0] = (struct id_extent){0, 0, UINT32_MAX};
		return 1;
	}
	for (; has_map(ns, gid) && n < ns->map[gid].n && n < max; n++) {
		ret[n] = ns->map[gid].list[n];
		ret[n].lower = id_out(seen, gid, ret[n].lower);
	}
	return n;
}

bool
user_ns_setgroups_allowed(const struct user_ns *ns)
{
	return !ns || !ns->no_setgroups;
}

bool
user_ns_gid_mapped(const struct user_ns *ns)
{
	return !ns || has_map(ns, 1);
}

int
user_ns_deny_setgroups(struct user_ns *ns)
{
	int err = 0;

	if (!ns)
		return -EPERM;
	mutex_lock(&ns->lock);
	if (has_map(ns, 1) && !ns->no_setgroups)
		err = -EPERM;
	else
		ns->no_setgroups = true;
	mutex_unlock(&ns->lock);
	return err;
}

/* --- capabilities --- */

static bool
has(const struct cred *c, int cap)
{
	return (c->cap_effective >> cap) & 1;
}

bool
cred_capable_in(const struct cred *c, const struct user_ns *ns, int cap)
{
	for (;; ns = ns->parent) {
		if (ns == c->user_ns)
			return has(c, cap);
		if (!ns)
			return false;
		/* who made a namespace, and stands where it was made, may do all in it */
		if (ns->parent == c->user_ns && ns->owner == c->euid)
			return true;
	}
}

bool
cred_capable_own(const struct cred *c, int cap)
{
	return has(c, cap);
}

bool
cred_capable_file(const struct cred *c, uint32_t uid, uint32_t gid, int cap)
{
	return has(c, cap) && uid_known(c->user_ns, uid) && gid_known(c->user_ns, gid);
}
