/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trap engine's own objects. A plat_space is one stub process, a plat_thread one of its
 * threads.
 *
 * Who may touch what of a thread, by letter:
 *   (F) the fiber that owns it, between two exchanges
 *   (P) the poller, under trap.poll_lock
 *   (L) trap.lock
 *   (A) atomic; the handshake of arming is described in run.c
 * A thread is freed when its fiber has let go of it and the reaper does not hold it.
 */
#ifndef TRAP_INTERNAL_H
#define TRAP_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/ref.h"
#include "platform/host/engine.h"
#include "platform/platform.h"
#include "platform/trap/slot.h"
#include "platform/x86_64/frame.h"
#include "platform/x86_64/stubcalls.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define TRAP_KICK_SIGNAL 23 /* SIGURG */

/* A thread that does not come back for that long after a kick has lost its stub. */
#define TRAP_KICK_LIMIT_NS 10000000000ll
#define TRAP_GRACE_NS	   500000000ll /* and once that long when its time is up */
#define DUE_AGAIN	   1ll	       /* in due_ns: that has been given */

struct trap_sites;

/* The sentry's view of one slot of a process. */
struct trap_slot {
	struct stub_slot *map; /* (L) NULL: never used */
	struct plat_thread *t; /* (L) NULL: free, once map->tid is 0 */
	bool used;	       /* (L) */
	bool known;	       /* (L) its process has it mapped, with its private memory */
};

/* A file that the process keeps a descriptor of. */
struct trap_file {
	uint64_t id;	/* 0: none */
	uint64_t used;	/* when it last was; counts */
	uint32_t users; /* threads that may be reading it */
	bool there;	/* the process has some descriptor here */
};

struct plat_space {
	pid_t pid;
	int sock;			     /* the sentry's end */
	int memfd;			     /* the slots */
	struct list threads;		     /* (L) */
	_Atomic uint32_t nthreads;	     /* (L) */
	_Atomic bool had_many;		     /* (A) more than one thread, once */
	bool own_group;			     /* (L) it leads a process group */
	bool dead;			     /* (L) reaped */
	bool dying;			     /* (L) killed by us: nobody is to be told */
	struct trap_slot *slots;	     /* (L) */
	uint32_t nslots;		     /* (L) */
	struct plat_space *hash_next;	     /* (L) */
	_Atomic(struct trap_sites *) sites;  /* rewritten sites, or NULL (site.c) */
	_Atomic bool large_busy;	     /* one of the threads has the large buffer; it alone */
	uint8_t *large;			     /* touches this: NULL when not mapped yet */
	struct trap_file files[STUB_NFILES]; /* (L) */
};

struct plat_thread {
	struct plat_space *sp;
	struct stub_slot *s;
	uint32_t index;
	pid_t tid;
	void *owner;
	struct list link; /* (L) in sp->threads */
	struct ref ref;

	_Atomic int armed;	/* (A) the stub owns the slot and the fiber waits */
	_Atomic int kick;	/* (A) */
	_Atomic int gone;	/* (A) */
	void *cookie;		/* valid while armed */
	_Atomic int64_t due_ns; /* (A) while armed: when its process is killed if it has not come;
				   0: never. With DUE_AGAIN it has been given more time once */
	int64_t patience_ns; /* for an exchange: it is due so long after it was asked; 0: never */

	_Atomic bool hot; /* (P) to write; (A) in trap.hot, else in trap.cold */
	uint32_t pos;	  /* (P) */
	uint32_t id;	  /* (P) in trap.ids; what its stub gives the doorbell */
	uint32_t idle;	  /* (P) looks in vain */

	/* (F) what was asked: copied once from the slot */
	uint8_t kind;
	bool frame, compat;
	uint32_t nr;
	uint64_t args[6];
	uint32_t ncarried;
	struct stub_carried carried[STUB_NCARRIED];
	bool carried_known;
	/* (F) what will be answered */
	bool regs_known, dirty, has_result;
	uint8_t futex;	    /* 0, or STUB_R_FUTEX with what belongs to it */
	bool framed;	    /* STUB_OP_SIGFRAME is queued: the registers are those before it */
	bool told_to_sleep; /* slot.sleeps is set */
	bool push; /* the next reply loads the registers even if the thread does not go on */
	int64_t result;
	struct guest_regs regs;
	uint64_t fs_base, gs_base; /* as the stub has them */
	uint32_t nops, nfds;
	uint32_t bounce; /* bytes of the bounce buffer in use */
	bool large;	 /* has the large buffer of its space */
	uint8_t file;	 /* which of its space's files it reads, while file_owner is set */
	void *file_owner;
	void (*file_put)(void *owner);
	uint8_t codes[STUB_NOPS];
	struct plat_identity ident;
	bool watched;
	_Atomic int64_t cpu_seen; /* (A) CPU time when it was last looked at, ns */
};

