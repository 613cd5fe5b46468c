/* SPDX-License-Identifier: Apache-2.0 */
/* The top of /proc: processes by number, and files about the whole machine. */
#include "abi/dirent.h"
#include "abi/stat.h"
#include "internal.h"
#include "platform/host/info.h"
#include "sentry/fs/proc.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include "sentry/sched/sched.h"
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROC_MAGIC 0x9fa0 /* PROC_SUPER_MAGIC */

static void
task_obj_get(void *o)
{
	task_get(o);
}

static void
task_obj_put(void *o)
{
	task_put(o);
}

static bool
task_obj_gone(void *o)
{
	struct task *t = o;
	bool there;

	mutex_lock(&tasklist_lock);
	there = t->pid->task == t;
	mutex_unlock(&tasklist_lock);
	return !there;
}

const struct pseudo_obj_ops proc_task_ops = {task_obj_get, task_obj_put, task_obj_gone};

bool
proc_still(const struct pseudo_ctx *child)
{
	return !task_obj_gone(child->obj);
}

/* --- processes --- */

static int
parse_pid(const char *s, int32_t *ret)
{
	uint32_t v = 0;

	if (*s < '1' || *s > '9')
		return -ENOENT;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > 1000000)
			return -ENOENT;
		v = v * 10 + (uint32_t)(*s - '0');
	}
	*ret = (int32_t)v;
	return 0;
}

static const struct pseudo_row pid_dir_row = {.mode = LX_S_IFDIR | 0555,
	.part = PSEUDO_PROCESS,
	.rows = proc_pid_rows,
	.check = proc_may_enter,
	.attr = proc_owner};

struct tgroup *
proc_tgroup_of(struct file *f)
{
	struct pseudo_ctx x;

	if (f->inode->sb->magic != PROC_MAGIC || f->mode & LX_FMODE_PATH)
		return NULL;
	pseudo_ctx_of(f->inode, NULL, &x);
	return x.row == &pid_dir_row ? tgroup_get(proc_task(&x)->tgroup) : NULL;
}

static int
pid_lookup(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	struct task *t = NULL;
	struct pid *p;
	int32_t nr;

	if (parse_pid(name, &nr))
		return -ENOENT;
	mutex_lock(&tasklist_lock);
	p = pid_find_in_locked(proc_pid_ns(x), nr);
	if (p && p->tgroup && p->tgroup->leader)
		t = task_get(p->tgroup->leader);
	else if (p && (t = p->task) && t->tgroup->leader) /* threads are found, but not listed */
		t = task_get(t->tgroup->leader);
	else
		t = NULL;
	mutex_unlock(&tasklist_lock);
	if (!t)
		return -ENOENT;
	if (!proc_sees(x->inode->sb, x->c, t)) {
		task_put(t);
		return -ENOENT;
	}
	*ret = (struct pseudo_child){
		.row = &pid_dir_row, .obj = t, .obj_ops = &proc_task_ops, .key = (uint64_t)nr};
	return 0;
}

/* Is it there for x's caller? tasklist_lock is not held. */
static bool
listed(const struct pseudo_ctx *x, struct task *leader)
{
	bool r = !leader || proc_sees(x->inode->sb, x->c, leader);

	if (leader)
		task_put(leader);
	return r;
}

static bool
pid_next(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	struct task *leader;
	int32_t found, from = *pos ? (int32_t)*pos : 1;

	do {
		found = 0;
		leader = NULL;
		mutex_lock(&tasklist_lock);
		for (int32_t nr = from; nr < 32768 && !found; nr++) {
			struct pid *p = pid_find_in_locked(proc_pid_ns(x), nr);

			if (!p || !p->tgroup)
				continue;
			found = nr;
			if (p->tgroup->leader)
				leader = task_get(p->tgroup->leader);
		}
		mutex_unlock(&tasklist_lock);
		from = found + 1;
	} while (!listed(x, leader));
	if (!found)
		return false;
	*pos = found;
	snprintf(name, cap, "%d", found);
	*type = LX_DT_DIR;
	return true;
}

