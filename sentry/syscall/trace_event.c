/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events to the host program: a packet each. Who made one waits until the socket has room, whatever
 * it is told to do meanwhile: none is lost but when nobody is left to hear them. Killed tasks wait
 * too, or a program could hide what it did last.
 */
#include "gofer/wire.h"
#include "sentry/sched/sched.h"
#include "sentry/syscall/internal.h"
#include "sentry/syscall/trace_priv.h"
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RETRY_NS 1000000 /* when the host has no memory for a packet */

static int sock = -1;
static _Atomic bool closed = true;
static struct waitq room_q;
static struct hostfd_watch watch;

int
trace_event_init(int events)
{
	if (events < 0)
		return 0;
	sock = events;
	waitq_init(&room_q);
	watch = (struct hostfd_watch){.fd = sock, .q = &room_q};
	atomic_store(&closed, false);
	return sched_watch(&watch, EPOLLOUT);
}

/* -EAGAIN: no room. */
static int
try_send(const Control__Event *e)
{
	return wire_send_msg(sock, CONTROL_EVENT, 0, 0, &e->base, NULL, 0, MSG_DONTWAIT);
}

void
trace_event_send(Control__Event *e)
{
	struct waiter w;
	int r;

	if (atomic_load(&closed))
		return;
	r = try_send(e);
	if (r == -EAGAIN) {
		waiter_init_fiber(&w, fiber_self(), ~0u);
		waitq_add(&room_q, &w);
		atomic_fetch_add(&sched_host_waits, 1);
		while ((r = try_send(e)) == -EAGAIN)
			fiber_park();
		atomic_fetch_sub(&sched_host_waits, 1);
		waitq_remove(&w);
	}
	while (r == -ENOMEM || r == -ENOBUFS || r == -EAGAIN) {
		(void)fiber_park_until(sched_now_ns() + RETRY_NS);
		r = try_send(e);
	}
	if (r < 0)
		atomic_store(&closed, true); /* the host program does not listen any more */
}

void
trace_event_fill(Control__Event *e, enum moat_event_kind kind, const struct task *t)
{
	control__event__init(e);
	e->kind = kind;
	e->time_ns = (uint64_t)sched_now_ns();
	e->comm = wire_bytes(t->comm, strnlen(t->comm, sizeof t->comm - 1));
	task_numbers(t, &e->pid, &e->tid, &e->ppid);
}
