/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmoat: run a program in a sandbox.
 *
 *	struct moat_config c;
 *	moat_config_init(&c);
 *	c.args = argv; c.mounts = ...; c.nmounts = ...;
 *	if (moat_start(&c, &sandbox, &error) == 0) {
 *		moat_wait(sandbox, &status, &error);
 *		moat_destroy(sandbox);
 *	}
 *
 * Functions return 0 or a negative errno; struct moat_error then has a text of one line that names
 * the thing that failed. Different sandboxes can be used from different threads; one sandbox by one
 * thread at a time.
 *
 * What the program that uses this library does not notice: no signal is sent to it, caught or
 * blocked, fork handlers do not run, and its environment, directory and standard streams stay as
 * they are. A sandbox's processes are not its children. They hang on one that is (moat-keeper), but
 * no wait sees that without __WALL or __WCLONE, and no SIGCHLD tells of its end.
 *
 * A sandbox ends with moat_destroy, and when the program that started it ends, whatever way, or
 * execs; what that has forked meanwhile cannot keep it, and must not use it. It does not end with
 * the thread that started it, unless die_with_parent says so. moat_release lets it go.
 */
#ifndef MOAT_MOAT_H
#define MOAT_MOAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MOAT_API __attribute__((visibility("default")))
#else
#define MOAT_API
#endif

#define MOAT_VERSION "0.1.0"

struct moat_sandbox;
struct moat_process;
struct moat_limits;
struct moat_trace;

struct moat_error {
	int code;  /* errno, positive */
	bool exec; /* the sandbox came up, but the program could not be started */
	char text[512];
};

enum moat_mount_kind {
	MOAT_MOUNT_HOST, /* a directory or file of the host: source */
	MOAT_MOUNT_TMPFS,
	MOAT_MOUNT_PROC,
	MOAT_MOUNT_SYSFS,
	MOAT_MOUNT_DEV, /* null, zero, full, random, urandom, tty ... */
	MOAT_MOUNT_DEVPTS,
	MOAT_MOUNT_MQUEUE,
	MOAT_MOUNT_CGROUP,
	MOAT_MOUNT_VIRTUAL, /* files: functions of the host program */
};

struct moat_files; /* moat/files.h */

/* Maps of a user namespace, for a user who is not root: who the ids inside are on the host. */
struct moat_idmap {
	uint32_t inside, outside, count;
};

struct moat_mount {
	enum moat_mount_kind kind;
	const char *
		source; /* path on the host; for other kinds what /proc/mounts shows, may be NULL */
	const char *target;  /* absolute path inside; "/" comes first */
	const char *options; /* of the file system ("size=64m"), may be NULL */
	unsigned long
		propagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, and MS_REC:
				among the mounts inside; 0: private. Of the root it is set last. */
	unsigned long flags; /* MS_RDONLY, MS_NOSUID, ... of mount(2) */
	const struct moat_files *files; /* VIRTUAL; borrowed until moat_destroy has returned */
	bool shared;  /* HOST: others change it while the sandbox runs: look again at every use */
	bool alone;   /* HOST: without what is mounted below source */
	bool fixed;   /* HOST: with the mounts that are there now, whatever the host mounts later */
	bool copy_up; /* TMPFS: begins with what the directory that it covers holds */
	bool overlay; /* HOST, VIRTUAL: what is written stays in memory and is gone at the end */
	/* HOST, by who may mount: who the owners of its files are instead (mount_setattr(2),
	 * MOUNT_ATTR_IDMAP), of what is mounted below it, too, with idmap_deep; both or none. It is
	 * fixed then. */
	bool idmap_deep;
	const struct moat_idmap *uid_map, *gid_map;
	size_t nuid_map, ngid_map;
};

/* A FIFO, or a node of a device that a sandbox has of its own (null, zero, full, random, urandom,
 * tty); others can be made, and not opened. If it is there its mode and owner are set. */
struct moat_device {
	const char *path; /* absolute, inside */
	unsigned mode;	  /* S_IFCHR, S_IFBLK or S_IFIFO, and permissions */
	unsigned major, minor;
	uint32_t uid, gid;
};

struct moat_rlimit {
	int resource; /* RLIMIT_* */
	uint64_t cur, max;
};

/* A container beside others in their sandbox. */
struct moat_join {
	struct moat_sandbox *sandbox; /* a connection to one of them, borrowed */
	int sentry_pid;		      /* the process that is its kernel */
	/* Whose namespaces it shares, by their numbers (moat_state); 0: it has its own. */
	unsigned pid, ipc, uts;
	/* It has the sandbox's network. Else, with network "namespace", one of its own as a sandbox
	 * would have it (-ENETDOWN: this one was begun without a network), and with any other a
	 * loopback. */
	bool net;
};

