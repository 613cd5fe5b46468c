/* SPDX-License-Identifier: Apache-2.0 */
/* timerfd_create(2): expirations that can be waited for and read. */
#include "abi/fs.h"
#include "abi/poll.h"
#include "sentry/event/event.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/timer.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct timerfd {
	struct mutex lock; /* rank EVENT: all below but the timer itself */
	struct timer timer;
	int32_t clock;
	int64_t (*to_monotonic)(int32_t clock, int64_t abs_ns);
	int64_t interval_ns, deadline_ns; /* deadline 0: not armed */
	uint64_t expirations;
	struct waitq wq;
};

static void
timerfd_expired(struct timer *timer)
{
	struct timerfd *t = timer->arg;
	int64_t now = sched_now_ns(), again = 0;

	mutex_lock(&t->lock);
	if (t->deadline_ns && t->deadline_ns <= now) {
		if (t->interval_ns) {
			int64_t n = (now - t->deadline_ns) / t->interval_ns + 1;

			t->expirations += (uint64_t)n;
			/* the next one may be beyond all time: n is 1 then */
			if (__builtin_add_overflow(
				    t->deadline_ns, n * t->interval_ns, &t->deadline_ns))
				t->deadline_ns = INT64_MAX;
			again = t->deadline_ns;
		} else {
			t->expirations++;
			t->deadline_ns = 0;
		}
	}
	if (again)
		timer_arm(&t->timer, again);
	mutex_unlock(&t->lock);
	waitq_notify(&t->wq, LX_POLLIN | LX_POLLRDNORM);
}

static void
timerfd_release(struct file *f)
{
	struct timerfd *t = f->priv;

	mutex_lock(&t->lock);
	t->deadline_ns = 0;
	mutex_unlock(&t->lock);
	timer_cancel_sync(&t->timer);
	waitq_destroy(&t->wq);
	mutex_destroy(&t->lock);
	free(t);
}

static ssize_t
timerfd_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct timerfd *t = f->priv;
	uint64_t n;

	(void)c;
	(void)pos;
	(void)rwf;
	if (u->left < sizeof n)
		return -EINVAL;
	mutex_lock(&t->lock);
	n = t->expirations;
	t->expirations = 0;
	mutex_unlock(&t->lock);
	return n ? uio_copy_to(u, &n, sizeof n) : -EAGAIN;
}

static uint32_t
timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *t = f->priv;
	uint32_t ev;

	poll_wait(pt, &t->wq);
	mutex_lock(&t->lock);
	ev = t->expirations ? LX_POLLIN | LX_POLLRDNORM : 0;
	mutex_unlock(&t->lock);
	return ev;
}

static void
timerfd_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct timerfd *t = f->priv;
	struct timerfd_value v;

	(void)timerfd_get(f, &v);
	snprintf(buf, cap,
		"clockid: %d\nticks: %llu\nsettime flags: 0\nit_value: (%lld, %lld)\nit_interval: "
		"(%lld, %lld)\n",
		t->clock, (unsigned long long)t->expirations, (long long)(v.value_ns / 1000000000),
		(long long)(v.value_ns % 1000000000), (long long)(v.interval_ns / 1000000000),
		(long long)(v.interval_ns % 1000000000));
}

static const struct file_ops timerfd_ops = {
	.release = timerfd_release,
	.read = timerfd_read,
	.poll = timerfd_poll,
	.fdinfo = timerfd_fdinfo,
	.lseek = file_lseek_noop,
};

int
timerfd_new(int32_t clock, int64_t (*to_monotonic)(int32_t, int64_t), uint32_t oflags,
	struct file **ret)
{
	struct timerfd *t = calloc(1, sizeof *t);
	int err;

	if (!t)
		return -ENOMEM;
	mutex_init(&t->lock, LR_EVENT);
	waitq_init(&t->wq);
	timer_init(&t->timer, timerfd_expired, t);
	t->clock = clock;
	t->to_monotonic = to_monotonic;
	err = file_new_anon(&timerfd_ops, t, "anon_inode:[timerfd]", 0, LX_O_RDWR | oflags, ret);
	if (err) {
		waitq_destroy(&t->wq);
		free(t);
	}
	return err;
}

static void
get_locked(struct timerfd *t, struct timerfd_value *ret)
{
	int64_t left = t->deadline_ns ? t->deadline_ns - sched_now_ns() : 0;

	ret->interval_ns = t->interval_ns;
	ret->value_ns = t->deadline_ns && left <= 0 ? 1 : left;
}

int
timerfd_get(struct file *f, struct timerfd_value *ret)
{
	struct timerfd *t = f->priv;

	if (f->ops != &timerfd_ops)
		return -EINVAL;
	mutex_lock(&t->lock);
	get_locked(t, ret);
	mutex_unlock(&t->lock);
	return 0;
}

int
timerfd_set(
	struct file *f, bool absolute, const struct timerfd_value *v, struct timerfd_value *ret_old)
{
	struct timerfd *t = f->priv;
	int64_t now = sched_now_ns();

	if (f->ops != &timerfd_ops)
		return -EINVAL;
	mutex_lock(&t->lock);
	get_locked(t, ret_old);
	t->expirations = 0;
	t->interval_ns = v->interval_ns;
	if (!v->value_ns)
		t->deadline_ns = 0;
	else if (absolute)
		t->deadline_ns = t->to_monotonic(t->clock, v->value_ns);
	else
		t->deadline_ns = v->value_ns > INT64_MAX - now ? INT64_MAX : now + v->value_ns;
	if (v->value_ns && t->deadline_ns <= 0)
		t->deadline_ns = 1;
	if (t->deadline_ns)
		timer_arm(&t->timer, t->deadline_ns);
	else
		timer_cancel(&t->timer);
	mutex_unlock(&t->lock);
	return 0;
}
