/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fanotify(7): groups, their queues, and the answers to what they are asked (Linux:
 * fs/notify/fanotify/fanotify_user.c). Which group an event is for: fanotify_mark.c.
 *
 * An event that is asked belongs to the asker, who waits until it is answered, its group ends, or
 * it is itself killed: then the event, if it was read already, is left to the reader as an orphan.
 */
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "fanotify_priv.h"
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/rw.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MERGE_DEPTH 128 /* how far back an equal event is looked for */

#define INFO_FID	   1
#define INFO_DFID_NAME	   2
#define INFO_DFID	   3
#define INFO_PIDFD	   4
#define INFO_OLD_DFID_NAME 10
#define INFO_NEW_DFID_NAME 12

#define METADATA_VERSION 3
#define NO_FD		 (-1)
#define NO_PIDFD	 (-1)
#define EPIDFD		 (-2)

struct lx_fanotify_event {
	uint32_t event_len;
	uint8_t vers, reserved;
	uint16_t metadata_len;
	uint64_t mask;
	int32_t fd, pid;
};

struct lx_fanotify_info {
	uint8_t type, pad;
	uint16_t len;
};

struct lx_fanotify_fid {
	struct lx_fanotify_info h;
	int32_t fsid[2];
	uint32_t handle_bytes;
	int32_t handle_type;
	struct lx_fileid id;
};

struct lx_fanotify_pidfd {
	struct lx_fanotify_info h;
	int32_t pidfd;
};

struct mutex fan_lock = MUTEX_INIT(EVENT);
static struct list users = LIST_INIT(users);

void
fan_event_free(struct fan_event *e)
{
	if (!e)
		return;
	if (e->path.mnt)
		path_put(&e->path);
	free(e);
}

/* --- the queue --- */

static bool
same_fid(const struct fan_fid *a, const struct fan_fid *b)
{
	return a->set == b->set && a->ino == b->ino && a->fsid[0] == b->fsid[0];
}

static bool
mergeable(const struct fan_event *a, const struct fan_event *b)
{
	return !a->perm && a->pid == b->pid && !((a->mask ^ b->mask) & LX_IN_ISDIR) &&
	       !((a->mask | b->mask) & (LX_FAN_RENAME | LX_IN_Q_OVERFLOW)) &&
	       path_equal(&a->path, &b->path) && same_fid(&a->object, &b->object) &&
	       same_fid(&a->dir, &b->dir) && a->len == b->len &&
	       !memcmp(a->names, b->names, a->len);
}

static uint32_t
queue_limit(const struct fan_group *g)
{
	return g->flags & LX_FAN_UNLIMITED_QUEUE
		       ? FAN_MOST_EVENTS
		       : (uint32_t)sysctl_get(SYSCTL_FANOTIFY_MAX_QUEUED_EVENTS);
}

static void
append_locked(struct fan_group *g, struct fan_event *e)
{
	list_push_back(&g->events, &e->node);
	g->nevents++;
	waitq_notify(&g->readers, LX_POLLIN | LX_POLLRDNORM);
}

static bool
merged_locked(struct fan_group *g, const struct fan_event *e)
{
	int depth = 0;

	for (struct list *n = g->events.prev; n != &g->events && depth < MERGE_DEPTH;
		n = n->prev, depth++) {
		struct fan_event *old = list_entry(n, struct fan_event, node);

		if (mergeable(old, e)) {
			old->mask |= e->mask;
			return true;
		}
	}
	return false;
}

void
fan_queue_locked(struct fan_group *g, struct fan_event *e, struct fan_event **unused)
{
	struct fan_event *lost;

	if (!g->closed && !g->overflowed && g->nevents >= queue_limit(g)) {
		/* one more, that tells of those which are lost */
		lost = calloc(1, sizeof *lost + 2);
		if (lost) {
			lost->mask = LX_IN_Q_OVERFLOW;
			g->overflowed = true;
			append_locked(g, lost);
		}
	} else if (!g->closed && !g->overflowed && !merged_locked(g, e)) {
		append_locked(g, e);
		return;
	}
	e->next = *unused;
	*unused = e;
}

