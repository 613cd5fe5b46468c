/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks (guest threads), thread groups (guest processes), and what they share. Linux counterparts:
 * task_struct, signal_struct, sighand_struct, pid.
 *
 * Locks: the letter behind a member says what guards it.
 *   (T) tasklist_lock: the process tree, pids, groups, sessions, wait states
 *   (S) the sighand's lock: everything of signals, timers and job control
 *   (O) only the task's own fiber writes; others read atomically or not at all
 *   (C) constant after creation
 */
#ifndef SENTRY_KERNEL_TASK_H
#define SENTRY_KERNEL_TASK_H

#include "abi/signal.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "platform/platform.h"
#include "sentry/cred/cred.h"
#include "sentry/cred/user_ns.h"
#include "sentry/kernel/usage.h"
#include "sentry/keys/keys.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/timer.h"
#include "sentry/sched/waitq.h"
#include "sentry/usermem/usermem.h"

struct fdtable;
struct fs_ctx;
struct mm;
struct tty;
struct file;
struct uts_ns;
struct user;
struct mm_call;
struct seccomp_filter;
struct ipc_ns;
struct net_ns;
struct pid_ns;
struct pid_nr;
struct kernel_container;
struct sem_undo_list;

extern struct mutex tasklist_lock;

enum pid_role {
	PID_TID,  /* a task */
	PID_TGID, /* a thread group */
	PID_PGID, /* a process group: members */
	PID_SID,  /* a session: members */
	PID_ROLES
};

/*
 * A number that is in use by a task, a group or a session. nr is its number in the first pid
 * namespace, which is the only one that most ever see; in each namespace between that and its own
 * it has another. Numbers that a guest says or sees are those of its namespace.
 */
struct pid {
	struct ref ref;
	int32_t nr;			/* (C) */
	uint32_t level;			/* (C) of ns; 0: the first */
	struct pid_ns *ns;		/* (C) its own, a reference; NULL: the first */
	struct pid_nr *nrs;		/* (C) level of them: nrs[i] is that at level i + 1 */
	struct task *task;		/* (T) whose tid it is, NULL when gone */
	struct tgroup *tgroup;		/* (T) whose tgid it is, NULL when reaped */
	struct list members[PID_ROLES]; /* (T) PGID, SID: tgroups by their pid_node */
	struct waitq waitq;		/* pidfds: notified when the tgroup dies */
};

struct sigqueue {
	struct list node;
	struct lx_siginfo info;
	struct user *user; /* counted against its RLIMIT_SIGPENDING; a reference */
};

struct sigpending {
	lx_sigset set;
	struct list queue; /* struct sigqueue */
};

/* Signal handlers, shared by CLONE_SIGHAND. Its lock is the siglock of Linux. */
struct sighand {
	struct ref ref;
	struct mutex lock; /* rank TGROUP */
	struct lx_sigaction action[LX_NSIG];
};

enum tgroup_wait_state {
	TG_RUNNING,
	TG_STOPPED,
	TG_ZOMBIE,
	TG_DEAD,
};

struct posix_timer;

struct tgroup {
	struct ref ref;
	struct list threads;		 /* (T+S to write) tasks by tg_node; the leader first */
	uint32_t nr_threads;		 /* (S) not yet exited */
	struct task *leader;		 /* (T) */
	struct pid *pid[PID_ROLES];	 /* (T) TGID, PGID, SID; references */
	struct list pid_node[PID_ROLES]; /* (T) */

	struct kernel_container *container; /* (C) which it is in: a reference */
	struct tgroup *parent;		    /* (T) NULL for those that come from outside */
	struct list children;		    /* (T) by sibling */
	struct list sibling;		    /* (T) */
	int32_t creator_tid; /* (T) which thread of the parent made it, for __WNOTHREAD */
	bool is_subreaper;   /* (T) */
	bool unkillable; /* (C) pid 1: signals without a handler do nothing, but for the sandbox's
			    own */
	_Atomic enum tgroup_wait_state state; /* (T); signals look at it under (S) */
	int exit_signal;		      /* (T) */
	int exit_code;			      /* (T) wait status, once a zombie */
	struct waitq wait_children;	      /* notified when a child changes state */

