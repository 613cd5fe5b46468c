/* SPDX-License-Identifier: Apache-2.0 */
/* /sys: CPU topology, one memory node, and the directories that software expects. */
#include "abi/dirent.h"
#include "abi/stat.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/fs/proc.h"
#include "sentry/kernel/info.h"
#include "sentry/net/link.h"
#include "sentry/sched/sched.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%s\n", (const char *)x->row->arg);
	return 0;
}

#define TEXT(n, t)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_text, .arg = (uintptr_t)(t)   \
	}
#define DIR(n, r)                                                                                  \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFDIR | 0755, .rows = (r)                                \
	}
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

static bool
online(int cpu)
{
	uint8_t mask[128];

	sched_online_cpus(mask, sizeof mask);
	return cpu >= 0 && cpu < (int)sizeof mask * 8 && (mask[cpu / 8] >> (cpu % 8) & 1);
}

static int
show_cpus(const struct pseudo_ctx *x, struct sbuf *b)
{
	const char *sep = "";

	(void)x;
	for (int i = 0; i < 1024; i++) {
		int from = i;

		if (!online(i))
			continue;
		while (online(i + 1))
			i++;
		if (from == i)
			sbuf_printf(b, "%s%d", sep, i);
		else
			sbuf_printf(b, "%s%d-%d", sep, from, i);
		sep = ",";
	}
	sbuf_puts(b, "\n");
	return 0;
}

static int
show_cpu_mask(const struct pseudo_ctx *x, struct sbuf *b)
{
	uint8_t m[128];

	(void)x;
	sched_online_cpus(m, sizeof m);
	sbuf_printf(b, "%08x\n", (unsigned)(m[0] | m[1] << 8 | m[2] << 16 | (unsigned)m[3] << 24));
	return 0;
}

static int
show_one_mask(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%08x\n", x->key < 32 ? 1u << x->key : 0);
	return 0;
}

static int
show_key(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%llu\n", (unsigned long long)x->key);
	return 0;
}

static const struct pseudo_row topology_rows[] = {
	TEXT("physical_package_id", "0"),
	{.name = "core_id", .mode = LX_S_IFREG | 0444, .show = show_key},
	TEXT("die_id", "0"),
	{.name = "thread_siblings", .mode = LX_S_IFREG | 0444, .show = show_one_mask},
	{.name = "core_cpus", .mode = LX_S_IFREG | 0444, .show = show_one_mask},
	{.name = "thread_siblings_list", .mode = LX_S_IFREG | 0444, .show = show_key},
	{.name = "core_cpus_list", .mode = LX_S_IFREG | 0444, .show = show_key},
	{.name = "core_siblings", .mode = LX_S_IFREG | 0444, .show = show_cpu_mask},
	{.name = "core_siblings_list", .mode = LX_S_IFREG | 0444, .show = show_cpus},
	{.name = "package_cpus", .mode = LX_S_IFREG | 0444, .show = show_cpu_mask},
	{.name = "package_cpus_list", .mode = LX_S_IFREG | 0444, .show = show_cpus},
	END,
};

static const struct pseudo_row cpu_rows[] = {
	DIR("topology", topology_rows), TEXT("online", "1"), END};
static const struct pseudo_row cpu_row = {.mode = LX_S_IFDIR | 0755, .rows = cpu_rows};

static int
cpu_lookup(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	char *end;
	long n;

	(void)x;
	if (strncmp(name, "cpu", 3) != 0 || name[3] < '0' || name[3] > '9')
		return -ENOENT;
	n = strtol(name + 3, &end, 10);
	if (*end || n > 1023 || !online((int)n))
		return -ENOENT;
	*ret = (struct pseudo_child){.row = &cpu_row, .key = (uint64_t)n};
	return 0;
}

static bool
cpu_next(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	(void)x;
	for (int64_t i = *pos; i < 1024; i++) {
		if (!online((int)i))
			continue;
		*pos = i;
		snprintf(name, cap, "cpu%d", (int)i);
		*type = LX_DT_DIR;
		return true;
	}
	return false;
}

static const struct pseudo_dir cpu_dir = {.lookup = cpu_lookup, .next = cpu_next};

