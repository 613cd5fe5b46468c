/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface between the kernel and what runs guest code. Two engines implement it: trap and
 * ptrace.
 *
 * A space is one guest address space (one host process); a thread is one guest thread in it (one
 * host thread). All calls on a thread are made by the fiber that owns it, between two plat_run()
 * calls, unless the text says "any thread". Errors are -errno. Everything that comes from a stub is
 * hostile and has been copied and checked before it is visible here.
 *
 * The engine does not know fibers: to wait it calls plat_env.park, and plat_env.unpark(cookie)
 * makes the fiber that parked run again; an unpark before the park makes that park return at once.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include "abi/types.h"
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

struct plat_space;
struct plat_thread;

/* General registers in the order of Linux's user_regs_struct, so that ptrace can use them as they
 * are. */
struct guest_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax, rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

enum plat_event_kind {
	PLAT_EV_SYSCALL, /* nr and args are set; the thread waits for plat_set_result() + plat_run()
			  */
	PLAT_EV_FAULT, /* a CPU exception: fault is set; regs are those at the faulting instruction
			*/
	PLAT_EV_INTERRUPT, /* kick() took effect; the thread stands between two guest instructions
			    */
	PLAT_EV_FUTEX, /* a futex(2) that the stub made on the host is over, and the kernel has to
			  know: a kick cut it short, or futex_native() asked. result is what the
			  host said; nr and args are the guest's; the kernel treats it as if a
			  handler had returned it */
	PLAT_EV_GONE,  /* the host process is dead (killed, or it destroyed itself) */
};

enum plat_futex {
	PLAT_FUTEX_AS_ASKED,
	PLAT_FUTEX_UNTIMED, /* a wait, but without its timeout, which the kernel kicks for */
	PLAT_FUTEX_AGAIN, /* UNTIMED, and whatever its number says a FUTEX_WAIT: it was cut short */
};

struct plat_fault {
	int signo;     /* SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP */
	int code;      /* si_code */
	uint64_t addr; /* si_addr */
	uint64_t err;  /* page fault error code (bit 1: write, bit 4: fetch) */
	uint64_t trapno;
};

struct plat_event {
	enum plat_event_kind kind;
	uint32_t nr;	/* PLAT_EV_SYSCALL: eax as the guest set it */
	bool compat;	/* PLAT_EV_SYSCALL: int 0x80 or x32; nr is then of that ABI */
	int64_t result; /* PLAT_EV_FUTEX; -ERESTARTNOINTR: not begun, to be made again */
	/* PLAT_EV_FUTEX: when a FUTEX_WAIT with a timeout that the stub began by itself is over, on
	 * CLOCK_MONOTONIC; 0: the kernel began it */
	int64_t deadline_ns;
	uint64_t args[6];
	struct plat_fault fault;
};

/* What the kernel lends to the engine. All members are called from any thread of the sentry. */
struct plat_env {
	void (*park)(void);  /* sleep the calling fiber until unparked */
	void *(*self)(void); /* cookie of the calling fiber */
	void (*unpark)(void *cookie);
	/* plat_ops.prepare_sleep gives an earlier time now: who sleeps is to ask it again. */
	void (*look_again)(void);
	/* A thread of the space died on the host without being asked to; any thread. */
	void (*thread_gone)(struct plat_thread *t, void *owner);
	/* For the rewriting of syscall sites; NULL: none are. Called by the fiber of t inside
	 * plat_run(); owner is that of the thread. find_gap: reserve len bytes (whole pages) near
	 * an address (within 1 GiB), which the guest neither sees nor gets, until it unmaps all
	 * that is around (execve); 0: none. may_patch: does [addr, addr + len) lie in private
	 * executable memory, and with which protection? A fork copies what was patched and
	 * reserved. */
	uint64_t (*find_gap)(struct plat_thread *t, void *owner, uint64_t near, uint64_t len);
	bool (*may_patch)(void *owner, uint64_t addr, uint64_t len, int *ret_prot);
	int ncpu;      /* host CPUs that the sandbox may use */
	bool may_spin; /* false: one CPU, or switched off */
};