	struct sighand *sighand;	  /* (C) until execve: a reference */
	struct sigpending shared_pending; /* (S) */
	uint32_t kills;			  /* (S) SIGKILLs that it was sent */
	_Atomic bool group_exit;      /* (S); looked at under (T) too: all threads are to die, with
					 group_exit_code */
	int group_exit_code;	      /* (S) */
	struct task *group_exec_task; /* (S) execve waits for the others to die */
	/* (S to add) threads in execve, which have begun to look at what decides on their new
	 * credentials: until they are done nobody may start to trace them or give them filters */
	_Atomic uint32_t execs;
	uint32_t stop_pending;	/* (S) threads that have still to stop */
	bool stopping, stopped; /* (S) */
	int stop_signo;		/* (S) */
	bool stop_reported;	/* (T) wait has seen this stop */
	bool continued_pending; /* (T) WCONTINUED not yet seen */
	struct waitq stop_wait; /* stopped threads wait here for SIGCONT or SIGKILL */

	struct rlimits rlim; /* atomically read; written under (S) */
	struct tty *tty;     /* (S) controlling terminal; a reference */
	bool session_leader; /* (S) */
	bool did_exec;	     /* (T) setpgid(2) EACCES */

	struct timer real_timer; /* (S) ITIMER_REAL */
	int64_t real_interval_ns, real_deadline_ns;
	struct cpu_itimer {
		int64_t interval_ns, deadline_cpu_ns; /* 0: off */
	} cpu_itimer[2];			      /* (S) ITIMER_VIRTUAL, ITIMER_PROF */
	struct timer cpu_timer;	  /* samples CPU time for the above and RLIMIT_CPU */
	struct list posix_timers; /* (S) struct posix_timer */
	int32_t next_timer_id;	  /* (S) */

	/* resources of threads and children that are gone, ns and counts (T) */
	int64_t dead_utime_ns, dead_stime_ns, child_utime_ns, child_stime_ns;
	/* (T) CPU time of the space that the threads share with nobody, as one that ended saw it;
	 * a part of dead_utime_ns. */
	int64_t space_seen_ns;
	struct waitq cpu_wait;	   /* notified when a thread has looked at its CPU time */
	_Atomic bool shares_space; /* with another group: CPU time is that of its threads */
	int32_t prof_tid;	   /* (S) who took the last SIGPROF or SIGVTALRM */
	/* usage.c (T): in memory that it has left, in what it has as last seen, of children */
	struct usage used, space_used, child_used;
	int64_t start_ns;		      /* (C) host CLOCK_MONOTONIC */
	int oom_score_adj, oom_score_adj_min; /* who has no right to may go down to min */
};

/* How it is scheduled (sched(7)). */
struct task_sched {
	int32_t nice, priority; /* of SCHED_FIFO and SCHED_RR */
	uint8_t policy;
	bool reset; /* SCHED_RESET_ON_FORK */
};

/* A task's side of being traced; ptrace.c. All under tasklist_lock. */
struct tracee {
	struct task *tracer; /* NULL: nobody; borrowed, it lets go before it ends */
	struct list node;    /* in tracer->tracees, which holds a reference on the tracee */
	_Atomic bool traced; /* tracer != NULL, for a quick look */
	bool seized;
	bool stopped;	/* parked in a stop: may be commanded */
	bool listening; /* PTRACE_LISTEN: may not */
	bool zombie;	/* a thread that has ended, and stays until the tracer has seen it */
	bool reported;	/* wait has seen this stop */
	bool has_info;
	uint32_t options; /* LX_PTRACE_O_* */
	uint32_t code;	  /* of the stop: signal, and an event above it */
	uint64_t message;
	struct lx_siginfo info;
	int resume_how, resume_signo;
	struct ptrace_call *call; /* to be done by the tracee's fiber */
};

