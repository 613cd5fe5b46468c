/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_KERNEL_INTERNAL_H
#define SENTRY_KERNEL_INTERNAL_H

#include "abi/restart.h"
#include "base/log.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sched/sched.h"
#include <errno.h>
#include <stdatomic.h>

/* --- pid.c; all under tasklist_lock --- */
/* In ns and all above it. want: 0 for the next free, or the number in ns; NULL: taken, or all are
 * in use, or ns has lost its first process. */
struct pid *pid_alloc_locked(struct pid_ns *ns, int32_t want);
void pid_attach_tgroup_locked(struct tgroup *g, enum pid_role role, struct pid *p);
void pid_detach_tgroup_locked(struct tgroup *g, enum pid_role role);
void pid_unused_locked(
	struct pid *p);		 /* take it out of the table if nothing has this number any more */
extern _Atomic int32_t pid_last; /* the newest number, for /proc/loadavg */

/* --- user.c --- */
struct user *user_get(uint32_t uid);
void user_put(struct user *u);
int user_add_process(struct user *u, int n);  /* the new count */
int user_add_sigqueue(struct user *u, int n); /* the new count */

/* --- task.c --- */
struct task *task_alloc(void);
struct tgroup *tgroup_alloc(void);
struct sighand *sighand_new(void);
struct sighand *sighand_copy(struct sighand *s);
void sighand_put(struct sighand *s);
struct uts_ns *uts_new(
	struct user_ns *owner, uint32_t counted, const char *nodename, const char *domainname);
void uts_put(struct uts_ns *u);
void task_init_call(struct task *t);

/* --- usage.c --- */
/* t, the caller, is the last to leave its memory. */
void task_usage_at_leave(struct task *t);
void task_counts_leave_locked(struct task *t); /* t is no thread of its process any longer */

/* --- priority.c --- */
void task_sched_init(void);
int32_t task_sched_first_nice(void);
/* n, of which nobody knows yet, is scheduled as its parent; and when it has a thread on the host.
 */
void task_sched_copy(struct task *t, struct task *n);
void task_sched_copied(struct task *t, struct task *n);
/* t has a thread on the host that is no copy of its last one. */
void task_sched_fresh(struct task *t);

/* --- container.c --- */
struct kernel_container {
	struct ref ref;	       /* processes, the control server */
	struct pid_ns *pid_ns; /* (C) a reference; NULL: the first */
	struct ipc_ns *ipc;    /* (C) references */
	struct uts_ns *uts;    /* (C) */
	struct net_ns *net;    /* (C) */
	struct tty *console;   /* (C) a reference, or NULL */
	struct tgroup *init;   /* (T) its first process; borrowed */
	int64_t dead_cpu_ns;   /* (T) of threads that have ended */
	_Atomic int32_t nr_tasks;
	_Atomic uint64_t dead_calls; /* system calls of tasks that have ended */
	_Atomic uint64_t memory_limit, pids_limit, cpu_quota_us, cpu_period_us;
	_Atomic bool paused;
	struct waitq pause_q;
	/* Which its processes are copies of, so that they are in its cgroup on the host; NULL: of
	 * the engine's own. */
	struct plat_thread *zygote; /* under zygote_lock, */
	struct sleeplock zygote_lock;
	_Atomic int32_t zygote_pid;	/* but this: as plat->host_pid has it, or 0 */
	struct {			/* limits.c */
		struct kernel_limits l; /* (C) */
		int ncpus;		/* (C) */
		int64_t start_ns;	/* of the first process; 0: not yet */
		int64_t own_cpu_ns;	/* (C) of this process, until then */
		int64_t own_bytes;	/* (C) of this process, before that */
		_Atomic int killed_by;	/* enum kernel_limit */
		_Atomic uint32_t met;
		_Atomic uint64_t output, peak;
		_Atomic bool over;
		struct waitq q;
		struct sleeplock meter_lock;
		_Atomic int64_t strays_ns; /* since when there are too many processes; or 0 */
		struct waitq meter_q;
		struct hostfd_watch meter_watch;
	} limit;
};
/* The first one. */
int kernel_container_init(const struct kernel_container_config *cfg, bool own_pid_ns);
/* For the run loop, before guest code. */
void kernel_pause_here(struct task *t);
/* All but one are to die. */
void kernel_kill_others(struct kernel_container *k, struct tgroup *except);
/* A space for a program of k: plat->space_new. */
int kernel_container_space(
	struct kernel_container *k, void *owner, struct plat_thread **ret_thread);
