/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two interfaces, each the other end of the other one (veth(4)); they may be in different
 * namespaces. Who sends may hold locks, so what leaves by one comes in by the other a little later,
 * from a timer. Linux: drivers/net/veth.c.
 *
 * Locks: pairs_lock (LEAF) for all of them: who is whose peer, and what is on its way. The peer is
 * a reference on both sides, which is dropped when one of them is removed; the other goes with it.
 */
#include "internal.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG	      1000u /* frames for one, net.core.netdev_max_backlog */
#define BACKLOG_BYTES (2u << 20)
#define BATCH	      64 /* frames, until others have a turn */

struct frame {
	struct list node;
	size_t n;
	uint8_t p[];
};

struct veth {
	struct net_dev *dev;  /* no reference: that has this */
	struct net_dev *peer; /* a reference; NULL: not yet, or not any more */
	struct list node;     /* of `busy`: has frames for dev, with a reference on that */
	struct list frames;
	uint32_t nframes;
	size_t bytes;
	bool gone; /* removed() was here */
};

static struct mutex pairs_lock = MUTEX_INIT(LEAF);
static struct list busy = LIST_INIT(busy);
static struct timer timer;

static const struct net_dev_ops veth_ops;

static struct veth *
veth_of(const struct net_dev *d)
{
	return net_dev_driver(d, &veth_ops);
}

/* --- frames --- */

/* Some of what has come for v. False: that was all. */
static bool
take_some_locked(struct veth *v, struct list *ret)
{
	struct list *n;

	for (int i = 0; i < BATCH && (n = list_pop_front(&v->frames)); i++) {
		struct frame *f = list_entry(n, struct frame, node);

		v->nframes--;
		v->bytes -= f->n;
		list_push_back(ret, n);
	}
	return !list_empty(&v->frames);
}

static void
deliver(struct timer *t)
{
	struct list frames = LIST_INIT(frames), *n;
	struct net_dev *d = NULL;
	bool more = false;

	mutex_lock(&pairs_lock);
	n = list_pop_front(&busy);
	if (n) {
		struct veth *v = list_entry(n, struct veth, node);

		d = v->dev;
		if (take_some_locked(v, &frames)) {
			list_push_back(&busy, &v->node);
			net_dev_get(d);
		}
		more = !list_empty(&busy);
	}
	mutex_unlock(&pairs_lock);
	while ((n = list_pop_front(&frames))) {
		struct frame *f = list_entry(n, struct frame, node);

		(void)net_dev_input(d, f->p, f->n, false);
		free(f);
	}
	net_dev_put(d);
	if (more)
		timer_arm(t, sched_now_ns());
}

static bool
transmit(void *driver, const uint8_t *p, size_t n)
{
	struct veth *v = driver, *to;
	struct frame *f = malloc(sizeof *f + n);
	bool taken = false, first = false;

	if (!f)
		return false;
	f->n = n;
	memcpy(f->p, p, n);
	mutex_lock(&pairs_lock);
	to = v->peer ? veth_of(v->peer) : NULL;
	if (to && to->nframes < BACKLOG && to->bytes + n <= BACKLOG_BYTES) {
		first = list_empty(&to->frames);
		list_push_back(&to->frames, &f->node);
		to->nframes++;
		to->bytes += n;
		taken = true;
		if (first) {
			net_dev_get(v->peer);
			list_push_back(&busy, &to->node);
		}
	}
	mutex_unlock(&pairs_lock);
	if (!taken)
		free(f);
	if (first)
		timer_arm(&timer, sched_now_ns());
	return taken;
}

/* --- life --- */

static struct net_dev *
peer_get(struct veth *v)
{
	struct net_dev *p;

	mutex_lock(&pairs_lock);
	p = v->peer ? net_dev_get(v->peer) : NULL;
	mutex_unlock(&pairs_lock);
	return p;
}

