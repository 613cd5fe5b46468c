/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where neighbours on a tap are: the states that an entry of the table goes through (RFC 4861, 7.3;
 * for ARP too), and packets that wait meanwhile. Linux: net/core/neighbour.c, whose numbers these
 * are.
 *
 *	INCOMPLETE --answer--> REACHABLE --30 s--> STALE --used--> DELAY --5 s--> PROBE
 *	    |                      ^------------------------answer-----------------|
 *	    +----------------------- 3 probes, a second each: FAILED --------------+
 *
 * That REACHABLE ends is seen by who looks (neigh_age). The namespace's lock guards all; what is to
 * be done outside is noted down as struct neigh_work, and done without it.
 */
#include "resolve.h"
#include "abi/socket.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBES		  3
#define RETRANS_NS	  1000000000ll /* retrans_time */
#define DELAY_NS	  5000000000ll /* delay_first_probe_time */
#define WAITING_MAX	  3	       /* packets for one */
#define WAITING_BYTES_MAX ((size_t)4 << 20)

/* --- the timer --- */

static void
look_at_locked(struct net_ns *ns, struct neigh *x, int64_t at_ns, struct neigh_work *w)
{
	x->due_ns = at_ns;
	if (!ns->neigh_timer_ns || at_ns < ns->neigh_timer_ns) {
		ns->neigh_timer_ns = at_ns;
		w->arm = true;
	}
}

/* The lock is none under which it could be armed. Who armed it last looks whether it is still
 * right. */
static void
arm(struct net_ns *ns)
{
	int64_t at, then;

	mutex_lock(&ns->lock);
	at = ns->neigh_closing ? 0 : ns->neigh_timer_ns;
	mutex_unlock(&ns->lock);
	while (at) {
		timer_arm(&ns->neigh_timer, at);
		mutex_lock(&ns->lock);
		then = ns->neigh_closing ? 0 : ns->neigh_timer_ns;
		mutex_unlock(&ns->lock);
		if (then == at)
			break;
		at = then;
	}
}

static void
ask(struct neigh *x, struct neigh_work *w)
{
	const struct neigh_packet *last = x->waiting;

	while (last && last->next)
		last = last->next;
	w->probe = true;
	w->to_one = x->n.state & LX_NUD_PROBE;
	memcpy(w->mac, x->n.lladdr, sizeof w->mac);
	memcpy(w->target, x->n.addr, sizeof w->target);
	w->for_packet = last != NULL;
	if (last)
		memcpy(w->source, last->frame + ETH_HEADER + (w->v6 ? 8 : 12), w->v6 ? 16 : 4);
	x->n.probes++;
}

/* neigh_timer_handler */
static void
step_locked(struct net_ns *ns, struct neigh *x, int64_t now, struct neigh_work *w)
{
	struct net_neigh *n = &x->n;

	x->due_ns = 0;
	if (n->state & LX_NUD_DELAY) {
		n->changed_ns = now;
		if (n->confirmed_ns + DELAY_NS > now) {
			n->state = LX_NUD_REACHABLE;
			return;
		}
		n->state = LX_NUD_PROBE;
		n->probes = 0;
	}
	if (!(n->state & (LX_NUD_INCOMPLETE | LX_NUD_PROBE)))
		return;
	if (n->probes < PROBES) {
		ask(x, w);
		look_at_locked(ns, x, now + RETRANS_NS, w);
	} else {
		n->state = LX_NUD_FAILED;
		n->changed_ns = now;
		w->dead = neigh_take_waiting_locked(ns, x);
	}
}

static void
tick(struct timer *t)
{
	struct net_ns *ns = t->arg;
	struct neigh_work last = {.arm = false};
	int64_t now = sched_now_ns();

	mutex_lock(&ns->lock);
	ns->neigh_timer_ns = 0;
	/* What is moved while the lock is not held, and passed over, is still due. */
	for (size_t i = 0; i < ns->nneighs && !ns->neigh_closing; i++) {
		struct neigh *x = &ns->neighs[i];
		struct neigh_work w = {.v6 = x->n.family == LX_AF_INET6};
		int32_t index = x->n.index;

		if (!x->due_ns || x->due_ns > now)
			continue;
		step_locked(ns, x, now, &w);
		w.arm = false;
		mutex_unlock(&ns->lock);
		neigh_work_do(ns, NULL, index, &w);
		mutex_lock(&ns->lock);
	}
	for (size_t i = 0; i < ns->nneighs; i++)
		if (ns->neighs[i].due_ns)
			look_at_locked(ns, &ns->neighs[i], ns->neighs[i].due_ns, &last);
	mutex_unlock(&ns->lock);
	arm(ns);
}

