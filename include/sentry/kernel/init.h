/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the kernel and its first process; what boot calls. */
#ifndef SENTRY_KERNEL_INIT_H
#define SENTRY_KERNEL_INIT_H

#include "platform/platform.h"
#include "sentry/cred/cred.h"
#include <stdbool.h>
#include <stdint.h>

struct file;
struct fs_ctx;
struct kernel_container;
struct kernel_usage;
struct seccomp_program;
struct trace_config;

struct kernel_config {
	const char *hostname, *domainname; /* copied; NULL: "moat", "(none)" */
	const char *platform;		   /* "trap" or "ptrace" */
	struct plat_config plat;
	int workers; /* 0: default */
	bool may_spin;
	const struct trace_config *trace; /* sentry/syscall/trace.h */
	bool own_pid_ns; /* the first container's processes are in a pid namespace of their own,
			    which containers that come later do not see */
};

/* Everything that has to be there before tasks; called once, before the process is sealed. Starts
 * the engine and the workers' data. -errno with the reason in the log. */
int kernel_init(const struct kernel_config *cfg);

struct kernel_process {
	const char *path; /* the program; if it has no '/', it is looked up in PATH of envp */
	char *const *argv, *const *envp;    /* NULL-terminated, borrowed */
	const struct cred *cred;	    /* a reference is taken */
	struct fs_ctx *fs;		    /* consumed */
	struct kernel_container *container; /* which it is in */
	bool init;			    /* that ends with it */
	struct file *stdio[3];		    /* consumed; NULL: closed */
	struct file **more; /* consumed (the array is the caller's): descriptors 3, 4, ... */
	int nmore;
	int oom_score_adj;
	/* as sched_setattr(2), ioprio_set(2), personality(2) would have it */
	uint8_t sched_policy;
	int sched_priority;
	bool sched_reset;
	const int *nice; /* NULL: that of who started the sandbox */
	int ioprio;
	uint32_t personality;
	const uint8_t *cpus; /* a mask of so many bytes, some of them online; NULL: all */
	size_t cpus_bytes;
	struct rlimits rlim;
	/* A syscall filter for it, checked here; NULL: none (sentry/kernel/seccomp.h) */
	struct seccomp_program *seccomp;
	bool killable; /* signals with default action end it although it is pid 1 */
	bool terminal; /* stdio[0] becomes the controlling terminal */
	/* Told once, when the process has ended; status as wait(2) has it. From any worker, and in
	 * any fiber. */
	void (*on_exit)(void *arg, int status, const struct kernel_usage *u);
	void *arg;
	/* Told once when the program runs (0) or could not be started (-errno, after which on_exit
	 * is not called). */
	void (*on_start)(void *arg, int err);
};

/* Start the first process of a container (pid 1 in a pid namespace of its own), or another one
 * whose parent is the sandbox itself (exec). At once; the program is loaded in a fiber. */
int kernel_start_process(const struct kernel_process *p, int32_t *ret_pid);
/* Signal a process from outside: as if root of the root namespace sent it. */
int kernel_signal(int32_t pid, int signo);
bool kernel_task_allowed(void);				    /* another one */
void kernel_count_tasks(struct kernel_container *k, int n); /* n more */
/* After sched_run has returned: platform down, and the live-object counters are written to the log
 * (debug). */
void kernel_log_live(void); /* how many of each object there are, to the debug log */
void kernel_shutdown(void);

#endif