/* --- asking --- */

static void
answer_locked(struct fan_group *g, struct fan_event *e, uint32_t answer, struct fan_event **unused)
{
	e->answer = answer;
	e->state = FAN_ANSWERED;
	list_del(&e->node);
	list_init(&e->node);
	if (e->orphan) {
		e->next = *unused;
		*unused = e;
	}
	waitq_notify(&g->askers, ~0u);
}

static void
free_chain(struct fan_event *e)
{
	while (e) {
		struct fan_event *next = e->next;

		fan_event_free(e);
		e = next;
	}
}

/* True: the event is the caller's again. */
static bool
settled(struct fan_group *g, struct fan_event *e, bool give_up)
{
	bool yes;

	mutex_lock(&fan_lock);
	yes = e->state == FAN_ANSWERED;
	if (!yes && give_up && e->state == FAN_UNASKED) {
		list_del(&e->node);
		g->nevents--;
		e->answer = LX_FAN_DENY;
		yes = true;
	} else if (!yes && give_up) {
		e->orphan = true;
	}
	mutex_unlock(&fan_lock);
	return yes;
}

int
fan_group_ask(struct fan_group *g, struct fan_event *e)
{
	struct waiter w;
	bool killed = false, mine;
	int r;

	mutex_lock(&fan_lock);
	if (g->closed || g->nevents >= queue_limit(g)) {
		mutex_unlock(&fan_lock);
		fan_event_free(e);
		return 0;
	}
	append_locked(g, e);
	mutex_unlock(&fan_lock);
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&g->askers, &w);
	while (!(mine = settled(g, e, killed)) && !killed) {
		killed = fiber_killed();
		if (!killed)
			fiber_park();
	}
	waitq_remove(&w);
	if (!mine)
		return -EPERM;
	r = e->answer == LX_FAN_ALLOW ? 0 : -EPERM;
	fan_event_free(e);
	return r;
}

static ssize_t
fan_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fan_group *g = f->priv;
	struct lx_fanotify_response in;
	struct fan_event *e, *unused = NULL;
	bool found = false;
	uint32_t what;

	(void)c, (void)pos, (void)rwf;
	if (u->left < sizeof in)
		return -EINVAL;
	if (uio_copy_from(u, &in, sizeof in) != (ssize_t)sizeof in)
		return -EFAULT;
	what = in.response & ~LX_FAN_AUDIT;
	if ((what != LX_FAN_ALLOW && what != LX_FAN_DENY) || in.fd < 0)
		return -EINVAL;
	if ((in.response & LX_FAN_AUDIT) && !(g->flags & LX_FAN_ENABLE_AUDIT))
		return -EINVAL;
	mutex_lock(&fan_lock);
	list_for_each_entry (e, &g->asked, node) {
		if (e->fd == in.fd) {
			answer_locked(g, e, what, &unused);
			found = true;
			break;
		}
	}
	mutex_unlock(&fan_lock);
	free_chain(unused);
	return found ? (ssize_t)sizeof in : -ENOENT;
}

/* --- reading --- */

static size_t
fid_len(uint32_t name_len, bool named)
{
	size_t n = sizeof(struct lx_fanotify_fid) + (named ? name_len + 1u : 0);

	return (n + 3) & ~(size_t)3;
}

/* An event on a directory itself is named "." */
static bool
dotted(const struct fan_group *g, const struct fan_event *e)
{
	return e->object.set && !e->dir.set && !e->dir2.set && (g->flags & LX_FAN_REPORT_NAME) &&
	       (e->mask & LX_IN_ISDIR) && (g->flags & LX_FAN_REPORT_DIR_FID);
}

