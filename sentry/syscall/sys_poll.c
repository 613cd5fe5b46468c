/* SPDX-License-Identifier: Apache-2.0 */
/* poll(2), ppoll(2), select(2), pselect6(2). */
#include "abi/poll.h"
#include "sentry/syscall/internal.h"
#include "sentry/syscall/poll.h"
#include "sentry/vfs/file.h"
#include <stdlib.h>
#include <string.h>

struct poll_entry {
	struct file *file; /* a reference; NULL: bad or negative */
	uint32_t want, got;
	bool bad;
};

/* How many have something to tell, waiting until deadline for one. -ERESTARTNOHAND, -ENOMEM. */
static int64_t
wait_for(struct task *t, struct poll_entry *e, uint64_t n, int64_t deadline)
{
	struct pollset ps;
	struct poll_table *pt = deadline > 0 ? &ps.pt : NULL;
	int64_t count;

	pollset_init(&ps, t->fiber);
	for (;;) {
		int err;

		count = 0;
		for (uint64_t i = 0; i < n; i++) {
			if (e[i].bad)
				e[i].got = LX_POLLNVAL;
			else if (e[i].file)
				e[i].got = file_ready(e[i].file, count ? NULL : pt) &
					   (e[i].want | LX_POLLERR | LX_POLLHUP);
			count += e[i].got != 0;
		}
		if (count || !deadline)
			break;
		if (ps.failed) {
			count = -ENOMEM;
			break;
		}
		pt = NULL;
		err = task_park(t, deadline);
		if (err == -ETIMEDOUT)
			deadline = 0; /* look once more */
		else if (err) {
			count = -ERESTARTNOHAND;
			break;
		}
	}
	pollset_clear(&ps);
	return count;
}

static int64_t
do_poll(struct task *t, uint64_t addr, uint32_t n, int64_t deadline)
{
	struct lx_pollfd small[16], *p = small;
	struct poll_entry esmall[16], *e = esmall;
	int64_t r = -ENOMEM;

	if (n > rlimit_cur(&t->tgroup->rlim, LX_RLIMIT_NOFILE))
		return -EINVAL;
	if (n > 16) {
		p = malloc(n * sizeof *p);
		e = malloc(n * sizeof *e);
		if (!p || !e)
			goto out;
	}
	r = -EFAULT;
	if (copy_in(&t->mem.um, p, ua(addr), n * sizeof *p))
		goto out;
	for (uint32_t i = 0; i < n; i++) {
		e[i] = (struct poll_entry){.want = (uint16_t)p[i].events};
		if (p[i].fd >= 0) {
			e[i].file = task_file(t, p[i].fd);
			e[i].bad = !e[i].file;
		}
	}
	r = wait_for(t, e, n, deadline);
	for (uint32_t i = 0; i < n; i++) {
		p[i].revents = (int16_t)e[i].got;
		if (e[i].file)
			file_put(e[i].file);
	}
	if (r >= 0 && n && copy_out(&t->mem.um, ua(addr), p, n * sizeof *p))
		r = -EFAULT;
out:
	if (p != small)
		free(p);
	if (e != esmall)
		free(e);
	return r;
}

/* poll(2) goes on where it was after a stop (restart_syscall(2)). */
static int64_t
poll_again(struct task *t)
{
	int64_t r = do_poll(
		t, t->restart_args[0], (uint32_t)t->restart_args[1], t->restart_deadline_ns);

	if (r == -ERESTARTNOHAND) {
		t->restart_fn = poll_again;
		return -ERESTART_RESTARTBLOCK;
	}
	return r;
}

int64_t
sys_poll(struct task *t, const uint64_t a[6])
{
	int32_t ms = arg_int(a[2]);

	t->restart_args[0] = a[0];
	t->restart_args[1] = (uint32_t)a[1];
	t->restart_deadline_ns = ms < 0 ? INT64_MAX : ms == 0 ? 0 : deadline_after(ms * 1000000LL);
	return poll_again(t);
}

/* Time left, written back as ppoll and pselect6 do; a fault there is not told (Linux). */
static void
left_out(struct task *t, uint64_t addr, int64_t deadline)
{
	int64_t left = deadline ? deadline - sched_now_ns() : 0;

	if (addr && deadline != INT64_MAX)
		(void)timespec_out(t, ua(addr), left > 0 ? left : 0);
}

static int
deadline_in(struct task *t, uint64_t addr, int64_t *ret)
{
	int64_t ns;
	int err;

	*ret = INT64_MAX;
	if (!addr)
		return 0;
	err = timespec_in(t, ua(addr), &ns);
	if (!err)
		*ret = ns ? deadline_after(ns) : 0;
	return err;
}

int64_t
sys_ppoll(struct task *t, const uint64_t a[6])
{
	int64_t deadline, r;
	int err = deadline_in(t, a[2], &deadline);

	if (!err)
		err = signal_use_temp_mask(t, ua(a[3]), a[4]);
	if (err)
		return err;
	r = do_poll(t, a[0], (uint32_t)a[1], deadline);
	signal_end_temp_mask(t, r);
	left_out(t, a[2], deadline);
	return r;
}

