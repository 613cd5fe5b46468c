/* SPDX-License-Identifier: Apache-2.0 */
/* signalfd(2): the caller's signals as a file. It is the reading task whose signals are read, not
 * the maker's. */
#include "sentry/kernel/signalfd.h"
#include "abi/fs.h"
#include "abi/poll.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/rw.h"
#include <stdio.h>
#include <stdlib.h>

/* A task whose queue something (an epoll) may be registered in because of this file: kept as long
 * as the file, so that the queue is there when the registration goes. */
struct watched {
	struct list node;
	struct task *task; /* a reference */
};

struct signalfd {
	_Atomic lx_sigset mask;
	struct mutex lock; /* rank LEAF: watched */
	struct list watched;
};

struct lx_signalfd_siginfo {
	uint32_t signo;
	int32_t err, code;
	uint32_t pid, uid;
	int32_t fd;
	uint32_t tid, band, overrun, trapno;
	int32_t status, ival;
	uint64_t ptr, utime, stime, addr;
	uint16_t addr_lsb, pad2;
	int32_t syscall;
	uint64_t call_addr;
	uint32_t arch;
	uint8_t pad[28];
};
_Static_assert(sizeof(struct lx_signalfd_siginfo) == 128, "signalfd_siginfo is 128 bytes");

static void
signalfd_release(struct file *f)
{
	struct signalfd *s = f->priv;
	struct watched *w, *tmp;

	list_for_each_entry_safe (w, tmp, &s->watched, node) {
		task_put(w->task);
		free(w);
	}
	mutex_destroy(&s->lock);
	free(s);
}

static void
keep_task(struct signalfd *s, struct task *t)
{
	struct watched *w, *n = calloc(1, sizeof *n);

	mutex_lock(&s->lock);
	list_for_each_entry (w, &s->watched, node) {
		if (w->task == t) {
			mutex_unlock(&s->lock);
			free(n);
			return;
		}
	}
	if (n) {
		n->task = task_get(t);
		list_push_back(&s->watched, &n->node);
	}
	mutex_unlock(&s->lock);
}

static void
convert(struct lx_signalfd_siginfo *o, const struct lx_siginfo *i)
{
	*o = (struct lx_signalfd_siginfo){
		.signo = (uint32_t)i->signo, .err = i->err, .code = i->code};
	if (i->code == LX_SI_TIMER) {
		o->tid = (uint32_t)i->timer.tid;
		o->overrun = (uint32_t)i->timer.overrun;
		o->ptr = i->timer.value;
		o->ival = (int32_t)i->timer.value;
	} else if (i->signo == LX_SIGCHLD && i->code > 0) {
		o->pid = (uint32_t)i->chld.pid;
		o->uid = i->chld.uid;
		o->status = i->chld.status;
		o->utime = (uint64_t)i->chld.utime;
		o->stime = (uint64_t)i->chld.stime;
	} else if (i->code > 0 && i->code < LX_SI_KERNEL && (i->signo == LX_SIGIO)) {
		o->band = (uint32_t)i->poll.band;
		o->fd = i->poll.fd;
	} else if (i->code > 0 && i->code < LX_SI_KERNEL) {
		o->addr = i->fault.addr;
	} else {
		o->pid = (uint32_t)i->kill.pid;
		o->uid = i->kill.uid;
		o->ptr = i->kill.value;
		o->ival = (int32_t)i->kill.value;
	}
}

static ssize_t
signalfd_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct signalfd *s = f->priv;
	struct task *t = task_current();
	ssize_t done = 0;

	(void)c;
	(void)pos;
	(void)rwf;
	if (u->left < sizeof(struct lx_signalfd_siginfo))
		return -EINVAL;
	while (u->left >= sizeof(struct lx_signalfd_siginfo)) {
		struct lx_signalfd_siginfo o;
		struct lx_siginfo info;

		if (!signal_dequeue(t, atomic_load(&s->mask), &info))
			break;
		signal_info_out(t, &info);
		convert(&o, &info);
		if (uio_copy_to(u, &o, sizeof o) != sizeof o)
			return done ? done : -EFAULT;
		done += (ssize_t)sizeof o;
	}
	return done ? done : -EAGAIN;
}

static uint32_t
signalfd_poll(struct file *f, struct poll_table *pt)
{
	struct signalfd *s = f->priv;
	struct task *t = task_current();

	if (pt)
		keep_task(s, t);
	poll_wait(pt, &t->sigwait);
	return signal_pending_set(t) & atomic_load(&s->mask) ? LX_POLLIN | LX_POLLRDNORM : 0;
}

static void
signalfd_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct signalfd *s = f->priv;

	snprintf(buf, cap, "sigmask:\t%016llx\n", (unsigned long long)atomic_load(&s->mask));
}

static const struct file_ops signalfd_ops = {
	.release = signalfd_release,
	.read = signalfd_read,
	.poll = signalfd_poll,
	.fdinfo = signalfd_fdinfo,
	.lseek = file_lseek_noop,
};

int
signalfd_new(lx_sigset mask, uint32_t oflags, struct file **ret)
{
	struct signalfd *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return -ENOMEM;
	s->mask = mask & ~SIG_NEVER_BLOCKED;
	mutex_init(&s->lock, LR_LEAF);
	list_init(&s->watched);
	err = file_new_anon(&signalfd_ops, s, "anon_inode:[signalfd]", 0, LX_O_RDWR | oflags, ret);
	if (err)
		free(s);
	return err;
}

int
signalfd_set_mask(struct file *f, lx_sigset mask)
{
	struct task *t = task_current();

	if (f->ops != &signalfd_ops)
		return -EINVAL;
	atomic_store(&((struct signalfd *)f->priv)->mask, mask & ~SIG_NEVER_BLOCKED);
	waitq_notify(&t->sigwait, LX_POLLIN | LX_POLLRDNORM);
	return 0;
}
