/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/sys: names of the machine, and the values that a kernel as ours is limited by. */
#include "sysctl.h"
#include "abi/stat.h"
#include "internal.h"
#include "platform/host/info.h"
#include "sentry/fs/devpts.h"
#include "sentry/fs/proc.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/mqueue.h"
#include "sentry/kernel/fanotify.h"
#include "sentry/net/link.h"
#include "sentry/vfs/lock.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows that show what the host has set, instead of what they would. Before there are tasks, then
 * read only. */
static struct shown {
	const struct pseudo_row *row;
	char *value;
} * shown;
static size_t nshown;

const char *
proc_sysctl_shown(const struct pseudo_row *row)
{
	const char *text = NULL;

	for (size_t i = 0; i < nshown; i++)
		if (shown[i].row == row)
			text = shown[i].value;
	return text;
}

int
proc_sysctl_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	const char *text = proc_sysctl_shown(x->row);

	sbuf_printf(b, "%s\n", text ? text : (const char *)x->row->arg);
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* proc_get_long() of Linux. */
static const char *
take_number(const char *p, const char *end, int64_t *ret)
{
	char text[22], *stop;
	size_t n = 0;

	for (; p < end && !is_blank(*p) && n < sizeof text - 1; p++)
		text[n++] = *p;
	text[n] = 0;
	if (!isdigit((unsigned char)text[text[0] == '-']))
		return NULL;
	errno = 0;
	*ret = strtoll(text, &stop, 0); /* out of range: as large as it gets */
	return *stop || (p < end && !is_blank(*p)) || strlen(text) != n ? NULL : p;
}

int
proc_sysctl_numbers(const char *buf, size_t len, int64_t *v, unsigned max, size_t *ret_used)
{
	const char *p = buf, *end = buf + len;
	unsigned n = 0;

	for (;;) {
		while (p < end && isspace((unsigned char)*p))
			p++;
		*ret_used = (size_t)(p - buf);
		if (p == end || n == max)
			return (int)n;
		p = take_number(p, end, &v[n++]);
		if (!p)
			return -EINVAL;
	}
}

static int
show_uts(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = task_current();

	if (!t)
		return -ESRCH;
	mutex_lock(&t->uts->lock);
	sbuf_printf(b, "%s\n", x->row->arg ? t->uts->domainname : t->uts->nodename);
	mutex_unlock(&t->uts->lock);
	return 0;
}

