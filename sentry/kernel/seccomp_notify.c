/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners of filters: RET_USER_NOTIF stops a syscall until who reads the listener has answered
 * it (seccomp_unotify(2)). That is a program inside, by the file that is here, or one of the host
 * (seccomp_outside.c).
 *
 * A call that waits is a knotif on its task's stack; it is in the list as long as it waits. INIT:
 * nobody has read it; SENT: read; REPLIED: the task takes the answer and goes. Whoever finds one in
 * the list uses it under the lock only.
 */
#include "abi/fs.h"
#include "abi/poll.h"
#include "platform/host/info.h"
#include "sentry/kernel/seccomp_priv.h"
#include "sentry/vfs/file.h"
#include <stdlib.h>
#include <string.h>

enum knotif_state {
	INIT,
	SENT,
	REPLIED,
};

struct knotif {
	struct list node;
	struct task *task;
	uint64_t id;
	enum knotif_state state;
	struct lx_seccomp_data data;
	int32_t error;
	int64_t val;
	uint32_t flags;
};

struct seccomp_listener {
	struct ref ref;	   /* the filter, the file or who serves the host's program */
	struct mutex lock; /* rank EVENT: all below */
	struct list queue; /* knotifs, the oldest first */
	uint64_t next_id;
	_Atomic bool open; /* somebody can read it */
	bool orphan;	   /* no task has the filter */
	struct waitq wq;
};

void
seccomp_listener_put(struct seccomp_listener *l)
{
	if (!l || !ref_put(&l->ref))
		return;
	waitq_destroy(&l->wq);
	mutex_destroy(&l->lock);
	free(l);
}

bool
seccomp_listener_open(const struct seccomp_listener *l)
{
	return atomic_load(&l->open);
}

void
seccomp_listener_orphan(struct seccomp_listener *l)
{
	mutex_lock(&l->lock);
	l->orphan = true;
	mutex_unlock(&l->lock);
	waitq_notify(&l->wq, LX_POLLHUP | LX_POLLIN);
}

static struct knotif *
find_locked(struct seccomp_listener *l, uint64_t id)
{
	struct knotif *k;

	list_for_each_entry (k, &l->queue, node)
		if (k->id == id)
			return k;
	return NULL;
}

static void
reply_locked(struct knotif *k, int32_t error, int64_t val, uint32_t flags)
{
	k->state = REPLIED;
	k->error = error;
	k->val = val;
	k->flags = flags;
	fiber_wake(k->task->fiber);
}

bool
seccomp_notify(struct task *t, const struct seccomp_filter *f, const struct lx_seccomp_data *d,
	int64_t *result)
{
	struct seccomp_listener *l = f->listener;
	struct knotif k = {.task = t, .data = *d};
	int err = 0;

	*result = -ENOSYS;
	if (!l)
		return false;
	list_init(&k.node);
	mutex_lock(&l->lock);
	if (!l->open) {
		mutex_unlock(&l->lock);
		return false;
	}
	k.id = l->next_id++;
	list_push_back(&l->queue, &k.node);
	mutex_unlock(&l->lock);
	waitq_notify(&l->wq, LX_POLLIN | LX_POLLRDNORM);
	for (;;) {
		bool killable;

		mutex_lock(&l->lock);
		if (k.state == REPLIED || err) {
			list_del(&k.node);
			mutex_unlock(&l->lock);
			break;
		}
		killable = f->wait_killable && k.state == SENT;
		mutex_unlock(&l->lock);
		if (killable && !(atomic_load(&t->work) & TW_EXIT))
			fiber_park();
		else
			err = task_park(t, INT64_MAX);
	}
	if (k.state != REPLIED) {
		*result = err;
		return false;
	}
	if (k.flags & LX_SECCOMP_USER_NOTIF_FLAG_CONTINUE)
		return true;
	*result = k.error ? k.error : k.val;
	seccomp_set_result(t, *result);
	return false;
}

/* --- what a reader does --- */

int
seccomp_listener_take(struct seccomp_listener *l, struct lx_seccomp_notif *n, struct task **ret)
{
	struct knotif *k;
	int err;

	mutex_lock(&l->lock);
	err = l->orphan ? -ENOENT : -EAGAIN;
	list_for_each_entry (k, &l->queue, node) {
		if (k->state != INIT)
			continue;
		k->state = SENT;
		*n = (struct lx_seccomp_notif){.id = k->id, .data = k->data};
		*ret = task_get(k->task);
		fiber_wake(k->task->fiber); /* it may no longer be woken by signals */
		err = 0;
		break;
	}
	mutex_unlock(&l->lock);
	if (!err)
		waitq_notify(&l->wq, LX_POLLOUT | LX_POLLWRNORM);
	return err;
}

void
seccomp_listener_put_back(struct seccomp_listener *l, uint64_t id)
{
	struct knotif *k;

	mutex_lock(&l->lock);
	k = find_locked(l, id);
	if (k && k->state == SENT)
		k->state = INIT;
	mutex_unlock(&l->lock);
	waitq_notify(&l->wq, LX_POLLIN | LX_POLLRDNORM);
}

