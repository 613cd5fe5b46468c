/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID and /proc/PID/task/TID: the small files, links, and the tables of both directories. */
#include "abi/dirent.h"
#include "abi/stat.h"
#include "internal.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/nsfs.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include "sentry/vfs/mount.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mm *
proc_mm(const struct task *ct)
{
	struct task *t = (struct task *)ct;
	struct mm *mm = NULL;

	mutex_lock(&t->pt_lock);
	if (t->mm)
		mm = mm_get(t->mm);
	mutex_unlock(&t->pt_lock);
	return mm;
}

pid_t
proc_host_pid(struct task *t)
{
	pid_t pid;

	mutex_lock(&t->pt_lock);
	pid = t->pt ? plat->host_pid(t->pt) : 0;
	mutex_unlock(&t->pt_lock);
	return pid;
}

uint64_t
proc_bind_mm(const struct pseudo_ctx *x)
{
	struct mm *mm = proc_mm(proc_task(x));
	uint64_t id = mm ? mm->id : 0;

	mm_put(mm);
	return id;
}

struct mm *
proc_bound_mm(const struct pseudo_ctx *x)
{
	struct mm *mm = proc_mm(proc_task(x));

	if (!mm || mm->id == x->bound)
		return mm;
	mm_put(mm);
	return NULL;
}

struct fs_ctx *
proc_fs(struct task *t)
{
	struct fs_ctx *f = NULL;

	mutex_lock(&t->pt_lock);
	if (t->fs)
		f = fs_ctx_peek(t->fs);
	mutex_unlock(&t->pt_lock);
	return f;
}

const struct cred *
proc_cred(struct task *t)
{
	const struct cred *c;

	mutex_lock(&t->pt_lock);
	c = cred_get(t->cred);
	mutex_unlock(&t->pt_lock);
	return c;
}

void
proc_owner(const struct pseudo_ctx *x, struct inode *i)
{
	const struct cred *c = proc_cred(proc_task(x));
	struct mm *mm = proc_mm(proc_task(x));

	/* proc(5): root's, when the process may not be dumped */
	mutex_lock(&i->lock);
	inode_store(i->uid, mm && mm->dumpable != 1 ? 0 : c->euid);
	inode_store(i->gid, mm && mm->dumpable != 1 ? 0 : c->egid);
	mutex_unlock(&i->lock);
	mm_put(mm);
	cred_put(c);
}

/* By its links programs know whether they have threads (Chromium's zygote, for one). */
static void
task_dir_attr(const struct pseudo_ctx *x, struct inode *i)
{
	const struct tgroup *g = proc_task(x)->tgroup;
	uint32_t n;

	proc_owner(x, i);
	mutex_lock(&tasklist_lock);
	n = g->nr_threads + (!g->leader || g->leader->dead);
	mutex_unlock(&tasklist_lock);
	inode_set_nlink(i, 2 + n);
}

int
proc_may_look(const struct pseudo_ctx *x, int mask)
{
	struct task *me = task_current();

	(void)mask;
	return !me || task_may_access(me, proc_task(x)) ? 0 : -EACCES;
}

size_t
proc_read_mem(struct task *t, struct mm *mm, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = LX_PAGE_SIZE - ((addr + done) & (LX_PAGE_SIZE - 1));

		if (n > len - done)
			n = len - done;
		if (task_peek_poke(t, mm, addr + done, (char *)buf + done, n, false))
			break;
		done += n;
	}
	return done;
}

/* Arguments that do not end with a NUL any more were overwritten, maybe beyond their end: then it
 * is one text from where they begin (setproctitle(3); get_mm_proctitle() of Linux). */
static bool
show_title(const struct pseudo_ctx *x, struct mm *mm, struct sbuf *b)
{
	char text[LX_PAGE_SIZE];
	size_t got, len;

	if (mm->arg_end <= mm->arg_start ||
		proc_read_mem(proc_task(x), mm, mm->arg_end - 1, text, 1) != 1 || !text[0])
		return false;
	got = proc_read_mem(proc_task(x), mm, mm->arg_start, text, sizeof text);
	len = strnlen(text, got);
	sbuf_add(b, text, len < got ? len + 1 : len);
	return true;
}

