/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify(7). Events come from the vfs, which names what it does in one place (vfs/notify.c); what
 * is changed behind the sandbox's back on the host is not seen.
 *
 * A watch holds its inode. It also holds the dentry by which it was found, as long as that name is
 * there: some file systems make another inode for a name that the cache has forgotten. So it is not
 * the inode's last reference that tells the end of a file, but that of a removed name of it.
 *
 * One lock (rank EVENT) guards all watches, queues and the inodes' lists; it is taken for an inode
 * only when that has a watch. References are dropped after it.
 */
#include "abi/fs.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "sentry/cred/ucount.h"
#include "sentry/event/event.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_ALL_EVENTS 0xfffu
#define STORED_BITS   (IN_ALL_EVENTS | LX_IN_ONESHOT | LX_IN_EXCL_UNLINK)
#define KNOWN_BITS                                                                                 \
	(IN_ALL_EVENTS | LX_IN_UNMOUNT | LX_IN_Q_OVERFLOW | LX_IN_IGNORED | LX_IN_ONLYDIR |        \
		LX_IN_DONT_FOLLOW | LX_IN_EXCL_UNLINK | LX_IN_MASK_CREATE | LX_IN_MASK_ADD |       \
		LX_IN_ISDIR | LX_IN_ONESHOT)
/* What the directory is told of the files in it. */
#define ON_CHILD                                                                                   \
	(LX_IN_ACCESS | LX_IN_MODIFY | LX_IN_ATTRIB | LX_IN_CLOSE_WRITE | LX_IN_CLOSE_NOWRITE |    \
		LX_IN_OPEN)

struct lx_inotify_event {
	int32_t wd;
	uint32_t mask, cookie, len;
};

struct event {
	struct list node;
	struct lx_inotify_event e;
	char name[];
};

struct inotify {
	struct list events, watches;
	struct user_ns *user_ns; /* a reference, or NULL: with uid, who has it and its watches */
	uint32_t uid;
	uint32_t nevents, queued_bytes;
	uint32_t max_events; /* what fs.inotify.max_queued_events was when it was made */
	int32_t last_wd;
	bool overflowed; /* an event says so, at the end of the queue */
	struct waitq wq;
};

struct watch {
	struct list node; /* of the instance */
	struct list all_node;
	struct watch *next_here; /* of the inode */
	struct inotify *in;
	struct inode *inode;   /* a reference */
	struct dentry *dentry; /* a reference, or NULL when its name is gone */
	int32_t wd;
	uint32_t mask;
};

/* What is to be dropped when the lock is free again. */
struct dropped {
	struct watch *watches;
};

static struct mutex lock = MUTEX_INIT(EVENT);
static struct list all_watches = LIST_INIT(all_watches);

static void
drop(struct dropped *d)
{
	while (d->watches) {
		struct watch *w = d->watches;

		d->watches = w->next_here;
		dentry_put(w->dentry);
		inode_put(w->inode);
		free(w);
	}
}

/* --- the queue --- */

static bool
same(const struct event *e, int32_t wd, uint32_t mask, const char *name, uint32_t len)
{
	if (e->e.wd != wd || e->e.mask != mask)
		return false;
	return len ? e->e.len && strlen(e->name) == len && !memcmp(e->name, name, len) : !e->e.len;
}

static void
queue_locked(struct inotify *in, int32_t wd, uint32_t mask, uint32_t cookie, const char *name,
	uint32_t len)
{
	uint32_t room = len ? (len + 1 + 15) & ~15u : 0;
	struct event *e;

	if (!list_empty(&in->events)) {
		e = container_of(in->events.prev, struct event, node);
		if (same(e, wd, mask, name, len))
			return;
	}
	if (in->overflowed)
		return;
	if (in->nevents >= in->max_events || !(e = calloc(1, sizeof *e + room))) {
		/* One more, that tells of those which are lost. */
		e = calloc(1, sizeof *e);
		if (!e)
			return;
		wd = -1;
		mask = LX_IN_Q_OVERFLOW;
		cookie = len = room = 0;
		in->overflowed = true;
	}
	e->e = (struct lx_inotify_event){wd, mask, cookie, room};
	if (len)
		memcpy(e->name, name, len);
	list_push_back(&in->events, &e->node);
	in->nevents++;
	in->queued_bytes += (uint32_t)sizeof e->e + room;
	waitq_notify(&in->wq, LX_POLLIN | LX_POLLRDNORM);
}