static bool
pid_still(const struct pseudo_ctx *child)
{
	return proc_still(child) && proc_sees(child->inode->sb, child->c, proc_task(child));
}

static const struct pseudo_dir pid_dir = {
	.lookup = pid_lookup, .next = pid_next, .still = pid_still};

static ssize_t
self_text(const struct pseudo_ctx *x, char *buf, size_t cap)
{
	struct task *t = task_current();
	int32_t tgid = t ? proc_nr(x, t->tgroup->pid[PID_TGID]) : 0;

	if (!tgid)
		return -ENOENT;
	return x->row->arg ? snprintf(buf, cap, "%d/task/%d", tgid, proc_nr(x, t->pid))
			   : snprintf(buf, cap, "%d", tgid);
}

/* --- the machine --- */

static int
show_version(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "Linux version %s (moat@moat) (gcc, GNU ld) %s\n", uts_release, uts_version);
	return 0;
}

#define TICK_NS 10000000

struct machine_time {
	int64_t up, user, system, idle; /* ticks; all but up over all CPUs */
};

/* What the guest's code took is user time, what the sentry took for it system time. The host tells
 * neither by CPU. */
static void
machine_time(struct machine_time *m)
{
	int64_t guest, sentry;

	kernel_cpu_ns(&guest, &sentry);
	m->up = (sched_now_ns() - kernel_boot_ns()) / TICK_NS;
	m->user = guest / TICK_NS;
	m->system = sentry / TICK_NS;
	m->idle = m->up * sched_ncpu() - m->user - m->system;
	if (m->idle < 0)
		m->idle = 0;
}

static int
show_uptime(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct machine_time m;

	(void)x;
	machine_time(&m);
	m.up += time_ns_offset(task_current(), LX_CLOCK_BOOTTIME) / TICK_NS;
	sbuf_printf(b, "%lld.%02lld %lld.%02lld\n", (long long)m.up / 100, (long long)m.up % 100,
		(long long)m.idle / 100, (long long)m.idle % 100);
	return 0;
}

static int
show_loadavg(const struct pseudo_ctx *x, struct sbuf *b)
{
	uint64_t l[3];

	(void)x;
	kernel_loadavg(l, 16);
	for (int i = 0; i < 3; i++)
		sbuf_printf(b, "%llu.%02llu ", (unsigned long long)l[i] >> 16,
			(unsigned long long)(l[i] & 0xffff) * 100 >> 16);
	sbuf_printf(b, "%d/%d %d\n", kernel_nr_running(), kernel_nr_tasks(), kernel_last_pid());
	return 0;
}

static int
show_meminfo(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const char *const zero[] = {"SwapCached", "Active", "Inactive", "Active(anon)",
		"Inactive(anon)", "Active(file)", "Inactive(file)", "Unevictable", "Mlocked",
		"SwapTotal", "SwapFree", "Dirty", "Writeback", "AnonPages", "Mapped", "Shmem",
		"KReclaimable", "Slab", "SReclaimable", "SUnreclaim", "KernelStack", "PageTables",
		"NFS_Unstable", "Bounce", "WritebackTmp"};
	struct kernel_meminfo m;

	(void)x;
	kernel_meminfo(&m);
	sbuf_printf(b, "MemTotal:       %8llu kB\n", (unsigned long long)m.total_bytes >> 10);
	sbuf_printf(b, "MemFree:        %8llu kB\n", (unsigned long long)m.free_bytes >> 10);
	sbuf_printf(b, "MemAvailable:   %8llu kB\n", (unsigned long long)m.free_bytes >> 10);
	sbuf_printf(b, "Buffers:        %8d kB\nCached:         %8d kB\n", 0, 0);
	for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
		sbuf_printf(b, "%s:%*s%8d kB\n", zero[i], (int)(15 - strlen(zero[i])), "", 0);
	sbuf_printf(b, "CommitLimit:    %8llu kB\nCommitted_AS:   %8d kB\n",
		(unsigned long long)m.total_bytes >> 10, 0);
	sbuf_printf(b,
		"VmallocTotal:   34359738367 kB\nVmallocUsed:    %8d kB\nVmallocChunk:   %8d kB\n",
		0, 0);
	sbuf_printf(b,
		"HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
		"HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 "
		"kB\n");
	return 0;
}

