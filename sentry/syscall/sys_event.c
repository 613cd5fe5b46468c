/* SPDX-License-Identifier: Apache-2.0 */
/* epoll(7), eventfd(2), timerfd_create(2), signalfd(2). */
#include "abi/fs.h"
#include "abi/poll.h"
#include "sentry/event/event.h"
#include "sentry/kernel/signalfd.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscall/internal.h"
#include <stdlib.h>

#define MAX_COLLECT 1024 /* room for one call, unless more files are watched */

int64_t
sys_epoll_create1(struct task *t, const uint64_t a[6])
{
	struct file *f;
	int err;

	if ((uint32_t)a[0] & ~(uint32_t)LX_O_CLOEXEC)
		return -EINVAL;
	err = epoll_new(&f);
	return err ? err : task_fd_install_put(t, f, a[0] & LX_O_CLOEXEC);
}

int64_t
sys_epoll_create(struct task *t, const uint64_t a[6])
{
	const uint64_t none[6] = {0};

	return arg_int(a[0]) <= 0 ? -EINVAL : sys_epoll_create1(t, none);
}

int64_t
sys_epoll_ctl(struct task *t, const uint64_t a[6])
{
	struct lx_epoll_event ev = {0};
	int op = arg_int(a[1]), fd = arg_int(a[2]);
	struct file *ep, *f;
	int64_t err = -EBADF;

	if (op != LX_EPOLL_CTL_DEL && copy_in(&t->mem.um, &ev, ua(a[3]), sizeof ev))
		return -EFAULT;
	ep = task_file(t, arg_int(a[0]));
	f = task_file(t, fd);
	if (ep && f)
		err = epoll_ctl_file(ep, op, f, fd, &ev);
	if (ep)
		file_put(ep);
	if (f)
		file_put(f);
	return err;
}

static int64_t
do_epoll_wait(struct task *t, int fd, uint64_t addr, int max, int64_t deadline)
{
	struct lx_epoll_event small[16], *ev = small;
	struct waiter w;
	struct file *f;
	int64_t n;

	if (max <= 0 || max > INT32_MAX / (int)sizeof *ev)
		return -EINVAL;
	f = task_file(t, fd);
	if (!f)
		return -EBADF;
	if (max > MAX_COLLECT) {
		int watched = epoll_nitems(f), room = watched > MAX_COLLECT ? watched : MAX_COLLECT;

		max = max < room ? max : room;
	}
	if (!epoll_queue(f)) {
		file_put(f);
		return -EINVAL;
	}
	if (max > 16 && !(ev = malloc((size_t)max * sizeof *ev))) {
		file_put(f);
		return -ENOMEM;
	}
	n = epoll_collect(f, ev, max);
	if (!n && deadline) {
		waiter_init_fiber(&w, t->fiber, ~0u);
		w.exclusive = true;
		waitq_add(epoll_queue(f), &w);
		while (!(n = epoll_collect(f, ev, max))) {
			int err = task_park(t, deadline);

			if (err) {
				n = epoll_collect(f, ev, max);
				if (!n && err != -ETIMEDOUT)
					n = -EINTR;
				break;
			}
		}
		waitq_remove(&w);
	}
	/* One is woken for an event: it may have been this one for several, or in vain. */
	epoll_pass_on(f);
	if (n > 0 && copy_out(&t->mem.um, ua(addr), ev, (size_t)n * sizeof *ev))
		n = -EFAULT;
	if (ev != small)
		free(ev);
	file_put(f);
	return n;
}

static int64_t
ms_deadline(int32_t ms)
{
	return ms < 0 ? INT64_MAX : ms == 0 ? 0 : deadline_after(ms * 1000000LL);
}

int64_t
sys_epoll_wait(struct task *t, const uint64_t a[6])
{
	return do_epoll_wait(t, arg_int(a[0]), a[1], arg_int(a[2]), ms_deadline(arg_int(a[3])));
}

int64_t
sys_epoll_pwait(struct task *t, const uint64_t a[6])
{
	int64_t r = signal_use_temp_mask(t, ua(a[4]), a[5]);

	if (r)
		return r;
	r = do_epoll_wait(t, arg_int(a[0]), a[1], arg_int(a[2]), ms_deadline(arg_int(a[3])));
	signal_end_temp_mask(t, r);
	return r;
}