enum task_flags {
	TF_EXITING = 1u << 0,
	TF_VFORK_CHILD = 1u << 1,
	TF_KILLED = 1u << 2,	   /* host thread gone */
	TF_RESTORE_MASK = 1u << 3, /* saved_mask goes back in force after the signal work */
	TF_FORKNOEXEC = 1u << 4,
	TF_FUTEX = 1u << 6,	  /* the next run makes the futex call that the guest asked for */
	TF_FUTEX_AGAIN = 1u << 7, /* with it: what is left of a wait that was cut short */
	TF_FUTEX_UNTIL = 1u << 8, /* with TF_FUTEX: until restart_deadline_ns */
	TF_NO_RESULT = 1u << 5,	  /* the syscall has set all registers itself */
};

struct task_mem {
	struct usermem um;
	struct task *task;
};

struct task {
	struct ref ref;
	struct list tg_node;	     /* (T+S) in tgroup->threads */
	struct tgroup *tgroup;	     /* (C) a reference */
	struct pid *pid;	     /* (T) TID; a reference; changes in execve of a non-leader */
	int32_t tid;		     /* = pid->nr */
	uint64_t cgroup_ns_id;	     /* (O) 0: the first; every one looks the same from inside */
	struct pid_ns *child_pid_ns; /* (O) for its children, a reference; NULL: the first */
	struct time_ns *time_ns, *child_time_ns; /* (O) the same; others under pt_lock */
	struct fiber *fiber;			 /* (C) set before it runs */
	struct plat_thread *pt;			 /* (O) replaced by execve */
	struct mutex
		pt_lock; /* rank TASK: held by others who use pt (kick, peek) and to replace it */

	struct mm *mm;			/* (O) a reference; others under pt_lock */
	struct fdtable *files;		/* (O) a reference; others under pt_lock */
	struct fs_ctx *fs;		/* (O) a reference; others under pt_lock */
	const struct cred *cred;	/* (O) a reference; others under pt_lock */
	struct uts_ns *uts;		/* (O) a reference */
	struct ipc_ns *ipc;		/* (O) a reference */
	struct net_ns *net;		/* (O) a reference */
	struct task *helps;		/* (C) of helpers (helper.h): whom; a reference */
	_Atomic uint32_t rings;		/* requests of io_uring under way for it */
	struct sem_undo_list *sem_undo; /* (O) a reference, or NULL: owes nothing */
	struct key_rings keys;		/* under keys_lock */
	struct user *user;		/* (O) whose RLIMIT_NPROC it counts against */
	struct call call;		/* (O) what handlers below the kernel get */
	struct task_mem mem;		/* call.um */
	char comm[16];			/* (O) others read bytes */

	/* signals */
	lx_sigset blocked;	   /* (O under S) */
	lx_sigset saved_mask;	   /* (O) sigsuspend, ppoll: goes back with TF_RESTORE_MASK */
	lx_sigset waiting_for;	   /* (S) sigtimedwait: these wake it although blocked */
	struct sigpending pending; /* (S) */
	_Atomic uint32_t work;	   /* TW_*: to look at before the guest runs on */
	_Atomic bool in_guest;	   /* about to run, or running, guest code: wake it by plat->kick */
	struct lx_stack altstack;  /* (O) */
	struct waitq sigwait;	   /* signalfds and sigtimedwait */

