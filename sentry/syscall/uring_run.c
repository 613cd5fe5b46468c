/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring: the life of requests. Submitted requests form chains (links). A chain is run by its
 * submitter as long as nothing blocks, and then by a helper to its end. Chains that have to wait
 * for what was submitted before them (drain) stand in `deferred`, and are run by helpers.
 */
#include "abi/restart.h"
#include "sentry/kernel/helper.h"
#include "sentry/sched/fiber.h"
#include "sentry/vfs/file.h"
#include "uring.h"
#include <stdlib.h>
#include <string.h>

#define LINKS (LX_IOSQE_IO_LINK | LX_IOSQE_IO_HARDLINK)
#define SQE_FLAGS                                                                                  \
	(LX_IOSQE_FIXED_FILE | LX_IOSQE_IO_DRAIN | LINKS | LX_IOSQE_ASYNC |                        \
		LX_IOSQE_CQE_SKIP_SUCCESS)
/* At once, of all rings: each takes the memory of a fiber. */
#define HELPERS_MAX 16384
/* Entries that found no room: as long as the guest takes none of so many, it gets no more. */
#define OVERFLOW_MAX 65536
#define INFLIGHT_MAX 32768 /* requests of a ring */

static _Atomic uint32_t nr_helpers;

static struct uring_req *
req_new(struct uring *u, struct task *t, const struct lx_uring_sqe *sqe)
{
	struct uring_req *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->ring = uring_get(u);
	r->submitter = task_get(t);
	r->sqe = *sqe;
	r->is_timeout_of_last = sqe->opcode == LX_OP_LINK_TIMEOUT;
	list_init(&r->defer_node);
	atomic_fetch_add(&t->rings, 1);
	mutex_lock(&u->lock);
	list_push_back(&u->reqs, &r->node);
	u->inflight++;
	mutex_unlock(&u->lock);
	return r;
}

static void start_deferred(struct uring *u);

/* r is complete, and gone. */
static void
req_end(struct uring_req *r, int64_t res, bool async)
{
	struct uring *u = r->ring;
	bool quiet = (r->sqe.flags & LX_IOSQE_CQE_SKIP_SUCCESS) && res >= 0;
	bool drained = r->sqe.flags & LX_IOSQE_IO_DRAIN, more;

	if (res <= -512 && res >= -516)
		res = -EINTR;
	if (r->msg)
		scm_files_free(r->msg->m.files);
	file_put(r->file);
	if (r->open)
		upath_fini(&r->open->path);
	free(r->open);
	free(r->iov);
	free(r->msg);
	if (r->runner)
		helper_free(r->runner);
	uring_post(u, r->sqe.user_data, (int32_t)res, !quiet, async);
	mutex_lock(&u->lock);
	list_del(&r->node);
	u->inflight--;
	if (drained)
		u->draining = false;
	more = !list_empty(&u->deferred);
	mutex_unlock(&u->lock);
	atomic_fetch_sub(&r->submitter->rings, 1);
	task_put(r->submitter);
	free(r);
	if (more)
		start_deferred(u);
	uring_put(u);
}

static bool
is_cancelled(struct uring_req *r)
{
	bool yes;

	mutex_lock(&r->ring->lock);
	yes = r->cancelled;
	mutex_unlock(&r->ring->lock);
	return yes;
}

/* What a request asked for that is too little to go on with the chain. */
static bool
fell_short(const struct uring_req *r, int64_t res)
{
	if (res < 0)
		return !(r->sqe.opcode == LX_OP_TIMEOUT && res == -ETIME &&
			 (r->sqe.op_flags & LX_URING_TIMEOUT_ETIME_OK));
	switch (r->sqe.opcode) {
	case LX_OP_READ:
	case LX_OP_WRITE:
	case LX_OP_READ_FIXED:
	case LX_OP_WRITE_FIXED:
		return res != r->sqe.len;
	case LX_OP_READV:
	case LX_OP_WRITEV:
		return r->uio.left != 0;
	default:
		return false;
	}
}