/* --- select --- */

#define SEL_IN	(LX_POLLRDNORM | LX_POLLRDBAND | LX_POLLIN | LX_POLLHUP | LX_POLLERR)
#define SEL_OUT (LX_POLLWRBAND | LX_POLLWRNORM | LX_POLLOUT | LX_POLLERR)
#define SEL_EX	LX_POLLPRI

static int64_t
do_select(struct task *t, int32_t nfds, const uint64_t sets[3], int64_t deadline)
{
	static const uint32_t masks[3] = {SEL_IN, SEL_OUT, SEL_EX};
	static const uint32_t wants[3] = {LX_POLLIN | LX_POLLRDNORM | LX_POLLRDBAND,
		LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND, LX_POLLPRI};
	size_t bytes;
	uint64_t *bits, *in[3], count = 0;
	struct poll_entry *e = NULL;
	int32_t *fds = NULL;
	int64_t r = 0;

	if (nfds < 0)
		return -EINVAL;
	/* What lies beyond the table is not looked at (fs/select.c, core_sys_select). */
	if ((uint32_t)nfds > fdtable_size(t->files))
		nfds = (int32_t)fdtable_size(t->files);
	bytes = ((size_t)nfds + 63) / 64 * 8;
	bits = calloc(3, bytes + 8);
	if (!bits)
		return -ENOMEM;
	for (int i = 0; i < 3; i++) {
		in[i] = (uint64_t *)((char *)bits + (size_t)i * (bytes + 8));
		if (sets[i] && copy_in(&t->mem.um, in[i], ua(sets[i]), bytes)) {
			r = -EFAULT;
			goto out;
		}
	}
	for (int32_t fd = 0; fd < nfds; fd++)
		count += ((in[0][fd / 64] | in[1][fd / 64] | in[2][fd / 64]) >> (fd % 64)) & 1;
	e = calloc(count + 1, sizeof *e);
	fds = calloc(count + 1, sizeof *fds);
	if (!e || !fds) {
		r = -ENOMEM;
		goto out;
	}
	count = 0;
	for (int32_t fd = 0; fd < nfds; fd++) {
		uint32_t want = 0;

		for (int i = 0; i < 3; i++)
			if (in[i][fd / 64] >> (fd % 64) & 1)
				want |= wants[i];
		if (!want)
			continue;
		e[count] = (struct poll_entry){.file = task_file(t, fd), .want = want};
		fds[count] = fd;
		if (!e[count].file) {
			r = -EBADF;
			goto out;
		}
		count++;
	}
	r = wait_for(t, e, count, deadline);
	if (r >= 0) {
		uint64_t total = 0;

		for (uint64_t k = 0; k < count; k++) {
			int32_t fd = fds[k];

			for (int i = 0; i < 3; i++) {
				uint64_t bit = 1ULL << (fd % 64);

				if (!(in[i][fd / 64] & bit))
					continue;
				if (e[k].got & masks[i])
					total++;
				else
					in[i][fd / 64] &= ~bit;
			}
		}
		r = (int64_t)total;
		for (int i = 0; i < 3; i++)
			if (sets[i] && copy_out(&t->mem.um, ua(sets[i]), in[i], bytes))
				r = -EFAULT;
	}
out:
	for (uint64_t k = 0; e && k < count; k++)
		file_put(e[k].file);
	free(e);
	free(fds);
	free(bits);
	return r;
}

int64_t
sys_select(struct task *t, const uint64_t a[6])
{
	struct lx_timeval tv;
	int64_t deadline = INT64_MAX, r;

	if (a[4]) {
		if (copy_in(&t->mem.um, &tv, ua(a[4]), sizeof tv))
			return -EFAULT;
		if (tv.sec < 0 || tv.usec < 0)
			return -EINVAL;
		deadline = 0;
		if (tv.sec || tv.usec)
			deadline = tv.sec > 9000000000LL
					   ? INT64_MAX
					   : deadline_after(tv.sec * 1000000000LL + tv.usec * 1000);
	}
	r = do_select(t, arg_int(a[0]), &a[1], deadline);
	if (a[4] && deadline != INT64_MAX) {
		int64_t left = deadline ? deadline - sched_now_ns() : 0;

		(void)timeval_out(t, ua(a[4]), left > 0 ? left : 0);
	}
	return r;
}

int64_t
sys_pselect6(struct task *t, const uint64_t a[6])
{
	uint64_t mask[2] = {0, 0};
	int64_t deadline, r;
	int err;

	if (a[5] && copy_in(&t->mem.um, mask, ua(a[5]), sizeof mask))
		return -EFAULT;
	err = deadline_in(t, a[4], &deadline);
	if (!err)
		err = signal_use_temp_mask(t, ua(mask[0]), mask[1]);
	if (err)
		return err;
	r = do_select(t, arg_int(a[0]), &a[1], deadline);
	signal_end_temp_mask(t, r);
	left_out(t, a[4], deadline);
	return r;
}
