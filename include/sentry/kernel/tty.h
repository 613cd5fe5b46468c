/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel asks of terminals, which are files of fs/: the controlling terminal of a session.
 */
#ifndef SENTRY_KERNEL_TTY_H
#define SENTRY_KERNEL_TTY_H

struct file;
struct task;
struct tgroup;

/* A session leader ends: its terminal loses the session; the foreground group gets SIGHUP and
 * SIGCONT. No lock held. */
void tty_session_ended(struct tgroup *leader);
/* Make the terminal behind f, if it is one, the controlling terminal of t's session. */
void tty_set_controlling(struct task *t, struct file *f);

/* Lend the processes to the terminals' drivers (tty_hooks). Once, at start. */
void tty_kernel_init(void);

#endif
