/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the slots. Threads that ask often are in the hot list, every one of which each look
 * visits; the others are in the cold list: a look visits a few of them in turn, and their stubs
 * ring the doorbell with each request. A stub of a hot thread rings only when public.awake says
 * that nobody looks.
 *
 * poll_lock guards both lists. It is a flag that a poller gives up on when it is taken; others spin
 * on it, for the few instructions of moving a thread.
 */
#include "platform/trap/internal.h"
#include <stdlib.h>

enum {
	COLD_AFTER = 8192,     /* looks in vain */
	COLD_AFTER_FUTEX = 64, /* the same, when it sleeps in a futex */
	COLD_CHUNK = 8,	       /* cold threads in one look */
	LOST_CHECK = 1 << 16, /* looks between two checks for lost threads, while there are looks */
	SLOW_BYTES_PER_NS = 4, /* what a stub moves, where that is slow */
	MOVE_NS = 30000,
	EXPECT_MAX_NS = 600000,
};

static bool
try_lock(void)
{
	return atomic_exchange_explicit(&trap.poll_lock, 1, memory_order_acquire) == 0;
}

static void
lock(void)
{
	while (!try_lock())
		while (atomic_load_explicit(&trap.poll_lock, memory_order_relaxed))
			__builtin_ia32_pause();
}

static void
unlock(void)
{
	atomic_store_explicit(&trap.poll_lock, 0, memory_order_release);
}

static void
append(struct plat_thread ***list, uint32_t *n, uint32_t *cap, struct plat_thread *t)
{
	if (*n == *cap) {
		uint32_t want = *cap ? *cap * 2 : 64;
		struct plat_thread **l = realloc(*list, want * sizeof *l);

		if (!l)
			panic("no memory for the list of threads");
		*list = l;
		*cap = want;
	}
	t->pos = *n;
	(*list)[(*n)++] = t;
}

static void
take_out(struct plat_thread **list, uint32_t *n, struct plat_thread *t)
{
	struct plat_thread *last = list[--*n];

	list[t->pos] = last;
	last->pos = t->pos;
}

/* Ids are stable while the thread lives, and are used again. */
static void
id_take(struct plat_thread *t)
{
	if (!trap.nfree_ids) {
		if (trap.nids == trap.ids_cap) {
			uint32_t want = trap.ids_cap ? trap.ids_cap * 2 : 64;
			struct plat_thread **ids = realloc(trap.ids, want * sizeof *ids);
			uint32_t *f = realloc(trap.free_ids, want * sizeof *f);

			if (!ids || !f)
				panic("no memory for the list of threads");
			trap.ids = ids;
			trap.free_ids = f;
			trap.ids_cap = want;
		}
		trap.free_ids[trap.nfree_ids++] = trap.nids++;
	}
	t->id = trap.free_ids[--trap.nfree_ids];
	trap.ids[t->id] = t;
	__atomic_store_n(&t->s->gid, t->id, __ATOMIC_RELAXED);
}

static void
id_give_back(struct plat_thread *t)
{
	trap.ids[t->id] = NULL;
	trap.free_ids[trap.nfree_ids++] = t->id;
}

static void
publish_spin(void)
{
	bool full = trap.nhot >= (uint32_t)trap.env->ncpu;
	uint32_t want = trap.env->may_spin && trap.cfg.spin;
	uint32_t yield = trap.cfg.spin && full && trap.env->ncpu == 1;

	if (atomic_load_explicit(&trap.full, memory_order_relaxed) != full)
		atomic_store_explicit(&trap.full, full, memory_order_relaxed);
	if (__atomic_load_n(&trap.pub->spin, __ATOMIC_RELAXED) != want)
		__atomic_store_n(&trap.pub->spin, want, __ATOMIC_RELAXED);
	if (__atomic_load_n(&trap.pub->yield, __ATOMIC_RELAXED) != yield)
		__atomic_store_n(&trap.pub->yield, yield, __ATOMIC_RELAXED);
}

bool
trap_crowded(void)
{
	return atomic_load_explicit(&trap.running, memory_order_relaxed) >=
	       (uint32_t)trap.env->ncpu;
}

/* Its stub keeps a CPU from others no longer. */
void
trap_sleeps(struct plat_thread *t)
{
	if (atomic_load_explicit(&trap.full, memory_order_relaxed))
		__atomic_store_n(&t->s->sleeps, t->told_to_sleep = true, __ATOMIC_RELAXED);
}