static size_t
event_len(const struct fan_group *g, const struct fan_event *e)
{
	size_t n = sizeof(struct lx_fanotify_event);

	if (e->dir.set)
		n += fid_len(e->len, e->len);
	if (e->dir2.set)
		n += fid_len(e->len2, e->len2);
	if (e->object.set)
		n += fid_len(1, dotted(g, e));
	if (g->flags & LX_FAN_REPORT_PIDFD)
		n += sizeof(struct lx_fanotify_pidfd);
	return n;
}

static size_t
put_fid(char *to, uint8_t type, const struct fan_fid *fid, const char *name, uint32_t len)
{
	size_t n = fid_len(len, name);
	struct lx_fanotify_fid o = {.h = {type, 0, (uint16_t)n},
		.fsid = {fid->fsid[0], fid->fsid[1]},
		.handle_bytes = sizeof(struct lx_fileid),
		.handle_type = LX_FILEID_INO64_GEN,
		.id = {{(uint32_t)fid->ino, (uint32_t)(fid->ino >> 32)}, 0}};

	memset(to, 0, n);
	memcpy(to, &o, sizeof o);
	if (name)
		memcpy(to + sizeof o, name, len);
	return n;
}

static size_t
put_fids(const struct fan_group *g, const struct fan_event *e, char *to)
{
	bool rename = e->mask & LX_FAN_RENAME;
	uint8_t type = 0;
	size_t n = 0;

	if (e->dir.set) {
		type = rename ? INFO_OLD_DFID_NAME : e->len ? INFO_DFID_NAME : INFO_DFID;
		n += put_fid(to + n, type, &e->dir, e->len ? e->names : NULL, e->len);
	}
	if (e->dir2.set) {
		type = INFO_NEW_DFID_NAME;
		n += put_fid(to + n, type, &e->dir2, e->names + e->len + 1, e->len2);
	}
	if (!e->object.set)
		return n;
	if ((g->flags & FAN_FID_BITS) == LX_FAN_REPORT_FID || type)
		return n + put_fid(to + n, INFO_FID, &e->object, NULL, 0);
	if (dotted(g, e))
		return n + put_fid(to + n, INFO_DFID_NAME, &e->object, ".", 1);
	type = e->mask & (FAN_DIRENT_EVENTS | LX_IN_ISDIR) ? INFO_DFID : INFO_FID;
	return n + put_fid(to + n, type, &e->object, NULL, 0);
}

static int
pidfd_of(struct task *t, int32_t global)
{
	struct pid *p;
	struct file *f;
	int fd;

	mutex_lock(&tasklist_lock);
	p = pid_find_global_locked(global);
	if (p && p->tgroup)
		ref_get(&p->ref);
	else
		p = NULL;
	mutex_unlock(&tasklist_lock);
	if (!p)
		return NO_PIDFD;
	fd = pidfd_new(p, 0, &f);
	pid_unref(p);
	if (!fd)
		fd = (int)task_fd_install_put(t, f, true);
	return fd < 0 ? EPIDFD : fd;
}

static void
close_fd(struct task *t, int fd)
{
	struct file *f;

	if (fd >= 0 && !fdtable_remove(t->files, fd, &f))
		fd_close_file(t->files, f, &t->call);
}

static int32_t
pid_shown(const struct fan_group *g, const struct task *t, int32_t pid)
{
	/* who has no rights may know of its own doing only */
	if (g->unprivileged && pid != t->call.tgid)
		return 0;
	return pid ? pid_nr_out(pid) : 0;
}

