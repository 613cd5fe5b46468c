/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll(7). An item says "this descriptor of this open file, these events"; it has a waiter in each
 * queue that the file's poll names. A notification puts the item into the ready list; epoll_collect
 * asks each ready file again and reports what is true now. Linux counterpart: fs/eventpoll.c.
 *
 * Items do not hold a reference on their file: when the file goes, file_epoll_gone takes them out.
 *
 * Locks: ep->mtx (sleeplock) is held by ctl and collect, so an item does not vanish while its file
 * is asked; ready_lock (LEAF) guards the ready list, and is what notifications take; lists_lock
 * (LEAF) guards file->epolls; teardown (sleeplock) is held while a file or an epoll goes, so that
 * each finds the other whole.
 */
#include "abi/fs.h"
#include "abi/poll.h"
#include "base/log.h"
#include "sentry/event/event.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NESTING   4 /* epolls below one, as Linux's EP_MAX_NESTS */
#define MAX_QUEUES    4 /* a file polls no more than this many */
#define PRIVATE_BITS  (LX_EPOLLWAKEUP | LX_EPOLLONESHOT | LX_EPOLLET | LX_EPOLLEXCLUSIVE)
#define ALWAYS_EVENTS (LX_POLLERR | LX_POLLHUP)
#define PASSED_ON     (1u << 27) /* no event of a file's: for those in epoll_wait alone */

struct eventpoll {
	struct file *file; /* its own; borrowed */
	struct sleeplock mtx;
	struct list items;	 /* mtx */
	_Atomic int nitems;	 /* changed under mtx */
	struct mutex ready_lock; /* rank LEAF */
	struct list ready;	 /* ready_lock; items by ready_node */
	struct waitq wq;	 /* of those who wait or poll this epoll */
	/* nesting: the walk that came here last, and how deep it was then */
	uint64_t walk;
	int walk_depth;
};

struct epitem {
	struct eventpoll *ep;
	struct file *file; /* borrowed */
	int fd;
	struct lx_epoll_event ev; /* mtx */
	struct list node;	  /* in ep->items */
	struct list ready_node;	  /* in ep->ready, or to itself */
	struct list file_node;	  /* in the file's list */
	bool queued;		  /* ready_lock */
	struct waiter waiters[MAX_QUEUES];
	unsigned nwaiters;
};

struct file_items {
	struct list items;
};

static struct mutex lists_lock = MUTEX_INIT(LEAF);
static struct sleeplock teardown, nesting;
static _Atomic uint32_t nwatches;

static const struct file_ops epoll_ops;

static bool
item_notified(struct waiter *w, uint32_t events)
{
	struct epitem *it = w->arg;
	struct eventpoll *ep = it->ep;
	uint32_t mask = __atomic_load_n(&it->ev.events, __ATOMIC_RELAXED);
	bool fresh;

	if (!(mask & ~PRIVATE_BITS)) /* a one-shot that has fired */
		return false;
	if (events && !(events & mask))
		return false;
	mutex_lock(&ep->ready_lock);
	fresh = !it->queued;
	if (fresh) {
		it->queued = true;
		list_push_back(&ep->ready, &it->ready_node);
	}
	mutex_unlock(&ep->ready_lock);
	waitq_notify_n(&ep->wq, LX_POLLIN | LX_POLLRDNORM, 1);
	return true;
}

struct item_table {
	struct poll_table pt;
	struct epitem *it;
};

static void
item_add_queue(struct poll_table *pt, struct waitq *q)
{
	struct epitem *it = ((struct item_table *)pt)->it;
	struct waiter *w;

	assert_that(it->nwaiters < MAX_QUEUES);
	w = &it->waiters[it->nwaiters++];
	waiter_init(w, item_notified, it, ~0u);
	w->exclusive = it->ev.events & LX_EPOLLEXCLUSIVE;
	waitq_add(q, w);
}

static void
queue_if_ready(struct epitem *it, uint32_t now)
{
	if (now & (it->ev.events & ~PRIVATE_BITS))
		(void)item_notified(&it->waiters[0], 0);
}

/* mtx and teardown are held, or the item is not yet known to others. */
static void
item_free(struct epitem *it)
{
	struct eventpoll *ep = it->ep;

	for (unsigned i = 0; i < it->nwaiters; i++)
		waitq_remove(&it->waiters[i]);
	mutex_lock(&ep->ready_lock);
	list_del(&it->ready_node);
	mutex_unlock(&ep->ready_lock);
	mutex_lock(&lists_lock);
	list_del(&it->file_node);
	mutex_unlock(&lists_lock);
	list_del(&it->node);
	ep->nitems--;
	atomic_fetch_sub(&nwatches, 1);
	free(it);
	LIVE_DEC(EPITEM);
}

