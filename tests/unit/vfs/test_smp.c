/* SPDX-License-Identifier: Apache-2.0 */
/* Names, mounts, pipes and files hammered by several fibers on several workers; for the thread
 * sanitizer, and for the counters of live objects at the end. */
#include "kit.h"
#include "sentry/fs/overlay.h"
#include "sentry/fs/pipe.h"

#define FIBERS 6
#define ROUNDS 20000

static struct world w;
static _Atomic int running;

static uint32_t
rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static void
one(struct call *c, uint32_t *s)
{
	char a[64], b[64];
	struct lx_stat_all st;
	struct open_spec how = {.flags = LX_O_RDWR | LX_O_CREAT, .mode = 0644};
	struct file *f;
	struct path p;

	snprintf(a, sizeof a, "/d%u/f%u", rnd(s) % 4, rnd(s) % 8);
	snprintf(b, sizeof b, "/d%u/f%u", rnd(s) % 4, rnd(s) % 8);
	switch (rnd(s) % 12) {
	case 0:
	case 1:
		if (!vfs_open(c, NULL, a, &how, &f)) {
			wr(f, c, "some text");
			file_put(f);
		}
		break;
	case 2:
		vfs_unlink(c, NULL, a);
		break;
	case 3:
		vfs_rename(c, NULL, a, NULL, b, rnd(s) % 3);
		break;
	case 4:
		vfs_link(c, NULL, a, NULL, b, 0);
		break;
	case 5:
		vfs_mkdir(c, NULL, a, 0755);
		break;
	case 6:
		vfs_rmdir(c, NULL, a);
		break;
	case 7:
		vfs_symlink(c, b, NULL, a);
		break;
	case 8:
		if (!vfs_lookup(c, NULL, a, 0, &p)) {
			char text[128];
			int err;

			vfs_d_path(&p, NULL, text, sizeof text, &err);
			vfs_chmod(c, &p, 0600 + rnd(s) % 64);
			path_put(&p);
		}
		break;
	case 9:
		if (rnd(s) % 8 == 0)
			vfs_mount(c, "none", a, "tmpfs", 0, "size=4k");
		break;
	case 10:
		if (rnd(s) % 4 == 0 && !vfs_lookup(c, NULL, a, 0, &p)) {
			mnt_umount(&p, LX_MNT_DETACH);
			path_put(&p);
		}
		break;
	default:
		stat_of(c, a, LOOKUP_FOLLOW, &st);
	}
}

static void
hammer(void *arg)
{
	uint32_t s = (uint32_t)(uintptr_t)arg * 7919u;
	struct call c = w.root;

	for (int i = 0; i < ROUNDS; i++)
		one(&c, &s);
	if (atomic_fetch_sub(&running, 1) == 1)
		sched_stop();
}

int
main(void)
{
	struct sched_config cfg = {.workers = 2};
	int64_t before[LIVE_COUNT];
	struct super *sb;
	char name[16];
	struct path p;

	EQ(sched_init(&cfg), 0);
	EQ(vfs_init(), 0);
	EQ(tmpfs_init(), 0);
	pipe_init();
	dcache_limit = 64;
	for (int i = 0; i < LIVE_COUNT; i++)
		before[i] = atomic_load(&live_count[i]);
	world_open(&w, NULL);
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "/d%d", i);
		EQ(vfs_mkdir(&w.root, NULL, name, 0755), 0);
	}
	/* two of the directories in an overlay */
	EQ(overlay_new(&w.root, w.sb, NULL, &sb), 0);
	EQ(vfs_lookup(&w.root, NULL, "/d3", 0, &p), 0);
	EQ(mnt_attach_super(&p, sb, 0), 0);
	super_put(sb);
	path_put(&p);
	running = FIBERS;
	for (uintptr_t i = 1; i <= FIBERS; i++)
		EQ(fiber_spawn(hammer, (void *)i, NULL), 0);
	EQ(sched_start(), 0);
	sched_run();
	world_close(&w);
	for (int i = 0; i < LIVE_COUNT; i++)
		if (i != LIVE_FIBER)
			live_check((enum live_kind)i, before[i]);
	printf(failures ? "FAILED: %d\n" : "ok\n", failures);
	return failures != 0;
}
