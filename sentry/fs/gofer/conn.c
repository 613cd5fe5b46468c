/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: requests go out with a number, the fiber parks, and whichever worker sees the
 * reply come in hands it to that fiber. A gofer that is gone or breaks the protocol fails
 * everything with EIO and is reported.
 */
#include "base/log.h"
#include "internal.h"
#include "platform/host/err.h"
#include "platform/host/file.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/sched.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS	     64
#define FORGET_BATCH 64
#define POLL_NS	     30000
#define POLL_SKIP    16
#define SOON_NS	     1000000 /* an answer that takes longer is not waited for in a hurry */

struct pending {
	struct list node;
	uint64_t id;
	uint16_t type;
	_Atomic bool done;
	struct fiber *fiber; /* NULL: nobody waits any longer */
	int err;
	uint32_t nfds;
	int fds[WIRE_FDS_MAX];
	uint8_t *body; /* malloc'd */
	size_t len;
};

/* Numbers that the other end is to be told, malloc'd. */
struct notes {
	uint64_t *v;
	uint32_t n, cap;
};

struct gofer_conn {
	struct ref ref;
	struct list node; /* of those that are not closed (gofer_conn_close), and no virtual ones */
	bool virtual;	  /* who waits can be killed */
	_Atomic int skip; /* how many do not poll for their answer */
	int sock;
	struct hostfd_watch watch;
	_Atomic uint32_t drainers;
	struct wire_packet *packet; /* of who drains */
	struct mutex lock;	    /* all below */
	struct list pending[BUCKETS];
	uint64_t next_id;
	bool dead;
	struct notes forget, close; /* nodes; open files of a virtual mount */
	struct waitq writable;	    /* who waits for room in the socket */
	void (*died)(void *arg, const char *why);
	void *arg;
};

static struct mutex living_lock = MUTEX_INIT(GOFER);
static struct list living = LIST_INIT(living);

static const struct {
	const ProtobufCMessageDescriptor *rep;
} messages[WIRE_GOFER_COUNT] = {
#define GOFER(NAME, name, Req, req, Rep, rep) [GOFER_##NAME] = {&gofer__##rep##__descriptor},
#define VIRTUAL				      GOFER
#include "gofer/proto/messages.def"
#undef VIRTUAL
#undef GOFER
};

/* Fail all that wait, and all that come. */
static void
connection_lost(struct gofer_conn *conn, const char *why)
{
	void (*died)(void *arg, const char *why);

	mutex_lock(&conn->lock);
	died = conn->dead ? NULL : conn->died;
	conn->dead = true;
	for (int i = 0; i < BUCKETS; i++) {
		struct list *l;

		while ((l = list_pop_front(&conn->pending[i]))) {
			struct pending *p = list_entry(l, struct pending, node);

			if (!p->fiber) {
				free(p);
				continue;
			}
			p->err = -EIO;
			atomic_store_explicit(&p->done, true, memory_order_release);
			fiber_wake(p->fiber);
		}
	}
	mutex_unlock(&conn->lock);
	waitq_notify(&conn->writable, ~0u);
	if (died)
		died(conn->arg, why);
}

static void flush_closed_locked(struct gofer_conn *conn);
static void take_back(struct gofer_conn *conn, uint16_t type, const void *body, size_t len);

/* Hand a reply to its request. False: nobody asked for this. */
static bool
deliver(struct gofer_conn *conn, struct wire_packet *p)
{
	struct pending *q, *found = NULL;
	uint8_t *body = NULL;

	if (p->head.type == 0 || p->head.type >= WIRE_GOFER_COUNT || p->head.more ||
		p->head.error > 0 || p->head.error < -4095)
		return false;
	if (p->head.len && !(body = malloc(p->head.len)))
		panic("out of memory");
	if (body)
		memcpy(body, p->body, p->head.len);
	mutex_lock(&conn->lock);
	list_for_each_entry (q, &conn->pending[p->head.id % BUCKETS], node)
		if (q->id == p->head.id && q->type == p->head.type) {
			found = q;
			break;
		}
	if (found && !found->fiber) {
		list_del(&found->node);
		mutex_unlock(&conn->lock);
		if (!p->head.error)
			take_back(conn, p->head.type, p->body, p->head.len);
		free(found);
		free(body);
		wire_close_fds(p, 0);
		return true;
	}
	if (found) {
		list_del(&found->node);
		/* No descriptor is free here; what came with the reply is not missed. */
		found->err = p->fds_lost && !p->head.error ? -ENFILE : p->head.error;
		found->body = body;
		found->len = p->head.len;
		found->nfds = p->nfds;
		memcpy(found->fds, p->fds, p->nfds * sizeof p->fds[0]);
		atomic_store_explicit(&found->done, true, memory_order_release);
		p->nfds = 0;
		fiber_wake(found->fiber);
	}
	mutex_unlock(&conn->lock);
	if (!found)
		free(body);
	return found != NULL;
}