static int
show_stat(const struct pseudo_ctx *x, struct sbuf *b)
{
	int n = sched_ncpu();
	struct machine_time m;
	int64_t real;

	(void)x;
	(void)clock_now(NULL, LX_CLOCK_REALTIME, &real);
	machine_time(&m);
	sbuf_printf(b, "cpu  %lld 0 %lld %lld 0 0 0 0 0 0\n", (long long)m.user,
		(long long)m.system, (long long)m.idle);
	for (int i = 0; i < n; i++)
		sbuf_printf(b, "cpu%d %lld 0 %lld %lld 0 0 0 0 0 0\n", i, (long long)m.user / n,
			(long long)m.system / n, (long long)m.idle / n);
	sbuf_printf(b,
		"intr 0\nctxt 0\nbtime %lld\nprocesses %d\nprocs_running %d\nprocs_blocked 0\n"
		"softirq 0 0 0 0 0 0 0 0 0 0 0\n",
		(long long)(real - time_ns_offset(task_current(), LX_CLOCK_BOOTTIME)) / 1000000000 -
			m.up / 100,
		kernel_last_pid(), kernel_nr_running());
	return 0;
}

static void
cpu_string(uint32_t leaf, uint32_t n, char *s)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t r[4] = {0};

		__cpuid(leaf + i, r[0], r[1], r[2], r[3]);
		memcpy(s + 16 * i, r, 16);
	}
}

/* Names of the CPU's features as the kernel has them, for those that programs look for. */
static void
cpu_flags(struct sbuf *b)
{
	static const char *const d1[32] = {"fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce",
		"cx8", "apic", NULL, "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn",
		"clflush", NULL, "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm",
		"ia64", "pbe"};
	static const char *const c1[32] = {"pni", "pclmulqdq", "dtes64", "monitor", NULL, NULL,
		NULL, NULL, NULL, "ssse3", NULL, NULL, "fma", "cx16", NULL, NULL, NULL, NULL, NULL,
		"sse4_1", "sse4_2", "x2apic", "movbe", "popcnt", NULL, "aes", "xsave", NULL, "avx",
		"f16c", "rdrand", "hypervisor"};
	static const char *const b7[32] = {"fsgsbase", NULL, NULL, "bmi1", NULL, "avx2", NULL,
		"smep", "bmi2", "erms", "invpcid", NULL, NULL, NULL, NULL, NULL, "avx512f",
		"avx512dq", "rdseed", "adx", "smap", "avx512ifma", NULL, "clflushopt", "clwb", NULL,
		NULL, NULL, "avx512cd", "sha_ni", "avx512bw", "avx512vl"};
	static const char *const d81[32] = {[11] = "syscall",
		[20] = "nx",
		[22] = "mmxext",
		[25] = "fxsr_opt",
		[26] = "pdpe1gb",
		[27] = "rdtscp",
		[29] = "lm"};
	static const char *const c81[32] = {
		[0] = "lahf_lm", [5] = "abm", [6] = "sse4a", [8] = "3dnowprefetch"};
	struct {
		const char *const *names;
		uint32_t bits;
	} sets[5];
	uint32_t eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	sets[0].names = d1;
	sets[0].bits = edx;
	sets[3].names = c1;
	sets[3].bits = ecx;
	__cpuid_count(7, 0, eax, ebx, ecx, edx);
	sets[4].names = b7;
	sets[4].bits = ebx;
	__cpuid(0x80000001, eax, ebx, ecx, edx);
	sets[1].names = d81;
	sets[1].bits = edx;
	sets[2].names = c81;
	sets[2].bits = ecx;
	for (int s = 0; s < 5; s++)
		for (int i = 0; i < 32; i++)
			if ((sets[s].bits >> i & 1) && sets[s].names[i])
				sbuf_printf(b, " %s", sets[s].names[i]);
}