static ssize_t
write_uts(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct task *t = task_current();
	size_t n = strcspn(buf, "\n");
	char *field;

	(void)pos;
	if (!t)
		return -ESRCH;
	if (!cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (n > 64)
		n = 64;
	mutex_lock(&t->uts->lock);
	field = x->row->arg ? t->uts->domainname : t->uts->nodename;
	memset(field, 0, 65);
	memcpy(field, buf, n);
	mutex_unlock(&t->uts->lock);
	return (ssize_t)len;
}

static void
put_uuid(struct sbuf *b, const uint8_t *u)
{
	for (int i = 0; i < 16; i++)
		sbuf_printf(b, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
	sbuf_puts(b, "\n");
}

static int
show_uuid(const struct pseudo_ctx *x, struct sbuf *b)
{
	static uint8_t boot_id[16];
	static bool made;
	uint8_t u[16];

	host_random(u, sizeof u);
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	if (x->row->arg) {
		mutex_lock(&tasklist_lock);
		if (!made)
			memcpy(boot_id, u, sizeof u);
		made = true;
		memcpy(u, boot_id, sizeof u);
		mutex_unlock(&tasklist_lock);
	}
	put_uuid(b, u);
	return 0;
}

static int
show_last_pid(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%d\n", kernel_last_pid());
	return 0;
}

static int
show_ptys(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%u\n", devpts_count());
	return 0;
}

static int
show_uring(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%d\n", atomic_load(&kernel_uring_disabled));
	return 0;
}

static ssize_t
write_uring(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	if (!cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (pos)
		return (ssize_t)len;
	if (buf[0] < '0' || buf[0] > '2' || (buf[1] && buf[1] != '\n'))
		return -EINVAL;
	atomic_store(&kernel_uring_disabled, buf[0] - '0');
	return (ssize_t)len;
}

static int
show_key_tunable(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%u\n", keys_tunable((enum key_tunable)x->row->arg));
	return 0;
}

static ssize_t
write_key_tunable(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	long long v;
	char *end;

	if (!cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (pos)
		return (ssize_t)len;
	v = strtoll(buf, &end, 10);
	if (end == buf || (*end && !strchr(" \t\n", *end)) || v < 0 || v > INT32_MAX)
		return -EINVAL;
	keys_tune((enum key_tunable)x->row->arg, (uint32_t)v);
	return (ssize_t)len;
}

#define KEY_ROW(n, which)                                                                          \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = show_key_tunable,                  \
		.write = write_key_tunable, .arg = (which)                                         \
	}

static const struct pseudo_row keys_rows[] = {KEY_ROW("maxkeys", KEY_MAXKEYS),
	KEY_ROW("maxbytes", KEY_MAXBYTES), KEY_ROW("root_maxkeys", KEY_ROOT_MAXKEYS),
	KEY_ROW("root_maxbytes", KEY_ROOT_MAXBYTES), KEY_ROW("gc_delay", KEY_GC_DELAY),
	KEY_ROW("persistent_keyring_expiry", KEY_PERSISTENT_EXPIRY), {.name = NULL}};

/* The limits of System V IPC belong to an IPC namespace, too: the reader's. arg: the first of them,
 * and how many (from bit 8). */
static int
show_ipc(const struct pseudo_ctx *x, struct sbuf *b)
{
	unsigned first = x->row->arg & 255, n = (unsigned)(x->row->arg >> 8);

	if (!x->c || !x->c->ipc)
		return -ESRCH;
	for (unsigned i = 0; i < n; i++)
		sbuf_printf(b, "%s%llu", i ? "\t" : "",
			(unsigned long long)ipc_limit_get(x->c->ipc, (enum ipc_limit)(first + i)));
	sbuf_puts(b, "\n");
	return 0;
}

/* Fewer values than there are leave the rest alone. */
static ssize_t
write_ipc(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	unsigned first = x->row->arg & 255, n = (unsigned)(x->row->arg >> 8);
	const char *at = buf + strspn(buf, " \t\n");
	char *end;
	int r = -EINVAL;

	if (pos) /* kernel.sysctl_writes_strict */
		return (ssize_t)len;
	if (!x->c->ipc)
		return -ESRCH;
	for (unsigned i = 0; i < n && *at; i++) {
		unsigned long long v;

		errno = 0;
		v = strtoull(at, &end, 10);
		if (*at == '-' || end == at || errno || (*end && !strchr(" \t\n", *end)))
			return -EINVAL;
		r = ipc_limit_set(x->c->ipc, (enum ipc_limit)(first + i), v);
		if (r < 0)
			return r;
		at = end + strspn(end, " \t\n");
	}
	return r < 0 ? r : (ssize_t)len;
}

#define IPC(n, count, first)                                                                       \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = show_ipc, .write = write_ipc,      \
		.arg = (first) | (count) << 8                                                      \
	}

static const struct pseudo_row random_rows[] = {
	{.name = "boot_id", .mode = LX_S_IFREG | 0444, .show = show_uuid, .arg = 1},
	{.name = "uuid", .mode = LX_S_IFREG | 0444, .show = show_uuid},
	CONST("entropy_avail", "256"),
	CONST("poolsize", "256"),
	CONST("urandom_min_reseed_secs", "60"),
	CONST("write_wakeup_threshold", "256"),
	{.name = NULL},
};

static const struct pseudo_row yama_rows[] = {CONST("ptrace_scope", "0"), {.name = NULL}};
static const struct pseudo_row seccomp_rows[] = {
	CONST("actions_avail", "kill_process kill_thread trap errno user_notif trace log allow"),
	CONST("actions_logged", "kill_process kill_thread trap errno user_notif trace log"),
	{.name = NULL}};

static const struct pseudo_row pty_rows[] = {CONST("max", "4096"), CONST("reserve", "1024"),
	{.name = "nr", .mode = LX_S_IFREG | 0444, .show = show_ptys}, {.name = NULL}};

static const struct pseudo_row kernel_rows[] = {
	CONST("ostype", "Linux"),
	{.name = "osrelease",
		.mode = LX_S_IFREG | 0444,
		.show = proc_sysctl_text,
		.arg = (uintptr_t)uts_release},
	{.name = "version",
		.mode = LX_S_IFREG | 0444,
		.show = proc_sysctl_text,
		.arg = (uintptr_t)uts_version},
	{.name = "hostname", .mode = LX_S_IFREG | 0644, .show = show_uts, .write = write_uts},
	{.name = "domainname",
		.mode = LX_S_IFREG | 0644,
		.show = show_uts,
		.write = write_uts,
		.arg = 1},
	DIR("random", random_rows),
	DIR("yama", yama_rows),
	DIR("seccomp", seccomp_rows),
	CONST("pid_max", "32768"),
	CONST("threads-max", "32768"),
	CONST("cap_last_cap", "40"),
	CONST("ngroups_max", "65536"),
	CONST("tainted", "0"),
	CONST("panic", "0"),
	CONST("printk", "4\t4\t1\t7"),
	CONST("randomize_va_space", "2"),
	CONST("core_pattern", "core"),
	CONST("core_uses_pid", "0"),
	CONST("overflowuid", "65534"),
	CONST("overflowgid", "65534"),
	CONST("sched_child_runs_first", "0"),
	CONST("sched_rt_runtime_us", "950000"),
	CONST("sched_rt_period_us", "1000000"),
#define IPC_SYSCTL(n, count, first) IPC(n, (count), (first)),
#include "base/ipc_sysctl.def"
#undef IPC_SYSCTL
	CONST("dmesg_restrict", "1"),
	CONST("kptr_restrict", "1"),
	CONST("perf_event_paranoid", "3"),
	CONST("unprivileged_bpf_disabled", "2"),
	{.name = "io_uring_disabled",
		.mode = LX_S_IFREG | 0644,
		.show = show_uring,
		.write = write_uring},
	CONST("sysrq", "0"),
	{.name = "ns_last_pid", .mode = LX_S_IFREG | 0444, .show = show_last_pid},
	DIR("pty", pty_rows),
	DIR("keys", keys_rows),
#define SYSCTL_KERNEL
#include "sysctl.def"
#undef SYSCTL_KERNEL
	{.name = NULL},
};

/* Whole numbers that act on the whole sandbox. */
static const struct tunable {
	_Atomic int32_t *value;
	int32_t min, max;
} leases_enable = {&leases_enabled, INT32_MIN, INT32_MAX},
  lease_break_time = {&lease_break_seconds, INT32_MIN, INT32_MAX};

static int
show_tunable(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%d\n", atomic_load(((const struct tunable *)x->row->arg)->value));
	return 0;
}

static ssize_t
write_tunable(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	const struct tunable *k = (const struct tunable *)x->row->arg;
	long long v;
	char *end;

	if (pos) /* kernel.sysctl_writes_strict */
		return (ssize_t)len;
	v = strtoll(buf, &end, 10);
	if (end == buf || (*end && !strchr(" \t\n", *end)) || v < k->min || v > k->max)
		return -EINVAL;
	atomic_store(k->value, (int32_t)v);
	return (ssize_t)len;
}

#define TUNABLE(n, t)                                                                              \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = show_tunable,                      \
		.write = write_tunable, .arg = (uintptr_t)(t)                                      \
	}

static const struct pseudo_row inotify_rows[] = {
	CONST("max_user_instances", "128"),
	CONST("max_user_watches", "65536"),
	CONST("max_queued_events", "16384"),
	{.name = NULL},
};
/* Linux's defaults for marks grow with the memory; a mark is about as large as a watch of inotify.
 */
static const struct tunable fan_events = {&fanotify_max_events, 0, INT32_MAX},
			    fan_groups = {&fanotify_max_groups, 0, INT32_MAX},
			    fan_marks = {&fanotify_max_marks, 0, INT32_MAX};
static const struct pseudo_row fanotify_rows[] = {
	TUNABLE("max_queued_events", &fan_events),
	TUNABLE("max_user_groups", &fan_groups),
	TUNABLE("max_user_marks", &fan_marks),
	{.name = NULL},
};
static const struct pseudo_row epoll_rows[] = {
	CONST("max_user_watches", "1000000"), {.name = NULL}};

/* Those of POSIX message queues belong to an IPC namespace: the reader's. */
static int
show_mqueue(const struct pseudo_ctx *x, struct sbuf *b)
{
	int64_t v =
		x->c && x->c->ipc ? mq_limit_get(x->c->ipc, (enum mq_limit)x->row->arg) : -ESRCH;

	if (v < 0)
		return (int)v;
	sbuf_printf(b, "%lld\n", (long long)v);
	return 0;
}

static ssize_t
write_mqueue(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	char *end;
	long long v;
	int r;

	if (pos) /* kernel.sysctl_writes_strict */
		return (ssize_t)len;
	v = strtoll(buf, &end, 10);
	if (end == buf || (*end && !strchr(" \t\n", *end)))
		return -EINVAL;
	r = x->c->ipc ? mq_limit_set(x->c->ipc, (enum mq_limit)x->row->arg, v) : -ESRCH;
	return r < 0 ? r : (ssize_t)len;
}

#define MQ(n, w)                                                                                   \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = show_mqueue,                       \
		.write = write_mqueue, .arg = (w)                                                  \
	}