/* Take w out; the guest is told. */
static void
end_watch_locked(struct watch *w, struct dropped *d)
{
	struct watch **at = (struct watch **)&w->inode->watches;

	while (*at != w)
		at = &(*at)->next_here;
	*at = w->next_here;
	list_del(&w->node);
	list_del(&w->all_node);
	ucount_give(w->in->user_ns, w->in->uid, UCOUNT_INOTIFY_WATCHES);
	atomic_fetch_sub(&vfs_watches, 1);
	queue_locked(w->in, w->wd, LX_IN_IGNORED, 0, NULL, 0);
	w->next_here = d->watches;
	d->watches = w;
}

/* --- from the vfs --- */

static void
tell_inode_locked(struct inode *i, uint32_t mask, uint32_t cookie, const char *name, uint32_t len,
	bool unlinked, struct dropped *d)
{
	struct watch *w, *next;
	uint32_t shown = mask & (LX_IN_MOVE_SELF | LX_IN_DELETE_SELF) ? mask & ~LX_IN_ISDIR : mask;

	for (w = i->watches; w; w = next) {
		next = w->next_here;
		if (w->mask & mask & (IN_ALL_EVENTS | LX_IN_UNMOUNT) &&
			!(unlinked && (w->mask & LX_IN_EXCL_UNLINK))) {
			queue_locked(w->in, w->wd, shown, cookie, name, len);
			if (w->mask & LX_IN_ONESHOT) {
				end_watch_locked(w, d);
				continue;
			}
		}
		if (mask & (LX_IN_DELETE_SELF | LX_IN_UNMOUNT))
			end_watch_locked(w, d);
	}
}

static void
tell_parent(struct dentry *child, uint32_t mask)
{
	struct dentry *parent;
	struct dropped d = {0};
	char name[LX_NAME_MAX + 1];
	uint32_t len = 0;
	bool unlinked;

	dentry_parent_get(child, &parent);
	if (parent != child && parent->inode &&
		__atomic_load_n(&parent->inode->watches, __ATOMIC_RELAXED)) {
		mutex_lock(&child->lock);
		len = child->len <= LX_NAME_MAX ? child->len : LX_NAME_MAX;
		memcpy(name, child->name, len);
		mutex_unlock(&child->lock);
		unlinked = atomic_load(&child->flags) & DENTRY_UNLINKED;
		mutex_lock(&lock);
		tell_inode_locked(parent->inode, mask, 0, name, len, unlinked, &d);
		mutex_unlock(&lock);
		drop(&d);
	}
	dentry_put(parent);
}

static void
on_event(const struct vfs_notify_event *ev)
{
	struct dropped d = {0};
	uint32_t mask = ev->mask & ~LX_FAN_OPEN_EXEC;

	if (ev->new_dir) /* the two halves of it come too */
		return;
	if (ev->dentry && (mask & ON_CHILD))
		tell_parent(ev->dentry, mask);
	if (!__atomic_load_n(&ev->inode->watches, __ATOMIC_RELAXED))
		return;
	mutex_lock(&lock);
	tell_inode_locked(ev->inode, mask, ev->cookie, ev->name, ev->name_len, false, &d);
	mutex_unlock(&lock);
	drop(&d);
}

/* The name is gone: nobody looks it up again, and the cache may forget it. */
static void
on_unlinked(struct dentry *dentry)
{
	struct watch *w;
	uint32_t n = 0;

	if (!__atomic_load_n(&dentry->inode->watches, __ATOMIC_RELAXED))
		return;
	mutex_lock(&lock);
	for (w = dentry->inode->watches; w; w = w->next_here) {
		if (w->dentry == dentry) {
			w->dentry = NULL;
			n++;
		}
	}
	mutex_unlock(&lock);
	while (n--)
		dentry_put(dentry); /* the caller has one more */
}

