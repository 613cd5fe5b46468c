/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: what the request carried, what the reply carries, and the host's process_vm_* for
 * the rest, or the stub in pieces where the host refuses those.
 */
#include "platform/trap/internal.h"

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
