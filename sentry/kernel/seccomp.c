/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp(2): chains of filters, who has them, and what they say about a syscall. A task's mode and
 * chain change under its sighand's lock, by its own fiber or by another thread's TSYNC; the own
 * fiber reads them without: what it finds is a chain of which the later one is a part.
 */
#include "sentry/bpf/seccomp.h"
#include "sentry/cred/user_ns.h"
#include "sentry/kernel/seccomp_priv.h"
#include "sentry/vfs/file.h"
#include <stdlib.h>
#include <string.h>

#define MAX_INSNS_PER_PATH (1u << 15)
#define FILTER_PENALTY	   4u
#define MAX_ERRNO	   4095u

#define FLAGS_KNOWN                                                                                \
	(LX_SECCOMP_FILTER_FLAG_TSYNC | LX_SECCOMP_FILTER_FLAG_LOG |                               \
		LX_SECCOMP_FILTER_FLAG_SPEC_ALLOW | LX_SECCOMP_FILTER_FLAG_NEW_LISTENER |          \
		LX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH | LX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)

/* What a stub may answer without the sentry (platform/trap/stub/serve.c, try_answer). */
static const uint16_t stub_answers[] = {
	39,  /* getpid */
	186, /* gettid */
	110, /* getppid */
	102, /* getuid */
	107, /* geteuid */
	104, /* getgid */
	108, /* getegid */
	111, /* getpgrp */
	121, /* getpgid */
	124, /* getsid */
	24,  /* sched_yield */
	228, /* clock_gettime */
	202, /* futex */
};

static bool
allows(const struct seccomp_filter *f, uint32_t nr)
{
	return nr < SECCOMP_NRS && (f->allow[nr / 64] >> (nr % 64) & 1);
}

static int
filter_new(
	const struct lx_sock_filter *insns, size_t len, uint32_t flags, struct seccomp_filter **ret)
{
	struct seccomp_filter *f;
	int err;

	if (len == 0 || len > LX_BPF_MAXINSNS)
		return -EINVAL;
	f = calloc(1, sizeof *f + len * sizeof *insns);
	if (!f)
		return -ENOMEM;
	memcpy(f->insns, insns, len * sizeof *insns);
	f->len = len;
	err = bpf_check(f->insns, len, &f->reads_ip);
	if (err) {
		free(f);
		return err;
	}
	ref_init(&f->ref);
	f->users = 1;
	f->total = bpf_weight(f->insns, len);
	f->log = flags & LX_SECCOMP_FILTER_FLAG_LOG;
	f->wait_killable = flags & LX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	for (uint32_t nr = 0; nr < SECCOMP_NRS; nr++)
		if (bpf_always_allows(f->insns, len, (int32_t)nr))
			f->allow[nr / 64] |= 1ULL << (nr % 64);
	*ret = f;
	return 0;
}

static void
filter_put(struct seccomp_filter *f)
{
	while (f && ref_put(&f->ref)) {
		struct seccomp_filter *prev = f->prev;

		seccomp_listener_put(f->listener);
		free(f);
		f = prev;
	}
}

static struct seccomp_filter *
filter_use(struct seccomp_filter *f)
{
	if (f) {
		ref_get(&f->ref);
		atomic_fetch_add(&f->users, 1);
	}
	return f;
}

static void
filter_unuse(struct seccomp_filter *f)
{
	for (struct seccomp_filter *o = f; o && atomic_fetch_sub(&o->users, 1) == 1; o = o->prev)
		if (o->listener)
			seccomp_listener_orphan(o->listener);
	filter_put(f);
}

/* f becomes the first of the chain that starts with prev, whose user it takes over. */
static void
chain(struct seccomp_filter *f, struct seccomp_filter *prev)
{
	f->stub_ok = true;
	if (prev) {
		f->prev = prev;
		f->total += prev->total + FILTER_PENALTY;
		f->reads_ip |= prev->reads_ip;
		for (unsigned i = 0; i < SECCOMP_NRS / 64; i++)
			f->allow[i] &= prev->allow[i];
	}
	for (unsigned i = 0; i < sizeof stub_answers / sizeof *stub_answers; i++)
		f->stub_ok &= allows(f, stub_answers[i]);
}

static void
assign(struct task *t, uint8_t mode, struct seccomp_filter *f)
{
	atomic_store(&t->seccomp, f);
	atomic_store(&t->seccomp_mode, mode);
	atomic_fetch_or(&t->syscall_work, SW_SECCOMP);
}