/* A file system goes away. */
static void
on_super_gone(struct super *sb)
{
	struct dropped d = {0};
	struct watch *w, *tmp;

	mutex_lock(&lock);
	list_for_each_entry_safe (w, tmp, &all_watches, all_node) {
		if (w->inode->sb == sb) {
			queue_locked(w->in, w->wd, LX_IN_UNMOUNT, 0, NULL, 0);
			end_watch_locked(w, &d);
		}
	}
	mutex_unlock(&lock);
	drop(&d);
}

static const struct vfs_notify_ops notify_ops = {
	.event = on_event, .unlinked = on_unlinked, .super_gone = on_super_gone};

/* --- instances --- */

static void
forget_user(struct inotify *in)
{
	ucount_give(in->user_ns, in->uid, UCOUNT_INOTIFY_INSTANCES);
	user_ns_put(in->user_ns);
}

static void
inotify_release(struct file *f)
{
	struct inotify *in = f->priv;
	struct dropped d = {0};
	struct event *e, *etmp;
	struct watch *w, *wtmp;

	mutex_lock(&lock);
	list_for_each_entry_safe (w, wtmp, &in->watches, node)
		end_watch_locked(w, &d);
	list_for_each_entry_safe (e, etmp, &in->events, node)
		free(e);
	mutex_unlock(&lock);
	drop(&d);
	forget_user(in);
	waitq_destroy(&in->wq);
	free(in);
}

static ssize_t
inotify_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct inotify *in = f->priv;
	ssize_t done = 0;

	(void)c, (void)pos, (void)rwf;
	for (;;) {
		struct event *e = NULL;
		size_t size;

		mutex_lock(&lock);
		if (!list_empty(&in->events)) {
			e = list_first(&in->events, struct event, node);
			size = sizeof e->e + e->e.len;
			if (size > u->left) {
				mutex_unlock(&lock);
				return done ? done : -EINVAL;
			}
			list_del(&e->node);
			in->nevents--;
			in->queued_bytes -= (uint32_t)size;
			if (e->e.mask & LX_IN_Q_OVERFLOW)
				in->overflowed = false;
		}
		mutex_unlock(&lock);
		if (!e)
			return done ? done : -EAGAIN;
		size = sizeof e->e + e->e.len;
		if (uio_copy_to(u, &e->e, sizeof e->e) != (ssize_t)sizeof e->e ||
			uio_copy_to(u, e->name, e->e.len) != (ssize_t)e->e.len) {
			free(e);
			return done ? done : -EFAULT;
		}
		free(e);
		done += (ssize_t)size;
	}
}

static uint32_t
inotify_poll(struct file *f, struct poll_table *pt)
{
	struct inotify *in = f->priv;
	bool any;

	poll_wait(pt, &in->wq);
	mutex_lock(&lock);
	any = !list_empty(&in->events);
	mutex_unlock(&lock);
	return any ? LX_POLLIN | LX_POLLRDNORM : 0;
}

static int64_t
inotify_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct inotify *in = f->priv;
	uint32_t n;

	if (cmd != LX_FIONREAD)
		return -ENOTTY;
	mutex_lock(&lock);
	n = in->queued_bytes;
	mutex_unlock(&lock);
	return copy_out(c->um, ua(arg), &n, sizeof n);
}

static void
inotify_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct inotify *in = f->priv;
	struct watch *w;
	size_t at = 0;

	mutex_lock(&lock);
	list_for_each_entry (w, &in->watches, node) {
		uint32_t dev = w->inode->sb->dev;

		if (at >= cap)
			break;
		at += (size_t)snprintf(buf + at, cap - at,
			"inotify wd:%x ino:%llx sdev:%x mask:%x ignored_mask:0 \n", (unsigned)w->wd,
			(unsigned long long)w->inode->ino, LX_MAJOR(dev) << 20 | LX_MINOR(dev),
			w->mask & IN_ALL_EVENTS);
	}
	mutex_unlock(&lock);
}

