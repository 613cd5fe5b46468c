/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracer: its loop, jobs for it, run() and what stops mean.
 */
#include "abi/restart.h"
#include "platform/ptrace/internal.h"
#include <linux/audit.h>
#include <linux/ptrace.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ucontext.h>

#define JOB_SIGNAL SIGUSR2

struct job {
	struct job *next;
	pt_job_fn *fn;
	struct plat_thread *t;
	void *arg;
	int64_t result;
	void *cookie; /* NULL: nobody waits, and the job is freed */
	_Atomic int done;
};

struct pt_engine pt;

static struct mutex lock = MUTEX_INIT(PLAT);
static struct job *jobs, **jobs_end = &jobs; /* lock */
static _Atomic int pending, sleeping;
static pthread_t tracer;

long
pt_call(long req, pid_t tid, uint64_t addr, const void *data)
{
	return host_call4(SYS_ptrace, req, tid, addr, data);
}

/* --- threads by tid
 * ------------------------------------------------------------------------------------ */

static struct plat_thread **
bucket(pid_t tid)
{
	return &pt.hash[(unsigned)tid % (sizeof pt.hash / sizeof pt.hash[0])];
}

static struct plat_thread *
find(pid_t tid)
{
	struct plat_thread *t = *bucket(tid);

	while (t && t->tid != tid)
		t = t->hash_next;
	return t;
}

struct plat_thread *
pt_thread_add(struct plat_space *sp, pid_t tid)
{
	struct plat_thread *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->sp = sp;
	t->tid = tid;
	t->hash_next = *bucket(tid);
	*bucket(tid) = t;
	sp->nthreads++;
	atomic_fetch_add(&sp->nlive, 1);
	LIVE_INC(PLAT_THREAD);
	return t;
}

static void
complete(struct plat_thread *t, enum plat_event_kind kind)
{
	void *cookie = t->cookie;

	t->state = t->state == PT_DEAD ? PT_DEAD : PT_STOPPED;
	t->ev.kind = kind;
	atomic_store(&t->running, 0);
	atomic_store(&t->done, 1);
	pt.env->unpark(cookie);
	atomic_store(&t->done, 2);
}

/* The host thread is reaped. Its fiber frees it, unless that has gone already. */
static void
died(struct plat_thread *t)
{
	struct plat_thread **at = bucket(t->tid);
	enum pt_state was = t->state;

	while (*at != t)
		at = &(*at)->hash_next;
	*at = t->hash_next;
	if (was == PT_EXITING) {
		if (--t->sp->nthreads == 0) {
			free(t->sp);
			LIVE_DEC(PLAT_SPACE);
		}
		free(t);
		LIVE_DEC(PLAT_THREAD);
		return;
	}
	t->state = PT_DEAD;
	atomic_store(&t->gone, 1);
	if (t->owner && pt.env->thread_gone && !atomic_load(&pt.closing))
		pt.env->thread_gone(t, t->owner);
	if (was == PT_RUNNING || was == PT_FUTEX)
		complete(t, PLAT_EV_GONE);
}

/* --- injection
 * ----------------------------------------------------------------------------------------- */

int
pt_write_regs(struct plat_thread *t, const struct guest_regs *r)
{
	struct guest_regs w = *r;

	w.cs = 0x33;
	w.ss = 0x2b;
	w.ds = w.es = w.fs = w.gs = 0;
	if (w.fs_base >= X86_USER_TOP)
		w.fs_base = 0;
	if (w.gs_base >= X86_USER_TOP)
		w.gs_base = 0;
	return (int)pt_call(PTRACE_SETREGS, t->tid, 0, &w);
}

/* Wait for that thread to stop; -ESRCH when it has died. */
int
pt_wait_stop(struct plat_thread *t, int *status)
{
	for (;;) {
		long r = host_call4(SYS_wait4, t->tid, status, __WALL, NULL);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return (int)r;
		if (WIFSTOPPED(*status))
			return 0;
		died(t);
		return -ESRCH;
	}
}

/* Run the stub's code at `entry` with these registers until its int3: rax, or -EFAULT if it
 * faulted. */
