/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracer: the threads by their number on the host, waiting for stops and deaths, and jobs that
 * other threads leave.
 *
 * No stop is missed: each makes SIGCHLD pending, which all threads block and of which pt.bell
 * tells; pt_woke() takes the signal before pt_poll() asks for stops until there are none. What
 * arrives while a job waits for one thread's stop (pt_wait_stop) is kept in `early`, and is looked
 * at before the tracer sleeps. Who leaves a job makes SIGCHLD pending, too.
 *
 * The host looks at every child that it has of ours to answer wait4(-1). Where there are more than
 * MANY, those are asked for that are likely to have stopped: whom the bell named, which is one of
 * those that rang it, and who runs at home (place.c). All are looked at, too, but not before SHARE
 * times as long has gone by as it took the last time, LONGEST_NS at most; who sleeps gets up for it
 * if the bell rang.
 */
#include "platform/ptrace/internal.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define MANY	   64
#define LIKELY	   16
#define SHARE	   8
#define LONGEST_NS 50000000

struct job {
	struct job *next;
	pt_job_fn *fn;
	struct plat_thread *t;
	void *arg;
	int64_t result;
	void *cookie;
	_Atomic int done;
};

struct stop {
	pid_t tid;
	int status;
};

struct pt_engine pt;

static struct mutex lock = MUTEX_INIT(PLAT);
static struct job *jobs, **jobs_end = &jobs; /* lock */
static _Atomic int pending;
static struct stop *early; /* (T) */
static uint32_t nearly, early_cap;
static uint32_t nthreads; /* (T) not reaped */
static bool rung;	  /* (T) the bell, after all were looked at last */
static pid_t rang;	  /* (T) who; 0: nobody, or looked at */
static int64_t look_ns;	  /* (T) when all may be looked at again */
static __thread bool is_tracer;

static __attribute__((noinline)) bool
on_tracer(void)
{
	return is_tracer;
}

/* --- threads by tid --- */

static struct plat_thread **
bucket(pid_t tid)
{
	return &pt.hash[(unsigned)tid % (sizeof pt.hash / sizeof pt.hash[0])];
}

static struct plat_thread *
find(pid_t tid)
{
	struct plat_thread *t = *bucket(tid);

	while (t && t->tid != tid)
		t = t->hash_next;
	return t;
}

struct plat_thread *
pt_thread_add(struct plat_space *sp, pid_t tid)
{
	struct plat_thread *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->sp = sp;
	t->tid = tid;
	t->hash_next = *bucket(tid);
	*bucket(tid) = t;
	list_init(&t->running);
	sp->nthreads++;
	nthreads++;
	if (atomic_fetch_add(&sp->nlive, 1))
		atomic_store(&sp->had_many, true);
	LIVE_INC(PLAT_THREAD);
	return t;
}

void
pt_thread_drop(struct plat_thread *t)
{
	if (--t->sp->nthreads == 0) {
		free(t->sp);
		LIVE_DEC(PLAT_SPACE);
	}
	free(t);
	LIVE_DEC(PLAT_THREAD);
}

void
pt_complete(struct plat_thread *t, enum plat_event_kind kind)
{
	void *cookie = t->cookie;

	t->state = t->state == PT_DEAD ? PT_DEAD : PT_STOPPED;
	t->ev.kind = kind;
	atomic_store(&t->running_now, 0);
	atomic_store(&t->done, 1);
	pt.env->unpark(cookie);
	atomic_store(&t->done, 2);
}

/* --- waiting --- */

static void
early_forget(pid_t tid)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < nearly; i++)
		if (early[i].tid != tid)
			early[n++] = early[i];
	nearly = n;
}

static void
early_keep(pid_t tid, int status)
{
	if (nearly == early_cap) {
		uint32_t want = early_cap ? early_cap * 2 : 16;
		struct stop *s = realloc(early, want * sizeof *s);

		if (!s)
			panic("no memory to keep a stop");
		early = s;
		early_cap = want;
	}
	early[nearly++] = (struct stop){tid, status};
}

