/* SPDX-License-Identifier: Apache-2.0 */
/* Life of processes: fork and clone, execve, exit, wait; pidfds; who am I. */
#include "abi/fs.h"
#include "abi/sched.h"
#include "platform/host/file.h"
#include "sentry/fs/proc.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/wait.h"
#include "sentry/syscall/internal.h"
#include "sentry/vfs/path.h"
#include <stdlib.h>
#include <string.h>

int64_t
sys_fork(struct task *t, const uint64_t a[6])
{
	struct clone_request r = {.exit_signal = LX_SIGCHLD};

	(void)a;
	return task_clone(t, &r);
}

int64_t
sys_vfork(struct task *t, const uint64_t a[6])
{
	struct clone_request r = {.flags = LX_CLONE_VFORK | LX_CLONE_VM, .exit_signal = LX_SIGCHLD};

	(void)a;
	return task_clone(t, &r);
}

int64_t
sys_clone(struct task *t, const uint64_t a[6])
{
	struct clone_request r = {
		.flags = a[0] & 0xffffffff & ~LX_CSIGNAL,
		.exit_signal = (int)(a[0] & LX_CSIGNAL),
		.stack = a[1],
		.parent_tid = a[2],
		.pidfd = a[2],
		.child_tid = a[3],
		.tls = a[4],
	};

	if ((r.flags & LX_CLONE_PIDFD) && (r.flags & LX_CLONE_PARENT_SETTID))
		return -EINVAL;
	if (r.exit_signal > LX_NSIG)
		return -EINVAL;
	return task_clone(t, &r);
}

