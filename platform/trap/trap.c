/* SPDX-License-Identifier: Apache-2.0 */
/* The trap engine's table of operations, and the small ones. README.md tells how the parts work
 * together. */
#include "platform/trap/trap.h"
#include "platform/trap/internal.h"
#include <sys/resource.h>

static uint64_t
guest_top(void)
{
	return trap.base - STUB_GUARD;
}

static void
vdso_range(uint64_t *start, uint64_t *len)
{
	*start = trap.vdso;
	*len = trap.vdso_len;
}

static uint64_t
vdso_ehdr(void)
{
	return trap.vdso_ehdr;
}

static void
futex_native(struct plat_thread *t, enum plat_futex how)
{
	static const uint8_t rflags[] = {
		[PLAT_FUTEX_AS_ASKED] = STUB_R_FUTEX,
		[PLAT_FUTEX_UNTIMED] = STUB_R_FUTEX | STUB_R_UNTIMED,
		[PLAT_FUTEX_AGAIN] = STUB_R_FUTEX | STUB_R_UNTIMED | STUB_R_WAIT,
	};

	t->futex = rflags[how];
}

/* The answers, and whether the stub may give them: what is watched goes through the general entry.
 */
static void
publish_identity(struct plat_thread *t)
{
	const struct stub_header *h = (const void *)trap_blob;
	const struct plat_identity *id = &t->ident;
	const uint32_t v[VEC_COUNT] = {0, (uint32_t)id->pid, (uint32_t)id->tid, (uint32_t)id->ppid,
		id->uid, id->euid, id->gid, id->egid, (uint32_t)id->pgid};
	bool answer = trap.cfg.stub_answers && !t->watched;

	t->s->answers = answer;
	t->s->watched = t->watched;
	for (unsigned i = 1; i < VEC_COUNT; i++) {
		__atomic_store_n(&t->s->ident[i], v[i], __ATOMIC_RELAXED);
		__atomic_store_n(&t->s->vec[i],
			trap.base + (answer ? h->quick + (i - 1) * 16 : h->general),
			__ATOMIC_RELAXED);
	}
}

static void
set_identity(struct plat_thread *t, const struct plat_identity *id)
{
	t->ident = *id;
	publish_identity(t);
}

static void
set_watched(struct plat_thread *t, bool on)
{
	t->watched = on;
	publish_identity(t);
}

static void
set_name(struct plat_thread *t, const char *comm)
{
	struct stub_op *op = trap_op_new(t, STUB_OP_NAME);
	size_t n = strnlen(comm, 15);

	if (op)
		memcpy(op->a, comm, n);
}

static void
set_args(struct plat_thread *t, uint64_t start, uint64_t end)
{
	struct stub_op *op = trap_op_new(t, STUB_OP_ARGS);

	if (op) {
		op->a[0] = start;
		op->a[1] = end;
	}
}

/* The host's clock of one thread is closed to other processes; its stub tells it when it goes to
 * sleep. */
static int64_t
thread_cpu_ns(struct plat_thread *t)
{
	struct plat_space *sp = t->sp;
	int64_t all = host_process_cpu_ns(sp->pid), v;

	if (!atomic_load(&sp->had_many) || all < 0)
		return all < 0 ? 0 : all;
	v = (int64_t)t->s->cpu_ns;
	if (v < atomic_load(&t->cpu_seen))
		v = atomic_load(&t->cpu_seen);
	return v > all ? all : v;
}

static int64_t
own_cpu_ns(struct plat_thread *t)
{
	int64_t v = trap_op_now(t, STUB_OP_CPUTIME, 0, 0, 0, 0, 0, 0);

	int64_t all = host_process_cpu_ns(t->sp->pid);

	if (v < 0 || all < 0)
		return thread_cpu_ns(t);
	if (v > all)
		v = all; /* the stub's word is the guest's */
	atomic_store(&t->cpu_seen, v);
	return v;
}

/* One queued request for each number. */
static int
ask_usage(struct plat_thread *t, bool thread, struct plat_usage *ret)
{
	static const uint8_t fields[3] = STUB_USAGE_FIELDS;
	int r = trap_flush(t);

	if (r < 0)
		return r;
	for (int i = 0; i < 3; i++) {
		struct stub_op *op = trap_op_new(t, STUB_OP_USAGE);

		if (!op)
			return -ESRCH;
		op->a[0] = thread ? RUSAGE_THREAD : RUSAGE_SELF;
		op->a[1] = fields[i];
	}
	r = trap_flush(t);
	if (r < 0)
		return r;
	*ret = (struct plat_usage){(uint64_t)t->s->ops[0].result, (uint64_t)t->s->ops[1].result,
		(uint64_t)t->s->ops[2].result};
	return 0;
}

