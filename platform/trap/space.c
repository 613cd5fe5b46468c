/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stub processes and their threads: making, copying, ending, and noticing that one has died. All
 * stub processes are children of the sentry; the reaper thread waits for them, and for them only:
 * the sentry has no other children.
 */
#include "platform/trap/internal.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct trap_waiter {
	struct trap_waiter *next;
	void *cookie;
	_Atomic int granted;
};

static pthread_t reaper;

static struct plat_space **
bucket(pid_t pid)
{
	return &trap.hash[(unsigned)pid % (sizeof trap.hash / sizeof trap.hash[0])];
}

static struct plat_space *
find_locked(pid_t pid)
{
	struct plat_space *sp = *bucket(pid);

	while (sp && sp->pid != pid)
		sp = sp->hash_next;
	return sp;
}

struct plat_space *
trap_space_alloc(void)
{
	struct plat_space *sp = calloc(1, sizeof *sp);

	if (!sp)
		return NULL;
	sp->sock = -1;
	list_init(&sp->threads);
	sp->memfd = host_memfd_sealed("moat-slots", SLOTS_LARGE + STUB_LARGE_SZ);
	if (sp->memfd < 0) {
		free(sp);
		return NULL;
	}
	LIVE_INC(PLAT_SPACE);
	return sp;
}

/* Nobody knows the space any more: no thread, and its process is reaped or never was. */
void
trap_space_free(struct plat_space *sp)
{
	for (uint32_t i = 0; i < sp->nslots; i++)
		if (sp->slots[i].map)
			host_unmap(sp->slots[i].map, SLOT_SHARED);
	free(sp->slots);
	if (sp->large)
		host_unmap(sp->large, STUB_LARGE_SZ);
	host_close(sp->sock);
	host_close(sp->memfd);
	trap_sites_free(sp->sites);
	free(sp);
	LIVE_DEC(PLAT_SPACE);
}

/* A guest that jumps into the stub's code can clone processes that nobody knows. They are in the
 * group of the one that did, and end with it. All are of the sentry's session: of another one the
 * sentry could not give them groups. */
static void
add_locked(struct plat_space *sp, pid_t pid)
{
	sp->pid = pid;
	sp->own_group = host_own_group(pid) == 0;
	sp->hash_next = *bucket(pid);
	*bucket(pid) = sp;
	trap.nspaces++;
}

static void
kill_locked(struct plat_space *sp)
{
	if (!sp->pid)
		return;
	if (!sp->own_group || host_kill_group(sp->pid, SIGKILL) < 0)
		host_kill(sp->pid, SIGKILL);
}

void
trap_processes(uint32_t *ret_now, uint64_t *ret_begun)
{
	mutex_lock(&trap.lock);
	*ret_now = trap.nspaces + trap.nforking;
	*ret_begun = trap.nforked;
	mutex_unlock(&trap.lock);
}

void
trap_space_register(struct plat_space *sp, pid_t pid)
{
	mutex_lock(&trap.lock);
	add_locked(sp, pid);
	mutex_unlock(&trap.lock);
}

static struct trap_slot *
slot_get_locked(struct plat_space *sp, uint32_t index)
{
	if (index >= sp->nslots) {
		uint32_t n = index < 4 ? 4 : index * 2;
		struct trap_slot *s;

		if (n > STUB_NSLOTS)
			n = STUB_NSLOTS;
		s = realloc(sp->slots, n * sizeof *s);
		if (!s)
			return NULL;
		memset(s + sp->nslots, 0, (n - sp->nslots) * sizeof *s);
		sp->slots = s;
		sp->nslots = n;
	}
	return &sp->slots[index];
}

/* A slot that no thread has, and whose last thread has really ended. */
static int
slot_find_locked(struct plat_space *sp)
{
	for (uint32_t i = 0; i < sp->nslots; i++) {
		struct trap_slot *s = &sp->slots[i];

		if (!s->used && (!s->map || __atomic_load_n(&s->map->tid, __ATOMIC_ACQUIRE) == 0))
			return (int)i;
	}
	return sp->nslots < STUB_NSLOTS ? (int)sp->nslots : -EAGAIN;
}

static void
slot_init(struct stub_slot *s, uint32_t index)
{
	const uint64_t at = trap.base + STUB_SLOTS + (uint64_t)index * STUB_STRIDE;
	const struct stub_header *h = (const void *)trap_blob;

	memset(s, 0, offsetof(struct stub_slot, pad2));
	s->self = at;
	s->stub_sp = at + SLOT_STACK_TOP;
	s->index = index;
	s->gid = ~0u;
	s->marshal = trap.cfg.marshal;
	s->rewrite = trap.cfg.rewrite_sites && trap.env->find_gap && trap.env->may_patch;
	s->answers = trap.cfg.stub_answers;
	for (unsigned i = 0; i < VEC_COUNT; i++)
		s->vec[i] = trap.base + h->general;
}

