/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/platform/kern.h"
#include "abi/restart.h"
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern const char guest_image[], guest_image_end[];

struct fiber {
	sem_t sem;
};

struct area {
	uint64_t start, len;
	struct area *next;
};

struct run {
	pthread_mutex_t m;
	pthread_cond_t c;
	long value[NKEYS];
	bool has[NKEYS];
	int live, children_ended;
	struct plat_thread *first;
	struct plat_event events[32];
	int nevents, gone;
	_Atomic int told;
	uint64_t handler, restorer;
	_Atomic uint64_t next_map, next_gap;
	_Atomic bool killed;
	int fd;
};

struct task {
	struct run *run;
	struct plat_thread *t;
	bool child;
	unsigned char big[262144];
};

static unsigned char pattern[262144]; /* what a read gives */
static __thread struct fiber *self_fiber;
static struct plat_env env;
static pthread_t poller;
static sem_t started;
static _Atomic bool stop;

static void
fail(const char *what)
{
	fprintf(stderr, "kern: %s\n", what);
	_exit(3);
}

static struct fiber *
my_fiber(void)
{
	if (!self_fiber) {
		self_fiber = malloc(sizeof *self_fiber);
		sem_init(&self_fiber->sem, 0, 0);
	}
	return self_fiber;
}

static void env_park_polling(void);

/* As a worker of the sentry does it: the thread that waits looks at the slots itself. */
bool kern_inline_poll;
struct plat_thread *kern_from;

static void
env_park(void)
{
	if (kern_inline_poll) {
		env_park_polling();
		return;
	}
	while (sem_wait(&my_fiber()->sem) != 0)
		;
}

static void *
env_self(void)
{
	return my_fiber();
}

static void
env_unpark(void *cookie)
{
	sem_post(&((struct fiber *)cookie)->sem);
}

static _Atomic int looks_again;

static void
env_look_again(void)
{
	looks_again++;
}

int
kern_looks_again(void)
{
	return looks_again;
}

static void
env_gone(struct plat_thread *t, void *owner)
{
	struct run *r = owner;

	(void)t;
	r->told++;
}

static uint64_t
env_find_gap(struct plat_thread *t, void *owner, uint64_t near, uint64_t len)
{
	struct run *r = owner;

	(void)t;
	(void)near;
	return atomic_fetch_add(&r->next_gap, len);
}

static bool
env_may_patch(void *owner, uint64_t addr, uint64_t len, int *ret_prot)
{
	(void)owner;
	if (addr < G_TEXT || addr + len > G_TEXT + 0x10000)
		return false;
	*ret_prot = PROT_READ | PROT_EXEC;
	return true;
}

struct kern_config {
	const char *engine;
	const struct plat_config *cfg;
	const struct plat_syscall_desc *desc;
};

static void
engine_start(const struct kern_config *c)
{
	if (plat_select(c->engine) != 0 || plat->init(&env, c->cfg, c->desc) != 0)
		fail("the engine does not start");
}

/* The worker of an engine that wants one, and of the others: it starts and stops the engine. */
static void *
poller_main(void *arg)
{
	int idle = 0;

	engine_start(arg);
	sem_post(&started);
	while (!stop) {
		if (plat->poll()) {
			idle = 0;
			continue;
		}
		int64_t until = INT64_MAX;

		if (env.may_spin && !plat->one_worker && ++idle < 2000) {
			__builtin_ia32_pause();
			continue;
		}
		idle = 0;
		if (plat->prepare_sleep(&until))
			continue;
		struct pollfd p = {.fd = plat->doorbell_fd(), .events = POLLIN};

		poll(&p, 1, 20);
		plat->woke();
	}
	plat->shutdown();
	return NULL;
}