void
trap_expect(uint64_t bytes)
{
	int64_t ns = (int64_t)(bytes / SLOW_BYTES_PER_NS) + MOVE_NS;

	atomic_store_explicit(&trap.expect_ns,
		host_now_ns() + (ns < EXPECT_MAX_NS ? ns : EXPECT_MAX_NS), memory_order_relaxed);
}

int64_t
trap_expects(void)
{
	return atomic_load_explicit(&trap.expect_ns, memory_order_relaxed);
}

void
trap_poll_add(struct plat_thread *t)
{
	lock();
	t->hot = true;
	t->idle = 0;
	append(&trap.hot, &trap.nhot, &trap.hot_cap, t);
	id_take(t);
	unlock();
}

void
trap_poll_remove(struct plat_thread *t)
{
	lock();
	id_give_back(t);
	if (t->hot)
		take_out(trap.hot, &trap.nhot, t);
	else
		take_out(trap.cold, &trap.ncold, t);
	unlock();
}

void
trap_poll_promote(struct plat_thread *t)
{
	lock();
	if (!t->hot) {
		take_out(trap.cold, &trap.ncold, t);
		append(&trap.hot, &trap.nhot, &trap.hot_cap, t);
		t->hot = true;
		__atomic_store_n(&t->s->cold, 0, __ATOMIC_RELAXED);
	}
	t->idle = 0;
	unlock();
}

/* It will not ask for long. */
void
trap_poll_cold(struct plat_thread *t)
{
	lock();
	if (t->hot) {
		take_out(trap.hot, &trap.nhot, t);
		append(&trap.cold, &trap.ncold, &trap.cold_cap, t);
		t->hot = false;
		__atomic_store_n(&t->s->cold, 1, __ATOMIC_RELAXED);
	}
	unlock();
}

/* Its fiber does not wait after all. Under the lock: a look between its test of the slot and its
 * exchange of armed would take the next arming for this one. */
void
trap_poll_disarm(struct plat_thread *t)
{
	lock();
	atomic_store(&t->armed, 0);
	unlock();
}

/* Its process has died: its fiber runs. Under the lock, so that a fiber that goes on by itself
 * cannot end (it has to get past trap_poll_remove) before it has been unparked. */
void
trap_poll_gone(struct plat_thread *t)
{
	lock();
	atomic_store(&t->gone, 1);
	if (atomic_load(&t->armed)) {
		void *cookie = t->cookie;

		if (atomic_exchange(&t->armed, 0))
			trap.env->unpark(cookie);
	}
	unlock();
}

/* Has the thread asked something? Then its fiber runs. */
static inline bool
look(struct plat_thread *t, uint32_t *state)
{
	void *cookie;

	*state = STUB_RUN;
	if (!atomic_load_explicit(&t->armed, memory_order_acquire))
		return false;
	*state = __atomic_load_n(&t->s->state, __ATOMIC_ACQUIRE);
	if ((*state & ~(uint32_t)STUB_WAITER) != STUB_REQ)
		return false;
	cookie = t->cookie;
	if (!atomic_exchange_explicit(&t->armed, 0, memory_order_acq_rel))
		return false;
	trap.env->unpark(cookie);
	return true;
}

static bool
demote(struct plat_thread *t)
{
	uint32_t state;

	take_out(trap.hot, &trap.nhot, t);
	append(&trap.cold, &trap.ncold, &trap.cold_cap, t);
	t->hot = false;
	/* A full barrier: either the look sees the request, or the stub sees that it has to ring.
	 */
	__atomic_exchange_n(&t->s->cold, 1, __ATOMIC_SEQ_CST);
	return look(t, &state);
}

static bool
look_hot(void)
{
	uint32_t running = 0;
	bool any = false;

	for (uint32_t i = 0; i < trap.nhot;) {
		struct plat_thread *t = trap.hot[i];
		uint32_t state;

		if (look(t, &state)) {
			t->idle = 0;
			any = true;
		} else if (++t->idle > (state == STUB_FUTEX ? COLD_AFTER_FUTEX : COLD_AFTER)) {
			any |= demote(t);
			continue;
		} else if (state != STUB_FUTEX &&
			   atomic_load_explicit(&t->armed, memory_order_relaxed)) {
			running++;
		}
		i++;
	}
	atomic_store_explicit(&trap.running, running, memory_order_relaxed);
	return any;
}

