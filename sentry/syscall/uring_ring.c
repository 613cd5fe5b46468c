/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring: the memory of a ring, its file, and the completion queue. */
#include "abi/fs.h"
#include "abi/poll.h"
#include "platform/host/engine.h"
#include "platform/host/file.h"
#include "sentry/event/event.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/file.h"
#include "uring.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Words at the beginning of the shared rings. */
enum {
	SQ_HEAD = 0,
	SQ_TAIL = 4,
	SQ_MASK = 8,
	SQ_ENTRIES = 12,
	SQ_FLAGS = 16,
	SQ_DROPPED = 20,
	CQ_HEAD = 64,
	CQ_TAIL = 68,
	CQ_MASK = 72,
	CQ_ENTRIES = 76,
	CQ_FLAGS = 80,
	CQ_OVERFLOW = 84,
	CQES = 128,
};

static _Atomic uint32_t *
word(const struct uring *u, uint32_t off)
{
	return (_Atomic uint32_t *)(void *)(u->rings + off);
}

static size_t
pages(size_t n)
{
	return (n + LX_PAGE_SIZE - 1) & ~(size_t)(LX_PAGE_SIZE - 1);
}

static uint32_t
array_off(const struct uring *u)
{
	return CQES + u->cq_entries * (uint32_t)sizeof(struct lx_uring_cqe);
}

void
uring_offsets(const struct uring *u, struct lx_uring_params *p)
{
	p->sq_entries = u->sq_entries;
	p->cq_entries = u->cq_entries;
	p->features = LX_URING_FEAT_SINGLE_MMAP | LX_URING_FEAT_NODROP | LX_URING_FEAT_RW_CUR_POS |
		      LX_URING_FEAT_CUR_PERSONALITY | LX_URING_FEAT_FAST_POLL |
		      LX_URING_FEAT_POLL_32BITS | LX_URING_FEAT_EXT_ARG | LX_URING_FEAT_CQE_SKIP |
		      LX_URING_FEAT_LINKED_FILE;
	memset(&p->sq_off, 0, sizeof p->sq_off);
	memset(&p->cq_off, 0, sizeof p->cq_off);
	p->sq_off.head = SQ_HEAD;
	p->sq_off.tail = SQ_TAIL;
	p->sq_off.ring_mask = SQ_MASK;
	p->sq_off.ring_entries = SQ_ENTRIES;
	p->sq_off.flags = SQ_FLAGS;
	p->sq_off.dropped = SQ_DROPPED;
	p->sq_off.array = array_off(u);
	p->cq_off.head = CQ_HEAD;
	p->cq_off.tail = CQ_TAIL;
	p->cq_off.ring_mask = CQ_MASK;
	p->cq_off.ring_entries = CQ_ENTRIES;
	p->cq_off.overflow = CQ_OVERFLOW;
	p->cq_off.flags = CQ_FLAGS;
	p->cq_off.cqes = CQES;
}

static struct mutex all_lock = MUTEX_INIT(LEAF);
static struct list all = LIST_INIT(all);
static uint32_t nr_all;

struct uring **
uring_all(uint32_t *n)
{
	struct uring **v = NULL, *u;
	uint32_t cap;

	*n = 0;
	do {
		free(v);
		mutex_lock(&all_lock);
		cap = nr_all + 8;
		mutex_unlock(&all_lock);
		v = calloc(cap, sizeof(struct uring *));
		if (!v)
			return NULL;
		mutex_lock(&all_lock);
		if (nr_all <= cap)
			list_for_each_entry (u, &all, all_node)
				if (ref_get_unless_zero(&u->ref))
					v[(*n)++] = u;
		cap = nr_all <= cap ? cap : 0;
		mutex_unlock(&all_lock);
	} while (!cap);
	return v;
}