int64_t
pt_inject(struct plat_thread *t, uint64_t entry, const struct guest_regs *r)
{
	struct guest_regs in = *r, out;
	int status, err;

	if (t->state == PT_DEAD)
		return -ESRCH;
	in.rip = pt.lay.base + entry;
	in.orig_rax = (uint64_t)-1;
	in.eflags = 0x202;
	if (pt_write_regs(t, &in) < 0)
		return -ESRCH;
	t->child = 0;
	for (;;) {
		int sig;

		pt_call(PTRACE_CONT, t->tid, 0, NULL);
		err = pt_wait_stop(t, &status);
		if (err < 0)
			return err;
		sig = WSTOPSIG(status);
		if (status >> 16) {
			unsigned long msg = 0;

			pt_call(PTRACE_GETEVENTMSG, t->tid, 0, &msg);
			t->child = (pid_t)msg;
		} else if (sig == PT_KICK_SIGNAL) {
			atomic_store(&t->kick, 1);
		} else if (sig == SIGTRAP) {
			if (pt_call(PTRACE_GETREGS, t->tid, 0, &out) < 0)
				return -ESRCH;
			return (int64_t)out.rax;
		} else if (sig == SIGSEGV || sig == SIGBUS) {
			return -EFAULT;
		} else if (sig == SIGSYS) {
			return -EPERM;
		}
	}
}

int64_t
pt_syscall(struct plat_thread *t, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
	uint64_t e, uint64_t f)
{
	struct guest_regs r = t->regs;

	r.rax = (uint64_t)nr;
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	r.r10 = d;
	r.r8 = e;
	r.r9 = f;
	return pt_inject(t, PT_TEXT_SYSCALL, &r);
}

/* --- stops
 * --------------------------------------------------------------------------------------------- */

static void
resume(struct plat_thread *t)
{
	pt_call(t->state == PT_FUTEX ? PTRACE_CONT : PTRACE_SYSEMU, t->tid, 0, NULL);
}

static void
syscall_stop(struct plat_thread *t)
{
	struct ptrace_syscall_info si = {0};
	struct plat_event *ev = &t->ev;

	memset(ev, 0, sizeof *ev);
	ev->nr = (uint32_t)t->regs.orig_rax;
	ev->compat = (ev->nr & 0x40000000) != 0;
	if (pt_call(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof si, &si) > 0 &&
		si.arch != AUDIT_ARCH_X86_64)
		ev->compat = true;
	ev->args[0] = t->regs.rdi;
	ev->args[1] = t->regs.rsi;
	ev->args[2] = t->regs.rdx;
	ev->args[3] = t->regs.r10;
	ev->args[4] = t->regs.r8;
	ev->args[5] = t->regs.r9;
	t->regs.rax = (uint64_t)-ENOSYS;
	complete(t, PLAT_EV_SYSCALL);
}

static void
fault_stop(struct plat_thread *t, const siginfo_t *si)
{
	struct plat_fault *f = &t->ev.fault;

	memset(&t->ev, 0, sizeof t->ev);
	f->signo = si->si_signo;
	f->code = si->si_code;
	f->addr = (uint64_t)si->si_addr;
	/* The error code is not to be had by ptrace: what the code of the signal tells of it. */
	if (f->signo == SIGSEGV || f->signo == SIGBUS) {
		f->err = 4 | (f->code == SEGV_ACCERR);
		f->trapno = f->code == SI_KERNEL ? 13 : 14;
	} else {
		f->trapno = f->signo == SIGILL	  ? 6
			    : f->signo == SIGTRAP ? 3
			    : f->signo == SIGFPE  ? 0
						  : 17;
	}
	complete(t, PLAT_EV_FAULT);
}

static void
futex_over(struct plat_thread *t, bool interrupted)
{
	int64_t r = (int64_t)t->regs.rax;

	/* Stopped inside: the host would restart the call or make it fail with EINTR. */
	if (interrupted && r <= -512 && r >= -516)
		r = -EINTR;
	t->regs = t->saved;
	t->regs.rax = (uint64_t)r;
	t->regs.orig_rax = (uint64_t)-1;
	memset(&t->ev, 0, sizeof t->ev);
	t->ev.nr = SYS_futex;
	t->ev.result = r;
	t->ev.args[0] = t->saved.rdi;
	t->ev.args[1] = t->saved.rsi;
	t->ev.args[2] = t->saved.rdx;
	t->ev.args[3] = t->saved.r10;
	t->ev.args[4] = t->saved.r8;
	t->ev.args[5] = t->saved.r9;
	complete(t, PLAT_EV_FUTEX);
}