void
resolve_init(struct net_ns *ns)
{
	timer_init(&ns->neigh_timer, tick, ns);
}

void
resolve_fini(struct net_ns *ns)
{
	mutex_lock(&ns->lock);
	ns->neigh_closing = true;
	mutex_unlock(&ns->lock);
	/* One that ran may have armed it once more, but none that begins from now on. */
	timer_cancel_sync(&ns->neigh_timer);
	timer_cancel_sync(&ns->neigh_timer);
	while (ns->nneighs)
		neigh_remove_locked(ns, &ns->neighs[ns->nneighs - 1]);
	free(ns->neighs);
	ns->neighs = NULL;
}

void
resolve_forget(struct net_ns *ns, int32_t index)
{
	mutex_lock(&ns->lock);
	for (size_t i = ns->nneighs; i-- > 0;)
		if (ns->neighs[i].n.index == index)
			neigh_remove_locked(ns, &ns->neighs[i]);
	mutex_unlock(&ns->lock);
}

/* --- without the lock --- */

void
neigh_work_do(struct net_ns *ns, struct net_dev *d, int32_t index, struct neigh_work *w)
{
	uint16_t type = w->v6 ? ETH_P_IPV6 : ETH_P_IP;
	struct net_dev *found = NULL;
	struct neigh_packet *p;

	if (!d && (w->send || w->probe))
		d = found = net_dev_find(ns, index, NULL);
	while ((p = w->send)) {
		w->send = p->next;
		if (d) {
			eth_header_put(ns, d, p->frame, w->mac, type);
			dev_send(ns, d, type, p->frame, ETH_HEADER + p->n);
		}
		free(p);
	}
	while ((p = w->dead)) {
		w->dead = p->next;
		if (net_input() && net_input()->unreachable)
			net_input()->unreachable(ns, w->v6, p->frame + ETH_HEADER, p->n);
		free(p);
	}
	if (d && w->probe)
		(w->v6 ? nd_ask : arp_ask)(ns, d, w->target, w->to_one ? w->mac : NULL,
			w->for_packet ? w->source : NULL);
	net_dev_put(found);
	if (w->arm)
		arm(ns);
}

/* --- states --- */

/* A packet is to go: what becomes of the entry. */
static void
used_locked(struct net_ns *ns, struct neigh *x, int64_t now, struct neigh_work *w)
{
	x->n.used_ns = now;
	if (!(x->n.state & LX_NUD_STALE))
		return;
	x->n.state = LX_NUD_DELAY;
	x->n.changed_ns = now;
	look_at_locked(ns, x, now + DELAY_NS, w);
}

int
neigh_update_locked(struct net_ns *ns, struct neigh *x, const uint8_t *lladdr, uint16_t state,
	unsigned how, struct neigh_work *w)
{
	struct net_neigh *n = &x->n;
	int64_t now = sched_now_ns();
	uint16_t old;
	bool same;

	neigh_age(n, now);
	old = n->state;
	if (!(how & NEIGH_ADMIN) && old & (LX_NUD_NOARP | LX_NUD_PERMANENT))
		return -EPERM;
	if (!(state & NEIGH_VALID)) {
		x->due_ns = 0;
		n->state = state;
		n->changed_ns = now;
		if (!(state & LX_NUD_INCOMPLETE))
			w->dead = neigh_take_waiting_locked(ns, x);
		return 0;
	}
	if (!lladdr && !(old & NEIGH_VALID))
		return -EINVAL;
	if (!lladdr)
		lladdr = n->lladdr;
	same = lladdr == n->lladdr || (old & NEIGH_VALID && memcmp(lladdr, n->lladdr, 6) == 0);
	if (state & NEIGH_CONNECTED)
		n->confirmed_ns = now;
	if (old & NEIGH_VALID && !same && !(how & NEIGH_OVERRIDE)) {
		if (!(how & NEIGH_WEAK_OVERRIDE && old & NEIGH_CONNECTED))
			return 0;
		how &= ~(unsigned)NEIGH_KNOWS_IF_ROUTER;
		same = true;
		state = LX_NUD_STALE;
	} else if (old & NEIGH_VALID && same && state == LX_NUD_STALE && !(how & NEIGH_ADMIN)) {
		state = old;
	}
	if (state != old || !same)
		n->changed_ns = now;
	if (state != old) {
		n->state = state;
		n->probes = 0;
		x->due_ns = 0;
		if (state & (LX_NUD_DELAY | LX_NUD_PROBE | LX_NUD_INCOMPLETE))
			look_at_locked(ns, x, now, w);
	}
	if (!same) {
		memcpy(n->lladdr, lladdr, 6);
		if (!(state & NEIGH_CONNECTED))
			n->confirmed_ns = now - 2 * NEIGH_REACHABLE_NS;
	}
	if (how & NEIGH_KNOWS_IF_ROUTER)
		n->flags = (uint8_t)((n->flags & ~LX_NTF_ROUTER) |
				     (how & NEIGH_ROUTER ? LX_NTF_ROUTER : 0));
	if (x->waiting) {
		w->send = neigh_take_waiting_locked(ns, x);
		memcpy(w->mac, n->lladdr, 6);
		used_locked(ns, x, now, w);
	}
	return 0;
}

