/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clone into new namespaces, map the ids from outside, exec. The child, made by a keeper, is a copy
 * of a process that may have other threads: it makes raw system calls only, and tells by a pipe
 * which step failed.
 */
#include "platform/host/ns.h"
#include "platform/host/err.h"
#include "platform/host/keeper.h"
#include "platform/host/raw.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum step {
	STEP_NONE,
	STEP_TIME,
	STEP_MEMORY,
	STEP_GROUPS,
	STEP_IDS,
	STEP_CAPS,
	STEP_FDS,
	STEP_EXEC,
};

struct failure {
	int32_t step, err;
};

static const char *const step_text[] = {
	[STEP_TIME] = "cannot make a time namespace with these offsets for",
	[STEP_MEMORY] = "cannot set the memory policy of",
	[STEP_GROUPS] = "cannot drop the supplementary groups",
	[STEP_IDS] = "cannot change to the sandbox's user",
	[STEP_CAPS] = "cannot keep the capabilities in the new user namespace",
	[STEP_FDS] = "cannot arrange the descriptors",
	[STEP_EXEC] = "cannot start",
};

static _Noreturn void
child_fail(int report, enum step step, int err)
{
	struct failure f = {(int32_t)step, -err};

	(void)raw_write(report, &f, sizeof f);
	raw_exit(127);
}

/* Make every permitted capability inheritable and ambient, so that an exec by a user other than 0
 * keeps it. */
static int
raise_ambient(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	int r = HOST((int)syscall(SYS_capget, &h, d));

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		d[i].inheritable = d[i].effective = d[i].permitted;
	r = HOST((int)syscall(SYS_capset, &h, d));
	for (int c = 0; r == 0 && c <= CAP_LAST_CAP; c++)
		if ((d[c / 32].permitted >> c % 32) & 1)
			r = HOST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0));
	return r;
}

/* One of its own, which it is in itself: a further process would be another one. */
static int
enter_time(const char *offsets)
{
	int fd, r = HOST(unshare(CLONE_NEWTIME));

	if (r < 0)
		return r;
	fd = raw_open(AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	r = (int)raw_write(fd, offsets, strlen(offsets));
	raw_close(fd);
	if (r < 0)
		return r;
	fd = raw_open(AT_FDCWD, "/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	r = HOST(setns(fd, CLONE_NEWTIME));
	raw_close(fd);
	return r;
}

enum { FD_PROGRAM, FD_GO, FD_REPORT, FD_CONTROL, FDS };

static int
child(void *arg, const int *fds)
{
	const struct ns_spawn *s = arg;
	int program = fds[FD_PROGRAM], go = fds[FD_GO], report = fds[FD_REPORT];
	char *argv[2] = {(char *)(uintptr_t)s->name, NULL}, *envp[1] = {NULL};
	static const unsigned long none, by_default[4], ignored[4] = {1 /* SIG_IGN */};
	char c;
	int r, null;

	/* The parent writes the id maps first. End of file: it could not, and says so itself. */
	if (raw_read(go, &c, 1) != 1)
		raw_exit(127);
	syscall(SYS_setsid);
	if (s->time_offsets && (r = enter_time(s->time_offsets)) < 0)
		child_fail(report, STEP_TIME, r);
	if (s->memory) {
		r = HOST((int)syscall(SYS_set_mempolicy, s->memory->mode, s->memory->nodes,
			sizeof s->memory->nodes * 8));
		if (r < 0)
			child_fail(report, STEP_MEMORY, r);
	}
	if (s->set_ids) {
		/* Forbidden in a user namespace of an unprivileged user, where the groups stay as
		 * they are. */
		r = HOST((int)syscall(SYS_setgroups, 0, NULL));
		if (r < 0 && !(r == -EPERM && (s->namespaces & CLONE_NEWUSER)))
			child_fail(report, STEP_GROUPS, r);
		/* Changing from 0 would take the capabilities away. */
		if (s->ambient_caps)
			prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
		r = HOST((int)syscall(SYS_setresgid, s->gid, s->gid, s->gid));
		if (r == 0)
			r = HOST((int)syscall(SYS_setresuid, s->uid, s->uid, s->uid));
		if (r < 0)
			child_fail(report, STEP_IDS, r);
	}
	if (s->ambient_caps && (r = raise_ambient()) < 0)
		child_fail(report, STEP_CAPS, r);
	/* After the change of ids, which clears it. */
	if (s->die_with_parent)
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	null = raw_open(AT_FDCWD, "/dev/null", O_RDWR);
	if (null < 0)
		child_fail(report, STEP_FDS, null);
	/* report and control may lie on each other's numbers: move them out of the way. */
	program = raw_fcntl(program, F_DUPFD_CLOEXEC, 18);
	report = raw_fcntl(report, F_DUPFD_CLOEXEC, 16);
	r = raw_fcntl(fds[FD_CONTROL], F_DUPFD, 17);
	if (r < 0 || raw_dup2(null, 0) < 0 || raw_dup2(null, 1) < 0 ||
		(s->no_stderr && raw_dup2(null, 2) < 0) || raw_dup2(r, NS_CONTROL_FD) < 0)
		child_fail(report, STEP_FDS, r < 0 ? r : -EMFILE);
	r = HOST((int)syscall(SYS_close_range, NS_CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC));
	if (r < 0)
		for (int fd = NS_CONTROL_FD + 1; fd < 65536; fd++)
			(void)raw_fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)host_call4(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&none, 0, sizeof none);
	/* As the kernel has it: handler, flags, restorer, mask. */
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)host_call4(SYS_rt_sigaction, sig,
				(uintptr_t)(sig == SIGPIPE ? ignored : by_default), 0, sizeof none);
	/* Not by its path, which the user it is now may not be allowed to walk (/root). */
	syscall(SYS_execveat, program, "", argv, envp, AT_EMPTY_PATH);
	child_fail(report, STEP_EXEC, -errno);
}

