/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the launcher to the anchor takes two steps. The keeper's first child shares the launcher's
 * memory (as with vfork), enters the sentry's namespaces (of which that of pids counts for children
 * only) and clones the second one as a child of the keeper. That one waits until the sentry has
 * made what mounts stand on, builds its view of the files, gives up everything, and becomes the
 * program. Both are copies of a process that may have other threads: raw calls only.
 *
 * What a bundle's root holds is not trusted: a target is looked up inside the new root, through no
 * magic link, and mounted on by its descriptor.
 */
#include "platform/host/anchor.h"
#include "platform/host/err.h"
#include "platform/host/keeper.h"
#include "platform/host/ns.h"
#include "platform/host/raw.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum step {
	STEP_NONE,
	STEP_USER,
	STEP_NAMESPACES,
	STEP_CLONE,
	STEP_PRIVATE,
	STEP_ROOT,
	STEP_PIVOT,
	STEP_COVER,
	STEP_READONLY,
	STEP_DETACH,
	STEP_IDS,
	STEP_CAPS,
	STEP_FDS,
	STEP_EXEC,
};

static const char *const step_text[] = {
	[STEP_NONE] = "failed",
	[STEP_USER] = "cannot enter the user namespace",
	[STEP_NAMESPACES] = "cannot enter the sandbox's namespaces",
	[STEP_CLONE] = "cannot make a mount namespace, or a network namespace",
	[STEP_PRIVATE] = "cannot make the mounts private",
	[STEP_ROOT] = "cannot mount the container's root",
	[STEP_PIVOT] = "cannot make the container's root its own (pivot_root)",
	[STEP_COVER] = "cannot cover a directory",
	[STEP_READONLY] = "cannot make the container's root read-only",
	[STEP_DETACH] = "cannot detach the old root",
	[STEP_IDS] = "cannot change to the sandbox's user",
	[STEP_CAPS] = "cannot drop the capabilities",
	[STEP_FDS] = "cannot arrange the descriptors",
	[STEP_EXEC] = "cannot start",
};

struct failure {
	int32_t step, err;
};

static const char no_text[] = "";

/* --- the second child --- */

static _Noreturn void
child_fail(int report, enum step step, int r)
{
	struct failure f = {(int32_t)step, -r};

	(void)raw_write(report, &f, sizeof f);
	raw_exit(127);
}

/* A copy of the mounts at path, which nobody else sees. */
static int
tree_open(const char *path, bool alone)
{
	return HOST((int)syscall(SYS_open_tree, AT_FDCWD, path,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (alone ? 0u : (unsigned)AT_RECURSIVE)));
}

static int
tree_attach(int tree, int at, const char *path)
{
	return HOST((int)syscall(SYS_move_mount, tree, no_text, at, path,
		MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH)));
}

/* Also of an attached one. */
static int
tree_restrict(int tree, bool readonly)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					   (readonly ? MOUNT_ATTR_RDONLY : 0)};

	return HOST((int)syscall(
		SYS_mount_setattr, tree, no_text, AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a));
}

