/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask for, one function for each message, and the life of the first process: loaded,
 * held until GO, running, ended, which ends this process with its status.
 */
#include "sentry/control/control.h"
#include "base/log.h"
#include "control.pb-c.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/control/process.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/tty.h"
#include "sentry/kernel/control.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/task.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define RETRY_NS      100000000ll /* before accept is tried again after a failure */
#define ANCHOR_END_MS 2000

int32_t control_first_pid;

static struct {
	int listen, signals, anchor;
	struct waitq listen_q, signal_q, anchor_q;
	struct hostfd_watch listen_watch, signal_watch, anchor_watch;
	bool hold;
	_Atomic(struct fiber *) held; /* waits for GO */
	_Atomic bool loaded, started;
	struct fs_ctx *world;
	struct tty *console;
	struct conn *launcher;
} control;

/* --- signals --- */

static bool
from_terminal(int signo)
{
	return signo == LX_SIGINT || signo == LX_SIGQUIT || signo == LX_SIGTSTP ||
	       signo == LX_SIGWINCH || signo == LX_SIGHUP;
}

static int
signal_process(int32_t pid, int signo)
{
	/* Held, it has no handler yet and is not what it will be: whatever would end an ordinary
	 * process ends it. */
	if (pid == control_first_pid && !atomic_load(&control.started) &&
		!signal_ignored_by_default(signo) && signo != LX_SIGSTOP && signo != LX_SIGCONT &&
		signo != LX_SIGTSTP && signo != LX_SIGTTIN && signo != LX_SIGTTOU) {
		kernel_kill_all();
		return 0;
	}
	return kernel_signal(pid, signo);
}

/* A signal whose sender was told by the terminal: for who stands in front of it. */
static int
signal_terminal(struct tty *t, int32_t pid, int signo)
{
	if (t && from_terminal(signo) && hostfile_tty_signal(t, signo) == 0)
		return 0;
	return signal_process(pid, signo);
}

static int
take_signal(struct conn *c, const Control__Signal *m)
{
	int32_t pid = m->pid;

	if (m->signo < 0 || m->signo > 64 || (m->signo == 0 && (m->terminal || m->all)))
		return -EINVAL;
	if (m->all)
		return m->signo == LX_SIGKILL ? (kernel_kill_all(), 0)
					      : kernel_signal_every(m->signo);
	if (!pid && c->used) {
		mutex_lock(&c->lock);
		pid = c->pid;
		mutex_unlock(&c->lock);
		if (!pid)
			return -ESRCH;
		return m->terminal ? signal_terminal(c->tty, pid, m->signo)
				   : kernel_signal(pid, m->signo);
	}
	if (!pid)
		pid = control_first_pid;
	return m->terminal ? signal_terminal(control.console, pid, m->signo)
			   : signal_process(pid, m->signo);
}

/* What this process itself is sent, by its terminal or by others, is meant for the first process.
 */
static void
serve_signals(void *arg)
{
	struct signalfd_siginfo si;
	struct waiter w;

	(void)arg;
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&control.signal_q, &w);
	for (;;) {
		ssize_t n = host_fd_read(control.signals, &si, sizeof si);
		int signo = (int)si.ssi_signo;

		if (n != sizeof si) {
			fiber_park();
			continue;
		}
		if (control.console && si.ssi_code == SI_KERNEL)
			(void)signal_terminal(control.console, control_first_pid, signo);
		else if (signo != LX_SIGTSTP)
			(void)signal_process(control_first_pid, signo);
	}
}

/* --- the anchor --- */

/* What it is sent is meant for the first process. When it is killed, so is the sandbox: engines
 * know no other number. */
static void
serve_anchor(void *arg)
{
	struct waiter w;
	uint8_t signo;

	(void)arg;
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&control.anchor_q, &w);
	for (;;) {
		ssize_t n = host_fd_read(control.anchor, &signo, sizeof signo);

		if (n == -EAGAIN)
			fiber_park();
		else if (n == sizeof signo && signo >= 1 && signo <= 64)
			(void)signal_process(control_first_pid, signo);
		else if (n <= 0)
			_exit(128 + LX_SIGKILL);
	}
}