/* The request that comes after r, which ended with res; those that cannot run any more are ended.
 * fired: r's LINK_TIMEOUT, if it has one, ended it. */
static struct uring_req *
next_of(struct uring_req *r, int64_t res, bool fired, bool async)
{
	struct uring_req *n = r->next;
	bool broken = fell_short(r, res) && !(r->sqe.flags & LX_IOSQE_IO_HARDLINK);

	if (n && n->is_timeout_of_last) {
		struct uring_req *after = n->next;

		n->next = NULL;
		req_end(n, fired ? -ETIME : -ECANCELED, async);
		n = after;
	}
	while (n && broken) {
		struct uring_req *after = n->next;

		req_end(n, -ECANCELED, async);
		n = after;
	}
	return n;
}

/* --- helpers --- */

struct limit {
	struct timer timer;
	struct uring_req *r;
	bool fired; /* ring's lock */
};

static void
limit_fire(struct timer *tm)
{
	struct limit *l = tm->arg;
	struct uring *u = l->r->ring;

	mutex_lock(&u->lock);
	l->fired = true;
	l->r->cancelled = true;
	if (l->r->helper)
		helper_interrupt(l->r->helper);
	mutex_unlock(&u->lock);
}

/* One request in a helper, to its end. */
static int64_t
do_waiting(struct task *h, struct uring_req *r, bool *ret_fired)
{
	struct uring_req *n = r->next;
	struct limit l = {.r = r};
	bool limited = n && n->is_timeout_of_last, dead;
	int64_t res;

	*ret_fired = false;
	mutex_lock(&r->ring->lock);
	dead = r->cancelled || r->ring->closed;
	if (!dead) {
		r->helper = h;
		atomic_fetch_and(&h->work, ~TW_EXIT);
	}
	mutex_unlock(&r->ring->lock);
	if (dead)
		return -ECANCELED;
	if (limited) {
		timer_init(&l.timer, limit_fire, &l);
		timer_arm(&l.timer, n->deadline_ns);
	}
	res = r->tried ? URING_PUNT : uring_do(h, r, false);
	if (res == URING_PUNT)
		res = uring_do(h, r, true);
	if (limited)
		timer_cancel_sync(&l.timer);
	mutex_lock(&r->ring->lock);
	r->helper = NULL;
	/* interrupted by a cancellation, or by the end of the submitter */
	if (res == -EINTR || (res <= -512 && res >= -516))
		res = -ECANCELED;
	*ret_fired = l.fired;
	mutex_unlock(&r->ring->lock);
	return res;
}

struct work {
	struct task *h;
	struct uring_req *r;
};

static void
helper_main(void *arg)
{
	struct work w = *(struct work *)arg;

	free(arg);
	helper_enter(w.h);
	while (w.r) {
		bool fired;
		int64_t res = do_waiting(w.h, w.r, &fired);
		struct uring_req *n = next_of(w.r, res, fired, true);

		w.r->next = NULL;
		req_end(w.r, res, true);
		w.r = n;
	}
	helper_free(w.h);
	atomic_fetch_sub(&nr_helpers, 1);
}

static void
end_chain(struct uring_req *r, int err)
{
	while (r) {
		struct uring_req *n = r->next;

		req_end(r, err, true);
		r = n;
	}
}

/* The chain goes on in a helper of its submitter's: who calls, unless it was deferred. */
static void
punt(struct uring_req *r)
{
	struct work *w = malloc(sizeof *w);
	struct task *h = r->runner ? r->runner : helper_new(r->submitter);

	r->runner = NULL;
	if (!h || !w || atomic_fetch_add(&nr_helpers, 1) >= HELPERS_MAX) {
		if (h && w)
			atomic_fetch_sub(&nr_helpers, 1);
		if (h)
			helper_free(h);
		free(w);
		end_chain(r, -EAGAIN);
		return;
	}
	*w = (struct work){h, r};
	if (helper_start(h, helper_main, w)) {
		atomic_fetch_sub(&nr_helpers, 1);
		helper_free(h);
		free(w);
		end_chain(r, -ENOMEM);
	}
}

