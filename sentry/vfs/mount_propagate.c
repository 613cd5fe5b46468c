/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Propagation (mount_namespaces(7)): peers share what is mounted below them, slaves receive from
 * their master. A mount that arrives is copied to every member of the receiving mount's
 * propagation; each copy is a peer or a slave of the copy that its own source received, so that the
 * copies propagate among each other as their parents do. Everything here is under mnt_tree_lock;
 * rings are changed under mnt_mutex too.
 */
#include "mount_internal.h"
#include "sentry/sysctl/sysctl.h"

static uint32_t next_group = 1;

bool
mount_shared(const struct mount *m)
{
	return m->peer_group != 0;
}

void
mount_make_shared(struct mount *m)
{
	if (!m->peer_group)
		m->peer_group = next_group++;
}

void
mount_join_group(struct mount *m, struct mount *peer)
{
	m->peer_group = peer->peer_group;
	list_del(&m->peers);
	list_push_back(&peer->peers, &m->peers);
}

void
mount_make_slave_of(struct mount *m, struct mount *master)
{
	list_del(&m->slave_node);
	m->master = master;
	list_push_back(&master->slaves, &m->slave_node);
}

/* Leave the peer group; m's slaves go to a peer that stays, or to m's master, or become
 * independent. */
static void
leave_group(struct mount *m, struct mount **peer)
{
	struct mount *heir = NULL;

	if (!list_empty(&m->peers))
		heir = list_entry(m->peers.next, struct mount, peers);
	list_del(&m->peers);
	m->peer_group = 0;
	*peer = heir;
	if (!heir)
		heir = m->master;
	while (!list_empty(&m->slaves)) {
		struct mount *s = list_entry(m->slaves.next, struct mount, slave_node);

		list_del(&s->slave_node);
		s->master = heir;
		if (heir)
			list_push_back(&heir->slaves, &s->slave_node);
	}
}

void
mount_make_private(struct mount *m)
{
	struct mount *peer;

	leave_group(m, &peer);
	list_del(&m->slave_node);
	m->master = NULL;
}

void
mount_make_slave(struct mount *m)
{
	struct mount *peer;

	if (!m->peer_group)
		return;
	leave_group(m, &peer);
	if (peer)
		mount_make_slave_of(m, peer);
}

/* Preorder over origin's peers and all their slaves: first the slaves of m, then the rest of m's
 * ring, then up. */
struct mount *
propagation_next(struct mount *m, struct mount *origin)
{
	if (!list_empty(&m->slaves))
		return list_entry(m->slaves.next, struct mount, slave_node);
	for (;;) {
		struct mount *next;

		/* Each peer of a slave group is on its master's list by itself, so only the
		 * origin's own ring is followed as a ring. */
		if (m == origin || (m->peer_group && m->peer_group == origin->peer_group)) {
			if (list_empty(&m->peers))
				return NULL;
			next = list_entry(m->peers.next, struct mount, peers);
			return next == origin ? NULL : next;
		}
		if (!m->master)
			return NULL;
		if (m->slave_node.next != &m->master->slaves)
			return list_entry(m->slave_node.next, struct mount, slave_node);
		m = m->master;
	}
}

/* Which member, seen before p in the walk, is p's source, and is p its slave (not its peer)? */
static struct mount *
source_of(struct mount *p, struct mount *origin, bool *as_slave)
{
	struct mount *q;

	*as_slave = false;
	if (p->peer_group && p->peer_group == origin->peer_group)
		return origin;
	for (q = propagation_next(origin, origin); q && q != p; q = propagation_next(q, origin))
		if (p->peer_group && q->peer_group == p->peer_group && q->source)
			return q;
	*as_slave = true;
	if (p->master && p->master->source)
		return p->master;
	return origin;
}

static int
attach_copy(struct mount *src_tree, bool as_slave, struct mount *p, struct dentry *d,
	struct mount **ret)
{
	struct mount *k;
	int r;

	r = mount_copy_tree(src_tree, src_tree->root, true, false, false, &k);
	if (r)
		return r;
	mutex_lock(&mnt_mutex);
	for (struct mount *m = k; m; m = mount_next(m, k)) {
		if (as_slave)
			mount_make_slave(m);
		if (mount_shared(p))
			mount_make_shared(m);
	}
	mount_link_locked(k, p, d);
	mutex_unlock(&mnt_mutex);
	mount_set_ns(k, p->ns);
	mnt_ns_changed(p->ns);
	*ret = k;
	return 0;
}

int
mount_attach(struct mount *m, struct mount *parent, struct dentry *d)
{
	struct mount *p;
	int r = 0;

	if (mount_shared(parent)) {
		mutex_lock(&mnt_mutex);
		for (p = m; p; p = mount_next(p, m))
			mount_make_shared(p);
		mutex_unlock(&mnt_mutex);
	}
	for (p = propagation_next(parent, parent); p; p = propagation_next(p, parent))
		p->source = NULL;
	parent->source = m;
	for (p = propagation_next(parent, parent); p && !r; p = propagation_next(p, parent)) {
		struct mount *q, *k;
		bool as_slave;

		if (!p->ns || !dentry_is_ancestor(p->root, d))
			continue;
		if (p->ns->nmounts >= sysctl_get(SYSCTL_MOUNT_MAX)) {
			r = -ENOSPC;
			break;
		}
		q = source_of(p, parent, &as_slave);
		r = attach_copy(q->source, as_slave, p, d, &k);
		if (!r)
			p->source = k;
	}
	if (r) {
		for (p = propagation_next(parent, parent); p; p = propagation_next(p, parent)) {
			if (p->source)
				mount_detach_tree(p->source);
			p->source = NULL;
		}
		parent->source = NULL;
		return r;
	}
	parent->source = NULL;
	mutex_lock(&mnt_mutex);
	mount_link_locked(m, parent, d);
	mutex_unlock(&mnt_mutex);
	mount_set_ns(m, parent->ns);
	mnt_ns_changed(parent->ns);
	return 0;
}

void
mount_set_propagation_locked(struct mount *m, uint32_t how)
{
	switch (how) {
	case LX_MS_SHARED:
		mount_make_shared(m);
		break;
	case LX_MS_SLAVE:
		mount_make_slave(m);
		break;
	default:
		mount_make_private(m);
		break;
	}
	if (how == LX_MS_UNBINDABLE)
		atomic_fetch_or(&m->flags, MNT_UNBINDABLE);
	else
		atomic_fetch_and(&m->flags, ~MNT_UNBINDABLE);
}

int
mnt_set_propagation(const struct path *path, uint32_t how, bool recursive)
{
	struct mount *top = path->mnt;

	if (path->dentry != top->root)
		return -EINVAL;
	sleeplock_lock(&mnt_tree_lock);
	if (!top->ns) {
		sleeplock_unlock(&mnt_tree_lock);
		return -EINVAL;
	}
	mutex_lock(&mnt_mutex);
	for (struct mount *m = top; m; m = recursive ? mount_next(m, top) : NULL)
		mount_set_propagation_locked(m, how);
	mutex_unlock(&mnt_mutex);
	mnt_ns_changed(top->ns);
	sleeplock_unlock(&mnt_tree_lock);
	return 0;
}