/* It ends as the first process did, before this one ends: it is in this one's pid namespace, and
 * would be killed. One that has been stopped is not waited for for ever. */
static void
end_anchor(int32_t status)
{
	uint8_t signo;

	if (control.anchor < 0 ||
		host_fd_write(control.anchor, &status, sizeof status) != sizeof status)
		return;
	for (int i = 0; i < ANCHOR_END_MS / 100; i++) {
		int events = host_fd_poll(control.anchor, POLLIN, 100);

		if (events < 0 || (events & POLLHUP) ||
			(events && host_fd_read(control.anchor, &signo, sizeof signo) <= 0))
			return;
	}
}

/* --- processes --- */

static void
added_started(void *arg, int err)
{
	struct conn *c = arg;
	Control__Started m = CONTROL__STARTED__INIT;

	if (err) {
		mutex_lock(&c->lock);
		c->pid = 0;
		mutex_unlock(&c->lock);
		conn_fail(c, err, strerror(-err), true);
		conn_put(c); /* there will be no exit to tell of */
		return;
	}
	m.pid = task_tgid(task_current());
	mutex_lock(&c->lock);
	c->pid = m.pid;
	mutex_unlock(&c->lock);
	conn_send(c, CONTROL_STARTED, &m.base);
	mutex_lock(&c->lock);
	if (c->closed)
		c->pid = 0;
	else
		m.pid = 0;
	mutex_unlock(&c->lock);
	if (m.pid)
		(void)kernel_signal(m.pid, LX_SIGKILL); /* the client went meanwhile */
}

static void
added_ended(void *arg, int status)
{
	struct conn *c = arg;
	int32_t pid;

	mutex_lock(&c->lock);
	pid = c->pid;
	c->pid = 0;
	mutex_unlock(&c->lock);
	conn_exit(c, pid, status);
	conn_put(c);
}

static void
take_exec(struct conn *c, struct wire_control *w)
{
	Control__Exec *m = wire_unpack(&control__exec__descriptor, w->body, w->len);
	struct kernel_process kp = {.on_start = added_started, .on_exit = added_ended, .arg = c};
	struct process_fail why;
	struct fs_ctx *fs;
	int fds[WIRE_FDS_MAX];
	int32_t pid;
	int r;

	if (!m || w->nfds < 3 || !process_ok(m->process)) {
		conn_fail(c, EPROTO, "malformed request to start a process", false);
		goto out;
	}
	if (c->used || !control.world || !atomic_load(&control.loaded)) {
		conn_fail(c, EBUSY, "no process can be started now", false);
		goto out;
	}
	fs = fs_ctx_dup(control.world);
	if (!fs) {
		conn_fail(c, ENOMEM, "out of memory", false);
		goto out;
	}
	for (uint32_t i = 0; i < w->nfds; i++) {
		fds[i] = w->fds[i];
		w->fds[i] = -1;
		if (i < 3 && (m->process->closed >> i & 1)) {
			host_fd_close(fds[i]);
			fds[i] = -1;
		}
	}
	c->used = true;
	conn_get(c); /* of the process */
	r = process_start(m->process, fs, fds, (int)w->nfds - 3, &kp, &pid, &c->tty, &why);
	if (r < 0) {
		conn_fail(c, r, why.text, false);
		conn_put(c);
	}
out:
	if (m)
		control__exec__free_unpacked(m, NULL);
}

struct collect {
	Control__ProcessInfo *p;
	size_t n, cap;
	bool failed;
};

static void
collect_one(void *arg, const struct kernel_process_info *in)
{
	struct collect *l = arg;
	Control__ProcessInfo *p;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;

		p = realloc(l->p, cap * sizeof *p);
		if (!p) {
			l->failed = true;
			return;
		}
		l->p = p;
		l->cap = cap;
	}
	p = &l->p[l->n++];
	control__process_info__init(p);
	p->pid = in->pid;
	p->ppid = in->ppid;
	p->host_pid = in->host_pid;
	p->uid = in->uid;
	p->name.data = (uint8_t *)strdup(in->name);
	p->name.len = p->name.data ? strlen(in->name) : 0;
}