struct moat_config {
	/* what runs */
	const char *const *args; /* NULL-terminated; args[0] is looked up in PATH of env */
	const char *const *env;	 /* NULL-terminated, or NULL: empty */
	const char *cwd;	 /* NULL: "/" */
	bool make_cwd;		 /* create it when it is missing */
	uint32_t uid, gid;
	const uint32_t *groups;
	size_t ngroups;
	/* capabilities inside the sandbox: bit n is capability n; they give no right on the host */
	uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
	bool no_new_privs;
	uint32_t umask;
	/* On the host, as inside: the programs'. The sandbox's own processes are ended after them.
	 */
	bool has_oom_score_adj; /* else the caller's own */
	int oom_score_adj;
	const struct moat_rlimit *rlimits; /* others are those of the caller */
	size_t nrlimits;
	/* sched(7), ioprio_set(2), personality(2): kept and shown inside */
	int sched_policy, sched_priority; /* SCHED_OTHER, SCHED_FIFO, ... but SCHED_DEADLINE */
	bool sched_reset;		  /* SCHED_FLAG_RESET_ON_FORK */
	bool has_nice;			  /* else the caller's own */
	int nice;
	unsigned ioprio;
	unsigned personality; /* PER_LINUX or PER_LINUX32 */
	const void *cpus;     /* which it may use, a bit each; NULL: all */
	size_t cpus_bytes;
	int stdio[3];  /* borrowed; -1: closed */
	bool killable; /* signals with default action end it, although it is pid 1 inside */
	/* There is a socket at /run/notify/notify.sock, in a directory that has to be there, as
	 * sd_notify(3) has it: moat_go_notify. */
	bool notify;
	bool terminal; /* stdio[0] is the program's controlling terminal */
	/* borrowed: the program's descriptors 3, 4, ...; sockets that listen are made non-blocking
	 */
	const int *extra_fds;
	size_t nextra_fds;
	/* A compiled seccomp filter (struct sock_filter, 8 bytes each) that the sandbox's kernel
	 * runs for each of the program's system calls; NULL: none. */
	const void *seccomp;
	size_t seccomp_bytes;
	bool seccomp_log;
	/* Who answers where the filter says SECCOMP_RET_USER_NOTIF: a socket on which the sandbox's
	 * kernel is asked as include/gofer/bridge.h of moat's sources says, the caller's to close;
	 * -1: nobody, and such calls fail with ENOSYS. */
	int seccomp_listener;

	/* where it runs */
	const struct moat_mount *mounts; /* the first one is the root */
	size_t nmounts;
	const struct moat_device *devices;
	size_t ndevices;
	bool root_readonly;
	const char *const *masked_paths;   /* NULL-terminated, or NULL */
	const char *const *readonly_paths; /* NULL-terminated, or NULL */
	const char *hostname, *domainname; /* NULL: "moat", "(none)" */
	/* "none" (default): the sandbox's own loopback. "host": the caller's network namespace.
	 * "namespace": a network namespace of the host that is net_fd, or a new one when net_fd is
	 * -1. */
	const char *network;
	int net_fd;	    /* borrowed */
	unsigned low_ports; /* host, namespace: ports below it take a capability inside (1024) */
	/* NAME=VALUE, NULL-terminated, or NULL: those of System V IPC and message queues, which are
	 * set in the container's IPC namespace, and net.*. Those are set inside with "none";
	 * otherwise the caller has set them in the network namespace, and /proc/sys is to show
	 * them */
	const char *const *sysctls;
	const struct moat_idmap *uid_map, *gid_map;
	size_t nuid_map, ngid_map;
	/* by how much CLOCK_MONOTONIC and CLOCK_BOOTTIME are ahead of the host's
	 * (time_namespaces(7)) */
	struct timespec monotonic_offset, boottime_offset;
	/* set_mempolicy(2) for the sandbox's processes: MPOL_*, and a bit for each node */
	int memory_mode;
	const unsigned long *memory_nodes; /* 16 of them; NULL: as the caller's */

