/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudo terminals (pty(7), termios(3)). What is written to the master goes through the line
 * discipline into the input buffer; what is written to the slave, and echo, through output
 * processing into the output ring.
 *
 * Locks: everything of a pty is under tty.lock (rank TTY). Guest memory is copied outside of it,
 * and signals are sent after it is released: who raises one while holding the lock notes it in
 * `raise`.
 */
#ifndef FS_DEVPTS_INTERNAL_H
#define FS_DEVPTS_INTERNAL_H

#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "sentry/fs/devpts.h"
#include "sentry/fs/tty.h"
#include "sentry/sched/timer.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>

#define IN_SIZE	 4096u /* of the input buffer, as in Linux: the longest line is 4095 */
#define OUT_SIZE 8192u
#define PTS_MAX	 4096

/* What an input byte means to a reader in canonical mode. */
#define DELIM_LINE 1u /* the last of a line */
#define DELIM_EOF  2u /* not data: the reader stops before it */

struct devpts_super;
struct dnode;

struct pty {
	struct tty tty;
	struct devpts_super *ds; /* a reference on its super, while the pty has a number */
	uint32_t nr;
	struct inode *slave_inode; /* borrowed by the table of ds; a reference here until the master
				      closes */
	struct lx_termios2 tio;
	struct lx_termios2 fixed; /* TIOCSLCKTRMIOS: bits and characters that stay as they are */
	struct lx_winsize ws;
	uint32_t masters, slaves; /* open files */
	bool locked;		  /* TIOCSPTLCK */
	bool slave_was_open, hung_up, exclusive;
	bool packet; /* TIOCPKT */
	uint8_t packet_status;
	bool stopped; /* ^S */
	/* input: head and tail only grow; lines end below `canon` */
	uint8_t in[IN_SIZE], delim[IN_SIZE];
	uint32_t head, tail, canon;
	bool lnext;
	uint32_t echo_column0; /* where the line began, for erasing */
	/* output */
	uint8_t out[OUT_SIZE];
	uint32_t ohead, otail;
	uint32_t column;
	uint32_t raise; /* signals to send: 1 << signo */
	struct waitq slave_q, master_q;
	/* VTIME */
	struct timer timer;
	bool timer_armed, timed_out;
};

struct devpts_super {
	struct super *sb;
	struct mutex lock;	     /* rank FS: the table */
	struct dnode *node[PTS_MAX]; /* by number; a reference is its terminal's, which takes it
					out */
	uint32_t mode, ptmxmode, uid, gid, max;
	bool uid_set, gid_set;
};

static inline struct pty *
pty_of(struct tty *t)
{
	return container_of(t, struct pty, tty);
}

extern const struct file_ops pty_master_fops, pty_slave_fops;

/* pty.c */
int pty_new(struct devpts_super *ds, const struct call *c, struct pty **ret);
void pty_raise(struct pty *p); /* send what is noted; no lock held */
/* ldisc.c; tty.lock is held */
void ldisc_reset(struct pty *p);
uint32_t ldisc_receive(struct pty *p, const uint8_t *s, uint32_t n); /* bytes taken */
uint32_t ldisc_output(struct pty *p, const uint8_t *s, uint32_t n);  /* bytes taken */
/* Bytes for the slave's reader: > 0; 0: end of file; -EAGAIN. */
int ldisc_read(struct pty *p, uint8_t *buf, uint32_t n);
bool ldisc_readable(const struct pty *p);
uint32_t ldisc_in_bytes(const struct pty *p);
void ldisc_set_termios(struct pty *p, const struct lx_termios2 *n);
void ldisc_flush_in(struct pty *p);
void ldisc_flush_out(struct pty *p);
void ldisc_stop(struct pty *p, bool stop);
void ldisc_signal(struct pty *p, int signo);
/* ioctl.c */
int64_t pty_ioctl(struct pty *p, struct file *f, const struct call *c, uint32_t cmd, uint64_t arg,
	bool master);
int devpts_open_slave(struct pty *p, struct file *f, const struct call *c);
/* devpts.c */
void devpts_remove(struct pty *p);

#endif