static void
file_gone(struct file *f)
{
	struct file_items *fi = f->epolls;

	sleeplock_lock(&teardown);
	for (;;) {
		struct epitem *it;
		struct eventpoll *ep = NULL;
		bool still;

		mutex_lock(&lists_lock);
		it = list_first(&fi->items, struct epitem, file_node);
		if (it)
			ep = it->ep;
		mutex_unlock(&lists_lock);
		if (!it)
			break;
		sleeplock_lock(&ep->mtx);
		mutex_lock(&lists_lock);
		still = list_first(&fi->items, struct epitem, file_node) == it;
		mutex_unlock(&lists_lock);
		if (still)
			item_free(it);
		sleeplock_unlock(&ep->mtx);
	}
	mutex_lock(&lists_lock);
	f->epolls = NULL;
	mutex_unlock(&lists_lock);
	sleeplock_unlock(&teardown);
	free(fi);
}

static void
epoll_release(struct file *f)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it, *tmp;

	sleeplock_lock(&teardown);
	sleeplock_lock(&ep->mtx);
	list_for_each_entry_safe (it, tmp, &ep->items, node)
		item_free(it);
	sleeplock_unlock(&ep->mtx);
	sleeplock_unlock(&teardown);
	waitq_destroy(&ep->wq);
	mutex_destroy(&ep->ready_lock);
	free(ep);
}

static uint32_t
epoll_poll(struct file *f, struct poll_table *pt)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it;
	uint32_t ev = 0;

	poll_wait(pt, &ep->wq);
	sleeplock_lock(&ep->mtx);
	list_for_each_entry (it, &ep->items, node) {
		bool queued;

		mutex_lock(&ep->ready_lock);
		queued = it->queued;
		mutex_unlock(&ep->ready_lock);
		if (queued && (file_ready(it->file, NULL) & it->ev.events & ~PRIVATE_BITS)) {
			ev = LX_POLLIN | LX_POLLRDNORM;
			break;
		}
	}
	sleeplock_unlock(&ep->mtx);
	return ev;
}

static void
epoll_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it;
	size_t n = 0;

	sleeplock_lock(&ep->mtx);
	list_for_each_entry (it, &ep->items, node) {
		if (n + 96 > cap)
			break;
		n += (size_t)snprintf(buf + n, cap - n, "tfd: %8d events: %8x data: %16llx\n",
			it->fd, it->ev.events, (unsigned long long)it->ev.data);
	}
	sleeplock_unlock(&ep->mtx);
}

/* Its own are about busy polling, which sockets here do not do; it answers all others so, too. */
static int64_t
epoll_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	(void)f, (void)c, (void)cmd, (void)arg;
	return -EINVAL;
}

static const struct file_ops epoll_ops = {
	.release = epoll_release,
	.poll = epoll_poll,
	.fdinfo = epoll_fdinfo,
	.lseek = file_lseek_noop,
	.ioctl = epoll_ioctl,
};

void
event_init(void)
{
	sleeplock_init(&teardown);
	sleeplock_init(&nesting);
	file_epoll_gone = file_gone;
}

int
epoll_new(struct file **ret)
{
	struct eventpoll *ep = calloc(1, sizeof *ep);
	int err;

	if (!ep)
		return -ENOMEM;
	sleeplock_init(&ep->mtx);
	list_init(&ep->items);
	mutex_init(&ep->ready_lock, LR_LEAF);
	list_init(&ep->ready);
	waitq_init_rank(&ep->wq, LR_EPWAIT);
	err = file_new_anon(&epoll_ops, ep, "anon_inode:[eventpoll]", 0, LX_O_RDWR, ret);
	if (err) {
		waitq_destroy(&ep->wq);
		free(ep);
	} else {
		ep->file = *ret;
	}
	return err;
}

struct waitq *
epoll_queue(struct file *f)
{
	return f->ops == &epoll_ops ? &((struct eventpoll *)f->priv)->wq : NULL;
}

int
epoll_nitems(struct file *f)
{
	return f->ops == &epoll_ops ? ((struct eventpoll *)f->priv)->nitems : 0;
}

