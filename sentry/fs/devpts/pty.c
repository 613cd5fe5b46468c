/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals: both ends as files (Linux: drivers/tty/pty.c). */
#include "internal.h"
#include "sentry/sched/fiber.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 1024 /* bytes that go through the line discipline at a time */

static void
pty_free(struct tty *t)
{
	struct pty *p = pty_of(t);

	timer_cancel_sync(&p->timer);
	mutex_destroy(&t->lock);
	waitq_destroy(&p->slave_q);
	waitq_destroy(&p->master_q);
	free(p);
}

void
pty_raise(struct pty *p)
{
	uint32_t raise;
	int32_t pgrp;

	mutex_lock(&p->tty.lock);
	raise = p->raise;
	p->raise = 0;
	pgrp = p->tty.pgrp;
	mutex_unlock(&p->tty.lock);
	for (int s = 1; raise && pgrp && s < 32; s++)
		if ((raise & (1u << s)) && tty_hooks.signal_pgrp)
			tty_hooks.signal_pgrp(pgrp, s);
}

/* Something came, went or changed: tell both ends. */
static void
pty_tell(struct pty *p)
{
	const uint32_t all = LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM | LX_POLLPRI;

	waitq_notify(&p->slave_q, all);
	waitq_notify(&p->master_q, all);
}

static void
vtime_passed(struct timer *t)
{
	struct pty *p = t->arg;

	mutex_lock(&p->tty.lock);
	p->timer_armed = false;
	p->timed_out = true;
	mutex_unlock(&p->tty.lock);
	waitq_notify(&p->slave_q, LX_POLLIN | LX_POLLRDNORM);
}

static int slave_reopen(struct tty *t, struct file *f, const struct call *c);

int
pty_new(struct devpts_super *ds, const struct call *c, struct pty **ret)
{
	struct pty *p = calloc(1, sizeof *p);

	(void)c;
	if (!p)
		return -ENOMEM;
	tty_init(&p->tty, 0, pty_free);
	p->tty.reopen = slave_reopen;
	p->ds = ds;
	p->locked = true;
	waitq_init(&p->slave_q);
	waitq_init(&p->master_q);
	timer_init(&p->timer, vtime_passed, p);
	ldisc_reset(p);
	*ret = p;
	return 0;
}

/* --- slave --- */

/* The interbyte or read timer of VTIME; tty.lock is held. */
static void
arm_vtime(struct pty *p)
{
	uint32_t time = p->tio.cc[LX_VTIME];

	if ((p->tio.lflag & LX_ICANON) || !time || p->timer_armed)
		return;
	if (p->tio.cc[LX_VMIN] && p->head == p->tail)
		return; /* it starts with the first byte */
	p->timer_armed = true;
	p->timed_out = false;
	timer_arm(&p->timer, sched_now_ns() + (int64_t)time * 100000000);
}

static ssize_t
slave_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pty *p = f->priv;
	uint8_t *buf;
	uint32_t want = u->left < IN_SIZE ? (uint32_t)u->left : IN_SIZE;
	ssize_t r;

	(void)c, (void)pos, (void)rwf;
	if (!want)
		return 0;
	r = tty_check(&p->tty, LX_SIGTTIN);
	if (r)
		return p->hung_up ? 0 : r;
	buf = malloc(want);
	if (!buf)
		return -ENOMEM;
	mutex_lock(&p->tty.lock);
	r = ldisc_read(p, buf, want);
	if (r == -EAGAIN) {
		if (p->hung_up)
			r = 0;
		else if (!(p->tio.lflag & LX_ICANON) && !p->tio.cc[LX_VMIN] && !p->tio.cc[LX_VTIME])
			r = 0;
		else
			arm_vtime(p);
	}
	mutex_unlock(&p->tty.lock);
	if (r > 0) {
		waitq_notify(&p->master_q, LX_POLLOUT | LX_POLLWRNORM);
		r = uio_copy_to(u, buf, (size_t)r);
	}
	free(buf);
	return r;
}