static void
env_park_polling(void)
{
	struct fiber *f = my_fiber();
	int idle = 0;

	for (;;) {
		struct pollfd p = {.fd = plat->doorbell_fd(), .events = POLLIN};
		int64_t until = INT64_MAX;
		int v;

		sem_getvalue(&f->sem, &v);
		if (v > 0 && sem_trywait(&f->sem) == 0)
			return;
		if (plat->poll() || (env.may_spin && ++idle < 5000))
			continue;
		idle = 0;
		if (plat->prepare_sleep(&until))
			continue;
		poll(&p, 1, 1);
		plat->woke();
	}
}

void
kern_start(const char *engine, const struct plat_config *cfg, bool spin)
{
	static struct plat_syscall_desc desc[PLAT_NR_SYSCALLS];
	static struct kern_config kc;
	sigset_t blocked;
	cpu_set_t cpus;

	desc[1].arg[1] = (struct plat_arg_desc){PLAT_ARG_BUF_IN, 2, 0};
	desc[2].arg[0] = (struct plat_arg_desc){PLAT_ARG_STR, 0, 0};
	desc[20].arg[1] = (struct plat_arg_desc){PLAT_ARG_VEC_IN, 2, 0};
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(i * 7);
	sched_getaffinity(0, sizeof cpus, &cpus);
	env.park = env_park;
	env.self = env_self;
	env.unpark = env_unpark;
	env.look_again = env_look_again;
	env.thread_gone = env_gone;
	env.find_gap = env_find_gap;
	env.may_patch = env_may_patch;
	env.ncpu = CPU_COUNT(&cpus);
	env.may_spin = spin && env.ncpu > 1;
	/* Stubs outlive a driver that crashes, unless this process is the init of their namespace.
	 */
	if (unshare(CLONE_NEWPID) == 0) {
		pid_t pid = fork();
		int st = 0;

		if (pid) {
			if (pid < 0 || waitpid(pid, &st, 0) != pid)
				fail("fork");
			_exit(WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st));
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	kc = (struct kern_config){engine, cfg, desc};
	if (plat_select(engine) != 0)
		fail("no such engine");
	if (plat->one_worker)
		kern_inline_poll = false;
	if (kern_inline_poll) {
		engine_start(&kc);
		return;
	}
	sem_init(&started, 0, 0);
	pthread_create(&poller, NULL, poller_main, &kc);
	while (sem_wait(&started) != 0)
		;
}

void
kern_stop(void)
{
	stop = true;
	if (kern_inline_poll)
		plat->shutdown();
	else
		pthread_join(poller, NULL);
}

static void *task_main(void *arg);

static void
task_start(struct run *r, struct plat_thread *t, bool child)
{
	struct task *k = malloc(sizeof *k);
	pthread_t th;

	k->run = r;
	k->t = t;
	k->child = child;
	pthread_mutex_lock(&r->m);
	r->live++;
	pthread_mutex_unlock(&r->m);
	if (pthread_create(&th, NULL, task_main, k) != 0)
		fail("pthread_create");
	pthread_detach(th);
}

static void
set_report(struct run *r, long key, long v)
{
	pthread_mutex_lock(&r->m);
	if (key >= 0 && key < NKEYS) {
		r->value[key] = v;
		r->has[key] = true;
	}
	pthread_cond_broadcast(&r->c);
	pthread_mutex_unlock(&r->m);
}

static void
deliver(struct run *r, struct plat_thread *t, int signo)
{
	char info[128] = {0};
	uint64_t stack[3] = {0};

	memcpy(info, &signo, sizeof signo);
	if (plat->signal_deliver(t, signo, info, r->handler, r->restorer, plat->regs(t)->rsp, 0,
		    stack, true) != 0)
		fail("signal_deliver");
}

static int64_t
sys_mapfd(struct run *r, struct plat_thread *t)
{
	uint64_t at = atomic_fetch_add(&r->next_map, 3 * 4096);

	if (r->fd < 0) {
		char page[4096];

		r->fd = memfd_create("file", MFD_CLOEXEC);
		for (int i = 0; i < 3; i++) {
			memset(page, 'A' + i, sizeof page);
			if (write(r->fd, page, sizeof page) != sizeof page)
				fail("write");
		}
	}
	for (int i = 0; i < 3; i++)
		if (plat->map(t, at + (uint64_t)i * 4096, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_FIXED, r->fd, i * 4096) != 0)
			return -EIO;
	return (int64_t)at;
}

static int64_t
do_syscall(struct task *k, const struct plat_event *ev, bool *no_result)
{
	struct run *r = k->run;
	struct plat_thread *t = k->t, *c;
	const uint64_t *a = ev->args;
	unsigned char *big = k->big;
	struct guest_regs *g;
	uint64_t at, mask, stack[3];
	uint32_t v;
	char s[64];
	int err;

	if (ev->compat)
		return -ENOSYS;
	switch (ev->nr) {
	case 72:
		return (int64_t)a[0] + 1000;
	case 39:
		return 1234;
	case 110:
		return 77;
	case 0:
		if (a[2] > sizeof k->big)
			return -EINVAL;
		{
			unsigned char *w = plat->window(t, a[1], a[2]);

			if (w) {
				memcpy(w, pattern, a[2]);
				return (int64_t)a[2];
			}
		}
		memcpy(big, pattern, a[2]);
		return plat->copy_out(t, a[1], big, a[2]) ? -EFAULT : (int64_t)a[2];
	case 1:
		if (a[2] > sizeof k->big)
			return -EINVAL;
		if (plat->copy_in(t, big, a[1], a[2]) != 0)
			return -EFAULT;
		if (a[2] == 5000)
			for (size_t i = 0; i < a[2]; i++)
				if (big[i] != (unsigned char)i)
					return -EIO;
		return (int64_t)a[2];
	case 2:
		if (plat->copy_in(t, s, a[0], 7) != 0)
			return -EFAULT;
		return strcmp(s, "/hello") == 0 ? 3 : -ENOENT;
	case 20: {
		struct lx_iovec iov[2];

		if (plat->copy_in(t, iov, a[1], sizeof iov) != 0 ||
			plat->copy_in(t, s, iov[1].base, iov[1].len) != 0)
			return -EFAULT;
		return (int64_t)(iov[0].len + iov[1].len);
	}
	case 9:
		at = atomic_fetch_add(&r->next_map, a[1]);
		err = plat->map(
			t, at, a[1], (int)a[2], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return err ? err : (int64_t)at;
	case 10:
		return plat->protect(t, a[0], a[1], (int)a[2]);
	case 11:
		err = plat->unmap(t, a[0], a[1]);
		return err ? err : plat->flush(t);
	case 15:
		if (plat->sigreturn(t, &mask, stack) != 0)
			fail("sigreturn");
		*no_result = true;
		return 0;
	case 202:
		plat->futex_native(t, PLAT_FUTEX_AS_ASKED);
		*no_result = true;
		return 0;
	case G_REPORT:
		set_report(r, (long)a[0], (long)a[1]);
		return 0;
	case G_WAITREPORT:
		return run_wait(r, (int)a[0]) ? 0 : -ETIMEDOUT;
	case G_WAITCHILD:
		pthread_mutex_lock(&r->m);
		while (r->children_ended == 0 && !r->killed)
			pthread_cond_wait(&r->c, &r->m);
		r->children_ended--;
		pthread_mutex_unlock(&r->m);
		return 0;
	case G_FORK:
		err = plat->space_fork(t, r, &c);
		if (err)
			return err;
		plat->set_result(c, 0);
		plat->regs_dirty(c);
		task_start(r, c, true);
		return 4321;
	case G_THREAD:
		err = plat->thread_new(t, r, &c);
		if (err)
			return err;
		g = plat->regs(c);
		g->rip = a[0];
		g->rsp = a[1];
		g->rdi = a[2];
		g->fs_base = a[3];
		g->rax = 0;
		plat->regs_dirty(c);
		task_start(r, c, false);
		return 4322;
	case G_SIGACTION:
		r->handler = a[0];
		r->restorer = a[1];
		return 0;
	case G_RAISE:
		plat->set_result(t, 42);
		deliver(r, t, (int)a[0]);
		*no_result = true;
		return 0;
	case G_MAPFD:
		return sys_mapfd(r, t);
	case G_CMPXCHG:
		v = (uint32_t)a[1];
		err = plat->cmpxchg32(t, a[0], &v, (uint32_t)a[2]);
		return err ? err : (int64_t)v;
	}
	return -ENOSYS;
}

static void
note_event(struct run *r, const struct plat_event *ev)
{
	pthread_mutex_lock(&r->m);
	if (r->nevents < 32)
		r->events[r->nevents++] = *ev;
	pthread_cond_broadcast(&r->c);
	pthread_mutex_unlock(&r->m);
}

static void
fault(struct task *k, const struct plat_event *ev)
{
	struct guest_regs *g = plat->regs(k->t);
	unsigned char op[2] = {0};

	note_event(k->run, ev);
	if (k->run->handler && ev->fault.signo == 11) {
		deliver(k->run, k->t, 11);
		return;
	}
	if (plat->copy_in(k->t, op, g->rip, 2) != 0) {
		k->run->killed = true;
		return;
	}
	if (ev->fault.signo == 11)
		g->rip += op[0] == 0xcd ? 2 : 3; /* int: a host that does not serve it */
	else if (ev->fault.signo == 4 || ev->fault.signo == 8)
		g->rip += 2;
	plat->regs_dirty(k->t);
}

static void *
task_main(void *arg)
{
	struct task *k = arg;
	struct run *r = k->run;
	struct plat_identity id = {.pid = 1234, .tid = 1235, .ppid = 77, .pgid = 5, .uid = 1000};
	struct plat_event ev;
	bool alive = true;

	plat->set_identity(k->t, &id);
	plat->set_name(k->t, "guest");
	while (alive && !r->killed) {
		bool no_result = false;
		int64_t v;

		plat->run(k->t, &ev);
		switch (ev.kind) {
		case PLAT_EV_SYSCALL:
			if (!ev.compat && (ev.nr == 60 || ev.nr == 231)) {
				alive = false;
				break;
			}
			v = do_syscall(k, &ev, &no_result);
			if (!no_result)
				plat->set_result(k->t, v);
			if (ev.compat)
				note_event(r, &ev);
			break;
		case PLAT_EV_FAULT:
			fault(k, &ev);
			break;
		case PLAT_EV_FUTEX:
			if (ev.result == -ERESTARTNOINTR) { /* kicked before it began */
				plat->futex_native(k->t, PLAT_FUTEX_AS_ASKED);
				break;
			}
			plat->set_result(k->t, ev.result);
			if (ev.result == -EINTR)
				note_event(r, &ev);
			break;
		case PLAT_EV_INTERRUPT:
			note_event(r, &ev);
			break;
		case PLAT_EV_GONE:
			alive = false;
			pthread_mutex_lock(&r->m);
			r->gone++;
			pthread_mutex_unlock(&r->m);
			break;
		}
	}
	pthread_mutex_lock(&r->m);
	if (r->first == k->t)
		r->first = NULL;
	pthread_mutex_unlock(&r->m);
	plat->thread_exit(k->t, 0);
	pthread_mutex_lock(&r->m);
	r->live--;
	r->children_ended += k->child;
	pthread_cond_broadcast(&r->c);
	pthread_mutex_unlock(&r->m);
	free(k);
	sem_destroy(&my_fiber()->sem);
	free(self_fiber);
	self_fiber = NULL;
	return NULL;
}

struct run *
run_new(long which, long a, long b, long c)
{
	struct run *r = calloc(1, sizeof *r);
	struct guest_regs *g;
	struct plat_thread *t;
	size_t len = (size_t)(guest_image_end - guest_image);
	int err;

	pthread_mutex_init(&r->m, NULL);
	pthread_cond_init(&r->c, NULL);
	r->fd = -1;
	r->next_map = 0x30000000;
	r->next_gap = 0x500000;
	err = plat->space_new(kern_from, r, &t);
	if (err) {
		fprintf(stderr, "kern: space_new: %s\n", strerror(-err));
		_exit(3);
	}
	if (plat->map(t, G_TEXT, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) ||
		plat->map(t, G_MEM, G_MEMSZ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0) ||
		plat->map(t, G_STACK - 0x10000, 0x10000, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ||
		plat->copy_out(t, G_TEXT, guest_image, len) ||
		plat->protect(t, G_TEXT, 0x10000, PROT_READ | PROT_EXEC) || plat->flush(t))
		fail("cannot load the guest");
	g = plat->regs(t);
	g->rip = G_TEXT;
	g->rsp = G_STACK - 8;
	g->rdi = (uint64_t)which;
	g->rsi = (uint64_t)a;
	g->rdx = (uint64_t)b;
	g->rcx = (uint64_t)c;
	plat->regs_dirty(t);
	r->first = t;
	task_start(r, t, false);
	return r;
}

void
run_join(struct run *r)
{
	pthread_mutex_lock(&r->m);
	while (r->live)
		pthread_cond_wait(&r->c, &r->m);
	pthread_mutex_unlock(&r->m);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

bool
run_wait(struct run *r, int key)
{
	struct timespec ts;
	bool ok;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 10;
	pthread_mutex_lock(&r->m);
	while (!r->has[key] && r->live && pthread_cond_timedwait(&r->c, &r->m, &ts) == 0)
		;
	ok = r->has[key];
	pthread_mutex_unlock(&r->m);
	return ok;
}

long
run_value(struct run *r, int key)
{
	long v;

	pthread_mutex_lock(&r->m);
	v = r->value[key];
	pthread_mutex_unlock(&r->m);
	return v;
}

bool
run_has(struct run *r, int key)
{
	bool v;

	pthread_mutex_lock(&r->m);
	v = r->has[key];
	pthread_mutex_unlock(&r->m);
	return v;
}

bool
run_alive(struct run *r)
{
	bool v;

	pthread_mutex_lock(&r->m);
	v = r->first != NULL;
	pthread_mutex_unlock(&r->m);
	return v;
}

void
run_kick(struct run *r)
{
	pthread_mutex_lock(&r->m);
	if (r->first)
		plat->kick(r->first);
	pthread_mutex_unlock(&r->m);
}

void
run_kill(struct run *r)
{
	r->killed = true;
	run_kick(r);
}

void
run_kill_host(struct run *r)
{
	pthread_mutex_lock(&r->m);
	if (r->first)
		kill(plat->host_pid(r->first), SIGKILL);
	pthread_mutex_unlock(&r->m);
}

int
run_peek(struct run *r, void *dst, uint64_t src, size_t len)
{
	int e = -ESRCH;

	pthread_mutex_lock(&r->m);
	if (r->first)
		e = plat->peek(r->first, dst, src, len);
	pthread_mutex_unlock(&r->m);
	return e;
}

int
run_poke(struct run *r, uint64_t dst, const void *src, size_t len)
{
	int e = -ESRCH;

	pthread_mutex_lock(&r->m);
	if (r->first)
		e = plat->poke(r->first, dst, src, len);
	pthread_mutex_unlock(&r->m);
	return e;
}

int
run_nevents(struct run *r)
{
	int n;

	pthread_mutex_lock(&r->m);
	n = r->nevents;
	pthread_mutex_unlock(&r->m);
	return n;
}

const struct plat_event *
run_event(struct run *r, int i)
{
	return &r->events[i];
}

int
run_gone(struct run *r)
{
	int v;

	pthread_mutex_lock(&r->m);
	v = r->gone;
	pthread_mutex_unlock(&r->m);
	return v;
}

int
run_told(struct run *r)
{
	return r->told;
}