/* --- drain --- */

static uint32_t
chain_length(const struct uring_req *r)
{
	uint32_t n = 0;

	for (; r; r = r->next)
		n++;
	return n;
}

static bool
chain_drains(const struct uring_req *r)
{
	for (; r; r = r->next)
		if (r->sqe.flags & LX_IOSQE_IO_DRAIN)
			return true;
	return false;
}

/* May the chain not begin yet? It is deferred then. Its submitter gives it all that it has now: who
 * starts it later may not look at what is another task's. -ENOMEM. */
static int
defer(struct uring *u, struct task *t, struct uring_req *r)
{
	bool drains = chain_drains(r), wait;
	uint32_t n = chain_length(r);

	for (;;) {
		mutex_lock(&u->lock);
		wait = u->draining || !list_empty(&u->deferred) || (drains && u->inflight != n);
		if (!wait || r->runner)
			break;
		mutex_unlock(&u->lock);
		r->runner = helper_new(t);
		if (!r->runner)
			return -ENOMEM;
	}
	if (wait) {
		list_push_back(&u->deferred, &r->defer_node);
		u->nr_deferred += n;
	} else if (drains) {
		u->draining = true;
	}
	mutex_unlock(&u->lock);
	return wait;
}

static void
undefer_locked(struct uring *u, struct uring_req *r)
{
	list_del(&r->defer_node);
	list_init(&r->defer_node);
	u->nr_deferred -= chain_length(r);
}

/* One at a time does it, and goes on until nothing can begin: also where those that it starts end
 * at once, which comes back here. */
static void
start_deferred(struct uring *u)
{
	mutex_lock(&u->lock);
	if (u->starting) {
		mutex_unlock(&u->lock);
		return;
	}
	u->starting = true;
	for (;;) {
		struct uring_req *r = list_first(&u->deferred, struct uring_req, defer_node);

		if (!r || u->draining || (chain_drains(r) && u->inflight != u->nr_deferred))
			break;
		undefer_locked(u, r);
		u->draining = chain_drains(r);
		mutex_unlock(&u->lock);
		punt(r);
		mutex_lock(&u->lock);
	}
	u->starting = false;
	mutex_unlock(&u->lock);
}

/* --- submitting --- */

static void
run_chain(struct task *t, struct uring_req *r)
{
	struct uring *u = r->ring;
	int deferred = defer(u, t, r);

	if (deferred < 0) {
		end_chain(r, deferred);
		return;
	}
	if (deferred) {
		/* what it waits for may have ended while it was not among those that wait */
		start_deferred(u);
		return;
	}
	while (r) {
		struct uring_req *n;
		int64_t res = is_cancelled(r)		      ? -ECANCELED
			      : r->sqe.flags & LX_IOSQE_ASYNC ? URING_PUNT
							      : uring_do(t, r, false);

		if (res == URING_PUNT) {
			r->tried = !(r->sqe.flags & LX_IOSQE_ASYNC);
			punt(r);
			return;
		}
		/* what was written to the guest's memory is there before the entry says so */
		if (r->wrote)
			(void)plat->flush(t->pt);
		n = next_of(r, res, false, false);
		r->next = NULL;
		req_end(r, res, false);
		r = n;
	}
}

static int
check_sqe(const struct lx_uring_sqe *s, const struct uring_req *before)
{
	if (s->flags & ~(uint32_t)SQE_FLAGS)
		return s->flags & LX_IOSQE_BUFFER_SELECT ? -EOPNOTSUPP : -EINVAL;
	if (s->opcode >= LX_OPS || !uring_op_known(s->opcode))
		return -EINVAL;
	if (s->personality)
		return -EINVAL;
	if (s->opcode == LX_OP_LINK_TIMEOUT && (!before || before->is_timeout_of_last))
		return -EINVAL;
	return 0;
}

