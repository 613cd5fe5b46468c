/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings, which are queued and then injected, and guest memory, which is the host's process_vm_*.
 */
#include "platform/ptrace/internal.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* What a stub receives stands here in its memory. */
struct passed {
	struct msghdr mh;
	struct iovec iov;
	uint64_t id;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr h;
	} c;
};

/* Have the process of t take the next message: its id, and the descriptor's number there. */
static int64_t
receive(struct plat_thread *t, uint64_t *ret_id)
{
	const uint64_t at = pt.lay.base + PT_SCRATCH;
	struct passed m;
	int64_t r;
	int got;

	memset(&m, 0, sizeof m);
	m.mh.msg_iov = (void *)(at + offsetof(struct passed, iov));
	m.mh.msg_iovlen = 1;
	m.mh.msg_control = (void *)(at + offsetof(struct passed, c));
	m.mh.msg_controllen = sizeof m.c.buf;
	m.iov.iov_base = (void *)(at + offsetof(struct passed, id));
	m.iov.iov_len = sizeof m.id;
	if (host_vm_write(t->sp->pid, at, &m, sizeof m) < 0)
		return -ESRCH;
	r = pt_syscall(t, SYS_recvmsg, 0, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, 0, 0);
	if (r != sizeof m.id || host_vm_read(t->sp->pid, &m, at, sizeof m) < 0)
		return r < 0 ? r : -EIO;
	*ret_id = m.id;
	if (m.mh.msg_controllen < CMSG_LEN(sizeof(int)))
		return -EMFILE;
	memcpy(&got, CMSG_DATA(&m.c.h), sizeof got);
	return got < 0 ? -EIO : got;
}