/* Text between two addresses of the process (arguments, environment). */
static int
show_range(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct mm *mm = x->row->bind ? proc_bound_mm(x) : proc_mm(proc_task(x));
	uint64_t start, end;
	char *buf;

	if (!mm)
		return 0;
	if (!x->row->arg && show_title(x, mm, b)) {
		mm_put(mm);
		return 0;
	}
	start = x->row->arg ? mm->env_start : mm->arg_start;
	end = x->row->arg ? mm->env_end : mm->arg_end;
	if (end > start && end - start <= (8UL << 20) && (buf = malloc(end - start))) {
		sbuf_add(b, buf, proc_read_mem(proc_task(x), mm, start, buf, end - start));
		free(buf);
	}
	mm_put(mm);
	return 0;
}

static int
show_auxv(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct mm *mm = proc_bound_mm(x);
	uint64_t auxv[MM_AUXV_MAX];

	if (mm)
		sbuf_add(b, auxv, mm_auxv(mm, auxv) * sizeof *auxv);
	mm_put(mm);
	return 0;
}

static int
show_comm(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%.15s\n", proc_task(x)->comm);
	return 0;
}

static ssize_t
write_comm(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct task *t = proc_task(x), *me = task_current();
	size_t n = len;

	(void)pos;
	if (!me || me->tgroup != t->tgroup)
		return -EINVAL;
	if (n && buf[n - 1] == '\n')
		n--;
	if (n > 15)
		n = 15;
	mutex_lock(&t->pt_lock);
	memset(t->comm, 0, sizeof t->comm);
	memcpy(t->comm, buf, n);
	if (t->pt)
		plat->set_name(t->pt, t->comm);
	mutex_unlock(&t->pt_lock);
	return (ssize_t)len;
}

