/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IOCB_CMD_POLL. A request that is not ready has a waiter in each queue of its file. The waiter's
 * callback, which runs under the queue's lock, only puts the request into a list; a fiber of the
 * kernel asks the file again. Linux counterpart: aio_poll in fs/aio.c.
 *
 * Locks: `lock` (LEAF) guards the list; `change` (sleeplock) is held while a request comes, goes or
 * is looked at, and guards the contexts' lists.
 */
#include "abi/poll.h"
#include "sentry/event/event.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"
#include <stdlib.h>

#define MAX_QUEUES    4 /* a file polls no more than this many */
#define ALWAYS_EVENTS (LX_POLLERR | LX_POLLHUP)

struct aio_poll {
	struct aio_ctx *ctx;	  /* a reference, with room for the event */
	struct list node;	  /* in the context's list */
	struct list ready_node;	  /* in ready, or to itself */
	struct file *file, *told; /* references; told: an eventfd, or NULL */
	uint64_t data, obj;
	uint32_t events;
	struct waiter w[MAX_QUEUES];
	unsigned n;
};

struct aio_table {
	struct poll_table pt;
	struct aio_poll *p;
};

static struct mutex lock = MUTEX_INIT(LEAF);
static struct list ready = LIST_INIT(ready);
static struct sleeplock change;
static struct fiber *looker;

static bool
notified(struct waiter *w, uint32_t events)
{
	struct aio_poll *p = w->arg;

	if (events && !(events & p->events))
		return false;
	mutex_lock(&lock);
	if (list_empty(&p->ready_node))
		list_push_back(&ready, &p->ready_node);
	mutex_unlock(&lock);
	fiber_wake(looker);
	return true;
}

static void
add_queue(struct poll_table *pt, struct waitq *q)
{
	struct aio_poll *p = ((struct aio_table *)pt)->p;

	assert_that(p->n < MAX_QUEUES);
	waiter_init(&p->w[p->n], notified, p, ~0u);
	waitq_add(q, &p->w[p->n++]);
}

/* Nobody finds p any more; change is held, or it was never known. */
static void
unlink_poll(struct aio_poll *p)
{
	for (unsigned i = 0; i < p->n; i++)
		waitq_remove(&p->w[i]);
	mutex_lock(&lock);
	list_del(&p->ready_node);
	mutex_unlock(&lock);
	list_del(&p->node);
}

/* change is not held: a file may take its time to go. */
static void
free_poll(struct aio_poll *p)
{
	file_put(p->file);
	if (p->told)
		file_put(p->told);
	aio_ctx_put(p->ctx);
	free(p);
}

static void
complete(struct aio_poll *p, uint32_t events)
{
	struct aio_event e = {p->data, p->obj, events, 0};

	aio_complete(p->ctx, &e);
	if (p->told)
		eventfd_add(p->told, 1);
}

static void
looker_main(void *arg)
{
	(void)arg;
	for (;;) {
		struct aio_poll *p;
		struct list *n;
		uint32_t now = 0;

		sleeplock_lock(&change);
		mutex_lock(&lock);
		n = list_pop_front(&ready);
		mutex_unlock(&lock);
		p = n ? list_entry(n, struct aio_poll, ready_node) : NULL;
		if (p)
			now = file_ready(p->file, NULL) & p->events;
		if (now)
			unlink_poll(p);
		sleeplock_unlock(&change);
		if (now) {
			complete(p, now);
			free_poll(p);
		}
		if (!p)
			fiber_park();
	}
}

int
aio_poll_init(void)
{
	sleeplock_init(&change);
	return fiber_spawn(looker_main, NULL, &looker);
}

int
aio_poll(struct aio_ctx *ctx, struct file *f, struct file *told, const struct aio_event *e,
	uint32_t events)
{
	struct aio_poll *p;
	struct aio_table t = {.pt = {add_queue}};
	uint32_t now;

	p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	p->ctx = aio_ctx_ref(ctx);
	p->file = file_get(f);
	p->told = told ? file_get(told) : NULL;
	p->data = e->data;
	p->obj = e->obj;
	p->events = events | ALWAYS_EVENTS;
	list_init(&p->node);
	list_init(&p->ready_node);
	t.p = p;
	sleeplock_lock(&change);
	now = file_ready(f, &t.pt) & p->events;
	/* Where no queue is, nothing would ever tell. */
	if (!now && p->n && !aio_ended(ctx)) {
		list_push_back(aio_polls(ctx), &p->node);
		sleeplock_unlock(&change);
		return 0;
	}
	unlink_poll(p);
	sleeplock_unlock(&change);
	if (now)
		complete(p, now);
	free_poll(p);
	return now ? 0 : -EINVAL;
}

int
aio_poll_cancel(struct aio_ctx *ctx, uint64_t obj)
{
	struct aio_poll *p, *found = NULL;

	sleeplock_lock(&change);
	list_for_each_entry (p, aio_polls(ctx), node)
		if (p->obj == obj) {
			found = p;
			break;
		}
	if (found)
		unlink_poll(found);
	sleeplock_unlock(&change);
	if (!found)
		return -EINVAL;
	complete(found, 0);
	free_poll(found);
	return -EINPROGRESS;
}

void
aio_poll_end(struct aio_ctx *ctx)
{
	for (;;) {
		struct list *n;
		struct aio_poll *p;

		sleeplock_lock(&change);
		n = list_pop_front(aio_polls(ctx));
		p = n ? list_entry(n, struct aio_poll, node) : NULL;
		if (p)
			unlink_poll(p);
		sleeplock_unlock(&change);
		if (!p)
			return;
		free_poll(p);
	}
}