static int
write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];
	int fd, r;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	fd = HOST(open(path, O_WRONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	r = (int)HOST_RETRY(write(fd, text, strlen(text)));
	close(fd);
	return r < 0 ? r : 0;
}

static int
write_map(pid_t pid, const char *file, const struct ns_idmap *m, unsigned n)
{
	char text[4096];
	size_t len = 0;

	for (unsigned i = 0; i < n && len < sizeof text - 40; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%u %u %u\n", m[i].inside,
			m[i].outside, m[i].count);
	return write_proc(pid, file, text);
}

static int
write_maps(pid_t pid, const struct ns_spawn *s, char *err, size_t cap)
{
	int r = write_map(pid, "gid_map", s->gid_map, s->ngid);

	if (r == -EPERM) {
		/* Unprivileged: only after the right to drop groups was given up. */
		r = write_proc(pid, "setgroups", "deny");
		if (r == 0)
			r = write_map(pid, "gid_map", s->gid_map, s->ngid);
	}
	if (r == 0)
		r = write_map(pid, "uid_map", s->uid_map, s->nuid);
	if (r < 0)
		snprintf(
			err, cap, "cannot map users into the new user namespace: %s", strerror(-r));
	return r;
}

static const char *
clone_hint(int r, unsigned ns)
{
	if (r == -ENOSPC)
		return " (a limit in /proc/sys/user is reached)";
	if (r == -EPERM && (ns & CLONE_NEWUSER))
		return " (user namespaces are forbidden here)";
	if (r == -EPERM)
		return " (not permitted)";
	if (r == -EINVAL)
		return " (the kernel lacks one of the namespaces)";
	return "";
}

int
ns_spawn(const struct ns_spawn *s, int *ret_report, char *err, size_t cap)
{
	int go[2], report[2], r, program = HOST(open(s->path, O_PATH | O_CLOEXEC));
	pid_t pid;
	int index;

	if (program < 0) {
		snprintf(err, cap, "%s %s: %s", step_text[STEP_EXEC], s->path, strerror(-program));
		return program;
	}
	/* A socket: a write to a pipe may raise SIGPIPE. */
	if ((r = HOST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go))) < 0)
		goto undo_nothing;
	if ((r = HOST(pipe2(report, O_CLOEXEC))) < 0)
		goto undo_go;
	index = keeper_fork(s->keeper, s->namespaces, child, (void *)(uintptr_t)s,
		(const int[FDS]){program, go[0], report[1], s->control}, FDS);
	close(program);
	close(go[0]);
	close(report[1]);
	if (index < 0) {
		snprintf(err, cap, "cannot create namespaces for %s: %s%s", s->name,
			strerror(-index), clone_hint(index, s->namespaces));
		close(go[1]);
		close(report[0]);
		return index;
	}
	pid = keeper_child_pid(s->keeper, index);
	r = s->namespaces & CLONE_NEWUSER ? write_maps(pid, s, err, cap) : 0;
	if (r == 0 && s->place)
		r = s->place(s->place_arg, pid, err, cap);
	if (r == 0)
		(void)send(go[1], "", 1, MSG_NOSIGNAL);
	close(go[1]);
	if (r < 0) {
		close(report[0]);
		return r;
	}
	*ret_report = report[0];
	return index;
undo_go:
	close(go[0]);
	close(go[1]);
undo_nothing:
	close(program);
	snprintf(err, cap, "cannot make a pipe: %s", strerror(-r));
	return r;
}

int
ns_started(int report, const char *path, char *err, size_t cap)
{
	const char *name = strrchr(path, '/');
	struct failure f;
	ssize_t n = HOST_RETRY(read(report, &f, sizeof f));

	close(report);
	if (n != sizeof f)
		return 0;
	snprintf(err, cap, "%s %s: %s",
		f.step > STEP_NONE && f.step <= STEP_EXEC ? step_text[f.step] : "failed",
		f.step == STEP_EXEC || !name ? path : name + 1, strerror(f.err));
	return -f.err;
}