/* limits.c: what a container has of them goes */
void kernel_limits_drop(struct kernel_container *k);
/* What /dev/console is for the calling task: a reference, or NULL. */
struct tty *kernel_console(void);

/* --- signal_send.c --- */
#define SIG_STOPS                                                                                  \
	(LX_SIGBIT(LX_SIGSTOP) | LX_SIGBIT(LX_SIGTSTP) | LX_SIGBIT(LX_SIGTTIN) |                   \
		LX_SIGBIT(LX_SIGTTOU))
#define SIG_NEVER_BLOCKED (LX_SIGBIT(LX_SIGKILL) | LX_SIGBIT(LX_SIGSTOP))
enum sig_default {
	SIGD_TERM,
	SIGD_CORE,
	SIGD_IGNORE,
	SIGD_STOP,
};
enum sig_default signal_default(int signo);
void sigpending_init(struct sigpending *p);
void sigpending_flush(struct sigpending *p, lx_sigset set);
int signal_dequeue_locked(struct task *t, lx_sigset set, struct lx_siginfo *info);
/* Recompute TW_SIGNAL of t. sighand lock held. */
void signal_recalc_locked(struct task *t);
/* t no longer takes what is pending for its process, or some of it: tell those that can. */
void signal_retarget_locked(struct task *t);
/* Make t look at its work, wherever it is. */
void task_wake_for_work(struct task *t);
/* Wakes its fiber, wherever it is parked. */
void task_wake_fiber(struct task *t);
/* Send with the sighand lock held; *cont: a stop was ended, and the caller tells the parent after
 * unlocking. */
int signal_send_locked(struct tgroup *g, struct task *t, int signo, const struct lx_siginfo *info,
	bool force, bool *cont);
void signal_tell_parent_continued(struct tgroup *g);
/* All threads of g are to die with this status; sighand lock held. */
void tgroup_start_exit_locked(struct tgroup *g, int status, struct task *except);

/* --- signal_deliver.c --- */
/* Before the guest runs on: signals, stops, exit. Does not return if the task ends. result: of the
 * syscall that is being left, restart codes included (has_result), which is turned into what the
 * guest sees. */
void signal_work(struct task *t, bool has_result, int64_t result);

/* --- exit.c --- */
_Noreturn void task_do_exit(struct task *t);
/* The parent is told that g, a child, stopped or went on; under tasklist_lock. */
void tgroup_tell_parent_locked(struct tgroup *g, int code, int status);
void tgroup_release_locked(struct tgroup *g); /* reaped: pids go */
bool pgrp_is_orphaned_locked(struct pid *pgrp, struct tgroup *ignore);

/* The tracer has seen the end of target, a thread or a whole process, or is gone itself: it stops
 * being traced, and what is left of it goes, or goes to its parent. waiter: the tracer's process.
 * tasklist_lock is held. */
void ptrace_reap_locked(struct task *target, struct tgroup *waiter);

void task_release_vfork_parent(struct task *t);

/* --- init.c --- */
void kernel_task_gone(void);
void kernel_process_gone(
	struct tgroup *g, int status); /* on_exit of processes that came from outside */

/* --- exec.c --- */

/* --- run.c --- */
void task_main(void *task); /* the fiber of a guest thread */
int fiber_spawn_task(struct task *t);
void task_futex_init(struct task *t); /* run.c */

/* --- timers.c --- */
void itimers_init(struct tgroup *g);
void itimers_stop(struct tgroup *g);	      /* the group ends */
void posix_timers_drop_all(struct tgroup *g); /* exec and exit */

#endif
