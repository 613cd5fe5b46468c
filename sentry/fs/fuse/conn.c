/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: queued, waited for, given up. Linux counterpart: fs/fuse/dev.c, the half towards the
 * file system.
 *
 * A request's life: NEW, PENDING (queued), READING (a server copies it out, in no list), SENT (to
 * be answered), DONE. Whoever ends it takes it out of its list; each list holds a reference, and so
 * does who waits.
 */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>
#include <string.h>

#define REQ_STEP 2 /* the odd numbers are the interrupts' */

struct fuse_conn *
fuse_conn_new(void)
{
	struct fuse_conn *conn = calloc(1, sizeof *conn);

	if (!conn)
		return NULL;
	ref_init(&conn->ref);
	mutex_init(&conn->lock, LR_FUSE);
	mutex_init(&conn->nodes_lock, LR_LEAF);
	list_init(&conn->pending);
	list_init(&conn->interrupts);
	list_init(&conn->forgets);
	for (int i = 0; i < FUSE_BUCKETS; i++)
		list_init(&conn->sent[i]);
	for (int i = 0; i < FUSE_NODES; i++)
		list_init(&conn->nodes[i]);
	waitq_init(&conn->readers);
	waitq_init(&conn->ready);
	conn->connected = true;
	conn->max_write = 4096;
	return conn;
}

struct fuse_conn *
fuse_conn_get(struct fuse_conn *conn)
{
	ref_get(&conn->ref);
	return conn;
}

void
fuse_conn_put(struct fuse_conn *conn)
{
	if (!conn || !ref_put(&conn->ref))
		return;
	waitq_destroy(&conn->readers);
	waitq_destroy(&conn->ready);
	mutex_destroy(&conn->lock);
	mutex_destroy(&conn->nodes_lock);
	user_ns_put(conn->user_ns);
	free(conn);
}

bool
fuse_allowed(const struct fuse_conn *conn, const struct call *c)
{
	const struct cred *cr = c->cred;

	if (conn->allow_other)
		return user_ns_is_below(cr->user_ns, conn->user_ns);
	return cr->euid == conn->user_id && cr->suid == conn->user_id && cr->uid == conn->user_id &&
	       cr->egid == conn->group_id && cr->sgid == conn->group_id &&
	       cr->gid == conn->group_id;
}

/* --- numbers of the server's --- */

struct fuse_id *
fuse_id_new(struct fuse_conn *conn, uint64_t nodeid, uint64_t nlookup)
{
	struct fuse_id *id = calloc(1, sizeof *id);

	if (!id)
		return NULL;
	ref_init(&id->ref);
	list_init(&id->node);
	id->conn = fuse_conn_get(conn);
	id->nodeid = nodeid;
	id->nlookup = nlookup;
	return id;
}

struct fuse_id *
fuse_id_get(struct fuse_id *id)
{
	ref_get(&id->ref);
	return id;
}

static void
id_free(struct fuse_id *id)
{
	fuse_conn_put(id->conn);
	free(id);
}

void
fuse_id_put(struct fuse_id *id)
{
	struct fuse_conn *conn;
	bool queued = false;

	if (!id || !ref_put(&id->ref))
		return;
	conn = fuse_conn_get(id->conn);
	mutex_lock(&conn->lock);
	if (conn->connected && id->nlookup && id->nodeid != LX_FUSE_ROOT_ID) {
		list_push_back(&conn->forgets, &id->node);
		queued = true;
	}
	mutex_unlock(&conn->lock);
	if (queued)
		waitq_notify(&conn->readers, ~0u);
	else
		id_free(id);
	fuse_conn_put(conn);
}

void
fuse_forget(struct fuse_conn *conn, uint64_t nodeid)
{
	/* without memory, the server keeps a number too many */
	if (nodeid)
		fuse_id_put(fuse_id_new(conn, nodeid, 1));
}

/* --- requests --- */

struct fuse_req *
fuse_req_new(uint32_t opcode, struct fuse_id *id, size_t in_len)
{
	struct fuse_req *r = calloc(1, sizeof *r + in_len);

	if (!r)
		return NULL;
	ref_init(&r->ref);
	list_init(&r->node);
	list_init(&r->intr_node);
	r->opcode = opcode;
	r->id = id ? fuse_id_get(id) : NULL;
	r->in_len = in_len;
	return r;
}

void
fuse_req_put(struct fuse_req *r)
{
	if (!r || !ref_put(&r->ref))
		return;
	fuse_id_put(r->id);
	free(r->base);
	free(r);
}

void
fuse_req_end_locked(struct fuse_conn *conn, struct fuse_req *r, int error, void *base, size_t len)
{
	list_del(&r->node);
	list_del(&r->intr_node);
	if (r->orphan) {
		r->orphan = false;
		conn->orphans--;
	}
	r->state = FUSE_DONE;
	r->error = error;
	r->base = base;
	r->out = base ? (char *)base + sizeof(struct lx_fuse_out_header) : NULL;
	r->out_len = len;
	atomic_store_explicit(&r->done, true, memory_order_release);
	if (r->fiber)
		fiber_wake(r->fiber);
}