/* index: UINT32_MAX for any. The thread is in its space's list and the poller's, and is not armed.
 */
struct plat_thread *
trap_thread_alloc(struct plat_space *sp, uint32_t index, void *owner, int *err)
{
	struct plat_thread *t = calloc(1, sizeof *t);
	struct trap_slot *slot;

	*err = -ENOMEM;
	if (!t)
		return NULL;
	mutex_lock(&trap.lock);
	if (index == UINT32_MAX) {
		int i = slot_find_locked(sp);

		if (i < 0) {
			*err = i;
			goto undo;
		}
		index = (uint32_t)i;
	}
	slot = slot_get_locked(sp, index);
	if (!slot)
		goto undo;
	if (!slot->map) {
		slot->map =
			host_map_shared(sp->memfd, (uint64_t)index * SLOT_SHARED, SLOT_SHARED, err);
		if (!slot->map)
			goto undo;
	}
	slot_init(slot->map, index);
	slot->used = true;
	slot->t = t;
	t->sp = sp;
	t->s = slot->map;
	t->index = index;
	t->owner = owner;
	ref_init(&t->ref);
	t->bounce = SLOT_BOUNCE_SZ;
	list_push_back(&sp->threads, &t->link);
	if (sp->nthreads++)
		atomic_store(&sp->had_many, true);
	mutex_unlock(&trap.lock);
	trap_poll_add(t);
	LIVE_INC(PLAT_THREAD);
	return t;
undo:
	mutex_unlock(&trap.lock);
	free(t);
	return NULL;
}

void
trap_thread_put(struct plat_thread *t)
{
	if (!ref_put(&t->ref))
		return;
	free(t);
	LIVE_DEC(PLAT_THREAD);
}

/* Out of all lists; true when it was the last of its space, and then *ret_free says that the space
 * is to be freed by the caller, because its process is no more. */
static bool
detach(struct plat_thread *t, bool never_started, bool *ret_free)
{
	struct plat_space *sp = t->sp;
	bool last;

	trap_poll_remove(t);
	trap_large_release(t);
	trap_file_release(t);
	mutex_lock(&trap.lock);
	list_del(&t->link);
	last = --sp->nthreads == 0;
	sp->slots[t->index].used = false;
	sp->slots[t->index].t = NULL;
	t->owner = NULL;
	*ret_free = last && (sp->dead || never_started);
	if (last && !sp->dead) {
		sp->dying = true;
		kill_locked(sp);
	}
	mutex_unlock(&trap.lock);
	return last;
}

/* End the process; the reaper tells the threads. */
void
trap_space_kill(struct plat_space *sp)
{
	mutex_lock(&trap.lock);
	if (!sp->dead)
		kill_locked(sp);
	mutex_unlock(&trap.lock);
}

/* The process is dead and reaped. */
static void
space_died(pid_t pid)
{
	struct plat_thread **all = NULL, *t;
	struct plat_space *sp, **at;
	uint32_t n = 0;
	bool tell, drop;

	mutex_lock(&trap.lock);
	sp = find_locked(pid);
	if (!sp) {
		mutex_unlock(&trap.lock);
		return;
	}
	for (at = bucket(pid); *at != sp; at = &(*at)->hash_next)
		;
	*at = sp->hash_next;
	trap.nspaces--;
	if (sp->own_group)
		host_kill_group(pid, SIGKILL); /* what it has left */
	sp->dead = true;
	tell = !sp->dying && !trap.closing;
	drop = sp->nthreads == 0;
	if (!drop) {
		all = malloc(sp->nthreads * sizeof *all);
		if (!all)
			panic("no memory to report a dead process");
		list_for_each_entry (t, &sp->threads, link) {
			ref_get(&t->ref);
			all[n++] = t;
		}
	}
	mutex_unlock(&trap.lock);
	if (drop) {
		trap_space_free(sp);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		t = all[i];
		atomic_store(&t->gone, 1);
		/* The owner's fiber may have noticed by itself. Until it has detached t it cannot
		 * end, nor can its task. */
		mutex_lock(&trap.lock);
		if (tell && t->owner && trap.env->thread_gone)
			trap.env->thread_gone(t, t->owner);
		mutex_unlock(&trap.lock);
		trap_poll_gone(t);
		trap_thread_put(t);
	}
	free(all);
}

static void *
reaper_main(void *arg)
{
	(void)arg;
	for (;;) {
		pid_t pid = host_reap_any();

		if (pid == -EINTR)
			continue;
		if (pid <= 0)
			return NULL;
		space_died(pid);
	}
}

