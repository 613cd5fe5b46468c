/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the engine: the public page, the doorbell, and the zygote, of which all other stub
 * processes are copies. The zygote is forked from the sentry; it maps the stub, closes all
 * descriptors but its own, gives up all rights and goes into the stub, which drops the rest of the
 * sentry's memory and installs the filter.
 */
#include "platform/trap/internal.h"
#include "platform/x86_64/first.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define SA_KERNEL_RESTORER 0x04000000
#define USER_TOP	   0x7ffffffff000ull
#define SPIN_CYCLES	   60000 /* some 20 us; waking a sleeper costs about as much */

struct trap_engine trap = {.pub_fd = -1, .bell = {-1, -1}, .lock = MUTEX_INIT(PLAT)};

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

static void
child_check(long r, int code)
{
	if (host_is_err(r))
		for (;;)
			host_call1(SYS_exit_group, code);
}

static void
child_map(uint64_t off, uint64_t len, int prot, int flags, int fd, uint64_t file_off)
{
	child_check(host_call6(SYS_mmap, trap.base + off, len, (uint64_t)prot,
			    (uint64_t)(flags | MAP_FIXED), (uint64_t)(int64_t)fd, file_off),
		20);
}

static void
child_signals(void)
{
	static const int handled[] = {
		SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, TRAP_KICK_SIGNAL};
	const struct stub_header *h = (const void *)trap_blob;
	struct kernel_sigaction sa = {0};

	sa.handler = trap.base + h->handler;
	sa.restorer = trap.base + h->restorer;
	sa.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_KERNEL_RESTORER;
	for (unsigned i = 0; i < sizeof handled / sizeof handled[0]; i++)
		child_check(host_call4(SYS_rt_sigaction, handled[i], &sa, NULL, 8), 21);
}

static void
child_fds(int bell, int sock, int memfd)
{
	/* Above everything first, so that nothing is overwritten. */
	long b = host_call3(SYS_fcntl, bell, F_DUPFD, 10),
	     s = host_call3(SYS_fcntl, sock, F_DUPFD, 10),
	     m = host_call3(SYS_fcntl, memfd, F_DUPFD, 10);

	child_check(b, 22);
	child_check(s, 22);
	child_check(m, 22);
	child_check(host_call3(SYS_dup3, b, STUB_BELL_FD, 0), 22);
	child_check(host_call3(SYS_dup3, s, 1, 0), 22);
	child_check(host_call3(SYS_dup3, m, 2, 0), 22);
	child_check(host_call3(SYS_close_range, 3, ~0u, 0), 23);
}

/* In the child: only raw calls from here on. */
static _Noreturn void
zygote_main(const struct plat_space *sp, int sock)
{
	const struct stub_header *h = (const void *)trap_blob;
	const uint64_t slot = trap.base + STUB_SLOTS;
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	struct stub_proc *proc = (void *)(trap.base + STUB_PROC);

	x86_first_forget_libc();
	child_map(0, STUB_TEXT_MAX, rw, anon, -1, 0);
	memcpy((void *)trap.base, trap_blob, (size_t)(trap_blob_end - trap_blob));
	child_check(host_call3(SYS_mprotect, trap.base, STUB_TEXT_MAX, PROT_READ | PROT_EXEC), 25);
	child_map(STUB_PUBLIC, sizeof(struct stub_public), PROT_READ, MAP_SHARED, trap.pub_fd, 0);
	child_map(STUB_PROC, LX_PAGE_SIZE, rw, anon, -1, 0);
	child_map(STUB_SLOTS, SLOT_SHARED, rw, MAP_SHARED, sp->memfd, 0);
	child_check(host_call3(SYS_madvise, slot, SLOT_SHARED, MADV_DONTFORK), 25);
	child_map(STUB_SLOTS + SLOT_PRIV, SLOT_PRIV_SZ, rw, anon, -1, 0);
	proc->sock_fd = 1;
	proc->mem_fd = 2;
	child_fds(trap.bell[1], sock, sp->memfd);
	child_signals();
	child_check(x86_first_drop_rights(), 24);
	/* Of the thread that started the engine: it lives as long as the sentry. */
	host_call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	__asm__ volatile("jmp *%0"
			 :
			 : "r"(trap.base + h->start), "D"(slot + SLOT_BOUNCE), "S"(slot)
			 : "memory");
	__builtin_unreachable();
}

/* Without fibers: the caller of init waits for the zygote with its own thread. */
static int
wait_zygote(struct plat_thread *t)
{
	/* Nobody wakes us: a stub that is ready only says so. */
	for (int i = 0; i < 100000; i++) {
		uint32_t st = __atomic_load_n(&t->s->state, __ATOMIC_ACQUIRE);
		int status;

		if ((st & ~(uint32_t)STUB_WAITER) == STUB_REQ)
			return (t->s->kind & STUB_KIND_MASK) == STUB_K_READY ? 0 : -ENOSYS;
		if (host_reap_pid(t->sp->pid, &status)) {
			log_error(
				"the first stub process ended with status 0x%x while it was set up",
				status);
			return -ENOSYS;
		}
		host_futex_wait(&t->s->state, st, 100000);
	}
	log_error("the first stub process does not answer");
	return -ENOSYS;
}

