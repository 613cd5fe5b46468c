/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"
#include "join.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STATE_MAX	(8 << 20)
#define CLAIM_TRIES	100   /* of a name that others give up and take at the same time */
#define REMOVE_TRIES	100   /* of a folder that others note something in */
#define END_MS		10000 /* for a killed sandbox to be gone */
#define PROCESS_EXITING 4     /* PF_EXITING, of the flags in /proc/PID/stat */

static const struct {
	const char *pid, *start;
} process_keys[] = {[CONTAINER_INIT] = {"pid", "start"},
	[CONTAINER_SENTRY] = {"sentryPid", "sentryStart"},
	[CONTAINER_GOFER] = {"goferPid", "goferStart"}};

static int
id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

	if (n > 0 && !id[n] && n <= 255 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0)
		return 0;
	return complain("invalid container ID format: \"%s\"", id);
}

static int
root_path(char *buf, size_t cap)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n;

	if (global_root)
		n = snprintf(buf, cap, "%s", global_root);
	else if (runtime && *runtime && (geteuid() != 0 || rootless()))
		n = snprintf(buf, cap, "%s/moat", runtime);
	else
		n = snprintf(buf, cap, "/run/moat");
	return n < 0 || (size_t)n >= cap ? complain("--root: the path is too long") : 0;
}

int
container_root(char *buf, size_t cap)
{
	int r = root_path(buf, cap);

	if (r)
		return r;
	for (char *p = buf + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		(void)mkdir(buf, 0711);
		*p = '/';
	}
	if (mkdir(buf, 0700) < 0 && errno != EEXIST)
		return complain("cannot create %s: %s", buf, strerror(errno));
	return 0;
}

static int
folder(struct container *c, const char *id, char *root, size_t cap)
{
	memset(c, 0, sizeof *c);
	c->id = id;
	c->dir_fd = c->lock_fd = -1;
	snprintf(c->dir, sizeof c->dir, "%.3500s/%s", root, id);
	return strlen(root) >= 3500 || cap < 1 ? complain("--root: the path is too long") : 0;
}