static int
show_limits(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const struct {
		const char *name, *unit;
	} rows[LX_RLIM_NLIMITS] = {
		{"Max cpu time", "seconds"},
		{"Max file size", "bytes"},
		{"Max data size", "bytes"},
		{"Max stack size", "bytes"},
		{"Max core file size", "bytes"},
		{"Max resident set", "bytes"},
		{"Max processes", "processes"},
		{"Max open files", "files"},
		{"Max locked memory", "bytes"},
		{"Max address space", "bytes"},
		{"Max file locks", "locks"},
		{"Max pending signals", "signals"},
		{"Max msgqueue size", "bytes"},
		{"Max nice priority", ""},
		{"Max realtime priority", ""},
		{"Max realtime timeout", "us"},
	};
	const struct rlimits *r = &proc_task(x)->tgroup->rlim;

	sbuf_printf(b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (int i = 0; i < LX_RLIM_NLIMITS; i++) {
		char v[2][24];

		for (int k = 0; k < 2; k++) {
			uint64_t n = k ? r->r[i].max : r->r[i].cur;

			if (n == LX_RLIM_INFINITY)
				strcpy(v[k], "unlimited");
			else
				snprintf(v[k], sizeof v[k], "%llu", (unsigned long long)n);
		}
		sbuf_printf(b,
			rows[i].unit[0] ? "%-25s %-20s %-20s %-10s\n" : "%-25s %-20s %-20s %s\n",
			rows[i].name, v[0], v[1], rows[i].unit[0] ? rows[i].unit : "          ");
	}
	return 0;
}

/* What a process that has ended has no longer, for files that have to be opened on it. */
static int
has_memory(const struct pseudo_ctx *x, int mask)
{
	int err = proc_may_look(x, mask);
	struct mm *mm = err ? NULL : proc_mm(proc_task(x));

	if (!err && !mm)
		err = -ESRCH;
	mm_put(mm);
	return err;
}

static int
has_mounts(const struct pseudo_ctx *x, int mask)
{
	struct fs_ctx *fs = proc_fs(proc_task(x));

	(void)mask;
	if (!fs)
		return -EINVAL;
	fs_ctx_unpeek(fs);
	return 0;
}

/* A process that is not dumpable finds its own descriptors all the same (/dev/stdout). */
static bool
is_own(const struct pseudo_ctx *x)
{
	struct task *me = task_current();

	return me && me->tgroup == proc_task(x)->tgroup;
}

/* --- links --- */

static int
exe_path(const struct pseudo_ctx *x, struct path *ret)
{
	struct mm *mm = proc_mm(proc_task(x));
	int err = -ENOENT;

	if (mm && mm->exe_file) {
		*ret = mm->exe_file->path;
		path_get(ret);
		err = 0;
	}
	mm_put(mm);
	return err;
}

static int
fs_path(const struct pseudo_ctx *x, struct path *ret)
{
	struct fs_ctx *fs = proc_fs(proc_task(x));

	if (!fs)
		return -ENOENT;
	if (x->row->arg)
		fs_ctx_root(fs, ret);
	else
		fs_ctx_cwd(fs, ret);
	fs_ctx_unpeek(fs);
	return 0;
}

/* The path of a link as the caller sees it. */
static ssize_t
path_text(const struct pseudo_ctx *x, int (*get)(const struct pseudo_ctx *, struct path *),
	char *buf, size_t cap)
{
	struct path p, root;
	char tmp[LX_PATH_MAX], *s;
	int err = proc_may_look(x, 0);
	size_t n;

	if (!err)
		err = get(x, &p);
	if (err)
		return err;
	if (x->c->fs)
		fs_ctx_root(x->c->fs, &root);
	s = vfs_d_path_plain(&p, x->c->fs ? &root : NULL, tmp, sizeof tmp, &err);
	if (x->c->fs)
		path_put(&root);
	path_put(&p);
	if (!s)
		return err;
	n = strlen(s);
	if (n > cap)
		n = cap;
	memcpy(buf, s, n);
	return (ssize_t)n;
}

static int
exe_go(const struct pseudo_ctx *x, struct path *ret)
{
	int err = proc_may_look(x, 0);

	return err ? err : exe_path(x, ret);
}

static ssize_t
exe_text(const struct pseudo_ctx *x, char *buf, size_t cap)
{
	return path_text(x, exe_path, buf, cap);
}

static int
fs_go(const struct pseudo_ctx *x, struct path *ret)
{
	int err = proc_may_look(x, 0);

	return err ? err : fs_path(x, ret);
}

static ssize_t
fs_text(const struct pseudo_ctx *x, char *buf, size_t cap)
{
	return path_text(x, fs_path, buf, cap);
}

/* --- mounts --- */

static int
show_mounts(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct fs_ctx *fs = proc_fs(proc_task(x));
	struct mnt_ns *ns;
	struct path root;
	size_t len;
	char *s;

	if (!fs)
		return -EINVAL;
	fs_ctx_root(fs, &root);
	ns = fs_ctx_ns(fs);
	s = mnt_ns_show(ns, &root, (enum mnt_show)x->row->arg, &len);
	if (s)
		sbuf_add(b, s, len);
	free(s);
	path_put(&root);
	mnt_ns_put(ns);
	fs_ctx_unpeek(fs);
	return s ? 0 : -ENOMEM;
}

/* An open /proc/PID/mounts: what it has told a poll of. */
struct mounts_seen {
	struct mnt_ns *ns; /* a reference */
	_Atomic uint64_t events;
};

static uint64_t
bind_mounts(const struct pseudo_ctx *x)
{
	struct fs_ctx *fs = proc_fs(proc_task(x));
	struct mounts_seen *m = fs ? calloc(1, sizeof *m) : NULL;

	if (m) {
		m->ns = fs_ctx_ns(fs);
		m->events = atomic_load(&m->ns->events);
	}
	fs_ctx_unpeek(fs);
	return (uint64_t)(uintptr_t)m;
}

static void
unbind_mounts(uint64_t bound)
{
	struct mounts_seen *m = (struct mounts_seen *)(uintptr_t)bound;

	if (m)
		mnt_ns_put(m->ns);
	free(m);
}

/* proc(5): a change of the mounts is POLLERR and POLLPRI, once. */
static uint32_t
poll_mounts(const struct pseudo_ctx *x, struct file *f, struct poll_table *pt)
{
	struct mounts_seen *m = (struct mounts_seen *)(uintptr_t)x->bound;
	uint32_t ev = LX_POLLIN | LX_POLLRDNORM;
	uint64_t now;

	(void)f;
	if (!m)
		return ev;
	poll_wait(pt, &m->ns->pollq);
	now = atomic_load(&m->ns->events);
	if (atomic_exchange(&m->events, now) != now)
		ev |= LX_POLLERR | LX_POLLPRI;
	return ev;
}

static bool
has_ended(struct task *t)
{
	bool dead;

	mutex_lock(&tasklist_lock);
	dead = t->dead;
	mutex_unlock(&tasklist_lock);
	return dead;
}

/* --- odds and ends --- */

static int
show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_puts(b, (const char *)x->row->arg);
	return 0;
}