#define TRAP_AHEAD 2 /* empty processes that wait for a program; some 60 KiB each */

struct trap_engine {
	const struct plat_env *env;
	struct plat_config cfg;
	const struct plat_syscall_desc *desc;
	struct stub_public *pub;
	int pub_fd;
	int bell[2];
	uint64_t base, vdso, vdso_len, vdso_ehdr;
	struct plat_thread *zygote;
	struct mutex lock;
	struct plat_space *hash[256]; /* (L) by pid */
	bool fsgsbase, vm_refused, closing;
	uint32_t nspaces, nforking; /* (L) processes that are known; that are being made */
	uint64_t nforked;	    /* (L) so often was one to be made */
	/* Fibers that want the zygote. */
	bool zygote_busy;		       /* (L) */
	struct trap_waiter *zygote_queue;      /* (L) */
	struct plat_thread *ahead[TRAP_AHEAD]; /* (L) */
	uint32_t nahead;		       /* (L) */

	_Atomic int64_t
		lost_ns; /* when to look for threads that do not come back; INT64_MAX: never */
	_Atomic int64_t expect_ns; /* until when a request is likely */
	_Atomic int poll_lock;
	_Atomic uint32_t running;	  /* of the hot threads, at the last look: in guest code */
	_Atomic bool full;		  /* there are as many hot threads as CPUs */
	struct plat_thread **hot, **cold; /* (P) */
	uint32_t nhot, ncold, hot_cap, cold_cap, cold_at; /* (P) */
	struct plat_thread **ids;			  /* (P) threads by id; NULL: free */
	uint32_t *free_ids;				  /* (P) room for all ids */
	uint32_t nids, nfree_ids, ids_cap;		  /* (P) */
};

extern struct trap_engine trap;

/* init.c */
int trap_init(const struct plat_env *env, const struct plat_config *cfg,
	const struct plat_syscall_desc *desc);
void trap_shutdown(void);

/* poll.c */
void trap_poll_add(struct plat_thread *t);
void trap_poll_remove(struct plat_thread *t);
void trap_poll_disarm(struct plat_thread *t);
void trap_poll_promote(struct plat_thread *t);
void trap_poll_cold(struct plat_thread *t);
bool trap_poll_kicked(int64_t at_ns); /* is that earlier than the next look was due? */
void trap_poll_gone(struct plat_thread *t);
bool trap_poll(void);
bool trap_crowded(void);
void trap_sleeps(struct plat_thread *t);
/* A stub is about to move that many bytes. */
void trap_expect(uint64_t bytes);
int64_t trap_expects(void);
bool trap_prepare_sleep(int64_t *until_ns);
void trap_woke(void);
int trap_doorbell_fd(void);

/* space.c */
struct plat_space *trap_space_alloc(void);
void trap_space_register(struct plat_space *sp, pid_t pid);
struct plat_thread *trap_thread_alloc(struct plat_space *sp, uint32_t index, void *owner, int *err);
void trap_thread_put(struct plat_thread *t);
void trap_space_kill(struct plat_space *sp);
void trap_processes(uint32_t *ret_now, uint64_t *ret_begun);
void trap_arm(struct plat_thread *t);
int trap_space_new(struct plat_thread *from, void *owner, struct plat_thread **ret_thread);
int trap_space_ahead(void);
int trap_space_fork(struct plat_thread *t, void *owner, struct plat_thread **ret_child);
int trap_thread_new(struct plat_thread *t, void *owner, struct plat_thread **ret_thread);
void trap_thread_exit(struct plat_thread *t, uint64_t clear_tid);
int trap_start_reaper(void);
void trap_wait_reaper(void);
void trap_space_free(struct plat_space *sp);

/* run.c: hand the reply to the stub and wait for what it asks next. The new kind, or -ESRCH. */
int trap_exchange(struct plat_thread *t, unsigned rflags);
/* The first half of it: the stub makes the queued operations while the caller goes on to
 * trap_wait_event. -ESRCH: neither. */