/* Switches, all on by default; tests run with each of them off. */
struct plat_config {
	bool rewrite_sites;
	bool stub_answers;
	bool spin;
	bool marshal;
};

/* How an argument of a syscall is carried from and to guest memory (made from the syscall table).
 */
enum plat_arg_kind {
	PLAT_ARG_NONE = 0, /* a number */
	PLAT_ARG_STR,	   /* NUL-terminated string in, at most PATH_MAX bytes */
	PLAT_ARG_IN,	   /* fixed-size struct in; size in bytes */
	PLAT_ARG_BUF_IN,   /* buffer in; its length is argument number `len` */
	PLAT_ARG_VEC_IN, /* struct iovec array in, and the buffers it names; count is argument `len`
			  */
	PLAT_ARG_VEC,	 /* struct iovec array in, without the buffers; count is argument `len` */
	PLAT_ARG_SIGFRAME, /* rt_sigreturn: the ucontext at the stack pointer */
};

struct plat_arg_desc {
	uint8_t kind;  /* enum plat_arg_kind */
	uint8_t len;   /* argument index with the length */
	uint16_t size; /* bytes, for PLAT_ARG_IN */
};

struct plat_syscall_desc {
	struct plat_arg_desc arg[6];
};

#define PLAT_NR_SYSCALLS 512

/* What the stub may answer for a thread without asking; values are as that guest thread would see
 * them. */
struct plat_identity {
	int32_t pid, tid, ppid, pgid, sid;
	uint32_t uid, euid, gid, egid;
};

/* Put up to len bytes into buf, the at-th and following of a stream. Bytes, 0 at its end, or
 * -errno. buf is shared with the guest: it is written to, and not read. May park. */
typedef ssize_t plat_fill_fn(void *arg, void *buf, uint64_t at, size_t len);

/* A piece of a file whose contents a guest's process may read, and may go on reading as long as it
 * lives, as if it had mapped it. */
struct plat_file {
	uint64_t id; /* of the file; never that of another */
	uint64_t off;
	void *owner; /* keeps the contents; the engine calls put when they have been read */
	void (*put)(void *owner);
	int (*fd)(void *owner); /* borrowed; it can do nothing but read. -errno. Parks */
};

/* As in getrusage(2), or what the guest has made of it. */
struct plat_usage {
	uint64_t maxrss_kb, minflt, majflt;
};

struct plat_ops {
	const char *name;

	/* Every call on a thread, and poll, prepare_sleep, woke and shutdown, is made by the thread
	 * that called init: the sentry has one worker. (Another thread's call works, and costs a
	 * job for that one.) */
	bool one_worker;

	/* GS may be the engine's: guests are not to change its base but by arch_prctl(2) and signal
	 * frames, so they must not find FSGSBASE in AT_HWCAP2. */
	bool keeps_gs;

	/* Start the engine; once per sentry, before it is sealed, by a thread that lives as long as
	 * the sentry: the host kills the stubs when it ends. May block SIGCHLD in the
	 * calling thread, of which threads that are made later inherit it: all have to. Creates the
	 * first (zygote) stub. desc: PLAT_NR_SYSCALLS rows, borrowed for ever. Errors: -ENOSYS with
	 * a line in the log that says what the host lacks. */
	int (*init)(const struct plat_env *env, const struct plat_config *cfg,
		const struct plat_syscall_desc *desc);
	void (*shutdown)(void); /* kill every stub and wait for it */