static const struct pseudo_row mqueue_rows[] = {
	MQ("msg_default", MQ_MSG_DEFAULT),
	MQ("msg_max", MQ_MSG_MAX),
	MQ("msgsize_default", MQ_MSGSIZE_DEFAULT),
	MQ("msgsize_max", MQ_MSGSIZE_MAX),
	MQ("queues_max", MQ_QUEUES_MAX),
	{.name = NULL},
};

static const struct pseudo_row fs_rows[] = {
	CONST("file-max", "9223372036854775807"),
	CONST("file-nr", "0\t0\t9223372036854775807"),
	CONST("nr_open", "1048576"),
	CONST("inode-nr", "0\t0"),
	CONST("inode-state", "0\t0\t0\t0\t0\t0\t0"),
	CONST("dentry-state", "0\t0\t45\t0\t0\t0"),
	CONST("dentry-negative", "0"),
	CONST("mount-max", "100000"),
	CONST("pipe-max-size", "1048576"),
	CONST("pipe-user-pages-soft", "16384"),
	CONST("pipe-user-pages-hard", "0"),
	CONST("aio-max-nr", "65536"),
	CONST("aio-nr", "0"),
	CONST("protected_hardlinks", "1"),
	CONST("protected_symlinks", "1"),
	CONST("protected_fifos", "1"),
	CONST("protected_regular", "2"),
	CONST("suid_dumpable", "0"),
	CONST("overflowuid", "65534"),
	CONST("overflowgid", "65534"),
	TUNABLE("leases-enable", &leases_enable),
	TUNABLE("lease-break-time", &lease_break_time),
	CONST("dir-notify-enable", "0"),
	DIR("inotify", inotify_rows),
	DIR("fanotify", fanotify_rows),
	DIR("epoll", epoll_rows),
	DIR("mqueue", mqueue_rows),
	{.name = NULL},
};