static json_t *
load_state(int dir_fd)
{
	int fd = openat(dir_fd, "state.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	json_t *j;

	if (fd < 0)
		return NULL;
	j = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	close(fd);
	/* Another runtime's file has other keys. */
	if (!json_is_object(j) || !json_is_string(json_object_get(j, "moat"))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

/* Lock the folder. -ENOENT: it was removed meanwhile. */
static int
take_lock(struct container *c, int how, int make)
{
	struct stat a, b;

	c->lock_fd = openat(c->dir_fd, "lock", O_RDWR | make | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock_fd < 0)
		return -errno;
	if (flock(c->lock_fd, how) < 0)
		return -errno;
	if (fstat(c->lock_fd, &a) < 0 || fstatat(c->dir_fd, "lock", &b, 0) < 0 ||
		a.st_ino != b.st_ino)
		return -ENOENT;
	return 0;
}

bool
container_is_whole(const struct container *c)
{
	return json_object_get(c->state, process_keys[CONTAINER_INIT].pid) != NULL;
}

/* -EEXIST, -EWOULDBLOCK: it is another's; -ENOENT: somebody removed the folder meanwhile. After
 * other failures exit_failure: said already. */
static int
try_claim(struct container *c)
{
	bool made = mkdir(c->dir, 0711) == 0;
	int r;

	/* An empty folder is left of a launcher that was killed right then. If it lives, it notices
	 * when it takes its lock. */
	if (!made && errno == EEXIST) {
		made = rmdir(c->dir) == 0 && mkdir(c->dir, 0711) == 0;
		errno = EEXIST;
	}
	if (!made && errno != EEXIST)
		return complain("cannot create %s: %s", c->dir, strerror(errno));
	c->dir_fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c->dir_fd < 0)
		return errno == ENOENT ? -ENOENT
				       : complain("cannot open %s: %s", c->dir, strerror(errno));
	/* A folder that nobody holds and nothing was written to is left of a launcher that was
	 * killed: its sandbox went with it. Another runtime's has other files and no lock. */
	if (!made && faccessat(c->dir_fd, "lock", F_OK, 0) < 0)
		r = -EEXIST;
	else /* who removes a folder takes the lock out last: no new one in there */
		r = take_lock(c, LOCK_EX | LOCK_NB, made ? O_CREAT : 0);
	if (r == 0 && (c->state = load_state(c->dir_fd)) && container_is_whole(c))
		r = -EEXIST;
	if (r < 0 && made && c->lock_fd < 0)
		(void)rmdir(c->dir);
	if (r < 0)
		container_close(c);
	return r;
}

int
container_claim(struct container *c, const char *id)
{
	char root[4096];
	int r;

	if ((r = id_ok(id)) || (r = container_root(root, sizeof root)) ||
		(r = folder(c, id, root, sizeof root)))
		return r;
	r = -ENOENT;
	for (int i = 0; i < CLAIM_TRIES && r == -ENOENT; i++)
		r = try_claim(c);
	if (r == -EEXIST || r == -EWOULDBLOCK)
		return complain("container with given ID already exists: %s", id);
	return r < 0 ? complain("cannot lock %s: %s", c->dir, strerror(-r)) : r;
}

int
container_find(struct container *c, const char *id, bool lock)
{
	char root[4096];
	int r;

	if (id_ok(id) || root_path(root, sizeof root) || folder(c, id, root, sizeof root))
		return -EINVAL;
	c->dir_fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c->dir_fd < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? -ENOENT
			       : (complain("cannot open %s: %s", c->dir, strerror(errno)), -EINVAL);
	/* Foreign folders get no lock file from us. */
	if (lock && faccessat(c->dir_fd, "lock", F_OK, 0) == 0) {
		r = take_lock(c, LOCK_EX, 0);
		if (r < 0) {
			container_close(c);
			return r;
		}
	}
	c->state = load_state(c->dir_fd);
	return 0;
}

int
container_open(struct container *c, const char *id, bool lock)
{
	int r = container_find(c, id, lock);

	if (r == 0 && !c->state) {
		container_close(c);
		r = -ENOENT;
	}
	if (r == -ENOENT)
		return complain("container does not exist: %s", id);
	if (r < 0 && r != -EINVAL)
		return complain("cannot lock %s: %s", c->dir, strerror(-r));
	return r < 0 ? exit_failure : 0;
}

void
container_close(struct container *c)
{
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	c->lock_fd = c->dir_fd = -1;
	json_decref(c->state);
	c->state = NULL;
}

int
container_save(struct container *c)
{
	int fd = openat(c->dir_fd, "state.json.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	char *text = json_dumps(c->state, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	/* At once: jansson would make a call for each word. */
	bool ok = fd >= 0 && text && write(fd, text, len) == (ssize_t)len;

	free(text);
	if (fd >= 0 && close(fd) < 0)
		ok = false;
	ok = ok && renameat(c->dir_fd, "state.json.new", c->dir_fd, "state.json") == 0;
	return ok ? 0 : complain("cannot write %s/state.json: %s", c->dir, strerror(errno));
}

static void
remove_files(struct container *c)
{
	DIR *d = fdopendir(openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	/* The lock last: until then the name is taken. */
	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, "lock") != 0)
			(void)unlinkat(c->dir_fd, e->d_name, 0);
	if (d)
		closedir(d);
	(void)unlinkat(c->dir_fd, "lock", 0);
}

/* Has the name become another's? */
static bool
is_replaced(const struct container *c)
{
	struct stat ours, there;

	return fstat(c->dir_fd, &ours) < 0 || lstat(c->dir, &there) < 0 ||
	       ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

void
container_remove(struct container *c)
{
	/* Somebody may note in it that he shares its sandbox, as long as he finds the lock. */
	for (int i = 0; i < REMOVE_TRIES; i++) {
		remove_files(c);
		if (rmdir(c->dir) == 0 || errno == ENOENT)
			return;
		if (errno != ENOTEMPTY && errno != EEXIST)
			break;
		if (is_replaced(c))
			return;
	}
	warn("cannot remove %s: %s", c->dir, strerror(errno));
}

const char *
container_text(const struct container *c, const char *key)
{
	const char *s = json_string_value(json_object_get(c->state, key));

	return s ? s : "";
}

uint64_t
process_start_time(pid_t pid)
{
	char path[64], text[1024], *p;
	unsigned long flags = 0;
	unsigned long long start;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	/* The name may contain anything, a ')' too. */
	p = strrchr(text, ')');
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	p += 2;
	for (int field = 3; field < 22 && p; field++) {
		p = strchr(p + 1, ' ');
		if (p && field + 1 == 9)
			flags = strtoul(p, NULL, 10);
	}
	/* One that waits, as the init of a pid namespace, for others to be waited for has ended. */
	if (flags & PROCESS_EXITING)
		return 0;
	return p && sscanf(p, "%llu", &start) == 1 ? start : 0;
}

void
container_note(struct container *c, enum container_process which, pid_t pid)
{
	json_object_set_new(c->state, process_keys[which].pid, json_integer(pid));
	json_object_set_new(c->state, process_keys[which].start,
		json_integer((json_int_t)process_start_time(pid)));
}

pid_t
container_process(const struct container *c, enum container_process which)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(c->state, process_keys[which].pid));
	uint64_t start =
		(uint64_t)json_integer_value(json_object_get(c->state, process_keys[which].start));

	return pid > 0 && start && process_start_time(pid) == start ? pid : 0;
}

pid_t
container_pid(const struct container *c)
{
	return container_process(c, CONTAINER_INIT);
}

/* The path through the folder's descriptor is short; that of the folder may be too long. */
static void
socket_address(const struct container *c, struct sockaddr_un *a)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/control.sock", c->dir_fd);
}

int
container_listen(struct container *c)
{
	struct sockaddr_un a;
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (s < 0)
		return -errno;
	socket_address(c, &a);
	(void)unlinkat(c->dir_fd, "control.sock", 0);
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 64) < 0) {
		r = -errno;
		close(s);
		return r;
	}
	(void)!fchmodat(c->dir_fd, "control.sock", 0600, 0);
	return s;
}

