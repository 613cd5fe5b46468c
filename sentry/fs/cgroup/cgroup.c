/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group that all of the sandbox is in, as the root of its cgroup namespace: cgroups(7), and the
 * kernel's cgroup-v2.rst for the files. The limits are kept by the host's cgroup, that of processes
 * by the sandbox. What only the host's group knows (memory.current and its kind) is not there.
 */
#include "sentry/fs/cgroup.h"
#include "abi/stat.h"
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/init.h"
#include "sentry/vfs/mount.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CGROUP2_MAGIC 0x63677270

static int
show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_puts(b, (const char *)x->row->arg);
	return 0;
}

static int
show_limit(uint64_t limit, struct sbuf *b)
{
	if (limit == 0 || limit == UINT64_MAX)
		sbuf_puts(b, "max\n");
	else
		sbuf_printf(b, "%llu\n", (unsigned long long)limit);
	return 0;
}

static int
show_memory_max(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	return show_limit(kernel_memory_limit(), b);
}

static int
show_pids_max(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	return show_limit(kernel_pids_limit(), b);
}

static int
show_pids_current(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%d\n", kernel_nr_tasks());
	return 0;
}

static int
show_cpu_max(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct kernel_cpu_limit l = kernel_cpu_limit();

	(void)x;
	if (l.quota_us)
		sbuf_printf(b, "%llu %llu\n", (unsigned long long)l.quota_us,
			(unsigned long long)l.period_us);
	else
		sbuf_printf(b, "max %llu\n", (unsigned long long)l.period_us);
	return 0;
}

static int
show_cpu_stat(const struct pseudo_ctx *x, struct sbuf *b)
{
	int64_t guest, sentry;

	(void)x;
	kernel_cpu_ns(&guest, &sentry);
	sbuf_printf(b, "usage_usec %lld\nuser_usec %lld\nsystem_usec %lld\n",
		(long long)((guest + sentry) / 1000), (long long)(guest / 1000),
		(long long)(sentry / 1000));
	return 0;
}

static void
add_process(void *arg, const struct kernel_process_info *p)
{
	sbuf_printf(arg, "%d\n", p->pid);
}

static int
show_procs(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	kernel_each_process(kernel_container_here(), add_process, b);
	return 0;
}

static int
show_frozen(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	/* Who is frozen does not read. */
	sbuf_puts(b, "populated 1\nfrozen 0\n");
	return 0;
}

#define FILE_ROW(n, fn)                                                                            \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = (fn)                               \
	}
#define TEXT(n, t)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_text, .arg = (uintptr_t)(t)   \
	}

static const struct pseudo_row root_rows[] = {
	TEXT("cgroup.controllers", "cpu memory pids\n"),
	FILE_ROW("cgroup.events", show_frozen),
	TEXT("cgroup.max.depth", "0\n"),
	TEXT("cgroup.max.descendants", "0\n"),
	FILE_ROW("cgroup.procs", show_procs),
	TEXT("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"),
	TEXT("cgroup.subtree_control", "\n"),
	TEXT("cgroup.type", "domain\n"),
	FILE_ROW("cpu.max", show_cpu_max),
	FILE_ROW("cpu.stat", show_cpu_stat),
	FILE_ROW("memory.max", show_memory_max),
	FILE_ROW("pids.current", show_pids_current),
	FILE_ROW("pids.max", show_pids_max),
	{.name = NULL},
};
static const struct pseudo_row root_row = {.mode = LX_S_IFDIR | 0555, .rows = root_rows};

static int
check_option(const char *name, const char *val)
{
	/* none of them changes what a group without others has to show */
	static const char *const known[] = {"nsdelegate", "favordynmods", "nofavordynmods",
		"memory_localevents", "memory_recursiveprot", "memory_hugetlb_accounting",
		"pids_localevents"};

	for (size_t i = 0; !val && i < sizeof known / sizeof known[0]; i++)
		if (!strcmp(name, known[i]))
			return 0;
	return -EINVAL;
}

static int
cgroupfs_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	char *text, *list, *name, *val;
	int r = 0;

	if (!cred_capable(c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	text = list = strdup(rq->options ? rq->options : "");
	if (!text)
		return -ENOMEM;
	while (!r && fs_option_next(&list, &name, &val))
		r = check_option(name, val);
	free(text);
	if (r)
		return r;
	return pseudo_super_new(
		type, NULL, &root_row, SUPER_NODEV | SUPER_NOEXEC, CGROUP2_MAGIC, ret);
}

int
cgroupfs_init(void)
{
	static struct fs_type type = {.name = "cgroup2",
		.flags = FS_TYPE_NODEV | FS_TYPE_USERNS_MOUNT,
		.mount = cgroupfs_mount,
		.check = check_option};

	fs_type_register(&type);
	return 0;
}
