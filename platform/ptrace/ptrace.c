/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portable engine: guests under PTRACE_SYSEMU, everything else by injected system calls and
 * process_vm_*. Slow, simple, and what one debugs with. Marshalling, stub answers and site
 * rewriting do not exist here.
 */
#include "platform/ptrace/ptrace.h"
#include "platform/ptrace/internal.h"
#include <sys/resource.h>

static int
init(const struct plat_env *env, const struct plat_config *cfg,
	const struct plat_syscall_desc *desc)
{
	int r;

	(void)cfg;
	(void)desc;
	memset(&pt, 0, sizeof pt);
	pt.env = env;
	r = x86_layout_find(&pt.lay, PT_VDSO, PT_VDSO_MAX, true);
	if (r < 0)
		return r;
	r = host_socketpair(pt.sock);
	if (r < 0)
		return r;
	if (!x86_frame_learn(SIGURG, &pt.frame))
		memset(&pt.frame, 0, sizeof pt.frame);
	pt.bell = -1;
	r = pt_tracer_start();
	host_close(pt.sock[1]);
	pt.sock[1] = -1;
	if (r < 0)
		host_close(pt.sock[0]);
	return r;
}

static void
shutdown(void)
{
	pt_tracer_stop();
	host_close(pt.sock[0]);
}

static int
doorbell_fd(void)
{
	return pt.bell;
}

static uint64_t
guest_top(void)
{
	return pt.lay.base - PT_GUARD;
}

static int
set_sched(struct plat_thread *t, int nice, int policy)
{
	return host_set_sched(t->tid, nice, policy);
}

static void
vdso_range(uint64_t *start, uint64_t *len)
{
	*start = pt.lay.vdso;
	*len = pt.lay.vdso_len;
}

static uint64_t
vdso_ehdr(void)
{
	return pt.lay.vdso_ehdr;
}

static void *
window(struct plat_thread *t, uint64_t dst, size_t len)
{
	(void)t;
	(void)dst;
	(void)len;
	return NULL;
}

static void
window_cut(struct plat_thread *t, size_t len)
{
	(void)t, (void)len;
}

static const void *
carried(struct plat_thread *t, uint64_t src, size_t *ret_len)
{
	(void)t;
	(void)src;
	(void)ret_len;
	return NULL;
}

static void
forget_carried(struct plat_thread *t)
{
	(void)t; /* nothing is carried */
}

static void
unpatch(struct plat_thread *t)
{
	(void)t; /* nothing is rewritten */
}

static void
futex_native(struct plat_thread *t, enum plat_futex how)
{
	t->futex = true;
	t->futex_how = how;
	t->futex_nr = how == PLAT_FUTEX_AGAIN ? SYS_futex : t->ev.nr;
}

static void
set_identity(struct plat_thread *t, const struct plat_identity *id)
{
	(void)t;
	(void)id; /* nothing is answered without the kernel */
}

static void
set_watched(struct plat_thread *t, bool on)
{
	(void)t;
	(void)on; /* every call is seen */
}

static int64_t
space_cpu_ns(struct plat_thread *t)
{
	int64_t v = host_process_cpu_ns(t->sp->pid);

	return v < 0 ? 0 : v;
}

/* The clock of one thread is closed to other processes. */
static int64_t
thread_cpu_ns(struct plat_thread *t)
{
	return atomic_load(&t->sp->had_many) ? atomic_load(&t->cpu_seen) : space_cpu_ns(t);
}

static int64_t
job_cpu(struct plat_thread *t, void *arg)
{
	const uint64_t at = pt.lay.base + PT_SCRATCH;
	int64_t *ts = arg;
	int64_t r = pt_syscall(t, SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, at, 0, 0, 0, 0);

	if (r < 0)
		return r;
	return host_vm_read(t->sp->pid, ts, at, 2 * sizeof *ts) < 0 ? -ESRCH : 0;
}

static int64_t
own_cpu_ns(struct plat_thread *t)
{
	int64_t ts[2], v, all;

	if (pt_job(job_cpu, t, ts) < 0 || ts[0] < 0 || ts[0] > INT64_MAX / 2000000000 ||
		ts[1] < 0 || ts[1] >= 1000000000)
		return thread_cpu_ns(t);
	v = ts[0] * 1000000000 + ts[1];
	all = space_cpu_ns(t);
	if (v > all)
		v = all; /* other threads can write where it stood */
	atomic_store(&t->cpu_seen, v);
	return v;
}