static int
make_private(void)
{
	return HOST(mount(NULL, ".", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int
look_up(int root, const char *path)
{
	struct open_how how = {.flags = (uint64_t)(O_PATH | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return HOST((int)syscall(SYS_openat2, root, path, &how, sizeof how));
}

static int
cover(int at)
{
	int r = HOST(fchdir(at));

	if (r == 0)
		r = HOST(mount("none", ".", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			"size=4k,mode=0555"));
	return r;
}

/* The sandbox's processes, but neither the sentry, which is the init of their namespace, nor this
 * one; and what else a proc shows: podman's top wants its stat. Nothing of the guest's can get
 * here, and whoever can, from the host, has all that already. */
static int
show_proc(int at)
{
	int fs = HOST((int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC)), top = fs, r, fd;
	char name[16];

	if (fs >= 0 &&
		(r = HOST((int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))) < 0)
		top = r;
	if (top >= 0)
		top = HOST((int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				MOUNT_ATTR_NOEXEC));
	if (top < 0 || (r = tree_attach(top, at, no_text)) < 0)
		return top < 0 ? top : r;
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "%d", i ? (int)getpid() : 1);
		fd = raw_open(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			(void)cover(fd);
	}
	return 0;
}

/* What cannot be shown is covered: nobody shall take what is beneath for it. */
static int
show(int root, const struct anchor_mount *m, int tree)
{
	int at = look_up(root, m->target), r = -ENOENT;
	struct stat st;

	/* Beneath something that is covered, or a target that is no name. */
	if (at < 0 || host_call2(SYS_fstat, at, (uintptr_t)&st) < 0)
		return 0;
	if (m->show == ANCHOR_FILES && tree >= 0) {
		r = tree_restrict(tree, m->readonly);
		/* A host that is too old for it shows what may be written. */
		if (r == -ENOSYS && !m->readonly)
			r = 0;
		if (r == 0)
			r = tree_attach(tree, at, no_text);
		if (r == 0 && fchdir(tree) == 0)
			r = make_private();
	} else if (m->show == ANCHOR_PROC) {
		r = show_proc(at);
	}
	if (r < 0 && S_ISDIR(st.st_mode))
		r = cover(at);
	else if (r < 0)
		r = 0;
	raw_close(at);
	return r;
}

/* The container's root is ours; the old one lies over it. */
static void
enter_root(int root, int report)
{
	int r;

	if (root < 0)
		child_fail(report, STEP_ROOT, root);
	if ((r = HOST(chdir("/"))) < 0 || (r = make_private()) < 0)
		child_fail(report, STEP_PRIVATE, r);
	if ((r = tree_attach(root, AT_FDCWD, "/")) < 0 || (r = HOST(fchdir(root))) < 0 ||
		(r = make_private()) < 0)
		child_fail(report, STEP_ROOT, r);
	if ((r = HOST((int)syscall(SYS_pivot_root, ".", "."))) < 0)
		child_fail(report, STEP_PIVOT, r);
}

static void
build_view(const struct anchor_spawn *s, const int *trees, int report)
{
	size_t n = s->nmounts < ANCHOR_MOUNTS_MAX ? s->nmounts : ANCHOR_MOUNTS_MAX;
	int root = trees[0], r;

	/* proc can be mounted by an ordinary user only while another one is in sight: the old root
	 * stays for that. */
	for (size_t i = 1; i < n; i++)
		if ((r = show(root, &s->mounts[i], trees[i])) < 0)
			child_fail(report, STEP_COVER, r);
	if ((r = HOST(fchdir(root))) < 0 || (r = HOST(umount2(".", MNT_DETACH))) < 0 ||
		(r = HOST(chdir("/"))) < 0)
		child_fail(report, STEP_DETACH, r);
	if ((r = make_private()) < 0)
		child_fail(report, STEP_PRIVATE, r);
	r = s->mounts[0].readonly
		    ? HOST(mount(NULL, "/", NULL,
			      MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL))
		    : 0;
	if (r < 0)
		child_fail(report, STEP_READONLY, r);
}

static void
give_up_rights(const struct anchor_spawn *s, int gofer_fd, int report)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
	struct rlimit no_core = {0, 0};
	int r = s->gofer_user ? HOST(setns(gofer_fd, CLONE_NEWUSER)) : 0;

	if (r < 0)
		child_fail(report, STEP_USER, r);
	/* Root gets them back by the exec unless the bounding set is empty; others have none. */
	for (int c = 0; c <= CAP_LAST_CAP; c++) {
		r = HOST(prctl(PR_CAPBSET_DROP, c, 0, 0, 0));
		if (r == -EINVAL)
			break; /* more than this host has */
		if (r < 0)
			child_fail(report, STEP_CAPS, r);
	}
	if (s->set_ids) {
		r = HOST((int)syscall(SYS_setgroups, 0, NULL));
		if (r == 0)
			r = HOST((int)syscall(SYS_setresgid, s->gid, s->gid, s->gid));
		if (r == 0)
			r = HOST((int)syscall(SYS_setresuid, s->uid, s->uid, s->uid));
		if (r < 0)
			child_fail(report, STEP_IDS, r);
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	r = HOST((int)syscall(SYS_capset, &h, none));
	if (r == 0)
		r = HOST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (r < 0)
		child_fail(report, STEP_CAPS, r);
	/* It may end by the signal that the program ended by. */
	(void)setrlimit(RLIMIT_CORE, &no_core);
}

struct child {
	const struct anchor_spawn *s;
	int program, null, gofer, go, report, control, maker; /* as the child has them */
	int trees[ANCHOR_MOUNTS_MAX];
};

static void
open_trees(struct child *c)
{
	for (size_t i = 0; i < ANCHOR_MOUNTS_MAX; i++)
		c->trees[i] = i < c->s->nmounts && c->s->mounts[i].show == ANCHOR_FILES
				      ? tree_open(c->s->mounts[i].source, c->s->mounts[i].alone)
				      : -ENOENT;
}

static _Noreturn void
second(struct child *c)
{
	char *argv[2] = {(char *)(uintptr_t) "moat-anchor", NULL}, *envp[1] = {NULL}, go;
	int control, maker, r;

	(void)syscall(SYS_setsid);
	open_trees(c);
	enter_root(c->trees[0], c->report);
	if (raw_read(c->go, &go, 1) != 1)
		raw_exit(127);
	build_view(c->s, c->trees, c->report);
	give_up_rights(c->s, c->gofer, c->report);
	c->program = raw_fcntl(c->program, F_DUPFD_CLOEXEC, 18);
	c->report = raw_fcntl(c->report, F_DUPFD_CLOEXEC, 16);
	control = raw_fcntl(c->control, F_DUPFD, 17);
	maker = c->maker < 0 ? -1 : raw_fcntl(c->maker, F_DUPFD, 18);
	r = c->maker >= 0 && maker < 0 ? maker : control;
	for (int fd = 0; fd < 3 && r >= 0; fd++)
		r = raw_dup2(c->null, fd);
	if (r >= 0)
		r = raw_dup2(control, NS_CONTROL_FD);
	/* The numbers that follow are to be free; the rest goes with the exec. */
	if (r >= 0)
		r = HOST((int)syscall(SYS_close_range, NS_CONTROL_FD + 1, 15, 0));
	if (r >= 0 && maker >= 0)
		r = raw_dup2(maker, ANCHOR_MAKER_FD);
	if (r >= 0)
		r = HOST((int)syscall(SYS_close_range, 16, ~0U, CLOSE_RANGE_CLOEXEC));
	if (r < 0)
		child_fail(c->report, STEP_FDS, r);
	/* All signals stay blocked: the program reads them. */
	syscall(SYS_execveat, c->program, no_text, argv, envp, AT_EMPTY_PATH);
	child_fail(c->report, STEP_EXEC, -errno);
}

/* --- the first child: it shares the caller's memory, and the caller waits --- */

enum { FD_PROGRAM, FD_NULL, FD_GO, FD_REPORT, FD_CONTROL, FD_SENTRY, FD_GOFER, FD_MAKER, FDS };

struct first {
	struct child c;
	struct failure failure;
};

static int
first_fail(struct first *f, enum step step, int r)
{
	f->failure = (struct failure){(int32_t)step, -r};
	return r;
}

static int
first(void *arg, const int *fds)
{
	struct first *f = arg;
	const struct anchor_spawn *s = f->c.s;
	int r = 0;

	f->c.program = fds[FD_PROGRAM];
	f->c.null = fds[FD_NULL];
	f->c.go = fds[FD_GO];
	f->c.report = fds[FD_REPORT];
	f->c.control = fds[FD_CONTROL];
	f->c.gofer = fds[FD_GOFER];
	f->c.maker = s->maker < 0 ? -1 : fds[FD_MAKER];
	/* The right to enter the others, for whoever has none. */
	if (s->sentry_user && (r = HOST(setns(fds[FD_SENTRY], CLONE_NEWUSER))) < 0)
		return first_fail(f, STEP_USER, r);
	if (s->namespaces)
		r = HOST(setns(fds[FD_SENTRY], (int)s->namespaces));
	if (r < 0)
		return first_fail(f, STEP_NAMESPACES, r);
	r = HOST((int)syscall(SYS_clone,
		CLONE_PARENT | CLONE_NEWNS | SIGCHLD | (s->new_network ? CLONE_NEWNET : 0), 0, 0, 0,
		0));
	if (r == 0)
		second(&f->c);
	return r < 0 ? first_fail(f, STEP_CLONE, r) : r;
}

/* --- the caller --- */

static void
explain(const struct failure *f, const char *path, char *err, size_t cap)
{
	bool known = f->step > STEP_NONE && f->step <= STEP_EXEC;

	snprintf(err, cap, "%s %s: %s", known ? step_text[f->step] : step_text[STEP_NONE],
		f->step == STEP_EXEC ? path : "(moat-anchor)", strerror(f->err));
}

int
anchor_begin(const struct anchor_spawn *s, struct anchor *ret, char *err, size_t cap)
{
	struct first f = {.c.s = s};
	int fds[FDS] = {[FD_PROGRAM] = -1,
		[FD_NULL] = -1,
		[FD_CONTROL] = s->control,
		[FD_SENTRY] = s->sentry,
		[FD_GOFER] = s->gofer,
		[FD_MAKER] = s->maker};
	int go[2] = {-1, -1}, report[2] = {-1, -1}, r;

	*ret = (struct anchor){-1, -1, -1};
	if ((r = fds[FD_PROGRAM] = HOST(open(s->path, O_PATH | O_CLOEXEC))) < 0)
		snprintf(err, cap, "%s %s: %s", step_text[STEP_EXEC], s->path, strerror(-r));
	else if ((r = fds[FD_NULL] = HOST(open("/dev/null", O_RDWR | O_CLOEXEC))) < 0)
		snprintf(err, cap, "cannot open /dev/null: %s", strerror(-r));
	else if ((r = HOST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go))) < 0 ||
		 (r = HOST(pipe2(report, O_CLOEXEC))) < 0)
		snprintf(err, cap, "cannot make a pipe: %s", strerror(-r));
	if (r >= 0) {
		fds[FD_GO] = go[0];
		fds[FD_REPORT] = report[1];
		r = keeper_vfork(s->keeper, first, &f, fds, s->maker < 0 ? FD_MAKER : FDS);
		if (r < 0) {
			if (!f.failure.err)
				first_fail(&f, STEP_CLONE, r);
			explain(&f.failure, s->path, err, cap);
		}
	}
	for (int i = 0; i < 4; i++) {
		int opened[] = {fds[FD_PROGRAM], fds[FD_NULL], go[0], report[1]};

		if (opened[i] >= 0)
			close(opened[i]);
	}
	if (r < 0) {
		if (go[1] >= 0)
			close(go[1]);
		if (report[0] >= 0)
			close(report[0]);
		return r;
	}
	*ret = (struct anchor){r, go[1], report[0]};
	return 0;
}

int
anchor_finish(struct anchor *a, char *err, size_t cap)
{
	struct failure f = {STEP_NONE, ECHILD};
	ssize_t n = HOST_RETRY(send(a->go, no_text, 1, MSG_NOSIGNAL));

	if (n == 1)
		n = HOST_RETRY(read(a->report, &f, sizeof f));
	if (n == 0)
		return 0;
	explain(&f, "moat-anchor", err, cap);
	return f.err > 0 ? -f.err : -ECHILD;
}

int
anchor_why(struct anchor *a, char *err, size_t cap)
{
	struct pollfd p = {.fd = a->report, .events = POLLIN};
	struct failure f;

	if (a->report < 0 || poll(&p, 1, 0) != 1 ||
		HOST_RETRY(read(a->report, &f, sizeof f)) != sizeof f)
		return 0;
	explain(&f, "moat-anchor", err, cap);
	return f.err > 0 ? -f.err : -ECHILD;
}

void
anchor_release(struct anchor *a)
{
	if (a->go >= 0)
		close(a->go);
	if (a->report >= 0)
		close(a->report);
	a->go = a->report = -1;
}