int
uring_new(uint32_t sq_entries, uint32_t cq_entries, uint32_t setup, struct uring **ret)
{
	struct uring *u = calloc(1, sizeof *u);
	int r = 0;

	if (!u)
		return -ENOMEM;
	ref_init(&u->ref);
	sleeplock_init(&u->submit);
	mutex_init(&u->lock, LR_EVENT);
	waitq_init(&u->wq);
	list_init(&u->overflow);
	list_init(&u->reqs);
	list_init(&u->deferred);
	u->setup = setup;
	u->disabled = setup & LX_URING_SETUP_R_DISABLED;
	u->sq_entries = sq_entries;
	u->cq_entries = cq_entries;
	/* From here on a task that ends looks for its requests in it. */
	mutex_lock(&all_lock);
	list_push_back(&all, &u->all_node);
	nr_all++;
	mutex_unlock(&all_lock);
	u->rings_len = pages(array_off(u) + sq_entries * sizeof(uint32_t));
	u->sqes_len = pages(sq_entries * sizeof(struct lx_uring_sqe));
	/* Nobody can make it shorter: reading it never faults. Between the two is a hole. */
	u->fd = host_memfd_sealed("io_uring", LX_URING_OFF_SQES + u->sqes_len);
	if (u->fd < 0)
		r = u->fd;
	if (!r)
		u->rings = host_map_shared(u->fd, 0, u->rings_len, &r);
	if (!r)
		u->sqes = host_map_shared(u->fd, LX_URING_OFF_SQES, u->sqes_len, &r);
	if (r) {
		uring_put(u);
		return r;
	}
	atomic_store(word(u, SQ_MASK), sq_entries - 1);
	atomic_store(word(u, SQ_ENTRIES), sq_entries);
	atomic_store(word(u, CQ_MASK), cq_entries - 1);
	atomic_store(word(u, CQ_ENTRIES), cq_entries);
	*ret = u;
	return 0;
}

struct uring *
uring_get(struct uring *u)
{
	ref_get(&u->ref);
	return u;
}

void
uring_put(struct uring *u)
{
	struct list *n;

	if (!u || !ref_put(&u->ref))
		return;
	mutex_lock(&all_lock);
	list_del(&u->all_node);
	nr_all--;
	mutex_unlock(&all_lock);
	while ((n = list_pop_front(&u->overflow)))
		free(list_entry(n, struct uring_overflow, node));
	for (uint32_t i = 0; i < u->nfiles; i++)
		file_put(u->files[i]);
	free(u->files);
	free(u->buffers);
	file_put(u->eventfd);
	if (u->rings)
		host_unmap(u->rings, u->rings_len);
	if (u->sqes)
		host_unmap(u->sqes, u->sqes_len);
	if (u->fd >= 0)
		host_fd_close(u->fd);
	waitq_destroy(&u->wq);
	mutex_destroy(&u->lock);
	free(u);
}

/* --- submission queue --- */

bool
uring_sq_take(struct uring *u, struct lx_uring_sqe *ret)
{
	uint32_t tail = atomic_load_explicit(word(u, SQ_TAIL), memory_order_acquire), i;
	uint32_t mask = u->sq_entries - 1;

	if (u->sq_head == tail)
		return false;
	i = atomic_load_explicit(
		word(u, array_off(u) + 4 * (u->sq_head & mask)), memory_order_relaxed);
	u->sq_head++;
	if (i < u->sq_entries)
		memcpy(ret, (const void *)&u->sqes[i], sizeof *ret);
	else
		atomic_fetch_add(word(u, SQ_DROPPED), 1);
	__asm__ volatile("" : : : "memory"); /* the copy is what counts from here on */
	atomic_store_explicit(word(u, SQ_HEAD), u->sq_head, memory_order_release);
	return i < u->sq_entries;
}

/* --- completion queue --- */

static bool
put_cqe_locked(struct uring *u, const struct lx_uring_cqe *c)
{
	uint32_t head = atomic_load_explicit(word(u, CQ_HEAD), memory_order_acquire);

	if (u->cq_tail - head >= u->cq_entries)
		return false;
	memcpy(u->rings + CQES + (u->cq_tail & (u->cq_entries - 1)) * sizeof *c, c, sizeof *c);
	u->cq_tail++;
	atomic_store_explicit(word(u, CQ_TAIL), u->cq_tail, memory_order_release);
	return true;
}

static void
flush_locked(struct uring *u)
{
	while (!list_empty(&u->overflow)) {
		struct uring_overflow *o = list_first(&u->overflow, struct uring_overflow, node);

		if (!put_cqe_locked(u, &o->cqe))
			return;
		list_del(&o->node);
		u->nr_overflow--;
		free(o);
	}
	atomic_fetch_and(word(u, SQ_FLAGS), ~LX_URING_SQ_CQ_OVERFLOW);
}

void
uring_flush_overflow(struct uring *u)
{
	mutex_lock(&u->lock);
	flush_locked(u);
	mutex_unlock(&u->lock);
}