static int
show_personality(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%08x\n", proc_task(x)->personality);
	return 0;
}

static int
show_io(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const char *const names[] = {
		"rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes"};
	int err = proc_may_look(x, 0);
	struct usage u;

	if (err)
		return err;
	if (x->row->arg)
		task_counts(proc_task(x), &u);
	else
		tgroup_counts(proc_task(x)->tgroup, &u);
	for (int i = 0; i < 6; i++)
		sbuf_printf(
			b, "%s: %llu\n", names[i], (unsigned long long)u.count[COUNT_RCHAR + i]);
	sbuf_puts(b, "cancelled_write_bytes: 0\n");
	return 0;
}

static int
show_schedstat(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = proc_task(x);

	sbuf_printf(b, "%lld 0 %llu\n", (long long)task_seen_cpu_ns(t),
		(unsigned long long)t->count[COUNT_WAITS]);
	return 0;
}

static int
show_syscall(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = proc_task(x);
	int err = proc_may_look(x, 0);

	if (err)
		return err;
	if (!t->in_syscall) {
		sbuf_puts(b, "running\n");
		return 0;
	}
	sbuf_printf(b, "%u", t->nr);
	for (int i = 0; i < 6; i++)
		sbuf_printf(b, " 0x%llx", (unsigned long long)t->args[i]);
	sbuf_puts(b, " 0x0 0x0\n");
	return 0;
}

static int
show_children(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = proc_task(x);
	struct tgroup *c;

	mutex_lock(&tasklist_lock);
	list_for_each_entry (c, &t->tgroup->children, sibling)
		if (c->creator_tid == t->tid && c->pid[PID_TGID])
			sbuf_printf(b, "%d ", proc_nr(x, c->pid[PID_TGID]));
	mutex_unlock(&tasklist_lock);
	return 0;
}

static ssize_t
mem_pread(const struct pseudo_ctx *x, struct uio *u, int64_t pos)
{
	struct mm *mm = proc_bound_mm(x);
	ssize_t done = 0;
	char buf[LX_PAGE_SIZE];

	if (!mm)
		return 0;
	while (u->left) {
		size_t n = u->left < sizeof buf ? u->left : sizeof buf;
		size_t got = proc_read_mem(proc_task(x), mm, (uint64_t)(pos + done), buf, n);
		ssize_t k = got ? uio_copy_to(u, buf, got) : 0;

		if (k > 0)
			done += k;
		if (k < (ssize_t)n) {
			if (!done)
				done = k < 0 ? k : -EIO;
			break;
		}
	}
	mm_put(mm);
	return done;
}

static ssize_t
mem_pwrite(const struct pseudo_ctx *x, struct uio *u, int64_t pos)
{
	struct mm *mm = proc_bound_mm(x);
	ssize_t done = 0;
	char buf[LX_PAGE_SIZE];

	if (!mm)
		return 0;
	while (u->left) {
		size_t n = LX_PAGE_SIZE - ((uint64_t)(pos + done) & (LX_PAGE_SIZE - 1));
		ssize_t k;

		if (n > u->left)
			n = u->left;
		k = uio_copy_from(u, buf, n);
		if (k > 0 && task_poke_forced(task_current(), proc_task(x), mm,
				     (uint64_t)(pos + done), buf, (uint64_t)k))
			k = -EIO;
		if (k <= 0) {
			if (!done)
				done = k;
			break;
		}
		done += k;
	}
	mm_put(mm);
	return done;
}

/* --- ns/: namespaces as files --- */

/* A process that has ended is in those alone that its number and its rights are of. */
static int
ns_ref_of(const struct pseudo_ctx *x, struct ns_ref *ret)
{
	enum ns_kind kind = (enum ns_kind)x->row->arg;
	struct task *t = proc_task(x);
	int err = proc_may_look(x, 0);

	if (!err && has_ended(t) && kind != NS_PID && kind != NS_USER)
		err = -ENOENT;
	return err ? err : ns_of_task(t, kind, ret);
}

static ssize_t
ns_text(const struct pseudo_ctx *x, char *buf, size_t cap)
{
	struct ns_ref r;
	int err = ns_ref_of(x, &r);

	if (err)
		return err;
	ns_ref_put(&r);
	return snprintf(buf, cap, "%s:[%llu]", ns_name(r.kind), (unsigned long long)r.id);
}