static void
put_all(struct list *l)
{
	struct list *n;

	while ((n = list_pop_front(l)))
		fuse_req_put(list_entry(n, struct fuse_req, node));
}

/* End all requests of a list; their references move to `ended`. */
static void
end_list_locked(struct fuse_conn *conn, struct list *l, struct list *ended)
{
	struct list *n;

	while ((n = list_pop_front(l))) {
		struct fuse_req *r = list_entry(n, struct fuse_req, node);

		fuse_req_end_locked(conn, r, -ECONNABORTED, NULL, 0);
		list_push_back(ended, &r->node);
	}
}

void
fuse_conn_abort(struct fuse_conn *conn)
{
	struct list ended = LIST_INIT(ended), ids = LIST_INIT(ids), *n;

	mutex_lock(&conn->lock);
	if (!conn->connected) {
		mutex_unlock(&conn->lock);
		return;
	}
	/* what a server is reading just now is ended by who reads */
	__atomic_store_n(&conn->connected, false, __ATOMIC_RELEASE);
	end_list_locked(conn, &conn->pending, &ended);
	for (int i = 0; i < FUSE_BUCKETS; i++)
		end_list_locked(conn, &conn->sent[i], &ended);
	list_splice(&ids, &conn->forgets);
	mutex_unlock(&conn->lock);
	waitq_notify(&conn->readers, ~0u);
	waitq_notify(&conn->ready, ~0u);
	while ((n = list_pop_front(&ids)))
		id_free(list_entry(n, struct fuse_id, node));
	put_all(&ended);
}

/* Until INIT was answered. Who waits holds nothing but its own place, and can be killed. */
static int
wait_ready(struct fuse_conn *conn)
{
	struct waiter w;
	int r;

	if (__atomic_load_n(&conn->initialized, __ATOMIC_ACQUIRE))
		return 0;
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&conn->ready, &w);
	for (;;) {
		r = __atomic_load_n(&conn->initialized, __ATOMIC_ACQUIRE)  ? 0
		    : !__atomic_load_n(&conn->connected, __ATOMIC_ACQUIRE) ? -ENOTCONN
		    : fiber_killed()					   ? -EINTR
									   : 1;
		if (r <= 0)
			break;
		fiber_park();
	}
	waitq_remove(&w);
	return r;
}

/* Queue it. The list's reference is a new one. */
static int
queue(struct fuse_conn *conn, struct fuse_req *r)
{
	int err = 0;

	mutex_lock(&conn->lock);
	if (!conn->connected) {
		err = -ENOTCONN;
	} else if (conn->refused) {
		err = -ECONNREFUSED;
	} else {
		r->unique = conn->next_unique += REQ_STEP;
		r->state = FUSE_PENDING;
		ref_get(&r->ref);
		list_push_back(&conn->pending, &r->node);
	}
	mutex_unlock(&conn->lock);
	if (!err)
		waitq_notify(&conn->readers, ~0u);
	return err;
}

void
fuse_send(struct fuse_conn *conn, struct fuse_req *r)
{
	(void)queue(conn, r);
	fuse_req_put(r);
}

/* A signal came: the server is told, now or when it has read the request. */
static void
interrupt(struct fuse_conn *conn, struct fuse_req *r)
{
	bool told = false;

	mutex_lock(&conn->lock);
	r->interrupted = true;
	if (r->state == FUSE_SENT && !conn->no_interrupt && list_empty(&r->intr_node)) {
		list_push_back(&conn->interrupts, &r->intr_node);
		told = true;
	}
	mutex_unlock(&conn->lock);
	if (told)
		waitq_notify(&conn->readers, ~0u);
}

/* Who waits is killed. What the server has not read never was; what it has will be answered to
 * nobody. False: the answer is there. */
static bool
give_up(struct fuse_conn *conn, struct fuse_req *r)
{
	bool drop = false, yes = true;

	mutex_lock(&conn->lock);
	r->fiber = NULL;
	switch (r->state) {
	case FUSE_DONE:
		yes = false;
		break;
	case FUSE_READING:
		r->orphan = true;
		conn->orphans++;
		break;
	default:
		/* a server that answers nothing has no more of our memory than this */
		drop = (r->state == FUSE_PENDING && !r->forced) || conn->orphans >= FUSE_ORPHANS;
		if (drop) {
			fuse_req_end_locked(conn, r, -EINTR, NULL, 0);
		} else {
			r->orphan = true;
			conn->orphans++;
		}
		break;
	}
	mutex_unlock(&conn->lock);
	if (drop)
		fuse_req_put(r); /* the list's */
	return yes;
}

static int
await(struct fuse_conn *conn, const struct call *c, struct fuse_req *r)
{
	while (!atomic_load_explicit(&r->done, memory_order_acquire)) {
		if (!r->interrupted && c && c->interrupted && c->interrupted(c))
			interrupt(conn, r);
		if (fiber_killed()) {
			if (give_up(conn, r))
				return -EINTR;
			break;
		}
		fiber_park();
	}
	/* who ended it may still be about to wake us */
	mutex_lock(&conn->lock);
	r->fiber = NULL;
	mutex_unlock(&conn->lock);
	return 0;
}