static void
use_layout(const struct x86_layout *lay, struct stub_boot *b)
{
	memset(b, 0, sizeof *b);
	trap.base = lay->base;
	trap.vdso = lay->vdso;
	trap.vdso_len = lay->vdso_len;
	trap.vdso_ehdr = lay->vdso_ehdr;
	b->keep_start = lay->keep_start;
	b->keep_end = lay->keep_end;
	b->nmove = lay->nmove;
	for (uint32_t i = 0; i < lay->nmove; i++) {
		b->move[i].from = lay->move[i].from;
		b->move[i].to = lay->move[i].to;
		b->move[i].len = lay->move[i].len;
	}
}

static int
start_zygote(bool move_vdso)
{
	struct stub_boot b;
	struct x86_layout lay;
	struct plat_space *sp;
	struct plat_thread *t;
	ssize_t n;
	int fds[2], err;
	long pid;

	err = x86_layout_find(&lay, STUB_VDSO, STUB_VDSO_MAX, move_vdso);
	if (err < 0)
		return err;
	use_layout(&lay, &b);
	sp = trap_space_alloc();
	if (!sp)
		return -ENOMEM;
	t = trap_thread_alloc(sp, 0, NULL, &err);
	if (!t)
		return err;
	err = host_socketpair(fds);
	if (err < 0)
		return err;
	sp->sock = fds[0];
	b.top = X86_USER_TOP;
	b.filter = trap.base + STUB_SLOTS + SLOT_BOUNCE + LX_PAGE_SIZE;
	memcpy(t->s->bounce, &b, sizeof b);
	n = x86_filter_make(t->s->bounce + LX_PAGE_SIZE, SLOT_BOUNCE_SZ / 2, b.filter, trap.base,
		STUB_TEXT_MAX);
	if (n < 0)
		return (int)n;
	pid = host_call5(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		zygote_main(sp, fds[1]);
	host_close(fds[1]);
	if (pid < 0)
		return (int)pid;
	trap_space_register(sp, (pid_t)pid);
	t->tid = (pid_t)pid;
	t->s->tid = (uint32_t)pid;
	t->kind = STUB_K_READY;
	trap.zygote = t;
	return wait_zygote(t);
}

static int
check_features(void)
{
	trap.fsgsbase = (getauxval(AT_HWCAP2) & 2) != 0;
	trap.pub->fsgsbase = trap.fsgsbase;
	if (getauxval(AT_MINSIGSTKSZ) > SLOT_ALT_SZ / 4) {
		log_error("signal frames of this CPU (%lu bytes) are larger than the stub's stack "
			  "allows",
			getauxval(AT_MINSIGSTKSZ));
		return -ENOSYS;
	}
	return 0;
}

int
trap_init(const struct plat_env *env, const struct plat_config *cfg,
	const struct plat_syscall_desc *desc)
{
	uint8_t probe[16];
	int err = 0;

	trap.env = env;
	trap.cfg = *cfg;
	trap.desc = desc;
	trap.closing = false;
	trap.lost_ns = INT64_MAX;
	trap.pub_fd = host_memfd_sealed("moat-public", sizeof(struct stub_public));
	if (trap.pub_fd < 0)
		return trap.pub_fd;
	trap.pub = host_map_shared(trap.pub_fd, 0, sizeof(struct stub_public), &err);
	if (!trap.pub)
		return err;
	err = host_memfd_freeze(trap.pub_fd);
	if (err < 0)
		return err;
	memcpy(trap.pub->desc, desc, sizeof trap.pub->desc);
	trap.pub->awake = 1;
	trap.pub->spin_cycles = SPIN_CYCLES;
	trap.pub->futex_spin = env->may_spin && cfg->spin && env->ncpu > 1;
	err = check_features();
	if (err == 0)
		err = host_pipe_nonblock(trap.bell);
	if (err < 0)
		return err;
	trap_learn_frame();
	err = start_zygote(true);
	if (err < 0)
		return err;
	trap.vm_refused =
		host_vm_read(trap.zygote->sp->pid, probe, trap.base, sizeof probe) == -EPERM;
	if (trap.vm_refused)
		log_info("process_vm_readv is refused: guest memory goes through the stubs");
	return trap_start_reaper();
}

void
trap_shutdown(void)
{
	if (!trap.pub)
		return;
	mutex_lock(&trap.lock);
	trap.closing = true;
	for (unsigned i = 0; i < sizeof trap.hash / sizeof trap.hash[0]; i++)
		for (struct plat_space *sp = trap.hash[i]; sp; sp = sp->hash_next)
			host_kill(sp->pid, SIGKILL);
	mutex_unlock(&trap.lock);
	trap_wait_reaper();
	while (trap.nahead) {
		LIVE_INC(PLAT_THREAD);
		trap_thread_exit(trap.ahead[--trap.nahead], 0);
	}
	if (trap.zygote)
		trap_thread_exit(trap.zygote, 0);
	trap.zygote = NULL;
	host_close(trap.bell[0]);
	host_close(trap.bell[1]);
	host_close(trap.pub_fd);
	host_unmap(trap.pub, sizeof(struct stub_public));
	free(trap.hot);
	free(trap.cold);
	trap.hot = trap.cold = NULL;
	trap.nhot = trap.ncold = trap.hot_cap = trap.cold_cap = trap.cold_at = 0;
	trap.pub = NULL;
}