	/* how */
	const char *platform; /* "trap" (default) or "ptrace" */
	const char *libexec;  /* directory of moat-sentry and moat-gofer; NULL: the installed one */
	const char
		*weaker; /* parts of the isolation to do without, by commas; see `moat do --help` */
	/* Borrowed; -1: none. What is written to trace_fd are lines of text, by the sandbox's
	 * kernel itself: also when nobody of the host program is left (moat_release). */
	int log_fd, trace_fd;
	bool debug;	  /* log more than errors */
	unsigned workers; /* threads that run the sandbox's kernel; 0: as the host has CPUs, at most
			     4 */
	bool no_spin, no_rewrite, no_stub_answers, no_marshal; /* switch off shortcuts, for tests */
	uint64_t memory_limit; /* what the sandbox shows as its memory; 0: the host's */
	uint64_t pids_limit;   /* threads of all programs together; 0: no limit */
	const struct moat_limits
		*limits;		/* moat/run.h; NULL: none. Not with join or moat_release. */
	const struct moat_trace *trace; /* moat/trace.h; the same */
	/* what the sandbox shows as its share of the CPUs: so many microseconds in each period; 0:
	 * no limit */
	uint64_t cpu_quota_us, cpu_period_us;
	bool die_with_parent; /* also end when the calling thread ends without moat_destroy */

	/* NULL: in a sandbox of its own. Else what is of the whole sandbox (platform, network,
	 * sysctls, logs, workers) is not looked at. */
	const struct moat_join *join;

	/* a sandbox that is made in steps, and outlives its maker */
	bool hold;     /* load the program; it runs when moat_go says so */
	bool detached; /* nothing of the caller's stays open in the sandbox's processes */
	/* A small process more, moat_pid, for who knows a sandbox by the number of its first
	 * process: it ends as that does, and with it the sandbox; in its namespaces there are the
	 * files of the mounts of kind HOST. */
	bool anchor;
	int listen_fd; /* borrowed: a listening SOCK_SEQPACKET unix socket, for moat_attach; -1 */
	/* Called for each of the sandbox's processes when it exists, before it runs; and once when
	 * the namespaces of the sandbox are there (pid has them), before its program is loaded.
	 * They return 0 or a negative errno with err filled in. NULL: nothing to do. */
	int (*place)(void *arg, int pid, struct moat_error *err);
	int (*prepare)(void *arg, int pid, struct moat_error *err);
	void *arg;
};

/* Defaults: nothing mounted, no network, root with no capabilities, the caller's standard streams.
 */
MOAT_API void moat_config_init(struct moat_config *c);

/* Start the sandbox and the program in it. Returns when the program runs, or with hold when it is
 * loaded. */
MOAT_API int moat_start(
	const struct moat_config *c, struct moat_sandbox **ret, struct moat_error *err);

/* Let a held program run. */
MOAT_API int moat_go(struct moat_sandbox *s, struct moat_error *err);
/* The same with notify: what programs send to the socket comes out of fd's other end (both of
 * SOCK_SEQPACKET; borrowed), as they sent it. When that is closed the socket is gone. */
MOAT_API int moat_go_notify(struct moat_sandbox *s, int fd, struct moat_error *err);

/* The sandbox stays when s is destroyed, until its first process ends. Its processes are orphans
 * from then on: children of the caller's, if that is a subreaper or an init, else of somebody
 * above. */
MOAT_API int moat_release(struct moat_sandbox *s, struct moat_error *err);

/* A sandbox that somebody else started: sock is connected to its listen_fd, and taken over. What is
 * destroyed with *ret is the connection only. */
MOAT_API int moat_attach(int sock, struct moat_sandbox **ret, struct moat_error *err);

/* Wait for the first process to end; *ret_status is as wait(2) has it. -ECONNRESET: the sandbox
 * itself died. timeout_ms < 0: for ever; -ETIMEDOUT. */
MOAT_API int moat_wait(struct moat_sandbox *s, int *ret_status, struct moat_error *err);
MOAT_API int moat_wait_timeout(
	struct moat_sandbox *s, int timeout_ms, int *ret_status, struct moat_error *err);

/* What was used until the end that a wait has told of: by all programs of the sandbox together; or,
 * of a process that was spawned, by it and by those of its children that it has waited for.
 *
 * Memory is looked at some fifty times a second, and before a process with more than 8 MiB of
 * address space ends. Of such a one it is the host's high-water mark less the pages of files that
 * the process had at its end: a few MiB less than its peak where it mapped some only afterwards. */
struct moat_rusage {
	uint64_t user_ns;   /* CPU time of the programs */
	uint64_t system_ns; /* and of the sandbox's kernel for them (not of a process) */
	uint64_t wall_ns;   /* since the start */
	uint64_t
		memory_peak_bytes; /* of a sandbox with limits (moat/run.h); else 0: not measured */
};
/* -EAGAIN: it has not ended. */
MOAT_API int moat_rusage(const struct moat_sandbox *s, struct moat_rusage *ret);