static const struct pseudo_row cpus_rows[] = {
	{.name = "online", .mode = LX_S_IFREG | 0444, .show = show_cpus},
	{.name = "possible", .mode = LX_S_IFREG | 0444, .show = show_cpus},
	{.name = "present", .mode = LX_S_IFREG | 0444, .show = show_cpus},
	TEXT("offline", ""),
	TEXT("kernel_max", "8191"),
	END,
};

static int
show_node_meminfo(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct kernel_meminfo m;

	(void)x;
	kernel_meminfo(&m);
	sbuf_printf(b, "Node 0 MemTotal:       %8llu kB\nNode 0 MemFree:        %8llu kB\n",
		(unsigned long long)m.total_bytes >> 10, (unsigned long long)m.free_bytes >> 10);
	return 0;
}

static const struct pseudo_row node0_rows[] = {
	{.name = "cpulist", .mode = LX_S_IFREG | 0444, .show = show_cpus},
	{.name = "cpumap", .mode = LX_S_IFREG | 0444, .show = show_cpu_mask},
	{.name = "meminfo", .mode = LX_S_IFREG | 0444, .show = show_node_meminfo},
	TEXT("distance", "10"),
	END,
};
static const struct pseudo_row node_rows[] = {
	DIR("node0", node0_rows),
	TEXT("online", "0"),
	TEXT("possible", "0"),
	TEXT("has_memory", "0"),
	TEXT("has_cpu", "0"),
	END,
};
static const struct pseudo_row system_rows[] = {
	{.name = "cpu", .mode = LX_S_IFDIR | 0755, .rows = cpus_rows, .dir = &cpu_dir},
	DIR("node", node_rows), END};
static const struct pseudo_row virtual_rows[] = {
	{.name = "net", .mode = LX_S_IFDIR | 0755, .dir = &sys_net_dir}, END};
static const struct pseudo_row devices_rows[] = {
	DIR("system", system_rows), DIR("virtual", virtual_rows), END};
static const struct pseudo_row empty_rows[] = {END};
static const struct pseudo_row class_rows[] = {
	{.name = "net", .mode = LX_S_IFDIR | 0755, .dir = &sys_net_dir, .arg = 1},
	DIR("block", empty_rows), DIR("tty", empty_rows), END};
static const struct pseudo_row dev_rows[] = {
	DIR("block", empty_rows), DIR("char", empty_rows), END};
static const struct pseudo_row thp_rows[] = {TEXT("enabled", "always [madvise] never"),
	TEXT("defrag", "always defer defer+madvise [madvise] never"),
	TEXT("hpage_pmd_size", "2097152"),
	TEXT("shmem_enabled", "always within_size advise [never] deny force"), END};
static const struct pseudo_row kmm_rows[] = {DIR("transparent_hugepage", thp_rows), END};
static const struct pseudo_row kernel_rows[] = {
	DIR("mm", kmm_rows), DIR("debug", empty_rows), DIR("security", empty_rows), END};
static const struct pseudo_row fs_rows[] = {DIR("cgroup", empty_rows), END};
static const struct pseudo_row root_rows[] = {
	DIR("devices", devices_rows),
	DIR("class", class_rows),
	DIR("dev", dev_rows),
	DIR("kernel", kernel_rows),
	DIR("fs", fs_rows),
	DIR("block", empty_rows),
	DIR("bus", empty_rows),
	DIR("firmware", empty_rows),
	DIR("module", empty_rows),
	DIR("power", empty_rows),
	END,
};
static const struct pseudo_row root_row = {.mode = LX_S_IFDIR | 0555, .rows = root_rows};

static void
sysfs_release(struct super *sb)
{
	net_ns_put(sb->priv);
}

static int
sysfs_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	static const struct super_ops ops = {.release = sysfs_release};
	struct net_ns *net = c->net ? c->net : net_ns_first();
	int r;

	(void)rq;
	if (!cred_capable_in(c->cred, net_ns_owner(net), LX_CAP_SYS_ADMIN))
		return -EPERM;
	r = pseudo_super_new(type, &ops, &root_row, SUPER_NODEV | SUPER_NOEXEC, 0x62656572, ret);
	if (r == 0)
		(*ret)->priv = net_ns_get(net);
	return r;
}

int
sysfs_init(void)
{
	static struct fs_type type = {.name = "sysfs",
		.flags = FS_TYPE_NODEV | FS_TYPE_USERNS_MOUNT | FS_TYPE_OWN_NS,
		.mount = sysfs_mount};

	fs_type_register(&type);
	return 0;
}