static int
ns_go(const struct pseudo_ctx *x, struct path *ret)
{
	struct ns_ref r;
	int err = ns_ref_of(x, &r);

	return err ? err : nsfs_path(&r, ret);
}

#define NS(n, k)                                                                                   \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFLNK | 0777, .readlink = ns_text, .magic = ns_go,       \
		.attr = proc_owner, .arg = (k)                                                     \
	}

static const struct pseudo_row ns_rows[] = {
	NS("cgroup", NS_CGROUP),
	NS("ipc", NS_IPC),
	NS("mnt", NS_MNT),
	NS("net", NS_NET),
	NS("pid", NS_PID),
	NS("pid_for_children", NS_PID_CHILDREN),
	NS("time", NS_TIME),
	NS("time_for_children", NS_TIME_CHILDREN),
	NS("user", NS_USER),
	NS("uts", NS_UTS),
	{.name = NULL},
};

/* --- timens_offsets: of where its children go --- */

static void
show_offset(struct sbuf *b, const char *clock, int64_t ns)
{
	int64_t nsec = ns % 1000000000, sec = ns / 1000000000;

	if (nsec < 0) {
		nsec += 1000000000;
		sec--;
	}
	sbuf_printf(b, "%-10s %10lld %9lld\n", clock, (long long)sec, (long long)nsec);
}

static int
show_time_offsets(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct time_ns_offsets o;
	struct ns_ref r;

	if (has_ended(proc_task(x)))
		return 0;
	(void)ns_of_task(proc_task(x), NS_TIME_CHILDREN, &r);
	o = time_ns_offsets(r.ns);
	ns_ref_put(&r);
	show_offset(b, "monotonic", o.monotonic_ns);
	show_offset(b, "boottime", o.boottime_ns);
	return 0;
}

static ssize_t
write_time_offsets(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct ns_ref r;
	char *text;
	ssize_t done;

	if (pos || len >= LX_PAGE_SIZE)
		return -EINVAL;
	text = strdup(buf);
	if (!text)
		return -ENOMEM;
	(void)ns_of_task(proc_task(x), NS_TIME_CHILDREN, &r);
	done = time_ns_write(r.ns, proc_asker(x), text, len);
	ns_ref_put(&r);
	free(text);
	return done;
}

#define RWA(n, f, w, a)                                                                            \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .show = (f), .write = (w),                 \
		.attr = proc_owner, .arg = (a), .outlives = true                                   \
	}
#define REG(n, m, f)                                                                               \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = (f), .attr = proc_owner             \
	}
#define REGA(n, m, f, a)                                                                           \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = (f), .attr = proc_owner,            \
		.arg = (uintptr_t)(a)                                                              \
	}
#define GUARDED(n, m, f, a)                                                                        \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = (f), .attr = proc_owner,            \
		.check = proc_may_look, .arg = (uintptr_t)(a)                                      \
	}
#define MOUNTS(n, m, a)                                                                            \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = show_mounts, .attr = proc_owner,    \
		.check = has_mounts, .arg = (uintptr_t)(a), .bind = bind_mounts,                   \
		.unbind = unbind_mounts, .poll = (a) == MNT_SHOW_MOUNTSTATS ? NULL : poll_mounts   \
	}
/* Of the memory that it has when the file is opened: rights are checked then. */
#define MEMORY(n, m, f, a)                                                                         \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | (m), .show = (f), .attr = proc_owner,            \
		.check = proc_may_look, .bind = proc_bind_mm, .arg = (uintptr_t)(a)                \
	}

