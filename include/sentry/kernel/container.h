/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of the sandbox: mostly one; those of a pod, and those that share a pid, ipc or uts
 * namespace, are in one sandbox. Each has a first process, with which it ends, limits, and is
 * paused, listed and signalled for itself. A process is in the container of its parent.
 */
#ifndef SENTRY_KERNEL_CONTAINER_H
#define SENTRY_KERNEL_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

struct call;
struct kernel_container;
struct tty;

struct kernel_container_config {
	const char *hostname, *domainname;	  /* of a uts namespace of its own */
	struct kernel_container *pid, *ipc, *uts; /* whose namespaces it has; NULL: new ones */
	bool net;				  /* it has the sandbox's network; else */
	struct net_ns *own_net;			  /* this one (borrowed), or NULL: a loopback */
};

int kernel_container_new(const struct kernel_container_config *cfg, struct kernel_container **ret);
/* Its first process has ended: what the engine keeps for it goes. */
void kernel_container_end(struct kernel_container *k);
/* The host process that those of k's programs are copies of, as the sentry's pid namespace has it;
 * 0: that of the sandbox. */
int32_t kernel_container_zygote(const struct kernel_container *k);
struct kernel_container *kernel_container_get(struct kernel_container *k);
void kernel_container_put(struct kernel_container *k);

/* The one that kernel_init made; borrowed. */
struct kernel_container *kernel_container_first(void);
/* That of the calling task, or the first; borrowed, while that task lives. */
struct kernel_container *kernel_container_here(void);

/* What the guest sees as MemTotal; how many tasks there can be; what it sees as its share of CPU
 * time: so much in each period. 0: no limit (as the host has it). */
void kernel_container_set_memory(struct kernel_container *k, uint64_t bytes);
void kernel_container_set_pids(struct kernel_container *k, uint64_t n);
void kernel_container_set_cpu(struct kernel_container *k, uint64_t quota_us, uint64_t period_us);
uint64_t kernel_container_cpu_quota(const struct kernel_container *k);

/* Its namespaces as those of a call that no task makes. */
void kernel_container_call(struct kernel_container *k, struct call *c);

/* What /dev/console is in it; a reference is taken. Before its first process. */
void kernel_container_set_console(struct kernel_container *k, struct tty *t);

/* The number outside of a process that has the number nr inside; 0: there is none. */
int32_t kernel_container_pid(struct kernel_container *k, int32_t nr);

/* No guest code of it runs from soon after kernel_pause until kernel_resume. */
void kernel_pause(struct kernel_container *k);
void kernel_resume(struct kernel_container *k);
bool kernel_is_paused(const struct kernel_container *k);

/* System calls that its tasks have made and the sandbox's kernel has seen. */
uint64_t kernel_container_calls(struct kernel_container *k);

/* Kill its first process, and with that all others; on_exit follows. */
void kernel_kill_all(struct kernel_container *k);
/* Signal every process of it. -ESRCH: there is none. */
int kernel_signal_every(struct kernel_container *k, int signo);

struct kernel_process_info {
	int32_t pid, ppid; /* as the caller's pid namespace has them, or inside the container */
	int32_t host_pid;  /* as the sentry's pid namespace has it; 0: none at the moment */
	uint32_t uid;
	char name[16];
};

/* fn is called with tasklist_lock held: it must not come back to the kernel. Zombies are left out.
 */
void kernel_each_process(struct kernel_container *k,
	void (*fn)(void *arg, const struct kernel_process_info *p), void *arg);

#endif
