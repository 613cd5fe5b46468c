/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that ride on a reply. Each writes its result where the sentry reads it. */
#include "platform/trap/stub/stub.h"

long
stub_rseq(struct stub_slot *s, uint64_t addr, uint64_t len, uint64_t flags, uint64_t sig)
{
	long r = sys4(__NR_rseq, addr, len, flags, sig);

	if (r == 0)
		priv_of(s)->rseq =
			x86_rseq_after(addr, (uint32_t)len, (uint32_t)flags, (uint32_t)sig);
	return r;
}

static long
futex_word(uint32_t *w, int op, uint32_t v)
{
	return sys4(__NR_futex, w, op, v, 0);
}

/* 0 free, 1 taken, 2 taken and somebody waits. */
static void
lock(uint32_t *w)
{
	uint32_t v = 0;

	if (__atomic_compare_exchange_n(w, &v, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(w, 2, __ATOMIC_ACQUIRE) != 0)
		futex_word(w, 128 /* FUTEX_WAIT_PRIVATE */, 2);
}

static void
unlock(uint32_t *w)
{
	if (__atomic_exchange_n(w, 0, __ATOMIC_RELEASE) == 2)
		futex_word(w, 129 /* FUTEX_WAKE_PRIVATE */, 1);
}

/* The next descriptor that the sentry sent for this thread. What arrives for another thread is kept
 * for it: the sentry sends before it replies, so ours is in the socket or has been put aside. */
static int
take_fd(struct stub_slot *s)
{
	struct stub_proc *proc = proc_page();
	struct stub_priv *mine = priv_of(s);
	int fd = -E_FAULT;

	lock(&proc->recv_lock);
	while (mine->nfds == 0) {
		struct stub_fd_msg m;
		uint64_t iov[2] = {(uint64_t)&m, sizeof m};
		union {
			char b[24];
			uint64_t align;
			struct {
				uint64_t len;
				int32_t level, type;
				int32_t fd;
			} c;
		} cm;
		uint64_t mh[7] = {0, 0, (uint64_t)iov, 1, (uint64_t)&cm, sizeof cm, 0};
		struct stub_priv *to;
		long r = sys3(
			__NR_recvmsg, proc->sock_fd, mh, 0x40000040 /* CMSG_CLOEXEC | DONTWAIT */);

		if (r == -E_INTR)
			continue;
		if (r != sizeof m || mh[5] < 20 || cm.c.len != 20 || m.index >= STUB_NSLOTS)
			break;
		to = priv_of(slot_at(m.index));
		if (to->nfds >= STUB_MAX_FDS) {
			sys1(__NR_close, cm.c.fd);
			break;
		}
		to->fds[to->nfds++] = cm.c.fd;
	}
	if (mine->nfds) {
		fd = mine->fds[0];
		mine->nfds--;
		for (uint32_t i = 0; i < mine->nfds && i < STUB_MAX_FDS - 1; i++)
			mine->fds[i] = mine->fds[i + 1];
	}
	unlock(&proc->recv_lock);
	return fd;
}

static long
do_mmap(struct stub_slot *s, const uint64_t a[6])
{
	long r;
	int fd = -1;

	if ((int)a[4] >= 0) {
		fd = take_fd(s);
		if (fd < 0)
			return fd;
	}
	r = sys6(__NR_mmap, a[0], a[1], a[2], a[3], (uint64_t)(int64_t)fd, a[5]);
	if (fd >= 0)
		sys1(__NR_close, fd);
	return r < 0 && r > -4096 ? r : 0;
}

static long
map_slot(uint64_t index, int memfd)
{
	uint64_t at = (uint64_t)slot_at(index);
	long r = sys6(__NR_mmap, at, SLOT_SHARED, 3, 0x11 /* SHARED | FIXED */, (uint64_t)memfd,
		index * SLOT_SHARED);

	if (r != (long)at)
		return r < 0 ? r : -E_INVAL;
	return sys3(__NR_madvise, at, SLOT_SHARED, 10 /* MADV_DONTFORK */);
}

static void
close_others(int a, int b)
{
	int lo = a < b ? a : b, hi = a < b ? b : a;

	if (lo > 1)
		sys3(__NR_close_range, 1, lo - 1, 0);
	if (hi - lo > 1)
		sys3(__NR_close_range, lo + 1, hi - 1, 0);
	sys3(__NR_close_range, hi + 1, ~0u, 0);
}

/* The child gets its own slot memory and socket, and nothing that another thread of ours may just
 * hold. Until its slot is mapped, nothing at `s` can be touched: it is not inherited. */
static long
do_fork(struct stub_slot *s, uint64_t index, uint64_t mark, bool *ready)
{
	struct stub_proc *proc = proc_page();
	int memfd = take_fd(s), sock = memfd < 0 ? -1 : take_fd(s);
	long r = -E_FAULT;

	if (sock >= 0) {
		priv_of(s)->mark = mark;
		r = sys6(__NR_clone, STUB_CLONE_PROCESS, 0, 0, 0, 0, 0);
		if (r == 0) {
			proc->recv_lock = 0;
			proc->mem_fd = memfd;
			proc->sock_fd = sock;
			if (map_slot(index, memfd) < 0)
				stub_die(8);
			priv_of(s)->nfds = 0;
			priv_of(s)->kicked = 0;
			sys2(__NR_prctl, 1 /* PR_SET_PDEATHSIG */, 9);
			close_others(memfd, sock);
			*ready = true;
			return 0;
		}
		sys1(__NR_close, sock);
	}
	if (memfd >= 0)
		sys1(__NR_close, memfd);
	return r;
}

/* A signal handler runs with a fresh FPU; a thread that is made there shall inherit the guest's. */
static void
load_fpu(const struct host_ucontext *uc)
{
	uint8_t *area = (uint8_t *)uc->mc.fpstate;
	struct x86_fp_sw sw;
	bool ext;

	if (!area)
		return;
	x86_fp_size(area, &ext);
	__builtin_memcpy(&sw, area + X86_FP_SW_OFF, sizeof sw);
	if (ext)
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(area), "a"((uint32_t)sw.xfeatures),
				 "d"((uint32_t)(sw.xfeatures >> 32))
				 : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static long
do_thread(struct host_ucontext *uc, uint64_t index, bool mapped)
{
	struct stub_slot *n = slot_at(index);
	uint64_t at = (uint64_t)n + SLOT_PRIV;
	long r;

	if (index >= STUB_NSLOTS)
		return -E_INVAL;
	if (!mapped) {
		r = map_slot(index, proc_page()->mem_fd);
		if (r < 0)
			return r;
		r = sys6(__NR_mmap, at, SLOT_PRIV_SZ, 3, 0x32 /* PRIVATE | FIXED | ANONYMOUS */,
			~0ull, 0);
		if (r != (long)at)
			return r;
	}
	priv_of(n)->kicked = 0;
	priv_of(n)->futex_luck = 0;
	priv_of(n)->nfds = 0;
	if (uc)
		load_fpu(uc);
	return stub_clone_thread(
		STUB_CLONE_THREAD, at + SLOT_STACK_TOP - SLOT_PRIV, &n->tid, &n->tid, n);
}

/* The first thread of a process stays until that ends: without it the host finds the memory of the
 * others no more by the number of the process. */
static _Noreturn void
do_exit(struct stub_slot *s, uint64_t clear_tid, bool stays)
{
	struct x86_rseq rs = priv_of(s)->rseq;

	/* Who sees that the thread has ended may unmap what the host writes to. */
	if (rs.addr)
		stub_rseq(s, rs.addr, rs.len, LX_RSEQ_UNREGISTER, rs.sig);
	if (clear_tid) {
		stub_store32((uint32_t *)clear_tid, 0);
		futex_word((uint32_t *)clear_tid, 1 /* FUTEX_WAKE */, 1);
	}
	/* No loop: a guest that jumps here would stay for good, and answer no kick. Nobody wakes
	 * it. */
	if (stays)
		futex_word(&s->tid, 0 /* FUTEX_WAIT */, s->tid);
	for (;;)
		sys1(__NR_exit, 0);
}

/* The FPU state of a guest frame at `fp`: a copy of the host frame's, whose own is then reset, or
 * made here from the CPU's when the guest came without a trap. */
static long
put_fpu(struct host_ucontext *uc, uint64_t fp, uint32_t size)
{
	const struct stub_public *pub = public_page();
	struct {
		uint8_t sw[X86_FXSAVE_SIZE - X86_FP_SW_OFF];
		uint8_t header[64];
	} init;
	struct x86_fp_sw sw = {X86_FP_MAGIC1, pub->fp_extended, pub->fp_features, pub->fp_size};
	uint32_t magic2 = X86_FP_MAGIC2;

	if (uc) {
		uint8_t *area = (uint8_t *)uc->mc.fpstate;

		if (stub_copy((void *)fp, area, size) != 0)
			return -E_FAULT;
		x86_fp_reset(area, size);
		return 0;
	}
	__builtin_memset(&init, 0, sizeof init);
	__builtin_memcpy(init.sw, &sw, sizeof sw);
	if (stub_copy((void *)(fp + X86_FP_SW_OFF), &init, sizeof init) != 0 ||
		stub_xsave((void *)fp, pub->fp_features) < 0 ||
		stub_copy((void *)(fp + X86_FP_SW_OFF), init.sw, sizeof init.sw) != 0 ||
		stub_copy((void *)(fp + pub->fp_size), &magic2, sizeof magic2) != 0)
		return -E_FAULT;
	return stub_xrstor(pub->fp_fresh, pub->fp_features);
}

static long
do_sigframe(struct stub_slot *s, struct host_ucontext *uc, const uint64_t a[6])
{
	struct guest_regs *r = &s->regs;
	struct host_sigframe f;
	uint64_t fp, at, sp = a[0];
	uint32_t size = public_page()->fp_extended;
	bool ext;

	if (uc && !uc->mc.fpstate)
		return -E_INVAL;
	if (uc)
		size = x86_fp_size((uint8_t *)uc->mc.fpstate, &ext);
	else if (!size || (r->eflags & X86_EFLAGS_TF))
		return -E_AGAIN;
	x86_frame_place(a[5] ? sp - 128 : sp, size, &fp, &at);
	if (uc) {
		f.uc.flags = uc->flags;
		f.uc.mc = uc->mc;
	} else {
		f.uc.flags = 7; /* UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS */
		__builtin_memset(&f.uc.mc, 0, sizeof f.uc.mc);
		x86_regs_to_sc(&f.uc.mc, r);
		f.uc.mc.flags = r->eflags;
		f.uc.mc.cs = 0x33;
		f.uc.mc.ss = 0x2b;
	}
	f.pretcode = a[2];
	f.uc.link = 0;
	stub_copy(f.info, s->bounce, 128);
	stub_copy(f.uc.stack, s->bounce + 128, 24);
	f.uc.mc.fpstate = fp;
	f.uc.mc.err = s->fault_err;
	f.uc.mc.trapno = s->fault_trapno;
	f.uc.mc.cr2 = s->fault_addr;
	f.uc.mc.oldmask = a[4];
	f.uc.sigmask = a[4];
	if (stub_copy((void *)at, &f, sizeof f) != 0 || put_fpu(uc, fp, size) < 0)
		return -E_FAULT;
	r->rip = a[1];
	r->rsp = at;
	r->rdi = a[3];
	r->rsi = at + offsetof(struct host_sigframe, info);
	r->rdx = at + offsetof(struct host_sigframe, uc);
	r->rax = 0;
	r->eflags &= ~(uint64_t)(X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_RF);
	if (uc)
		x86_regs_to_sc(&uc->mc, r);
	return 0;
}

/* The FPU of a guest frame, without the host: 0, -EFAULT, or -EAGAIN for what is left to the host.
 */
static long
get_fpu(uint64_t fp)
{
	const struct stub_public *pub = public_page();
	struct x86_fp_sw sw;
	uint64_t mask;

	if (!pub->fp_extended || (fp & 63))
		return -E_AGAIN;
	if (fp == 0)
		return stub_xrstor(pub->fp_fresh, pub->fp_features);
	if (stub_copy(&sw, (const void *)(fp + X86_FP_SW_OFF), sizeof sw) != 0)
		return -E_FAULT;
	if (sw.magic1 != X86_FP_MAGIC1 || sw.xstate_size != pub->fp_size)
		return -E_AGAIN;
	mask = sw.xfeatures & pub->fp_features;
	if (mask != pub->fp_features && stub_xrstor(pub->fp_fresh, pub->fp_features & ~mask) < 0)
		return -E_FAULT;
	return stub_xrstor((const void *)fp, mask);
}

/* The FPU of a guest frame into that of the host's, `area`. The host's never stands in the guest's
 * memory: the next guest frame may come to lie where this one was, before the thread has left. What
 * the host would kill the thread for when it loads it is -EFAULT. */
static long
take_fpu(uint8_t *area, uint64_t fp)
{
	uint8_t legacy[X86_FXSAVE_SIZE], header[64];
	struct x86_fp_sw own, sw;
	uint32_t size, mxcsr, mask, magic2 = 0;
	uint64_t bv = 3; /* x87 and SSE, when there is no more */
	bool ext;

	size = x86_fp_size(area, &ext);
	if (fp == 0) {
		x86_fp_reset(area, size);
		return 0;
	}
	if (stub_copy(legacy, (const void *)fp, sizeof legacy) != 0)
		return -E_FAULT;
	__builtin_memcpy(&own, area + X86_FP_SW_OFF, sizeof own);
	__builtin_memcpy(&sw, legacy + X86_FP_SW_OFF, sizeof sw);
	__builtin_memcpy(&mxcsr, legacy + X86_MXCSR_OFF, sizeof mxcsr);
	__builtin_memcpy(&mask, area + X86_MXCSR_OFF + 4, sizeof mask);
	if (mxcsr & ~(mask ? mask : 0xffbf))
		return -E_FAULT;
	__builtin_memset(header, 0, sizeof header);
	if (ext && sw.magic1 == X86_FP_MAGIC1 && sw.xstate_size == own.xstate_size &&
		stub_copy(&magic2, (const void *)(fp + sw.xstate_size), sizeof magic2) == 0 &&
		magic2 == X86_FP_MAGIC2) {
		if (stub_copy(header, (const void *)(fp + X86_XHDR_OFF), sizeof header) != 0)
			return -E_FAULT;
		__builtin_memcpy(&bv, header, sizeof bv);
		for (unsigned i = 8; i < sizeof header; i++)
			if (header[i])
				return -E_FAULT;
		if (bv & ~own.xfeatures)
			return -E_FAULT;
		bv &= sw.xfeatures;
		if (stub_copy(area + X86_XHDR_OFF + 64, (const void *)(fp + X86_XHDR_OFF + 64),
			    own.xstate_size - X86_XHDR_OFF - 64) != 0)
			return -E_FAULT;
	}
	__builtin_memcpy(area, legacy, X86_FP_SW_OFF);
	if (ext) {
		__builtin_memcpy(header, &bv, sizeof bv);
		__builtin_memcpy(area + X86_XHDR_OFF, header, sizeof header);
	}
	return 0;
}

long
stub_sigreturn(struct stub_slot *s, struct host_ucontext *uc)
{
	struct host_ucontext g;

	if (stub_copy(&g, (const void *)s->regs.rsp, sizeof g) != 0)
		return -E_FAULT;
	if (uc) {
		uint64_t own = uc->mc.fpstate;
		long r = own ? take_fpu((uint8_t *)own, g.mc.fpstate) : 0;

		if (r < 0)
			return r;
		g.mc.cs = uc->mc.cs;
		g.mc.ss = uc->mc.ss;
		uc->mc = g.mc;
		uc->mc.fpstate = own;
	} else {
		long r = g.mc.flags & X86_EFLAGS_TF ? -E_AGAIN : get_fpu(g.mc.fpstate);

		if (r < 0)
			return r;
	}
	x86_regs_from_sc(&s->regs, &g.mc);
	s->regs.eflags = (g.mc.flags & X86_EFLAGS_USER) | 0x202;
	stub_copy(s->bounce, &g.sigmask, 8);
	stub_copy(s->bounce + 8, g.stack, 24);
	return 0;
}

/* Replace a page of guest text by a copy in which 8 bytes are changed, in one step for whoever
 * executes it. */
static long
do_patch(const uint64_t a[6], const uint64_t *code)
{
	uint64_t page = a[0], scratch = (uint64_t)stub_base + STUB_SCRATCH, tramp = a[4];
	long r;

	if (tramp) {
		uint64_t tpage = tramp & ~4095ull;

		r = sys3(__NR_mprotect, tpage, 4096, 7);
		if (r == 0 && stub_copy((void *)tramp, code, 32) != 0)
			r = -E_FAULT;
		if (r == 0)
			r = sys3(__NR_mprotect, tpage, 4096, 5);
		if (r < 0)
			return r;
	}
	r = sys6(__NR_mmap, scratch, 4096, 3, 0x32, ~0ull, 0);
	if (r != (long)scratch)
		return r;
	if (stub_copy((void *)scratch, (const void *)page, 4096) != 0)
		return -E_FAULT;
	stub_copy((void *)(scratch + (a[2] & 4095)), &a[3], a[5] & 7);
	r = sys3(__NR_mprotect, scratch, 4096, a[1]);
	if (r < 0)
		return r;
	r = sys6(__NR_mremap, scratch, 4096, 4096, 3, page, 0);
	return r == (long)page ? 0 : r;
}

static long
do_xstate(struct stub_slot *s, struct host_ucontext *uc, bool set, uint64_t len)
{
	uint8_t *area = uc ? (uint8_t *)uc->mc.fpstate : NULL;
	uint32_t size;
	bool ext;

	if (!area)
		return -E_INVAL;
	size = x86_fp_size(area, &ext);
	if (!set)
		return stub_copy(s->bounce, area, size) ? -E_FAULT : (long)size;
	if (len == 0) {
		x86_fp_reset(area, size);
		return 0;
	}
	if (len > size || len < X86_FXSAVE_SIZE)
		return -E_INVAL;
	stub_copy(area, s->bounce, X86_FP_SW_OFF);
	if (ext && len > X86_FXSAVE_SIZE)
		stub_copy(
			area + X86_FXSAVE_SIZE, s->bounce + X86_FXSAVE_SIZE, len - X86_FXSAVE_SIZE);
	return 0;
}

static long
copy_out(struct stub_slot *s, const uint64_t a[6])
{
	const void *base = a[3] ? (const void *)(stub_base + STUB_LARGE) : s->bounce;
	uint64_t size = a[3] ? STUB_LARGE_SZ : SLOT_BOUNCE_SZ;

	if (a[1] > size || a[2] > size - a[1])
		return -E_INVAL;
	return stub_copy((void *)a[0], (const uint8_t *)base + a[1], a[2]) ? -E_FAULT : 0;
}

static long
keep_file(struct stub_slot *s, uint64_t index, bool one_goes)
{
	int32_t *file = &proc_page()->files[index % STUB_NFILES];
	int fd = take_fd(s);

	if (fd < 0)
		return fd;
	if (one_goes)
		sys1(__NR_close, *file);
	*file = fd;
	return 0;
}

static long
read_file(const uint64_t a[6])
{
	int fd = proc_page()->files[a[3] % STUB_NFILES];
	const uint8_t zero = 0;
	uint64_t done = 0;

	while (done < a[1]) {
		long r = sys4(__NR_pread64, fd, a[0] + done, a[1] - done, a[2] + done);

		if (r < 0 && r > -4096)
			return r;
		if (r == 0)
			break; /* somebody has made it shorter */
		done += (uint64_t)r;
	}
	if (done >= a[1])
		return 0;
	/* Byte by byte, each from the one before. */
	if (stub_copy((void *)(a[0] + done), &zero, 1) != 0)
		return -E_FAULT;
	return stub_copy((void *)(a[0] + done + 1), (void *)(a[0] + done), a[1] - done - 1)
		       ? -E_FAULT
		       : 0;
}

static long
do_op(struct stub_slot *s, struct host_ucontext *uc, const struct stub_op *op,
	const struct stub_op *next, bool *ready)
{
	const uint64_t *a = op->a;
	uint64_t ts[2], usage[STUB_USAGE_WORDS];
	uint64_t mm[STUB_MM_WORDS];
	char name[16];
	long r;

	switch (op->code) {
	case STUB_OP_MMAP:
		return do_mmap(s, a);
	case STUB_OP_MUNMAP:
		return sys2(__NR_munmap, a[0], a[1]);
	case STUB_OP_MPROTECT:
		return sys3(__NR_mprotect, a[0], a[1], a[2]);
	case STUB_OP_MREMAP:
		r = sys6(__NR_mremap, a[0], a[1], a[3], 3 /* MAYMOVE | FIXED */, a[2], 0);
		return r == (long)a[2] ? 0 : r;
	case STUB_OP_MADVISE:
		return sys3(__NR_madvise, a[0], a[1], a[2]);
	case STUB_OP_COPY_OUT:
		return copy_out(s, a);
	case STUB_OP_COPY_IN:
		if (a[0] > SLOT_BOUNCE_SZ || a[2] > SLOT_BOUNCE_SZ - a[0])
			return -E_INVAL;
		return stub_copy(s->bounce + a[0], (const void *)a[1], a[2]) ? -E_FAULT : 0;
	case STUB_OP_FORK:
		return do_fork(s, a[0], a[1], ready);
	case STUB_OP_THREAD:
		return do_thread(uc, a[0], a[1] != 0);
	case STUB_OP_EXIT:
		do_exit(s, a[0], a[1] != 0);
	case STUB_OP_SIGFRAME:
		return do_sigframe(s, uc, a);
	case STUB_OP_SIGRETURN:
		return stub_sigreturn(s, uc);
	case STUB_OP_CMPXCHG:
		return stub_cmpxchg((uint32_t *)a[0], (uint32_t)a[1], (uint32_t)a[2]);
	case STUB_OP_WAKE:
		return sys6(__NR_futex, a[0], a[3] ? 10 | 128 : 10 /* FUTEX_WAKE_BITSET */, a[1], 0,
			0, a[2]);
	case STUB_OP_RETAKE:
		if (uc)
			return 0;
		stub_retake();
	case STUB_OP_PATCH:
		return do_patch(a, next->a);
	case STUB_OP_DATA:
		return 0;
	case STUB_OP_NAME:
		stub_copy(name, a, 16);
		name[15] = 0;
		return sys2(__NR_prctl, 15 /* PR_SET_NAME */, name);
	case STUB_OP_ARGS:
		stub_mm_map(mm, a[0], a[1]);
		/* A host without CONFIG_CHECKPOINT_RESTORE has no such call. */
		sys4(__NR_prctl, 35 /* PR_SET_MM */, 14 /* PR_SET_MM_MAP */, mm, sizeof mm);
		return 0;
	case STUB_OP_GETX:
		return do_xstate(s, uc, false, 0);
	case STUB_OP_SETX:
		return do_xstate(s, uc, true, a[0]);
	case STUB_OP_FILE:
		return keep_file(s, a[0], a[1] != 0);
	case STUB_OP_PREAD:
		return read_file(a);
	case STUB_OP_CPUTIME:
		r = sys2(__NR_clock_gettime, 3, ts);
		return r < 0 ? r : (long)(ts[0] * 1000000000ull + ts[1]);
	case STUB_OP_RSEQ:
		return stub_rseq(s, a[0], a[1], a[2], a[3]);
	case STUB_OP_USAGE:
		r = sys2(__NR_getrusage, a[0], usage);
		return r < 0 ? r : (long)usage[a[1] % STUB_USAGE_WORDS];
	}
	return -E_INVAL;
}

/* A copy-out that faults is told at the end; anything else stops at once, and the descriptors that
 * were sent for what is not made are dropped. */
int
stub_ops(struct stub_slot *s, struct host_ucontext *uc, unsigned n, bool *ready)
{
	int soft = -1;

	for (unsigned i = 0; i < n && i < STUB_NOPS; i++) {
		struct stub_op *op = &s->ops[i];
		struct stub_op copy = *op; /* a fork's child has no slot for a moment */
		long r = do_op(s, uc, &copy, op + (i + 1 < STUB_NOPS), ready);

		if (*ready)
			return -1;
		op->result = r;
		if (r >= 0 || r <= -4096)
			continue;
		if (copy.code == STUB_OP_COPY_OUT || copy.code == STUB_OP_PREAD) {
			if (soft < 0)
				soft = (int)i;
			continue;
		}
		for (unsigned k = i + 1; k < n && k < STUB_NOPS; k++)
			if (s->ops[k].code == STUB_OP_MMAP && (int)s->ops[k].a[4] >= 0)
				sys1(__NR_close, take_fd(s));
		return (int)i;
	}
	return soft;
}