static int
set_caller(struct fuse_conn *conn, const struct call *c, struct fuse_req *r)
{
	if (!c)
		return 0; /* the kernel's own */
	if (!uid_known(conn->user_ns, c->cred->fsuid) || !gid_known(conn->user_ns, c->cred->fsgid))
		return -EOVERFLOW;
	r->uid = uid_out(conn->user_ns, c->cred->fsuid);
	r->gid = gid_out(conn->user_ns, c->cred->fsgid);
	r->pid = (uint32_t)c->tid;
	return 0;
}

int
fuse_call(struct fuse_conn *conn, const struct call *c, struct fuse_req *r, uint32_t out_min,
	uint32_t out_max)
{
	int err = wait_ready(conn);

	if (!err)
		err = set_caller(conn, c, r);
	if (err)
		return err;
	r->out_min = out_min;
	r->out_max = out_max;
	r->fiber = fiber_self();
	err = queue(conn, r);
	if (err)
		return err;
	err = await(conn, c, r);
	return err ? err : r->error;
}

/* --- answers that nobody waits for --- */

static void
release_back(struct fuse_conn *conn, struct fuse_id *id, uint64_t fh, uint32_t flags, bool dir)
{
	struct fuse_req *r = fuse_req_new(
		dir ? LX_FUSE_RELEASEDIR : LX_FUSE_RELEASE, id, sizeof(struct lx_fuse_release_in));
	struct lx_fuse_release_in *in;

	if (!r)
		return;
	in = (struct lx_fuse_release_in *)r->in;
	in->fh = fh;
	in->flags = flags;
	fuse_send(conn, r);
}

void
fuse_take_back(struct fuse_conn *conn, struct fuse_req *r, const void *out, size_t len)
{
	const struct lx_fuse_create_out *cr = out;
	const struct lx_fuse_open_out *o = out;
	struct fuse_id *id;

	if (len < r->out_min)
		return;
	switch (r->opcode) {
	case LX_FUSE_LOOKUP:
	case LX_FUSE_MKNOD:
	case LX_FUSE_MKDIR:
	case LX_FUSE_SYMLINK:
	case LX_FUSE_LINK:
		fuse_forget(conn, ((const struct lx_fuse_entry_out *)out)->nodeid);
		break;
	case LX_FUSE_OPEN:
	case LX_FUSE_OPENDIR:
		release_back(conn, r->id, o->fh, ((struct lx_fuse_open_in *)r->in)->flags,
			r->opcode == LX_FUSE_OPENDIR);
		break;
	case LX_FUSE_CREATE:
		id = fuse_id_new(conn, cr->entry.nodeid, 1);
		if (!id)
			break;
		release_back(
			conn, id, cr->open.fh, ((struct lx_fuse_create_in *)r->in)->flags, false);
		fuse_id_put(id);
		break;
	default:
		break;
	}
}

/* --- INIT --- */

int
fuse_send_init(struct fuse_conn *conn)
{
	struct fuse_req *r = fuse_req_new(LX_FUSE_INIT, NULL, sizeof(struct lx_fuse_init_in));
	struct lx_fuse_init_in *in;

	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_init_in *)r->in;
	in->major = LX_FUSE_VERSION;
	in->minor = LX_FUSE_MINOR;
	in->max_readahead = FUSE_IO_MAX;
	in->flags = LX_FUSE_BIG_WRITES | LX_FUSE_DONT_MASK | LX_FUSE_NO_OPEN_SUPPORT |
		    LX_FUSE_NO_OPENDIR_SUPPORT;
	r->out_min = 8; /* what the first versions had */
	r->out_max = sizeof(struct lx_fuse_init_out);
	fuse_send(conn, r);
	return 0;
}

/* Older ones have other sizes of what is common, and are met no longer. */
#define MINOR_OLDEST 12

void
fuse_init_reply(struct fuse_conn *conn, int error, const void *out, size_t len)
{
	struct lx_fuse_init_out o = {0};

	if (out)
		memcpy(&o, out, len < sizeof o ? len : sizeof o);
	mutex_lock(&conn->lock);
	if (error || o.major != LX_FUSE_VERSION || o.minor < MINOR_OLDEST || len < 24) {
		conn->refused = true;
	} else {
		conn->minor = o.minor < LX_FUSE_MINOR ? o.minor : LX_FUSE_MINOR;
		conn->max_write = o.max_write < 4096	      ? 4096
				  : o.max_write > FUSE_IO_MAX ? FUSE_IO_MAX
							      : o.max_write;
		conn->dont_mask = o.flags & LX_FUSE_DONT_MASK;
	}
	__atomic_store_n(&conn->initialized, true, __ATOMIC_RELEASE);
	mutex_unlock(&conn->lock);
	waitq_notify(&conn->ready, ~0u);
}
