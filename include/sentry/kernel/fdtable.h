/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables: numbers to open files, with the close-on-exec bit. Thread-safe; lookups take a
 * reference. */
#ifndef SENTRY_KERNEL_FDTABLE_H
#define SENTRY_KERNEL_FDTABLE_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct fdtable;
struct call;
struct task;

int fdtable_new(struct fdtable **ret);
int fdtable_dup(struct fdtable *t, uint32_t max_fd,
	struct fdtable **ret); /* a copy for fork; fds below max_fd */
struct fdtable *fdtable_get(struct fdtable *t);
void fdtable_put(struct fdtable *t, const struct call *c); /* the last one closes everything */
uint64_t fdtable_id(const struct fdtable *t);		   /* never reused; owner of POSIX locks */
bool fdtable_shared(const struct fdtable *t);		   /* more than one user */

/* The file of fd with a reference, or NULL (EBADF), also for O_PATH files. */
struct file *fdtable_file(struct fdtable *t, int fd);
/* A new reference to the file in the lowest free number >= from and < limit. Takes its own
 * reference. -EMFILE, -ENOMEM. */
int fdtable_install(struct fdtable *t, struct file *f, int from, uint64_t limit, bool cloexec);
/* dup2-like: put f at fd, closing what was there (*ret_old, a reference to drop, may be NULL). */
int fdtable_install_at(
	struct fdtable *t, struct file *f, int fd, bool cloexec, struct file **ret_old);
/* Take fd out; the reference is the caller's. -EBADF. */
int fdtable_remove(struct fdtable *t, int fd, struct file **ret);
int fdtable_cloexec_get(struct fdtable *t, int fd); /* 0, 1, -EBADF */
int fdtable_cloexec_set(struct fdtable *t, int fd, bool on);
void fdtable_close_on_exec(struct fdtable *t, const struct call *c);
/* close_range(2) */
int fdtable_close_range(
	struct fdtable *t, const struct call *c, uint32_t first, uint32_t last, bool cloexec_only);
/* The lowest fd in use that is >= from, or -1: for /proc/PID/fd. */
int fdtable_next(struct fdtable *t, int from);
uint32_t fdtable_size(struct fdtable *t); /* numbers that it has room for now */

/* With the caller's table and limits. */
struct file *task_file(struct task *t, int fd);		   /* not O_PATH; NULL: EBADF */
struct file *task_call_file(const struct call *c, int fd); /* of the task that the call is of */
/* The table of any task: a reference (to be put without a call: if it is the last one by then, it
 * was not the caller who closed), NULL when it has ended. */
struct fdtable *task_files_get(struct task *t);
struct file *task_file_raw(struct task *t, int fd);		   /* also O_PATH */
int task_fd_install(struct task *t, struct file *f, bool cloexec); /* lowest free */
/* The same, and drops the caller's reference on f in every case. */
int task_fd_install_put(struct task *t, struct file *f, bool cloexec);
/* Drop the file of a descriptor of t: flush (if a process closes it: c), POSIX locks, reference.
 * 0, or what flush has to complain about. */
int fd_close_file(struct fdtable *t, struct file *f, const struct call *c);

#endif
