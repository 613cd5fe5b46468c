/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers, the run queue, and the policy of spinning and sleeping.
 *
 * A worker runs ready fibers. One that finds none becomes the poller (at most one at a time): it
 * looks at the platform's slots, at timers and at host descriptors. It spins while that pays, then
 * sleeps in epoll. Workers that find the poller's place taken sleep on idle_cond, and are woken
 * when there is more ready than the awake ones can take.
 *
 * When spinning pays: there is more than one CPU, a request came within SPIN_NS or is expected, and
 * nobody else wanted this CPU: a gap of STOLEN_NS between two looks means that the host ran
 * something else here, and spinning is off for PENALTY_NS.
 *
 * Where a guest runs on the only CPU the poller does not spin but gives way (sched_yield), and so
 * does a stub that has asked: that hands the CPU over for half of what sleeping and waking costs. A
 * yield that comes back after YIELD_LONG_NS without a request means that the guest computes, or
 * somebody else: then it sleeps.
 *
 * No wake-up is lost: a pusher stores, then reads `sleeping`; the poller stores `sleeping`, then
 * looks at the queue; all of it sequentially consistent.
 */
#include "base/log.h"
#include "platform/host/file.h"
#include "sentry/sched/internal.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPIN_NS	       50000
#define STOLEN_NS      30000
#define PENALTY_NS     1000000
#define YIELDS	       3
#define YIELD_LONG_NS  100000
#define SPIN_BATCH     64 /* looks between two readings of the clock */
#define FAIR_RUNS      61 /* fibers run between two looks at the outside */
#define EVENTS_AT_ONCE 64
#define MAX_WORKERS    16

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

static struct sched_hooks hooks = {.doorbell_fd = -1};
static int nr_workers, ncpu;
static bool may_spin, may_yield;
_Atomic uint32_t sched_host_waits;
static uint8_t online[sizeof(cpu_set_t)];
static pthread_t threads[MAX_WORKERS];
static int epoll_fd = -1, poke_fd = -1;
static _Atomic bool stopping;

static struct mutex runq_lock = MUTEX_INIT(RUNQ);
static struct list runq = LIST_INIT(runq);
static _Atomic uint32_t runq_len;

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle_cond = PTHREAD_COND_INITIALIZER;
static _Atomic int nr_idle;	 /* workers in idle_cond */
static int idle_tickets;	 /* idle_lock: wake-ups not yet taken */
static _Atomic bool poller_busy; /* somebody is the poller */
static _Atomic bool sleeping;	 /* the poller is in, or about to go into, epoll */
static _Atomic int64_t sleep_until_ns;
static int64_t no_spin_before_ns; /* of the poller */
static _Atomic int64_t spun_ns;

static struct epoll_event batch[EVENTS_AT_ONCE]; /* of the poller */

static __thread struct worker *this_worker;

__attribute__((noinline)) struct worker *
worker_self(void)
{
	return this_worker;
}

int64_t
sched_spun_ns(void)
{
	return atomic_load(&spun_ns);
}

int
sched_ncpu(void)
{
	return ncpu;
}

void
sched_online_cpus(uint8_t *mask, size_t len)
{
	memset(mask, 0, len);
	memcpy(mask, online, len < sizeof online ? len : sizeof online);
}

void
sched_poke(void)
{
	uint64_t one = 1;

	if (atomic_load(&sleeping))
		(void)host_fd_write(poke_fd, &one, sizeof one);
}

static void
wake_idle_worker(void)
{
	if (!atomic_load(&nr_idle))
		return;
	pthread_mutex_lock(&idle_lock);
	if (idle_tickets < atomic_load(&nr_idle)) {
		idle_tickets++;
		pthread_cond_signal(&idle_cond);
	}
	pthread_mutex_unlock(&idle_lock);
}

void
runq_push(struct fiber *f)
{
	uint32_t n;

	mutex_lock(&runq_lock);
	list_push_back(&runq, &f->run);
	n = atomic_fetch_add(&runq_len, 1) + 1;
	mutex_unlock(&runq_lock);
	if (atomic_load(&sleeping))
		sched_poke();
	else if (n > 1 || !worker_self())
		wake_idle_worker();
}

static struct fiber *
runq_pop(void)
{
	struct list *n;

	if (!atomic_load_explicit(&runq_len, memory_order_relaxed))
		return NULL;
	mutex_lock(&runq_lock);
	n = list_pop_front(&runq);
	if (n)
		atomic_fetch_sub(&runq_len, 1);
	mutex_unlock(&runq_lock);
	return n ? list_entry(n, struct fiber, run) : NULL;
}

/* --- switching --- */

