/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/kernel/aio.h"
#include "sentry/kernel/internal.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>

struct aio_ctx {
	struct ref ref;	  /* the list, and who uses it */
	struct list node; /* in `all` */
	const struct mm *mm;
	uint64_t id;
	struct waitq wq;
	struct list polls; /* aio_poll.c */
	/* below: ctx_lock */
	bool ended;
	uint32_t max, reserved, n, first;
	struct aio_event ring[];
};

static struct mutex ctx_lock = MUTEX_INIT(LEAF);
static struct list all = LIST_INIT(all);
static _Atomic uint32_t count;
static _Atomic uint64_t events; /* that all contexts have room for, until they are freed */

/* False: there is no room for so many more. */
static bool
count_events(uint32_t n)
{
	if (atomic_fetch_add(&events, n) + n <= (uint64_t)sysctl_get(SYSCTL_AIO_MAX_NR))
		return true;
	atomic_fetch_sub(&events, n);
	return false;
}

uint64_t
aio_events(void)
{
	return atomic_load(&events);
}

int
aio_ctx_new(struct mm *mm, uint64_t id, uint32_t max)
{
	struct aio_ctx *c;

	if (!count_events(max))
		return -EAGAIN;
	c = calloc(1, sizeof *c + max * sizeof c->ring[0]);
	if (!c) {
		atomic_fetch_sub(&events, max);
		return -ENOMEM;
	}
	ref_init(&c->ref);
	waitq_init(&c->wq);
	list_init(&c->polls);
	c->mm = mm;
	c->id = id;
	c->max = max;
	mutex_lock(&ctx_lock);
	list_push_back(&all, &c->node);
	mutex_unlock(&ctx_lock);
	atomic_fetch_add(&count, 1);
	return 0;
}

static struct aio_ctx *
find_locked(const struct mm *mm, uint64_t id)
{
	struct aio_ctx *c;

	list_for_each_entry (c, &all, node)
		if (c->mm == mm && (!id || c->id == id))
			return c;
	return NULL;
}

struct aio_ctx *
aio_ctx_get(struct mm *mm, uint64_t id)
{
	struct aio_ctx *c;

	if (!id)
		return NULL;
	mutex_lock(&ctx_lock);
	c = find_locked(mm, id);
	if (c)
		ref_get(&c->ref);
	mutex_unlock(&ctx_lock);
	return c;
}

struct aio_ctx *
aio_ctx_ref(struct aio_ctx *c)
{
	ref_get(&c->ref);
	return c;
}

void
aio_ctx_put(struct aio_ctx *c)
{
	if (!c || !ref_put(&c->ref))
		return;
	waitq_destroy(&c->wq);
	atomic_fetch_sub(&events, c->max);
	free(c);
}

/* id 0: any of mm's. */
static bool
end_one(struct mm *mm, uint64_t id)
{
	struct aio_ctx *c;

	mutex_lock(&ctx_lock);
	c = find_locked(mm, id);
	if (c) {
		list_del(&c->node);
		c->ended = true;
	}
	mutex_unlock(&ctx_lock);
	if (!c)
		return false;
	atomic_fetch_sub(&count, 1);
	waitq_notify(&c->wq, ~0u);
	aio_poll_end(c);
	aio_ctx_put(c);
	return true;
}

bool
aio_ctx_end(struct mm *mm, uint64_t id)
{
	return id && end_one(mm, id);
}

void
aio_mm_gone(struct mm *mm)
{
	if (!atomic_load_explicit(&count, memory_order_relaxed))
		return;
	while (end_one(mm, 0))
		;
}

bool
aio_ended(struct aio_ctx *c)
{
	bool r;

	mutex_lock(&ctx_lock);
	r = c->ended;
	mutex_unlock(&ctx_lock);
	return r;
}

struct list *
aio_polls(struct aio_ctx *c)
{
	return &c->polls;
}

struct waitq *
aio_queue(struct aio_ctx *c)
{
	return &c->wq;
}

bool
aio_reserve(struct aio_ctx *c)
{
	bool ok;

	mutex_lock(&ctx_lock);
	ok = c->reserved + c->n < c->max;
	if (ok)
		c->reserved++;
	mutex_unlock(&ctx_lock);
	return ok;
}

void
aio_unreserve(struct aio_ctx *c)
{
	mutex_lock(&ctx_lock);
	c->reserved--;
	mutex_unlock(&ctx_lock);
}

void
aio_complete(struct aio_ctx *c, const struct aio_event *e)
{
	mutex_lock(&ctx_lock);
	c->reserved--;
	c->ring[(c->first + c->n++) % c->max] = *e;
	mutex_unlock(&ctx_lock);
	waitq_notify(&c->wq, ~0u);
}

bool
aio_take(struct aio_ctx *c, struct aio_event *ret)
{
	bool got;

	mutex_lock(&ctx_lock);
	got = c->n > 0;
	if (got) {
		*ret = c->ring[c->first];
		c->first = (c->first + 1) % c->max;
		c->n--;
	}
	mutex_unlock(&ctx_lock);
	return got;
}
