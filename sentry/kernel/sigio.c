/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file with O_ASYNC has a waiter in each of its queues. The waiter's callback, which runs under
 * the queue's lock, only puts the file into a list; a fiber of the kernel sends the signals.
 *
 * Locks: `lock` (LEAF) guards the list and `queued`; `change` (sleeplock) is held while one is made
 * or goes.
 */
#include "sentry/kernel/sigio.h"
#include "abi/fs.h"
#include "abi/poll.h"
#include "abi/stat.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/lock.h"
#include <stdlib.h>

#define MAX_QUEUES 4

struct sigio {
	struct file *file; /* borrowed: goes before the file does */
	struct list node;  /* in pending, or to itself */
	uint32_t events;   /* what happened since the last signal */
	struct waiter w[MAX_QUEUES];
	int n;
};

struct sigio_table {
	struct poll_table pt;
	struct sigio *s;
};

static struct mutex lock = MUTEX_INIT(LEAF);
static struct list pending = LIST_INIT(pending);
static struct sleeplock change;
static struct fiber *sender;

static bool
notified(struct waiter *w, uint32_t events)
{
	struct sigio *s = w->arg;

	mutex_lock(&lock);
	s->events |= events;
	if (list_empty(&s->node))
		list_push_back(&pending, &s->node);
	mutex_unlock(&lock);
	fiber_wake(sender);
	return false;
}

static void
add_queue(struct poll_table *pt, struct waitq *q)
{
	struct sigio *s = ((struct sigio_table *)pt)->s;

	if (s->n == MAX_QUEUES)
		return;
	waiter_init(&s->w[s->n], notified, s, ~0u);
	waitq_add(q, &s->w[s->n++]);
}

/* who: a process, or a group as a negative number. */
static void
send_to(int32_t who, int signo, const struct lx_siginfo *info)
{
	if (who < 0) {
		(void)signal_send_pgrp(-who, signo, info);
	} else {
		struct tgroup *g = tgroup_find_global_get(who);

		if (g)
			(void)signal_send_tgroup(g, signo, info);
		tgroup_put(g);
	}
}

static void
send(struct file *f, uint32_t events)
{
	int32_t who = atomic_load(&f->fown_pid);
	int signo = atomic_load(&f->fown_signo);
	bool async = atomic_load(&f->flags) & LX_O_ASYNC;
	struct lx_siginfo info = {.code = events & LX_POLLIN ? 1 : 2 /* POLL_IN, POLL_OUT */};

	if (!who)
		return;
	/* Urgent data is told without O_ASYNC too (socket(7)); a notification may say "anything".
	 */
	if (events & LX_POLLPRI && LX_S_ISSOCK(f->inode->mode) &&
		f->ops->poll(f, NULL) & LX_POLLPRI)
		send_to(who, LX_SIGURG, NULL);
	if (!async || !(events & ~LX_POLLPRI))
		return;
	info.poll.band = events & (LX_POLLIN | LX_POLLOUT | LX_POLLERR | LX_POLLHUP |
					  LX_POLLRDNORM | LX_POLLWRNORM);
	info.poll.fd = -1;
	send_to(who, signo ? signo : LX_SIGIO, signo ? &info : NULL);
}

/* By who opens what f has a lease of. */
static void
lease_broken(struct file *f, int fd)
{
	int32_t who = atomic_load(&f->fown_pid);
	int signo = atomic_load(&f->fown_signo);
	struct lx_siginfo info = {.code = LX_POLL_MSG_CODE};

	if (!who)
		return;
	info.poll.band = LX_POLLIN | LX_POLLRDNORM | LX_POLLMSG;
	info.poll.fd = fd;
	send_to(who, signo ? signo : LX_SIGIO, signo ? &info : NULL);
}

static void
sender_main(void *arg)
{
	(void)arg;
	for (;;) {
		struct list *n;
		struct sigio *s;
		uint32_t events = 0;

		sleeplock_lock(&change);
		mutex_lock(&lock);
		n = list_pop_front(&pending);
		s = n ? list_entry(n, struct sigio, node) : NULL;
		if (s) {
			events = s->events;
			s->events = 0;
		}
		mutex_unlock(&lock);
		if (s)
			send(s->file, events);
		sleeplock_unlock(&change);
		if (!s)
			fiber_park();
	}
}

static void
drop(struct file *f)
{
	struct sigio *s = f->sigio;

	if (!s)
		return;
	for (int i = 0; i < s->n; i++)
		waitq_remove(&s->w[i]);
	mutex_lock(&lock);
	list_del(&s->node);
	mutex_unlock(&lock);
	f->sigio = NULL;
	free(s);
}

static void
file_gone(struct file *f)
{
	sleeplock_lock(&change);
	drop(f);
	sleeplock_unlock(&change);
}

int
sigio_init(void)
{
	sleeplock_init(&change);
	file_sigio_gone = file_gone;
	file_lease_tell = lease_broken;
	return fiber_spawn(sender_main, NULL, &sender);
}

int
sigio_set(struct file *f, bool on)
{
	struct sigio *s;
	struct sigio_table t = {.pt = {add_queue}};

	if (on && !f->ops->poll)
		return -EINVAL;
	sleeplock_lock(&change);
	/* An owner of a socket is told of urgent data in any case. */
	if (!on && LX_S_ISSOCK(f->inode->mode) && atomic_load(&f->fown_pid))
		on = true;
	if (!on) {
		drop(f);
	} else if (!f->sigio) {
		s = calloc(1, sizeof *s);
		if (!s) {
			sleeplock_unlock(&change);
			return -ENOMEM;
		}
		list_init(&s->node);
		s->file = f;
		t.s = s;
		f->sigio = s;
		(void)f->ops->poll(f, &t.pt);
	}
	sleeplock_unlock(&change);
	return 0;
}
