/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours on lo (ip-neighbour(8)): nobody is there, but who puts some there finds them again, as
 * in Linux' net/core/neighbour.c. All of IPv4 on a loopback is one neighbour, 0.0.0.0
 * (arp_constructor), which is not found by the address that it was made for.
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REACHABLE_NS 30000000000ll /* base_reachable_time */
#define VALID                                                                                      \
	(LX_NUD_PERMANENT | LX_NUD_NOARP | LX_NUD_REACHABLE | LX_NUD_PROBE | LX_NUD_STALE |        \
		LX_NUD_DELAY)

static struct net_neigh *
find_locked(const struct net_ns *ns, const struct net_neigh *like)
{
	for (size_t i = 0; i < ns->nneighs; i++) {
		struct net_neigh *n = &ns->neighs[i];

		if (n->family == like->family && n->proxy == like->proxy &&
			memcmp(n->addr, like->addr, 16) == 0)
			return n;
	}
	return NULL;
}

/* As it is by now: nobody confirms that it is still there. */
static struct net_neigh
as_of_now(const struct net_neigh *n)
{
	struct net_neigh x = *n;

	if (x.state & LX_NUD_REACHABLE && sched_now_ns() - x.changed_ns > REACHABLE_NS)
		x.state = LX_NUD_STALE;
	return x;
}

int
net_neighs(struct net_ns *ns, bool proxies, void (*fn)(const struct net_neigh *n, void *arg),
	void *arg)
{
	struct net_neigh *v, x;
	size_t n;

	mutex_lock(&ns->lock);
	n = ns->nneighs;
	v = net_copy(ns->neighs, n, sizeof *v);
	mutex_unlock(&ns->lock);
	for (size_t i = 0; v && i < n; i++) {
		x = as_of_now(&v[i]);
		if (x.proxy == proxies)
			fn(&x, arg);
	}
	free(v);
	return n && !v ? -ENOMEM : 0;
}

static struct net_neigh *
new_locked(struct net_ns *ns, const struct net_neigh *like, int *err)
{
	struct net_neigh *v;

	*err = -ENOBUFS;
	if (ns->nneighs == NET_NEIGHS_MAX)
		return NULL;
	*err = -ENOMEM;
	v = realloc(ns->neighs, (ns->nneighs + 1) * sizeof *v);
	if (!v)
		return NULL;
	ns->neighs = v;
	v += ns->nneighs++;
	*v = (struct net_neigh){.family = like->family, .proxy = like->proxy};
	memcpy(v->addr, like->addr, 16);
	*err = 0;
	return v;
}

/* __neigh_update, as far as somebody's own changes go. */
static int
update(struct net_neigh *n, const struct net_neigh *x, const uint8_t *lladdr, bool replace)
{
	if (x->state & VALID && !lladdr && !(n->state & VALID))
		return -EINVAL;
	if (lladdr && n->state & VALID && !replace && memcmp(n->lladdr, lladdr, 6) != 0)
		lladdr = NULL; /* it has one, and keeps it */
	n->state = x->state;
	n->flags = x->flags;
	n->changed_ns = sched_now_ns();
	if (lladdr && x->state & VALID)
		memcpy(n->lladdr, lladdr, 6);
	return 0;
}

int
net_neigh_set(struct net_ns *ns, struct net_neigh *x, const uint8_t *lladdr, uint16_t nlm_flags)
{
	struct net_neigh *n;
	int err = 0;

	mutex_lock(&ns->lock);
	n = find_locked(ns, x);
	if (x->proxy) {
		if (!n)
			n = new_locked(ns, x, &err);
		if (n)
			n->flags = x->flags;
	} else if (n) {
		if (nlm_flags & LX_NLM_F_EXCL)
			err = -EEXIST;
		else
			err = update(n, x, lladdr, nlm_flags & LX_NLM_F_REPLACE);
	} else if (!(nlm_flags & LX_NLM_F_CREATE)) {
		err = -ENOENT;
	} else {
		if (x->family == LX_AF_INET)
			memset(x->addr, 0, 16);
		n = find_locked(ns, x);
		if (!n && x->state & VALID && !lladdr)
			err = -EINVAL;
		else if (!n)
			n = new_locked(ns, x, &err);
		if (n)
			err = update(n, x, lladdr, true);
	}
	if (!err)
		*x = as_of_now(n);
	mutex_unlock(&ns->lock);
	return err;
}

int
net_neigh_find(struct net_ns *ns, struct net_neigh *x)
{
	struct net_neigh *n;

	mutex_lock(&ns->lock);
	n = find_locked(ns, x);
	if (n)
		*x = as_of_now(n);
	mutex_unlock(&ns->lock);
	return n ? 0 : -ENOENT;
}

int
net_neigh_remove(struct net_ns *ns, struct net_neigh *x)
{
	struct net_neigh *n;

	mutex_lock(&ns->lock);
	n = find_locked(ns, x);
	if (n) {
		*x = as_of_now(n);
		*n = ns->neighs[--ns->nneighs];
	}
	mutex_unlock(&ns->lock);
	return n ? 0 : -ENOENT;
}
