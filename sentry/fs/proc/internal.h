/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc (proc(5)). The object of everything below a process's directory is a task: of /proc/PID,
 * the leader at the time of the look-up; of /proc/PID/task/TID, that thread.
 */
#ifndef SENTRY_FS_PROC_INTERNAL_H
#define SENTRY_FS_PROC_INTERNAL_H

#include "sentry/fs/pseudo.h"
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include <errno.h>

extern const struct pseudo_obj_ops proc_task_ops;
extern const struct pseudo_row proc_pid_rows[], proc_tid_rows[], proc_net_rows[], proc_sys_rows[];
extern const struct pseudo_dir proc_fd_dir, proc_fdinfo_dir, proc_task_dir;

static inline struct task *
proc_task(const struct pseudo_ctx *x)
{
	return x->obj;
}

/* Its process on the host, as the sentry's pid namespace has it; 0: none any more. */
pid_t proc_host_pid(struct task *t);
/* References to what the task has now; NULL when it is gone. */
struct mm *proc_mm(const struct task *t);
/* bind: the address space, which is not the one that it has after an exec. */
uint64_t proc_bind_mm(const struct pseudo_ctx *x);
struct mm *proc_bound_mm(const struct pseudo_ctx *x); /* a reference; NULL: that is gone */
struct fs_ctx *proc_fs(struct task *t);
const struct cred *proc_cred(struct task *t);
bool proc_still(const struct pseudo_ctx *child);
void proc_owner(const struct pseudo_ctx *x, struct inode *i); /* attr: the task's user and group */
/* check: may the caller look into the task (ptrace access)? */
int proc_may_look(const struct pseudo_ctx *x, int mask);
/* Bytes at addr of the task's memory, at most len, up to the first fault. */
size_t proc_read_mem(struct task *t, struct mm *mm, uint64_t addr, void *buf, size_t len);
int proc_show_maps(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_smaps(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_stat(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_status(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_statm(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_oom_score(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_numa_maps(const struct pseudo_ctx *x, struct sbuf *b);
/* ids.c */
int proc_show_id_map(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_write_id_map(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_show_setgroups(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_write_setgroups(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_open_setgroups(const struct pseudo_ctx *x, struct file *f);
/* Whose rights count: those of who opened the file, where that is known. */
static inline const struct cred *
proc_asker(const struct pseudo_ctx *x)
{
	return x->opener ? x->opener : x->c->cred;
}

/* adjust.c */
/* A number that may be followed by the end of a line, as Linux's kstrtoull() takes it. -EINVAL,
 * -ERANGE. */
int proc_parse_u64(const char *buf, int base, uint64_t max, uint64_t *ret);
int proc_show_oom_score_adj(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_write_oom_score_adj(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_show_coredump_filter(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_write_coredump_filter(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_show_slack(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_write_slack(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
/* login.c */
int proc_show_loginuid(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_write_loginuid(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_show_sessionid(const struct pseudo_ctx *x, struct sbuf *b);
/* machine.c */
extern const struct pseudo_row proc_sysvipc_rows[];
int proc_show_locks(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_keys(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_config(const struct pseudo_ctx *x, struct sbuf *b);
/* more.c */
extern const struct pseudo_row proc_attr_rows[];
int proc_show_sched(const struct pseudo_ctx *x, struct sbuf *b);
int proc_show_timers(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_pagemap_pread(const struct pseudo_ctx *x, struct uio *u, int64_t pos);
/* options.c: of a mount (sb->priv) */
extern const struct super_ops proc_sops;
int proc_options_new(const struct call *c, const char *options, void **ret, bool *pids_only);
void proc_options_free(void *options);
/* The names in a mount are numbers of the pid namespace that it was mounted in (pid_namespaces(7)),
 * whoever looks. 0: there it has none. */
const struct pid_ns *proc_pid_ns(const struct pseudo_ctx *x);
int32_t proc_nr(const struct pseudo_ctx *x, const struct pid *p);
int proc_check_option(const char *name, const char *val);
/* Does the process exist for c, in this mount? */
bool proc_sees(const struct super *sb, const struct call *c, struct task *t);
int proc_may_enter(const struct pseudo_ctx *x, int mask); /* check of its directory */
/* One letter of proc(5)'s state. */
char proc_state(const struct task *t);

#endif