/* Take what there is. By one worker at a time. */
static void
drain(struct gofer_conn *conn)
{
	int r;

	for (;;) {
		r = wire_recv(conn->sock, conn->packet, MSG_DONTWAIT);
		if (r == -EAGAIN)
			return;
		if (r <= 0)
			break;
		if (!deliver(conn, conn->packet)) {
			wire_close_fds(conn->packet, 0);
			r = -EPROTO;
			break;
		}
	}
	connection_lost(conn, r == 0	     ? "the gofer died"
			      : r == -EPROTO ? "the gofer broke the protocol"
					     : "error on the gofer's connection");
}

/* Whoever comes while another worker drains lets that one look again. */
static void
drain_once(struct gofer_conn *conn)
{
	uint32_t n;

	if (atomic_fetch_add(&conn->drainers, 1))
		return;
	do {
		n = atomic_load(&conn->drainers);
		drain(conn);
	} while (!atomic_compare_exchange_strong(&conn->drainers, &n, 0));
}

static void
readable(struct hostfd_watch *w, uint32_t events)
{
	struct gofer_conn *conn = container_of(w, struct gofer_conn, watch);

	if (events & EPOLLOUT) {
		waitq_notify(&conn->writable, ~0u);
		mutex_lock(&conn->lock);
		flush_closed_locked(conn);
		mutex_unlock(&conn->lock);
	}
	drain_once(conn);
}

/* Look for the answer a while before parking: it mostly comes sooner than a sleeping worker wakes.
 * Where it does not (the CPUs are busy), the next requests do not try. */
static void
poll_reply(struct gofer_conn *conn, struct pending *p)
{
	int64_t end;

	if (atomic_load_explicit(&conn->skip, memory_order_relaxed) > 0) {
		atomic_fetch_sub_explicit(&conn->skip, 1, memory_order_relaxed);
		return;
	}
	end = sched_now_ns() + POLL_NS;
	while (!atomic_load(&p->done)) {
		if (sched_now_ns() >= end) {
			atomic_store_explicit(&conn->skip, POLL_SKIP, memory_order_relaxed);
			return;
		}
		if (!atomic_load_explicit(&conn->drainers, memory_order_relaxed))
			drain_once(conn);
		for (int i = 0; i < 32 && !p->done; i++)
			__builtin_ia32_pause();
	}
}

/* Send one packet; parks while there is no room. given: a descriptor to pass, or -1. */
static int
send_request(
	struct gofer_conn *conn, uint16_t type, uint64_t id, const ProtobufCMessage *req, int given)
{
	struct waiter w;
	uint32_t n = given >= 0;
	int r;

	if (conn->virtual && fiber_killed())
		return -EINTR;
	r = wire_send_msg(conn->sock, type, id, 0, req, &given, n, MSG_DONTWAIT);
	if (r != -EAGAIN)
		return r;
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&conn->writable, &w);
	/* The deadline is for a notification that came between the try and the registration. */
	while ((r = wire_send_msg(conn->sock, type, id, 0, req, &given, n, MSG_DONTWAIT)) ==
		-EAGAIN) {
		if (conn->virtual && fiber_killed()) {
			r = -EINTR;
			break;
		}
		fiber_park_until(sched_now_ns() + 1000000);
	}
	waitq_remove(&w);
	return r;
}

/* Add a number. It is lost when memory is out: the other end keeps what it stands for for nothing.
 */