/* What a process and each of its threads have. */
#define COMMON_ROWS                                                                                \
	REG("status", 0444, proc_show_status), REG("statm", 0444, proc_show_statm),                \
		REGA("cmdline", 0444, show_range, 0),                                              \
		{.name = "environ",                                                                \
			.mode = LX_S_IFREG | 0400,                                                 \
			.show = show_range,                                                        \
			.arg = 1,                                                                  \
			.attr = proc_owner,                                                        \
			.check = has_memory,                                                       \
			.bind = proc_bind_mm,                                                      \
			.outlives = true},                                                         \
		{.name = "auxv",                                                                   \
			.mode = LX_S_IFREG | 0400,                                                 \
			.show = show_auxv,                                                         \
			.attr = proc_owner,                                                        \
			.check = has_memory,                                                       \
			.bind = proc_bind_mm,                                                      \
			.at_open = true},                                                          \
		{.name = "comm",                                                                   \
			.mode = LX_S_IFREG | 0644,                                                 \
			.show = show_comm,                                                         \
			.write = write_comm,                                                       \
			.attr = proc_owner},                                                       \
		MEMORY("maps", 0444, proc_show_maps, 0),                                           \
		MEMORY("smaps", 0444, proc_show_smaps, 0),                                         \
		{.name = "smaps_rollup",                                                           \
			.mode = LX_S_IFREG | 0444,                                                 \
			.show = proc_show_smaps,                                                   \
			.arg = 1,                                                                  \
			.attr = proc_owner,                                                        \
			.check = has_memory,                                                       \
			.bind = proc_bind_mm},                                                     \
		REG("limits", 0644, show_limits),                                                  \
		{.name = "exe",                                                                    \
			.mode = LX_S_IFLNK | 0777,                                                 \
			.readlink = exe_text,                                                      \
			.magic = exe_go,                                                           \
			.attr = proc_owner},                                                       \
		{.name = "cwd",                                                                    \
			.mode = LX_S_IFLNK | 0777,                                                 \
			.readlink = fs_text,                                                       \
			.magic = fs_go,                                                            \
			.attr = proc_owner},                                                       \
		{.name = "root",                                                                   \
			.mode = LX_S_IFLNK | 0777,                                                 \
			.readlink = fs_text,                                                       \
			.magic = fs_go,                                                            \
			.arg = 1,                                                                  \
			.attr = proc_owner},                                                       \
		{.name = "fd",                                                                     \
			.mode = LX_S_IFDIR | 0500,                                                 \
			.dir = &proc_fd_dir,                                                       \
			.always = is_own,                                                          \
			.attr = proc_owner},                                                       \
		{.name = "fdinfo",                                                                 \
			.mode = LX_S_IFDIR | 0555,                                                 \
			.dir = &proc_fdinfo_dir,                                                   \
			.attr = proc_owner},                                                       \
		MOUNTS("mounts", 0444, MNT_SHOW_MOUNTS),                                           \
		MOUNTS("mountinfo", 0444, MNT_SHOW_MOUNTINFO),                                     \
		{.name = "ns", .mode = LX_S_IFDIR | 0511, .rows = ns_rows, .attr = proc_owner},    \
		{.name = "net",                                                                    \
			.mode = LX_S_IFDIR | 0555,                                                 \
			.part = PSEUDO_NET,                                                        \
			.rows = proc_net_rows,                                                     \
			.attr = proc_owner},                                                       \
		{.name = "mem",                                                                    \
			.mode = LX_S_IFREG | 0600,                                                 \
			.pread = mem_pread,                                                        \
			.pwrite = mem_pwrite,                                                      \
			.check = has_memory,                                                       \
			.bind = proc_bind_mm,                                                      \
			.attr = proc_owner},                                                       \
		{.name = "oom_score_adj",                                                          \
			.mode = LX_S_IFREG | 0644,                                                 \
			.show = proc_show_oom_score_adj,                                           \
			.write = proc_write_oom_score_adj,                                         \
			.attr = proc_owner},                                                       \
		REG("oom_score", 0444, proc_show_oom_score),                                       \
		REG("schedstat", 0444, show_schedstat), GUARDED("syscall", 0400, show_syscall, 0), \
		GUARDED("personality", 0400, show_personality, 0),                                 \
		REGA("wchan", 0444, show_text, "0"), REGA("cgroup", 0444, show_text, "0::/\n"),    \
		{.name = "loginuid",                                                               \
			.mode = LX_S_IFREG | 0644,                                                 \
			.show = proc_show_loginuid,                                                \
			.write = proc_write_loginuid,                                              \
			.attr = proc_owner},                                                       \
		REG("sessionid", 0444, proc_show_sessionid),                                       \
		RWA("uid_map", proc_show_id_map, proc_write_id_map, 0),                            \
		RWA("gid_map", proc_show_id_map, proc_write_id_map, 1),                            \
		{.name = "setgroups",                                                              \
			.mode = LX_S_IFREG | 0644,                                                 \
			.show = proc_show_setgroups,                                               \
			.write = proc_write_setgroups,                                             \
			.open = proc_open_setgroups,                                               \
			.attr = proc_owner,                                                        \
			.outlives = true},                                                         \
		{.name = "attr",                                                                   \
			.mode = LX_S_IFDIR | 0555,                                                 \
			.rows = proc_attr_rows,                                                    \
			.attr = proc_owner},                                                       \
		REGA("cpuset", 0444, show_text, "/\n"),                                            \
		{.name = "projid_map",                                                             \
			.mode = LX_S_IFREG | 0444,                                                 \
			.show = show_text,                                                         \
			.arg = (uintptr_t) "         0          0 4294967295\n",                   \
			.attr = proc_owner,                                                        \
			.outlives = true},                                                         \
		REGA("arch_status", 0444, show_text, "AVX512_elapsed_ms:\t-1\n"),                  \
		REG("sched", 0444, proc_show_sched),                                               \
		MEMORY("numa_maps", 0444, proc_show_numa_maps, 0),                                 \
		{.name = "pagemap",                                                                \
			.mode = LX_S_IFREG | 0400,                                                 \
			.pread = proc_pagemap_pread,                                               \
			.check = has_memory,                                                       \
			.bind = proc_bind_mm,                                                      \
			.attr = proc_owner},                                                       \
		REG("children", 0444, show_children)