int trap_begin(struct plat_thread *t, unsigned rflags);
int trap_wait_event(struct plat_thread *t);
/* Give the reply and do not wait: the thread ends. */
void trap_post_last(struct plat_thread *t);
int trap_need_frame(struct plat_thread *t);
void trap_run(struct plat_thread *t, struct plat_event *ev);
void trap_kick(struct plat_thread *t);
struct guest_regs *trap_regs(struct plat_thread *t);
void trap_regs_dirty(struct plat_thread *t);
void trap_set_result(struct plat_thread *t, int64_t v);

/* ops.c. op_new: the next free operation, made zero; flushes when there is no room. NULL: the space
 * is gone. */
struct stub_op *trap_op_new(struct plat_thread *t, enum stub_op_code code);
/* Make what is queued, at once. 0, or -errno of the operation that failed. */
int trap_flush(struct plat_thread *t);
/* Queue one operation, make all, and give its result. */
int64_t trap_op_now(struct plat_thread *t, enum stub_op_code code, uint64_t a, uint64_t b,
	uint64_t c, uint64_t d, uint64_t e, uint64_t f);
int trap_send_fd(struct plat_thread *t, int fd);
int trap_map(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd,
	int64_t off);
int trap_unmap(struct plat_thread *t, uint64_t addr, uint64_t len);
int trap_protect(struct plat_thread *t, uint64_t addr, uint64_t len, int prot);
int trap_move(
	struct plat_thread *t, uint64_t old, uint64_t old_len, uint64_t new_addr, uint64_t new_len);
int trap_advise(struct plat_thread *t, uint64_t addr, uint64_t len, int advice);

/* mem.c */
void trap_load_carried(struct plat_thread *t);
void trap_forget_carried(struct plat_thread *t);
int trap_copy_in(struct plat_thread *t, void *dst, uint64_t src, size_t len);
int trap_copy_out(struct plat_thread *t, uint64_t dst, const void *src, size_t len);
void *trap_window(struct plat_thread *t, uint64_t dst, size_t len);
void trap_window_cut(struct plat_thread *t, size_t len);
ssize_t trap_stream_out(
	struct plat_thread *t, uint64_t dst, size_t len, plat_fill_fn *fill, void *arg);
void trap_large_release(struct plat_thread *t);

/* file.c */
int trap_file_out(struct plat_thread *t, uint64_t dst, size_t len, const struct plat_file *f);
void trap_file_release(struct plat_thread *t);

const void *trap_carried(struct plat_thread *t, uint64_t src, size_t *ret_len);
int trap_peek(struct plat_thread *t, void *dst, uint64_t src, size_t len);
int trap_poke(struct plat_thread *t, uint64_t dst, const void *src, size_t len);
int trap_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t *val, uint32_t want);
int trap_futex_wake(
	struct plat_thread *t, uint64_t addr, int count, uint32_t bitset, bool is_private);

/* frame.c */
void trap_learn_frame(void);
ssize_t trap_get_xstate(struct plat_thread *t, void *buf, size_t cap);
int trap_set_xstate(struct plat_thread *t, const void *buf, size_t len);
int trap_reset_xstate(struct plat_thread *t);
int trap_signal_deliver(struct plat_thread *t, int signo, const void *siginfo128, uint64_t handler,
	uint64_t restorer, uint64_t sp, uint64_t sigmask, const void *uc_stack24, bool sure);
void trap_frame_now(struct plat_thread *t); /* make what is queued */
int trap_sigreturn(struct plat_thread *t, uint64_t *ret_mask, void *ret_uc_stack24);

/* site.c */
void trap_site_syscall(struct plat_thread *t);
void trap_site_rip(struct plat_thread *t, struct guest_regs *r);
uint64_t trap_site_enter(struct plat_thread *t, uint64_t rip);
bool trap_site_inside(struct plat_thread *t);
bool trap_site_illegal(struct plat_thread *t, uint64_t rip);
void trap_sites_unmapped(struct plat_space *sp, uint64_t addr, uint64_t len);
uint64_t trap_sites_freeze(struct plat_space *sp);
void trap_sites_thaw(struct plat_space *sp);
struct trap_sites *trap_sites_copy(const struct plat_space *sp, uint64_t busy);
void trap_sites_free(struct trap_sites *s);
void trap_sites_disable(struct plat_thread *t);
uint64_t trap_sites_next_page(struct plat_space *sp, uint64_t addr, uint64_t end);

/* blob.S */
extern const uint8_t trap_blob[], trap_blob_end[];
#endif