int
container_connect(struct container *c, struct moat_sandbox **ret, struct moat_error *err)
{
	struct sockaddr_un a;
	struct timeval limit = {.tv_sec = 10};
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	socket_address(c, &a);
	/* A sentry that hangs takes nobody off the queue. */
	if (s >= 0)
		(void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
		err->code = errno;
		snprintf(err->text, sizeof err->text, "cannot connect to %.300s/control.sock: %s",
			c->dir, strerror(errno));
		if (s >= 0)
			close(s);
		return -err->code;
	}
	return moat_attach(s, ret, err);
}

int
container_attach(struct container *c, struct moat_sandbox **ret)
{
	struct moat_error err;

	if (!container_pid(c))
		return complain("container not running: %s", c->id);
	if (container_connect(c, ret, &err) < 0) {
		if (!container_pid(c))
			return complain("container not running: %s", c->id);
		return complain("%s", err.text);
	}
	return 0;
}

enum container_status
container_status(struct container *c)
{
	struct moat_sandbox *s;
	struct moat_error err;
	struct moat_state st;
	int r;

	if (!c->state || !container_is_whole(c))
		return CONTAINER_CREATING;
	if (!container_pid(c))
		return CONTAINER_STOPPED;
	r = container_connect(c, &s, &err);
	if (r == 0) {
		r = moat_state(s, &st, &err);
		moat_destroy(s);
	}
	if (r == 0)
		return !st.started ? CONTAINER_CREATED
		       : st.paused ? CONTAINER_PAUSED
				   : CONTAINER_RUNNING;
	return container_pid(c) ? CONTAINER_RUNNING : CONTAINER_STOPPED;
}

const char *
container_status_name(enum container_status s)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return names[s];
}

/* By a descriptor of the process, whose number cannot come to mean another one meanwhile. */
static void
kill_process(const struct container *c, enum container_process which)
{
	pid_t pid = container_process(c, which);
	int fd = pid ? pidfd_open(pid, 0) : -1;

	if (fd >= 0) {
		if (container_process(c, which) == pid)
			(void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
		close(fd);
	} else if (pid && container_process(c, which) == pid) {
		(void)kill(pid, SIGKILL);
	}
}

void
container_kill_quick(struct container *c)
{
	/* All that is in its pid namespace goes with it, also what stands for the container. Where
	 * others are, the sandbox ends this one when what stands for it is gone. */
	if (!join_has_company(c))
		kill_process(c, CONTAINER_SENTRY);
	kill_process(c, CONTAINER_INIT);
}

void
container_unlock(struct container *c)
{
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	c->lock_fd = -1;
}

int
container_relock(struct container *c)
{
	container_unlock(c);
	return take_lock(c, LOCK_EX, 0);
}

int
container_kill(struct container *c)
{
	bool company = join_has_company(c);

	container_kill_quick(c);
	for (int ms = 0; container_pid(c) || (!company && container_process(c, CONTAINER_SENTRY)) ||
			 container_process(c, CONTAINER_GOFER);
		ms++) {
		struct timespec ts = {0, 1000000};

		/* The gofer ends by itself when it has nobody to serve; unless it is stopped. */
		if (ms == 500)
			kill_process(c, CONTAINER_GOFER);
		if (ms >= END_MS)
			return -ETIMEDOUT;
		nanosleep(&ts, NULL);
	}
	return 0;
}

json_t *
container_oci_state(struct container *c, enum container_status s)
{
	json_t *a = json_object_get(c->state, "annotations"), *j;
	/* While it is created the number is known, but the start time may not be. */
	json_int_t pid = s == CONTAINER_STOPPED ? 0
			 : s == CONTAINER_CREATING
				 ? json_integer_value(json_object_get(c->state, "pid"))
				 : container_pid(c);

	j = json_pack("{ss ss ss sI ss}", "ociVersion", container_text(c, "ociVersion"), "id",
		c->id, "status", container_status_name(s), "pid", pid, "bundle",
		container_text(c, "bundle"));
	if (json_object_size(a))
		json_object_set(j, "annotations", a);
	return j;
}

json_t *
container_full_state(struct container *c, enum container_status s)
{
	json_t *j = json_object();
	json_int_t pid = s == CONTAINER_STOPPED ? 0 : container_pid(c);
	json_t *a = json_object_get(c->state, "annotations");

	json_object_set_new(j, "ociVersion", json_string(container_text(c, "ociVersion")));
	json_object_set_new(j, "id", json_string(c->id));
	json_object_set_new(j, "pid", json_integer(pid));
	json_object_set_new(j, "status", json_string(container_status_name(s)));
	json_object_set_new(j, "bundle", json_string(container_text(c, "bundle")));
	json_object_set_new(j, "rootfs", json_string(container_text(c, "rootfs")));
	json_object_set_new(j, "created", json_string(container_text(c, "created")));
	if (json_object_size(a))
		json_object_set(j, "annotations", a);
	json_object_set_new(j, "owner", json_string(container_text(c, "owner")));
	return j;
}
