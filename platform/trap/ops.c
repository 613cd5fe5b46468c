/* SPDX-License-Identifier: Apache-2.0 */
/* Host calls that ride on a reply. */
#include "platform/trap/internal.h"
#include <sys/mman.h>

enum {
	MAX_FDS = 8, /* descriptors on their way to one thread; below STUB_MAX_FDS */
};

struct stub_op *
trap_op_new(struct plat_thread *t, enum stub_op_code code)
{
	struct stub_op *op;

	if (t->nops == STUB_NOPS && trap_flush(t) < 0)
		return NULL;
	op = &t->s->ops[t->nops];
	memset(op, 0, sizeof *op);
	op->code = code;
	t->codes[t->nops++] = (uint8_t)code;
	return op;
}

int
trap_flush(struct plat_thread *t)
{
	uint32_t n = t->nops;
	int kind, r = 0;

	if (n == 0)
		return 0;
	kind = trap_exchange(t, STUB_R_AGAIN);
	t->nops = t->nfds = 0;
	if (kind == STUB_K_DONE)
		return 0;
	if (kind == STUB_K_FAILED) {
		uint32_t at = t->s->failed;

		if (at < n) {
			int64_t v = t->s->ops[at].result;

			r = v < 0 && v > -4096 ? (int)v : -EIO;
			return r;
		}
	}
	trap_space_kill(t->sp);
	return -ESRCH;
}

int64_t
trap_op_now(struct plat_thread *t, enum stub_op_code code, uint64_t a, uint64_t b, uint64_t c,
	uint64_t d, uint64_t e, uint64_t f)
{
	struct stub_op *op;
	uint32_t at;
	int r;

	if (t->nops >= STUB_NOPS - 1) {
		r = trap_flush(t);
		if (r < 0)
			return r;
	}
	op = trap_op_new(t, code);
	if (!op)
		return -ESRCH;
	at = t->nops - 1;
	op->a[0] = a;
	op->a[1] = b;
	op->a[2] = c;
	op->a[3] = d;
	op->a[4] = e;
	op->a[5] = f;
	r = trap_flush(t);
	return r < 0 ? r : t->s->ops[at].result;
}

static int
queue(struct plat_thread *t, enum stub_op_code code, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct stub_op *op = trap_op_new(t, code);

	if (!op)
		return -ESRCH;
	op->a[0] = a;
	op->a[1] = b;
	op->a[2] = c;
	op->a[3] = d;
	return 0;
}

int
trap_send_fd(struct plat_thread *t, int fd)
{
	struct stub_fd_msg m = {t->index};

	return host_send_fd(t->sp->sock, &m, sizeof m, fd);
}

int
trap_map(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd,
	int64_t off)
{
	struct stub_op *op;
	int r;

	trap_sites_unmapped(t->sp, addr, len);
	if (fd >= 0 && !(flags & MAP_ANONYMOUS)) {
		if (t->nfds == MAX_FDS || t->nops == STUB_NOPS) {
			r = trap_flush(t);
			if (r < 0)
				return r;
		}
		r = trap_send_fd(t, fd);
		if (r == -EAGAIN && t->nops) {
			r = trap_flush(t);
			if (r == 0)
				r = trap_send_fd(t, fd);
		}
		if (r < 0)
			return r == -EPIPE || r == -ECONNRESET ? -ESRCH : r;
		t->nfds++;
	} else {
		fd = -1;
	}
	op = trap_op_new(t, STUB_OP_MMAP);
	if (!op)
		return -ESRCH;
	op->a[0] = addr;
	op->a[1] = len;
	op->a[2] = (uint64_t)prot;
	op->a[3] = (uint64_t)((flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED);
	op->a[4] = (uint64_t)(int64_t)fd;
	op->a[5] = (uint64_t)off;
	return 0;
}

int
trap_unmap(struct plat_thread *t, uint64_t addr, uint64_t len)
{
	trap_sites_unmapped(t->sp, addr, len);
	return queue(t, STUB_OP_MUNMAP, addr, len, 0, 0);
}

int
trap_protect(struct plat_thread *t, uint64_t addr, uint64_t len, int prot)
{
	return queue(t, STUB_OP_MPROTECT, addr, len, (uint64_t)prot, 0);
}

int
trap_move(
	struct plat_thread *t, uint64_t old, uint64_t old_len, uint64_t new_addr, uint64_t new_len)
{
	trap_sites_unmapped(t->sp, old, old_len);
	trap_sites_unmapped(t->sp, new_addr, new_len);
	return queue(t, STUB_OP_MREMAP, old, old_len, new_addr, new_len);
}

/* Pages that hold a rewritten site are private copies of file pages: dropping them would lose the
 * code. */
int
trap_advise(struct plat_thread *t, uint64_t addr, uint64_t len, int advice)
{
	uint64_t end = addr + len;
	int r = 0;

	while (r == 0 && addr < end) {
		uint64_t page = trap_sites_next_page(t->sp, addr, end);

		if (page > addr)
			r = queue(t, STUB_OP_MADVISE, addr, page - addr, (uint64_t)advice, 0);
		addr = page + LX_PAGE_SIZE;
	}
	return r;
}
