/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: what the request carried, what the reply carries, and the host's process_vm_* for
 * the rest, or the stub in pieces where the host refuses those.
 */
#include "platform/trap/internal.h"
#include <sys/mman.h>

/* The list of what was carried, copied once and checked; then the free part of the bounce buffer is
 * known. */
void
trap_load_carried(struct plat_thread *t)
{
	uint32_t n = t->ncarried, end = 0, kept = 0;

	if (t->carried_known)
		return;
	if (n)
		memcpy(t->carried, t->s->carried, n * sizeof t->carried[0]);
	for (uint32_t i = 0; i < n; i++) {
		struct stub_carried c = t->carried[i];

		if (c.off > SLOT_BOUNCE_SZ || c.len > SLOT_BOUNCE_SZ - c.off)
			continue;
		if (c.off + c.len > end)
			end = c.off + c.len;
		t->carried[kept++] = c;
	}
	t->ncarried = kept;
	t->bounce = (end + 63) & ~63u;
	t->carried_known = true;
}

const void *
trap_carried(struct plat_thread *t, uint64_t src, size_t *ret_len)
{
	trap_load_carried(t);
	for (uint32_t i = 0; i < t->ncarried; i++) {
		const struct stub_carried *c = &t->carried[i];

		if (src >= c->addr && src - c->addr < c->len) {
			*ret_len = c->len - (src - c->addr);
			return t->s->bounce + c->off + (src - c->addr);
		}
	}
	return NULL;
}

/* What was carried stays where it is; what goes out is put behind it. */
void
trap_forget_carried(struct plat_thread *t)
{
	trap_load_carried(t);
	t->ncarried = 0;
}

/* Through the stub, in pieces of the bounce buffer's free part. */
static int
through_stub(struct plat_thread *t, void *buf, uint64_t addr, size_t len, bool out)
{
	uint32_t room, at;

	trap_load_carried(t);
	at = t->bounce;
	room = SLOT_BOUNCE_SZ - at;
	if (room < 4096) {
		at = 0;
		room = SLOT_BOUNCE_SZ;
		t->ncarried = 0;
	}
	while (len) {
		uint32_t n = len < room ? (uint32_t)len : room;
		int64_t r;

		if (out) {
			memcpy(t->s->bounce + at, buf, n);
			r = trap_op_now(t, STUB_OP_COPY_OUT, addr, at, n, 0, 0, 0);
		} else {
			r = trap_op_now(t, STUB_OP_COPY_IN, at, addr, n, 0, 0, 0);
			if (r == 0)
				memcpy(buf, t->s->bounce + at, n);
		}
		if (r < 0)
			return -EFAULT;
		buf = (char *)buf + n;
		addr += n;
		len -= n;
	}
	return 0;
}

int
trap_copy_in(struct plat_thread *t, void *dst, uint64_t src, size_t len)
{
	const void *p;
	size_t have;
	int r;

	if (len == 0)
		return 0;
	p = trap_carried(t, src, &have);
	if (p && have >= len) {
		memcpy(dst, p, len);
		return 0;
	}
	if (t->nops) {
		r = trap_flush(t);
		if (r < 0)
			return -EFAULT;
	}
	if (!trap.vm_refused) {
		r = host_vm_read(t->sp->pid, dst, src, len);
		if (r != -EPERM)
			return r < 0 ? -EFAULT : 0;
	}
	return through_stub(t, dst, src, len, false);
}

void *
trap_window(struct plat_thread *t, uint64_t dst, size_t len)
{
	struct stub_op *op;
	uint32_t at;

	trap_load_carried(t);
	if (len == 0 || len > SLOT_BOUNCE_SZ - t->bounce || t->nops == STUB_NOPS)
		return NULL;
	at = t->bounce;
	op = trap_op_new(t, STUB_OP_COPY_OUT);
	if (!op)
		return NULL;
	op->a[0] = dst;
	op->a[1] = at;
	op->a[2] = len;
	t->bounce += (uint32_t)((len + 63) & ~63ul);
	if (t->bounce > SLOT_BOUNCE_SZ)
		t->bounce = SLOT_BOUNCE_SZ;
	return t->s->bounce + at;
}

/* The window is the last operation, and its room is what was taken last. */
void
trap_window_cut(struct plat_thread *t, size_t len)
{
	t->s->ops[t->nops - 1].a[2] = len;
}

/* --- the large buffer of a space --- */

void
trap_large_release(struct plat_thread *t)
{
	if (t->large) {
		t->large = false;
		atomic_store_explicit(&t->sp->large_busy, false, memory_order_release);
	}
}

/* Until the thread's next request: the last copy rides on the reply. -EBUSY: another thread has it.
 */
static int
large_take(struct plat_thread *t)
{
	struct plat_space *sp = t->sp;
	const uint64_t at = trap.base + STUB_LARGE;
	uint8_t *p;
	int r;

	if (t->large)
		return trap_flush(t); /* what is in it is copied */
	if (atomic_exchange_explicit(&sp->large_busy, true, memory_order_acquire))
		return -EBUSY;
	t->large = true;
	if (sp->large)
		return 0;
	p = host_map_shared(sp->memfd, SLOTS_LARGE, STUB_LARGE_SZ, &r);
	if (!p)
		goto undo_take;
	r = trap_map(t, at, STUB_LARGE_SZ, PROT_READ | PROT_WRITE, MAP_SHARED, sp->memfd,
		(int64_t)SLOTS_LARGE);
	if (r == 0)
		r = trap_advise(t, at, STUB_LARGE_SZ, MADV_DONTFORK);
	if (r == 0)
		r = trap_flush(t);
	if (r < 0)
		goto undo_map;
	sp->large = p;
	return 0;
undo_map:
	host_unmap(p, STUB_LARGE_SZ);
undo_take:
	trap_large_release(t);
	return r;
}

