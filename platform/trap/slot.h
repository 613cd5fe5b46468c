/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that a stub process and the sentry agree on. Included by C on both sides and by the
 * stub's assembly; the stub's side is freestanding.
 *
 * The stub region starts at an address that the sentry chooses once (STUB_ALIGN-aligned, above
 * everything a guest may map) and is the same in every stub process:
 *
 *   text     the stub's code, read and execute
 *   public   one memfd for all stubs, written by the sentry only: is the poller awake, may stubs
 *            spin, the argument table
 *   proc     private memory of the process: its descriptors, the lock of the socket
 *   vdso     the host's vvar and vdso, moved here
 *   scratch  where a page is prepared before it replaces a page of guest text
 *   large    a bounce buffer for long transfers, shared with the sentry like the slots; mapped when
 *            a thread of the process first needs it, and used by one of them at a time
 *   slots    STUB_STRIDE for each thread: the shared slot, then private memory (struct stub_priv,
 *            the stack of the stub, the signal stack)
 *
 * A slot is a mailbox of two: `state` says whose turn it is. RUN: the guest runs. REQ: the stub has
 * posted a request and waits; the sentry owns the slot. REPLY: the sentry has answered; the stub
 * owns it. FUTEX: as RUN, but blocked in a futex of the guest. STUB_WAITER is added by a stub that
 * sleeps in futex(2) on the word. Everything in a slot can be overwritten by the guest at any time:
 * the sentry copies once and checks.
 */
#ifndef TRAP_SLOT_H
#define TRAP_SLOT_H

#define STUB_ALIGN     0x100000000
#define STUB_TEXT_MAX  0x10000
#define STUB_PUBLIC    0x10000
#define STUB_PROC      0x20000
#define STUB_VDSO      0x30000
#define STUB_VDSO_MAX  0x40000
#define STUB_SCRATCH   0x80000
#define STUB_LARGE     0x100000
#define STUB_LARGE_SZ  0x100000
#define STUB_SLOTS     0x200000
#define STUB_STRIDE    0x40000
#define STUB_NSLOTS    8192
#define STUB_GUARD     0x10000 /* guest maps end this far below the region */
#define SLOT_BOUNCE    0x2000
#define SLOT_BOUNCE_SZ 0x10000
#define SLOT_SHARED    (SLOT_BOUNCE + SLOT_BOUNCE_SZ)
#define SLOTS_LARGE    ((uint64_t)SLOT_SHARED * STUB_NSLOTS) /* in the memfd of the slots */
#define SLOT_PRIV      0x20000 /* private memory, from the start of the slot */
#define SLOT_PRIV_SZ   0x20000
#define SLOT_STACK_TOP (SLOT_PRIV + 0x8000)
#define SLOT_ALT       (SLOT_PRIV + 0x8000)
#define SLOT_ALT_SZ    0x18000

/* Offsets for assembly; checked below. */
#define SLOT_REGS   64
#define SLOT_SELF   288
#define SLOT_SP	    296
#define SLOT_VEC    304
#define SLOT_IDENT  432
#define PRIV_KICKED 0

#define STUB_RUN    0
#define STUB_REQ    1
#define STUB_REPLY  2
#define STUB_FUTEX  3
#define STUB_WAITER 0x100

/* Indices of slot.vec and slot.ident: 0 is the general entry, the others answer from slot.ident. */
#define VEC_GENERAL 0
#define VEC_GETPID  1
#define VEC_GETTID  2
#define VEC_GETPPID 3
#define VEC_GETUID  4
#define VEC_GETEUID 5
#define VEC_GETGID  6
#define VEC_GETEGID 7
#define VEC_GETPGRP 8
#define VEC_COUNT   9

#ifndef __ASSEMBLER__
#include "platform/platform.h"
#include "platform/x86_64/rseq.h"
#include <stddef.h>
#include <stdint.h>

/* What a stub asks. */
enum stub_kind {
	STUB_K_SYSCALL = 1,
	STUB_K_FAULT,
	STUB_K_INTERRUPT,
	STUB_K_FUTEX,	/* a futex that the stub made is over: result */
	STUB_K_READY,	/* a new thread or process waits for its registers */
	STUB_K_DONE,	/* the operations of a STUB_R_AGAIN reply are done */
	STUB_K_FAILED,	/* operation number `failed` failed; the others were not made */
	STUB_K_RETAKEN, /* STUB_OP_RETAKE: there is a host signal frame now */
};

/* Bits of slot.kind beside the enum. */
#define STUB_KIND_MASK	 0x3f
#define STUB_KIND_FRAME	 0x40 /* the stub stands in a signal handler: FPU state is in its frame */
#define STUB_KIND_COMPAT 0x80 /* int 0x80, or an x32 number */

