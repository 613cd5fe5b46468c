/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals as job control sees them: which session a terminal controls, which process group stands
 * in front. The pseudo terminals of devpts and the host terminals of fs/host embed struct tty. A
 * session has at most one terminal, found by its number: nobody but the terminal itself remembers
 * the pair.
 *
 * What needs processes is done by the kernel through tty_hooks.
 */
#ifndef SENTRY_FS_TTY_H
#define SENTRY_FS_TTY_H

#include "abi/tty.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/vfs/file.h"

struct tty {
	struct ref ref;
	struct mutex lock;     /* rank TTY: what the terminal's driver says, and the two below */
	int32_t session, pgrp; /* 0: none */
	uint32_t dev;	       /* LX_MKDEV: tty_nr of /proc/PID/stat */
	void (*free)(struct tty *t);					    /* destroys lock, too */
	int (*reopen)(struct tty *t, struct file *f, const struct call *c); /* open of /dev/tty */
	struct list node;						    /* of all terminals */
};

struct tty_hooks {
	void (*signal_pgrp)(int32_t pgrp, int signo);
	/* A background process wants to read (LX_SIGTTIN), or to write or change (LX_SIGTTOU): 0 go
	 * on, -ERESTARTSYS it was stopped, -EIO it cannot be. */
	int (*check)(struct tty *t, int signo);
	/* TIOCSCTTY, TIOCNOTTY, TIOCGPGRP, TIOCSPGRP, TIOCGSID. master: asked through the master
	 * side. */
	int64_t (*job_ioctl)(struct tty *t, struct file *f, const struct call *c, uint32_t cmd,
		uint64_t arg, bool master);
	/* A terminal was opened without O_NOCTTY: a session leader without one gets it. */
	void (*opened)(struct tty *t, struct file *f);
	int32_t (*session)(void);     /* of the caller */
	struct tty *(*console)(void); /* of its container, with a reference, or NULL */
};
extern struct tty_hooks tty_hooks; /* all NULL in unit tests */

void tty_init(struct tty *t, uint32_t dev, void (*free)(struct tty *t)); /* one reference */
struct tty *tty_get(struct tty *t);
void tty_put(struct tty *t);
/* Take it out of the list of all; at the latest when it is freed. */
void tty_gone(struct tty *t);
/* The terminal that controls the session, with a reference, or NULL. */
struct tty *tty_of_session(int32_t sid);
/* Give t to a session, or take it away (sid 0). */
void tty_set_session(struct tty *t, int32_t sid, int32_t pgrp);
/* SIGHUP and SIGCONT to the foreground group, and the session loses the terminal. */
void tty_hangup_session(struct tty *t);

/* The terminal behind f, borrowed, or NULL. Each driver registers how to tell. */
struct tty *tty_of_file(struct file *f, bool *master);
struct tty_driver {
	struct tty *(*of_file)(struct file *f, bool *master);
	struct list node;
};
void tty_driver_register(struct tty_driver *d);

static inline int
tty_check(struct tty *t, int signo)
{
	return tty_hooks.check ? tty_hooks.check(t, signo) : 0;
}

bool tty_is_job_ioctl(uint32_t cmd);

#endif
