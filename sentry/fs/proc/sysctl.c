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
#include "sentry/kernel/aio.h"
#include "sentry/net/link.h"
#include "sentry/vfs/dentry.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows that show what the host has set, instead of what they would; the newest of a row counts.
 * They stay for ever, so that readers need no lock. */
struct shown {
	const struct pseudo_row *row;
	char *value;
	struct shown *next;
};
static _Atomic(struct shown *) shown;

const char *
proc_sysctl_shown(const struct pseudo_row *row)
{
	for (struct shown *s = atomic_load(&shown); s; s = s->next)
		if (s->row == row)
			return s->value;
	return NULL;
}

/* value is consumed. */
static int
show_value(const struct pseudo_row *row, char *value)
{
	const char *old = proc_sysctl_shown(row);
	struct shown *s = old && strcmp(old, value) == 0 ? NULL : malloc(sizeof *s);

	if (!s) {
		int r = old && strcmp(old, value) == 0 ? 0 : -ENOMEM;

		free(value);
		return r;
	}
	*s = (struct shown){row, value, atomic_load(&shown)};
	while (!atomic_compare_exchange_weak(&shown, &s->next, s))
		;
	return 0;
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
	*ret = strtoll(text, &stop, 0);
	return errno || *stop || (p < end && !is_blank(*p)) || strlen(text) != n ? NULL : p;
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
show_ptys(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%u\n", devpts_count());
	return 0;
}

static int
show_aio(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%llu\n", (unsigned long long)aio_events());
	return 0;
}

static long long
live(int kind)
{
	return (long long)atomic_load(&live_count[kind]);
}

static int
show_files(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%lld\t0\t%lld\n", live(LIVE_FILE), (long long)sysctl_get(SYSCTL_FILE_MAX));
	return 0;
}

static int
show_inodes(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%lld%s", live(LIVE_INODE), (const char *)x->row->arg);
	return 0;
}

static int
show_dentries(const struct pseudo_ctx *x, struct sbuf *b)
{
	(void)x;
	sbuf_printf(b, "%lld\t%u\t45\t0\t0\t0\n", live(LIVE_DENTRY), dcache_unused());
	return 0;
}

/* --- the tables --- */

/* The rows of a table are those of one section of sysctl.def. */
#define VALUE_ROW(which, n, m, ...)                                                                \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = proc_sysctl_show_value,             \
		.write = proc_sysctl_write_value, .arg = SYSCTL_##which                            \
	}
#define TEXT_ROW(n, size, v)                                                                       \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = proc_sysctl_show_text,             \
		.write = proc_sysctl_write_text, .arg = (uintptr_t) & (struct proc_sysctl_text)    \
		{                                                                                  \
			(char[size]){v}, (size)                                                    \
		}                                                                                  \
	}
#define SHOW_ROW(n, s, a)                                                                          \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = (s), .arg = (uintptr_t)(a)         \
	}

static const struct pseudo_row keys_rows[] = {
#define SYSCTL_KEYS
#include "sysctl_rows.h"
#undef SYSCTL_KEYS
	{.name = NULL},
};

static const struct pseudo_row pty_rows[] = {
#define SYSCTL_PTY
#include "sysctl_rows.h"
#undef SYSCTL_PTY
	SHOW_ROW("nr", show_ptys, 0),
	{.name = NULL},
};

static const struct pseudo_row random_rows[] = {
#define SYSCTL_RANDOM
#include "sysctl_rows.h"
#undef SYSCTL_RANDOM
	SHOW_ROW("boot_id", show_uuid, 1),
	SHOW_ROW("uuid", show_uuid, 0),
	{.name = NULL},
};

static const struct pseudo_row yama_rows[] = {
	CONST("ptrace_scope", "0"),
	{.name = NULL},
};

static const struct pseudo_row seccomp_rows[] = {
	CONST("actions_avail", "kill_process kill_thread trap errno user_notif trace log allow"),
	{.name = "actions_logged",
		.mode = LX_S_IFREG | 0644,
		.show = proc_sysctl_show_logged,
		.write = proc_sysctl_write_logged},
	{.name = NULL},
};

static const struct pseudo_row kernel_rows[] = {
#define SYSCTL_KERNEL
#include "sysctl_rows.h"
#undef SYSCTL_KERNEL
	SHOW_ROW("osrelease", proc_sysctl_text, uts_release),
	SHOW_ROW("version", proc_sysctl_text, uts_version),
	{.name = "hostname",
		.mode = LX_S_IFREG | 0644,
		.show = proc_sysctl_show_uts,
		.write = proc_sysctl_write_uts},
	{.name = "domainname",
		.mode = LX_S_IFREG | 0644,
		.show = proc_sysctl_show_uts,
		.write = proc_sysctl_write_uts,
		.arg = 1},
	{.name = "pid_max",
		.mode = LX_S_IFREG | 0644,
		.part = PSEUDO_SYSCTL_OWN,
		.show = proc_sysctl_show_pid_max,
		.write = proc_sysctl_write_pid_max,
		.check = proc_sysctl_check_pid_max,
		.attr = proc_sysctl_attr_pid_max,
		.bind = proc_sysctl_bind_pid_ns,
		.unbind = proc_sysctl_unbind_pid_ns},
	{.name = "ns_last_pid",
		.mode = LX_S_IFREG | 0666,
		.show = proc_sysctl_show_last_pid,
		.write = proc_sysctl_write_last_pid},
#define IPC_SYSCTL(n, count, first)                                                                \
	{.name = (n),                                                                              \
		.mode = LX_S_IFREG | 0644,                                                         \
		.show = proc_sysctl_show_ipc,                                                      \
		.write = proc_sysctl_write_ipc,                                                    \
		.arg = (first) | (count) << 8},
#include "base/ipc_sysctl.def"
#undef IPC_SYSCTL
	DIR("keys", keys_rows),
	DIR("pty", pty_rows),
	DIR("random", random_rows),
	DIR("seccomp", seccomp_rows),
	DIR("yama", yama_rows),
	{.name = NULL},
};