static void
stopped(struct plat_thread *t, int status)
{
	int sig = WSTOPSIG(status);
	siginfo_t si;

	if (t->state != PT_RUNNING && t->state != PT_FUTEX)
		return;
	if (status >> 16) {
		resume(t);
		return;
	}
	if (pt_call(PTRACE_GETREGS, t->tid, 0, &t->regs) < 0)
		return; /* killed: its death is reported next */
	if (sig == (SIGTRAP | 0x80)) {
		syscall_stop(t);
		return;
	}
	t->regs.orig_rax = t->state == PT_FUTEX ? t->regs.orig_rax : (uint64_t)-1;
	memset(&si, 0, sizeof si);
	pt_call(PTRACE_GETSIGINFO, t->tid, 0, &si);
	if (sig == PT_KICK_SIGNAL) {
		atomic_store(&t->kick, 0);
		if (t->state == PT_FUTEX) {
			if (t->regs.rip == pt.lay.base + PT_TEXT_SYSCALL)
				t->regs.rax = (uint64_t)-EINTR; /* not begun */
			futex_over(t, true);
		} else {
			memset(&t->ev, 0, sizeof t->ev);
			complete(t, PLAT_EV_INTERRUPT);
		}
	} else if (t->state == PT_FUTEX) {
		if (sig == SIGTRAP)
			futex_over(t, false);
		else
			resume(t);
	} else if (si.si_code > 0 && (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE ||
					     sig == SIGILL || sig == SIGTRAP)) {
		fault_stop(t, &si);
	} else {
		resume(t);
	}
}

static void
event(pid_t tid, int status)
{
	struct plat_thread *t = find(tid);

	if (!t) {
		if (WIFSTOPPED(status))
			host_kill(tid, SIGKILL); /* nobody asked for it */
		return;
	}
	if (WIFSTOPPED(status))
		stopped(t, status);
	else
		died(t);
}

/* --- jobs
 * ---------------------------------------------------------------------------------------------- */

static void
push(struct job *j)
{
	mutex_lock(&lock);
	*jobs_end = j;
	jobs_end = &j->next;
	mutex_unlock(&lock);
	atomic_store(&pending, 1);
	if (atomic_load(&sleeping))
		host_tgkill(pt.self, pt.tracer_tid, JOB_SIGNAL);
}

static struct job *
pop(void)
{
	struct job *j;

	mutex_lock(&lock);
	j = jobs;
	if (j) {
		jobs = j->next;
		if (!jobs)
			jobs_end = &jobs;
	}
	mutex_unlock(&lock);
	return j;
}

/* The tracer sets it to 1, unparks the fiber, and sets it to 2: only then is it done with what the
 * fiber owns, and with the fiber, which may have been unparked by somebody else. */
static void
wait_for(_Atomic int *done)
{
	while (!atomic_load(done))
		pt.env->park();
	while (atomic_load(done) != 2)
		__builtin_ia32_pause();
}

int64_t
pt_job(pt_job_fn *fn, struct plat_thread *t, void *arg)
{
	struct job j = {.fn = fn, .t = t, .arg = arg, .cookie = pt.env->self()};

	push(&j);
	wait_for(&j.done);
	return j.result;
}

static void
work(void)
{
	struct job *j;

	atomic_store(&pending, 0);
	while ((j = pop()) != NULL) {
		void *cookie = j->cookie;
		int64_t r = j->fn(j->t, j->arg);

		if (!cookie) {
			free(j);
			continue;
		}
		j->result = r;
		atomic_store(&j->done, 1);
		pt.env->unpark(cookie);
		atomic_store(&j->done, 2); /* j is gone from here on */
	}
}

static void
on_job_signal(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	uint64_t ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)si;
	if (ip >= (uint64_t)pt_wait_begin && ip < (uint64_t)pt_wait_end)
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)pt_wait_abort;
}

struct start {
	_Atomic int done;
	int err;
};