static int
show_cpuinfo(const struct pseudo_ctx *x, struct sbuf *b)
{
	char vendor[13] = {0}, brand[49] = {0};
	uint32_t eax, ebx, ecx, edx, family, model;
	const char *name = brand;
	uint8_t online[128];

	(void)x;
	__cpuid(0, eax, ebx, ecx, edx);
	memcpy(vendor, &ebx, 4);
	memcpy(vendor + 4, &edx, 4);
	memcpy(vendor + 8, &ecx, 4);
	__cpuid(0x80000000, eax, ebx, ecx, edx);
	if (eax >= 0x80000004)
		cpu_string(0x80000002, 3, brand);
	while (*name == ' ')
		name++;
	__cpuid(1, eax, ebx, ecx, edx);
	family = eax >> 8 & 15;
	model = (eax >> 4 & 15) | (eax >> 12 & 0xf0);
	if (family == 15)
		family += eax >> 20 & 255;
	sched_online_cpus(online, sizeof online);
	for (int i = 0, n = 0; i < (int)sizeof online * 8; i++) {
		if (!(online[i / 8] & (1 << (i % 8))))
			continue;
		sbuf_printf(b,
			"processor\t: %d\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel "
			"name\t: %s\n"
			"stepping\t: %u\ncpu MHz\t\t: 2000.000\ncache size\t: 512 KB\nphysical "
			"id\t: 0\nsiblings\t: %d\n"
			"core id\t\t: %d\ncpu cores\t: %d\napicid\t\t: %d\ninitial apicid\t: "
			"%d\nfpu\t\t: yes\n"
			"fpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t:",
			i, vendor, family, model, name, eax & 15, sched_ncpu(), n, sched_ncpu(), i,
			i);
		cpu_flags(b);
		sbuf_printf(b, "\nbugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: "
			       "64\ncache_alignment\t: 64\n"
			       "address sizes\t: 48 bits physical, 48 bits virtual\npower "
			       "management:\n\n");
		n++;
	}
	return 0;
}

static void
add_fs(const struct fs_type *t, void *arg)
{
	if (!(t->flags & FS_TYPE_INTERNAL))
		sbuf_printf(arg, "%s\t%s\n", t->flags & FS_TYPE_NODEV ? "nodev" : "", t->name);
}

static int
show_filesystems(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	fs_type_each(add_fs, b);
	return 0;
}

/* Files whose text does not depend on anything: what the machine does not have. */
static int
show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_puts(b, (const char *)x->row->arg);
	return 0;
}

#define TEXT(n, t)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_text, .arg = (uintptr_t)(t)   \
	}

static const struct pseudo_row empty_rows[] = {{.name = NULL}};
static const struct pseudo_row tty_rows[] = {
	TEXT("drivers", "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
			"/dev/console         /dev/console    5       1 system:console\n"
			"/dev/ptmx            /dev/ptmx       5       2 system\n"
			"pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
			"pty_master           /dev/ptm      128 0-1048575 pty:master\n"),
	TEXT("ldiscs", "n_tty       0\n"),
	{.name = "driver", .mode = LX_S_IFDIR | 0555, .rows = empty_rows},
	{.name = "ldisc", .mode = LX_S_IFDIR | 0555, .rows = empty_rows},
	{.name = NULL},
};