static uint64_t walks; /* nesting */

/* Has this walk been here, as deep? Then there is nothing to be learnt: without it, what is watched
 * by many who are watched by many would be looked at as often as there are ways to it. */
static bool
been_here(struct eventpoll *ep, int depth)
{
	if (ep->walk == walks && ep->walk_depth >= depth)
		return true;
	ep->walk = walks;
	ep->walk_depth = depth;
	return false;
}

/* Would watching t, which is depth levels below ep, close a circle? *deepest: the level of the
 * lowest epoll below ep then. -ELOOP also if it is too low in any case. nesting is held. */
static int
look_down(struct eventpoll *t, const struct eventpoll *ep, int depth, int *deepest)
{
	struct epitem *it;
	int err = 0;

	if (t == ep || depth > MAX_NESTING)
		return -ELOOP;
	if (been_here(t, depth))
		return 0;
	if (depth > *deepest)
		*deepest = depth;
	sleeplock_lock(&t->mtx);
	list_for_each_entry (it, &t->items, node) {
		if (it->file->ops == &epoll_ops)
			err = look_down(it->file->priv, ep, depth + 1, deepest);
		if (err)
			break;
	}
	sleeplock_unlock(&t->mtx);
	return err;
}

/* Those who watch ep, and those who watch them: may there be so many levels? nesting and lists_lock
 * are held; an item in a list has its epoll, and that its file. */
static int
look_up_locked(struct eventpoll *ep, int depth)
{
	struct file_items *fi = ep->file->epolls;
	struct epitem *it;
	int err = 0;

	if (depth > MAX_NESTING)
		return -ELOOP;
	if (!fi || been_here(ep, depth))
		return 0;
	list_for_each_entry (it, &fi->items, file_node) {
		err = look_up_locked(it->ep, depth + 1);
		if (err)
			break;
	}
	return err;
}

/* Would watching target from ep close a circle, or nest too deep? What is notified, and who asks
 * what is ready, goes through all levels on one stack. nesting is held. */
static int
check_nesting(struct file *target, struct eventpoll *ep)
{
	int deepest = 0, err;

	walks++;
	err = look_down(target->priv, ep, 1, &deepest);
	if (err)
		return err;
	walks++;
	mutex_lock(&lists_lock);
	err = look_up_locked(ep, deepest);
	mutex_unlock(&lists_lock);
	return err;
}

static struct epitem *
find(struct eventpoll *ep, struct file *f, int fd)
{
	struct epitem *it;

	/* The file's list is the shorter one: few epolls watch one file. */
	mutex_lock(&lists_lock);
	if (f->epolls) {
		list_for_each_entry (it, &((struct file_items *)f->epolls)->items, file_node) {
			if (it->ep == ep && it->fd == fd) {
				mutex_unlock(&lists_lock);
				return it;
			}
		}
	}
	mutex_unlock(&lists_lock);
	return NULL;
}

static int
add_item(struct eventpoll *ep, struct file *f, int fd, const struct lx_epoll_event *ev)
{
	struct epitem *it = calloc(1, sizeof *it);
	struct file_items *fi = calloc(1, sizeof *fi);
	struct item_table table = {{item_add_queue}, it};

	if (!it || !fi) {
		free(it);
		free(fi);
		return -ENOMEM;
	}
	/* of all users together */
	if (atomic_fetch_add(&nwatches, 1) >= sysctl_get(SYSCTL_EPOLL_MAX_USER_WATCHES)) {
		atomic_fetch_sub(&nwatches, 1);
		free(it);
		free(fi);
		return -ENOSPC;
	}
	LIVE_INC(EPITEM);
	it->ep = ep;
	it->file = f;
	it->fd = fd;
	it->ev = *ev;
	it->ev.events |= ALWAYS_EVENTS;
	list_init(&it->ready_node);
	waiter_init(&it->waiters[0], item_notified, it, ~0u);
	list_push_back(&ep->items, &it->node);
	ep->nitems++;
	mutex_lock(&lists_lock);
	if (!f->epolls) {
		list_init(&fi->items);
		f->epolls = fi;
		fi = NULL;
	}
	list_push_back(&((struct file_items *)f->epolls)->items, &it->file_node);
	mutex_unlock(&lists_lock);
	free(fi);
	queue_if_ready(it, file_ready(f, &table.pt));
	return 0;
}

