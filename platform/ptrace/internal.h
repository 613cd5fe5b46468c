/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ptrace engine's own objects. One thread of the sentry, the tracer, makes all ptrace calls and
 * waits for all stub processes: the one that called init. In the sentry it is the only worker, so
 * that a fiber makes its calls by itself, and a stop is noticed by the thread that then runs the
 * fiber. Whoever calls from another thread (the engine's own tests do) leaves a job and parks.
 * A space is a stub process, which has no code of the engine in it but one page with two
 * instructions to be used by injection, and one page of scratch memory.
 *
 * Letters: (F) the fiber that owns the thread; (T) the tracer; (A) atomic. While a job of a thread
 * is in the tracer's hands, its fiber is parked: so what the one wrote the other may read.
 */
#ifndef PTRACE_INTERNAL_H
#define PTRACE_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/ref.h"
#include "platform/host/engine.h"
#include "platform/platform.h"
#include "platform/x86_64/first.h"
#include "platform/x86_64/frame.h"
#include "platform/x86_64/rseq.h"
#include "platform/x86_64/stubcalls.h"
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define PT_KICK_SIGNAL	23 /* SIGURG */
#define PT_TEXT_SYSCALL 0  /* syscall; int3 */
#define PT_TEXT_CMPXCHG 8  /* lock cmpxchg %edx, (%rdi); int3 */
#define PT_SCRATCH	0x1000
#define PT_VDSO		0x30000
#define PT_VDSO_MAX	0x40000
#define PT_GUARD	0x10000
#define PT_NOPS		64
#define PT_XSTATE_MAX	0x4000

enum pt_state {
	PT_STOPPED, /* the fiber, or a job, has it */
	PT_RUNNING, /* guest code, under PTRACE_SYSEMU */
	PT_FUTEX,   /* a futex of the guest, made at the stub's instruction */
	PT_EXITING, /* nobody waits for it any more */
	PT_DEAD,
};

struct pt_op {
	int nr; /* of the host call */
	int fd; /* ours, closed when done; -1: none */
	uint64_t a[6];
};

struct plat_space {
	pid_t pid;
	uint32_t nthreads;	/* (T) not reaped */
	_Atomic uint32_t nlive; /* threads that the kernel holds */
	_Atomic bool had_many;	/* more than one, once */
};

/* Where the host runs a thread. */
enum pt_place {
	PT_UNPLACED, /* the host decides; not looked at yet */
	PT_HOME,     /* with the tracer */
	PT_ROAMING,  /* it computes for long: the host decides */
};

struct plat_thread {
	struct plat_space *sp;
	pid_t tid;
	void *owner;
	struct plat_thread *hash_next; /* (T) */
	enum pt_state state;	       /* (T) */
	_Atomic int running_now;       /* (A) a kick has to be sent */
	_Atomic int kick;	       /* (A) */
	_Atomic int gone;	       /* (A) */
	_Atomic int done;	       /* (A) run is over: ev is set */
	void *cookie;
	/* (F) or (T): registers are fetched when somebody asks, and loaded when they have changed;
	 * a result alone is one word. */
	bool regs_known, regs_dirty, has_result;
	bool in_syscall; /* stopped at a system call: rax is to be -ENOSYS */
	int64_t result;
	struct guest_regs regs;
	struct guest_regs saved; /* (T) of a thread in a futex */
	struct list running;	 /* (T) in pt.running while it runs */
	enum pt_place place;	 /* (T) */
	int cpu;		 /* (T) PT_HOME: which */
	uint32_t short_runs;	 /* (T) PT_ROAMING: one after the other */
	int64_t resumed_ns;	 /* (T) */
	bool has_mask;		 /* (A) by the owner's choice */
	cpu_set_t mask;
	struct plat_event ev;
	struct pt_op ops[PT_NOPS];
	uint32_t nops;
	bool futex;
	enum plat_futex futex_how;
	uint32_t futex_nr;	  /* which call */
	_Atomic bool futex_waits; /* (A) the host makes it */
	struct x86_rseq rseq;	  /* (T) */
	_Atomic int64_t cpu_seen; /* (A) its CPU time when it was last looked at, ns */
	pid_t child;		  /* (T) what the last event said */
};

/* Made by the tracer for a parked fiber. */
typedef int64_t pt_job_fn(struct plat_thread *t, void *arg);

struct pt_engine {
	const struct plat_env *env;
	struct x86_layout lay;
	struct x86_fp_sw frame; /* of the host's frames; all 0: not known */
	int sock[2];		/* ours, the stubs' */
	int bell;		/* a signalfd: a stub stopped or died, or there is a job */
	pid_t self;
	struct plat_thread *zygote;
	struct plat_thread *hash[256]; /* (T) by tid */
	struct list running;	       /* (T) */
	_Atomic int closing;
};

extern struct pt_engine pt;

/* tracer.c */
int pt_tracer_start(void); /* the calling thread is the tracer from now on */
void pt_tracer_stop(void); /* (T) */
int64_t pt_job(pt_job_fn *fn, struct plat_thread *t, void *arg);
bool pt_poll(void);
bool pt_prepare_sleep(int64_t *until_ns);
void pt_woke(void);
/* (T) */
struct plat_thread *pt_thread_add(struct plat_space *sp, pid_t tid);
void pt_thread_drop(struct plat_thread *t); /* neither its fiber nor the host has it any more */
int pt_wait_stop(struct plat_thread *t, int *status);
void pt_wait_run(struct plat_thread *t); /* (F): until pt_complete */
void pt_complete(struct plat_thread *t, enum plat_event_kind kind);

/* run.c */
void pt_run(struct plat_thread *t, struct plat_event *ev);
void pt_kick(struct plat_thread *t);
struct guest_regs *pt_regs(struct plat_thread *t);
void pt_regs_dirty(struct plat_thread *t);
void pt_set_result(struct plat_thread *t, int64_t v);
void pt_stopped(struct plat_thread *t, int status); /* (T) */

/* place.c (T) */
void pt_place_init(void);
void pt_place_resume(struct plat_thread *t);  /* before it runs */
void pt_place_stopped(struct plat_thread *t); /* after */
void pt_place_limit(int64_t *until_ns);
void pt_place_look(void);
int pt_set_affinity(struct plat_thread *t, const void *mask, size_t len);

/* inject.c (T) */
long pt_call(long req, pid_t tid, uint64_t addr, const void *data);
int pt_write_regs(struct plat_thread *t, const struct guest_regs *r);
int pt_fetch_regs(struct plat_thread *t);
int64_t pt_inject(struct plat_thread *t, uint64_t entry, const struct guest_regs *r);
int64_t pt_syscall(struct plat_thread *t, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
	uint64_t e, uint64_t f);

/* space.c */
int pt_zygote_make(void); /* (T) */
int pt_space_new(struct plat_thread *from, void *owner, struct plat_thread **ret_thread);
int pt_space_fork(struct plat_thread *t, void *owner, struct plat_thread **ret_child);
int pt_thread_new(struct plat_thread *t, void *owner, struct plat_thread **ret_thread);
void pt_thread_exit(struct plat_thread *t, uint64_t clear_tid);

/* ops.c */
int pt_make_ops(struct plat_thread *t); /* (T): what is queued; 0 or the first error */
int pt_flush(struct plat_thread *t);
int pt_map(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd,
	int64_t off);
int pt_unmap(struct plat_thread *t, uint64_t addr, uint64_t len);
int pt_protect(struct plat_thread *t, uint64_t addr, uint64_t len, int prot);
int pt_move(
	struct plat_thread *t, uint64_t old, uint64_t old_len, uint64_t new_addr, uint64_t new_len);
int pt_advise(struct plat_thread *t, uint64_t addr, uint64_t len, int advice);
void pt_set_name(struct plat_thread *t, const char *comm);
void pt_set_args(struct plat_thread *t, uint64_t start, uint64_t end);
int pt_copy_in(struct plat_thread *t, void *dst, uint64_t src, size_t len);
int pt_copy_out(struct plat_thread *t, uint64_t dst, const void *src, size_t len);
int pt_peek(struct plat_thread *t, void *dst, uint64_t src, size_t len);
int pt_poke(struct plat_thread *t, uint64_t dst, const void *src, size_t len);
int pt_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t *val, uint32_t want);
int pt_futex_wake(
	struct plat_thread *t, uint64_t addr, int count, uint32_t bitset, bool is_private);

/* frame.c */
ssize_t pt_get_xstate(struct plat_thread *t, void *buf, size_t cap);
int pt_set_xstate(struct plat_thread *t, const void *buf, size_t len);
int pt_reset_xstate(struct plat_thread *t);
int64_t pt_xstate_fresh(struct plat_thread *t); /* (T) */
int pt_signal_deliver(struct plat_thread *t, int signo, const void *siginfo128, uint64_t handler,
	uint64_t restorer, uint64_t sp, uint64_t sigmask, const void *uc_stack24, bool sure);
int pt_sigreturn(struct plat_thread *t, uint64_t *ret_mask, void *ret_uc_stack24);
#endif