struct rseq_job {
	uint64_t addr;
	uint32_t len, flags, sig;
};

static int64_t
job_rseq(struct plat_thread *t, void *arg)
{
	struct rseq_job *j = arg;
	int64_t r = pt_make_ops(t);

	if (r == 0)
		r = pt_syscall(t, SYS_rseq, j->addr, j->len, j->flags, j->sig, 0, 0);
	if (r == 0)
		t->rseq = x86_rseq_after(j->addr, j->len, j->flags, j->sig);
	return r;
}

static int
rseq(struct plat_thread *t, uint64_t addr, uint32_t len, uint32_t flags, uint32_t sig)
{
	struct rseq_job j = {addr, len, flags, sig};

	return (int)pt_job(job_rseq, t, &j);
}

struct usage_job {
	bool thread;
	struct rusage ru;
};

static int64_t
job_usage(struct plat_thread *t, void *arg)
{
	const uint64_t at = pt.lay.base + PT_SCRATCH;
	struct usage_job *j = arg;
	int64_t r = pt_syscall(
		t, SYS_getrusage, j->thread ? RUSAGE_THREAD : RUSAGE_SELF, at, 0, 0, 0, 0);

	if (r < 0)
		return r;
	return host_vm_read(t->sp->pid, &j->ru, at, sizeof j->ru) < 0 ? -ESRCH : 0;
}

/* Who is stopped always answers: no guest code is between. */
static int
usage(struct plat_thread *t, bool thread, int64_t patience_ns, struct plat_usage *ret)
{
	struct usage_job j = {.thread = thread};
	int64_t r = pt_job(job_usage, t, &j);

	(void)patience_ns;
	if (r < 0)
		return (int)r;
	*ret = (struct plat_usage){
		(uint64_t)j.ru.ru_maxrss, (uint64_t)j.ru.ru_minflt, (uint64_t)j.ru.ru_majflt};
	return 0;
}

static bool
in_futex(struct plat_thread *t)
{
	return atomic_load_explicit(&t->futex_waits, memory_order_relaxed);
}

static pid_t
host_tid(struct plat_thread *t)
{
	return t->tid;
}

static pid_t
host_pid(struct plat_thread *t)
{
	return t->sp->pid;
}

const struct plat_ops ptrace_ops = {
	.name = "ptrace",
	.init = init,
	.shutdown = shutdown,
	.one_worker = true,
	.poll = pt_poll,
	.prepare_sleep = pt_prepare_sleep,
	.woke = pt_woke,
	.doorbell_fd = doorbell_fd,
	.guest_top = guest_top,
	.vdso_range = vdso_range,
	.vdso_ehdr = vdso_ehdr,
	.space_new = pt_space_new,
	.space_fork = pt_space_fork,
	.thread_new = pt_thread_new,
	.thread_exit = pt_thread_exit,
	.run = pt_run,
	.kick = pt_kick,
	.regs = pt_regs,
	.regs_dirty = pt_regs_dirty,
	.set_result = pt_set_result,
	.get_xstate = pt_get_xstate,
	.set_xstate = pt_set_xstate,
	.reset_xstate = pt_reset_xstate,
	.signal_deliver = pt_signal_deliver,
	.sigreturn = pt_sigreturn,
	.map = pt_map,
	.unmap = pt_unmap,
	.protect = pt_protect,
	.move = pt_move,
	.advise = pt_advise,
	.flush = pt_flush,
	.copy_in = pt_copy_in,
	.copy_out = pt_copy_out,
	.window = window,
	.window_cut = window_cut,
	.carried = carried,
	.forget_carried = forget_carried,
	.unpatch = unpatch,
	.peek = pt_peek,
	.poke = pt_poke,
	.cmpxchg32 = pt_cmpxchg32,
	.futex_native = futex_native,
	.futex_wake = pt_futex_wake,
	.set_identity = set_identity,
	.set_watched = set_watched,
	.set_name = pt_set_name,
	.set_args = pt_set_args,
	.thread_cpu_ns = thread_cpu_ns,
	.own_cpu_ns = own_cpu_ns,
	.usage = usage,
	.rseq = rseq,
	.in_futex = in_futex,
	.space_cpu_ns = space_cpu_ns,
	.set_affinity = pt_set_affinity,
	.set_sched = set_sched,
	.host_tid = host_tid,
	.host_pid = host_pid,
};