int
epoll_ctl_file(struct file *epf, int op, struct file *f, int fd, const struct lx_epoll_event *ev)
{
	struct eventpoll *ep = epf->priv;
	bool nested = f->ops == &epoll_ops;
	struct epitem *it;
	int err = 0;

	if (!f->ops->poll)
		return -EPERM;
	if (epf == f || epf->ops != &epoll_ops)
		return -EINVAL;
	if (op != LX_EPOLL_CTL_DEL && (ev->events & LX_EPOLLEXCLUSIVE)) {
		if (op == LX_EPOLL_CTL_MOD || nested ||
			(ev->events & ~(LX_EPOLLEXCLUSIVE | LX_EPOLLWAKEUP | LX_EPOLLET |
					      LX_POLLIN | LX_POLLOUT | LX_POLLERR | LX_POLLHUP)))
			return -EINVAL;
	}
	if (nested && op == LX_EPOLL_CTL_ADD) {
		sleeplock_lock(&nesting);
		err = check_nesting(f, ep);
		if (err) {
			sleeplock_unlock(&nesting);
			return err;
		}
	}
	sleeplock_lock(&ep->mtx);
	it = find(ep, f, fd);
	switch (op) {
	case LX_EPOLL_CTL_ADD:
		err = it ? -EEXIST : add_item(ep, f, fd, ev);
		break;
	case LX_EPOLL_CTL_DEL:
		if (it)
			item_free(it);
		else
			err = -ENOENT;
		break;
	case LX_EPOLL_CTL_MOD:
		if (!it) {
			err = -ENOENT;
		} else if (it->ev.events & LX_EPOLLEXCLUSIVE) {
			err = -EINVAL;
		} else {
			it->ev.data = ev->data;
			__atomic_store_n(
				&it->ev.events, ev->events | ALWAYS_EVENTS, __ATOMIC_SEQ_CST);
			queue_if_ready(it, file_ready(f, NULL));
		}
		break;
	default:
		err = -EINVAL;
		break;
	}
	sleeplock_unlock(&ep->mtx);
	if (nested && op == LX_EPOLL_CTL_ADD)
		sleeplock_unlock(&nesting);
	return err;
}

int
epoll_collect(struct file *f, struct lx_epoll_event *ev, int max)
{
	struct eventpoll *ep = f->priv;
	struct list todo = LIST_INIT(todo), again = LIST_INIT(again);
	struct epitem *it;
	int n = 0;
	bool more;

	if (f->ops != &epoll_ops)
		return -EINVAL;
	mutex_lock(&ep->ready_lock);
	more = !list_empty(&ep->ready);
	mutex_unlock(&ep->ready_lock);
	if (!more)
		return 0;
	sleeplock_lock(&ep->mtx);
	mutex_lock(&ep->ready_lock);
	list_splice(&todo, &ep->ready);
	while (n < max && (it = list_first(&todo, struct epitem, ready_node))) {
		uint32_t now;

		/* What comes from here on queues it again. */
		list_del(&it->ready_node);
		it->queued = false;
		mutex_unlock(&ep->ready_lock);
		now = file_ready(it->file, NULL) & it->ev.events & ~PRIVATE_BITS;
		if (now) {
			ev[n++] = (struct lx_epoll_event){now, it->ev.data};
			if (it->ev.events & LX_EPOLLONESHOT)
				__atomic_fetch_and(&it->ev.events, PRIVATE_BITS, __ATOMIC_SEQ_CST);
		}
		mutex_lock(&ep->ready_lock);
		if (now && !(it->ev.events & (LX_EPOLLET | LX_EPOLLONESHOT)) && !it->queued) {
			it->queued = true;
			list_push_back(&again, &it->ready_node);
		}
	}
	/* Not looked at: first in line the next time; level-triggered ones last, so that none
	 * starves. */
	list_splice(&todo, &ep->ready);
	list_splice(&ep->ready, &todo);
	list_splice(&ep->ready, &again);
	mutex_unlock(&ep->ready_lock);
	sleeplock_unlock(&ep->mtx);
	return n;
}

void
epoll_pass_on(struct file *f)
{
	struct eventpoll *ep = f->priv;
	bool more;

	if (!atomic_load(&ep->wq.count))
		return; /* who comes now looks for itself */
	mutex_lock(&ep->ready_lock);
	more = !list_empty(&ep->ready);
	mutex_unlock(&ep->ready_lock);
	if (more)
		waitq_notify_n(&ep->wq, PASSED_ON, 1);
}
