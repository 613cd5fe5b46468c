/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of neighbours (ip-neighbour(8)), under the namespace's lock. On lo nobody is there, but
 * who puts some there finds them again, as in Linux' net/core/neighbour.c. All of IPv4 on a
 * loopback or a tun is one neighbour, 0.0.0.0 (arp_constructor), which is not found by the address
 * that it was made for. How those of a tap are found is in resolve.c.
 */
#include "abi/socket.h"
#include "resolve.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the table --- */

static bool
is(const struct neigh *x, uint8_t family, int32_t index, const uint8_t *addr, bool proxy)
{
	return x->n.index == index && x->n.family == family && x->n.proxy == proxy &&
	       memcmp(x->n.addr, addr, family == LX_AF_INET ? 4 : 16) == 0;
}

struct neigh *
neigh_find_locked(struct net_ns *ns, uint8_t family, int32_t index, const uint8_t *addr, bool proxy)
{
	size_t last = family == LX_AF_INET ? 3 : 15;
	uint16_t *hint = &ns->neigh_hint[(addr[last] ^ addr[last - 1] << 3) & 63];

	/* Packets come in rows. */
	if (*hint < ns->nneighs && is(&ns->neighs[*hint], family, index, addr, proxy))
		return &ns->neighs[*hint];
	for (size_t i = 0; i < ns->nneighs; i++)
		if (is(&ns->neighs[i], family, index, addr, proxy)) {
			*hint = (uint16_t)i;
			return &ns->neighs[i];
		}
	return NULL;
}

/* Of those that came by themselves, the one that nothing was heard of for the longest time. */
static struct neigh *
oldest_locked(struct net_ns *ns)
{
	struct neigh *best = NULL;
	int64_t best_ns = INT64_MAX;

	for (size_t i = 0; i < ns->nneighs; i++) {
		const struct net_neigh *n = &ns->neighs[i].n;
		int64_t at = n->used_ns > n->changed_ns ? n->used_ns : n->changed_ns;

		if (n->index == NET_LO_INDEX || n->proxy ||
			n->state & (LX_NUD_PERMANENT | LX_NUD_NOARP))
			continue;
		if (at < best_ns) {
			best = &ns->neighs[i];
			best_ns = at;
		}
	}
	return best;
}

struct neigh *
neigh_new_locked(
	struct net_ns *ns, uint8_t family, int32_t index, const uint8_t *addr, bool proxy, int *err)
{
	struct neigh *v;

	/* What is forgotten with an interface does not come back. */
	*err = -ENODEV;
	if (index != NET_LO_INDEX && !dev_by_index_locked(ns, index))
		return NULL;
	if (ns->nneighs == NET_NEIGHS_MAX) {
		v = oldest_locked(ns);
		*err = -ENOBUFS;
		if (!v)
			return NULL;
		neigh_remove_locked(ns, v);
	}
	*err = -ENOMEM;
	v = realloc(ns->neighs, (ns->nneighs + 1) * sizeof *v);
	if (!v)
		return NULL;
	ns->neighs = v;
	v += ns->nneighs++;
	*v = (struct neigh){.n = {.family = family, .proxy = proxy, .index = index}};
	memcpy(v->n.addr, addr, family == LX_AF_INET ? 4 : 16);
	if (index != NET_LO_INDEX && !proxy)
		v->n.used_ns = v->n.changed_ns = sched_now_ns();
	*err = 0;
	return v;
}

struct neigh_packet *
neigh_take_waiting_locked(struct net_ns *ns, struct neigh *x)
{
	struct neigh_packet *first = x->waiting;

	for (struct neigh_packet *p = first; p; p = p->next)
		ns->neigh_bytes -= p->n;
	x->waiting = NULL;
	x->nwaiting = 0;
	return first;
}

void
neigh_remove_locked(struct net_ns *ns, struct neigh *x)
{
	struct neigh_packet *p = neigh_take_waiting_locked(ns, x), *next;

	for (; p; p = next) {
		next = p->next;
		free(p);
	}
	*x = ns->neighs[--ns->nneighs];
}

void
neigh_age(struct net_neigh *n, int64_t now_ns)
{
	if (!(n->state & LX_NUD_REACHABLE) || now_ns - n->confirmed_ns <= NEIGH_REACHABLE_NS)
		return;
	n->state = LX_NUD_STALE;
	if (n->index != NET_LO_INDEX)
		n->changed_ns = n->confirmed_ns + NEIGH_REACHABLE_NS;
}

static struct net_neigh
as_of_now(const struct neigh *x)
{
	struct net_neigh n = x->n;

	neigh_age(&n, sched_now_ns());
	return n;
}

/* --- what the guest sees, and changes --- */

