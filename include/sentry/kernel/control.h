/* SPDX-License-Identifier: Apache-2.0 */
/* What can be done to all processes of the sandbox from outside. Any thread. */
#ifndef SENTRY_KERNEL_CONTROL_H
#define SENTRY_KERNEL_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct task;

/* No guest code runs from soon after kernel_pause until kernel_resume. */
void kernel_pause(void);
void kernel_resume(void);
bool kernel_is_paused(void);

/* For the run loop, before guest code. */
extern _Atomic bool kernel_paused;
void kernel_pause_here(struct task *t);

struct kernel_process_info {
	int32_t pid, ppid;
	int32_t host_pid; /* as the sentry's pid namespace has it; 0: none at the moment */
	uint32_t uid;
	char name[16];
};

/* fn is called with tasklist_lock held: it must not come back to the kernel. Zombies are left out.
 */
void kernel_each_process(void (*fn)(void *arg, const struct kernel_process_info *p), void *arg);

/* Signal every process. -ESRCH: there is none. */
int kernel_signal_every(int signo);

#endif