/* Length, or -errno with nothing left behind. */
static ssize_t
event_out(struct fan_group *g, struct fan_event *e, const struct call *c, struct uio *u, int *ret)
{
	struct task *t = task_current();
	size_t len = event_len(g, e), at = sizeof(struct lx_fanotify_event);
	struct lx_fanotify_event o = {.event_len = (uint32_t)len,
		.vers = METADATA_VERSION,
		.metadata_len = sizeof o,
		.mask = e->mask,
		.fd = NO_FD,
		.pid = pid_shown(g, t, e->pid)};
	/* three records, two names */
	char buf[sizeof o + 3 * sizeof(struct lx_fanotify_fid) + 2 * (LX_NAME_MAX + 4) + 16];
	struct lx_fanotify_pidfd pf = {{INFO_PIDFD, 0, sizeof pf}, NO_PIDFD};
	struct file *file;
	int r;

	if (e->path.mnt) {
		r = vfs_open_quiet(c, &e->path, g->event_flags & ~LX_O_CLOEXEC, &file);
		if (r)
			return r;
		o.fd = (int)task_fd_install_put(t, file, g->event_flags & LX_O_CLOEXEC);
		if (o.fd < 0)
			return o.fd;
	}
	memcpy(buf, &o, sizeof o);
	at += put_fids(g, e, buf + at);
	if (g->flags & LX_FAN_REPORT_PIDFD) {
		if (!(e->mask & LX_IN_Q_OVERFLOW))
			pf.pidfd = pidfd_of(t, e->pid);
		memcpy(buf + at, &pf, sizeof pf);
		at += sizeof pf;
	}
	assert_that(at == len && len <= sizeof buf);
	if (uio_copy_to(u, buf, len) != (ssize_t)len) {
		close_fd(t, o.fd);
		close_fd(t, pf.pidfd);
		return -EFAULT;
	}
	*ret = o.fd;
	return (ssize_t)len;
}

/* The first event, if room is enough: -EINVAL. */
static int
take(struct fan_group *g, size_t room, struct fan_event **ret)
{
	struct fan_event *e = NULL;
	int r = 0;

	mutex_lock(&fan_lock);
	if (!list_empty(&g->events)) {
		e = list_first(&g->events, struct fan_event, node);
		if (event_len(g, e) > room) {
			e = NULL;
			r = -EINVAL;
		} else {
			list_del(&e->node);
			list_init(&e->node);
			g->nevents--;
			if (e->mask & LX_IN_Q_OVERFLOW)
				g->overflowed = false;
			e->state = FAN_ASKED;
		}
	}
	mutex_unlock(&fan_lock);
	*ret = e;
	return r;
}

/* The reader has been shown e with that descriptor, and may answer; negative: it has not. */
static void
shown(struct fan_group *g, struct fan_event *e, int fd)
{
	struct fan_event *unused = NULL;

	mutex_lock(&fan_lock);
	e->fd = fd;
	if (fd < 0)
		answer_locked(g, e, LX_FAN_DENY, &unused);
	else
		list_push_back(&g->asked, &e->node);
	mutex_unlock(&fan_lock);
	free_chain(unused);
}

static ssize_t
fan_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fan_group *g = f->priv;
	ssize_t done = 0, r;

	(void)pos, (void)rwf;
	for (;;) {
		struct fan_event *e;
		int fd = NO_FD;

		r = take(g, u->left, &e);
		if (!r && !e)
			r = -EAGAIN;
		if (r)
			break;
		r = event_out(g, e, c, u, &fd);
		if (e->perm)
			shown(g, e, fd);
		else
			fan_event_free(e);
		if (r < 0)
			break;
		done += r;
	}
	return done && r != -EFAULT ? done : r;
}

static uint32_t
fan_poll(struct file *f, struct poll_table *pt)
{
	struct fan_group *g = f->priv;
	bool any;

	poll_wait(pt, &g->readers);
	mutex_lock(&fan_lock);
	any = !list_empty(&g->events);
	mutex_unlock(&fan_lock);
	return any ? LX_POLLIN | LX_POLLRDNORM : 0;
}

static int64_t
fan_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct fan_group *g = f->priv;
	struct fan_event *e;
	uint32_t n = 0;

	if (cmd != LX_FIONREAD)
		return -ENOTTY;
	mutex_lock(&fan_lock);
	list_for_each_entry (e, &g->events, node)
		n += (uint32_t)event_len(g, e);
	mutex_unlock(&fan_lock);
	return copy_out(c->um, ua(arg), &n, sizeof n);
}

