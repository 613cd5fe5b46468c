/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that clients send, and those that terminals of the host bring. */
#include "base/log.h"
#include "internal.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/tty.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/task.h"
#include <errno.h>
#include <string.h>

static bool
from_terminal(int signo)
{
	return signo == LX_SIGINT || signo == LX_SIGQUIT || signo == LX_SIGTSTP ||
	       signo == LX_SIGWINCH || signo == LX_SIGHUP;
}

int
container_signal(struct container *c, int32_t pid, int signo)
{
	/* Held, it has no handler yet and is not what it will be: whatever would end an ordinary
	 * process ends it. */
	if (pid == c->first_pid && !atomic_load(&c->started) && !signal_ignored_by_default(signo) &&
		signo != LX_SIGSTOP && signo != LX_SIGCONT && signo != LX_SIGTSTP &&
		signo != LX_SIGTTIN && signo != LX_SIGTTOU) {
		kernel_kill_all(c->kernel);
		return 0;
	}
	return kernel_signal(pid, signo);
}

int
container_signal_terminal(struct container *c, struct tty *t, int32_t pid, int signo)
{
	if (t && from_terminal(signo) && hostfile_tty_signal(t, signo) == 0)
		return 0;
	return container_signal(c, pid, signo);
}

static int
take_signal(struct conn *c, const Control__Signal *m)
{
	struct container *k = c->container;
	int32_t pid = m->pid;

	if (atomic_load(&k->ended))
		return -ESRCH;
	if (m->signo < 0 || m->signo > 64 || (m->signo == 0 && (m->terminal || m->all)))
		return -EINVAL;
	if (m->all)
		return m->signo == LX_SIGKILL ? (kernel_kill_all(k->kernel), 0)
					      : kernel_signal_every(k->kernel, m->signo);
	if (!pid && c->used) {
		mutex_lock(&c->lock);
		pid = c->pid;
		mutex_unlock(&c->lock);
		if (!pid)
			return -ESRCH;
		return m->terminal ? container_signal_terminal(k, c->tty, pid, m->signo)
				   : kernel_signal(pid, m->signo);
	}
	pid = pid ? kernel_container_pid(k->kernel, pid) : k->first_pid;
	if (!pid)
		return -ESRCH;
	return m->terminal ? container_signal_terminal(k, k->console, pid, m->signo)
			   : container_signal(k, pid, m->signo);
}

void
control_signal(struct conn *c, struct wire_control *w)
{
	Control__Signal *m = wire_unpack(&control__signal__descriptor, w->body, w->len);
	int r = m ? take_signal(c, m) : -EPROTO;

	/* One that started a process waits for its end on the same connection. */
	if (!c->quiet && !c->used)
		conn_answer(c, r);
	else if (r < 0)
		log_info("signal %d: %s", m ? m->signo : 0, strerror(-r));
	if (m)
		control__signal__free_unpacked(m, NULL);
}