int
seccomp_start(struct task *t, struct seccomp_program *p, struct kernel_container *k)
{
	struct seccomp_filter *f;
	int err = filter_new(p->insns, p->len, p->flags, &f);

	if (err)
		return err;
	if (p->listener >= 0) {
		err = seccomp_listener_outside(f, p->listener, k);
		p->listener = -1;
	}
	if (err) {
		filter_put(f);
		return err;
	}
	chain(f, NULL);
	assign(t, LX_SECCOMP_MODE_FILTER, f);
	return 0;
}

bool
seccomp_stub_may_answer(const struct task *t)
{
	switch (atomic_load(&t->seccomp_mode)) {
	case LX_SECCOMP_MODE_DISABLED:
		return true;
	case LX_SECCOMP_MODE_FILTER:
		return atomic_load(&t->seccomp)->stub_ok;
	default:
		return false;
	}
}

uint32_t
seccomp_count(const struct task *t)
{
	struct sighand *s = t->tgroup->sighand;
	uint32_t n = 0;

	mutex_lock(&s->lock);
	for (struct seccomp_filter *f = atomic_load(&t->seccomp); f; f = f->prev)
		n++;
	mutex_unlock(&s->lock);
	return n;
}

/* --- installing --- */

int64_t
seccomp_set_strict(struct task *t)
{
	struct sighand *s = t->tgroup->sighand;
	bool ok;

	mutex_lock(&s->lock);
	ok = t->seccomp_mode != LX_SECCOMP_MODE_FILTER;
	if (ok)
		assign(t, LX_SECCOMP_MODE_STRICT, NULL);
	mutex_unlock(&s->lock);
	if (ok)
		task_publish_identity(t);
	return ok ? 0 : -EINVAL;
}

bool
seccomp_action_known(uint32_t action)
{
	switch (action) {
	case LX_SECCOMP_RET_KILL_PROCESS:
	case LX_SECCOMP_RET_KILL_THREAD:
	case LX_SECCOMP_RET_TRAP:
	case LX_SECCOMP_RET_ERRNO:
	case LX_SECCOMP_RET_USER_NOTIF:
	case LX_SECCOMP_RET_TRACE:
	case LX_SECCOMP_RET_LOG:
	case LX_SECCOMP_RET_ALLOW:
		return true;
	default:
		return false;
	}
}

static bool
is_ancestor(const struct seccomp_filter *old, const struct seccomp_filter *f)
{
	if (!old)
		return true;
	for (; f; f = f->prev)
		if (f == old)
			return true;
	return false;
}

static bool
gone(const struct task *t)
{
	return t->dead || (t->flags & TF_EXITING);
}

/* A thread that has filters of its own, so that all cannot be given the caller's. */
static struct task *
cannot_sync_locked(struct task *t)
{
	struct seccomp_filter *mine = atomic_load(&t->seccomp);
	struct task *o;

	list_for_each_entry (o, &t->tgroup->threads, tg_node) {
		if (o == t || gone(o) || o->seccomp_mode == LX_SECCOMP_MODE_DISABLED)
			continue;
		if (o->seccomp_mode != LX_SECCOMP_MODE_FILTER ||
			!is_ancestor(atomic_load(&o->seccomp), mine))
			return o;
	}
	return NULL;
}

static void
sync_threads_locked(struct task *t, struct seccomp_filter *f)
{
	struct task *o;

	list_for_each_entry (o, &t->tgroup->threads, tg_node) {
		struct seccomp_filter *old;

		if (o == t || gone(o))
			continue;
		old = atomic_load(&o->seccomp);
		assign(o, LX_SECCOMP_MODE_FILTER, filter_use(f));
		if (task_no_new_privs(t))
			atomic_store(&o->nnp_synced, true);
		filter_unuse(old); /* never the last one: it is a part of f's chain */
		atomic_fetch_or(&o->work, TW_IDENTITY);
		task_wake_for_work(o);
	}
}