	/* The poller's side (sentry/sched calls these through hooks). */
	bool (*poll)(void); /* look at the running threads once; true if some fiber was unparked */
	/* As many threads run guest code as there are CPUs. NULL: never. */
	bool (*crowded)(void);
	/* What t asked for waits for others, for long maybe: it need not look for the answer on the
	 * CPU. By the fiber of t. NULL: it does not. */
	void (*sleeps)(struct plat_thread *t);
	/* Until when (CLOCK_MONOTONIC) a request is likely to come, however long ago the last one
	 * was: a thread makes something that takes a known time. NULL: not known. */
	int64_t (*expects)(void);
	/* Publish "ring the doorbell"; true: work came meanwhile, do not sleep. The engine may set
	 * *until_ns (CLOCK_MONOTONIC) to an earlier time, at which it wants to be woken. */
	bool (*prepare_sleep)(int64_t *until_ns);
	void (*woke)(void);
	int (*doorbell_fd)(
		void); /* readable when a stub rang; the engine drains it in woke(); -1: none */

	/* Addresses. */
	uint64_t (*guest_top)(
		void); /* first address above what guest maps may use (page aligned) */
	void (*vdso_range)(
		uint64_t *start, uint64_t *len); /* vvar and vdso, mapped in every space; and */
	uint64_t (*vdso_ehdr)(void);		 /* the address for AT_SYSINFO_EHDR, 0 if none */

	/* A fresh, empty space with one thread, which has not run yet. It is a copy of from's,
	 * which is such a one too and does not run, and so where that is on the host (cgroups(7)):
	 * one caller at a time. NULL: of the engine's own, any number of callers. owner is passed
	 * to thread_gone; NULL: nobody is told. Parks. */
	int (*space_new)(struct plat_thread *from, void *owner, struct plat_thread **ret_thread);
	/* Make an empty space ready for a space_new to come, which then need not wait for the host.
	 * 1: made one, 0: there are enough, or -errno. Parks. NULL: there is nothing to gain. */
	int (*space_ahead)(void);
	/* fork(2): a copy of t's space with a copy of t in it; the child's registers are t's and
	 * can be changed before its first run. Done at once, not queued. Parks. */
	int (*space_fork)(struct plat_thread *t, void *owner, struct plat_thread **ret_child);
	/* clone(CLONE_VM): another thread in t's space, registers copied from t. Parks. */
	int (*thread_new)(struct plat_thread *t, void *owner, struct plat_thread **ret_thread);
	/* The host thread ends; the last one takes the space with it. t is freed. Parks. clear_tid:
	 * if not 0, 0 is stored there and a futex waiter is woken (set_tid_address(2)), in the
	 * guest, faults ignored. */
	void (*thread_exit)(struct plat_thread *t, uint64_t clear_tid);

	/* Run guest code until the next event. Queued host calls are made first, then queued
	 * copy-outs. Parks. */
	void (*run)(struct plat_thread *t, struct plat_event *ev);
	/* Make a running thread come back with PLAT_EV_INTERRUPT; any thread; no-op when it is not
	 * running guest code, except that the next run() then returns at once. A host thread that
	 * does not answer for seconds after a kick, whatever it was to do, is ended with its space:
	 * kick what is to die, too. */
	void (*kick)(struct plat_thread *t);

	/* Registers: valid until the next run. `get` gives the engine's private copy, complete;
	 * changing it needs `dirty`, which makes the next run load all of them. set_result stores
	 * the syscall's result (the fast path). */
	struct guest_regs *(*regs)(struct plat_thread *t);
	void (*regs_dirty)(struct plat_thread *t);
	void (*set_result)(struct plat_thread *t, int64_t v);
	/* FPU and vector state in XSAVE layout (for guest ptrace). Return bytes or -errno. */
	ssize_t (*get_xstate)(struct plat_thread *t, void *buf, size_t cap);
	int (*set_xstate)(struct plat_thread *t, const void *buf, size_t len);
	/* As in a fresh process: for execve in place. */
	int (*reset_xstate)(struct plat_thread *t);

