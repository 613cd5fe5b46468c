/* SPDX-License-Identifier: Apache-2.0 */
/* A caller, a namespace and a way to say what was expected, for tests of files. */
#ifndef TESTS_UNIT_VFS_KIT_H
#define TESTS_UNIT_VFS_KIT_H

#include "base/log.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/sched.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failures;

#define EQ(got, want)                                                                              \
	do {                                                                                       \
		long long g_ = (long long)(got), w_ = (long long)(want);                           \
		if (g_ != w_) {                                                                    \
			printf("%s:%d: %s = %lld, expected %lld\n", __FILE__, __LINE__, #got, g_,  \
				w_);                                                               \
			failures++;                                                                \
		}                                                                                  \
	} while (0)
#define STREQ(got, want)                                                                           \
	do {                                                                                       \
		const char *g_ = (got), *w_ = (want);                                              \
		if (!g_ || strcmp(g_, w_)) {                                                       \
			printf("%s:%d: %s = \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #got,  \
				g_ ? g_ : "(null)", w_);                                           \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

struct world {
	struct super *sb;
	struct mnt_ns *ns;
	struct rlimits rlim;
	struct call root, user; /* the same place, uid 0 and uid 1000 */
};

static inline void
world_open(struct world *w, const char *options)
{
	struct cred *u;

	memset(w, 0, sizeof *w);
	for (int i = 0; i < LX_RLIM_NLIMITS; i++)
		w->rlim.r[i].cur = w->rlim.r[i].max = LX_RLIM_INFINITY;
	w->root.cred = cred_new_root();
	EQ(tmpfs_new(&w->root, options, &w->sb), 0);
	EQ(mnt_ns_new(w->sb, MNT_RELATIME, &w->ns), 0);
	w->root.rlim = &w->rlim;
	w->root.fs = fs_ctx_new(w->ns);
	w->root.tgid = w->root.tid = 1;
	w->root.files_id = 1;
	u = cred_new_root();
	u->uid = u->euid = u->suid = u->fsuid = u->gid = u->egid = u->sgid = u->fsgid = 1000;
	u->cap_effective = u->cap_permitted = 0;
	w->user = w->root;
	w->user.cred = u;
	w->user.files_id = 2;
	w->user.tgid = 2;
}

static inline void
world_close(struct world *w)
{
	fs_ctx_put(w->root.fs);
	mnt_ns_put(w->ns);
	super_put(w->sb);
	cred_put(w->root.cred);
	cred_put(w->user.cred);
}

static inline struct file *
xopen(const struct call *c, const char *path, uint32_t flags, uint32_t mode)
{
	struct open_spec how = {.flags = flags, .mode = mode};
	struct file *f = NULL;
	int r = vfs_open(c, NULL, path, &how, &f);

	if (r) {
		printf("open %s: %d\n", path, r);
		failures++;
	}
	return f;
}

static inline int
open_err(const struct call *c, const char *path, uint32_t flags, uint32_t mode)
{
	struct open_spec how = {.flags = flags, .mode = mode};
	struct file *f = NULL;
	int r = vfs_open(c, NULL, path, &how, &f);

	file_put(f);
	return r;
}

static inline int
stat_of(const struct call *c, const char *path, uint32_t lf, struct lx_stat_all *st)
{
	struct path p;
	int r = vfs_lookup(c, NULL, path, lf, &p);

	if (r)
		return r;
	r = vfs_getattr(c, &p, 0, st);
	path_put(&p);
	return r;
}

static inline ssize_t
wr(struct file *f, const struct call *c, const char *s)
{
	return vfs_write_kernel(f, c, s, strlen(s), &f->pos);
}

static inline void
touch(const struct call *c, const char *path)
{
	file_put(xopen(c, path, LX_O_CREAT | LX_O_WRONLY, 0644));
}

static inline int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static inline void
live_check(enum live_kind k, int64_t want)
{
	if (atomic_load(&live_count[k]) != want) {
		printf("live %s: %lld, expected %lld\n", live_name[k],
			(long long)atomic_load(&live_count[k]), (long long)want);
		failures++;
	}
}

#endif
