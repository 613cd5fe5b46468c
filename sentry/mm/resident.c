/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of an address space is resident. Pages are the host's, which tells for each that it is
 * asked about (move_pages(2) without nodes). Beyond a number of them some of each area stand for
 * the rest.
 */
#include "sentry/mm/resident.h"
#include "platform/host/engine.h"
#include "sentry/mm/mm.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>

#define BATCH	512
#define MAX_AGE 200000000 /* ns */
#define SAMPLES 8192	  /* some ms */

struct batch {
	pid_t pid;
	uint64_t addr[BATCH];
	uint32_t area[BATCH];
	unsigned n;
	uint64_t *seen; /* of each area */
};

static int
ask(struct batch *b)
{
	int status[BATCH];
	int r = b->n ? host_where(b->pid, b->addr, status, b->n) : 0;

	for (unsigned i = 0; r == 0 && i < b->n; i++)
		b->seen[b->area[i]] += status[i] >= 0;
	b->n = 0;
	return r;
}

static uint64_t
samples_of(uint64_t pages, uint64_t all, size_t nareas)
{
	uint64_t n = SAMPLES / nareas + SAMPLES * pages / all;

	if (all <= SAMPLES || n > pages)
		return pages;
	return n ? n : 1;
}

int
resident_of_areas(pid_t pid, const struct resident_area *a, size_t n, uint64_t *ret_pages)
{
	struct batch *b = malloc(sizeof *b);
	uint64_t all = 0;
	int r = b ? 0 : -ENOMEM;

	if (r)
		return r;
	b->pid = pid;
	b->n = 0;
	b->seen = ret_pages;
	for (size_t i = 0; i < n; i++) {
		ret_pages[i] = 0;
		all += a[i].pages;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		uint64_t want = samples_of(a[i].pages, all, n);

		for (uint64_t k = 0; k < want && r == 0; k++) {
			/* 15 bits and 36: no overflow */
			uint64_t page =
				want == a[i].pages ? k : (2 * k + 1) * a[i].pages / (2 * want);

			b->addr[b->n] = a[i].start + page * LX_PAGE_SIZE;
			b->area[b->n++] = (uint32_t)i;
			if (b->n == BATCH)
				r = ask(b);
		}
	}
	if (r == 0)
		r = ask(b);
	for (size_t i = 0; i < n && r == 0; i++) {
		uint64_t want = samples_of(a[i].pages, all, n);

		if (want != a[i].pages)
			ret_pages[i] = ret_pages[i] * a[i].pages / want;
	}
	free(b);
	return r;
}

/* --- of a whole space --- */

enum kind {
	ANON,
	FILES,
	SHARED,
	NKINDS,
};

struct found {
	struct resident_area *a;
	size_t n, cap;
	bool failed;
};

static bool
take(const struct vma *v, void *arg)
{
	struct found *f = arg;

	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct resident_area *p = realloc(f->a, cap * sizeof *p);

		f->failed = !p;
		if (!p)
			return false;
		f->a = p;
		f->cap = cap;
	}
	f->a[f->n++] = (struct resident_area){.start = v->start,
		.pages = (v->end - v->start) >> LX_PAGE_SHIFT,
		.kind = v->flags & VMA_SHARED ? SHARED
			: v->map	      ? FILES
					      : ANON};
	return true;
}

static int
look(struct mm *mm, pid_t pid, uint64_t sum[NKINDS])
{
	struct found f = {0};
	uint64_t *pages = NULL;
	int r = -ENOMEM;

	mm_for_each(mm, 0, take, &f);
	if (!f.failed)
		pages = calloc(f.n + 1, sizeof *pages);
	if (pages)
		r = resident_of_areas(pid, f.a, f.n, pages);
	for (size_t i = 0; r == 0 && i < f.n; i++)
		sum[f.a[i].kind] += pages[i] << LX_PAGE_SHIFT;
	free(pages);
	free(f.a);
	return r;
}

int
mm_resident(struct mm *mm, pid_t pid, bool now, struct mm_resident *ret)
{
	uint64_t sum[NKINDS] = {0};
	int64_t at = sched_now_ns();
	int r;

	mutex_lock(&mm->lock);
	*ret = mm->resident;
	mutex_unlock(&mm->lock);
	if (!now && ret->at_ns && at - ret->at_ns < MAX_AGE)
		return 0;
	r = look(mm, pid, sum);
	if (r < 0)
		return r;
	*ret = (struct mm_resident){sum[ANON], sum[FILES], sum[SHARED], at};
	mutex_lock(&mm->lock);
	mm->resident = *ret;
	mutex_unlock(&mm->lock);
	return 0;
}
