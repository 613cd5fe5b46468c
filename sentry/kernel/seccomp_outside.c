/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener that a program of the host reads: what it asks comes over a socket (gofer/bridge.h)
 * and is done by a fiber, which lives until the socket's other end is closed. That program is
 * trusted as little as one inside, but for the descriptors that it gives.
 */
#include "abi/fs.h"
#include "abi/poll.h"
#include "abi/stat.h"
#include "gofer/bridge.h"
#include "gofer/wire.h"
#include "platform/host/fdstat.h"
#include "platform/host/file.h"
#include "sentry/cred/cred.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/passed.h"
#include "sentry/kernel/seccomp_priv.h"
#include "sentry/sched/sched.h"
#include "sentry/vfs/file.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RETRY_NS 10000000ll /* before what the other end had no room for is sent again */

struct outside {
	struct seccomp_listener *l;	    /* a reader's reference */
	struct kernel_container *container; /* a reference */
	struct cred *cred;
	int sock;
	uint32_t told; /* events that the other end knows of */
	struct waitq q;
	struct hostfd_watch watch;
	struct wire_packet packet; /* the question */
};

static void
outside_free(struct outside *o)
{
	seccomp_listener_close(o->l);
	kernel_container_put(o->container);
	cred_put(o->cred);
	host_fd_close(o->sock);
	waitq_destroy(&o->q);
	free(o);
}

static int
send_packet(struct outside *o, const struct wire_head *h, const void *body, size_t len, int fd)
{
	int r;

	/* It reads whenever there is something: it has been stopped. */
	while ((r = wire_send(o->sock, h, body, len, &fd, fd >= 0, MSG_DONTWAIT)) == -EAGAIN)
		(void)fiber_park_until(sched_now_ns() + RETRY_NS);
	return r;
}

static int
tell_events(struct outside *o)
{
	uint32_t now = seccomp_listener_events(o->l);
	struct wire_head h = {.id = now, .type = BRIDGE_EVENTS};

	if (now == o->told)
		return 0;
	o->told = now;
	return send_packet(o, &h, NULL, 0, -1);
}

static int
answer(struct outside *o, int64_t result, const void *body, size_t len, int fd)
{
	struct wire_head h = {
		.id = o->packet.head.id, .type = BRIDGE_ANSWER, .error = (int32_t)result};
	int r = tell_events(o); /* who has the answer finds them as they are now */

	return r ? r : send_packet(o, &h, body, len, fd);
}

/* The process that has the memory of t. */
static int
memory_of(struct task *t)
{
	int fd;

	mutex_lock(&t->pt_lock);
	fd = t->pt ? host_pidfd(plat->host_pid(t->pt)) : -ESRCH;
	mutex_unlock(&t->pt_lock);
	return fd;
}

static int
recv_one(struct outside *o)
{
	struct lx_seccomp_notif n;
	struct task *t;
	int fd, err = seccomp_listener_take(o->l, &n, &t), r;

	if (err) {
		r = answer(o, err, NULL, 0, -1);
		if (err == -EAGAIN) /* the other end knows of none from now on */
			o->told &= ~(LX_POLLIN | LX_POLLRDNORM);
		return r;
	}
	fd = memory_of(t);
	task_put(t);
	r = answer(o, 0, &n, sizeof n, fd);
	if (fd >= 0)
		host_fd_close(fd);
	return r;
}

/* A descriptor that can be of use: what a directory or a disk holds is not shown so. */
static int
look_at(int fd)
{
	int flags = host_fd_flags(fd);
	struct host_stat st;
	int r = flags < 0 ? flags : host_fd_stat(fd, &st);

	if (r)
		return r;
	return (flags & LX_O_PATH) || LX_S_ISDIR(st.mode) || LX_S_ISBLK(st.mode) ? -EINVAL : 0;
}