static int
usage(struct plat_thread *t, bool thread, int64_t patience_ns, struct plat_usage *ret)
{
	bool exits = t->kind == STUB_K_SYSCALL && !t->compat &&
		     (t->nr == __NR_exit || t->nr == __NR_exit_group);
	int r;

	if (exits && !thread) {
		*ret = (struct plat_usage){t->s->usage[0], t->s->usage[1], t->s->usage[2]};
		return 0;
	}
	t->patience_ns = patience_ns;
	r = ask_usage(t, thread, ret);
	t->patience_ns = 0;
	return r;
}

static int
rseq(struct plat_thread *t, uint64_t addr, uint32_t len, uint32_t flags, uint32_t sig)
{
	return (int)trap_op_now(t, STUB_OP_RSEQ, addr, len, flags, sig, 0, 0);
}

static bool
in_futex(struct plat_thread *t)
{
	return __atomic_load_n(&t->s->state, __ATOMIC_RELAXED) == STUB_FUTEX;
}

static int64_t
space_cpu_ns(struct plat_thread *t)
{
	int64_t v = host_process_cpu_ns(t->sp->pid);

	return v < 0 ? 0 : v;
}

/* The number is the stub's word: is it that of nobody else? */
static bool
is_of_space(const struct plat_thread *t)
{
	return host_tgkill(t->sp->pid, t->tid, 0) >= 0;
}

static int
set_affinity(struct plat_thread *t, const void *mask, size_t len)
{
	return is_of_space(t) ? host_set_affinity(t->tid, mask, len) : -ESRCH;
}

static int
set_sched(struct plat_thread *t, int nice, int policy)
{
	return is_of_space(t) ? host_set_sched(t->tid, nice, policy) : -ESRCH;
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

const struct plat_ops trap_ops = {
	.name = "trap",
	.keeps_gs = true,
	.init = trap_init,
	.shutdown = trap_shutdown,
	.poll = trap_poll,
	.crowded = trap_crowded,
	.sleeps = trap_sleeps,
	.expects = trap_expects,
	.prepare_sleep = trap_prepare_sleep,
	.woke = trap_woke,
	.doorbell_fd = trap_doorbell_fd,
	.guest_top = guest_top,
	.vdso_range = vdso_range,
	.vdso_ehdr = vdso_ehdr,
	.space_new = trap_space_new,
	.space_ahead = trap_space_ahead,
	.space_fork = trap_space_fork,
	.thread_new = trap_thread_new,
	.thread_exit = trap_thread_exit,
	.run = trap_run,
	.kick = trap_kick,
	.regs = trap_regs,
	.regs_dirty = trap_regs_dirty,
	.set_result = trap_set_result,
	.get_xstate = trap_get_xstate,
	.set_xstate = trap_set_xstate,
	.reset_xstate = trap_reset_xstate,
	.signal_deliver = trap_signal_deliver,
	.sigreturn = trap_sigreturn,
	.map = trap_map,
	.unmap = trap_unmap,
	.protect = trap_protect,
	.move = trap_move,
	.advise = trap_advise,
	.flush = trap_flush,
	.copy_in = trap_copy_in,
	.copy_out = trap_copy_out,
	.window = trap_window,
	.window_cut = trap_window_cut,
	.stream_out = trap_stream_out,
	.file_out = trap_file_out,
	.carried = trap_carried,
	.forget_carried = trap_forget_carried,
	.unpatch = trap_sites_disable,
	.peek = trap_peek,
	.poke = trap_poke,
	.cmpxchg32 = trap_cmpxchg32,
	.futex_native = futex_native,
	.futex_wake = trap_futex_wake,
	.set_identity = set_identity,
	.set_watched = set_watched,
	.set_name = set_name,
	.set_args = set_args,
	.thread_cpu_ns = thread_cpu_ns,
	.own_cpu_ns = own_cpu_ns,
	.usage = usage,
	.rseq = rseq,
	.processes = trap_processes,
	.in_futex = in_futex,
	.space_cpu_ns = space_cpu_ns,
	.set_affinity = set_affinity,
	.set_sched = set_sched,
	.host_tid = host_tid,
	.host_pid = host_pid,
};