int64_t
sys_clone3(struct task *t, const uint64_t a[6])
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
			set_tid, set_tid_size, cgroup;
	} k = {0};
	uint8_t rest[LX_PAGE_SIZE];
	uint64_t size = a[1];
	struct clone_request r;

	if (size > LX_PAGE_SIZE)
		return -E2BIG;
	if (size < 64)
		return -EINVAL;
	if (copy_in(&t->mem.um, rest, ua(a[0]), size))
		return -EFAULT;
	memcpy(&k, rest, size < sizeof k ? size : sizeof k);
	for (uint64_t i = sizeof k; i < size; i++)
		if (rest[i])
			return -E2BIG;
	if (k.flags & ~(0x1ffffff00ULL | LX_CLONE_INTO_CGROUP | LX_CLONE_NEWTIME))
		return -EINVAL;
	if ((k.flags & (LX_CLONE_DETACHED | LX_CSIGNAL) & ~LX_CLONE_NEWTIME) ||
		k.exit_signal > LX_NSIG)
		return -EINVAL;
	if ((k.flags & (LX_CLONE_SIGHAND | LX_CLONE_CLEAR_SIGHAND)) ==
		(LX_CLONE_SIGHAND | LX_CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((k.flags & (LX_CLONE_THREAD | LX_CLONE_PARENT)) && k.exit_signal)
		return -EINVAL;
	if (!k.stack != !k.stack_size)
		return -EINVAL;
	if (k.flags & LX_CLONE_INTO_CGROUP)
		return -EINVAL;
	if (!k.set_tid != !k.set_tid_size || k.set_tid_size > 32)
		return -EINVAL;
	r = (struct clone_request){
		.flags = k.flags,
		.exit_signal = (int)k.exit_signal,
		.stack = k.stack ? k.stack + k.stack_size : 0,
		.tls = k.tls,
		.parent_tid = k.parent_tid,
		.child_tid = k.child_tid,
		.pidfd = k.pidfd,
	};
	if (k.set_tid_size) {
		int32_t tid;

		if (k.set_tid_size > 1) /* one pid namespace */
			return -EINVAL;
		if (copy_in(&t->mem.um, &tid, ua(k.set_tid), sizeof tid))
			return -EFAULT;
		if (tid < 1)
			return -EINVAL;
		if (!cred_capable(t->cred, LX_CAP_SYS_ADMIN) &&
			!cred_capable(t->cred, LX_CAP_CHECKPOINT_RESTORE))
			return -EPERM;
		r.set_tid = tid;
	}
	return task_clone(t, &r);
}

/* Strings of an argument list mostly lie side by side: each page of guest memory is read once. */
struct string_reader {
	uint64_t page; /* whose contents are in data; 1: none */
	char data[LX_PAGE_SIZE];
	char buf[LOADER_MAX_STRLEN];
};

/* Into r->buf: length without the NUL, -EFAULT, -E2BIG. */
static ssize_t
read_string(struct task *t, struct string_reader *r, uint64_t addr)
{
	size_t done = 0;

	while (done < sizeof r->buf) {
		uint64_t at = addr + done, page = at & ~(LX_PAGE_SIZE - 1);
		size_t off = at & (LX_PAGE_SIZE - 1), n = LX_PAGE_SIZE - off;
		char *end;

		if (page != r->page) {
			r->page = 1;
			if (copy_in(&t->mem.um, r->data, ua(page), LX_PAGE_SIZE))
				return -EFAULT;
			r->page = page;
		}
		if (n > sizeof r->buf - done)
			n = sizeof r->buf - done;
		end = memchr(r->data + off, 0, n);
		if (end)
			n = (size_t)(end - (r->data + off)) + 1;
		memcpy(r->buf + done, r->data + off, n);
		done += n;
		if (end)
			return (ssize_t)done - 1;
	}
	return -E2BIG;
}

/* argv or envp: pointers until NULL, each to a string. */
static int
copy_in_strings(struct task *t, struct strings *s, uint64_t addr)
{
	void *mem __attribute__((cleanup(host_free_ptr))) = NULL;
	struct string_reader *r;
	uint64_t ptrs[64];
	int err = 0;

	if (!addr)
		return 0;
	mem = r = malloc(sizeof *r);
	if (!r)
		return -ENOMEM;
	r->page = 1;
	for (;;) {
		/* Up to the end of a page at a time: what is behind the NULL need not be mapped. */
		size_t n = (LX_PAGE_SIZE - (addr & (LX_PAGE_SIZE - 1))) / 8;

		if (n > sizeof ptrs / sizeof *ptrs)
			n = sizeof ptrs / sizeof *ptrs;
		if (n == 0)
			n = 1;
		if (copy_in(&t->mem.um, ptrs, ua(addr), n * 8))
			return -EFAULT;
		for (size_t i = 0; i < n; i++) {
			ssize_t len;

			if (!ptrs[i])
				return 0;
			len = read_string(t, r, ptrs[i]);
			if (len < 0)
				return (int)len;
			err = loader_strings_add(s, r->buf, (size_t)len);
			if (err)
				return err;
		}
		addr += n * 8;
	}
}

static int64_t
exec_common(struct task *t, const struct path *base, const char *path, uint32_t lookup,
	uint64_t argv, uint64_t envp)
{
	struct program p = {0};
	size_t limit = exec_arg_limit(&t->tgroup->rlim);
	int err;

	p.args.limit = limit;
	err = copy_in_strings(t, &p.args, argv);
	p.envs.limit = limit > p.args.len ? limit - p.args.len : 0;
	if (!err)
		err = copy_in_strings(t, &p.envs, envp);
	if (!err && !p.args.count)
		err = loader_strings_add(&p.args, "", 0); /* Linux 5.18: never an empty argv */
	if (err) {
		program_free(&p);
		return err;
	}
	return task_exec(t, &p, base, path, lookup);
}

int64_t
sys_execve(struct task *t, const uint64_t a[6])
{
	char path[LX_PATH_MAX];
	ssize_t n = copy_in_str(&t->mem.um, path, ua(a[0]), sizeof path);

	if (n < 0)
		return n;
	return exec_common(t, NULL, path, LOOKUP_FOLLOW, a[1], a[2]);
}

int64_t
sys_execveat(struct task *t, const uint64_t a[6])
{
	char path[LX_PATH_MAX];
	uint32_t flags = (uint32_t)a[4],
		 lookup = flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct path base = {0};
	struct file *f = NULL;
	ssize_t n;
	int64_t r;

	if (flags & ~(uint32_t)(LX_AT_EMPTY_PATH | LX_AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	n = copy_in_str(&t->mem.um, path, ua(a[1]), sizeof path);
	if (n < 0)
		return n;
	if (arg_int(a[0]) != LX_AT_FDCWD && path[0] != '/') {
		f = task_file_raw(t, arg_int(a[0]));
		if (!f)
			return -EBADF;
		base = f->path;
	}
	if (flags & LX_AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	r = exec_common(t, f ? &base : NULL, path, lookup, a[2], a[3]);
	if (f)
		file_put(f);
	return r;
}

int64_t
sys_exit(struct task *t, const uint64_t a[6])
{
	task_exit_thread(t, (int)(a[0] & 0xff) << 8);
	return 0;
}

int64_t
sys_exit_group(struct task *t, const uint64_t a[6])
{
	task_exit_group(t, (int)(a[0] & 0xff) << 8);
	return 0;
}

static int
rusage_out(struct task *t, uint64_t addr, const struct wait_result *w)
{
	struct {
		struct lx_timeval utime, stime;
		int64_t rest[14];
	} ru = {0};

	if (!addr)
		return 0;
	ru.utime = (struct lx_timeval){w->utime_ns / 1000000000, w->utime_ns % 1000000000 / 1000};
	ru.stime = (struct lx_timeval){w->stime_ns / 1000000000, w->stime_ns % 1000000000 / 1000};
	ru.rest[0] = (int64_t)w->used.maxrss_kb;
	ru.rest[4] = (int64_t)w->used.minflt;
	ru.rest[5] = (int64_t)w->used.majflt;
	ru.rest[7] = (int64_t)(w->used.count[COUNT_READ_BYTES] / 512);
	ru.rest[8] = (int64_t)(w->used.count[COUNT_WRITE_BYTES] / 512);
	ru.rest[12] = (int64_t)w->used.count[COUNT_WAITS];
	return copy_out(&t->mem.um, ua(addr), &ru, sizeof ru);
}

int64_t
sys_wait4(struct task *t, const uint64_t a[6])
{
	uint32_t options = (uint32_t)a[2];
	struct wait_request r = {.options = options | LX_WEXITED, .caller_tid = t->tid};
	struct wait_result w = {0};
	int32_t pid = arg_int(a[0]);
	int found;

	if (options &
		~(LX_WNOHANG | LX_WSTOPPED | LX_WCONTINUED | LX_WNOTHREAD | LX_WCLONE | LX_WALL))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == -1) {
		r.which = WAIT_ANY;
	} else if (pid > 0) {
		r.which = WAIT_PID;
		r.id = pid;
	} else {
		r.which = WAIT_PGID;
		mutex_lock(&tasklist_lock);
		r.id = pid ? -pid : pid_vnr(t->tgroup->pid[PID_PGID]);
		mutex_unlock(&tasklist_lock);
	}
	found = task_wait_child(t, &r, &w);
	if (found <= 0)
		return found;
	if (a[1] && copy_out(&t->mem.um, ua(a[1]), &w.wstatus, sizeof w.wstatus))
		return -EFAULT;
	if (rusage_out(t, a[3], &w))
		return -EFAULT;
	return w.pid;
}

int64_t
sys_waitid(struct task *t, const uint64_t a[6])
{
	enum {
		P_ALL,
		P_PID,
		P_PGID,
		P_PIDFD,
	};
	uint32_t options = (uint32_t)a[3];
	struct wait_request r = {.options = options, .id = arg_int(a[1]), .caller_tid = t->tid};
	struct wait_result w = {0};
	struct lx_siginfo info = {0};
	int found;

	if (options & ~(LX_WNOHANG | LX_WNOWAIT | LX_WEXITED | LX_WSTOPPED | LX_WCONTINUED |
			      LX_WNOTHREAD | LX_WCLONE | LX_WALL))
		return -EINVAL;
	if (!(options & (LX_WEXITED | LX_WSTOPPED | LX_WCONTINUED)))
		return -EINVAL;
	switch (arg_int(a[0])) {
	case P_ALL:
		r.which = WAIT_ANY;
		break;
	case P_PID:
		r.which = WAIT_PID;
		if (r.id <= 0)
			return -EINVAL;
		break;
	case P_PGID:
		r.which = WAIT_PGID;
		if (r.id < 0)
			return -EINVAL;
		if (r.id == 0) {
			mutex_lock(&tasklist_lock);
			r.id = pid_vnr(t->tgroup->pid[PID_PGID]);
			mutex_unlock(&tasklist_lock);
		}
		break;
	case P_PIDFD: {
		struct file *f;
		struct pid *p;

		if (r.id < 0)
			return -EINVAL;
		f = task_file(t, r.id);
		if (!f)
			return -EBADF;
		p = pidfd_pid(f);
		r.which = WAIT_PID;
		r.id = pid_vnr(p);
		if (p && (atomic_load(&f->flags) & LX_O_NONBLOCK))
			r.options |= LX_WNOHANG | 0x80000; /* below: answer EAGAIN */
		file_put(f);
		if (!r.id)
			return -EBADF;
		break;
	}
	default:
		return -EINVAL;
	}
	{
		bool again = r.options & 0x80000;

		r.options &= ~0x80000u;
		found = task_wait_child(t, &r, &w);
		if (!found && again && !(options & LX_WNOHANG))
			return -EAGAIN;
	}
	if (found < 0)
		return found;
	if (found) {
		info.signo = LX_SIGCHLD;
		info.code = w.code;
		info.chld.pid = w.pid;
		info.chld.uid = uid_out(t->cred->user_ns, w.uid);
		info.chld.status = w.status;
	}
	if (found && rusage_out(t, a[4], &w))
		return -EFAULT;
	if (a[2] && copy_out(&t->mem.um, ua(a[2]), &info, sizeof info))
		return -EFAULT;
	return 0;
}

int64_t
sys_getpid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return task_vtgid(t);
}

int64_t
sys_gettid(struct task *t, const uint64_t a[6])
{
	(void)a;
	return task_vtid(t);
}

int64_t
sys_getppid(struct task *t, const uint64_t a[6])
{
	struct tgroup *p;
	int64_t r;

	(void)a;
	mutex_lock(&tasklist_lock);
	p = t->tgroup->parent;
	r = p ? pid_vnr(p->pid[PID_TGID]) : 0;
	mutex_unlock(&tasklist_lock);
	return r;
}

int64_t
sys_set_tid_address(struct task *t, const uint64_t a[6])
{
	t->clear_child_tid = ua(a[0]);
	return task_vtid(t);
}

int64_t
sys_set_robust_list(struct task *t, const uint64_t a[6])
{
	if (a[1] != 24)
		return -EINVAL;
	t->robust_list = ua(a[0]);
	t->robust_len = a[1];
	return 0;
}

int64_t
sys_rseq(struct task *t, const uint64_t a[6])
{
	uint8_t area[32]; /* the first version's, which the host writes to at least */

	if ((uint32_t)a[2] & ~(uint32_t)LX_RSEQ_UNREGISTER)
		return -EINVAL;
	/* A guest's threads are threads of the host, so the host does what rseq(2) says. It is the
	 * one who writes when they are preempted, with what is mapped at that time. */
	if (!(a[2] & LX_RSEQ_UNREGISTER) && (uint32_t)a[1] >= sizeof area) {
		if (a[0] >= plat->guest_top() || plat->guest_top() - a[0] < (uint32_t)a[1] ||
			copy_in(&t->mem.um, area, ua(a[0]), sizeof area) ||
			copy_out(&t->mem.um, ua(a[0]), area, sizeof area))
			return -EFAULT;
	}
	return plat->rseq(t->pt, a[0], (uint32_t)a[1], (uint32_t)a[2], (uint32_t)a[3]);
}

int64_t
sys_get_robust_list(struct task *t, const uint64_t a[6])
{
	struct task *o = arg_int(a[0]) ? task_find_get(arg_int(a[0])) : task_get(t);
	uint64_t len = 24, head;
	int64_t r = 0;

	if (!o)
		return -ESRCH;
	head = o->robust_list.v;
	if (!task_may_access(t, o))
		r = -EPERM;
	else if (copy_out(&t->mem.um, ua(a[2]), &len, sizeof len) ||
		 copy_out(&t->mem.um, ua(a[1]), &head, sizeof head))
		r = -EFAULT;
	task_put(o);
	return r;
}

int64_t
sys_pidfd_open(struct task *t, const uint64_t a[6])
{
	int32_t nr = arg_int(a[0]);
	struct pid *p;
	struct file *f;
	int err = 0;

	if (((uint32_t)a[1] & ~(uint32_t)LX_O_NONBLOCK) || nr <= 0)
		return -EINVAL;
	mutex_lock(&tasklist_lock);
	p = pid_find_locked(nr);
	if (!p || (!p->task && !p->tgroup))
		err = -ESRCH;
	else if (!p->tgroup)
		err = -EINVAL;
	else
		ref_get(&p->ref);
	mutex_unlock(&tasklist_lock);
	if (err)
		return err;
	err = pidfd_new(p, (uint32_t)a[1], &f);
	pid_unref(p);
	return err ? err : task_fd_install_put(t, f, true);
}

/* The process behind a pidfd, or with dirs a directory of /proc, a reference; NULL with *err. */
static struct tgroup *
pidfd_group(struct task *t, int fd, bool dirs, int64_t *err)
{
	struct file *f = task_file(t, fd);
	struct tgroup *g = NULL;
	struct pid *p;

	*err = -EBADF;
	if (!f)
		return NULL;
	p = pidfd_pid(f);
	if (p) {
		*err = -ESRCH;
		mutex_lock(&tasklist_lock);
		if (p->tgroup)
			g = tgroup_get(p->tgroup);
		mutex_unlock(&tasklist_lock);
	} else if (dirs) {
		g = proc_tgroup_of(f);
	}
	file_put(f);
	return g;
}

int64_t
sys_pidfd_send_signal(struct task *t, const uint64_t a[6])
{
	struct lx_siginfo info;
	int signo = arg_int(a[1]);
	int64_t err;
	struct tgroup *g;

	if ((uint32_t)a[3])
		return -EINVAL;
	g = pidfd_group(t, arg_int(a[0]), true, &err);
	if (!g)
		return err;
	err = -EINVAL;
	if (a[2]) {
		if (copy_in(&t->mem.um, &info, ua(a[2]), sizeof info)) {
			err = -EFAULT;
			goto out;
		}
		if (info.signo != signo)
			goto out;
		err = -EPERM;
		if ((info.code >= 0 || info.code == LX_SI_TKILL) && g != t->tgroup)
			goto out;
	} else {
		signal_info_user(&info, t, signo, LX_SI_USER);
	}
	err = -EINVAL;
	if (signo < 0 || signo > LX_NSIG)
		goto out;
	mutex_lock(&tasklist_lock);
	err = g->state >= TG_DEAD || !g->leader ? -ESRCH
	      : signal_permitted(t, g, signo)	? 0
						: -EPERM;
	mutex_unlock(&tasklist_lock);
	if (!err)
		err = signal_send_tgroup(g, signo, &info);
out:
	tgroup_put(g);
	return err;
}

int64_t
sys_pidfd_getfd(struct task *t, const uint64_t a[6])
{
	struct task *o = NULL;
	struct file *f = NULL;
	struct fdtable *files = NULL;
	int64_t r;
	struct tgroup *g;

	if ((uint32_t)a[2])
		return -EINVAL;
	g = pidfd_group(t, arg_int(a[0]), false, &r);
	if (!g)
		return r;
	mutex_lock(&tasklist_lock);
	if (g->leader)
		o = task_get(g->leader);
	mutex_unlock(&tasklist_lock);
	tgroup_put(g);
	if (!o)
		return -ESRCH;
	r = -EPERM;
	if (task_may_access(t, o)) {
		files = task_files_get(o);
		r = files ? -EBADF : -ESRCH;
		if (files)
			f = fdtable_file(files, arg_int(a[1]));
		fdtable_put(files, NULL);
		if (f && !task_may_access(t, o)) { /* it may be that of another program */
			file_put(f);
			f = NULL;
			r = -EPERM;
		}
		if (f)
			r = task_fd_install_put(t, f, true);
	}
	task_put(o);
	return r;
}