int64_t
seccomp_listener_reply(struct seccomp_listener *l, const struct lx_seccomp_notif_resp *r)
{
	struct knotif *k;
	int64_t err = 0;

	if (r->flags & ~LX_SECCOMP_USER_NOTIF_FLAG_CONTINUE)
		return -EINVAL;
	if ((r->flags & LX_SECCOMP_USER_NOTIF_FLAG_CONTINUE) && (r->error || r->val))
		return -EINVAL;
	mutex_lock(&l->lock);
	k = find_locked(l, r->id);
	if (!k)
		err = -ENOENT;
	else if (k->state != SENT)
		err = -EINPROGRESS;
	else
		reply_locked(k, r->error, r->val, r->flags);
	mutex_unlock(&l->lock);
	return err;
}

int64_t
seccomp_listener_id_valid(struct seccomp_listener *l, uint64_t id)
{
	struct knotif *k;
	bool valid;

	mutex_lock(&l->lock);
	k = find_locked(l, id);
	valid = k && k->state == SENT;
	mutex_unlock(&l->lock);
	return valid ? 0 : -ENOENT;
}

/* The number under which target gets file. */
static int
give_file(struct task *target, struct file *file, const struct lx_seccomp_notif_addfd *a)
{
	uint64_t limit = rlimit_cur(&target->tgroup->rlim, LX_RLIMIT_NOFILE);
	bool cloexec = a->newfd_flags & LX_O_CLOEXEC;
	struct fdtable *files = task_files_get(target);
	struct file *old = NULL;
	int fd;

	if (!files)
		return -ENOENT;
	if (!(a->flags & LX_SECCOMP_ADDFD_FLAG_SETFD)) {
		fd = fdtable_install(files, file, 0, limit, cloexec);
	} else if (a->newfd >= limit) {
		fd = -EBADF;
	} else {
		fd = fdtable_install_at(files, file, (int)a->newfd, cloexec, &old);
		if (!fd)
			fd = (int)a->newfd;
		if (old)
			fd_close_file(files, old, NULL);
	}
	fdtable_put(files, NULL);
	return fd;
}

int64_t
seccomp_listener_check_addfd(const struct lx_seccomp_notif_addfd *a)
{
	if (a->newfd_flags & ~(uint32_t)LX_O_CLOEXEC)
		return -EINVAL;
	if (a->flags & ~(LX_SECCOMP_ADDFD_FLAG_SETFD | LX_SECCOMP_ADDFD_FLAG_SEND))
		return -EINVAL;
	return a->newfd && !(a->flags & LX_SECCOMP_ADDFD_FLAG_SETFD) ? -EINVAL : 0;
}

int64_t
seccomp_listener_addfd(
	struct seccomp_listener *l, struct file *file, const struct lx_seccomp_notif_addfd *a)
{
	struct task *target = NULL;
	struct knotif *k;
	int fd;

	mutex_lock(&l->lock);
	k = find_locked(l, a->id);
	if (k && k->state == SENT)
		target = task_get(k->task);
	mutex_unlock(&l->lock);
	if (!target)
		return k ? -EINPROGRESS : -ENOENT;
	fd = give_file(target, file, a);
	if (fd >= 0 && (a->flags & LX_SECCOMP_ADDFD_FLAG_SEND)) {
		mutex_lock(&l->lock);
		k = find_locked(l, a->id);
		if (k && k->state == SENT)
			reply_locked(k, 0, fd, 0);
		mutex_unlock(&l->lock);
	}
	task_put(target);
	return fd;
}

uint32_t
seccomp_listener_events(struct seccomp_listener *l)
{
	struct knotif *k;
	uint32_t ev = 0;

	mutex_lock(&l->lock);
	list_for_each_entry (k, &l->queue, node) {
		if (k->state == INIT)
			ev |= LX_POLLIN | LX_POLLRDNORM;
		if (k->state == SENT)
			ev |= LX_POLLOUT | LX_POLLWRNORM;
	}
	if (l->orphan)
		ev |= LX_POLLHUP;
	mutex_unlock(&l->lock);
	return ev;
}

struct waitq *
seccomp_listener_wq(struct seccomp_listener *l)
{
	return &l->wq;
}

void
seccomp_listener_close(struct seccomp_listener *l)
{
	struct knotif *k;

	mutex_lock(&l->lock);
	l->open = false;
	list_for_each_entry (k, &l->queue, node)
		if (k->state != REPLIED)
			reply_locked(k, -ENOSYS, 0, 0);
	mutex_unlock(&l->lock);
	seccomp_listener_put(l);
}

int
seccomp_listener_new(struct seccomp_filter *f, struct seccomp_listener **ret)
{
	struct seccomp_listener *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	ref_init(&l->ref);
	mutex_init(&l->lock, LR_EVENT);
	waitq_init(&l->wq);
	list_init(&l->queue);
	l->open = true;
	host_random(&l->next_id, sizeof l->next_id);
	l->next_id >>= 1;
	ref_get(&l->ref);
	f->listener = l;
	*ret = l;
	return 0;
}

