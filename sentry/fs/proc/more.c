/* SPDX-License-Identifier: Apache-2.0 */
/* More of /proc/PID: scheduling, timers, pages, security attributes. */
#include "abi/stat.h"
#include "internal.h"
#include "sentry/kernel/timers.h"
#include "sentry/sched/fiber.h"
#include <stdlib.h>
#include <string.h>

/* --- sched --- */

static void
put_time(struct sbuf *b, const char *name, int64_t ns)
{
	sbuf_printf(
		b, "%-45s:%14lld.%06lld\n", name, (long long)ns / 1000000, (long long)ns % 1000000);
}

static void
put_number(struct sbuf *b, const char *name, long long v)
{
	sbuf_printf(b, "%-45s:%21lld\n", name, v);
}

int
proc_show_sched(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = proc_task(x);
	const struct tgroup *g = t->tgroup;
	struct task_sched s;
	int64_t ns = 0;

	mutex_lock(&t->pt_lock);
	if (t->pt)
		ns = plat->thread_cpu_ns(t->pt);
	s = t->sched;
	mutex_unlock(&t->pt_lock);
	sbuf_printf(b, "%.15s (%d, #threads: %u)\n", t->comm, proc_nr(x, t->pid), g->nr_threads);
	sbuf_puts(b, "-------------------------------------------------------------------\n");
	put_time(b, "se.exec_start", sched_now_ns());
	put_time(b, "se.sum_exec_runtime", ns + t->stime_ns);
	put_number(b, "nr_switches", (long long)(t->count[COUNT_WAITS] + t->nivcsw));
	put_number(b, "nr_voluntary_switches", (long long)t->count[COUNT_WAITS]);
	put_number(b, "nr_involuntary_switches", (long long)t->nivcsw);
	put_number(b, "policy", s.policy);
	put_number(b, "prio", s.priority ? 99 - s.priority : 120 + s.nice);
	return 0;
}

/* --- timers --- */

static void
timer_row(int32_t id, const struct posix_timer_spec *s, void *arg)
{
	static const char *const how[] = {"signal", "none", "thread"};

	sbuf_printf(arg, "ID: %d\nsignal: %d/%016llx\nnotify: %s/%s.%d\nClockID: %d\n", id,
		s->signo, (unsigned long long)s->value,
		how[s->notify <= LX_SIGEV_THREAD ? s->notify : 0],
		s->notify == LX_SIGEV_THREAD_ID ? "tid" : "pid", s->tid, s->clock);
}

int
proc_show_timers(const struct pseudo_ctx *x, struct sbuf *b)
{
	posix_timer_each(proc_task(x)->tgroup, timer_row, b);
	return 0;
}

/* --- pagemap --- */

#define PM_PRESENT (1ULL << 63)
#define PM_FILE	   (1ULL << 61)

struct page_run {
	uint64_t addr, *entry;
	size_t n;
};

static bool
fill_run(const struct vma *v, void *arg)
{
	struct page_run *r = arg;
	uint64_t end = r->addr + r->n * LX_PAGE_SIZE;

	if (v->start >= end)
		return false;
	for (uint64_t a = v->start > r->addr ? v->start : r->addr; a < v->end && a < end;
		a += LX_PAGE_SIZE)
		if (v->prot)
			r->entry[(a - r->addr) / LX_PAGE_SIZE] =
				PM_PRESENT | (v->map ? PM_FILE : 0);
	return true;
}

/* Frame numbers are zero, as for everybody without CAP_SYS_ADMIN. */
ssize_t
proc_pagemap_pread(const struct pseudo_ctx *x, struct uio *u, int64_t pos)
{
	struct mm *mm = proc_bound_mm(x);
	ssize_t done = 0;

	if (!mm)
		return 0;
	if (pos < 0 || pos % 8 || u->left % 8) {
		mm_put(mm);
		return -EINVAL;
	}
	while (u->left >= 8) {
		uint64_t entry[256] = {0}, first = (uint64_t)(pos + done) / 8;
		struct page_run r = {first * LX_PAGE_SIZE, entry, u->left / 8};
		ssize_t k;

		if (first >= plat->guest_top() / LX_PAGE_SIZE)
			break;
		if (r.n > 256)
			r.n = 256;
		mm_for_each(mm, r.addr, fill_run, &r);
		k = uio_copy_to(u, entry, r.n * 8);
		if (k < 0) {
			done = done ? done : k;
			break;
		}
		done += k;
	}
	mm_put(mm);
	return done;
}

/* --- attr/: no security module --- */

static int
show_attr(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x, (void)b;
	return -EINVAL;
}

static ssize_t
write_attr(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	(void)x, (void)buf, (void)len, (void)pos;
	return -EINVAL;
}

#define ATTR(n, m)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = show_attr, .write = write_attr,     \
		.attr = proc_owner                                                                 \
	}

const struct pseudo_row proc_attr_rows[] = {ATTR("current", 0666), ATTR("prev", 0444),
	ATTR("exec", 0666), ATTR("fscreate", 0666), ATTR("keycreate", 0666),
	ATTR("sockcreate", 0666), {.name = NULL}};
