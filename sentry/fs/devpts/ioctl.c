/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals: ioctl_tty(2). Both ends speak of the one terminal. */
#include "internal.h"
#include <string.h>

static int
put_int(const struct call *c, uint64_t arg, int32_t v)
{
	return copy_out(c->um, ua(arg), &v, sizeof v);
}

static int
get_int(const struct call *c, uint64_t arg, int32_t *v)
{
	return copy_in(c->um, v, ua(arg), sizeof *v);
}

static int
get_termios(struct pty *p, const struct call *c, uint64_t arg, size_t size)
{
	struct lx_termios2 t;

	mutex_lock(&p->tty.lock);
	t = p->tio;
	mutex_unlock(&p->tty.lock);
	return copy_out(c->um, ua(arg), &t, size);
}

static void
keep_fixed(struct lx_termios2 *t, const struct lx_termios2 *old, const struct lx_termios2 *fixed)
{
	t->iflag = (t->iflag & ~fixed->iflag) | (old->iflag & fixed->iflag);
	t->oflag = (t->oflag & ~fixed->oflag) | (old->oflag & fixed->oflag);
	t->cflag = (t->cflag & ~fixed->cflag) | (old->cflag & fixed->cflag);
	t->lflag = (t->lflag & ~fixed->lflag) | (old->lflag & fixed->lflag);
	for (int i = 0; i < LX_NCCS; i++)
		if (fixed->cc[i])
			t->cc[i] = old->cc[i];
}

static void
change(struct pty *p, struct lx_termios2 *t, bool flush)
{
	t->line = 0; /* there is only this discipline */
	mutex_lock(&p->tty.lock);
	if (flush)
		ldisc_flush_in(p);
	keep_fixed(t, &p->tio, &p->fixed);
	ldisc_set_termios(p, t);
	mutex_unlock(&p->tty.lock);
}

static int
set_termios(struct pty *p, const struct call *c, uint64_t arg, size_t size, bool flush)
{
	struct lx_termios2 t;
	int r = tty_check(&p->tty, LX_SIGTTOU);

	if (r)
		return r;
	mutex_lock(&p->tty.lock);
	t = p->tio;
	mutex_unlock(&p->tty.lock);
	if (copy_in(c->um, &t, ua(arg), size))
		return -EFAULT;
	change(p, &t, flush);
	return 0;
}

static int
get_termio(struct pty *p, const struct call *c, uint64_t arg)
{
	struct lx_termio o = {0};

	mutex_lock(&p->tty.lock);
	o.iflag = (uint16_t)p->tio.iflag;
	o.oflag = (uint16_t)p->tio.oflag;
	o.cflag = (uint16_t)p->tio.cflag;
	o.lflag = (uint16_t)p->tio.lflag;
	memcpy(o.cc, p->tio.cc, sizeof o.cc);
	mutex_unlock(&p->tty.lock);
	return copy_out(c->um, ua(arg), &o, sizeof o);
}

static int
set_termio(struct pty *p, const struct call *c, uint64_t arg, bool flush)
{
	struct lx_termios2 t;
	struct lx_termio o;
	int r = tty_check(&p->tty, LX_SIGTTOU);

	if (r)
		return r;
	if (copy_in(c->um, &o, ua(arg), sizeof o))
		return -EFAULT;
	mutex_lock(&p->tty.lock);
	t = p->tio;
	mutex_unlock(&p->tty.lock);
	t.iflag = (t.iflag & 0xffff0000u) | o.iflag;
	t.oflag = (t.oflag & 0xffff0000u) | o.oflag;
	t.cflag = (t.cflag & 0xffff0000u) | o.cflag;
	t.lflag = (t.lflag & 0xffff0000u) | o.lflag;
	memcpy(t.cc, o.cc, sizeof o.cc);
	change(p, &t, flush);
	return 0;
}