static const struct pseudo_row vm_rows[] = {
	CONST("overcommit_memory", "0"),
	CONST("overcommit_ratio", "50"),
	CONST("overcommit_kbytes", "0"),
	CONST("max_map_count", "65530"),
	CONST("mmap_min_addr", "65536"),
	CONST("swappiness", "60"),
	CONST("vfs_cache_pressure", "100"),
	CONST("dirty_ratio", "20"),
	CONST("dirty_background_ratio", "10"),
	CONST("nr_hugepages", "0"),
	CONST("min_free_kbytes", "67584"),
	CONST("unprivileged_userfaultfd", "0"),
	CONST("zone_reclaim_mode", "0"),
	CONST("panic_on_oom", "0"),
	CONST("oom_kill_allocating_task", "0"),
#define SYSCTL_VM
#include "sysctl.def"
#undef SYSCTL_VM
	{.name = NULL},
};

static const struct pseudo_row ldisc_rows[] = {
	CONST("ldisc_autoload", "0"), CONST("legacy_tiocsti", "0"), {.name = NULL}};
static const struct pseudo_row dev_rows[] = {DIR("tty", ldisc_rows), {.name = NULL}};
static const struct pseudo_row debug_rows[] = {CONST("exception-trace", "0"), {.name = NULL}};
static const struct pseudo_row abi_rows[] = {CONST("vsyscall32", "0"), {.name = NULL}};