static int64_t
addfd(struct outside *o)
{
	struct wire_packet *p = &o->packet;
	struct call call = {.cred = o->cred};
	struct lx_seccomp_notif_addfd a;
	struct file *file;
	int64_t r;

	memcpy(&a, p->body, sizeof a);
	r = seccomp_listener_check_addfd(&a);
	if (!r && !p->nfds)
		r = p->head.error < 0 && p->head.error > -4096 ? p->head.error : -EBADF;
	if (!r)
		r = look_at(p->fds[0]);
	if (!r)
		r = seccomp_listener_id_valid(o->l, a.id);
	if (r)
		return r;
	kernel_container_call(o->container, &call);
	r = passed_file(&call, p->fds[0], &file);
	p->fds[0] = -1;
	if (!r) {
		r = seccomp_listener_addfd(o->l, file, &a);
		file_put(file);
	}
	return r;
}

/* -errno: it cannot go on. */
static int
do_request(struct outside *o)
{
	static const size_t sizes[] = {
		[BRIDGE_RECV] = 0,
		[BRIDGE_PUT_BACK] = sizeof(uint64_t),
		[BRIDGE_SEND] = sizeof(struct lx_seccomp_notif_resp),
		[BRIDGE_ID_VALID] = sizeof(uint64_t),
		[BRIDGE_ADDFD] = sizeof(struct lx_seccomp_notif_addfd),
	};
	struct wire_packet *p = &o->packet;
	struct lx_seccomp_notif_resp resp;
	uint64_t id = 0;

	if (p->head.type < BRIDGE_RECV || p->head.type > BRIDGE_ADDFD ||
		p->head.len != sizes[p->head.type] ||
		p->nfds > (p->head.type == BRIDGE_ADDFD ? 1u : 0u))
		return -EPROTO;
	if (p->head.len >= sizeof id)
		memcpy(&id, p->body, sizeof id);
	switch (p->head.type) {
	case BRIDGE_RECV:
		return recv_one(o);
	case BRIDGE_PUT_BACK:
		seccomp_listener_put_back(o->l, id);
		return answer(o, 0, NULL, 0, -1);
	case BRIDGE_SEND:
		memcpy(&resp, p->body, sizeof resp);
		return answer(o, seccomp_listener_reply(o->l, &resp), NULL, 0, -1);
	case BRIDGE_ID_VALID:
		return answer(o, seccomp_listener_id_valid(o->l, id), NULL, 0, -1);
	default:
		return answer(o, addfd(o), NULL, 0, -1);
	}
}

static void
serve(void *arg)
{
	struct outside *o = arg;
	struct waiter here, there;
	int r = 0;

	waiter_init_fiber(&here, fiber_self(), ~0u);
	waiter_init_fiber(&there, fiber_self(), ~0u);
	waitq_add(seccomp_listener_wq(o->l), &here);
	waitq_add(&o->q, &there);
	while (r >= 0) {
		r = wire_recv(o->sock, &o->packet, MSG_DONTWAIT);
		if (r == -EAGAIN) {
			r = tell_events(o);
			if (r == 0)
				fiber_park();
		} else if (r > 0) {
			r = do_request(o);
			for (uint32_t i = 0; i < o->packet.nfds; i++)
				if (o->packet.fds[i] >= 0)
					host_fd_close(o->packet.fds[i]);
		} else if (r == 0) {
			r = -ECONNRESET;
		}
	}
	waitq_remove(&here);
	waitq_remove(&there);
	sched_unwatch(&o->watch);
	outside_free(o);
}

int
seccomp_listener_outside(struct seccomp_filter *f, int sock, struct kernel_container *k)
{
	struct outside *o = calloc(1, sizeof *o);
	struct fiber *fiber;
	int err = o ? seccomp_listener_new(f, &o->l) : -ENOMEM;

	if (err) {
		free(o);
		host_fd_close(sock);
		return err;
	}
	o->sock = sock;
	o->container = kernel_container_get(k);
	o->cred = cred_new_root();
	waitq_init(&o->q);
	o->watch = (struct hostfd_watch){.fd = sock, .q = &o->q};
	err = o->cred ? sched_watch(&o->watch, EPOLLIN | EPOLLRDHUP) : -ENOMEM;
	if (!err && (err = fiber_spawn(serve, o, &fiber)))
		sched_unwatch(&o->watch);
	if (err)
		outside_free(o);
	return err;
}
