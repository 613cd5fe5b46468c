/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks and how much: credentials, capabilities, rlimits, and the call context that everything
 * below the kernel takes instead of a task. Credentials are immutable once published: change =
 * copy, modify, swap.
 */
#ifndef SENTRY_CRED_CRED_H
#define SENTRY_CRED_CRED_H

#include "abi/types.h"
#include "base/ref.h"
#include <sys/types.h>

#define LX_CAP_CHOWN		  0
#define LX_CAP_DAC_OVERRIDE	  1
#define LX_CAP_DAC_READ_SEARCH	  2
#define LX_CAP_FOWNER		  3
#define LX_CAP_FSETID		  4
#define LX_CAP_KILL		  5
#define LX_CAP_SETGID		  6
#define LX_CAP_SETUID		  7
#define LX_CAP_SETPCAP		  8
#define LX_CAP_LINUX_IMMUTABLE	  9
#define LX_CAP_NET_BIND_SERVICE	  10
#define LX_CAP_NET_BROADCAST	  11
#define LX_CAP_NET_ADMIN	  12
#define LX_CAP_NET_RAW		  13
#define LX_CAP_IPC_LOCK		  14
#define LX_CAP_IPC_OWNER	  15
#define LX_CAP_SYS_MODULE	  16
#define LX_CAP_SYS_RAWIO	  17
#define LX_CAP_SYS_CHROOT	  18
#define LX_CAP_SYS_PTRACE	  19
#define LX_CAP_SYS_PACCT	  20
#define LX_CAP_SYS_ADMIN	  21
#define LX_CAP_SYS_BOOT		  22
#define LX_CAP_SYS_NICE		  23
#define LX_CAP_SYS_RESOURCE	  24
#define LX_CAP_SYS_TIME		  25
#define LX_CAP_SYS_TTY_CONFIG	  26
#define LX_CAP_MKNOD		  27
#define LX_CAP_LEASE		  28
#define LX_CAP_AUDIT_WRITE	  29
#define LX_CAP_AUDIT_CONTROL	  30
#define LX_CAP_SETFCAP		  31
#define LX_CAP_MAC_OVERRIDE	  32
#define LX_CAP_MAC_ADMIN	  33
#define LX_CAP_SYSLOG		  34
#define LX_CAP_WAKE_ALARM	  35
#define LX_CAP_BLOCK_SUSPEND	  36
#define LX_CAP_AUDIT_READ	  37
#define LX_CAP_PERFMON		  38
#define LX_CAP_BPF		  39
#define LX_CAP_CHECKPOINT_RESTORE 40
#define LX_CAP_LAST		  40
#define LX_CAP_ALL		  ((1ULL << (LX_CAP_LAST + 1)) - 1)

#define LX_NGROUPS_MAX 65536

struct user_ns;

struct group_list {
	struct ref ref;
	uint32_t n;
	uint32_t gid[]; /* ascending */
};

struct cred {
	struct ref ref;
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
	uint32_t securebits;
	bool no_new_privs;
	struct user_ns *user_ns;   /* a reference; NULL: the first. See user_ns.h */
	struct group_list *groups; /* a reference; NULL: none */
};

struct cred *cred_new_root(void);	     /* uid 0, all capabilities */
struct cred *cred_dup(const struct cred *c); /* NULL: out of memory */
struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
int cred_set_groups(struct cred *c, const uint32_t *gid, uint32_t n); /* sorts its copy */
bool cred_in_group(const struct cred *c, uint32_t gid);		      /* fsgid or supplementary */
bool cred_in_egroup(const struct cred *c, uint32_t gid);	      /* egid or supplementary */

/* Over the first user namespace, and so over everything; user_ns.h asks about less. */
static inline bool
cred_capable(const struct cred *c, int cap)
{
	return !c->user_ns && ((c->cap_effective >> cap) & 1);
}

enum lx_rlimit {
	LX_RLIMIT_CPU,
	LX_RLIMIT_FSIZE,
	LX_RLIMIT_DATA,
	LX_RLIMIT_STACK,
	LX_RLIMIT_CORE,
	LX_RLIMIT_RSS,
	LX_RLIMIT_NPROC,
	LX_RLIMIT_NOFILE,
	LX_RLIMIT_MEMLOCK,
	LX_RLIMIT_AS,
	LX_RLIMIT_LOCKS,
	LX_RLIMIT_SIGPENDING,
	LX_RLIMIT_MSGQUEUE,
	LX_RLIMIT_NICE,
	LX_RLIMIT_RTPRIO,
	LX_RLIMIT_RTTIME,
	LX_RLIM_NLIMITS
};
#define LX_RLIM_INFINITY UINT64_MAX

struct lx_rlimit64 {
	uint64_t cur, max;
};

struct rlimits {
	struct lx_rlimit64 r[LX_RLIM_NLIMITS]; /* each half is read and written atomically */
};

static inline uint64_t
rlimit_cur(const struct rlimits *r, enum lx_rlimit which)
{
	return __atomic_load_n(&r->r[which].cur, __ATOMIC_RELAXED);
}

struct usermem;
struct fs_ctx;
struct ipc_ns;
struct net_ns;

/*
 * The call context: what a handler below the kernel may know of who calls. Lives on the stack or in
 * the task; borrowed for the duration of a call. Any member but cred may be NULL when the kernel
 * itself asks.
 */
struct call {
	const struct cred *cred;
	const struct rlimits *rlim;
	struct usermem *um; /* the caller's memory */
	struct ipc_ns *ipc; /* System V IPC */
	struct net_ns *net;
	struct pid_ns *pid_ns; /* NULL: the first */
	struct fs_ctx *fs;     /* root, cwd, umask (vfs) */
	/* Is a signal due? Loops that wait below the kernel (gofer requests, file locks) ask it. */
	bool (*interrupted)(const struct call *c);
	/* Is there no process any more? Who takes much of the host's memory asks it on the way: the
	 * host may have ended the process for that, which is seen nowhere else before it is to run.
	 */
	bool (*ended)(const struct call *c);
	int32_t tgid,
		tid; /* in the root pid namespace of the sandbox; owners of locks, F_SETOWN, ... */
	uint64_t files_id; /* identity of the descriptor table: owner of POSIX locks */
	uint64_t serial;   /* no other call has it; 0: calls are not told apart */
};

#endif