/* Bits of slot.rflags. */
#define STUB_R_AGAIN  0x01 /* make the operations, say so, and wait for another reply */
#define STUB_R_RESULT 0x02 /* args[0] goes to rax */
#define STUB_R_REGS   0x04 /* load slot.regs */
#define STUB_R_FUTEX  0x08 /* make the current syscall, a futex, and come back with STUB_K_FUTEX */
#define STUB_R_FSBASE 0x10 /* regs.fs_base has changed */
#define STUB_R_GSBASE 0x20 /* regs.gs_base has changed */
/* with FUTEX: whatever its number, a FUTEX_WAIT; and a wait, without its timeout */
#define STUB_R_WAIT    0x40
#define STUB_R_UNTIMED 0x80

#define STUB_USAGE_WORDS 18 /* of struct rusage */
/* ru_maxrss, ru_minflt, ru_majflt among them. */
#define STUB_USAGE_FIELDS                                                                          \
	{                                                                                          \
		4, 8, 9                                                                            \
	}

enum stub_op_code {
	STUB_OP_MMAP =
		1, /* addr len prot flags fd(-1, or any: take the next one from the socket) off */
	STUB_OP_MUNMAP,
	STUB_OP_MPROTECT,
	STUB_OP_MREMAP, /* old old_len new_addr new_len */
	STUB_OP_MADVISE,
	STUB_OP_COPY_OUT,  /* dst off len, of the bounce buffer(0) or the large one(1) */
	STUB_OP_COPY_IN,   /* bounce_off src len */
	STUB_OP_FORK,	   /* index mark; takes two descriptors: memfd, socket; result is the pid */
	STUB_OP_THREAD,	   /* index, is its slot mapped already; result is the tid */
	STUB_OP_EXIT,	   /* clear_tid, does it stay */
	STUB_OP_SIGFRAME,  /* sp handler restorer signo sigmask keep_redzone; bounce: siginfo,
			      uc_stack */
	STUB_OP_SIGRETURN, /* bounce: mask, uc_stack; -EAGAIN: only with a host frame */
	STUB_OP_CMPXCHG,   /* addr old new; result is what was there, 64 bit, or -EFAULT */
	STUB_OP_WAKE,	   /* addr count bitset private; result is the number */
	STUB_OP_RETAKE,
	STUB_OP_PATCH,	 /* page prot off bytes trampoline(0: none) count; a STUB_OP_DATA follows */
	STUB_OP_DATA,	 /* 32 bytes of code for the trampoline */
	STUB_OP_NAME,	 /* two words of name */
	STUB_OP_ARGS,	 /* start end of the arguments */
	STUB_OP_GETX,	 /* bounce: XSAVE area; result is its size */
	STUB_OP_SETX,	 /* len; 0: as in a fresh process */
	STUB_OP_CPUTIME, /* result is the thread's CPU time in ns */
	STUB_OP_USAGE,	 /* who field; result is that word of getrusage(2) */
	STUB_OP_RSEQ,	 /* addr len flags sig of rseq(2) */
	STUB_OP_FILE,  /* index, is one there that goes; takes a descriptor to keep as file `index`
			*/
	STUB_OP_PREAD, /* dst len off index: of a file that is kept; zero beyond its end */
};

struct stub_op {
	uint32_t code;
	uint32_t fatal; /* for the sentry: a failure cannot be reported to anybody */
	uint64_t a[6];
	int64_t result;
};

struct stub_carried {
	uint64_t addr;
	uint32_t len;
	uint32_t off; /* in the bounce buffer */
};

#define STUB_NCARRIED 16
#define STUB_NOPS     64

struct stub_slot {
	/* One cache line to ask and to answer. */
	uint32_t state;
	uint32_t nr;
	uint8_t kind;
	uint8_t rflags;
	uint8_t nops;
	uint8_t cold; /* ring the doorbell always: the poller does not look here often */
	uint32_t ncarried;
	uint64_t args[6]; /* answered: args[0] is the result */

	struct guest_regs regs;
	uint64_t pad0;
	uint64_t self;
	uint64_t stub_sp;
	uint64_t vec[16];
	uint32_t ident[16];
	uint8_t pad1[16];