int
net_neighs(struct net_ns *ns, bool proxies, void (*fn)(const struct net_neigh *n, void *arg),
	void *arg)
{
	struct net_neigh *v;
	size_t n = 0;

	mutex_lock(&ns->lock);
	v = ns->nneighs ? calloc(ns->nneighs, sizeof *v) : NULL;
	if (ns->nneighs && !v) {
		mutex_unlock(&ns->lock);
		return -ENOMEM;
	}
	for (size_t i = 0; i < ns->nneighs; i++)
		if (ns->neighs[i].n.proxy == proxies)
			v[n++] = as_of_now(&ns->neighs[i]);
	mutex_unlock(&ns->lock);
	for (size_t i = 0; i < n; i++)
		fn(&v[i], arg);
	free(v);
	return 0;
}

/* __neigh_update, as far as somebody's own changes go where nobody is. */
static int
update_on_lo(struct net_neigh *n, const struct net_neigh *x, const uint8_t *lladdr, bool replace)
{
	if (x->state & NEIGH_VALID && !lladdr && !(n->state & NEIGH_VALID))
		return -EINVAL;
	if (lladdr && n->state & NEIGH_VALID && !replace && memcmp(n->lladdr, lladdr, 6) != 0)
		lladdr = NULL; /* it has one, and keeps it */
	n->state = x->state;
	n->flags = x->flags;
	n->changed_ns = n->used_ns = n->confirmed_ns = sched_now_ns();
	if (lladdr && x->state & NEIGH_VALID)
		memcpy(n->lladdr, lladdr, 6);
	return 0;
}

static int
update(struct net_ns *ns, struct neigh *x, const struct net_neigh *as, const uint8_t *lladdr,
	bool addressless, bool replace, struct neigh_work *w)
{
	unsigned how = NEIGH_ADMIN | (as->flags & LX_NTF_ROUTER ? NEIGH_ROUTER : 0);

	if (x->n.index == NET_LO_INDEX)
		return update_on_lo(&x->n, as, lladdr, replace);
	if (replace)
		how |= NEIGH_OVERRIDE | NEIGH_KNOWS_IF_ROUTER;
	return neigh_update_locked(
		ns, x, addressless ? x->n.lladdr : lladdr, as->state & 0xff, how, w);
}

static int
set_locked(struct net_ns *ns, const struct net_neigh *as, const uint8_t *lladdr, uint16_t nlm_flags,
	struct neigh **ret, struct neigh_work *w)
{
	const struct net_dev *d =
		as->index == NET_LO_INDEX ? NULL : dev_by_index_locked(ns, as->index);
	static const uint8_t any[4];
	const uint8_t *addr = as->addr;
	bool tun = d && !d->tap;
	int err = 0;

	if (!d && as->index != NET_LO_INDEX)
		return -ENODEV;
	*ret = neigh_find_locked(ns, as->family, as->index, addr, as->proxy);
	if (as->proxy) {
		if (!*ret)
			*ret = neigh_new_locked(ns, as->family, as->index, addr, true, &err);
		if (*ret)
			(*ret)->n.flags = as->flags;
		return err;
	}
	if (*ret && nlm_flags & LX_NLM_F_EXCL)
		return -EEXIST;
	if (*ret)
		return update(ns, *ret, as, lladdr, tun, nlm_flags & LX_NLM_F_REPLACE, w);
	if (!(nlm_flags & LX_NLM_F_CREATE))
		return -ENOENT;
	if (as->family == LX_AF_INET && (!d || tun)) {
		addr = any;
		*ret = neigh_find_locked(ns, as->family, as->index, addr, false);
	}
	if (!*ret && as->state & NEIGH_VALID && !lladdr && !tun)
		return -EINVAL;
	if (!*ret)
		*ret = neigh_new_locked(ns, as->family, as->index, addr, false, &err);
	return *ret ? update(ns, *ret, as, lladdr, tun, true, w) : err;
}

int
net_neigh_set(struct net_ns *ns, struct net_neigh *as, const uint8_t *lladdr, uint16_t nlm_flags)
{
	struct neigh_work w = {.v6 = as->family == LX_AF_INET6};
	struct neigh *x;
	int err;

	mutex_lock(&ns->lock);
	err = set_locked(ns, as, lladdr, nlm_flags, &x, &w);
	if (!err)
		*as = as_of_now(x);
	mutex_unlock(&ns->lock);
	neigh_work_do(ns, NULL, as->index, &w);
	return err;
}

int
net_neigh_find(struct net_ns *ns, struct net_neigh *n)
{
	struct neigh *x;

	mutex_lock(&ns->lock);
	x = neigh_find_locked(ns, n->family, n->index, n->addr, n->proxy);
	if (x)
		*n = as_of_now(x);
	mutex_unlock(&ns->lock);
	return x ? 0 : -ENOENT;
}

int
net_neigh_remove(struct net_ns *ns, struct net_neigh *n)
{
	struct neigh_work w = {.v6 = n->family == LX_AF_INET6};
	struct neigh *x;

	mutex_lock(&ns->lock);
	x = neigh_find_locked(ns, n->family, n->index, n->addr, n->proxy);
	if (x) {
		*n = as_of_now(x);
		w.dead = neigh_take_waiting_locked(ns, x);
		neigh_remove_locked(ns, x);
	}
	mutex_unlock(&ns->lock);
	neigh_work_do(ns, NULL, n->index, &w);
	return x ? 0 : -ENOENT;
}