static const struct pseudo_row root_rows[] = {
	{.name = "self", .mode = LX_S_IFLNK | 0777, .readlink = self_text},
	{.name = "thread-self", .mode = LX_S_IFLNK | 0777, .readlink = self_text, .arg = 1},
	{.name = "mounts", .mode = LX_S_IFLNK | 0777, .target = "self/mounts"},
	{.name = "net", .mode = LX_S_IFLNK | 0777, .target = "self/net"},
	{.name = "version", .mode = LX_S_IFREG | 0444, .show = show_version},
	{.name = "uptime", .mode = LX_S_IFREG | 0444, .show = show_uptime},
	{.name = "loadavg", .mode = LX_S_IFREG | 0444, .show = show_loadavg},
	{.name = "meminfo", .mode = LX_S_IFREG | 0444, .show = show_meminfo},
	{.name = "stat", .mode = LX_S_IFREG | 0444, .show = show_stat},
	{.name = "cpuinfo", .mode = LX_S_IFREG | 0444, .show = show_cpuinfo},
	{.name = "filesystems", .mode = LX_S_IFREG | 0444, .show = show_filesystems},
	{.name = "sys", .mode = LX_S_IFDIR | 0555, .part = PSEUDO_SYSCTL, .rows = proc_sys_rows},
	{.name = "locks", .mode = LX_S_IFREG | 0444, .show = proc_show_locks},
	{.name = "keys", .mode = LX_S_IFREG | 0444, .show = proc_show_keys},
	{.name = "key-users", .mode = LX_S_IFREG | 0444, .show = proc_show_keys, .arg = 1},
	{.name = "config.gz", .mode = LX_S_IFREG | 0444, .show = proc_show_config},
	{.name = "sysvipc", .mode = LX_S_IFDIR | 0555, .rows = proc_sysvipc_rows},
	{.name = "tty", .mode = LX_S_IFDIR | 0555, .rows = tty_rows},
	{.name = "bus", .mode = LX_S_IFDIR | 0555, .rows = empty_rows},
	{.name = "driver", .mode = LX_S_IFDIR | 0555, .rows = empty_rows},
	{.name = "fs", .mode = LX_S_IFDIR | 0555, .rows = empty_rows},
	TEXT("consoles", ""),
	TEXT("execdomains", "0-0\tLinux           \t[kernel]\n"),
	TEXT("cmdline", "moat\n"),
	TEXT("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
	TEXT("devices", "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 "
			"/dev/ptmx\n136 pts\n\nBlock devices:\n"),
	TEXT("misc", ""),
	TEXT("modules", ""),
	TEXT("partitions", "major minor  #blocks  name\n\n"),
	TEXT("diskstats", ""),
	TEXT("crypto", ""),
	TEXT("interrupts", ""),
	TEXT("softirqs", ""),
	TEXT("vmstat", "nr_free_pages 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault "
		       "0\npgmajfault 0\noom_kill 0\n"),
	TEXT("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
	{.name = NULL},
};

static const struct pseudo_row root_row = {
	.mode = LX_S_IFDIR | 0555, .rows = root_rows, .dir = &pid_dir};

static const struct pseudo_row pids_rows[] = {
	{.name = "self", .mode = LX_S_IFLNK | 0777, .readlink = self_text},
	{.name = "thread-self", .mode = LX_S_IFLNK | 0777, .readlink = self_text, .arg = 1},
	{.name = NULL},
};

static const struct pseudo_row pids_row = {
	.mode = LX_S_IFDIR | 0555, .rows = pids_rows, .dir = &pid_dir};

static int
proc_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	bool pids_only;
	void *options;
	int r = proc_options_new(c, rq->options, &options, &pids_only);

	if (r)
		return r;
	r = pseudo_super_new(type, &proc_sops, pids_only ? &pids_row : &root_row,
		SUPER_SHARED | SUPER_NO_CACHE | SUPER_NODEV | SUPER_NOEXEC, PROC_MAGIC, ret);
	if (r)
		proc_options_free(options);
	else
		(*ret)->priv = options;
	return r;
}

int
proc_init(void)
{
	static struct fs_type type = {.name = "proc",
		.check = proc_check_option,
		.flags = FS_TYPE_NODEV | FS_TYPE_USERNS_MOUNT | FS_TYPE_OWN_NS,
		.mount = proc_mount};

	fs_type_register(&type);
	return 0;
}