	/* Signal frames. deliver builds Linux's rt_sigframe at sp (below the red zone and alignment
	 * are the engine's business) with uc_sigmask, uc_stack and siginfo as given and the saved
	 * registers those of regs(); then sets rip, rsp, rdi, rsi, rdx, rax for the handler.
	 * Returns -EFAULT if the frame cannot be written. sigreturn loads registers and FPU from
	 * the frame at regs()->rsp, as the kernel would; mask and stack are copied to the caller.
	 * Both are done at once; sure says that the page below sp can be written, and then the
	 * frame may be made with the next run(), which gives a SIGSEGV if it cannot. */
	int (*signal_deliver)(struct plat_thread *t, int signo, const void *siginfo128,
		uint64_t handler, uint64_t restorer, uint64_t sp, uint64_t sigmask,
		const void *uc_stack24, bool sure);
	int (*sigreturn)(struct plat_thread *t, uint64_t *ret_mask, void *ret_uc_stack24);

	/* Mappings. Queued: they ride on the next run, or are made by flush, in order. flags are
	 * host MAP_* (MAP_FIXED implied), fd is borrowed until the call returns (the engine passes
	 * a duplicate on). A failing queued call makes flush return its -errno; without a flush,
	 * run() makes the thread die as by SIGKILL (PLAT_EV_GONE). move:
	 * mremap(MREMAP_MAYMOVE|MREMAP_FIXED). */
	int (*map)(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd,
		int64_t off);
	int (*unmap)(struct plat_thread *t, uint64_t addr, uint64_t len);
	int (*protect)(struct plat_thread *t, uint64_t addr, uint64_t len, int prot);
	int (*move)(struct plat_thread *t, uint64_t old, uint64_t old_len, uint64_t new_addr,
		uint64_t new_len);
	int (*advise)(struct plat_thread *t, uint64_t addr, uint64_t len, int advice);
	int (*flush)(struct plat_thread *t);

	/* Guest memory. 0 or -EFAULT (all or nothing is not promised). copy_in prefers what the
	 * request carried; copy_out may be queued on the reply (then an EFAULT replaces the
	 * result), so that the caller has checked the range against its own map of areas. window: a
	 * buffer of at least len bytes whose contents will be copied to dst with the reply, for
	 * reading a host fd straight into it; NULL if there is no room. window_cut: of the window
	 * that was just given only so many bytes are to be copied. carried: the other way round,
	 * what the request carried from src on, *ret_len bytes of it; or NULL. */
	int (*copy_in)(struct plat_thread *t, void *dst, uint64_t src, size_t len);
	int (*copy_out)(struct plat_thread *t, uint64_t dst, const void *src, size_t len);
	void *(*window)(struct plat_thread *t, uint64_t dst, size_t len);
	void (*window_cut)(struct plat_thread *t, size_t len);
	/* Copy out what fill gives, piece by piece, with the copying of one piece under way while
	 * the next is filled; the end may be queued on the reply like a copy_out. For transfers
	 * that are larger than a window. Bytes taken from fill; -errno of fill when it gave
	 * nothing; -EOPNOTSUPP: not now, and fill was not called. NULL: never. Parks. */
	ssize_t (*stream_out)(
		struct plat_thread *t, uint64_t dst, size_t len, plat_fill_fn *fill, void *arg);
	/* The guest's process reads len bytes itself, straight to dst, with the reply or before;
	 * what the file turns out to be short of is zero. 0: owner is the engine's until put.
	 * -EFAULT, or -EOPNOTSUPP: not now; owner stays the caller's. NULL: never. Parks. */
	int (*file_out)(struct plat_thread *t, uint64_t dst, size_t len, const struct plat_file *f);
	const void *(*carried)(struct plat_thread *t, uint64_t src, size_t *ret_len);
	/* The memory that the request carried may have changed: read it anew. */
	void (*forget_carried)(struct plat_thread *t);
	/* Somebody looks at the guest's code: sites that were rewritten get their bytes back, and
	 * none of the space is rewritten from now on. */
	void (*unpatch)(struct plat_thread *t);
	/* At once, from any thread, for memory of a space that the caller does not run in (never
	 * queued). */
	int (*peek)(struct plat_thread *t, void *dst, uint64_t src, size_t len);
	int (*poke)(struct plat_thread *t, uint64_t dst, const void *src, size_t len);
	/* Atomic 32-bit compare and exchange in guest memory; *val is expected in, found out. */
	int (*cmpxchg32)(struct plat_thread *t, uint64_t addr, uint32_t *val, uint32_t want);
	/* The guest's current syscall is a futex(2) that the host can carry out on the guest's
	 * memory (wait, wake, requeue, their bitset forms), or futex_waitv(2) and its kind: the
	 * next run makes it there and comes back with PLAT_EV_FUTEX. */
	void (*futex_native)(struct plat_thread *t, enum plat_futex how);
	/* futex(2) wake on guest memory, in t's space: number woken or -errno. Parks. */
	int (*futex_wake)(
		struct plat_thread *t, uint64_t addr, int count, uint32_t bitset, bool is_private);