bool
uring_crowded(struct uring *u)
{
	bool yes;

	mutex_lock(&u->lock);
	yes = !list_empty(&u->overflow);
	mutex_unlock(&u->lock);
	return yes;
}

uint32_t
uring_ready(struct uring *u)
{
	uint32_t n;

	mutex_lock(&u->lock);
	n = u->cq_tail - atomic_load_explicit(word(u, CQ_HEAD), memory_order_acquire);
	mutex_unlock(&u->lock);
	return n > u->cq_entries ? u->cq_entries : n;
}

void
uring_post(struct uring *u, uint64_t user_data, int32_t res, bool post, bool async)
{
	struct lx_uring_cqe c = {user_data, res, 0};
	struct file *efd = NULL;

	mutex_lock(&u->lock);
	if (post && (!list_empty(&u->overflow) || !put_cqe_locked(u, &c))) {
		struct uring_overflow *o = malloc(sizeof *o);

		if (o) {
			o->cqe = c;
			list_push_back(&u->overflow, &o->node);
			u->nr_overflow++;
			atomic_fetch_or(word(u, SQ_FLAGS), LX_URING_SQ_CQ_OVERFLOW);
		} else {
			atomic_fetch_add(word(u, CQ_OVERFLOW), 1); /* it is lost */
		}
	}
	u->completed++;
	if (post && u->eventfd && (async || !u->eventfd_async) &&
		!(atomic_load(word(u, CQ_FLAGS)) & LX_URING_CQ_EVENTFD_DISABLED))
		efd = file_get(u->eventfd);
	mutex_unlock(&u->lock);
	waitq_notify(&u->wq, LX_POLLIN | LX_POLLRDNORM);
	if (efd)
		eventfd_add(efd, 1);
	file_put(efd);
}

/* --- the file --- */

static void
release(struct file *f)
{
	uring_close(f->priv);
	uring_put(f->priv);
}

static uint32_t
ring_poll(struct file *f, struct poll_table *pt)
{
	struct uring *u = f->priv;
	uint32_t ev = 0, tail;

	poll_wait(pt, &u->wq);
	tail = atomic_load(word(u, SQ_TAIL));
	if (tail - u->sq_head < u->sq_entries)
		ev |= LX_POLLOUT | LX_POLLWRNORM;
	if (uring_ready(u) || uring_crowded(u))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	return ev;
}

struct ring_map {
	struct mappable m;
	struct uring *u; /* a reference */
};

static int
map_fd(struct mappable *m, int prot, bool shared)
{
	(void)prot, (void)shared;
	return container_of(m, struct ring_map, m)->u->fd;
}

static void
map_release(struct mappable *m)
{
	struct ring_map *r = container_of(m, struct ring_map, m);

	uring_put(r->u);
	file_put(m->file);
	free(r);
}

/* The two rings are one piece of memory, which has two names. */
static int64_t
map_place(struct mappable *m, uint64_t off, uint64_t len)
{
	const struct uring *u = container_of(m, struct ring_map, m)->u;

	off &= LX_URING_OFF_MASK; /* the rest is passed over */
	if (off == 0 || off == LX_URING_OFF_CQ)
		return len <= u->rings_len ? 0 : -EINVAL;
	return off == LX_URING_OFF_SQES && len <= u->sqes_len ? (int64_t)off : -EINVAL;
}

static const struct mappable_ops map_ops = {
	.host_fd = map_fd, .place = map_place, .release = map_release};

static int
ring_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct ring_map *r;

	(void)c, (void)prot;
	if (!shared)
		return -EINVAL;
	r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	ref_init(&r->m.ref);
	r->m.ops = &map_ops;
	r->m.file = file_get(f);
	r->u = uring_get(f->priv);
	r->m.memory = r->u;
	*ret = &r->m;
	return 0;
}

static const struct file_ops ring_fops = {
	.release = release, .poll = ring_poll, .mappable = ring_mappable};

int
uring_file(struct uring *u, struct file **ret)
{
	int r = file_new_anon(&ring_fops, u, "anon_inode:[io_uring]", 0, LX_O_RDWR, ret);

	if (r)
		uring_put(u);
	return r;
}

struct uring *
uring_of(struct file *f)
{
	return f->ops == &ring_fops ? f->priv : NULL;
}
