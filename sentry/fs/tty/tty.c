/* SPDX-License-Identifier: Apache-2.0 */
/* The list of terminals, and whose session each controls (Linux: drivers/tty/tty_jobctrl.c). */
#include "sentry/fs/tty.h"
#include "abi/signal.h"

struct tty_hooks tty_hooks;

static struct mutex list_lock = MUTEX_INIT(TTY); /* taken before a terminal's own lock */
static struct list ttys = LIST_INIT(ttys);
static struct list drivers = LIST_INIT(drivers);

void
tty_init(struct tty *t, uint32_t dev, void (*free_fn)(struct tty *t))
{
	ref_init(&t->ref);
	mutex_init(&t->lock, LR_TTY);
	t->session = t->pgrp = 0;
	t->dev = dev;
	t->free = free_fn;
	mutex_lock(&list_lock);
	list_push_back(&ttys, &t->node);
	mutex_unlock(&list_lock);
}

struct tty *
tty_get(struct tty *t)
{
	ref_get(&t->ref);
	return t;
}

void
tty_gone(struct tty *t)
{
	mutex_lock(&list_lock);
	list_del(&t->node);
	mutex_unlock(&list_lock);
}

void
tty_put(struct tty *t)
{
	if (!t || !ref_put(&t->ref))
		return;
	tty_gone(t);
	t->free(t);
}

struct tty *
tty_of_session(int32_t sid)
{
	struct tty *t, *found = NULL;

	if (!sid)
		return NULL;
	mutex_lock(&list_lock);
	list_for_each_entry (t, &ttys, node) {
		if (__atomic_load_n(&t->session, __ATOMIC_RELAXED) == sid &&
			ref_get_unless_zero(&t->ref)) {
			found = t;
			break;
		}
	}
	mutex_unlock(&list_lock);
	return found;
}

void
tty_set_session(struct tty *t, int32_t sid, int32_t pgrp)
{
	mutex_lock(&t->lock);
	__atomic_store_n(&t->session, sid, __ATOMIC_RELAXED);
	__atomic_store_n(&t->pgrp, pgrp, __ATOMIC_RELAXED);
	mutex_unlock(&t->lock);
}

void
tty_hangup_session(struct tty *t)
{
	int32_t pgrp, sid;

	mutex_lock(&t->lock);
	pgrp = t->pgrp;
	sid = t->session;
	__atomic_store_n(&t->session, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->pgrp, 0, __ATOMIC_RELAXED);
	mutex_unlock(&t->lock);
	if (!tty_hooks.signal_pgrp)
		return;
	/* the leader's own group hears of it even when another one stands in front */
	if (sid && sid != pgrp) {
		tty_hooks.signal_pgrp(sid, LX_SIGHUP);
		tty_hooks.signal_pgrp(sid, LX_SIGCONT);
	}
	if (pgrp) {
		tty_hooks.signal_pgrp(pgrp, LX_SIGHUP);
		tty_hooks.signal_pgrp(pgrp, LX_SIGCONT);
	}
}

void
tty_driver_register(struct tty_driver *d)
{
	mutex_lock(&list_lock);
	list_push_back(&drivers, &d->node);
	mutex_unlock(&list_lock);
}

struct tty *
tty_of_file(struct file *f, bool *master)
{
	struct tty_driver *d;

	*master = false;
	/* drivers are registered at start and stay */
	list_for_each_entry (d, &drivers, node) {
		struct tty *t = d->of_file(f, master);

		if (t)
			return t;
	}
	return NULL;
}

bool
tty_is_job_ioctl(uint32_t cmd)
{
	return cmd == LX_TIOCSCTTY || cmd == LX_TIOCNOTTY || cmd == LX_TIOCGPGRP ||
	       cmd == LX_TIOCSPGRP || cmd == LX_TIOCGSID;
}