	/* Stub answers: who this thread is; watched: send every syscall to the sentry (trace, guest
	 * seccomp). */
	void (*set_identity)(struct plat_thread *t, const struct plat_identity *id);
	void (*set_watched)(struct plat_thread *t, bool on);
	void (*set_name)(struct plat_thread *t, const char *comm);
	/* The arguments of what the process executes are [start, end) of its memory: what a ps on
	 * the host shows. */
	void (*set_args)(struct plat_thread *t, uint64_t start, uint64_t end);

	/* CPU time used by the host thread / all threads of its process, in ns; any thread. That of
	 * one thread among several is what was last seen of it, own_cpu_ns looks at it: only its
	 * fiber; parks. */
	int64_t (*thread_cpu_ns)(struct plat_thread *t);
	int64_t (*own_cpu_ns)(struct plat_thread *t);
	int64_t (*space_cpu_ns)(struct plat_thread *t);
	/* What the host counted for t's process, or for the thread alone (but maxrss). A process
	 * that does not answer for patience_ns, as a hostile one may, is killed; 0: it is waited
	 * for. Only its fiber; parks. 0 or -errno. */
	int (*usage)(
		struct plat_thread *t, bool thread, int64_t patience_ns, struct plat_usage *ret);
	/* rseq(2) of the thread, which the host makes: it knows when a thread is preempted. What a
	 * child of space_fork() inherits is Linux's. The area can be written. Only its fiber;
	 * parks. 0 or -errno. */
	int (*rseq)(
		struct plat_thread *t, uint64_t addr, uint32_t len, uint32_t flags, uint32_t sig);
	/* How many processes the host has for this engine, those included that are being made, and
	 * how often one was to be made so far; any thread. NULL: a guest can make none by itself.
	 */
	void (*processes)(uint32_t *ret_now, uint64_t *ret_begun);
	/* Affinity of the host thread (cpu_set_t bytes); any thread. */
	int (*set_affinity)(struct plat_thread *t, const void *mask, size_t len);
	/* Nice value and policy (SCHED_OTHER, SCHED_BATCH, SCHED_IDLE) of the host thread; any
	 * thread. */
	int (*set_sched)(struct plat_thread *t, int nice, int policy);
	/* Does it sleep in a futex of the host? Any thread; a hint. */
	bool (*in_futex)(struct plat_thread *t);
	pid_t (*host_tid)(struct plat_thread *t);
	pid_t (*host_pid)(struct plat_thread *t);
};

/* The engine in use; set by plat_select before anything else runs. */
extern const struct plat_ops *plat;

/* name: "trap" or "ptrace". -EINVAL for another one. */
int plat_select(const char *name);

#endif