/* --- packets that leave --- */

static int
wait_locked(struct net_ns *ns, struct neigh *x, struct neigh_packet *p)
{
	struct neigh_packet **at = &x->waiting, *oldest = x->waiting;

	if (x->nwaiting == WAITING_MAX) {
		x->waiting = oldest->next;
		x->nwaiting--;
		ns->neigh_bytes -= oldest->n;
		free(oldest);
	}
	if (p->n > WAITING_BYTES_MAX - ns->neigh_bytes)
		return -ENOBUFS;
	while (*at)
		at = &(*at)->next;
	*at = p;
	x->nwaiting++;
	ns->neigh_bytes += p->n;
	return 0;
}

/* p is to be sent (w), or waits, or -errno: it is still the caller's. */
static int
output_locked(struct net_ns *ns, struct net_dev *d, bool v6, const uint8_t *next_hop,
	struct neigh_packet *p, struct neigh_work *w)
{
	uint8_t family = v6 ? LX_AF_INET6 : LX_AF_INET;
	int64_t now = sched_now_ns();
	bool first = false;
	struct neigh *x;
	int err = 0;

	if (neigh_group_locked(ns, d->index, v6, next_hop, w->mac)) {
		w->send = p;
		return 0;
	}
	x = neigh_find_locked(ns, family, d->index, next_hop, false);
	if (!x && d->set_flags & LX_IFF_NOARP) {
		memcpy(w->mac, d->mac, 6);
		w->send = p;
		return 0;
	}
	if (!x)
		x = neigh_new_locked(ns, family, d->index, next_hop, false, &err);
	if (!x)
		return -ENOBUFS;
	neigh_age(&x->n, now);
	used_locked(ns, x, now, w);
	if (x->n.state & NEIGH_VALID) {
		memcpy(w->mac, x->n.lladdr, 6);
		w->send = p;
		return 0;
	}
	if (!(x->n.state & LX_NUD_INCOMPLETE && x->due_ns)) {
		x->n.state = LX_NUD_INCOMPLETE;
		x->n.changed_ns = now;
		x->n.probes = 0;
		first = true;
	}
	err = wait_locked(ns, x, p);
	if (first) {
		ask(x, w);
		look_at_locked(ns, x, now + RETRANS_NS, w);
	}
	return err;
}

int
resolve_output(struct net_ns *ns, struct net_dev *d, bool v6, const uint8_t *next_hop,
	const uint8_t *ip, size_t n)
{
	struct neigh_work w = {.v6 = v6};
	struct neigh_packet *p;
	int err;

	if (!d->tap) {
		dev_send(ns, d, v6 ? ETH_P_IPV6 : ETH_P_IP, ip, n);
		return 0;
	}
	p = malloc(sizeof *p + ETH_HEADER + n);
	if (!p)
		return -ENOBUFS;
	p->next = NULL;
	p->n = n;
	memcpy(p->frame + ETH_HEADER, ip, n);
	mutex_lock(&ns->lock);
	err = output_locked(ns, d, v6, next_hop, p, &w);
	mutex_unlock(&ns->lock);
	if (err)
		free(p);
	neigh_work_do(ns, d, d->index, &w);
	return err;
}