static void
drop_fd(struct plat_thread *t, int fd)
{
	if (fd >= 0)
		pt_syscall(t, SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
}

/* Pass a descriptor to the process of t: its number there. All stub processes have the same end of
 * one socket; the tracer receives in one what it has just sent. Who dies or is disturbed meanwhile
 * (other threads of a guest can write where its message goes) leaves the message in the socket: so
 * each has an id, and what is not the last one is thrown away by whoever gets it. */
static int
pass_fd(struct plat_thread *t, int fd)
{
	static uint64_t last; /* (T) */
	uint64_t id = ++last, got_id = 0;
	int r = host_send_fd(pt.sock[0], &id, sizeof id, fd);

	if (r == -EAGAIN) { /* full of what was left */
		while ((r = (int)receive(t, &got_id)) >= 0 || r == -EMFILE)
			drop_fd(t, r);
		r = host_send_fd(pt.sock[0], &id, sizeof id, fd);
	}
	if (r < 0)
		return r;
	do {
		got_id = 0;
		r = (int)receive(t, &got_id);
		if (got_id == id || (r < 0 && r != -EMFILE))
			return r;
		drop_fd(t, r);
	} while (!atomic_load(&t->gone));
	return -ESRCH;
}

/* prctl(2) for ps on the host: a[0] is what is told, a[1] and a[2] a name, or where the arguments
 * are. */
static int64_t
make_known(struct plat_thread *t, const struct pt_op *op)
{
	const uint64_t at = pt.lay.base + PT_SCRATCH;
	uint64_t mm[STUB_MM_WORDS];

	if (op->a[0] == PR_SET_NAME)
		return host_vm_write(t->sp->pid, at, op->a + 1, 16) < 0
			       ? -ESRCH
			       : pt_syscall(t, SYS_prctl, PR_SET_NAME, at, 0, 0, 0, 0);
	stub_mm_map(mm, op->a[1], op->a[2]);
	if (host_vm_write(t->sp->pid, at, mm, sizeof mm) < 0)
		return -ESRCH;
	pt_syscall(t, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, at, sizeof mm, 0, 0);
	return 0;
}

static int64_t
make_op(struct plat_thread *t, struct pt_op *op)
{
	const uint64_t *a = op->a;
	int64_t r;
	int fd;

	if (op->nr == SYS_prctl)
		return make_known(t, op);
	if (op->fd < 0)
		return pt_syscall(t, op->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	fd = pass_fd(t, op->fd);
	if (fd < 0)
		return fd;
	r = pt_syscall(t, op->nr, a[0], a[1], a[2], a[3], (uint64_t)fd, a[5]);
	pt_syscall(t, SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	return r;
}

int
pt_make_ops(struct plat_thread *t)
{
	int err = 0;

	for (uint32_t i = 0; i < t->nops; i++) {
		if (err == 0) {
			int64_t r = make_op(t, &t->ops[i]);

			if (r < 0 && r > -4096)
				err = (int)r;
		}
		host_close(t->ops[i].fd);
	}
	t->nops = 0;
	return err;
}

static int64_t
job_flush(struct plat_thread *t, void *arg)
{
	(void)arg;
	return pt_make_ops(t);
}

int
pt_flush(struct plat_thread *t)
{
	return t->nops ? (int)pt_job(job_flush, t, NULL) : 0;
}

static struct pt_op *
queue(struct plat_thread *t, int nr, int *err)
{
	struct pt_op *op;

	*err = t->nops == PT_NOPS ? pt_flush(t) : 0;
	if (*err < 0)
		return NULL;
	op = &t->ops[t->nops++];
	memset(op, 0, sizeof *op);
	op->nr = nr;
	op->fd = -1;
	return op;
}

int
pt_map(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd, int64_t off)
{
	struct pt_op *op;
	int err;

	op = queue(t, SYS_mmap, &err);
	if (!op)
		return err;
	if (fd >= 0 && !(flags & MAP_ANONYMOUS)) {
		op->fd = (int)host_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
		if (op->fd < 0) {
			t->nops--;
			return op->fd;
		}
	}
	op->a[0] = addr;
	op->a[1] = len;
	op->a[2] = (uint64_t)prot;
	op->a[3] = (uint64_t)((flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED);
	op->a[4] = ~0ull;
	op->a[5] = (uint64_t)off;
	return 0;
}

static int
queue4(struct plat_thread *t, int nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct pt_op *op;
	int err;

	op = queue(t, nr, &err);
	if (!op)
		return err;
	op->a[0] = a;
	op->a[1] = b;
	op->a[2] = c;
	op->a[3] = d;
	op->a[4] = e;
	return 0;
}

int
pt_unmap(struct plat_thread *t, uint64_t addr, uint64_t len)
{
	return queue4(t, SYS_munmap, addr, len, 0, 0, 0);
}

int
pt_protect(struct plat_thread *t, uint64_t addr, uint64_t len, int prot)
{
	return queue4(t, SYS_mprotect, addr, len, (uint64_t)prot, 0, 0);
}

int
pt_move(struct plat_thread *t, uint64_t old, uint64_t old_len, uint64_t new_addr, uint64_t new_len)
{
	return queue4(
		t, SYS_mremap, old, old_len, new_len, MREMAP_MAYMOVE | MREMAP_FIXED, new_addr);
}

int
pt_advise(struct plat_thread *t, uint64_t addr, uint64_t len, int advice)
{
	return queue4(t, SYS_madvise, addr, len, (uint64_t)advice, 0, 0);
}

void
pt_set_name(struct plat_thread *t, const char *comm)
{
	struct pt_op *op;
	int err;

	op = queue(t, SYS_prctl, &err);
	if (op) {
		op->a[0] = PR_SET_NAME;
		memcpy(op->a + 1, comm, strnlen(comm, 15));
	}
}

void
pt_set_args(struct plat_thread *t, uint64_t start, uint64_t end)
{
	struct pt_op *op;
	int err;

	op = queue(t, SYS_prctl, &err);
	if (op) {
		op->a[0] = PR_SET_MM;
		op->a[1] = start;
		op->a[2] = end;
	}
}

int
pt_peek(struct plat_thread *t, void *dst, uint64_t src, size_t len)
{
	return len == 0 || host_vm_read(t->sp->pid, dst, src, len) == 0 ? 0 : -EFAULT;
}

int
pt_poke(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
	return len == 0 || host_vm_write(t->sp->pid, dst, src, len) == 0 ? 0 : -EFAULT;
}

int
pt_copy_in(struct plat_thread *t, void *dst, uint64_t src, size_t len)
{
	if (len == 0)
		return 0;
	if (pt_flush(t) < 0)
		return -EFAULT;
	return pt_peek(t, dst, src, len);
}

int
pt_copy_out(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
	if (len == 0)
		return 0;
	if (pt_flush(t) < 0)
		return -EFAULT;
	return pt_poke(t, dst, src, len);
}

struct word_args {
	uint64_t addr, a, b, c;
};

static int64_t
job_cmpxchg(struct plat_thread *t, void *arg)
{
	struct word_args *w = arg;
	struct guest_regs r;
	int64_t v;

	if (t->state == PT_DEAD)
		return -ESRCH;
	pt_fetch_regs(t);
	r = t->regs;
	r.rdi = w->addr;
	r.rax = w->a;
	r.rdx = w->b;
	v = pt_inject(t, PT_TEXT_CMPXCHG, &r);
	return v < 0 ? v : (int64_t)(uint32_t)v;
}

int
pt_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t *val, uint32_t want)
{
	struct word_args w = {addr, *val, want, 0};
	int64_t r;

	if (pt_flush(t) < 0)
		return -EFAULT;
	r = pt_job(job_cmpxchg, t, &w);
	if (r < 0)
		return -EFAULT;
	*val = (uint32_t)r;
	return 0;
}

static int64_t
job_wake(struct plat_thread *t, void *arg)
{
	struct word_args *w = arg;

	return pt_syscall(t, SYS_futex, w->addr, w->c ? 10 | 128 : 10 /* FUTEX_WAKE_BITSET */, w->a,
		0, 0, w->b);
}

int
pt_futex_wake(struct plat_thread *t, uint64_t addr, int count, uint32_t bitset, bool is_private)
{
	struct word_args w = {addr, (uint64_t)count, bitset, is_private};
	int err = pt_flush(t);

	return err < 0 ? err : (int)pt_job(job_wake, t, &w);
}
