/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues: decode, wait, encode; who is notified. */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/ipc/mqueue.h"
#include "sentry/kernel/timers.h"
#include "sentry/socket/socket.h"
#include "sentry/syscall/file_block.h"
#include "sentry/vfs/path.h"
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 4096 /* PATH_MAX: what getname() of Linux takes */

static int
name_in(struct task *t, uint64_t addr, char *name)
{
	ssize_t n = copy_in_str(&t->mem.um, name, ua(addr), NAME_BYTES);

	return n < 0 ? (int)n : n > 255 ? -ENAMETOOLONG : 0;
}

int64_t
sys_mq_open(struct task *t, const uint64_t a[6])
{
	char *name = malloc(NAME_BYTES);
	struct lx_mq_attr attr;
	struct file *f;
	int r = name ? 0 : -ENOMEM;

	if (!r && a[3] && copy_in(&t->mem.um, &attr, ua(a[3]), sizeof attr))
		r = -EFAULT;
	if (!r)
		r = name_in(t, a[0], name);
	if (!r)
		r = mq_open_file(
			&t->call, name, (uint32_t)a[1], (uint32_t)a[2], a[3] ? &attr : NULL, &f);
	free(name);
	return r ? r : task_fd_install_put(t, f, true);
}

int64_t
sys_mq_unlink(struct task *t, const uint64_t a[6])
{
	char *name = malloc(NAME_BYTES);
	int r = name ? name_in(t, a[0], name) : -ENOMEM;

	if (!r)
		r = mq_remove(&t->call, name);
	free(name);
	return r;
}

/* A queue that is open for that: a reference; -EBADF. */
static int
queue_get(struct task *t, uint64_t fd, uint32_t mode, struct file **ret)
{
	struct file *f = task_file(t, arg_int(fd));

	if (!f || !mq_is(f) || (mode && !(f->mode & mode))) {
		file_put(f);
		return -EBADF;
	}
	*ret = f;
	return 0;
}

static int
deadline_in(struct task *t, uint64_t addr, int64_t *ret)
{
	int64_t ns;
	int r;

	*ret = INT64_MAX;
	if (!addr)
		return 0;
	r = timespec_in(t, ua(addr), &ns);
	if (!r)
		*ret = clock_deadline(LX_CLOCK_REALTIME, ns);
	return r;
}

struct transfer {
	struct file *f;
	struct task *t;
	uint32_t prio;
	void *text;
	size_t len;
};

static int64_t
try_send(void *arg)
{
	struct transfer *x = arg;

	return mq_put(x->f, &x->t->call, x->prio, x->text, x->len);
}

static int64_t
try_receive(void *arg)
{
	struct transfer *x = arg;

	return mq_take(x->f, &x->prio, &x->text);
}

