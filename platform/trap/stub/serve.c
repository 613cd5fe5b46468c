/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub's conversation with the sentry: what a thread does from its way in to its way out. A
 * guest gets here through a rewritten site (no host frame: uc is NULL) or through a signal of the
 * host (uc is its frame).
 */
#include "platform/trap/stub/stub.h"

/* The compiler may call these. */
HID void *memset(void *p, int c, unsigned long n);
HID void *memcpy(void *dst, const void *src, unsigned long n);

void *
memset(void *p, int c, unsigned long n)
{
	void *d = p;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *
memcpy(void *dst, const void *src, unsigned long n)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

enum {
	CPU_TIME_CYCLES = 2000000, /* the thread's CPU time is told no more often */
	YIELD_CYCLES = 300000,	   /* when yields took that long the next waits sleep at once */
	NO_YIELD_MIN = 32,
	NO_YIELD_MAX = 8192,
	LUCK_FIRST = 8,
	LUCK_MAX = 16,
	UNLUCKY_WAITS = 32,
};

enum {
	FUTEX_OP_WAIT = 0,
	FUTEX_OP_WAKE = 1,
	FUTEX_OP_REQUEUE = 3,
	FUTEX_OP_CMP_REQUEUE = 4,
	FUTEX_OP_WAKE_OP = 5,
	FUTEX_OP_WAIT_BITSET = 9,
	FUTEX_OP_WAKE_BITSET = 10,
};

static inline uint32_t
load_state(struct stub_slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

/* Hand the slot to the sentry. The exchange is a full barrier: a poller that goes to sleep either
 * sees the request in its last look, or we see that it is not awake. */
static inline void
post(struct stub_slot *s, int kind)
{
	s->kind = (uint8_t)kind;
	__atomic_exchange_n(&s->state, STUB_REQ, __ATOMIC_SEQ_CST);
	if (__builtin_expect(
		    s->cold | !__atomic_load_n(&public_page()->awake, __ATOMIC_RELAXED), 0))
		sys3(__NR_write, STUB_BELL_FD, &s->gid, sizeof s->gid);
}

/* A new thread: its first reply may be there already. */
static inline void
post_ready(struct stub_slot *s, int kind)
{
	uint32_t v = STUB_RUN;

	s->kind = (uint8_t)kind;
	__atomic_compare_exchange_n(
		&s->state, &v, STUB_REQ, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

static __attribute__((noinline)) void
sleep_for_reply(struct stub_slot *s)
{
	struct stub_priv *p = priv_of(s);
	uint64_t ts[2], now = __builtin_ia32_rdtsc();

	if (now - p->cpu_tsc > CPU_TIME_CYCLES &&
		sys2(__NR_clock_gettime, 3 /* CLOCK_THREAD_CPUTIME_ID */, ts) == 0) {
		s->cpu_ns = ts[0] * 1000000000ull + ts[1];
		p->cpu_tsc = now;
	}
	for (;;) {
		uint32_t v = STUB_REQ;

		if (__atomic_compare_exchange_n(&s->state, &v, STUB_REQ | STUB_WAITER, false,
			    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
			v == (STUB_REQ | STUB_WAITER))
			sys4(__NR_futex, &s->state, 0 /* FUTEX_WAIT */, STUB_REQ | STUB_WAITER, 0);
		else if (v == STUB_REPLY)
			return;
		else
			stub_die(1); /* somebody wrote over the slot */
	}
}

static inline bool
told_to_sleep(struct stub_slot *s)
{
	return __atomic_load_n(&s->sleeps, __ATOMIC_RELAXED);
}

static inline __attribute__((always_inline)) bool
yield_once(struct stub_slot *s)
{
	if (load_state(s) == STUB_REPLY || told_to_sleep(s))
		return false;
	sys0(__NR_sched_yield);
	return true;
}

/* With one CPU, giving way to the sentry, which does the same, costs half of sleeping and being
 * woken; unless others are there to take the CPU. */
static __attribute__((noinline)) bool
yield_for_reply(struct stub_slot *s)
{
	struct stub_priv *p = priv_of(s);
	uint64_t start;

	if (p->no_yield) {
		p->no_yield--;
		return false;
	}
	start = __builtin_ia32_rdtsc();
	/* No loop: a guest that jumps here with a count of its own would stay for hours. */
	(void)(yield_once(s) && yield_once(s) && yield_once(s) && yield_once(s));
	if (__builtin_ia32_rdtsc() - start > YIELD_CYCLES) {
		p->no_yield = p->no_yield_next < NO_YIELD_MIN ? NO_YIELD_MIN : p->no_yield_next;
		p->no_yield_next = p->no_yield < NO_YIELD_MAX ? p->no_yield * 2 : NO_YIELD_MAX;
	} else if (p->no_yield_next) {
		p->no_yield_next--;
	}
	return load_state(s) == STUB_REPLY;
}

static inline void
wait_reply(struct stub_slot *s)
{
	struct stub_public *pub = public_page();

	if (__atomic_load_n(&pub->spin, __ATOMIC_RELAXED)) {
		uint64_t start = __builtin_ia32_rdtsc();

		do {
			for (int i = 0; i < 16; i++) {
				if (load_state(s) == STUB_REPLY)
					return;
				__builtin_ia32_pause();
			}
		} while (!told_to_sleep(s) && __atomic_load_n(&pub->spin, __ATOMIC_RELAXED) &&
			 __builtin_ia32_rdtsc() - start < pub->spin_cycles);
	}
	if (__atomic_load_n(&pub->yield, __ATOMIC_RELAXED) && yield_for_reply(s))
		return;
	if (load_state(s) != STUB_REPLY)
		sleep_for_reply(s);
}

void
stub_regs_from_frame(struct stub_slot *s, const struct host_ucontext *uc)
{
	x86_regs_from_sc(&s->regs, &uc->mc);
	s->regs.cs = uc->mc.cs;
	s->regs.ss = uc->mc.ss;
}

/* Where only the host can read the base, which costs more than all else here, it is what the sentry
 * has last set, unless the guest has loaded a selector. */
static inline void
note_fs_base(struct stub_slot *s)
{
	uint32_t selector;

	__asm__ volatile("movl %%fs, %0" : "=r"(selector));
	if (selector || public_page()->fsgsbase)
		s->regs.fs_base = get_fs_base();
}

static void make_futex(struct stub_slot *s, struct host_ucontext *uc, uint8_t rf);

/* Post a request, and make what the sentry answers until it lets the thread go. */
void
stub_serve(struct stub_slot *s, int kind, struct host_ucontext *uc)
{
	int frame = uc ? STUB_KIND_FRAME : 0;

	for (;;) {
		uint8_t rf;

		if (kind == STUB_K_READY) {
			post_ready(s, kind | frame); /* the registers may be there already */
		} else {
			note_fs_base(s);
			post(s, kind | frame);
		}
		wait_reply(s);
		rf = s->rflags;
		if (rf) {
			if (rf & STUB_R_REGS) {
				if (uc)
					x86_regs_to_sc(&uc->mc, &s->regs);
			} else if (rf & STUB_R_RESULT) {
				s->regs.rax = s->args[0];
				if (uc)
					uc->mc.ax = s->args[0];
			}
			if (rf & STUB_R_FSBASE)
				set_fs_base(s->regs.fs_base);
			if (rf & STUB_R_GSBASE)
				set_gs_base(s->regs.gs_base);
		}
		if (s->nops) {
			bool ready = false;
			int bad = stub_ops(s, uc, s->nops, &ready);

			if (ready) {
				kind = STUB_K_READY;
				continue;
			}
			if (bad >= 0) {
				s->failed = (uint32_t)bad;
				kind = STUB_K_FAILED;
				continue;
			}
		}
		if (rf & STUB_R_AGAIN) {
			kind = STUB_K_DONE;
			continue;
		}
		__atomic_store_n(&s->state, STUB_RUN, __ATOMIC_RELEASE);
		if (rf & STUB_R_FUTEX) {
			make_futex(s, uc, rf);
			kind = STUB_K_FUTEX;
			continue;
		}
		return;
	}
}

/* Before it sleeps in a futex, look for a moment whether the word changes: where a CPU is idle that
 * takes a tenth of the time of being woken there. What is seen decides nothing: the host's call
 * follows. A thread whose word does not change in that time stops trying but for every
 * UNLUCKY_WAITS-th wait: luck above 0 counts down with each failure, from 0 on it counts the waits.
 */
static void
futex_spin(struct stub_slot *s, const uint64_t a[6])
{
	const struct stub_public *pub = public_page();
	struct stub_priv *p = priv_of(s);
	int32_t luck = (int32_t)p->futex_luck;
	uint32_t v = (uint32_t)a[2];
	uint64_t start;

	if (!__atomic_load_n(&pub->futex_spin, __ATOMIC_RELAXED) || (a[0] & 3))
		return;
	if (luck <= 0 && --luck > -UNLUCKY_WAITS) {
		p->futex_luck = (uint32_t)luck;
		return;
	}
	start = __builtin_ia32_rdtsc();
	do {
		for (int i = 0; i < 16; i++)
			__builtin_ia32_pause();
		if (stub_copy(&v, (const void *)a[0], sizeof v) != 0 || v != (uint32_t)a[2])
			break;
	} while (!p->kicked && __builtin_ia32_rdtsc() - start < pub->spin_cycles);
	if (v != (uint32_t)a[2])
		luck = luck < 0 ? LUCK_FIRST : luck < LUCK_MAX ? luck + 1 : luck;
	else
		luck = luck < 0 ? 0 : luck - 1;
	p->futex_luck = (uint32_t)luck;
}

/* When a wait for so long is over, should it be cut short; the host reads the time for itself. */
static int64_t
futex_deadline(uint64_t timeout)
{
	int64_t span[2], now[2], ns;

	if (stub_copy(span, (const void *)timeout, sizeof span) != 0 ||
		sys2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, now) != 0)
		return 0;
	if (__builtin_mul_overflow(span[0], 1000000000, &ns) ||
		__builtin_add_overflow(ns, span[1], &ns) ||
		__builtin_add_overflow(ns, now[0] * 1000000000 + now[1], &ns))
		return INT64_MAX;
	return ns;
}

static void
make_futex(struct stub_slot *s, struct host_ucontext *uc, uint8_t rf)
{
	const struct guest_regs *r = &s->regs;
	uint64_t a[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
	bool again = rf & STUB_R_WAIT;
	int op = again ? FUTEX_OP_WAIT : (int)a[1] & 127;
	uint32_t nr = again ? __NR_futex : s->nr;
	bool on_one = nr == __NR_futex && (op == FUTEX_OP_WAIT || op == FUTEX_OP_WAIT_BITSET);
	bool waits = on_one || nr == __NR_futex_waitv || nr == __NR_futex_wait;

	if (again)
		a[1] &= 128; /* FUTEX_PRIVATE_FLAG */
	if (rf & STUB_R_UNTIMED)
		a[nr == __NR_futex_wait ? 4 : 3] = 0;
	s->futex_deadline_ns = on_one && op == FUTEX_OP_WAIT && a[3] ? futex_deadline(a[3]) : 0;
	if (waits) {
		__atomic_store_n(&s->state, STUB_FUTEX, __ATOMIC_RELEASE);
		if (on_one)
			futex_spin(s, a);
	}
	s->result = stub_futex(a, &priv_of(s)->kicked, nr);
	if (waits)
		__atomic_store_n(&s->state, STUB_RUN, __ATOMIC_RELEASE);
	s->regs.rax = (uint64_t)s->result;
	if (uc)
		uc->mc.ax = (uint64_t)s->result;
}

/* Futexes on guest memory are the host's. True when the guest goes on by itself. */
static bool
try_futex(struct stub_slot *s, struct host_ucontext *uc)
{
	uint32_t ops = 1u << FUTEX_OP_WAIT | 1u << FUTEX_OP_WAKE | 1u << FUTEX_OP_REQUEUE |
		       1u << FUTEX_OP_CMP_REQUEUE | 1u << FUTEX_OP_WAKE_OP |
		       1u << FUTEX_OP_WAIT_BITSET | 1u << FUTEX_OP_WAKE_BITSET;
	uint32_t op = (uint32_t)s->args[1] & 127;

	if (op > FUTEX_OP_WAKE_BITSET || !(ops & 1u << op))
		return false;
	make_futex(s, uc, 0);
	if (s->result == -E_INTR)
		stub_serve(s, STUB_K_FUTEX, uc);
	return true;
}

/* A thread's restartable sequences are the host's, which writes to the area when it pleases: so it
 * is to be there. What could be refused, or is to be mapped first, the sentry looks at. */
static bool
try_rseq(struct stub_slot *s, int64_t *ret)
{
	const uint64_t *a = s->args;
	uint8_t area[32]; /* the first version's */

	if ((uint32_t)a[2] || (uint32_t)a[1] < sizeof area || a[0] >= (uint64_t)stub_base ||
		stub_copy(area, (const void *)a[0], sizeof area) != 0 ||
		stub_copy((void *)a[0], area, sizeof area) != 0)
		return false;
	*ret = stub_rseq(s, a[0], (uint32_t)a[1], 0, (uint32_t)a[3]);
	return true;
}

/* It will be asked for before the process is left: that saves a trip. */
static void
tell_usage(struct stub_slot *s)
{
	static const uint8_t fields[3] = STUB_USAGE_FIELDS;
	uint64_t usage[STUB_USAGE_WORDS] = {0};

	sys2(__NR_getrusage, 0 /* RUSAGE_SELF */, usage);
	for (int i = 0; i < 3; i++)
		s->usage[i] = usage[fields[i]];
}

/* What the thread may know without asking. */
static bool
try_answer(struct stub_slot *s, struct host_ucontext *uc)
{
	int64_t v;

	switch (s->nr) {
	case __NR_futex:
		return try_futex(s, uc);
	case __NR_getpid:
		v = s->ident[VEC_GETPID];
		break;
	case __NR_gettid:
		v = s->ident[VEC_GETTID];
		break;
	case __NR_getppid:
		v = s->ident[VEC_GETPPID];
		break;
	case __NR_getuid:
		v = s->ident[VEC_GETUID];
		break;
	case __NR_geteuid:
		v = s->ident[VEC_GETEUID];
		break;
	case __NR_getgid:
		v = s->ident[VEC_GETGID];
		break;
	case __NR_getegid:
		v = s->ident[VEC_GETEGID];
		break;
	case __NR_getpgrp:
		v = s->ident[VEC_GETPGRP];
		break;
	case __NR_getpgid:
		if ((int32_t)s->args[0] != 0)
			return false;
		v = s->ident[VEC_GETPGRP];
		break;
	case __NR_rseq:
		if (!try_rseq(s, &v))
			return false;
		break;
	case __NR_sched_yield:
		v = sys0(__NR_sched_yield);
		break;
	case __NR_clock_gettime:
		if ((uint32_t)s->args[0] > 7)
			return false;
		v = sys2(__NR_clock_gettime, (uint32_t)s->args[0], s->args[1]);
		break;
	default:
		return false;
	}
	s->regs.rax = (uint64_t)v;
	if (uc)
		uc->mc.ax = (uint64_t)v;
	return true;
}

/* Copy one piece of guest memory into the bounce buffer and say so; false when nothing more fits.
 */
static bool
carry(struct stub_slot *s, uint64_t addr, uint64_t len, uint32_t *off)
{
	struct stub_carried *c;

	if (s->ncarried >= STUB_NCARRIED || len > SLOT_BOUNCE_SZ - *off)
		return false;
	if (stub_copy(s->bounce + *off, (const void *)addr, len) != 0)
		return false;
	c = &s->carried[s->ncarried];
	c->addr = addr;
	c->len = (uint32_t)len;
	c->off = *off;
	s->ncarried++;
	*off += (uint32_t)(len + 7) & ~7u;
	return true;
}

static void
carry_vec(struct stub_slot *s, uint64_t addr, uint64_t count, bool buffers, uint32_t *off)
{
	uint32_t at = *off;

	if (count == 0 || count > 64 || !carry(s, addr, count * 16, off) || !buffers)
		return;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t iov[2];

		__builtin_memcpy(iov, s->bounce + at + i * 16, 16);
		if (iov[1] > SLOT_BOUNCE_SZ || (iov[1] && !carry(s, iov[0], iov[1], off)))
			return;
	}
}

static void
marshal(struct stub_slot *s)
{
	const struct plat_syscall_desc *d = &public_page()->desc[s->nr];
	uint32_t off = 0;
	uint64_t any[3];

	__builtin_memcpy(any, d, sizeof any);
	if ((any[0] | any[1] | any[2]) == 0)
		return;
	for (unsigned i = 0; i < 6; i++) {
		struct plat_arg_desc a = d->arg[i];
		uint64_t p = s->args[i];
		uint64_t n = a.len < 6 ? s->args[a.len] : 0;

		if (a.kind == PLAT_ARG_NONE || p == 0)
			continue;
		if (a.kind == PLAT_ARG_STR) {
			uint64_t room = SLOT_BOUNCE_SZ - off;
			long r;

			if (s->ncarried >= STUB_NCARRIED || room < 4096)
				return;
			r = stub_strcopy(s->bounce + off, (const void *)p, 4096);
			if (r > 0) {
				struct stub_carried *c = &s->carried[s->ncarried++];

				c->addr = p;
				c->len = (uint32_t)r;
				c->off = off;
				off += (uint32_t)(r + 7) & ~7u;
			}
		} else if (a.kind == PLAT_ARG_IN) {
			carry(s, p, a.size, &off);
		} else if (a.kind == PLAT_ARG_BUF_IN) {
			if (n)
				carry(s, p, n, &off);
		} else if (a.kind == PLAT_ARG_VEC_IN || a.kind == PLAT_ARG_VEC) {
			carry_vec(s, p, n, a.kind == PLAT_ARG_VEC_IN, &off);
		}
	}
}

/* A trap at a site of the form that the sentry rewrites: it has to see it. */
static bool
may_be_rewritten(const struct stub_slot *s)
{
	return s->rewrite && s->ncode && s->nr != __NR_rt_sigreturn &&
	       (s->code[1] == 0xb8 || (s->ncode == 16 && s->code[8] == 0x48 && s->code[9] == 0x3d));
}

/* The guest's registers stand in slot.regs; the number in slot.nr. */
void
stub_syscall(struct stub_slot *s, struct host_ucontext *uc, bool compat)
{
	const struct guest_regs *r = &s->regs;

	s->args[0] = r->rdi;
	s->args[1] = r->rsi;
	s->args[2] = r->rdx;
	s->args[3] = r->r10;
	s->args[4] = r->r8;
	s->args[5] = r->r9;
	s->ncarried = 0;
	if (compat) {
		stub_serve(s, STUB_K_SYSCALL | STUB_KIND_COMPAT, uc);
		return;
	}
	if (s->answers && !s->watched && !(uc && may_be_rewritten(s)) && try_answer(s, uc))
		return;
	if (s->nr == __NR_exit_group || s->nr == __NR_exit)
		tell_usage(s);
	else if (s->nr == __NR_rt_sigreturn)
		/* saves a trip, unless somebody looks at the registers */
		s->returned = s->answers && !s->watched && stub_sigreturn(s, uc) == 0;
	else if (s->marshal && s->nr < PLAT_NR_SYSCALLS)
		marshal(s);
	stub_serve(s, STUB_K_SYSCALL, uc);
}

void
stub_fast_syscall(struct stub_slot *s)
{
	s->nr = (uint32_t)s->regs.rax;
	stub_syscall(s, NULL, false);
}

void
stub_fast_interrupted(struct stub_slot *s)
{
	priv_of(s)->kicked = 0;
	stub_serve(s, STUB_K_INTERRUPT, NULL);
}

void
stub_trap_interrupted(struct host_ucontext *uc)
{
	struct stub_slot *s = slot_of_stack();

	priv_of(s)->kicked = 0;
	stub_regs_from_frame(s, uc);
	stub_serve(s, STUB_K_INTERRUPT, uc);
	stub_trap_exit(uc, &priv_of(s)->kicked);
}

static void
thread_state(struct stub_slot *s)
{
	struct {
		uint64_t sp;
		int32_t flags;
		uint64_t size;
	} ss = {(uint64_t)s + SLOT_ALT, 0, SLOT_ALT_SZ};

	set_gs_base((uint64_t)s);
	if (sys2(__NR_sigaltstack, &ss, 0) < 0)
		stub_die(2);
	priv_of(s)->rseq.addr = 0; /* the slot's last thread may have had one */
}

void
stub_thread_start(struct stub_slot *s)
{
	thread_state(s);
	stub_serve(s, STUB_K_READY, NULL);
	stub_fast_exit();
}

/* The registers of the FPU are still the sentry's. */
static void
fresh_fpu(struct stub_slot *s)
{
	uint8_t *area = s->bounce + 0x8000;
	uint32_t eax = 1, ebx, ecx, edx;

	memset(area, 0, 0x1000);
	x86_fp_reset(area, 0x1000);
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "2"(0));
	if (ecx & 1u << 27)
		__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* The zygote: drop everything that is the sentry's, seal, and serve. */
void
stub_boot(const struct stub_boot *b, struct stub_slot *s)
{
	uint64_t base = (uint64_t)stub_base;
	uint64_t keep[2][2] = {{b->keep_start, b->keep_end}, {base, base + STUB_ALIGN}};
	uint64_t at = 0, zero = 0;

	if (keep[0][0] > keep[1][0]) {
		keep[0][0] = base;
		keep[0][1] = base + STUB_ALIGN;
		keep[1][0] = b->keep_start;
		keep[1][1] = b->keep_end;
	}
	for (int i = 0; i < 2; i++) {
		if (keep[i][0] > at && sys2(__NR_munmap, at, keep[i][0] - at) < 0)
			stub_die(3);
		if (keep[i][1] > at)
			at = keep[i][1];
	}
	if (at < b->top && sys2(__NR_munmap, at, b->top - at) < 0)
		stub_die(3);
	for (uint32_t i = 0; i < b->nmove; i++) {
		long r = sys6(__NR_mremap, b->move[i].from, b->move[i].len, b->move[i].len, 3,
			b->move[i].to, 0);

		if (r != (long)b->move[i].to)
			stub_die(4);
	}
	if (sys4(__NR_rt_sigprocmask, 2, &zero, 0, 8) < 0)
		stub_die(5);
	thread_state(s);
	fresh_fpu(s);
	if (sys3(__NR_seccomp, 1, 0, b->filter) < 0)
		stub_die(6);
	stub_serve(s, STUB_K_READY, NULL);
	stub_fast_exit(); /* the copies of the zygote get here */
}