	/* who looks at its syscalls (seccomp.c) */
	_Atomic uint32_t syscall_work;		  /* (S) SW_* */
	_Atomic uint8_t seccomp_mode;		  /* (S) LX_SECCOMP_MODE_* */
	_Atomic(struct seccomp_filter *) seccomp; /* (S) a reference and a use */
	bool watched;				  /* (O) the stub was told to answer nothing */
	struct task_dispatch {
		uint64_t start, len; /* calls from there are made */
		uint64_t selector;   /* of a byte, 0: none */
	} dispatch;		     /* (O) user_dispatch.c, with SW_DISPATCH */
	_Atomic bool nnp_synced;     /* no_new_privs that came with another thread's TSYNC */

	_Atomic uint32_t flags; /* (O) TF_*; others look at TF_EXITING */
	int exit_code;		/* (O) */
	bool dead;		/* (T) has left the thread group */
	bool stopped_here;	/* (S) is parked in a group stop */

	struct task *vfork_parent; /* (T) who waits for exec or exit; a reference */
	bool vfork_done;	   /* (T) */

	struct uaddr clear_child_tid; /* (O) */
	struct uaddr robust_list;     /* (O) */
	uint64_t robust_len;
	struct list pi_owned;	     /* futex_pi.c's owner_lock: what it has that others wait for */
	struct pi_state *pi_blocked; /* the same: what it waits for */
	bool pi_over;		     /* the same: it will own nothing more */

	/* restart_syscall(2) */
	int64_t (*restart_fn)(struct task *t);
	int64_t restart_deadline_ns;
	uint64_t restart_args[6];
	struct timer futex_timer; /* armed while it is in the rest of a FUTEX_WAIT */

	/* the syscall in work, for trace, restart, /proc/PID/syscall; (O) writes, relaxed */
	_Atomic uint32_t nr;
	_Atomic uint64_t args[6];
	_Atomic bool in_syscall;
	_Atomic uint64_t nr_calls; /* that came here; (O) writes */

	struct tracee tracee; /* (T) */
	struct list tracees;  /* (T) whom it traces */
	bool step;	      /* (O) the tracer steps it by instructions */

	int32_t pdeath_signal; /* (O) prctl(PR_SET_PDEATHSIG) */
	uint32_t personality;
	/* who logged in, and the how-manieth login: /proc/PID/loginuid, sessionid; UINT32_MAX:
	 * none. (O) writes */
	_Atomic uint32_t loginuid, sessionid;
	int ioprio; /* ioprio_set(2); kept and shown (P) */
	uint16_t mem_policy,
		mem_nodes; /* set_mempolicy(2): the same; nodes: a bit for the only one */
	bool keep_caps;
	_Atomic uint64_t timer_slack_ns; /* others set it by /proc/PID/timerslack_ns */
	uint64_t default_slack_ns;
	int64_t start_ns;
	int64_t stime_ns;		 /* time in the sentry for this task (O) */
	_Atomic uint64_t count[COUNT_N]; /* (O) writes */
	uint64_t nivcsw;
	struct task_sched sched; /* (P) */
	uint8_t affinity[128];	 /* (P) cpu mask as set by sched_setaffinity */
};

#define SW_SECCOMP  1u /* filters, or strict mode */
#define SW_TRACE    2u /* PTRACE_SYSCALL: stop at entry and exit */
#define SW_SYSEMU   4u /* PTRACE_SYSEMU: stop at entry, and do not make the call */
#define SW_DISPATCH 8u /* prctl(PR_SET_SYSCALL_USER_DISPATCH) */

#define TGROUP_EXEC_WAIT_NS 1000000 /* between two looks at tgroup.execs */

#define TW_SIGNAL 1u /* a signal may be due */
#define TW_STOP	  2u /* group stop */
#define TW_EXIT	  4u /* the group exits, or execve elsewhere kills this thread */
#define TW_IDENTITY                                                                                \
	16u	      /* parent, group or session changed: publish again what the stub answers     \
		       */
#define TW_GONE	  8u  /* the host thread died */
#define TW_PTRACE 32u /* stop for the tracer (PTRACE_EVENT_STOP) */
#define TW_CPU	  64u /* look at its CPU time: a timer may be due */