const struct pseudo_row proc_tid_rows[] = {COMMON_ROWS, REGA("stat", 0444, proc_show_stat, 1),
	REGA("io", 0400, show_io, 1), {.name = NULL}};

const struct pseudo_row proc_pid_rows[] = {
	COMMON_ROWS,
	REGA("stat", 0444, proc_show_stat, 0),
	REG("io", 0400, show_io),
	MOUNTS("mountstats", 0400, MNT_SHOW_MOUNTSTATS),
	{.name = "timerslack_ns",
		.mode = LX_S_IFREG | 0666,
		.show = proc_show_slack,
		.write = proc_write_slack,
		.attr = proc_owner},
	REG("timers", 0444, proc_show_timers),
	{.name = "timens_offsets",
		.mode = LX_S_IFREG | 0644,
		.show = show_time_offsets,
		.write = write_time_offsets,
		.attr = proc_owner},
	{.name = "coredump_filter",
		.mode = LX_S_IFREG | 0644,
		.show = proc_show_coredump_filter,
		.write = proc_write_coredump_filter,
		.attr = proc_owner},
	{.name = "task", .mode = LX_S_IFDIR | 0555, .dir = &proc_task_dir, .attr = task_dir_attr},
	{.name = NULL},
};

/* --- task/ --- */

static const struct pseudo_row tid_dir_row = {
	.mode = LX_S_IFDIR | 0555, .rows = proc_tid_rows, .attr = proc_owner};

static int
tid_lookup(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	struct tgroup *g = proc_task(x)->tgroup;
	char *end;
	long nr = strtol(name, &end, 10);
	struct task *t;
	struct pid *p;

	if (*end || nr <= 0 || nr > INT32_MAX)
		return -ENOENT;
	mutex_lock(&tasklist_lock);
	p = pid_find_in_locked(proc_pid_ns(x), (int32_t)nr);
	t = p ? p->task : NULL;
	if (t && t->tgroup == g)
		task_get(t);
	else
		t = NULL;
	mutex_unlock(&tasklist_lock);
	if (!t)
		return -ENOENT;
	*ret = (struct pseudo_child){
		.row = &tid_dir_row, .obj = t, .obj_ops = &proc_task_ops, .key = (uint64_t)nr};
	return 0;
}

static bool
tid_next(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	struct tgroup *g = proc_task(x)->tgroup;
	struct task *t;
	int32_t best = INT32_MAX, nr;

	mutex_lock(&tasklist_lock);
	list_for_each_entry (t, &g->threads, tg_node)
		if ((nr = proc_nr(x, t->pid)) >= *pos && nr < best)
			best = nr;
	if (g->leader && (nr = proc_nr(x, g->leader->pid)) >= *pos && nr < best)
		best = nr;
	mutex_unlock(&tasklist_lock);
	if (best == INT32_MAX)
		return false;
	*pos = best;
	snprintf(name, cap, "%d", best);
	*type = LX_DT_DIR;
	return true;
}

const struct pseudo_dir proc_task_dir = {
	.lookup = tid_lookup, .next = tid_next, .still = proc_still};
