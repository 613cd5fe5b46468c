/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/maps and smaps. */
#include "abi/mman.h"
#include "internal.h"
#include "sentry/mm/resident.h"
#include "sentry/vfs/mount.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct area {
	uint64_t start, end, off;
	uint32_t flags;
	uint8_t prot;
	struct file *file; /* a reference, or NULL */
	uint64_t resident; /* bytes */
	char name[96];
};

struct list_of_areas {
	struct area *a;
	size_t n, cap;
	bool failed;
};

/* Copied under the space's lock: making a path may park. */
static bool
take(const struct vma *v, void *arg)
{
	struct list_of_areas *l = arg;
	struct area *a;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct area *p = realloc(l->a, cap * sizeof *p);

		if (!p) {
			l->failed = true;
			return false;
		}
		l->a = p;
		l->cap = cap;
	}
	a = &l->a[l->n++];
	*a = (struct area){.start = v->start,
		.end = v->end,
		.off = v->map ? v->off : 0,
		.flags = v->flags,
		.prot = v->prot};
	if (v->map && v->map->file)
		a->file = file_get(v->map->file);
	if (v->name)
		snprintf(a->name, sizeof a->name, "[anon:%s]", v->name);
	return true;
}

static const char *
special_name(const struct area *a, const struct mm *mm)
{
	if (a->flags & VMA_VDSO)
		return "[vdso]";
	if (a->flags & VMA_VVAR)
		return "[vvar]";
	if (a->flags & VMA_HEAP || (!a->file && a->start <= mm->brk && a->end >= mm->brk_start &&
					   mm->brk > mm->brk_start))
		return "[heap]";
	if (a->start <= mm->start_stack && a->end > mm->start_stack)
		return "[stack]";
	return a->name;
}

static void
put_line(const struct pseudo_ctx *x, struct sbuf *b, const struct area *a, const struct mm *mm,
	const struct path *root)
{
	char path[LX_PATH_MAX], head[128];
	const char *name;
	uint32_t dev = 0;
	uint64_t ino = 0;
	int n, err;

	(void)x;
	if (a->file) {
		name = vfs_d_path_plain(&a->file->path, root, path, sizeof path, &err);
		if (!name)
			name = "";
		dev = a->file->inode->sb->dev;
		ino = a->file->inode->ino;
	} else {
		name = special_name(a, mm);
	}
	n = snprintf(head, sizeof head, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
		(unsigned long long)a->start, (unsigned long long)a->end,
		a->prot & LX_PROT_READ ? 'r' : '-', a->prot & LX_PROT_WRITE ? 'w' : '-',
		a->prot & LX_PROT_EXEC ? 'x' : '-', a->flags & VMA_SHARED ? 's' : 'p',
		(unsigned long long)a->off, dev >> 20, dev & 0xfffff, (unsigned long long)ino);
	if (*name)
		sbuf_printf(b, "%-72s %s\n", head, name);
	else
		sbuf_printf(b, "%.*s\n", n, head);
}

enum form {
	MAPS,
	SMAPS,
	ROLLUP,
	NUMA,
};

/* One memory node, and the host alone knows which pages are there. */
static void
put_numa_line(struct sbuf *b, const struct area *a, const struct mm *mm, const struct path *root)
{
	char path[LX_PATH_MAX];
	const char *name;
	int err;

	sbuf_printf(b, "%08llx default", (unsigned long long)a->start);
	if (a->file) {
		name = vfs_d_path_plain(&a->file->path, root, path, sizeof path, &err);
		sbuf_printf(b, " file=%s", name ? name : "");
	} else {
		name = special_name(a, mm);
		if (strcmp(name, "[heap]") == 0)
			sbuf_puts(b, " heap");
		else if (strcmp(name, "[stack]") == 0)
			sbuf_puts(b, " stack");
	}
	sbuf_puts(b, "\n");
}

/* The size of each area where the host does not tell. */
static void
find_resident(struct task *t, struct list_of_areas *l)
{
	struct resident_area *r = calloc(l->n + 1, sizeof *r);
	uint64_t *pages = calloc(l->n + 1, sizeof *pages);
	bool told = false;
	pid_t pid = proc_host_pid(t);

	for (size_t i = 0; r && i < l->n; i++)
		r[i] = (struct resident_area){
			l->a[i].start, (l->a[i].end - l->a[i].start) >> LX_PAGE_SHIFT, 0};
	if (r && pages && pid > 0)
		told = resident_of_areas(pid, r, l->n, pages) == 0;
	for (size_t i = 0; i < l->n; i++)
		l->a[i].resident = told ? pages[i] << LX_PAGE_SHIFT : l->a[i].end - l->a[i].start;
	free(pages);
	free(r);
}

static int
show(const struct pseudo_ctx *x, struct sbuf *b, enum form form)
{
	struct list_of_areas l = {0};
	struct mm *mm = proc_bound_mm(x);
	struct path root = {0};
	uint64_t total = 0;
	int err = proc_may_look(x, 0);

	if (err || !mm) {
		mm_put(mm);
		return err || form != ROLLUP ? err : -ESRCH;
	}
	mm_for_each(mm, 0, take, &l);
	if (x->c->fs)
		fs_ctx_root(x->c->fs, &root);
	if (form == SMAPS || form == ROLLUP)
		find_resident(proc_task(x), &l);
	for (size_t i = 0; i < l.n; i++) {
		struct area *a = &l.a[i];
		unsigned long long kb = (a->end - a->start) >> 10, rss = a->resident >> 10;

		total += rss;
		if (form == NUMA)
			put_numa_line(b, a, mm, root.dentry ? &root : NULL);
		else if (form != ROLLUP)
			put_line(x, b, a, mm, root.dentry ? &root : NULL);
		if (form == SMAPS)
			sbuf_printf(b,
				"Size:           %8llu kB\nKernelPageSize:        4 "
				"kB\nMMUPageSize:           4 kB\n"
				"Rss:            %8llu kB\nPss:            %8llu kB\nVmFlags: rd\n",
				kb, rss, rss);
		if (a->file)
			file_put(a->file);
	}
	if (form == ROLLUP)
		sbuf_printf(b,
			"%08llx-%08llx ---p 00000000 00:00 0%*s[rollup]\nRss:            %8llu kB\n"
			"Pss:            %8llu kB\n",
			(unsigned long long)(l.n ? l.a[0].start : 0),
			(unsigned long long)(l.n ? l.a[l.n - 1].end : 0), 26, "",
			(unsigned long long)total, (unsigned long long)total);
	if (root.dentry)
		path_put(&root);
	free(l.a);
	mm_put(mm);
	return l.failed ? -ENOMEM : 0;
}

int
proc_show_maps(const struct pseudo_ctx *x, struct sbuf *b)
{
	return show(x, b, MAPS);
}

int
proc_show_smaps(const struct pseudo_ctx *x, struct sbuf *b)
{
	return show(x, b, x->row->arg ? ROLLUP : SMAPS);
}

int
proc_show_numa_maps(const struct pseudo_ctx *x, struct sbuf *b)
{
	return show(x, b, NUMA);
}