/* The task of the calling fiber; NULL in fibers that are no guest threads. */
struct task *task_current(void);
struct task *task_get(struct task *t);
void task_put(struct task *t);
struct tgroup *tgroup_get(struct tgroup *g);
void tgroup_put(struct tgroup *g);

static inline bool
task_no_new_privs(const struct task *t)
{
	return t->cred->no_new_privs || atomic_load(&t->nnp_synced);
}

static inline struct pid_ns *
task_pid_ns(const struct task *t)
{
	return t->pid->ns;
}

/* p's number in ns; 0: it has none there. */
int32_t pid_nr_in(const struct pid *p, const struct pid_ns *ns);
int32_t pid_vnr(const struct pid *p); /* as the calling task sees it; 0 for NULL */
/* The same for a stored number of the first namespace; takes the lock if it has to look. */
int32_t pid_nr_out(int32_t global);
int32_t pid_nr_out_in(int32_t global, const struct pid_ns *ns);
int32_t pid_nr_to_global(int32_t vnr); /* 0: no such one */

/* In the first namespace; task_vtgid and task_vtid are how t itself sees it. */
static inline int32_t
task_tgid(const struct task *t)
{
	return t->tgroup->pid[PID_TGID]->nr;
}

static inline int32_t
task_vtgid(const struct task *t)
{
	return pid_nr_in(t->tgroup->pid[PID_TGID], t->pid->ns);
}

static inline int32_t
task_vtid(const struct task *t)
{
	return pid_nr_in(t->pid, t->pid->ns);
}

/* --- looking up (pid.c); the caller holds tasklist_lock; results are borrowed. A number is one of
 * the calling task's namespace; _global: of the first --- */
#define PID_MAX 32768 /* all numbers are below it */
struct pid *pid_find_global_locked(int32_t nr);
struct tgroup *tgroup_find_global_get(int32_t tgid);
struct pid *pid_find_in_locked(const struct pid_ns *ns, int32_t nr); /* NULL: there is none */
struct task *task_find_locked(int32_t tid);
struct tgroup *tgroup_find_locked(int32_t tgid);
struct pid *pid_find_locked(int32_t nr);
void pid_unref(struct pid *p);
/* Move g to another process group or session. */
void tgroup_set_pid_locked(struct tgroup *g, enum pid_role role, struct pid *p);
/* The same with a reference taken and no lock needed. */
struct task *task_find_get(int32_t tid);
struct tgroup *tgroup_find_get(int32_t tgid);

/* Schedule t so, also on the host. t->pt_lock is held. (priority.c) */
void task_sched_set_locked(struct task *t, const struct task_sched *s);

/* --- signals (signal_*.c) --- */
/* Interrupted: a signal is due that is not blocked and not ignored, or the task is to die. */
bool task_interrupted(const struct task *t);
/* It will die of what it was sent: it is to exit, or a signal is due whose action is that. */
bool task_killed(const struct task *t);
/* Queue a signal. Thread safe; takes the locks itself. info may be NULL (SI_KERNEL). 0, -EAGAIN
 * (queue full, for real-time signals sent by sigqueue), -ESRCH (dying). */
int signal_send_task(struct task *t, int signo, const struct lx_siginfo *info);
int signal_send_tgroup(struct tgroup *g, int signo, const struct lx_siginfo *info);
/* To all members of a process group; caller holds no lock. -ESRCH if there is none. */
int signal_send_pgrp(int32_t pgid, int signo, const struct lx_siginfo *info);
/* A signal that the current task's own action raised, and that it cannot ignore or block away (a
 * fault). */