static void
tell_processes(struct conn *c)
{
	Control__ProcessList m = CONTROL__PROCESS_LIST__INIT;
	struct collect l = {0};

	kernel_each_process(collect_one, &l);
	m.processes = calloc(l.n + 1, sizeof *m.processes);
	for (size_t i = 0; m.processes && i < l.n; i++)
		m.processes[i] = &l.p[i];
	m.n_processes = l.n;
	if (l.failed || !m.processes)
		conn_fail(c, ENOMEM, "out of memory", false);
	else
		conn_send(c, CONTROL_PROCESS_LIST, &m.base);
	for (size_t i = 0; i < l.n; i++)
		free(l.p[i].name.data);
	free(m.processes);
	free(l.p);
}

/* --- requests --- */

static void
go(void)
{
	struct fiber *f;

	atomic_store(&control.started, true);
	f = atomic_load(&control.held);
	if (f)
		fiber_wake(f);
}

static void
answer(struct conn *c, int r)
{
	if (r < 0)
		conn_fail(c, r, strerror(-r), false);
	else
		conn_send(c, CONTROL_DONE, NULL);
}

static void
request_signal(struct conn *c, struct wire_control *w)
{
	Control__Signal *m = wire_unpack(&control__signal__descriptor, w->body, w->len);
	int r = m ? take_signal(c, m) : -EPROTO;

	/* One that started a process waits for its end on the same connection. */
	if (!c->quiet && !c->used)
		answer(c, r);
	else if (r < 0)
		log_info("signal %d: %s", m ? m->signo : 0, strerror(-r));
	if (m)
		control__signal__free_unpacked(m, NULL);
}

static void
request_resources(struct conn *c, struct wire_control *w)
{
	Control__Resources *m = wire_unpack(&control__resources__descriptor, w->body, w->len);

	if (m && m->memory_limit)
		kernel_set_memory_limit(m->memory_limit);
	if (m && m->pids_limit)
		kernel_set_pids_limit(m->pids_limit);
	if (m && m->cpu_quota_us)
		kernel_set_cpu_limit(
			m->cpu_quota_us == UINT64_MAX ? 0 : m->cpu_quota_us, m->cpu_period_us);
	else if (m && m->cpu_period_us)
		kernel_set_cpu_limit(kernel_cpu_limit().quota_us, m->cpu_period_us);
	answer(c, m ? 0 : -EPROTO);
	if (m)
		control__resources__free_unpacked(m, NULL);
}

static int
request_client(struct wire_control *w)
{
	int sock = w->nfds == 1 ? w->fds[0] : -1;

	if (sock < 0)
		return -EPROTO;
	w->fds[0] = -1;
	return conn_new(sock, false, false, NULL);
}

static void
tell_state(struct conn *c)
{
	Control__State m = CONTROL__STATE__INIT;

	m.started = atomic_load(&control.started);
	m.paused = kernel_is_paused();
	conn_send(c, CONTROL_STATE_IS, &m.base);
}

void
control_request(struct conn *c, struct wire_control *w)
{
	int r;

	switch (w->type) {
	case CONTROL_SIGNAL:
		request_signal(c, w);
		break;
	case CONTROL_KILL:
		kernel_kill_all();
		if (!c->quiet)
			answer(c, 0);
		break;
	case CONTROL_DETACH:
		c->holds = false;
		answer(c, 0);
		break;
	case CONTROL_GO:
		if (atomic_load(&control.loaded) && !atomic_load(&control.started)) {
			go();
			answer(c, 0);
		} else {
			answer(c, -EINVAL);
		}
		break;
	case CONTROL_CLIENT:
		r = request_client(w);
		if (!c->quiet)
			answer(c, r);
		break;
	case CONTROL_EXEC:
		take_exec(c, w);
		break;
	case CONTROL_WAIT:
		mutex_lock(&conns_lock);
		c->waits = true;
		mutex_unlock(&conns_lock);
		break;
	case CONTROL_PAUSE:
		kernel_pause();
		answer(c, 0);
		break;
	case CONTROL_RESUME:
		kernel_resume();
		answer(c, 0);
		break;
	case CONTROL_PROCESSES:
		tell_processes(c);
		break;
	case CONTROL_STATE:
		tell_state(c);
		break;
	case CONTROL_INSPECT:
		control_inspect(c, w);
		break;
	case CONTROL_RESOURCES:
		request_resources(c, w);
		break;
	default:
		log_warn("unknown request %u", w->type);
		answer(c, -ENOSYS);
	}
}

