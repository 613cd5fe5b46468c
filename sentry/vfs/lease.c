/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of files (include/sentry/vfs/lock.h; Linux: fs/locks.c). An open file has at most one, and
 * gives it up with its last reference; leases never outlive their file, which is not counted.
 *
 * Who opens counts itself first (inode's writecount, readcount) and looks for leases then; who
 * takes a lease enters it first and looks at the counts then. So one of two that race sees the
 * other.
 */
#include "abi/restart.h"
#include "lock_internal.h"
#include "sentry/sched/fiber.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>

struct lease {
	struct list node;
	struct file *file; /* borrowed */
	int fd;
	int32_t pid;
	int16_t type;
	bool must_go, must_shrink; /* it is being broken: altogether, or to a read lease */
	bool untold;		   /* and its holder is not told yet */
	int64_t go_ns, shrink_ns;  /* when that is done for the holder; 0: never */
};

void (*file_lease_tell)(struct file *f, int fd);

/* LX_F_UNLCK: k is freed. */
static void
change_locked(struct file_locks *l, struct lease *k, int type)
{
	k->type = (int16_t)type;
	k->must_shrink = false;
	k->shrink_ns = 0;
	if (type != LX_F_UNLCK)
		return;
	atomic_store(&k->file->fown_pid, 0);
	atomic_store(&k->file->fown_signo, 0);
	list_del(&k->node);
	atomic_fetch_sub(&l->nleases, 1);
	free(k);
}

/* Whose time is over. */
static bool
expire_locked(struct file_locks *l)
{
	int64_t now = sched_now_ns();
	struct lease *k, *tmp;
	bool any = false;

	list_for_each_entry_safe (k, tmp, &l->leases, node) {
		bool go = k->go_ns && now >= k->go_ns;

		if (!go && !(k->shrink_ns && now >= k->shrink_ns))
			continue;
		change_locked(l, k, go ? LX_F_UNLCK : LX_F_RDLCK);
		any = true;
	}
	return any;
}

static struct lease *
lease_of_locked(struct file_locks *l, const struct file *f)
{
	struct lease *k;

	list_for_each_entry (k, &l->leases, node)
		if (k->file == f)
			return k;
	return NULL;
}

static int
target_type(const struct lease *k)
{
	return k->must_go ? LX_F_UNLCK : k->must_shrink ? LX_F_RDLCK : k->type;
}

/* A read lease: nobody has it open for writing. A write lease: nobody else has it open at all. */
static bool
open_otherwise(const struct file *f, int type)
{
	int32_t writers = 0, readers = 0;

	if (type == LX_F_RDLCK)
		return atomic_load(&f->inode->writecount) > 0;
	if (f->mode & LX_FMODE_WRITE)
		writers = 1;
	else if (f->mode & LX_FMODE_READ)
		readers = 1;
	return atomic_load(&f->inode->writecount) != writers ||
	       atomic_load(&f->inode->readcount) != readers;
}

static int
take_locked(
	struct file_locks *l, struct file *f, int fd, int32_t pid, int type, struct lease **spare)
{
	struct lease *k, *mine = NULL;
	int32_t nobody = 0;

	if (open_otherwise(f, type))
		return -EAGAIN;
	list_for_each_entry (k, &l->leases, node) {
		if (k->file == f)
			mine = k;
		else if (type == LX_F_WRLCK || k->must_go)
			return -EAGAIN;
	}
	if (mine) {
		change_locked(l, mine, type);
		mine->fd = fd;
	} else if (!sysctl_get(SYSCTL_LEASES_ENABLE)) {
		return -EINVAL;
	} else {
		mine = *spare;
		*mine = (struct lease){.file = f, .fd = fd, .pid = pid, .type = (int16_t)type};
		list_push_back(&l->leases, &mine->node);
		atomic_fetch_add(&l->nleases, 1);
		if (open_otherwise(f, type)) {
			list_del(&mine->node);
			atomic_fetch_sub(&l->nleases, 1);
			return -EAGAIN;
		}
		*spare = NULL;
	}
	atomic_compare_exchange_strong(&f->fown_pid, &nobody, pid);
	return 0;
}

int
file_lease_set(struct file *f, const struct call *c, int fd, int type)
{
	struct inode *i = f->inode;
	struct file_locks *l;
	struct lease *spare, *k;
	int r;

	if (type != LX_F_RDLCK && type != LX_F_WRLCK && type != LX_F_UNLCK)
		return -EINVAL;
	if (c->cred->fsuid != inode_load(i->uid) && !cred_capable(c->cred, LX_CAP_LEASE))
		return -EACCES;
	if (!LX_S_ISREG(inode_mode(i)))
		return -EINVAL;
	l = file_locks_of(i, type != LX_F_UNLCK);
	if (!l)
		return type == LX_F_UNLCK ? -EAGAIN : -ENOLCK;
	spare = malloc(sizeof *spare);
	if (!spare)
		return -ENOLCK;
	mutex_lock(&i->lock);
	expire_locked(l);
	if (type == LX_F_UNLCK) {
		k = lease_of_locked(l, f);
		r = k ? 0 : -EAGAIN;
		if (k)
			change_locked(l, k, LX_F_UNLCK);
	} else {
		r = take_locked(l, f, fd, c->tgid, type, &spare);
	}
	mutex_unlock(&i->lock);
	free(spare);
	waitq_notify(&l->lease_waiters, ~0u);
	return r;
}

int
file_lease_get(struct file *f)
{
	struct file_locks *l = file_locks_of(f->inode, false);
	struct lease *k;
	int type = LX_F_UNLCK;
	bool any;

	if (!l || !atomic_load(&l->nleases))
		return type;
	mutex_lock(&f->inode->lock);
	any = expire_locked(l);
	k = lease_of_locked(l, f);
	if (k)
		type = target_type(k);
	mutex_unlock(&f->inode->lock);
	if (any)
		waitq_notify(&l->lease_waiters, ~0u);
	return type;
}

void
file_lease_release(struct file *f, struct file_locks *l)
{
	struct lease *k;

	if (!atomic_load(&l->nleases))
		return;
	mutex_lock(&f->inode->lock);
	k = lease_of_locked(l, f);
	if (k)
		change_locked(l, k, LX_F_UNLCK);
	mutex_unlock(&f->inode->lock);
	if (k)
		waitq_notify(&l->lease_waiters, ~0u);
}

/* --- breaking --- */

static bool
in_the_way(const struct lease *k, bool write)
{
	return write || k->type == LX_F_WRLCK;
}

/* Mark those that have to go or to shrink. */
static void
mark_locked(struct file_locks *l, bool write)
{
	int64_t seconds = sysctl_get(SYSCTL_LEASE_BREAK_TIME);
	int64_t until = seconds > 0 ? sched_now_ns() + seconds * 1000000000 : 0;
	struct lease *k;

	list_for_each_entry (k, &l->leases, node) {
		if (!in_the_way(k, write) || k->must_go || (!write && k->must_shrink))
			continue;
		if (write) {
			k->must_go = true;
			k->go_ns = until;
		} else {
			k->must_shrink = true;
			k->shrink_ns = until;
		}
		k->untold = true;
	}
}

/* Not under the lock: a signal is sent. */
static void
tell_holders(struct inode *i, struct file_locks *l)
{
	for (;;) {
		struct file *f = NULL;
		struct lease *k;
		int fd = -1;

		mutex_lock(&i->lock);
		list_for_each_entry (k, &l->leases, node) {
			if (!k->untold)
				continue;
			k->untold = false;
			/* else it is being closed */
			if (ref_get_unless_zero(&k->file->ref)) {
				f = k->file;
				fd = k->fd;
				break;
			}
		}
		mutex_unlock(&i->lock);
		if (!f)
			return;
		if (file_lease_tell)
			file_lease_tell(f, fd);
		file_put(f);
	}
}

/* Is something still in the way? *deadline: when to look again at the latest. */
static bool
still_leased(struct inode *i, struct file_locks *l, bool write, int64_t *deadline)
{
	struct lease *k;
	bool any = false, expired;

	*deadline = INT64_MAX;
	mutex_lock(&i->lock);
	expired = expire_locked(l);
	list_for_each_entry (k, &l->leases, node) {
		if (!in_the_way(k, write))
			continue;
		any = true;
		if (k->go_ns && k->go_ns < *deadline)
			*deadline = k->go_ns;
		if (k->shrink_ns && k->shrink_ns < *deadline)
			*deadline = k->shrink_ns;
	}
	mutex_unlock(&i->lock);
	if (expired)
		waitq_notify(&l->lease_waiters, ~0u);
	return any;
}

static int
wait_for_leases(struct inode *i, struct file_locks *l, const struct call *c, bool write)
{
	struct waiter w;
	int64_t deadline;
	int r = 0;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&l->lease_waiters, &w);
	while (!r && still_leased(i, l, write, &deadline)) {
		if (c->interrupted(c) || fiber_killed())
			r = -ERESTARTSYS;
		else
			(void)fiber_park_until(deadline);
	}
	waitq_remove(&w);
	return r;
}

int
file_lease_break(struct inode *i, const struct call *c, uint32_t oflags)
{
	struct file_locks *l = atomic_load(&i->locks);
	bool write = (oflags & LX_O_ACCMODE) != LX_O_RDONLY;
	int64_t deadline;

	if (!l || !atomic_load(&l->nleases) || !still_leased(i, l, write, &deadline))
		return 0;
	/* what the sentry opens for itself waits for no guest */
	if (!c || !c->interrupted)
		return 0;
	mutex_lock(&i->lock);
	mark_locked(l, write);
	mutex_unlock(&i->lock);
	tell_holders(i, l);
	if (oflags & LX_O_NONBLOCK)
		return -EWOULDBLOCK;
	return wait_for_leases(i, l, c, write);
}

void
file_leases_each_locked(struct inode *i, struct file_locks *l,
	void (*fn)(const struct file_lock_info *l, void *arg), void *arg)
{
	struct lease *k;

	list_for_each_entry (k, &l->leases, node) {
		struct file_lock_info info = {LOCK_KIND_LEASE, (int16_t)target_type(k), k->pid,
			i->sb->dev, i->ino, 0, INT64_MAX, k->must_go || k->must_shrink};

		fn(&info, arg);
	}
}