/* --- the file, of a program inside --- */

/* Park until a call waits that nobody has read. */
static int
wait_for_one(struct seccomp_listener *l, struct task *t, struct lx_seccomp_notif *n)
{
	struct task *who = NULL;
	struct waiter w;
	int err;

	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(&l->wq, &w);
	for (;;) {
		err = seccomp_listener_take(l, n, &who);
		if (err != -EAGAIN)
			break;
		err = task_park(t, INT64_MAX);
		if (err)
			break;
	}
	waitq_remove(&w);
	if (who)
		n->pid = (uint32_t)pid_vnr(who->pid);
	task_put(who);
	return err;
}

static int64_t
ioctl_recv(struct seccomp_listener *l, struct task *t, uint64_t arg)
{
	static const struct lx_seccomp_notif zero;
	struct lx_seccomp_notif n;
	int err;

	if (copy_in(&t->mem.um, &n, ua(arg), sizeof n))
		return -EFAULT;
	if (memcmp(&n, &zero, sizeof n) != 0)
		return -EINVAL;
	err = wait_for_one(l, t, &n);
	if (err)
		return err;
	if (!copy_out(&t->mem.um, ua(arg), &n, sizeof n))
		return 0;
	seccomp_listener_put_back(l, n.id);
	return -EFAULT;
}

static int64_t
ioctl_send(struct seccomp_listener *l, struct task *t, uint64_t arg)
{
	struct lx_seccomp_notif_resp r;

	return copy_in(&t->mem.um, &r, ua(arg), sizeof r) ? -EFAULT : seccomp_listener_reply(l, &r);
}

static int64_t
ioctl_id_valid(struct seccomp_listener *l, struct task *t, uint64_t arg)
{
	uint64_t id;

	return copy_in(&t->mem.um, &id, ua(arg), sizeof id) ? -EFAULT
							    : seccomp_listener_id_valid(l, id);
}

static int64_t
ioctl_addfd(struct seccomp_listener *l, struct task *t, uint64_t arg, uint32_t size)
{
	struct lx_seccomp_notif_addfd a;
	struct file *file;
	uint8_t more;
	int64_t r;

	if (size < sizeof a || size >= LX_PAGE_SIZE)
		return -EINVAL;
	if (copy_in(&t->mem.um, &a, ua(arg), sizeof a))
		return -EFAULT;
	for (uint32_t i = sizeof a; i < size; i++) {
		if (copy_in(&t->mem.um, &more, ua(arg + i), 1))
			return -EFAULT;
		if (more)
			return -E2BIG;
	}
	r = seccomp_listener_check_addfd(&a);
	if (r)
		return r;
	file = task_file(t, (int)a.srcfd);
	if (!file)
		return -EBADF;
	r = seccomp_listener_addfd(l, file, &a);
	file_put(file);
	return r;
}

static int64_t
listener_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct seccomp_listener *l = f->priv;
	struct task *t = task_current();
	uint32_t size = cmd >> 16 & 0x3fff;

	(void)c;
	switch (cmd) {
	case LX_SECCOMP_IOCTL_NOTIF_RECV:
		return ioctl_recv(l, t, arg);
	case LX_SECCOMP_IOCTL_NOTIF_SEND:
		return ioctl_send(l, t, arg);
	case LX_SECCOMP_IOCTL_NOTIF_ID_VALID:
	case LX_SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG:
		return ioctl_id_valid(l, t, arg);
	case LX_SECCOMP_IOCTL_NOTIF_SET_FLAGS:
		/* Waking on the same CPU is how a fiber is woken in any case. */
		return arg & ~(uint64_t)LX_SECCOMP_USER_NOTIF_FD_SYNC_WAKEUP ? -EINVAL : 0;
	}
	if ((cmd & ~0x3fff0000u) == (LX_SECCOMP_IOCTL_NOTIF_ADDFD & ~0x3fff0000u))
		return ioctl_addfd(l, t, arg, size);
	return -EINVAL;
}

static uint32_t
listener_poll(struct file *f, struct poll_table *pt)
{
	struct seccomp_listener *l = f->priv;

	poll_wait(pt, &l->wq);
	return seccomp_listener_events(l);
}

static void
listener_release(struct file *f)
{
	seccomp_listener_close(f->priv);
}

static const struct file_ops listener_ops = {
	.release = listener_release,
	.ioctl = listener_ioctl,
	.poll = listener_poll,
};

int
seccomp_listener_file(struct seccomp_filter *f, struct file **ret)
{
	struct seccomp_listener *l;
	int err = seccomp_listener_new(f, &l);

	if (err)
		return err;
	err = file_new_anon(&listener_ops, l, "anon_inode:seccomp notify", 0, LX_O_RDWR, ret);
	if (err)
		seccomp_listener_put(l);
	return err;
}
