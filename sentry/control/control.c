/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket. Orders are small and rare: one fiber reads them. When the launcher closes its
 * end, the sandbox has nobody left to report to, and ends.
 */
#include "sentry/control/control.h"
#include "base/log.h"
#include "control.pb-c.h"
#include "gofer/wire.h"
#include "platform/host/err.h"
#include "sentry/fs/hostfile.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/task.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/sched.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_PID 1

static struct {
	int sock;
	struct waitq q;
	struct hostfd_watch watch;
	struct wire_packet packet; /* of the fiber */
} control;

/* A signal that the launcher got: what a terminal sends is for the foreground, the rest for the
 * first process. */
static int
signal_first(int signo)
{
	int32_t pgrp = hostfile_foreground();

	if (signo == LX_SIGWINCH && pgrp > 0) {
		hostfile_winch();
		return 0;
	}
	if (pgrp > 0 && (signo == LX_SIGINT || signo == LX_SIGQUIT || signo == LX_SIGTSTP))
		return signal_send_pgrp(pgrp, signo, NULL);
	return kernel_signal(FIRST_PID, signo);
}

static void
order(const struct wire_packet *p)
{
	if (p->head.type == CONTROL_SIGNAL) {
		Control__Signal *m =
			wire_unpack(&control__signal__descriptor, p->body, p->head.len);
		int r;

		if (!m)
			return;
		r = m->pid ? kernel_signal(m->pid, m->signo) : signal_first(m->signo);
		if (r < 0)
			log_info("signal %d to process %d: %s", m->signo, m->pid, strerror(-r));
		control__signal__free_unpacked(m, NULL);
	} else if (p->head.type == CONTROL_KILL) {
		kernel_kill_all();
	} else {
		log_warn("unknown order %u", p->head.type);
	}
}

static void
serve(void *arg)
{
	struct waiter w;

	(void)arg;
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&control.q, &w);
	for (;;) {
		int r = wire_recv(control.sock, &control.packet, MSG_DONTWAIT);

		if (r == -EAGAIN) {
			fiber_park();
			continue;
		}
		if (r <= 0)
			_exit(0); /* the launcher is gone */
		wire_close_fds(&control.packet, 0);
		order(&control.packet);
	}
}

int
control_start(int sock)
{
	struct fiber *f;
	int r;

	control.sock = sock;
	waitq_init(&control.q);
	control.watch = (struct hostfd_watch){.fd = sock, .q = &control.q};
	r = sched_watch(&control.watch, EPOLLIN);
	return r < 0 ? r : fiber_spawn(serve, NULL, &f);
}

void
control_started(int sock, int32_t pid)
{
	Control__Started m = CONTROL__STARTED__INIT;

	m.pid = pid;
	(void)wire_control_send(sock, CONTROL_STARTED, &m.base, NULL, 0);
}

void
control_exited(int sock, int32_t pid, int status)
{
	Control__Exit m = CONTROL__EXIT__INIT;

	m.pid = pid;
	m.status = status;
	(void)wire_control_send(sock, CONTROL_EXIT, &m.base, NULL, 0);
}

void
control_failed(int sock, int err, const char *text, bool exec)
{
	Control__Failed m = CONTROL__FAILED__INIT;

	m.err = err < 0 ? -err : err;
	m.text = wire_bytes(text, strlen(text));
	m.exec = exec;
	(void)wire_control_send(sock, CONTROL_FAILED, &m.base, NULL, 0);
}