int
trap_start_reaper(void)
{
	int r = pthread_create(&reaper, NULL, reaper_main, NULL);

	return -r;
}

void
trap_wait_reaper(void)
{
	pthread_join(reaper, NULL);
}

/* The zygote has one slot: fibers take turns. */
static void
zygote_take(void)
{
	struct trap_waiter w = {.cookie = trap.env->self()}, **at;

	mutex_lock(&trap.lock);
	if (!trap.zygote_busy) {
		trap.zygote_busy = true;
		mutex_unlock(&trap.lock);
		return;
	}
	for (at = &trap.zygote_queue; *at; at = &(*at)->next)
		;
	*at = &w;
	mutex_unlock(&trap.lock);
	while (!atomic_load(&w.granted))
		trap.env->park();
}

static void
zygote_release(void)
{
	struct trap_waiter *w;
	void *cookie = NULL;

	mutex_lock(&trap.lock);
	w = trap.zygote_queue;
	if (w) {
		trap.zygote_queue = w->next;
		cookie = w->cookie;
		atomic_store(&w->granted, 1);
	} else {
		trap.zygote_busy = false;
	}
	mutex_unlock(&trap.lock);
	if (cookie)
		trap.env->unpark(cookie);
}

/* Is that process the child that t's stub has just made? A stub could name another one of the
 * sentry's children, which somebody else's stub has made and whose fiber does not know of it yet;
 * with its number a guest would have its memory. The mark is in memory that only a copy of t's
 * process has. Where the host refuses to read it, it refuses that, too. */
static int
is_copy(const struct plat_thread *t, pid_t pid, uint64_t mark)
{
	const uint64_t at = trap.base + STUB_SLOTS + (uint64_t)t->index * STUB_STRIDE + SLOT_PRIV +
			    offsetof(struct stub_priv, mark);
	uint64_t v = 0;

	if (trap.vm_refused)
		return 0;
	return host_vm_read(pid, &v, at, sizeof v) == 0 && v == mark ? 0 : -EAGAIN;
}

/* A child of t's process that stands where t stands; its registers are not known yet. */
static int
clone_space(struct plat_thread *t, void *owner, struct plat_thread **ret_child)
{
	static _Atomic uint64_t marks;
	struct plat_space *sp = trap_space_alloc();
	uint64_t mark = atomic_fetch_add(&marks, 1) + 1;
	struct plat_thread *c;
	int fds[2], err;
	int64_t pid;
	bool drop;

	if (!sp)
		return -ENOMEM;
	c = trap_thread_alloc(sp, t->index, NULL, &err);
	if (!c) {
		trap_space_free(sp);
		return err;
	}
	err = host_socketpair(fds);
	if (err < 0)
		goto undo;
	sp->sock = fds[0];
	err = trap_flush(t);
	if (err == 0)
		err = trap_send_fd(t, sp->memfd);
	if (err == 0)
		err = trap_send_fd(t, fds[1]);
	host_close(fds[1]);
	if (err < 0)
		goto undo;
	mutex_lock(&trap.lock);
	trap.nforking++;
	trap.nforked++;
	mutex_unlock(&trap.lock);
	pid = trap_op_now(t, STUB_OP_FORK, t->index, mark, 0, 0, 0, 0);
	err = pid > 0 && pid <= INT32_MAX ? is_copy(t, (pid_t)pid, mark)
	      : pid < 0 && pid > -4096	  ? (int)pid
					  : -EAGAIN;
	/* The stub says what it likes. Registered first: the reaper finds what dies from now on. */
	mutex_lock(&trap.lock);
	trap.nforking--;
	if (pid > 0 && pid <= INT32_MAX && !find_locked((pid_t)pid) && host_is_child((pid_t)pid)) {
		if (err == 0) {
			add_locked(sp, (pid_t)pid);
			c->owner = owner;
			c->tid = sp->pid;
		} else {
			host_kill((pid_t)pid, SIGKILL);
		}
	}
	mutex_unlock(&trap.lock);
	if (!sp->pid) {
		if (err == 0)
			err = -EAGAIN;
		goto undo;
	}
	c->s->tid = (uint32_t)sp->pid; /* never cleared: the slot of a process's first thread is not
					  used again */
	c->frame = t->frame;
	c->fs_base = t->fs_base;
	c->gs_base = t->gs_base;
	c->ident = t->ident;
	c->kind = STUB_K_READY;
	*ret_child = c;
	return 0;
undo:
	detach(c, true, &drop);
	trap_thread_put(c);
	if (drop)
		trap_space_free(sp);
	return err;
}