static int
fix_termios(struct pty *p, const struct call *c, uint64_t arg)
{
	struct lx_termios2 t = {0};

	if (!cred_capable(c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_in(c->um, &t, ua(arg), LX_TERMIOS_SIZE))
		return -EFAULT;
	mutex_lock(&p->tty.lock);
	p->fixed = t;
	mutex_unlock(&p->tty.lock);
	return 0;
}

static int
fixed_termios(struct pty *p, const struct call *c, uint64_t arg)
{
	struct lx_termios2 t;

	mutex_lock(&p->tty.lock);
	t = p->fixed;
	mutex_unlock(&p->tty.lock);
	return copy_out(c->um, ua(arg), &t, LX_TERMIOS_SIZE);
}

/* CLOCAL, by itself. */
static int
soft_carrier(struct pty *p, const struct call *c, uint64_t arg, bool set)
{
	struct lx_termios2 t;
	int32_t v;
	int r;

	if (set && (r = tty_check(&p->tty, LX_SIGTTOU)))
		return r;
	if (set && get_int(c, arg, &v))
		return -EFAULT;
	mutex_lock(&p->tty.lock);
	t = p->tio;
	mutex_unlock(&p->tty.lock);
	if (!set)
		return put_int(c, arg, !!(t.cflag & LX_CLOCAL));
	t.cflag = v ? t.cflag | LX_CLOCAL : t.cflag & ~LX_CLOCAL;
	change(p, &t, false);
	return 0;
}

static int
set_winsize(struct pty *p, const struct call *c, uint64_t arg)
{
	struct lx_winsize ws;

	if (copy_in(c->um, &ws, ua(arg), sizeof ws))
		return -EFAULT;
	mutex_lock(&p->tty.lock);
	if (memcmp(&ws, &p->ws, sizeof ws)) {
		p->ws = ws;
		p->raise |= 1u << LX_SIGWINCH;
	}
	mutex_unlock(&p->tty.lock);
	pty_raise(p);
	return 0;
}

static int
flush(struct pty *p, uint64_t arg, bool master)
{
	int r = master ? 0 : tty_check(&p->tty, LX_SIGTTOU);

	if (r)
		return r;
	if (arg > 2)
		return -EINVAL;
	mutex_lock(&p->tty.lock);
	/* 0: what was received, 1: what was written, 2: both; the master's view is the other way
	 * round */
	if (arg == 2 || (arg == 0) != master)
		ldisc_flush_in(p);
	if (arg == 2 || (arg == 1) != master)
		ldisc_flush_out(p);
	mutex_unlock(&p->tty.lock);
	return 0;
}

static int
flow(struct pty *p, uint64_t arg)
{
	int r = tty_check(&p->tty, LX_SIGTTOU);
	uint8_t c;

	if (r)
		return r;
	mutex_lock(&p->tty.lock);
	switch (arg) {
	case 0: /* TCOOFF */
	case 1: /* TCOON */
		ldisc_stop(p, arg == 0);
		break;
	case 2: /* TCIOFF: send STOP to the other side */
	case 3:
		c = p->tio.cc[arg == 2 ? LX_VSTOP : LX_VSTART];
		if (c && OUT_SIZE - (p->ohead - p->otail))
			p->out[p->ohead++ % OUT_SIZE] = c;
		break;
	default:
		r = -EINVAL;
	}
	mutex_unlock(&p->tty.lock);
	return r;
}

static int64_t
master_only(struct pty *p, const struct call *c, uint32_t cmd, uint64_t arg)
{
	int32_t v;

	switch (cmd) {
	case LX_TIOCGPTN:
		return put_int(c, arg, (int32_t)p->nr);
	case LX_TIOCSPTLCK:
		if (get_int(c, arg, &v))
			return -EFAULT;
		p->locked = v != 0;
		return 0;
	case LX_TIOCGPTLCK:
		return put_int(c, arg, p->locked);
	case LX_TIOCPKT:
		if (get_int(c, arg, &v))
			return -EFAULT;
		mutex_lock(&p->tty.lock);
		if (v && !p->packet)
			p->packet_status = 0;
		p->packet = v != 0;
		mutex_unlock(&p->tty.lock);
		return 0;
	case LX_TIOCGPKT:
		return put_int(c, arg, p->packet);
	case LX_TIOCSIG:
		if (arg != LX_SIGINT && arg != LX_SIGQUIT && arg != LX_SIGTSTP)
			return -EINVAL;
		mutex_lock(&p->tty.lock);
		p->raise |= 1u << arg;
		mutex_unlock(&p->tty.lock);
		pty_raise(p);
		return 0;
	default:
		return -ENOTTY;
	}
}

int64_t
pty_ioctl(struct pty *p, struct file *f, const struct call *c, uint32_t cmd, uint64_t arg,
	bool master)
{
	struct lx_winsize ws;
	int32_t v;

	if (tty_is_job_ioctl(cmd))
		return tty_hooks.job_ioctl ? tty_hooks.job_ioctl(&p->tty, f, c, cmd, arg, master)
					   : -ENOTTY;
	switch (cmd) {
	case LX_TCGETS:
		return get_termios(p, c, arg, LX_TERMIOS_SIZE);
	case LX_TCGETS2:
		return get_termios(p, c, arg, sizeof(struct lx_termios2));
	case LX_TCSETS:
	case LX_TCSETSW:
	case LX_TCSETSF:
		return set_termios(p, c, arg, LX_TERMIOS_SIZE, cmd == LX_TCSETSF);
	case LX_TCSETS2:
	case LX_TCSETSW2:
	case LX_TCSETSF2:
		return set_termios(p, c, arg, sizeof(struct lx_termios2), cmd == LX_TCSETSF2);
	case LX_TCGETA:
		return get_termio(p, c, arg);
	case LX_TCSETA:
	case LX_TCSETAW:
	case LX_TCSETAF:
		return set_termio(p, c, arg, cmd == LX_TCSETAF);
	case LX_TIOCGLCKTRMIOS:
		return fixed_termios(p, c, arg);
	case LX_TIOCSLCKTRMIOS:
		return fix_termios(p, c, arg);
	case LX_TIOCGSOFTCAR:
	case LX_TIOCSSOFTCAR:
		return soft_carrier(p, c, arg, cmd == LX_TIOCSSOFTCAR);
	case LX_TIOCGWINSZ:
		mutex_lock(&p->tty.lock);
		ws = p->ws;
		mutex_unlock(&p->tty.lock);
		return copy_out(c->um, ua(arg), &ws, sizeof ws);
	case LX_TIOCSWINSZ:
		return set_winsize(p, c, arg);
	case LX_TCFLSH:
		return flush(p, arg, master);
	case LX_TCXONC:
		return flow(p, arg);
	case LX_TCSBRK:
	case LX_TCSBRKP:
		return tty_check(&p->tty,
			LX_SIGTTOU); /* nothing is in flight, and there is no line to break */
	case LX_TIOCINQ:
		mutex_lock(&p->tty.lock);
		v = master ? (int32_t)(p->ohead - p->otail) : (int32_t)ldisc_in_bytes(p);
		mutex_unlock(&p->tty.lock);
		return put_int(c, arg, v);
	case LX_TIOCOUTQ:
		mutex_lock(&p->tty.lock);
		v = master ? 0 : (int32_t)(p->ohead - p->otail);
		mutex_unlock(&p->tty.lock);
		return put_int(c, arg, v);
	case LX_TIOCGETD:
		return put_int(c, arg, 0);
	case LX_TIOCSETD:
		if (get_int(c, arg, &v))
			return -EFAULT;
		return v ? -EINVAL : 0;
	case LX_TIOCEXCL:
	case LX_TIOCNXCL:
		p->exclusive = cmd == LX_TIOCEXCL;
		return 0;
	case LX_TIOCGEXCL:
		return put_int(c, arg, p->exclusive);
	case LX_TIOCGDEV:
		return put_int(c, arg, (int32_t)lx_dev_encode(LX_MKDEV(136, p->nr)));
	case LX_TIOCVHANGUP:
		if (!cred_capable(c->cred, LX_CAP_SYS_ADMIN))
			return -EPERM;
		mutex_lock(&p->tty.lock);
		p->hung_up = true;
		mutex_unlock(&p->tty.lock);
		tty_hangup_session(&p->tty);
		return 0;
	case LX_TIOCSTI:
		return -EIO; /* as with Linux's dev.tty.legacy_tiocsti = 0 */
	default:
		return master ? master_only(p, c, cmd, arg) : -ENOTTY;
	}
}