/* There is a carrier where both are up. */
static void
up_or_down(void *driver)
{
	struct veth *v = driver;
	struct net_dev *p = peer_get(v);
	struct net_link a, b;
	bool both;

	if (!p)
		return;
	both = net_dev_link(v->dev, &a) && net_dev_link(p, &b) && a.flags & b.flags & LX_IFF_UP;
	net_dev_set_carrier(v->dev, both);
	net_dev_set_carrier(p, both);
	net_dev_put(p);
}

static void
removed(void *driver)
{
	struct veth *v = driver, *o;
	struct net_dev *p, *own = NULL;

	mutex_lock(&pairs_lock);
	v->gone = true;
	p = v->peer;
	v->peer = NULL;
	o = p ? veth_of(p) : NULL;
	if (o) {
		own = o->peer;
		o->peer = NULL;
	}
	mutex_unlock(&pairs_lock);
	if (p)
		net_dev_remove(p);
	net_dev_put(p);
	net_dev_put(own);
}

static void
release(void *driver)
{
	struct veth *v = driver;
	struct list *n;

	while ((n = list_pop_front(&v->frames)))
		free(list_entry(n, struct frame, node));
	free(v);
}

static void
moved(void *driver)
{
	struct veth *v = driver;
	struct net_dev *p = peer_get(v);

	if (p)
		net_dev_set_iflink(p, v->dev->index);
	net_dev_put(p);
}

static const struct net_dev_ops veth_ops = {.kind = "veth",
	.ethernet = true,
	.flags = LX_IFF_BROADCAST | LX_IFF_MULTICAST,
	.txqlen = 1000,
	.transmit = transmit,
	.up_or_down = up_or_down,
	.removed = removed,
	.release = release,
	.moved = moved};

static struct veth *
veth_new(struct net_ns *ns, char name[16], struct net_dev **ret, int *err)
{
	struct veth *v = calloc(1, sizeof *v);

	*err = -ENOMEM;
	if (!v)
		return NULL;
	list_init(&v->frames);
	list_init(&v->node);
	if (!name[0])
		strcpy(name, "veth%d");
	*err = net_dev_new(ns, name, &veth_ops, v, ret);
	if (*err) {
		free(v);
		return NULL;
	}
	v->dev = *ret;
	net_dev_set_carrier(*ret, false);
	return v;
}

int
net_veth_new(struct net_ns *ns, char name[16], struct net_ns *peer_ns, char peer_name[16],
	struct net_dev *ret[2])
{
	struct veth *a, *b;
	bool gone;
	int err;

	/* the peer first, as Linux does */
	b = veth_new(peer_ns, peer_name, &ret[1], &err);
	if (!b)
		return err;
	a = veth_new(ns, name, &ret[0], &err);
	if (!a) {
		net_dev_remove(ret[1]);
		net_dev_put(ret[1]);
		return err;
	}
	mutex_lock(&pairs_lock);
	gone = a->gone || b->gone;
	if (!gone) {
		a->peer = net_dev_get(ret[1]);
		b->peer = net_dev_get(ret[0]);
	}
	mutex_unlock(&pairs_lock);
	if (gone) { /* somebody has seen one of them, and removed it */
		for (int i = 0; i < 2; i++) {
			net_dev_remove(ret[i]);
			net_dev_put(ret[i]);
		}
		return -ENODEV;
	}
	moved(a);
	moved(b);
	return 0;
}

void
net_veth_init(void)
{
	timer_init(&timer, deliver, NULL);
}

/* --- dummy: what leaves is gone (ip-link(8)) --- */

static bool
swallow(void *driver, const uint8_t *p, size_t n)
{
	(void)driver, (void)p, (void)n;
	return true;
}

static void
nothing(void *driver)
{
	(void)driver;
}

static const struct net_dev_ops dummy_ops = {.kind = "dummy",
	.ethernet = true,
	.flags = LX_IFF_BROADCAST | LX_IFF_NOARP,
	.txqlen = 1000,
	.transmit = swallow,
	.up_or_down = nothing,
	.removed = nothing,
	.release = nothing};

int
net_dummy_new(struct net_ns *ns, char name[16], struct net_dev **ret)
{
	if (!name[0])
		strcpy(name, "dummy%d");
	return net_dev_new(ns, name, &dummy_ops, NULL, ret);
}