void
control_client_gone(struct conn *c)
{
	int32_t pid;

	if (c->holds)
		_exit(0); /* nobody is left to report to */
	mutex_lock(&c->lock);
	pid = c->pid;
	c->pid = 0;
	mutex_unlock(&c->lock);
	if (pid)
		(void)kernel_signal(pid, LX_SIGKILL);
}

/* --- who connects --- */

static void
serve_listen(void *arg)
{
	struct waiter w;

	(void)arg;
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&control.listen_q, &w);
	for (;;) {
		int fd = host_socket_accept(control.listen, NULL, NULL);

		if (fd == -EAGAIN)
			fiber_park();
		else if (fd < 0)
			(void)fiber_park_until(sched_now_ns() + RETRY_NS);
		else
			(void)conn_new(fd, false, false, NULL);
	}
}

static int
serve_fd(int fd, struct waitq *q, struct hostfd_watch *w, void (*fn)(void *))
{
	struct fiber *f;
	int r;

	waitq_init(q);
	if (fd < 0)
		return 0;
	*w = (struct hostfd_watch){.fd = fd, .q = q};
	r = sched_watch(w, EPOLLIN);
	return r < 0 ? r : fiber_spawn(fn, NULL, &f);
}

int
control_start(int launcher, int listen, int signals, int anchor, bool hold)
{
	int r;

	control.listen = listen;
	control.signals = signals;
	control.anchor = anchor;
	control.hold = hold;
	r = conn_new(launcher, true, true, &control.launcher);
	if (r == 0)
		r = serve_fd(listen, &control.listen_q, &control.listen_watch, serve_listen);
	if (r == 0)
		r = serve_fd(signals, &control.signal_q, &control.signal_watch, serve_signals);
	if (r == 0)
		r = serve_fd(anchor, &control.anchor_q, &control.anchor_watch, serve_anchor);
	return r;
}

void
control_world(struct fs_ctx *fs)
{
	control.world = fs_ctx_get(fs);
}

void
control_console(struct tty *t)
{
	control.console = t ? tty_get(t) : NULL;
}

/* --- the first process --- */

void
control_first_started(void *arg, int err)
{
	Control__Started m = CONTROL__STARTED__INIT;
	struct task *t = task_current();

	(void)arg;
	if (err) {
		conn_fail(control.launcher, err, strerror(-err), true);
		_exit(0);
	}
	m.pid = control_first_pid;
	atomic_store(&control.held, fiber_self());
	atomic_store(&control.loaded, true);
	if (!control.hold)
		atomic_store(&control.started, true);
	conn_send(control.launcher, CONTROL_STARTED, &m.base);
	while (!atomic_load(&control.started) && !(atomic_load(&t->work) & TW_EXIT))
		fiber_park();
	atomic_store(&control.held, NULL);
}

void
control_first_ended(void *arg, int status)
{
	struct conn *c;

	(void)arg;
	kernel_log_live(); /* now: the launcher ends this process when it hears of the exit */
	mutex_lock(&conns_lock);
	list_for_each_entry (c, &conns, node)
		if (c->waits)
			conn_exit(c, control_first_pid, status);
	mutex_unlock(&conns_lock);
	end_anchor(status);
	/* The init of the pid namespace: every stub goes with it. */
	_exit(status & 127 ? 128 + (status & 127) : status >> 8 & 255);
}

void
control_failed(int launcher, int err, const char *text, bool exec)
{
	Control__Failed m = CONTROL__FAILED__INIT;

	m.err = err < 0 ? -err : err;
	m.text = wire_bytes(text, strlen(text));
	m.exec = exec;
	(void)wire_control_send(launcher, CONTROL_FAILED, &m.base, NULL, 0);
}