void
worker_switch_to_scheduler(void)
{
	struct worker *w = worker_self();
	struct fiber *f = w->current;
#ifdef __SANITIZE_ADDRESS__
	void *fake = NULL;

	__sanitizer_start_switch_fiber(atomic_load(&f->state) == FIBER_DONE ? NULL : &fake,
		w->stack_bottom, w->stack_size);
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(w->tsan, 0);
#endif
	fiber_switch_asm(&f->sp, w->sp);
#ifdef __SANITIZE_ADDRESS__
	w = worker_self();
	__sanitizer_finish_switch_fiber(fake, &w->stack_bottom, &w->stack_size);
#endif
}

static void
run_fiber(struct worker *w, struct fiber *f)
{
	int running = FIBER_RUNNING;

	atomic_store(&f->state, FIBER_RUNNING);
	w->current = f;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(&w->fake_stack, (char *)f->stack + GUARD_BYTES, STACK_BYTES);
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(f->tsan, 0);
#endif
	fiber_switch_asm(&w->sp, f->sp);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(w->fake_stack, NULL, NULL);
#endif
	w->current = NULL;
	if (atomic_load(&f->state) == FIBER_DONE) {
		fiber_free(f);
		return;
	}
	if (!atomic_compare_exchange_strong(&f->state, &running, FIBER_PARKED)) {
		/* Woken before it was parked. */
		atomic_store(&f->state, FIBER_READY);
		runq_push(f);
	}
}

/* --- the outside: host descriptors and timers --- */

static uint32_t
fetch_events(int64_t deadline_ns)
{
	int n;

	if (deadline_ns == 0) {
		n = epoll_wait(epoll_fd, batch, EVENTS_AT_ONCE, 0);
	} else {
		struct timespec ts, *tp = NULL;

		if (deadline_ns != INT64_MAX) {
			int64_t left = deadline_ns - sched_now_ns();

			if (left < 0)
				left = 0;
			ts = (struct timespec){left / 1000000000, left % 1000000000};
			tp = &ts;
		}
		n = (int)syscall(SYS_epoll_pwait2, epoll_fd, batch, EVENTS_AT_ONCE, tp, NULL, 0);
		if (n < 0 && errno == ENOSYS) {
			int64_t ms = tp ? ts.tv_sec * 1000 + (ts.tv_nsec + 999999) / 1000000 : -1;

			n = epoll_wait(
				epoll_fd, batch, EVENTS_AT_ONCE, ms > 60000 ? 60000 : (int)ms);
		}
	}
	return n < 0 ? 0 : (uint32_t)n;
}

static void
hand_out_events(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t v;

		if (batch[i].data.u64 == WATCH_POKE)
			(void)host_fd_read(poke_fd, &v, sizeof v);
		else if (batch[i].data.u64 != WATCH_DOORBELL) /* woke() drains that */
			watch_tell(batch[i].data.u64, batch[i].events);
	}
}

static void
look_outside(void)
{
	if (hooks.poll)
		hooks.poll();
	hand_out_events(fetch_events(0));
	timer_run_due(sched_now_ns());
}

static void
sleep_in_epoll(void)
{
	int64_t until = timer_next_ns(), first = until;
	uint32_t n = 0;

	atomic_store(&sleep_until_ns, until);
	atomic_store(&sleeping, true);
	if (!(hooks.prepare_sleep && hooks.prepare_sleep(&until)) && !atomic_load(&runq_len) &&
		!atomic_load(&stopping) && timer_next_ns() >= first)
		n = fetch_events(until);
	atomic_store(&sleeping, false);
	if (hooks.woke)
		hooks.woke();
	hand_out_events(n);
	timer_run_due(sched_now_ns());
	if (hooks.poll)
		hooks.poll();
}

/* Give way to the guest a few times, which does the same once it has asked. True: there is work. */
static bool
yield_to_guests(void)
{
	int64_t before, now = sched_now_ns();

	for (int i = 0; i < YIELDS && now >= no_spin_before_ns; i++) {
		before = now;
		sched_yield();
		now = sched_now_ns();
		if (timer_next_ns() <= now)
			timer_run_due(now);
		if (hooks.poll() || atomic_load_explicit(&runq_len, memory_order_relaxed))
			return true;
		if (now - before > YIELD_LONG_NS)
			no_spin_before_ns = now + PENALTY_NS;
	}
	return false;
}