/* 0, the tid of a thread that TSYNC cannot reach, or -errno. f is consumed on success. */
static int64_t
attach(struct task *t, struct seccomp_filter *f, uint32_t flags)
{
	struct sighand *s = t->tgroup->sighand;
	struct seccomp_filter *prev;
	int64_t r = 0;

	mutex_lock(&s->lock);
	if ((flags & LX_SECCOMP_FILTER_FLAG_TSYNC) && atomic_load(&t->tgroup->execs)) {
		/* Another thread has begun to become a program that its filter might not stop. */
		mutex_unlock(&s->lock);
		(void)fiber_park_until(sched_now_ns() + TGROUP_EXEC_WAIT_NS);
		return -ERESTARTNOINTR;
	}
	prev = atomic_load(&t->seccomp);
	if (t->seccomp_mode == LX_SECCOMP_MODE_STRICT)
		r = -EINVAL;
	for (struct seccomp_filter *o = prev; f->listener && o && !r; o = o->prev)
		if (o->listener && seccomp_listener_open(o->listener))
			r = -EBUSY;
	if (!r && prev && prev->total + FILTER_PENALTY + f->total > MAX_INSNS_PER_PATH)
		r = -ENOMEM;
	if (!r && (flags & LX_SECCOMP_FILTER_FLAG_TSYNC)) {
		struct task *o = cannot_sync_locked(t);

		if (o)
			r = flags & LX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : pid_vnr(o->pid);
	}
	if (!r) {
		chain(f, prev);
		assign(t, LX_SECCOMP_MODE_FILTER, f);
		if (flags & LX_SECCOMP_FILTER_FLAG_TSYNC)
			sync_threads_locked(t, f);
	}
	mutex_unlock(&s->lock);
	return r;
}

static int
filter_from_user(struct task *t, uint32_t flags, uint64_t addr, struct seccomp_filter **ret)
{
	struct lx_sock_fprog prog;
	struct lx_sock_filter *insns;
	int err;

	if (copy_in(&t->mem.um, &prog, ua(addr), sizeof prog))
		return -EFAULT;
	if (prog.len == 0 || prog.len > LX_BPF_MAXINSNS)
		return -EINVAL;
	if (!task_no_new_privs(t) && !cred_capable_own(t->cred, LX_CAP_SYS_ADMIN))
		return -EACCES;
	insns = malloc(prog.len * sizeof *insns);
	if (!insns)
		return -ENOMEM;
	if (copy_in(&t->mem.um, insns, ua(prog.filter), prog.len * sizeof *insns))
		err = -EFAULT;
	else
		err = filter_new(insns, prog.len, flags, ret);
	free(insns);
	return err;
}

int64_t
seccomp_set_filter(struct task *t, uint32_t flags, uint64_t fprog)
{
	struct seccomp_filter *f;
	struct file *file = NULL;
	int64_t r;

	if (flags & ~FLAGS_KNOWN)
		return -EINVAL;
	if ((flags & LX_SECCOMP_FILTER_FLAG_TSYNC) &&
		(flags & LX_SECCOMP_FILTER_FLAG_NEW_LISTENER) &&
		!(flags & LX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH))
		return -EINVAL;
	if ((flags & LX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) &&
		!(flags & LX_SECCOMP_FILTER_FLAG_NEW_LISTENER))
		return -EINVAL;
	r = filter_from_user(t, flags, fprog, &f);
	if (r)
		return r;
	if (flags & LX_SECCOMP_FILTER_FLAG_NEW_LISTENER) {
		int fd;

		r = seccomp_listener_file(f, &file);
		if (r) {
			filter_put(f);
			return r;
		}
		fd = task_fd_install(t, file, true);
		r = fd < 0 ? fd : attach(t, f, flags);
		if (fd >= 0 && r && !fdtable_remove(t->files, fd, &file))
			file_put(file);
		if (!r)
			r = fd;
	} else {
		r = attach(t, f, flags);
	}
	if (file)
		file_put(file);
	if (atomic_load(&t->seccomp) == f)
		task_publish_identity(t);
	else
		filter_put(f);
	return r;
}

void
seccomp_fork_locked(struct task *t, struct task *n)
{
	uint8_t mode = atomic_load(&t->seccomp_mode);

	atomic_store(&n->nnp_synced, atomic_load(&t->nnp_synced));
	if (mode != LX_SECCOMP_MODE_DISABLED)
		assign(n, mode, filter_use(atomic_load(&t->seccomp)));
}

void
seccomp_exit(struct task *t)
{
	struct sighand *s = t->tgroup->sighand;
	struct seccomp_filter *f;

	mutex_lock(&s->lock);
	f = atomic_exchange(&t->seccomp, NULL);
	mutex_unlock(&s->lock);
	filter_unuse(f);
}

/* --- a syscall --- */

static void
kill_by(struct task *t, bool process)
{
	struct tgroup *g = t->tgroup;

	mutex_lock(&g->sighand->lock);
	if (process || g->nr_threads == 1) {
		tgroup_start_exit_locked(g, LX_SIGSYS, NULL);
		mutex_unlock(&g->sighand->lock);
		return;
	}
	mutex_unlock(&g->sighand->lock);
	task_exit_thread(t, LX_SIGSYS);
}

