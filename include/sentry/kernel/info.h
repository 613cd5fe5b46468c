/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the whole sandbox, for sysinfo(2) and /proc. */
#ifndef SENTRY_KERNEL_INFO_H
#define SENTRY_KERNEL_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct task;
struct mm;

struct kernel_meminfo {
	uint64_t total_bytes, free_bytes;
};

void kernel_meminfo(struct kernel_meminfo *ret);
/* Three averages as fixed point numbers with `shift` fraction bits. */
void kernel_loadavg(uint64_t ret[3], int shift);
/* Does it run guest code, as far as anybody can see? */
bool task_computes(struct task *t);
/* CPU time since the start: of the guest's code, and of the sentry itself. */
void kernel_cpu_ns(int64_t *ret_guest, int64_t *ret_sentry);
/* What ids mean to guests has changed: every task tells its stub anew. */
void kernel_ids_changed(void);
int kernel_nr_tasks(void);
int kernel_nr_running(void);
/* Before there are tasks. How much longer ago than it was the sandbox's boot is to have been
 * (linux.timeOffsets); the policy that the host's processes have, MPOL_* with flags, and whether it
 * names nodes. */
void kernel_set_boot_offset(int64_t ns);
void kernel_set_mem_policy(uint16_t mode, bool nodes);
int64_t kernel_boot_ns(void);	    /* host CLOCK_MONOTONIC */
uint64_t kernel_memory_limit(void); /* bytes, 0: none */
uint64_t kernel_pids_limit(void);   /* 0: none */
struct kernel_cpu_limit {
	uint64_t quota_us, period_us; /* quota 0: none */
};
struct kernel_cpu_limit kernel_cpu_limit(void);
int32_t kernel_last_pid(void);

/* Every running thread of the sandbox passes a memory barrier. May park. -errno. */
int64_t kernel_memory_barrier(void);
/* Read or write memory of another task, which must still have this mm. */
int task_peek_poke(
	struct task *o, struct mm *mm, uint64_t addr, void *buf, uint64_t len, bool write);

#endif