/* One of the chain is wrong: none is carried out. */
static void
refuse_chain(struct uring_req *r)
{
	while (r) {
		struct uring_req *n = r->next;

		req_end(r, r->err ? r->err : -ECANCELED, false);
		r = n;
	}
}

int64_t
uring_submit(struct uring *u, struct task *t, uint32_t n)
{
	struct uring_req *head = NULL, *last = NULL;
	bool chain_bad = false;
	int64_t done = 0;

	while (done < n) {
		struct lx_uring_sqe sqe;
		struct uring_req *r;
		bool full;
		int err;

		mutex_lock(&u->lock);
		full = u->inflight >= INFLIGHT_MAX || u->nr_overflow >= OVERFLOW_MAX;
		mutex_unlock(&u->lock);
		if (full) {
			if (!done)
				done = -EBUSY;
			break;
		}
		if (!uring_sq_take(u, &sqe))
			break;
		r = req_new(u, t, &sqe);
		if (!r) {
			if (!done)
				done = -EAGAIN;
			break;
		}
		done++;
		err = check_sqe(&sqe, last);
		if (!err)
			err = (int)uring_prepare(t, r);
		if (head)
			last->next = r;
		else
			head = r;
		last = r;
		if (err) {
			/* all of its chain is cancelled */
			chain_bad = true;
			r->err = err;
		}
		if (!(sqe.flags & LINKS) || (err && !(u->setup & LX_URING_SETUP_SUBMIT_ALL))) {
			bool stop = chain_bad && !(u->setup & LX_URING_SETUP_SUBMIT_ALL);

			if (chain_bad)
				refuse_chain(head);
			else
				run_chain(t, head);
			head = last = NULL;
			chain_bad = false;
			if (stop)
				break;
		}
	}
	if (head && !chain_bad)
		run_chain(t, head);
	else
		refuse_chain(head);
	return done;
}

/* --- cancelling --- */

uint32_t
uring_cancel(struct uring *u, bool (*match)(const struct uring_req *r, const void *arg),
	const void *arg, bool all)
{
	struct list dead = LIST_INIT(dead), *l;
	struct uring_req *r;
	uint32_t n = 0;

	mutex_lock(&u->lock);
	list_for_each_entry (r, &u->reqs, node) {
		if (r->cancelled || !match(r, arg))
			continue;
		r->cancelled = true;
		n++;
		if (r->helper)
			helper_interrupt(r->helper);
		if (!list_empty(&r->defer_node)) {
			undefer_locked(u, r);
			list_push_back(&dead, &r->defer_node);
		}
		if (!all)
			break;
	}
	mutex_unlock(&u->lock);
	while ((l = list_pop_front(&dead))) {
		r = list_entry(l, struct uring_req, defer_node);
		list_init(&r->defer_node);
		end_chain(r, -ECANCELED);
	}
	return n;
}

bool
uring_of_task(const struct uring_req *r, const void *task)
{
	return r->submitter == task;
}

static bool
match_any(const struct uring_req *r, const void *arg)
{
	(void)r, (void)arg;
	return true;
}

void
uring_close(struct uring *u)
{
	mutex_lock(&u->lock);
	u->closed = true;
	mutex_unlock(&u->lock);
	(void)uring_cancel(u, match_any, NULL, true);
}

void
uring_task_exit(struct task *t)
{
	struct uring **v;
	uint32_t n;

	if (!atomic_load(&t->rings))
		return;
	v = uring_all(&n);
	for (uint32_t i = 0; v && i < n; i++) {
		(void)uring_cancel(v[i], uring_of_task, t, true);
		uring_put(v[i]);
	}
	free(v);
}