static void *
tracer_main(void *arg)
{
	struct start *s = arg;
	struct sigaction sa = {.sa_sigaction = on_job_signal, .sa_flags = SA_SIGINFO};

	sigaction(JOB_SIGNAL, &sa, NULL);
	pt.tracer_tid = (pid_t)host_call0(SYS_gettid);
	s->err = pt_zygote_make();
	atomic_store(&s->done, 1);
	host_futex_wake((uint32_t *)&s->done, 1);
	while (s->err == 0) {
		int status;
		long r;

		atomic_store(&sleeping, 1);
		r = pt_wait(&pending, &status);
		atomic_store(&sleeping, 0);
		if (r > 0)
			event((pid_t)r, status);
		else if (r == -ECHILD)
			break;
		if (atomic_load(&pending))
			work();
	}
	return NULL;
}

int
pt_tracer_start(void)
{
	static struct start s;
	int r;

	s = (struct start){0};
	pt.self = (pid_t)host_call0(SYS_getpid);
	r = pthread_create(&tracer, NULL, tracer_main, &s);
	if (r)
		return -r;
	while (!atomic_load(&s.done))
		host_futex_wait((uint32_t *)&s.done, 0, 100000000);
	if (s.err)
		pthread_join(tracer, NULL);
	return s.err;
}

/* Threads whose fibers are gone are freed when they are reaped; the zygote is such a one from now
 * on. */
static int64_t
job_kill_all(struct plat_thread *t, void *arg)
{
	(void)t;
	(void)arg;
	if (pt.zygote)
		pt.zygote->state = PT_EXITING;
	pt.zygote = NULL;
	for (unsigned i = 0; i < sizeof pt.hash / sizeof pt.hash[0]; i++)
		for (struct plat_thread *k = pt.hash[i]; k; k = k->hash_next)
			host_kill(k->sp->pid, SIGKILL);
	return 0;
}

void
pt_tracer_stop(void)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return;
	atomic_store(&pt.closing, 1);
	j->fn = job_kill_all;
	push(j);
	pthread_join(tracer, NULL);
}

/* --- run
 * -----------------------------------------------------------------------------------------------
 */

static int64_t
job_run(struct plat_thread *t, void *arg)
{
	int err = pt_make_ops(t);

	(void)arg;
	if (err < 0 && err != -ESRCH) {
		log_debug("pid %d: a queued host call failed: %d", (int)t->sp->pid, err);
		host_kill(t->sp->pid, SIGKILL);
	}
	if (t->state == PT_DEAD) {
		complete(t, PLAT_EV_GONE);
		return 0;
	}
	t->state = PT_RUNNING;
	if (t->futex) {
		struct guest_regs r = t->regs;

		t->saved = t->regs;
		r.rip = pt.lay.base + PT_TEXT_SYSCALL;
		r.rax = SYS_futex;
		r.orig_rax = (uint64_t)-1;
		t->futex = false;
		t->state = PT_FUTEX;
		pt_write_regs(t, &r);
	} else {
		t->regs.orig_rax = (uint64_t)-1;
		pt_write_regs(t, &t->regs);
	}
	resume(t);
	if (atomic_load(&t->kick))
		host_tgkill(t->sp->pid, t->tid, PT_KICK_SIGNAL);
	return 0;
}

void
pt_run(struct plat_thread *t, struct plat_event *ev)
{
	struct job j = {.fn = job_run, .t = t, .cookie = pt.env->self()};

	if (atomic_exchange(&t->kick, 0)) {
		memset(ev, 0, sizeof *ev);
		ev->kind = PLAT_EV_INTERRUPT;
		if (t->futex) {
			/* Not begun: its registers are to make it again, after what comes first. */
			t->futex = false;
			ev->kind = PLAT_EV_FUTEX;
			ev->nr = SYS_futex;
			ev->result = -ERESTARTNOINTR;
		}
		return;
	}
	t->cookie = j.cookie;
	atomic_store(&t->done, 0);
	atomic_store(&t->running, 1);
	push(&j);
	/* The job is over when the thread runs, and the run when it has stopped. */
	wait_for(&j.done);
	wait_for(&t->done);
	*ev = t->ev;
}

/* Before the job has made it run, the signal waits for the thread; the tracer sees kick then, too,
 * and a second signal of the kind is not kept. */
void
pt_kick(struct plat_thread *t)
{
	atomic_store(&t->kick, 1);
	if (atomic_load(&t->running))
		host_tgkill(t->sp->pid, t->tid, PT_KICK_SIGNAL);
}
