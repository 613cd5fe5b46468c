/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection: packets are put together to messages by one fiber, which hands them to
 * control.c one after the other.
 */
#include "base/log.h"
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/fs/tty.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/task.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct mutex conns_lock = MUTEX_INIT(EVENT);
struct list conns = LIST_INIT(conns), containers = LIST_INIT(containers);

struct conn *
conn_get(struct conn *c)
{
	ref_get(&c->ref);
	return c;
}

void
conn_put(struct conn *c)
{
	if (!ref_put(&c->ref))
		return;
	host_fd_close(c->sock);
	waitq_destroy(&c->q);
	mutex_destroy(&c->lock);
	tty_put(c->tty);
	container_put(c->container);
	wire_control_free(&c->msg);
	free(c);
}

void
conn_send(struct conn *c, uint16_t type, const ProtobufCMessage *m)
{
	size_t len = m ? protobuf_c_message_get_packed_size(m) : 0, off = 0;
	uint8_t *buf = len ? malloc(len) : NULL;
	int r = len && !buf ? -ENOMEM : 0;

	if (buf)
		protobuf_c_message_pack(m, buf);
	mutex_lock(&c->lock);
	while (r == 0 && !c->closed) {
		size_t part = len - off < WIRE_BODY_MAX ? len - off : WIRE_BODY_MAX;
		struct wire_head h = {.type = type, .more = off + part < len};

		r = wire_send(c->sock, &h, buf ? buf + off : NULL, part, NULL, 0, MSG_DONTWAIT);
		off += part;
		if (off >= len)
			break;
	}
	if (r < 0 && !c->closed) {
		log_info("a client does not listen: %s", strerror(-r));
		c->closed = true;
		shutdown(c->sock, SHUT_RDWR);
	}
	mutex_unlock(&c->lock);
	free(buf);
}

void
conn_fail(struct conn *c, int err, const char *text, bool exec)
{
	Control__Failed m = CONTROL__FAILED__INIT;

	m.err = err < 0 ? -err : err;
	m.text = wire_bytes(text, strlen(text));
	m.exec = exec;
	conn_send(c, CONTROL_FAILED, &m.base);
}

void
conn_exit(struct conn *c, int32_t pid, int status, const struct kernel_usage *u)
{
	Control__Exit m = CONTROL__EXIT__INIT;
	Control__Usage use = CONTROL__USAGE__INIT;

	m.pid = pid;
	m.status = status;
	m.usage = &use;
	use.user_ns = (uint64_t)u->user_ns;
	use.system_ns = (uint64_t)u->system_ns;
	use.wall_ns = (uint64_t)u->wall_ns;
	use.memory_peak = u->memory_peak_bytes;
	m.limit = u->limit;
	m.limits_met = u->limits_met;
	conn_send(c, CONTROL_EXIT, &m.base);
}

void
conn_started(struct conn *c, int32_t pid, struct container *first_of)
{
	Control__Started m = CONTROL__STARTED__INIT;
	struct task *t = task_current();

	m.pid = pid;
	m.container = first_of ? first_of->nr : 0;
	m.zygote_pid = first_of ? kernel_container_zygote(first_of->kernel) : 0;
	mutex_lock(&t->pt_lock);
	m.host_pid = t->pt ? plat->host_pid(t->pt) : 0;
	mutex_unlock(&t->pt_lock);
	conn_send(c, CONTROL_STARTED, &m.base);
}

/* Add the packet to the message. 1: it is whole; 0: more has to come; -EPROTO, -E2BIG, -ENOMEM,
 * -EMFILE. */
static int
gather(struct conn *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_control *m = &c->msg;
	uint8_t *grown;

	if (p->fds_lost)
		return -EMFILE;
	if ((m->type && (p->head.type != m->type || p->nfds)) || !p->head.type ||
		p->head.len > WIRE_CONTROL_MAX - m->len) {
		wire_close_fds(p, 0);
		return m->type ? -EPROTO : -E2BIG;
	}
	if (!m->type) {
		m->type = p->head.type;
		m->nfds = p->nfds;
		memcpy(m->fds, p->fds, p->nfds * sizeof(int));
	}
	if (p->head.len) {
		grown = realloc(m->body, m->len + p->head.len);
		if (!grown)
			return -ENOMEM;
		m->body = grown;
		memcpy(m->body + m->len, p->body, p->head.len);
		m->len += p->head.len;
	}
	return !p->head.more;
}

static void
serve(void *arg)
{
	struct conn *c = arg;
	struct waiter w;
	int r;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&c->q, &w);
	for (;;) {
		r = wire_recv(c->sock, &c->packet, MSG_DONTWAIT);
		if (r == -EAGAIN) {
			fiber_park();
			continue;
		}
		if (r > 0)
			r = gather(c);
		else if (r == 0)
			r = -ECONNRESET;
		if (r < 0)
			break;
		if (r > 0) {
			control_request(c, &c->msg);
			wire_control_free(&c->msg);
		}
	}
	waitq_remove(&w);
	sched_unwatch(&c->watch);
	mutex_lock(&conns_lock);
	list_del(&c->node);
	mutex_unlock(&conns_lock);
	mutex_lock(&c->lock);
	c->closed = true;
	mutex_unlock(&c->lock);
	/* Now, not with the last reference, which a process that still runs may have. */
	shutdown(c->sock, SHUT_RDWR);
	control_client_gone(c);
	conn_put(c);
}

int
conn_new(int sock, struct container *of, bool launcher, struct conn **ret)
{
	struct conn *c = calloc(1, sizeof *c);
	struct fiber *f;
	int r;

	if (!c) {
		host_fd_close(sock);
		return -ENOMEM;
	}
	ref_init(&c->ref);
	c->sock = sock;
	c->container = container_get(of);
	c->quiet = c->holds = c->waits = launcher;
	waitq_init(&c->q);
	mutex_init(&c->lock, LR_LEAF);
	c->watch = (struct hostfd_watch){.fd = sock, .q = &c->q};
	r = sched_watch(&c->watch, EPOLLIN | EPOLLRDHUP);
	if (r < 0) {
		conn_put(c);
		return r;
	}
	mutex_lock(&conns_lock);
	list_push_back(&conns, &c->node);
	mutex_unlock(&conns_lock);
	if (ret)
		*ret = conn_get(c);
	r = fiber_spawn(serve, c, &f);
	if (r < 0)
		panic("out of memory for a fiber");
	return 0;
}

void
conn_make_launcher(struct conn *c, struct container *of)
{
	struct container *old = c->container;

	mutex_lock(&conns_lock);
	c->container = container_get(of);
	c->quiet = c->holds = c->waits = true;
	mutex_unlock(&conns_lock);
	container_put(old);
}