static const struct pseudo_row user_rows[] = {
	CONST("max_user_namespaces", "65536"),
	CONST("max_pid_namespaces", "65536"),
	CONST("max_mnt_namespaces", "65536"),
	CONST("max_uts_namespaces", "65536"),
	CONST("max_ipc_namespaces", "65536"),
	CONST("max_net_namespaces", "65536"),
	CONST("max_cgroup_namespaces", "65536"),
	CONST("max_time_namespaces", "65536"),
	CONST("max_inotify_instances", "128"),
	CONST("max_inotify_watches", "65536"),
	TUNABLE("max_fanotify_groups", &fan_groups),
	TUNABLE("max_fanotify_marks", &fan_marks),
	{.name = NULL},
};

const struct pseudo_row proc_sys_rows[] = {
	DIR("kernel", kernel_rows),
	DIR("fs", fs_rows),
	DIR("vm", vm_rows),
	DIR("net", proc_sys_net_rows),
	DIR("user", user_rows),
	DIR("abi", abi_rows),
	DIR("debug", debug_rows),
	DIR("dev", dev_rows),
	{.name = NULL},
};

/* A part of a name ends at a dot or a slash. */
static const struct pseudo_row *
find_row(const struct pseudo_row *r, const char *name, size_t len)
{
	for (; r->name; r++) {
		size_t n = strlen(r->name);

		if (n > len || memcmp(r->name, name, n) != 0)
			continue;
		if (n == len)
			return r;
		if (r->rows && (name[n] == '.' || name[n] == '/'))
			return find_row(r->rows, name + n + 1, len - n - 1);
	}
	return NULL;
}

int
proc_sysctl_set(const struct call *c, const char *assignment, size_t len, bool show)
{
	const char *eq = memchr(assignment, '=', len);
	const struct pseudo_row *r =
		eq ? find_row(proc_sys_rows, assignment, (size_t)(eq - assignment)) : NULL;
	struct pseudo_ctx x = {.c = c, .row = r, .bound = (uintptr_t)c->net};
	bool net = eq && len > 3 && memcmp(assignment, "net", 3) == 0,
	     host = net_ns_on_host(c->net);
	struct shown *more;
	char *value;
	ssize_t n = 0;

	if (!r || r->rows)
		return -ENOENT;
	if (net ? !host && !r->write : r->write != write_ipc && r->write != write_mqueue)
		return -EPERM;
	value = strndup(eq + 1, len - (size_t)(eq + 1 - assignment));
	if (!value)
		return -ENOMEM;
	if (!net || !host) {
		n = r->write(&x, value, strlen(value), 0);
	} else if (show) {
		more = realloc(shown, (nshown + 1) * sizeof *shown);
		if (more) {
			shown = more;
			shown[nshown++] = (struct shown){r, value};
			return 0;
		}
		n = -ENOMEM;
	}
	free(value);
	return n < 0 ? (int)n : 0;
}