static ssize_t
slave_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pty *p = f->priv;
	uint8_t buf[CHUNK];
	ssize_t total = 0, r;

	(void)c, (void)pos, (void)rwf;
	if (p->tio.lflag & LX_TOSTOP) {
		r = tty_check(&p->tty, LX_SIGTTOU);
		if (r)
			return r;
	}
	while (u->left) {
		struct uio before = *u;
		uint32_t taken = 0;

		r = uio_copy_from(u, buf, sizeof buf < u->left ? sizeof buf : u->left);
		if (r <= 0)
			break;
		mutex_lock(&p->tty.lock);
		if (p->hung_up || !p->masters)
			r = -EIO;
		else
			taken = ldisc_output(p, buf, (uint32_t)r);
		mutex_unlock(&p->tty.lock);
		total += taken;
		if (r < 0 || taken < (uint32_t)r) {
			/* what was not taken is still to be written */
			*u = before;
			uio_skip(u, taken);
			if (r > 0)
				r = -EAGAIN;
			break;
		}
	}
	if (total)
		waitq_notify(&p->master_q, LX_POLLIN | LX_POLLRDNORM);
	return total ? total : u->left ? r : 0;
}

static uint32_t
slave_poll(struct file *f, struct poll_table *pt)
{
	struct pty *p = f->priv;
	uint32_t m = 0;

	poll_wait(pt, &p->slave_q);
	mutex_lock(&p->tty.lock);
	if (ldisc_readable(p))
		m |= LX_POLLIN | LX_POLLRDNORM;
	if (!p->stopped && OUT_SIZE - (p->ohead - p->otail) >= 256)
		m |= LX_POLLOUT | LX_POLLWRNORM;
	if (p->hung_up)
		m |= LX_POLLIN | LX_POLLHUP | LX_POLLERR | LX_POLLOUT | LX_POLLRDNORM |
		     LX_POLLWRNORM;
	mutex_unlock(&p->tty.lock);
	return m;
}

static int64_t
slave_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct pty *p = f->priv;
	int64_t r;

	if (p->hung_up)
		return -EIO;
	r = pty_ioctl(p, f, c, cmd, arg, false);
	pty_tell(p);
	return r;
}

static void
slave_release(struct file *f)
{
	struct pty *p = f->priv;

	mutex_lock(&p->tty.lock);
	p->slaves--;
	if (!p->slaves)
		p->exclusive = false;
	mutex_unlock(&p->tty.lock);
	pty_tell(p);
	tty_put(&p->tty);
}

const struct file_ops pty_slave_fops = {
	.read = slave_read,
	.write = slave_write,
	.poll = slave_poll,
	.ioctl = slave_ioctl,
	.release = slave_release,
};

/* Make f an open slave. */
static int
slave_attach(struct pty *p, struct file *f, const struct call *c, bool trusted)
{
	int r = 0;

	mutex_lock(&p->tty.lock);
	if (p->hung_up || !p->masters || (p->locked && !trusted))
		r = -EIO;
	else if (p->exclusive && !cred_capable(c->cred, LX_CAP_SYS_ADMIN))
		r = -EBUSY;
	if (!r) {
		p->slaves++;
		p->slave_was_open = true;
	}
	mutex_unlock(&p->tty.lock);
	if (r)
		return r;
	f->ops = &pty_slave_fops;
	f->priv = pty_of(tty_get(&p->tty));
	f->mode |= LX_FMODE_WRITEALL;
	return 0;
}

int
devpts_open_slave(struct pty *p, struct file *f, const struct call *c)
{
	int r = slave_attach(p, f, c, false);

	if (!r && !(file_flags(f) & LX_O_NOCTTY) && tty_hooks.opened)
		tty_hooks.opened(&p->tty, f);
	return r;
}

static int
slave_reopen(struct tty *t, struct file *f, const struct call *c)
{
	return slave_attach(pty_of(t), f, c, true);
}

int
pty_open_peer(struct file *f, const struct call *c, uint32_t flags, struct file **ret)
{
	struct file *s;
	struct pty *p;
	char desc[24];
	int r;

	if (f->ops != &pty_master_fops)
		return -ENOTTY;
	p = f->priv;
	snprintf(desc, sizeof desc, "/dev/pts/%u", p->nr);
	r = file_new_inode(p->slave_inode, &pty_slave_fops, NULL, desc, flags, &s);
	if (r)
		return r;
	s->mode &= ~LX_FMODE_OPENED;
	r = slave_attach(p, s, c, true);
	if (r) {
		file_put(s);
		return r;
	}
	s->mode |= LX_FMODE_OPENED;
	s->cred = cred_get(c->cred);
	if (!(flags & LX_O_NOCTTY) && tty_hooks.opened)
		tty_hooks.opened(&p->tty, s);
	*ret = s;
	return 0;
}