static const struct file_ops inotify_ops = {
	.release = inotify_release,
	.read = inotify_read,
	.lseek = file_lseek_noop,
	.poll = inotify_poll,
	.ioctl = inotify_ioctl,
	.fdinfo = inotify_fdinfo,
};

int
inotify_new(const struct cred *c, uint32_t oflags, struct file **ret)
{
	struct inotify *in = calloc(1, sizeof *in);
	int err;

	if (!in)
		return -ENOMEM;
	err = ucount_take(c->user_ns, c->euid, UCOUNT_INOTIFY_INSTANCES);
	if (err) {
		free(in);
		return err == -ENOSPC ? -EMFILE : err;
	}
	in->user_ns = user_ns_get(c->user_ns);
	in->uid = c->euid;
	list_init(&in->events);
	list_init(&in->watches);
	in->max_events = (uint32_t)sysctl_get(SYSCTL_INOTIFY_MAX_QUEUED_EVENTS);
	mutex_lock(&lock);
	vfs_notify_register(&notify_ops);
	mutex_unlock(&lock);
	waitq_init(&in->wq);
	err = file_new_anon(&inotify_ops, in, "anon_inode:inotify", 0, LX_O_RDONLY | oflags, ret);
	if (err) {
		waitq_destroy(&in->wq);
		forget_user(in);
		free(in);
	}
	return err;
}

bool
inotify_is(const struct file *f)
{
	return f->ops == &inotify_ops;
}

int
inotify_check_mask(uint32_t mask)
{
	if ((mask & ~KNOWN_BITS) || !(mask & KNOWN_BITS))
		return -EINVAL;
	return (mask & LX_IN_MASK_ADD) && (mask & LX_IN_MASK_CREATE) ? -EINVAL : 0;
}

int
inotify_add(struct file *f, const struct path *p, uint32_t mask)
{
	struct inotify *in = f->priv;
	struct inode *inode = p->dentry->inode;
	struct watch *n = calloc(1, sizeof *n), *w;
	int r = 0;

	if (!n)
		return -ENOMEM;
	mutex_lock(&lock);
	for (w = inode->watches; w && w->in != in; w = w->next_here)
		;
	if (w && (mask & LX_IN_MASK_CREATE)) {
		r = -EEXIST;
	} else if (w) {
		w->mask = (mask & LX_IN_MASK_ADD ? w->mask : 0) | (mask & STORED_BITS);
		r = w->wd;
	} else if (in->last_wd == INT32_MAX) {
		r = -ENOSPC;
	} else if ((r = ucount_take(in->user_ns, in->uid, UCOUNT_INOTIFY_WATCHES)) == 0) {
		*n = (struct watch){.in = in,
			.inode = inode_get(inode),
			.wd = ++in->last_wd,
			.mask = mask & STORED_BITS,
			.next_here = inode->watches};
		if (!(atomic_load(&p->dentry->flags) & DENTRY_UNLINKED))
			n->dentry = dentry_get(p->dentry);
		list_push_back(&in->watches, &n->node);
		list_push_back(&all_watches, &n->all_node);
		__atomic_store_n(&inode->watches, n, __ATOMIC_RELEASE);
		atomic_fetch_add(&vfs_watches, 1);
		r = n->wd;
		n = NULL;
	} else {
		in->last_wd++; /* its number is gone, as on Linux */
	}
	mutex_unlock(&lock);
	free(n);
	return r;
}

int
inotify_rm(struct file *f, int32_t wd)
{
	struct inotify *in = f->priv;
	struct dropped d = {0};
	struct watch *w;
	int r = -EINVAL;

	mutex_lock(&lock);
	list_for_each_entry (w, &in->watches, node) {
		if (w->wd == wd) {
			end_watch_locked(w, &d);
			r = 0;
			break;
		}
	}
	mutex_unlock(&lock);
	drop(&d);
	return r;
}
