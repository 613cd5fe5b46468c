/* SPDX-License-Identifier: Apache-2.0 */
/* Pid namespaces (pid_namespaces(7)). NULL stands for the first. */
#ifndef SENTRY_KERNEL_PID_NS_H
#define SENTRY_KERNEL_PID_NS_H

#include "sentry/kernel/task.h"

#define PID_NS_MAX_LEVEL 32

struct pid_ns {
	struct ref ref;		 /* pids and children in it, tasks whose children go there, files */
	struct pid_ns *parent;	 /* (C) a reference, or NULL: the first */
	struct user_ns *user_ns; /* (C) a reference, or NULL */
	uint32_t counted;	 /* (C) for whom; sentry/cred/ucount.h */
	uint32_t level;		 /* (C) 1 and up */
	uint64_t id;		 /* (C) inode number of /proc/PID/ns/pid */
	struct tgroup *init;	 /* (T) its first process, which orphans go to; borrowed */
	bool closing;		 /* (T) that one is gone: no new ones */
	int32_t last;		 /* (T) the newest number */
	_Atomic int32_t max;	 /* kernel.pid_max: numbers are below it */
	_Atomic int32_t noexec;	 /* vm.memfd_noexec; that of the parent counts too */
	uint32_t count;		 /* (T) numbers in use */
	struct pid_nr *numbers;	 /* (T) a hash */
	struct waitq empty;	 /* notified when a number is given back */
};

/* -ENOSPC (too deep), -ENOMEM. */
int pid_ns_new(struct pid_ns *parent, struct user_ns *owner, uint32_t counted, struct pid_ns **ret);
struct pid_ns *pid_ns_get(struct pid_ns *ns);
void pid_ns_put(struct pid_ns *ns);
uint64_t pid_ns_id(const struct pid_ns *ns);
/* Values of /proc/sys. Numbers that are in use stay, whatever the highest is; the next number is
 * sought from behind the last one. */
int32_t pid_ns_max(const struct pid_ns *ns);
void pid_ns_set_max(struct pid_ns *ns, int32_t max);
int32_t pid_ns_last(const struct pid_ns *ns);
void pid_ns_set_last(struct pid_ns *ns, int32_t last);
int32_t pid_ns_memfd_noexec(const struct pid_ns *ns);
void pid_ns_set_memfd_noexec(struct pid_ns *ns, int32_t level);
bool pid_ns_is_below(const struct pid_ns *ns, const struct pid_ns *above); /* or the same */

#endif