static bool
early_take(pid_t tid, int *status)
{
	for (uint32_t i = 0; i < nearly; i++)
		if (early[i].tid == tid) {
			*status = early[i].status;
			memmove(&early[i], &early[i + 1], (nearly - i - 1) * sizeof early[0]);
			nearly--;
			return true;
		}
	return false;
}

/* The host thread is reaped, and its number may be used again. Its fiber frees it, unless that has
 * gone already. */
static void
died(struct plat_thread *t)
{
	struct plat_thread **at = bucket(t->tid);
	enum pt_state was = t->state;

	while (*at != t)
		at = &(*at)->hash_next;
	*at = t->hash_next;
	nthreads--;
	list_del(&t->running);
	early_forget(t->tid);
	if (was == PT_EXITING) {
		pt_thread_drop(t);
		return;
	}
	t->state = PT_DEAD;
	atomic_store(&t->gone, 1);
	if (t->owner && pt.env->thread_gone && !atomic_load(&pt.closing))
		pt.env->thread_gone(t, t->owner);
	if (was == PT_RUNNING || was == PT_FUTEX)
		pt_complete(t, PLAT_EV_GONE);
}

static void
event(pid_t tid, int status)
{
	struct plat_thread *t = find(tid);

	if (!WIFSTOPPED(status)) {
		if (t)
			died(t);
	} else if (t) {
		pt_stopped(t, status);
	} else {
		host_kill(tid, SIGKILL); /* nobody asked for it */
	}
}

/* Wait for that thread to stop; -ESRCH when it has died. Of the first of many all that happens is
 * looked at: its death is reported only when those of the others have been reaped. */
int
pt_wait_stop(struct plat_thread *t, int *status)
{
	const pid_t tid = t->tid;
	const pid_t which = tid == t->sp->pid && atomic_load(&t->sp->had_many) ? -1 : tid;

	while (!early_take(tid, status)) {
		long r = host_call4(SYS_wait4, which, status, __WALL, NULL);

		if (r == -EINTR)
			continue;
		if (r == -ECHILD && which == tid) {
			died(t); /* and was reaped before it was known to be one of ours */
			return -ESRCH;
		}
		if (r < 0)
			panic("a stub is no child of ours: %ld", r);
		if (WIFSTOPPED(*status)) {
			if (r == tid)
				return 0;
			early_keep((pid_t)r, *status);
			continue;
		}
		event((pid_t)r, *status);
		if (r == tid)
			return -ESRCH;
	}
	return 0;
}

/* --- jobs --- */

/* The tracer sets it to 1, unparks the fiber, and sets it to 2: only then is it done with what the
 * fiber owns, and with the fiber, which may have been unparked by somebody else. */
static void
wait_for(_Atomic int *done)
{
	while (!atomic_load(done))
		pt.env->park();
	while (atomic_load(done) != 2)
		__builtin_ia32_pause();
}

void
pt_wait_run(struct plat_thread *t)
{
	wait_for(&t->done);
}

int64_t
pt_job(pt_job_fn *fn, struct plat_thread *t, void *arg)
{
	struct job j = {.fn = fn, .t = t, .arg = arg};

	if (on_tracer())
		return fn(t, arg);
	j.cookie = pt.env->self();
	mutex_lock(&lock);
	*jobs_end = &j;
	jobs_end = &j.next;
	mutex_unlock(&lock);
	if (!atomic_exchange(&pending, 1))
		host_kill(pt.self, SIGCHLD);
	wait_for(&j.done);
	return j.result;
}

static struct job *
pop(void)
{
	struct job *j;

	mutex_lock(&lock);
	j = jobs;
	if (j) {
		jobs = j->next;
		if (!jobs)
			jobs_end = &jobs;
	}
	mutex_unlock(&lock);
	return j;
}

