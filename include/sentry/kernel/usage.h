/* SPDX-License-Identifier: Apache-2.0 */
/* What getrusage(2) tells beside times: as the host counts it, and what the sentry counts itself.
 */
#ifndef SENTRY_KERNEL_USAGE_H
#define SENTRY_KERNEL_USAGE_H

#include <stdint.h>

struct file;
struct task;
struct tgroup;

/* What the sentry counts, for each thread. */
enum usage_count {
	/* As /proc/PID/io (proc_pid_io(5)): bytes that were read and written, and calls that did.
	 */
	COUNT_RCHAR,
	COUNT_WCHAR,
	COUNT_SYSCR,
	COUNT_SYSCW,
	/* Bytes from and to files of the host, whether it had them in memory or not. */
	COUNT_READ_BYTES,
	COUNT_WRITE_BYTES,
	COUNT_WAITS, /* voluntary context switches */
	COUNT_N
};

/* Unsigned: the guest can make the host's numbers anything. */
struct usage {
	uint64_t maxrss_kb, minflt, majflt;
	uint64_t count[COUNT_N];
};

void usage_add(struct usage *sum, const struct usage *u);
void task_count(struct task *t, enum usage_count what, uint64_t n); /* by t */
/* t has read or written so much, in one call: r bytes of f, or -errno. */
void task_count_read(struct task *t, const struct file *f, int64_t r);
void task_count_write(struct task *t, const struct file *f, int64_t r);
/* What the sentry has counted: of the thread alone, or of its process and the children that it has
 * waited for. */
void task_counts(const struct task *t, struct usage *ret);
void tgroup_counts(const struct tgroup *g, struct usage *ret);
/* Of t's process, t being the caller: now. Parks. */
void task_usage(struct task *t, struct usage *ret);
void task_own_usage(struct task *t, struct usage *ret); /* of the thread alone */
/* As it was last seen. Under tasklist_lock. */
void tgroup_usage_locked(const struct tgroup *g, struct usage *ret);

#endif