/* Wait for the copies that are under way. */
static int
copied(struct plat_thread *t)
{
	int kind = trap_wait_event(t);

	t->nops = t->nfds = 0;
	if (kind == STUB_K_DONE)
		return 0;
	if (kind != STUB_K_FAILED)
		trap_space_kill(t->sp);
	return -EFAULT;
}

static ssize_t
some_or(size_t done, ssize_t err)
{
	return done ? (ssize_t)done : err;
}

/* The first piece goes into the bounce buffer, which is all that a short stream needs; the others
 * into two parts of the large one in turn, or, where guests and sentry take turns on a CPU and each
 * turn costs some 10 us, into all of it. */
ssize_t
trap_stream_out(struct plat_thread *t, uint64_t dst, size_t len, plat_fill_fn *fill, void *arg)
{
	bool alone = trap.env->ncpu == 1;
	size_t half = alone ? STUB_LARGE_SZ : STUB_LARGE_SZ / 2;
	size_t done = 0, queued = 0, flying = 0, at = 0;
	struct stub_op *op;
	uint8_t *buf;
	ssize_t r;

	trap_load_carried(t);
	while (done < len) {
		size_t n = len - done;
		bool first = done == 0;

		if (first) {
			if (n > SLOT_BOUNCE_SZ - t->bounce)
				n = SLOT_BOUNCE_SZ - t->bounce;
			buf = trap_window(t, dst, n);
			if (!buf)
				return -EOPNOTSUPP;
			op = &t->s->ops[t->nops - 1];
			op->a[2] = 0;
		} else {
			if (n > half)
				n = half;
			buf = t->sp->large + at;
		}
		if (alone && flying) {
			if (copied(t) < 0)
				return some_or(done - flying, -EFAULT);
			flying = 0;
		}
		r = fill(arg, buf, done, n);
		if (flying && copied(t) < 0)
			return some_or(done - flying, -EFAULT);
		flying = 0;
		if (r <= 0)
			return some_or(done, r);
		if (!first) {
			op = trap_op_new(t, STUB_OP_COPY_OUT);
			if (!op)
				return some_or(done - queued, -EFAULT);
			op->a[0] = dst + done;
			op->a[1] = at;
			op->a[3] = 1;
			at = alone ? 0 : at ^ half;
		}
		op->a[2] = (uint64_t)r;
		done += (size_t)r;
		queued += (size_t)r;
		if ((size_t)r < n || done == len)
			break;
		if (first) {
			int e = large_take(t);

			if (e < 0)
				return e == -EBUSY ? (ssize_t)done : -EFAULT;
			continue;
		}
		trap_expect(queued);
		if (trap_begin(t, STUB_R_AGAIN) < 0)
			return -EFAULT;
		flying = queued;
		queued = 0;
	}
	return (ssize_t)done;
}

int
trap_copy_out(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
	void *w;
	int r;

	if (len == 0)
		return 0;
	w = trap_window(t, dst, len);
	if (w) {
		memcpy(w, src, len);
		return 0;
	}
	if (t->nops) {
		r = trap_flush(t);
		if (r < 0)
			return -EFAULT;
	}
	if (!trap.vm_refused) {
		/* The guest's process touches new memory first: when there is none left, it is the
		 * one to be killed for it, and not who holds its pages while they are written. An
		 * older host refuses, and it goes as well as it goes. */
		(void)trap_op_now(t, STUB_OP_MADVISE, dst & -(uint64_t)LX_PAGE_SIZE,
			len + (dst & (LX_PAGE_SIZE - 1)), MADV_POPULATE_WRITE, 0, 0, 0);
		r = host_vm_write(t->sp->pid, dst, src, len);
		if (r != -EPERM)
			return r < 0 ? -EFAULT : 0;
	}
	return through_stub(t, (void *)src, dst, len, true);
}

int
trap_peek(struct plat_thread *t, void *dst, uint64_t src, size_t len)
{
	return len == 0 || host_vm_read(t->sp->pid, dst, src, len) == 0 ? 0 : -EFAULT;
}

int
trap_poke(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
	return len == 0 || host_vm_write(t->sp->pid, dst, src, len) == 0 ? 0 : -EFAULT;
}

int
trap_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t *val, uint32_t want)
{
	int64_t r = trap_op_now(t, STUB_OP_CMPXCHG, addr, *val, want, 0, 0, 0);

	if (r < 0)
		return -EFAULT;
	*val = (uint32_t)r;
	return 0;
}

int
trap_futex_wake(struct plat_thread *t, uint64_t addr, int count, uint32_t bitset, bool is_private)
{
	int64_t r = trap_op_now(t, STUB_OP_WAKE, addr, (uint64_t)count, bitset, is_private, 0, 0);

	return r > INT32_MAX ? INT32_MAX : (int)r;
}