static bool
make_jobs(void)
{
	struct job *j;
	bool any = false;

	if (!atomic_load(&pending))
		return false;
	atomic_store(&pending, 0);
	while ((j = pop()) != NULL) {
		void *cookie = j->cookie;

		j->result = j->fn(j->t, j->arg);
		atomic_store(&j->done, 1);
		pt.env->unpark(cookie);
		atomic_store(&j->done, 2); /* j is gone from here on */
		any = true;
	}
	return any;
}

/* --- the worker's side --- */

static bool
look(pid_t which)
{
	int status;
	long r = host_call4(SYS_wait4, which, &status, __WALL | WNOHANG, NULL);

	if (r > 0)
		event((pid_t)r, status);
	return r > 0;
}

static bool
look_at_all(void)
{
	bool any = false;

	rung = false;
	while (look(-1))
		any = true;
	return any;
}

static bool
look_at_likely(void)
{
	pid_t who[LIKELY];
	unsigned n = 0;
	struct plat_thread *t;
	bool any = false;

	if (rang)
		who[n++] = rang;
	rang = 0;
	/* What has happened to one may change the list. */
	list_for_each_entry (t, &pt.running, running) {
		if (n == LIKELY)
			break;
		who[n++] = t->tid;
	}
	while (n)
		any |= look(who[--n]);
	return any;
}

static bool
look_at_many(void)
{
	bool any = look_at_likely();
	int64_t now = host_now_ns();

	if (now < look_ns)
		return any;
	any |= look_at_all();
	look_ns = host_now_ns();
	look_ns += (look_ns - now) * SHARE;
	if (look_ns > now + LONGEST_NS)
		look_ns = now + LONGEST_NS; /* it was not the look that took so long */
	return any;
}

bool
pt_poll(void)
{
	bool any = false;

	if (!on_tracer())
		return false;
	while (nearly) {
		struct stop s = early[0];

		early_take(s.tid, &s.status);
		event(s.tid, s.status);
		any = true;
	}
	any |= nthreads > MANY ? look_at_many() : look_at_all();
	return make_jobs() || any;
}

bool
pt_prepare_sleep(int64_t *until_ns)
{
	pt_place_limit(until_ns);
	/* When the bell was looked at they may have been MANY, and not now. */
	if (nearly || (rung && nthreads <= MANY))
		return pt_poll();
	if (rung && look_ns < *until_ns)
		*until_ns = look_ns;
	return false;
}

void
pt_woke(void)
{
	struct signalfd_siginfo si[2];
	ssize_t n;

	do {
		n = host_drain(pt.bell, si, sizeof si);
		if (n > 0) {
			rung = true;
			rang = (pid_t)si[0].ssi_pid;
		}
	} while (n == sizeof si);
	pt_place_look();
}

/* --- start and stop --- */

int
pt_tracer_start(void)
{
	const uint64_t set = 1ull << (SIGCHLD - 1);
	long fd;

	pt.self = (pid_t)host_call0(SYS_getpid);
	host_call4(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
	fd = host_call4(SYS_signalfd4, -1, &set, 8, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return (int)fd;
	pt.bell = (int)fd;
	is_tracer = true;
	list_init(&pt.running);
	pt_place_init();
	return pt_zygote_make();
}

/* Threads whose fibers are gone are freed when they are reaped; the zygote is such a one from now
 * on. */
void
pt_tracer_stop(void)
{
	int status;
	long r;

	atomic_store(&pt.closing, 1);
	if (pt.zygote)
		pt.zygote->state = PT_EXITING;
	pt.zygote = NULL;
	for (unsigned i = 0; i < sizeof pt.hash / sizeof pt.hash[0]; i++)
		for (struct plat_thread *k = pt.hash[i]; k; k = k->hash_next)
			host_kill(k->sp->pid, SIGKILL);
	while ((r = host_call4(SYS_wait4, -1, &status, __WALL, NULL)) > 0 || r == -EINTR)
		if (r > 0)
			event((pid_t)r, status);
	host_close(pt.bell);
	free(early);
	early = NULL;
	nearly = early_cap = 0;
	is_tracer = false;
}