	uint32_t tid; /* cleared by the host when the thread has ended */
	uint32_t gid; /* what the doorbell is given, a hint */
	uint32_t index;
	uint32_t watched;
	uint32_t answers; /* the stub may answer by itself */
	uint32_t marshal;
	uint32_t rewrite;  /* show the sentry sites that can be rewritten */
	uint32_t returned; /* with rt_sigreturn: STUB_OP_SIGRETURN has been made already */
	uint8_t code[16];  /* around the end of the syscall instruction which trapped */
	uint32_t ncode;	   /* how many bytes of it could be read: 0, 8 or 16 */
	uint32_t failed;
	int32_t signo, sigcode;
	uint64_t fault_addr, fault_err, fault_trapno;
	int64_t result;
	uint64_t cpu_ns; /* the thread's CPU time when it last went to sleep */
	struct stub_carried carried[STUB_NCARRIED];
	int64_t futex_deadline_ns; /* of a FUTEX_WAIT with a timeout, on CLOCK_MONOTONIC; 0: none */
	uint32_t sleeps;   /* the answer will take, and others want the CPU: do not look for it */
	uint64_t usage[3]; /* with exit and exit_group: as STUB_OP_USAGE tells of the process */

	uint8_t pad2[4096 - 912];
	struct stub_op ops[STUB_NOPS];
	uint8_t bounce[SLOT_BOUNCE_SZ];
};

/* One page. Written by the sentry only; stubs cannot map it writable. */
struct stub_public {
	uint32_t awake;	     /* a poller looks at the slots: do not ring */
	uint32_t spin;	     /* waiting for the reply on the CPU pays */
	uint32_t futex_spin; /* waiting for a futex on the CPU may pay */
	uint32_t yield;	     /* the only CPU is not free: hand it over by sched_yield */
	uint32_t fsgsbase;
	uint32_t spin_cycles;
	/* As the host's frames have it; 0 until one was seen, then frames can be made without the
	 * host. */
	uint64_t fp_features;
	uint32_t fp_size, fp_extended;
	uint8_t pad0[24];
	uint8_t fp_fresh[640]; /* what XRSTOR makes a fresh FPU of */
	uint8_t pad[4096 - 704];
	struct plat_syscall_desc desc[PLAT_NR_SYSCALLS];
};

#define STUB_NFILES 4

/* Private memory of a process; lost and made anew by the child of a fork. */
struct stub_proc {
	int32_t sock_fd;
	int32_t mem_fd;
	uint32_t recv_lock;
	int32_t files[STUB_NFILES]; /* to be read from; which are there, the sentry knows */
};

#define STUB_MAX_FDS 12 /* descriptors on their way to one thread */

struct stub_priv {
	uint32_t kicked;
	uint64_t mark;		/* of the last fork: its child has it, and no other process has */
	uint32_t futex_luck;	/* how well waiting for a futex on the CPU went; see serve.c */
	uint64_t cpu_tsc;	/* when slot.cpu_ns was written */
	uint32_t no_yield;	/* waits that do not try it: somebody else took the CPU; and */
	uint32_t no_yield_next; /* how many it will be next time */
	struct x86_rseq rseq;
	uint32_t nfds;
	int32_t fds[STUB_MAX_FDS];
};

/* What travels with each descriptor over the socket. */
struct stub_fd_msg {
	uint32_t index;
};

/* First bytes of the blob: offsets of what the sentry has to know. */
struct stub_header {
	uint32_t start, handler, restorer, general, quick, text_end;
	uint32_t fill[2];
};

/* What the zygote's entry point is given. */
struct stub_boot {
	uint64_t keep_start, keep_end; /* vvar and vdso where they are */
	uint64_t top;		       /* end of the user address space */
	uint32_t nmove;
	struct {
		uint64_t from, to, len;
	} move[8];
	uint64_t filter; /* struct sock_fprog */
};

_Static_assert(offsetof(struct stub_slot, regs) == SLOT_REGS, "slot layout");
_Static_assert(offsetof(struct stub_slot, self) == SLOT_SELF, "slot layout");
_Static_assert(offsetof(struct stub_slot, stub_sp) == SLOT_SP, "slot layout");
_Static_assert(offsetof(struct stub_slot, vec) == SLOT_VEC, "slot layout");
_Static_assert(offsetof(struct stub_slot, ident) == SLOT_IDENT, "slot layout");
_Static_assert(offsetof(struct stub_slot, ops) == 4096, "slot layout");
_Static_assert(sizeof(struct stub_op) * STUB_NOPS <= 4608, "slot layout");
_Static_assert(offsetof(struct stub_priv, kicked) == PRIV_KICKED, "slot layout");
_Static_assert(offsetof(struct stub_public, fp_fresh) % 64 == 0, "XRSTOR wants that");
_Static_assert(sizeof(struct stub_public) == 4 * 4096, "slot layout");
#endif
#endif