static bool
look_cold(uint32_t n)
{
	bool any = false;
	uint32_t state;

	if (n > trap.ncold)
		n = trap.ncold;
	while (n--) {
		if (trap.cold_at >= trap.ncold)
			trap.cold_at = 0;
		any |= look(trap.cold[trap.cold_at++], &state);
	}
	return any;
}

/* Threads that do not come back in time, after a kick mostly, and those that a guest has ended
 * behind our back. *next: when the next one will have had its time. */
static void
check_list(struct plat_thread **list, uint32_t n, int64_t now, int64_t *next)
{
	for (uint32_t i = 0; i < n; i++) {
		struct plat_thread *t = list[i];
		int64_t due;

		if (!atomic_load(&t->armed))
			continue; /* it is back; what due_ns holds is over */
		due = atomic_load(&t->due_ns);
		if (due && now >= due && !(due & DUE_AGAIN)) {
			/* It may not have run meanwhile: all of the sandbox was frozen, say. */
			int64_t again = (now + TRAP_GRACE_NS) | DUE_AGAIN;

			if (!atomic_compare_exchange_strong(&t->due_ns, &due, again))
				continue; /* it has come */
			due = again;
		}
		if ((due && now >= due) || (__atomic_load_n(&t->s->tid, __ATOMIC_RELAXED) == 0))
			trap_space_kill(t->sp);
		else if (due && due < *next)
			*next = due;
	}
}

static void
check_lost(int64_t now)
{
	int64_t next = INT64_MAX;

	/* First: a kick that comes meanwhile sets it again. */
	atomic_store(&trap.lost_ns, INT64_MAX);
	check_list(trap.hot, trap.nhot, now, &next);
	check_list(trap.cold, trap.ncold, now, &next);
	(void)trap_poll_kicked(next); /* who looks does not sleep */
}

/* Look for lost threads at that time, however few looks there are until then; any thread. */
bool
trap_poll_kicked(int64_t at_ns)
{
	int64_t v = atomic_load(&trap.lost_ns);

	while (at_ns < v)
		if (atomic_compare_exchange_weak(&trap.lost_ns, &v, at_ns))
			return true;
	return false;
}

bool
trap_poll(void)
{
	static uint32_t looks; /* under poll_lock */
	bool any;

	if (!try_lock())
		return false;
	any = look_hot();
	any |= look_cold(COLD_CHUNK);
	publish_spin();
	if (++looks % LOST_CHECK == 0)
		check_lost(host_now_ns());
	unlock();
	return any;
}

bool
trap_prepare_sleep(int64_t *until_ns)
{
	bool any;

	if (atomic_load(&trap.lost_ns) < *until_ns)
		*until_ns = atomic_load(&trap.lost_ns);
	__atomic_store_n(&trap.pub->spin, 0, __ATOMIC_RELAXED);
	__atomic_exchange_n(&trap.pub->awake, 0, __ATOMIC_SEQ_CST); /* as with cold in demote */
	lock();
	any = look_hot();
	unlock();
	if (any)
		__atomic_store_n(&trap.pub->awake, 1, __ATOMIC_RELAXED);
	return any;
}

void
trap_woke(void)
{
	uint32_t hint[256];
	ssize_t n;

	__atomic_store_n(&trap.pub->awake, 1, __ATOMIC_RELAXED);
	if (atomic_load(&trap.lost_ns) != INT64_MAX) {
		int64_t now = host_now_ns();

		lock();
		if (now >= atomic_load(&trap.lost_ns))
			check_lost(now);
		unlock();
	}
	n = host_drain(trap.bell[0], hint, sizeof hint);
	if (n <= 0)
		return;
	lock();
	if (n == sizeof hint) {
		look_cold(trap.ncold); /* the pipe may have been too full for some */
	} else {
		uint32_t state;

		/* A guest can write anything here, and gets no more than a look. */
		for (size_t i = 0; i < (size_t)n / sizeof hint[0]; i++)
			if (hint[i] < trap.nids && trap.ids[hint[i]])
				look(trap.ids[hint[i]], &state);
	}
	unlock();
}

int
trap_doorbell_fd(void)
{
	return trap.bell[0];
}