static int64_t
block(struct transfer *x, uint32_t events, int64_t deadline, int64_t (*fn)(void *arg))
{
	int64_t r = fn(x);

	if (r != -EAGAIN || (file_flags(x->f) & LX_O_NONBLOCK))
		return r;
	r = queue_block(x->t, mq_waitq(x->f), events, deadline, fn, x);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

int64_t
sys_mq_timedsend(struct task *t, const uint64_t a[6])
{
	struct transfer x = {.t = t, .prio = (uint32_t)a[3], .len = a[2]};
	struct lx_mq_attr attr;
	int64_t deadline, r = deadline_in(t, a[4], &deadline);

	if (r)
		return r;
	if (a[3] >= MQ_PRIO_MAX)
		return -EINVAL;
	r = queue_get(t, a[0], LX_FMODE_WRITE, &x.f);
	if (r)
		return r;
	mq_attr(x.f, &attr);
	if (x.len > (uint64_t)attr.msgsize)
		r = -EMSGSIZE;
	else if (!(x.text = malloc(x.len ? x.len : 1)))
		r = -ENOMEM;
	else if (x.len && copy_in(&t->mem.um, x.text, ua(a[1]), x.len))
		r = -EFAULT;
	else
		r = block(&x, LX_POLLOUT | LX_POLLWRNORM, deadline, try_send);
	if (r)
		free(x.text);
	file_put(x.f);
	return r;
}

int64_t
sys_mq_timedreceive(struct task *t, const uint64_t a[6])
{
	struct transfer x = {.t = t};
	struct lx_mq_attr attr;
	int64_t deadline, r = deadline_in(t, a[4], &deadline);

	if (r)
		return r;
	r = queue_get(t, a[0], LX_FMODE_READ, &x.f);
	if (r)
		return r;
	mq_attr(x.f, &attr);
	if (a[2] < (uint64_t)attr.msgsize) {
		r = -EMSGSIZE;
	} else {
		mq_reader_waits(x.f, 1);
		r = block(&x, LX_POLLIN | LX_POLLRDNORM, deadline, try_receive);
		mq_reader_waits(x.f, -1);
	}
	if (r >= 0 && ((a[3] && copy_out(&t->mem.um, ua(a[3]), &x.prio, sizeof x.prio)) ||
			      (r && copy_out(&t->mem.um, ua(a[1]), x.text, (size_t)r))))
		r = -EFAULT;
	free(x.text);
	file_put(x.f);
	return r;
}

int64_t
sys_mq_getsetattr(struct task *t, const uint64_t a[6])
{
	struct lx_mq_attr now, old;
	struct file *f;
	int r;

	if (a[1]) {
		if (copy_in(&t->mem.um, &now, ua(a[1]), sizeof now))
			return -EFAULT;
		if (now.flags & ~(int64_t)LX_O_NONBLOCK)
			return -EINVAL;
	}
	r = queue_get(t, a[0], 0, &f);
	if (r)
		return r;
	mq_attr(f, &old);
	if (a[1]) {
		if (now.flags)
			atomic_fetch_or(&f->flags, LX_O_NONBLOCK);
		else
			atomic_fetch_and(&f->flags, ~(uint32_t)LX_O_NONBLOCK);
	}
	file_put(f);
	return a[2] && copy_out(&t->mem.um, ua(a[2]), &old, sizeof old) ? -EFAULT : 0;
}

/* --- mq_notify --- */

struct notice {
	struct mq_notify n;
	struct pid *pid; /* a reference: who asked */
	uint64_t value;
	/* MQ_SIGEV_THREAD: the C library listens here */
	struct file *sock; /* a reference */
	uint8_t cookie[MQ_COOKIE_BYTES];
};

static void
notice_free(struct notice *x)
{
	mutex_lock(&tasklist_lock);
	pid_unref(x->pid);
	mutex_unlock(&tasklist_lock);
	file_put(x->sock);
	free(x);
}

static void
tell_thread(struct notice *x, uint8_t what)
{
	if (!x->sock)
		return;
	x->cookie[MQ_COOKIE_BYTES - 1] = what;
	(void)netlink_deliver(sock_of(x->sock), x->cookie, sizeof x->cookie);
}

static void
fire(struct mq_notify *n, int32_t sender_tgid, uint32_t sender_uid)
{
	struct notice *x = container_of(n, struct notice, n);
	struct lx_siginfo info = {.signo = n->signo, .code = LX_SI_MESGQ};
	struct tgroup *g = NULL;

	if (n->how == MQ_SIGEV_SIGNAL && n->signo) {
		info.kill.pid = sender_tgid;
		info.kill.uid = sender_uid;
		info.kill.value = x->value;
		mutex_lock(&tasklist_lock);
		if (x->pid->tgroup)
			g = tgroup_get(x->pid->tgroup);
		mutex_unlock(&tasklist_lock);
		if (g)
			(void)signal_send_tgroup(g, n->signo, &info);
		tgroup_put(g);
	}
	tell_thread(x, MQ_COOKIE_WOKEN);
	notice_free(x);
}

static void
drop(struct mq_notify *n)
{
	struct notice *x = container_of(n, struct notice, n);

	tell_thread(x, MQ_COOKIE_REMOVE);
	notice_free(x);
}

struct lx_sigevent {
	uint64_t value;
	int32_t signo, notify;
	uint8_t rest[48];
};

static int
notice_new(struct task *t, const struct lx_sigevent *ev, struct notice **ret)
{
	struct notice *x = calloc(1, sizeof *x);
	struct sock *s;

	if (!x)
		return -ENOMEM;
	x->n = (struct mq_notify){task_tgid(t), ev->notify, ev->signo, fire, drop};
	x->value = ev->value;
	if (ev->notify == MQ_SIGEV_THREAD) {
		if (copy_in(&t->mem.um, x->cookie, ua(ev->value), sizeof x->cookie)) {
			free(x);
			return -EFAULT;
		}
		x->sock = task_file(t, ev->signo);
		s = x->sock ? sock_of(x->sock) : NULL;
		if (!s || s->family != LX_AF_NETLINK) {
			int r = x->sock ? s ? -EINVAL : -ENOTSOCK : -EBADF;

			file_put(x->sock);
			free(x);
			return r;
		}
	}
	mutex_lock(&tasklist_lock);
	x->pid = t->tgroup->pid[PID_TGID];
	ref_get(&x->pid->ref);
	mutex_unlock(&tasklist_lock);
	*ret = x;
	return 0;
}

int64_t
sys_mq_notify(struct task *t, const uint64_t a[6])
{
	struct lx_sigevent ev;
	struct notice *x = NULL;
	struct file *f;
	int r;

	if (a[1]) {
		if (copy_in(&t->mem.um, &ev, ua(a[1]), sizeof ev))
			return -EFAULT;
		if (ev.notify != MQ_SIGEV_NONE && ev.notify != MQ_SIGEV_SIGNAL &&
			ev.notify != MQ_SIGEV_THREAD)
			return -EINVAL;
		if (ev.notify == MQ_SIGEV_SIGNAL && (uint32_t)ev.signo > LX_NSIG)
			return -EINVAL;
		r = notice_new(t, &ev, &x);
		if (r)
			return r;
	}
	r = queue_get(t, a[0], 0, &f);
	if (!r && x)
		r = mq_set_notify(f, &x->n);
	else if (!r)
		mq_clear_notify(f, task_tgid(t));
	if (r && x)
		notice_free(x);
	if (r != -EBADF)
		file_put(f);
	return r;
}