static void
note(struct notes *l, uint64_t v)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : FORGET_BATCH;
		uint64_t *p = realloc(l->v, cap * sizeof *p);

		if (!p)
			return;
		l->v = p;
		l->cap = cap;
	}
	l->v[l->n++] = v;
}

/* Send what there is. What is not sent for lack of room stays until next time. */
static void
flush_forgotten_locked(struct gofer_conn *conn)
{
	struct notes *l = &conn->forget;

	while (l->n) {
		Gofer__ForgetReq q = GOFER__FORGET_REQ__INIT;

		q.n_nodes = l->n < FORGET_BATCH ? l->n : FORGET_BATCH;
		q.nodes = l->v + l->n - q.n_nodes;
		if (wire_send_msg(conn->sock, GOFER_FORGET, 0, 0, &q.base, NULL, 0, MSG_DONTWAIT) ==
			-EAGAIN)
			break;
		l->n -= (uint32_t)q.n_nodes;
	}
}

static void
flush_closed_locked(struct gofer_conn *conn)
{
	struct notes *l = &conn->close;

	while (l->n) {
		Gofer__FileReq q = GOFER__FILE_REQ__INIT;

		q.file = l->v[l->n - 1];
		if (wire_send_msg(conn->sock, GOFER_FILE_CLOSE, 0, 0, &q.base, NULL, 0,
			    MSG_DONTWAIT) == -EAGAIN)
			break;
		l->n--;
	}
}

void
gofer_forget(struct gofer_conn *conn, uint64_t node)
{
	WITH_MUTEX(&conn->lock);

	if (conn->dead)
		return;
	note(&conn->forget, node);
	if (conn->forget.n >= FORGET_BATCH)
		flush_forgotten_locked(conn);
}

void
gofer_file_close(struct gofer_conn *conn, uint64_t file)
{
	WITH_MUTEX(&conn->lock);

	if (conn->dead)
		return;
	note(&conn->close, file);
	flush_closed_locked(conn);
}

/* An answer that nobody waits for any longer: what it brought is given back. */
static void
take_back(struct gofer_conn *conn, uint16_t type, const void *body, size_t len)
{
	ProtobufCMessage *m = wire_unpack(messages[type].rep, body, len);

	if (!m)
		return;
	if (messages[type].rep == &gofer__node_rep__descriptor) {
		Gofer__NodeRep *a = (Gofer__NodeRep *)m;

		if (a->node)
			gofer_forget(conn, a->node->id);
	} else if (messages[type].rep == &gofer__walk_rep__descriptor) {
		Gofer__WalkRep *a = (Gofer__WalkRep *)m;

		for (size_t i = 0; i < a->n_nodes; i++)
			gofer_forget(conn, a->nodes[i]->id);
	} else if (messages[type].rep == &gofer__lookups_rep__descriptor) {
		Gofer__LookupsRep *a = (Gofer__LookupsRep *)m;

		for (size_t i = 0; i < a->n_found; i++)
			if (a->found[i]->node)
				gofer_forget(conn, a->found[i]->node->id);
	} else if (messages[type].rep == &gofer__file_rep__descriptor) {
		gofer_file_close(conn, ((Gofer__FileRep *)m)->file);
	}
	protobuf_c_message_free_unpacked(m, NULL);
}

/* The one who waits is killed: the answer will be thrown away. False: it is there already. */
static bool
abandon(struct gofer_conn *conn, struct pending *p)
{
	WITH_MUTEX(&conn->lock);

	if (p->done)
		return false;
	p->fiber = NULL;
	return true;
}

/* Wait for the answer. -EINTR: it is no longer wanted, and p is not the caller's any longer. */
static int
await(struct gofer_conn *conn, struct pending *p)
{
	int64_t soon = conn->virtual ? sched_now_ns() + SOON_NS : INT64_MAX;
	bool killed = false;

	if (sched_ncpu() > 1)
		poll_reply(conn, p);
	atomic_fetch_add(&sched_host_waits, 1);
	while (!atomic_load(&p->done) && !killed && fiber_park_until(soon))
		killed = conn->virtual && fiber_killed() && abandon(conn, p);
	atomic_fetch_sub(&sched_host_waits, 1);
	/* It takes its time. */
	while (!killed && !atomic_load(&p->done)) {
		killed = fiber_killed() && abandon(conn, p);
		if (!killed)
			fiber_park();
	}
	return killed ? -EINTR : 0;
}

