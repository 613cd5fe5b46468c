/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts of io_setup(2): events that wait to be fetched. A context belongs to an address space,
 * and is known by an address in it. */
#ifndef SENTRY_KERNEL_AIO_H
#define SENTRY_KERNEL_AIO_H

#include <stdbool.h>
#include <stdint.h>

struct aio_ctx;
struct file;
struct list;
struct mm;
struct waitq;

struct aio_event { /* as the guest has it */
	uint64_t data, obj;
	int64_t res, res2;
};

uint64_t aio_events(void);				   /* that all have room for */
int aio_ctx_new(struct mm *mm, uint64_t id, uint32_t max); /* -ENOMEM, -EAGAIN: too many */
struct aio_ctx *aio_ctx_get(struct mm *mm, uint64_t id);   /* a reference, or NULL */
struct aio_ctx *aio_ctx_ref(struct aio_ctx *c);
void aio_ctx_put(struct aio_ctx *c);
bool aio_ctx_end(struct mm *mm, uint64_t id); /* io_destroy; false: no such one */
void aio_mm_gone(struct mm *mm);	      /* nobody runs in it any more */
bool aio_ended(struct aio_ctx *c);
struct waitq *aio_queue(struct aio_ctx *c); /* notified when an event comes, and at the end */

/* Room for one more event; false: full. */
bool aio_reserve(struct aio_ctx *c);
void aio_unreserve(struct aio_ctx *c);
void aio_complete(struct aio_ctx *c, const struct aio_event *e); /* into the room */
bool aio_take(struct aio_ctx *c, struct aio_event *ret);

/* --- aio_poll.c --- */
int aio_poll_init(void); /* starts the fiber that looks; before the first task */
/* When f has one of the events (LX_POLL*), *e is queued with it as its result, into room that was
 * reserved, and one is added to told, an eventfd or NULL. -EINVAL: f has none of them, and nothing
 * will tell when it has; -ENOMEM. */
int aio_poll(struct aio_ctx *ctx, struct file *f, struct file *told, const struct aio_event *e,
	uint32_t events);
/* -EINPROGRESS: its event is queued, with the result 0; -EINVAL: it does not wait. */
int aio_poll_cancel(struct aio_ctx *ctx, uint64_t obj);
void aio_poll_end(struct aio_ctx *ctx);	     /* none waits any more; ctx has ended */
struct list *aio_polls(struct aio_ctx *ctx); /* for aio_poll.c */

#endif