static void
fan_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct fan_group *g = f->priv;
	int n = snprintf(buf, cap, "fanotify flags:%x event-flags:%x\n", g->flags, g->event_flags);

	if (n > 0 && (size_t)n < cap)
		fan_marks_show(g, buf + n, cap - (size_t)n);
}

/* --- groups --- */

static struct fan_user *
user_locked(uint32_t uid)
{
	struct fan_user *u;

	list_for_each_entry (u, &users, node)
		if (u->uid == uid)
			return u;
	u = calloc(1, sizeof *u);
	if (u) {
		u->uid = uid;
		list_push_back(&users, &u->node);
	}
	return u;
}

static void
user_leave_locked(struct fan_user *u)
{
	if (--u->groups || u->marks)
		return;
	list_del(&u->node);
	free(u);
}

void
fan_group_put(struct fan_group *g)
{
	if (!ref_put(&g->ref))
		return;
	waitq_destroy(&g->readers);
	waitq_destroy(&g->askers);
	free(g);
}

static void
fan_release(struct file *f)
{
	struct fan_group *g = f->priv;
	struct fan_event *e, *tmp, *unused = NULL;

	fan_marks_flush(g, -1);
	mutex_lock(&fan_lock);
	g->closed = true;
	/* nobody answers any more: what was asked may be done */
	list_for_each_entry_safe (e, tmp, &g->asked, node)
		answer_locked(g, e, LX_FAN_ALLOW, &unused);
	list_for_each_entry_safe (e, tmp, &g->events, node) {
		if (e->perm) {
			answer_locked(g, e, LX_FAN_ALLOW, &unused);
		} else {
			list_del(&e->node);
			e->next = unused;
			unused = e;
		}
	}
	g->nevents = 0;
	user_leave_locked(g->user);
	mutex_unlock(&fan_lock);
	free_chain(unused);
	fan_group_put(g);
}

static const struct file_ops fanotify_fops = {
	.release = fan_release,
	.read = fan_read,
	.write = fan_write,
	.lseek = file_lseek_noop,
	.poll = fan_poll,
	.ioctl = fan_ioctl,
	.fdinfo = fan_fdinfo,
};

int
fanotify_new(
	uint32_t flags, uint32_t event_flags, uint32_t uid, bool unprivileged, struct file **ret)
{
	struct fan_group *g = calloc(1, sizeof *g);
	int err = 0;

	if (!g)
		return -ENOMEM;
	ref_init(&g->ref);
	list_init(&g->marks);
	list_init(&g->events);
	list_init(&g->asked);
	g->flags = flags;
	g->event_flags = event_flags;
	g->unprivileged = unprivileged;
	mutex_lock(&fan_lock);
	g->user = user_locked(uid);
	if (!g->user)
		err = -ENOMEM;
	else if (g->user->groups >= (uint32_t)sysctl_get(SYSCTL_FANOTIFY_MAX_USER_GROUPS))
		err = -EMFILE;
	else
		g->user->groups++;
	mutex_unlock(&fan_lock);
	if (err) {
		free(g);
		return err;
	}
	vfs_notify_register(&fanotify_notify_ops);
	waitq_init(&g->readers);
	waitq_init(&g->askers);
	err = file_new_anon(&fanotify_fops, g, "anon_inode:[fanotify]", 0,
		LX_O_RDWR | (flags & LX_FAN_NONBLOCK ? LX_O_NONBLOCK : 0), ret);
	if (err) {
		mutex_lock(&fan_lock);
		user_leave_locked(g->user);
		mutex_unlock(&fan_lock);
		fan_group_put(g);
	}
	return err;
}

bool
fanotify_is(const struct file *f)
{
	return f->ops == &fanotify_fops;
}

uint32_t
fanotify_flags(const struct file *f, bool *unprivileged)
{
	const struct fan_group *g = f->priv;

	*unprivileged = g->unprivileged;
	return g->flags;
}