/* Be the poller until there is a fiber to run. */
static void
poll_until_work(void)
{
	int64_t start = sched_now_ns(), last = start;

	while (!atomic_load(&runq_len) && !atomic_load(&stopping)) {
		/* What `crowded` says is as new as the last look. */
		if (may_yield && hooks.crowded && hooks.poll())
			return;
		if (may_spin && hooks.poll && !atomic_load(&sched_host_waits) &&
			last >= no_spin_before_ns &&
			(last - start < SPIN_NS || (hooks.expects && last < hooks.expects()))) {
			int64_t now;

			for (int i = 0; i < SPIN_BATCH; i++) {
				if (hooks.poll() ||
					atomic_load_explicit(&runq_len, memory_order_relaxed))
					return;
				__builtin_ia32_pause();
			}
			now = sched_now_ns();
			if (now - last > STOLEN_NS)
				no_spin_before_ns = now + PENALTY_NS;
			else
				atomic_fetch_add(&spun_ns, now - last);
			last = now;
			if (timer_next_ns() <= now)
				timer_run_due(now);
			continue;
		}
		if (may_yield && hooks.crowded && hooks.crowded() &&
			!atomic_load(&sched_host_waits) && yield_to_guests())
			return;
		sleep_in_epoll();
		start = last = sched_now_ns();
	}
}

static void
sleep_idle(void)
{
	pthread_mutex_lock(&idle_lock);
	atomic_fetch_add(&nr_idle, 1);
	/* Whoever gives up the poller's place, or pushes, after this sees nr_idle. */
	if (atomic_load(&poller_busy) && !atomic_load(&runq_len))
		while (!idle_tickets && !atomic_load(&stopping))
			pthread_cond_wait(&idle_cond, &idle_lock);
	if (idle_tickets)
		idle_tickets--;
	atomic_fetch_sub(&nr_idle, 1);
	pthread_mutex_unlock(&idle_lock);
}

static void
worker_loop(struct worker *w)
{
	unsigned runs = 0;

	this_worker = w;
	prctl(PR_SET_TIMERSLACK, 1);
	while (!atomic_load(&stopping)) {
		struct fiber *f = runq_pop();

		if (f) {
			run_fiber(w, f);
			if (++runs % FAIR_RUNS == 0 && !atomic_exchange(&poller_busy, true)) {
				look_outside();
				atomic_store(&poller_busy, false);
			}
			continue;
		}
		if (!atomic_exchange(&poller_busy, true)) {
			poll_until_work();
			atomic_store(&poller_busy, false);
		} else {
			sleep_idle();
		}
	}
	this_worker = NULL;
}

/* --- start and stop --- */

int
sched_init(const struct sched_config *cfg)
{
	cpu_set_t set;
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = WATCH_POKE};

	CPU_ZERO(&set);
	ncpu = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
	memcpy(online, &set, sizeof online < sizeof set ? sizeof online : sizeof set);
	nr_workers = cfg->workers ? cfg->workers : ncpu;
	if (nr_workers > 4 && !cfg->workers)
		nr_workers = 4;
	if (nr_workers > MAX_WORKERS)
		nr_workers = MAX_WORKERS;
	may_spin = cfg->may_spin && ncpu > 1;
	may_yield = cfg->may_spin && ncpu == 1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll_fd < 0 || poke_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, poke_fd, &ev))
		return -errno;
	return timer_module_init();
}

void
sched_set_hooks(const struct sched_hooks *h)
{
	hooks = *h;
	if (h->doorbell_fd >= 0) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u64 = WATCH_DOORBELL};

		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, h->doorbell_fd, &ev))
			panic("cannot watch the doorbell: errno %d", errno);
	}
}

static void *
worker_thread(void *arg)
{
	struct worker w = {0};

	(void)arg;
#ifdef __SANITIZE_THREAD__
	w.tsan = __tsan_get_current_fiber();
#endif
	worker_loop(&w);
	return NULL;
}

int
sched_start(void)
{
	pthread_attr_t attr;
	int err = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (int i = 1; i < nr_workers && !err; i++)
		err = pthread_create(&threads[i], &attr, worker_thread, NULL);
	pthread_attr_destroy(&attr);
	return err ? -err : sched_start_pool();
}

void
sched_run(void)
{
	worker_thread(NULL);
	for (int i = 1; i < nr_workers; i++)
		pthread_join(threads[i], NULL);
}

void
sched_stop(void)
{
	uint64_t one = 1;

	atomic_store(&stopping, true);
	(void)host_fd_write(poke_fd, &one, sizeof one);
	pthread_mutex_lock(&idle_lock);
	pthread_cond_broadcast(&idle_cond);
	pthread_mutex_unlock(&idle_lock);
}

/* --- host descriptors --- */

int
sched_watch(struct hostfd_watch *w, uint32_t events)
{
	return watch_add(epoll_fd, w, events);
}

void
sched_unwatch(struct hostfd_watch *w)
{
	watch_remove(epoll_fd, w);
}