/* A descriptor that becomes readable when moat_wait will not block. */
MOAT_API int moat_fd(const struct moat_sandbox *s);

/* Signal a process by its number inside (0: the first one). terminal: the caller got it from the
 * program's terminal: it is for who stands in front of that. */
MOAT_API int moat_signal(struct moat_sandbox *s, int pid, int signo);
MOAT_API int moat_signal_terminal(struct moat_sandbox *s, int signo);
/* Signal every process. */
MOAT_API int moat_signal_all(struct moat_sandbox *s, int signo);

/* No code of the sandbox's programs runs between the two. */
MOAT_API int moat_pause(struct moat_sandbox *s, struct moat_error *err);
MOAT_API int moat_resume(struct moat_sandbox *s, struct moat_error *err);

struct moat_state {
	bool started, paused;
	unsigned container, containers; /* its number in the sandbox, from 1; how many there are */
	uint64_t calls; /* system calls so far; those that are answered without the sandbox's kernel
			   (getpid, clocks, futexes on trap) are not in it */
};
MOAT_API int moat_state(struct moat_sandbox *s, struct moat_state *ret, struct moat_error *err);

struct moat_process_info {
	int pid, ppid; /* inside */
	int host_pid;  /* as the sandbox's own pid namespace has it; 0: none at the moment */
	uint32_t uid;
	char name[16];
};
/* All processes, in *ret (free()). */
MOAT_API int moat_processes(struct moat_sandbox *s, struct moat_process_info **ret, size_t *ret_n,
	struct moat_error *err);

/* What is at a path of the sandbox's /proc ("/1/status"): a file's text, a link's, the names in a
 * directory; in *ret (free()), with a NUL behind. Programs of the sandbox have their say in it:
 * nothing of it is fit for a terminal as it is. */
MOAT_API int moat_inspect(struct moat_sandbox *s, const char *path, char **ret, size_t *ret_len,
	struct moat_error *err);

/* What the sandbox shows as its memory, and how many threads there can be; 0: leave alone. */
MOAT_API int moat_set_limits(
	struct moat_sandbox *s, uint64_t memory_bytes, uint64_t pids, struct moat_error *err);
/* What it shows as its share of the CPUs; 0: leave alone, a quota of UINT64_MAX: no limit. */
MOAT_API int moat_set_cpu(
	struct moat_sandbox *s, uint64_t quota_us, uint64_t period_us, struct moat_error *err);

/* Another program in the sandbox, from what c says of what runs. It is killed when *ret is freed
 * before its end. */
MOAT_API int moat_spawn(struct moat_sandbox *s, const struct moat_config *c,
	struct moat_process **ret, struct moat_error *err);
MOAT_API int moat_process_pid(const struct moat_process *p);
/* As the sandbox's own pid namespace had it when it was started. */
MOAT_API int moat_process_host_pid(const struct moat_process *p);
MOAT_API int moat_process_fd(const struct moat_process *p); /* readable when wait will not block */
/* timeout_ms < 0: for ever. -ETIMEDOUT; -ECONNRESET: the sandbox died. */
MOAT_API int moat_process_wait(
	struct moat_process *p, int timeout_ms, int *ret_status, struct moat_error *err);
MOAT_API int moat_process_rusage(const struct moat_process *p, struct moat_rusage *ret);
MOAT_API int moat_process_signal(struct moat_process *p, int signo);
MOAT_API int moat_process_signal_terminal(struct moat_process *p, int signo);
MOAT_API void moat_process_free(struct moat_process *p);

/* The host's process numbers: what stands for the sandbox (the anchor if there is one, else its
 * kernel), its kernel, its file server. */
MOAT_API int moat_pid(const struct moat_sandbox *s);
MOAT_API int moat_sentry_pid(const struct moat_sandbox *s);
MOAT_API int moat_gofer_pid(const struct moat_sandbox *s);

/* The first process's number in the sandbox's own pid namespace when it was loaded. */
MOAT_API int moat_first_host_pid(const struct moat_sandbox *s);
/* The same of the process that the host's processes of a container are copies of, if it shares a
 * sandbox (moat_join): where that is put on the host (cgroups(7)), those are that begin later. 0:
 * they are copies of the sandbox's. */
MOAT_API int moat_zygote_host_pid(const struct moat_sandbox *s);

/* End what still runs and free everything. NULL is fine. */
MOAT_API void moat_destroy(struct moat_sandbox *s);

MOAT_API const char *moat_version(void);

#ifdef __cplusplus
}
#endif
#endif