/* Send the request and wait. -EOWNERDEAD: killed, and p is not the caller's any longer. */
static int
transact(struct gofer_conn *conn, struct pending *p, const ProtobufCMessage *req, int given)
{
	int r;

	mutex_lock(&conn->lock);
	if (conn->dead) {
		mutex_unlock(&conn->lock);
		return -EIO;
	}
	p->id = ++conn->next_id;
	list_push_back(&conn->pending[p->id % BUCKETS], &p->node);
	mutex_unlock(&conn->lock);
	r = send_request(conn, p->type, p->id, req, given);
	if (r < 0) {
		mutex_lock(&conn->lock);
		if (!p->done)
			list_del(&p->node);
		mutex_unlock(&conn->lock);
		return r == -EPIPE ? -EIO : r;
	}
	if (await(conn, p) < 0)
		return -EOWNERDEAD;
	/* deliver() still holds the lock when it sets done: wait for it to let go of p. */
	mutex_lock(&conn->lock);
	mutex_unlock(&conn->lock);
	return 0;
}

static int
call(struct gofer_conn *conn, uint16_t type, const ProtobufCMessage *req, int given, void *rep,
	int *fds, uint32_t max, uint32_t *nfds)
{
	/* One that may be abandoned outlives this call. */
	struct pending here = {.fiber = NULL}, *p = conn->virtual ? calloc(1, sizeof *p) : &here;
	ProtobufCMessage *m = NULL;
	int r;

	*nfds = 0;
	if (!p)
		return -ENOMEM;
	p->type = type;
	p->fiber = fiber_self();
	r = transact(conn, p, req, given);
	if (r == -EOWNERDEAD)
		return -EINTR; /* what answers it frees it */
	if (r == 0)
		r = p->err;
	if (r == 0) {
		m = wire_unpack(messages[type].rep, p->body, p->len);
		if (!m || p->nfds > max) {
			if (m)
				protobuf_c_message_free_unpacked(m, NULL);
			m = NULL;
			r = -EIO;
			connection_lost(conn, "the gofer broke the protocol");
		}
	}
	free(p->body);
	if (r < 0)
		while (p->nfds)
			close(p->fds[--p->nfds]);
	for (uint32_t i = 0; i < p->nfds; i++)
		fds[i] = p->fds[i];
	*nfds = p->nfds;
	if (p != &here)
		free(p);
	if (m && rep)
		*(void **)rep = m;
	else if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int
gofer_call_fds(struct gofer_conn *conn, uint16_t type, const ProtobufCMessage *req, void *rep,
	int *fds, uint32_t max, uint32_t *nfds)
{
	return call(conn, type, req, -1, rep, fds, max, nfds);
}

/* What any gofer can do is asked of the oldest. */
static int
call_any(uint16_t type, const ProtobufCMessage *req, int given, int *fds, uint32_t max,
	uint32_t *nfds)
{
	struct gofer_conn *conn = NULL;
	int r;

	mutex_lock(&living_lock);
	if (!list_empty(&living))
		conn = gofer_conn_get(list_entry(living.next, struct gofer_conn, node));
	mutex_unlock(&living_lock);
	r = conn ? call(conn, type, req, given, NULL, fds, max, nfds) : -EIO;
	gofer_conn_put(conn);
	return r;
}

int
gofer_reopen(int fd)
{
	Gofer__Empty q = GOFER__EMPTY__INIT;
	uint32_t n;
	int ret, r = call_any(GOFER_REOPEN, &q.base, fd, &ret, 1, &n);

	return r < 0 ? r : n ? ret : -EIO;
}

/* A few are asked for at once, the more the more are needed. */
int
gofer_memory_file(void)
{
	static struct {
		struct mutex lock;
		int fds[WIRE_MEMORY_MAX];
		uint32_t n, batch;
		bool none;
	} pool = {.lock = MUTEX_INIT(GOFER), .batch = 1};
	Gofer__MemoryReq q = GOFER__MEMORY_REQ__INIT;
	int fds[WIRE_MEMORY_MAX], r = 0;
	uint32_t n = 0;

	mutex_lock(&pool.lock);
	if (pool.n)
		fds[n++] = pool.fds[--pool.n];
	else if (pool.none)
		r = -EOPNOTSUPP;
	q.count = pool.batch;
	mutex_unlock(&pool.lock);
	if (n || r < 0)
		return r < 0 ? r : fds[0];
	r = call_any(GOFER_MEMORY, &q.base, -1, fds, WIRE_MEMORY_MAX, &n);
	if (r == 0 && n == 0)
		r = -EIO;
	mutex_lock(&pool.lock);
	pool.none = r == -EOPNOTSUPP;
	if (r == 0 && pool.batch < WIRE_MEMORY_MAX)
		pool.batch *= 2;
	while (r == 0 && n > 1 && pool.n < WIRE_MEMORY_MAX)
		pool.fds[pool.n++] = fds[--n];
	mutex_unlock(&pool.lock);
	while (r == 0 && n > 1) /* others have asked meanwhile, too */
		close(fds[--n]);
	return r < 0 ? r : fds[0];
}

int
gofer_call(struct gofer_conn *conn, uint16_t type, const ProtobufCMessage *req, void *rep, int *fd)
{
	int unused, r;
	uint32_t n;

	r = gofer_call_fds(conn, type, req, rep, fd ? fd : &unused, fd ? 1 : 0, &n);
	if (fd && !n)
		*fd = -1;
	return r;
}

void
gofer_rep_free(void *rep)
{
	if (rep)
		protobuf_c_message_free_unpacked(rep, NULL);
}

static void
leave_living(struct gofer_conn *conn)
{
	mutex_lock(&living_lock);
	list_del(&conn->node);
	mutex_unlock(&living_lock);
}

static int
conn_new(int sock, bool virtual, void (*died)(void *arg, const char *why), void *arg,
	struct gofer_conn **ret)
{
	struct gofer_conn *conn = calloc(1, sizeof *conn);
	int r;

	if (conn)
		conn->packet = malloc(sizeof *conn->packet);
	if (!conn || !conn->packet) {
		free(conn);
		host_fd_close(sock);
		return -ENOMEM;
	}
	ref_init(&conn->ref);
	mutex_init(&conn->lock, LR_GOFER);
	for (int i = 0; i < BUCKETS; i++)
		list_init(&conn->pending[i]);
	waitq_init(&conn->writable);
	conn->sock = sock;
	conn->died = died;
	conn->virtual = virtual;
	conn->arg = arg;
	conn->watch = (struct hostfd_watch){.fd = sock, .fn = readable};
	list_init(&conn->node);
	r = sched_watch(&conn->watch, EPOLLIN | EPOLLOUT);
	if (r < 0) {
		gofer_conn_put(conn);
		return r;
	}
	if (!virtual) {
		mutex_lock(&living_lock);
		list_push_back(&living, &conn->node);
		mutex_unlock(&living_lock);
	}
	*ret = conn;
	return 0;
}

int
gofer_conn_new(
	int sock, void (*died)(void *arg, const char *why), void *arg, struct gofer_conn **ret)
{
	return conn_new(sock, false, died, arg, ret);
}

int
gofer_conn_new_virtual(
	int sock, void (*died)(void *arg, const char *why), void *arg, struct gofer_conn **ret)
{
	return conn_new(sock, true, died, arg, ret);
}

struct gofer_conn *
gofer_conn_get(struct gofer_conn *conn)
{
	ref_get(&conn->ref);
	return conn;
}

void
gofer_conn_put(struct gofer_conn *conn)
{
	if (!conn || !ref_put(&conn->ref))
		return;
	sched_unwatch(&conn->watch);
	host_fd_close(conn->sock);
	waitq_destroy(&conn->writable);
	mutex_destroy(&conn->lock);
	free(conn->forget.v);
	free(conn->close.v);
	free(conn->packet);
	free(conn);
}

void
gofer_conn_close(struct gofer_conn *conn)
{
	leave_living(conn);
	/* After that it is in no worker's hands. */
	sched_unwatch(&conn->watch);
	mutex_lock(&conn->lock);
	conn->died = NULL;
	mutex_unlock(&conn->lock);
	connection_lost(conn, "it is no longer needed");
	(void)shutdown(conn->sock, SHUT_RDWR);
}