int64_t
sys_epoll_pwait2(struct task *t, const uint64_t a[6])
{
	int64_t deadline = INT64_MAX, ns, r;

	if (a[3]) {
		r = timespec_in(t, ua(a[3]), &ns);
		if (r)
			return r;
		deadline = ns ? deadline_after(ns) : 0;
	}
	r = signal_use_temp_mask(t, ua(a[4]), a[5]);
	if (r)
		return r;
	r = do_epoll_wait(t, arg_int(a[0]), a[1], arg_int(a[2]), deadline);
	signal_end_temp_mask(t, r);
	return r;
}

/* --- eventfd --- */

int64_t
sys_eventfd2(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[1];
	struct file *f;
	int err;

	if (flags & ~(uint32_t)(LX_EFD_SEMAPHORE | LX_O_CLOEXEC | LX_O_NONBLOCK))
		return -EINVAL;
	err = eventfd_new((uint32_t)a[0], flags & LX_EFD_SEMAPHORE, flags & LX_O_NONBLOCK, &f);
	return err ? err : task_fd_install_put(t, f, flags & LX_O_CLOEXEC);
}

int64_t
sys_eventfd(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = {a[0], 0};

	return sys_eventfd2(t, b);
}

/* --- timerfd --- */

int64_t
sys_timerfd_create(struct task *t, const uint64_t a[6])
{
	int32_t clock = arg_int(a[0]);
	uint32_t flags = (uint32_t)a[1];
	struct file *f;
	int err;

	if (flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NONBLOCK))
		return -EINVAL;
	if (clock != LX_CLOCK_REALTIME && clock != LX_CLOCK_MONOTONIC && clock != LX_CLOCK_BOOTTIME)
		return -EINVAL;
	err = timerfd_new(clock, clock_deadline, flags & LX_O_NONBLOCK, &f);
	return err ? err : task_fd_install_put(t, f, flags & LX_O_CLOEXEC);
}

static int
timerfd_out(struct task *t, uint64_t addr, const struct timerfd_value *v)
{
	if (timespec_out(t, ua(addr), v->interval_ns) ||
		timespec_out(t, ua(addr + 16), v->value_ns))
		return -EFAULT;
	return 0;
}

int64_t
sys_timerfd_settime(struct task *t, const uint64_t a[6])
{
	struct timerfd_value v, old;
	uint32_t flags = (uint32_t)a[1];
	struct file *f;
	int err;

	err = timespec_in(t, ua(a[2]), &v.interval_ns);
	if (!err)
		err = timespec_in(t, ua(a[2] + 16), &v.value_ns);
	if (err)
		return err;
	if (flags & ~3u) /* TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET */
		return -EINVAL;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	err = timerfd_set(f, flags & 1, &v, &old);
	file_put(f);
	if (err)
		return err;
	return a[3] ? timerfd_out(t, a[3], &old) : 0;
}

int64_t
sys_timerfd_gettime(struct task *t, const uint64_t a[6])
{
	struct timerfd_value v;
	struct file *f = task_file(t, arg_int(a[0]));
	int err;

	if (!f)
		return -EBADF;
	err = timerfd_get(f, &v);
	file_put(f);
	return err ? err : timerfd_out(t, a[1], &v);
}

/* --- signalfd --- */

static int64_t
do_signalfd(struct task *t, const uint64_t a[6], uint32_t flags)
{
	lx_sigset mask;
	struct file *f;
	int err;

	if (a[2] != sizeof mask)
		return -EINVAL;
	if (copy_in(&t->mem.um, &mask, ua(a[1]), sizeof mask))
		return -EFAULT;
	if (flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NONBLOCK))
		return -EINVAL;
	if (arg_int(a[0]) != -1) {
		f = task_file(t, arg_int(a[0]));
		if (!f)
			return -EBADF;
		err = signalfd_set_mask(f, mask);
		file_put(f);
		return err ? err : arg_int(a[0]);
	}
	err = signalfd_new(mask, flags & LX_O_NONBLOCK, &f);
	return err ? err : task_fd_install_put(t, f, flags & LX_O_CLOEXEC);
}

int64_t
sys_signalfd4(struct task *t, const uint64_t a[6])
{
	return do_signalfd(t, a, (uint32_t)a[3]);
}

int64_t
sys_signalfd(struct task *t, const uint64_t a[6])
{
	return do_signalfd(t, a, 0);
}