static const struct guest_regs fresh_regs = {
	.cs = 0x33, .ss = 0x2b, .eflags = 0x202, .orig_rax = (uint64_t)-1};

static int
empty_space(struct plat_thread *from, void *owner, struct plat_thread **ret_thread)
{
	struct plat_thread *c;
	int r;

	if (!from)
		zygote_take();
	r = clone_space(from ? from : trap.zygote, owner, &c);
	if (!from)
		zygote_release();
	if (r < 0)
		return r;
	c->regs = fresh_regs;
	c->frame = false;
	c->fs_base = ~0ull;
	c->regs_known = c->dirty = true;
	*ret_thread = c;
	return 0;
}

int
trap_space_new(struct plat_thread *from, void *owner, struct plat_thread **ret_thread)
{
	if (from)
		return empty_space(from, owner, ret_thread);
	for (;;) {
		struct plat_thread *c = NULL;

		mutex_lock(&trap.lock);
		if (trap.nahead) {
			c = trap.ahead[--trap.nahead];
			c->owner = owner;
		}
		mutex_unlock(&trap.lock);
		if (!c)
			return empty_space(NULL, owner, ret_thread);
		LIVE_INC(PLAT_THREAD);
		if (!atomic_load(&c->gone)) {
			*ret_thread = c;
			return 0;
		}
		trap_thread_exit(c, 0);
	}
}

/* Nobody's object: it is counted when somebody takes it. */
int
trap_space_ahead(void)
{
	struct plat_thread *c;
	bool full;
	int r;

	mutex_lock(&trap.lock);
	full = trap.nahead == TRAP_AHEAD || trap.closing;
	mutex_unlock(&trap.lock);
	if (full)
		return 0;
	r = empty_space(NULL, NULL, &c);
	if (r < 0)
		return r;
	trap_poll_cold(c);
	mutex_lock(&trap.lock);
	full = trap.nahead == TRAP_AHEAD;
	if (!full) {
		LIVE_DEC(PLAT_THREAD);
		trap.ahead[trap.nahead++] = c;
	}
	mutex_unlock(&trap.lock);
	if (full)
		trap_thread_exit(c, 0);
	return 1;
}

int
trap_space_fork(struct plat_thread *t, void *owner, struct plat_thread **ret_child)
{
	struct guest_regs regs = *trap_regs(t);
	uint64_t busy = trap_sites_freeze(t->sp);
	struct plat_thread *c;
	int r = clone_space(t, owner, &c);

	if (r == 0) {
		c->regs = regs;
		c->regs_known = c->dirty = true;
		c->sp->sites = trap_sites_copy(t->sp, busy);
		*ret_child = c;
	}
	trap_sites_thaw(t->sp);
	return r;
}

int
trap_thread_new(struct plat_thread *t, void *owner, struct plat_thread **ret_thread)
{
	struct guest_regs regs = *trap_regs(t);
	struct plat_thread *c;
	int64_t tid;
	bool drop, mapped;
	int err;

	c = trap_thread_alloc(t->sp, UINT32_MAX, NULL, &err);
	if (!c)
		return err;
	mutex_lock(&trap.lock);
	mapped = t->sp->slots[c->index].known;
	mutex_unlock(&trap.lock);
	tid = trap_op_now(t, STUB_OP_THREAD, c->index, mapped, 0, 0, 0, 0);
	if (tid <= 0 || tid > INT32_MAX) {
		err = tid < 0 && tid > -4096 ? (int)tid : -EAGAIN;
		detach(c, false, &drop);
		trap_thread_put(c);
		return err;
	}
	c->tid = (pid_t)tid;
	c->kind = STUB_K_READY;
	c->fs_base = ~0ull;
	c->ident = t->ident;
	mutex_lock(&trap.lock);
	t->sp->slots[c->index].known = true;
	mutex_unlock(&trap.lock);
	c->owner = owner;
	c->regs = regs;
	c->regs_known = c->dirty = true;
	*ret_thread = c;
	return 0;
}

void
trap_thread_exit(struct plat_thread *t, uint64_t clear_tid)
{
	struct plat_space *sp = t->sp;
	bool only, drop;

	mutex_lock(&trap.lock);
	only = sp->nthreads == 1;
	mutex_unlock(&trap.lock);
	if (!only && !atomic_load(&t->gone)) {
		struct stub_op *op = trap_op_new(t, STUB_OP_EXIT);

		if (op) {
			op->a[0] = clear_tid;
			op->a[1] = t->tid == sp->pid;
			trap_post_last(t);
		}
	}
	detach(t, false, &drop);
	if (drop)
		trap_space_free(sp);
	trap_thread_put(t);
}