static const struct pseudo_row inotify_rows[] = {
#define SYSCTL_INOTIFY
#include "sysctl_rows.h"
#undef SYSCTL_INOTIFY
	{.name = NULL},
};

static const struct pseudo_row fanotify_rows[] = {
#define SYSCTL_FANOTIFY
#include "sysctl_rows.h"
#undef SYSCTL_FANOTIFY
	{.name = NULL},
};

static const struct pseudo_row epoll_rows[] = {
#define SYSCTL_EPOLL
#include "sysctl_rows.h"
#undef SYSCTL_EPOLL
	{.name = NULL},
};

#define MQ(n, w)                                                                                   \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = proc_sysctl_show_mqueue,           \
		.write = proc_sysctl_write_mqueue, .arg = (w)                                      \
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
#define SYSCTL_FS
#include "sysctl_rows.h"
#undef SYSCTL_FS
	SHOW_ROW("aio-nr", show_aio, 0),
	SHOW_ROW("dentry-state", show_dentries, 0),
	SHOW_ROW("file-nr", show_files, 0),
	SHOW_ROW("inode-nr", show_inodes, "\t0\n"),
	SHOW_ROW("inode-state", show_inodes, "\t0\t0\t0\t0\t0\t0\n"),
	CONST("pipe-user-pages-soft", "16384"),
	CONST("pipe-user-pages-hard", "0"),
	DIR("epoll", epoll_rows),
	DIR("fanotify", fanotify_rows),
	DIR("inotify", inotify_rows),
	DIR("mqueue", mqueue_rows),
	{.name = NULL},
};

static const struct pseudo_row vm_rows[] = {
#define SYSCTL_VM
#include "sysctl_rows.h"
#undef SYSCTL_VM
	{.name = "memfd_noexec",
		.mode = LX_S_IFREG | 0644,
		.show = proc_sysctl_show_noexec,
		.write = proc_sysctl_write_noexec},
	CONST("overcommit_memory", "0"),
	{.name = NULL},
};

static const struct pseudo_row ldisc_rows[] = {
	CONST("ldisc_autoload", "0"), CONST("legacy_tiocsti", "0"), {.name = NULL}};
static const struct pseudo_row dev_rows[] = {DIR("tty", ldisc_rows), {.name = NULL}};

static const struct pseudo_row debug_rows[] = {
#define SYSCTL_DEBUG
#include "sysctl_rows.h"
#undef SYSCTL_DEBUG
	{.name = NULL},
};

static const struct pseudo_row abi_rows[] = {
#define SYSCTL_ABI
#include "sysctl_rows.h"
#undef SYSCTL_ABI
	{.name = NULL},
};

#define USER(n, which)                                                                             \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .part = PSEUDO_SYSCTL_OWN,                 \
		.show = proc_sysctl_show_user, .write = proc_sysctl_write_user,                    \
		.check = proc_sysctl_check_user, .bind = proc_sysctl_bind_user_ns,                 \
		.unbind = proc_sysctl_unbind_user_ns, .arg = UCOUNT_##which                        \
	}
/* Of cgroup and fanotify, nothing is counted by namespace. */
static const struct pseudo_row user_rows[] = {
	USER("max_user_namespaces", USER),
	USER("max_pid_namespaces", PID),
	USER("max_mnt_namespaces", MNT),
	USER("max_uts_namespaces", UTS),
	USER("max_ipc_namespaces", IPC),
	USER("max_net_namespaces", NET),
	USER("max_time_namespaces", TIME),
	USER("max_inotify_instances", INOTIFY_INSTANCES),
	USER("max_inotify_watches", INOTIFY_WATCHES),
	CONST("max_cgroup_namespaces", "16384"),
	VALUE_ROW(FANOTIFY_MAX_USER_GROUPS, "max_fanotify_groups", 0644),
	VALUE_ROW(FANOTIFY_MAX_USER_MARKS, "max_fanotify_marks", 0644),
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
	char *value;
	ssize_t n = 0;

	if (!r || r->rows)
		return -ENOENT;
	if (net ? !host && !r->write
		: r->write != proc_sysctl_write_ipc && r->write != proc_sysctl_write_mqueue)
		return -EPERM;
	value = strndup(eq + 1, len - (size_t)(eq + 1 - assignment));
	if (!value)
		return -ENOMEM;
	if (!net || !host) {
		n = r->write(&x, value, strlen(value), 0);
	} else {
		if (strcmp(r->name, "ip_unprivileged_port_start") == 0)
			net_ns_set_low_ports(c->net, (uint32_t)strtoul(value, NULL, 10));
		if (show)
			return show_value(r, value);
	}
	free(value);
	return n < 0 ? (int)n : 0;
}