static void
send_sigsys(struct task *t, uint32_t nr, uint64_t ip, uint32_t data)
{
	struct lx_siginfo info = {.signo = LX_SIGSYS, .err = (int32_t)data, .code = LX_SYS_SECCOMP};

	info.sys.call_addr = ip;
	info.sys.syscall = (int32_t)nr;
	info.sys.arch = LX_AUDIT_ARCH_X86_64;
	signal_force(t, LX_SIGSYS, &info);
}

void
seccomp_set_result(struct task *t, int64_t v)
{
	plat->set_result(t->pt, v);
	t->flags |= TF_NO_RESULT;
}

static enum seccomp_verdict
enter_strict(struct task *t, uint32_t nr, int64_t *result)
{
	if (nr == 0 || nr == 1 || nr == 60 || nr == 15) /* read write exit rt_sigreturn */
		return SECCOMP_GO;
	task_exit_thread(t, LX_SIGKILL);
	*result = -ENOSYS;
	return SECCOMP_STOP;
}

static const struct seccomp_filter *
run_chain(const struct seccomp_filter *f, const struct lx_seccomp_data *d, uint32_t *ret)
{
	const struct seccomp_filter *match = f;

	*ret = LX_SECCOMP_RET_ALLOW;
	for (; f; f = f->prev) {
		uint32_t r = bpf_run(f->insns, d);

		if ((int32_t)(r & LX_SECCOMP_RET_ACTION_FULL) <
			(int32_t)(*ret & LX_SECCOMP_RET_ACTION_FULL)) {
			*ret = r;
			match = f;
		}
	}
	return match;
}

enum seccomp_verdict
seccomp_enter(struct task *t, const struct plat_event *ev, bool traced, int64_t *result)
{
	const struct seccomp_filter *f = atomic_load(&t->seccomp), *match;
	struct lx_seccomp_data d;
	uint32_t ret, data;

	if (f && allows(f, ev->nr))
		return SECCOMP_GO;
	if (t->seccomp_mode == LX_SECCOMP_MODE_STRICT)
		return enter_strict(t, ev->nr, result);
	if (!f)
		return SECCOMP_GO;
	d = (struct lx_seccomp_data){.nr = (int32_t)ev->nr, .arch = LX_AUDIT_ARCH_X86_64};
	memcpy(d.args, ev->args, sizeof d.args);
	if (f->reads_ip)
		d.instruction_pointer = plat->regs(t->pt)->rip;
	match = run_chain(f, &d, &ret);
	data = ret & LX_SECCOMP_RET_DATA;
	*result = -ENOSYS;
	if (ret < LX_SECCOMP_RET_ALLOW && (match->log || ret >= LX_SECCOMP_RET_LOG))
		log_debug("seccomp: %d %s: syscall %u: filter says %#x", t->tid, t->comm, ev->nr,
			ret);
	switch (ret & LX_SECCOMP_RET_ACTION_FULL) {
	case LX_SECCOMP_RET_ALLOW:
	case LX_SECCOMP_RET_LOG:
		return SECCOMP_GO;
	case LX_SECCOMP_RET_ERRNO:
		*result = -(int64_t)(data < MAX_ERRNO ? data : MAX_ERRNO);
		seccomp_set_result(t, *result);
		return SECCOMP_STOP;
	case LX_SECCOMP_RET_TRAP:
		/* The handler sees the registers as they were at the call. */
		*result = (int64_t)ev->nr;
		send_sigsys(t, ev->nr, plat->regs(t->pt)->rip, data);
		return SECCOMP_STOP;
	case LX_SECCOMP_RET_USER_NOTIF:
		d.instruction_pointer = plat->regs(t->pt)->rip;
		return seccomp_notify(t, match, &d, result) ? SECCOMP_GO : SECCOMP_STOP;
	case LX_SECCOMP_RET_TRACE:
		if (traced) /* it has let the call through */
			return SECCOMP_GO;
		*result = data;
		return SECCOMP_ASK_TRACER;
	case LX_SECCOMP_RET_KILL_THREAD:
		log_debug("seccomp: %d %s: killed at syscall %u", t->tid, t->comm, ev->nr);
		kill_by(t, false);
		return SECCOMP_STOP;
	default:
		log_debug("seccomp: %d %s: killed at syscall %u", t->tid, t->comm, ev->nr);
		kill_by(t, true);
		return SECCOMP_STOP;
	}
}