/* --- master --- */

static ssize_t
master_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pty *p = f->priv;
	uint8_t buf[CHUNK];
	ssize_t total = 0, r = 0;

	(void)c, (void)pos, (void)rwf;
	while (u->left) {
		uint32_t n = 0, max = u->left < sizeof buf ? (uint32_t)u->left : sizeof buf;
		bool status_only = false;

		mutex_lock(&p->tty.lock);
		if (p->packet && !total) {
			if (p->packet_status) {
				buf[n++] = p->packet_status;
				p->packet_status = 0;
				status_only = true;
			} else if (p->ohead != p->otail) {
				buf[n++] = LX_TIOCPKT_DATA;
			}
		}
		while (!status_only && n < max && p->ohead != p->otail)
			buf[n++] = p->out[p->otail++ % OUT_SIZE];
		if (!n)
			r = p->slave_was_open && !p->slaves ? -EIO : -EAGAIN;
		mutex_unlock(&p->tty.lock);
		if (!n)
			break;
		r = uio_copy_to(u, buf, n);
		if (r < 0)
			break;
		total += r;
		if (status_only || n < max)
			break;
	}
	if (total)
		waitq_notify(&p->slave_q, LX_POLLOUT | LX_POLLWRNORM);
	return total ? total : r;
}

static ssize_t
master_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pty *p = f->priv;
	uint8_t buf[CHUNK];
	ssize_t total = 0, r = 0;

	(void)c, (void)pos, (void)rwf;
	while (u->left) {
		struct uio before = *u;
		uint32_t taken;

		r = uio_copy_from(u, buf, sizeof buf < u->left ? sizeof buf : u->left);
		if (r <= 0)
			break;
		mutex_lock(&p->tty.lock);
		taken = ldisc_receive(p, buf, (uint32_t)r);
		if (taken && p->timer_armed && p->tio.cc[LX_VMIN]) {
			/* each byte starts the time between two anew */
			p->timer_armed = false;
			timer_cancel(&p->timer);
			arm_vtime(p);
		}
		mutex_unlock(&p->tty.lock);
		pty_raise(p);
		total += taken;
		if (taken < (uint32_t)r) {
			*u = before;
			uio_skip(u, taken);
			r = -EAGAIN;
			break;
		}
	}
	if (total)
		pty_tell(p);
	return total ? total : u->left ? r : 0;
}

static uint32_t
master_poll(struct file *f, struct poll_table *pt)
{
	struct pty *p = f->priv;
	uint32_t m = 0;

	poll_wait(pt, &p->master_q);
	mutex_lock(&p->tty.lock);
	if (p->ohead != p->otail)
		m |= LX_POLLIN | LX_POLLRDNORM;
	if (p->packet && p->packet_status)
		m |= LX_POLLPRI | LX_POLLIN | LX_POLLRDNORM;
	if (IN_SIZE - (p->head - p->tail) > 1 ||
		((p->tio.lflag & LX_ICANON) && p->canon == p->tail))
		m |= LX_POLLOUT | LX_POLLWRNORM;
	if (p->slave_was_open && !p->slaves)
		m |= LX_POLLHUP;
	mutex_unlock(&p->tty.lock);
	return m;
}

static int64_t
master_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct pty *p = f->priv;
	int64_t r = pty_ioctl(p, f, c, cmd, arg, true);

	pty_tell(p);
	return r;
}

static void
master_release(struct file *f)
{
	struct pty *p = f->priv;

	devpts_remove(p);
	mutex_lock(&p->tty.lock);
	p->masters = 0;
	p->hung_up = true;
	mutex_unlock(&p->tty.lock);
	tty_hangup_session(&p->tty);
	tty_gone(&p->tty);
	pty_tell(p);
	waitq_notify(&p->slave_q, LX_POLLHUP | LX_POLLERR);
	tty_put(&p->tty);
}

const struct file_ops pty_master_fops = {
	.read = master_read,
	.write = master_write,
	.poll = master_poll,
	.ioctl = master_ioctl,
	.release = master_release,
};