void signal_force(struct task *t, int signo, const struct lx_siginfo *info);
/* May the caller signal g? kill(2)'s rule. */
bool signal_permitted(const struct task *from, const struct tgroup *g, int signo);
void signal_info_user(struct lx_siginfo *info, const struct task *from, int signo, int code);
/* Who sent it, as t, the caller, may know them. */
void signal_info_out(const struct task *t, struct lx_siginfo *info);
/* Set the caller's mask (SIGKILL and SIGSTOP are left out), and look at what became due. */
void signal_set_mask(struct task *t, lx_sigset mask);
/* For ppoll, pselect, sigsuspend, epoll_pwait: use mask now; the old one comes back after the
 * syscall, or after the handler that it let through. sigsetsize is checked (EINVAL), the set copied
 * in (EFAULT); null: nothing. */
int signal_use_temp_mask(struct task *t, struct uaddr set, uint64_t sigsetsize);
/* After such a syscall: if it did not end by a signal, put the old mask back. */
void signal_end_temp_mask(struct task *t, int64_t result);

/* Take the first signal of `set` that is queued for t (its own queue, then the group's). 0: none.
 * Takes the lock. */
int signal_dequeue(struct task *t, lx_sigset set, struct lx_siginfo *info);
bool signal_ignored_by_default(int signo);
/* Forget what is queued of signo, in all threads of g. */
void signal_discard_locked(struct tgroup *g, int signo);
/* sigaltstack(2): sp is the guest's stack pointer. -EPERM on the stack in use, -EINVAL, -ENOMEM. */
int task_set_altstack(struct task *t, const struct lx_stack *n, uint64_t sp);
bool task_on_altstack(const struct task *t, uint64_t sp);
/* What is queued for t and its group, blocked or not. */
lx_sigset signal_pending_set(struct task *t);

/* --- parking in a syscall (task_wait.c) --- */
/* Park until woken, a signal is due (-ERESTARTSYS) or the deadline (host CLOCK_MONOTONIC ns,
 * INT64_MAX: none) has passed (-ETIMEDOUT). 0: woken, look again. */
int task_park(struct task *t, int64_t deadline_ns);

/* --- life (task_clone.c, task_exec.c, task_exit.c, task_wait.c) --- */
struct clone_request {
	uint64_t flags;
	int exit_signal;
	uint64_t stack, tls, parent_tid, child_tid, pidfd;
	int32_t set_tid; /* 0: choose */
};
int64_t task_clone(struct task *t, const struct clone_request *r);
void task_exit_group(struct task *t, int status); /* marks; the run loop ends the task */
void task_exit_thread(struct task *t, int status);

/* For calls into mm about the caller's own memory. */
void task_mm_call(struct task *t, struct mm_call *ret);
/* The credentials of t were changed by its own fiber: c is a new reference that t takes over. */
void task_set_cred(struct task *t, const struct cred *c);

/* A task's permissions over another, as ptrace(2) "access mode" checks; used by /proc and
 * process_vm_*. */
bool task_may_access(const struct task *who, const struct task *target);

/* Every syscall comes to the sentry, none is answered in the guest (the trace is on). Set before
 * the first task. */
extern bool task_watch_syscalls;

/* --- identity that the stub answers --- */
void task_publish_identity(struct task *t);

/* Their numbers in the pid namespace of t's container, of itself, its process and that one's parent
 * (0: it is not in there). */
void task_numbers(const struct task *t, int32_t *ret_pid, int32_t *ret_tid, int32_t *ret_ppid);

/* uts namespace */
struct uts_ns {
	struct ref ref;
	struct user_ns *user_ns; /* (C) a reference, or NULL */
	uint32_t counted;	 /* (C) for whom; sentry/cred/ucount.h */
	uint64_t id;		 /* (C) inode number of /proc/PID/ns/uts */
	struct mutex lock;	 /* LEAF */
	char nodename[65], domainname[65];
};
extern const char uts_release[], uts_version[];

static inline void
task_note_args(struct task *t, const uint64_t a[6])
{
	for (int i = 0; i < 6; i++)
		atomic_store_explicit(&t->args[i], a[i], memory_order_relaxed);
}

#endif
