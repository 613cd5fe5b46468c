/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewriting of syscall sites, so that one that is used again does not trap again. Two kinds:
 *
 * - mov $n,%eax; syscall. The mov becomes a jump to a trampoline: mov $n,%eax; lea
 *   after(%rip),%rcx; jmp to the stub through GS. The syscall instruction stays, so a jump to it
 *   still traps.
 * - syscall; cmp $k,%rax. The five bytes from the syscall instruction on become a jump to a
 *   trampoline: lea R(%rip),%rcx; jmp to the stub; syscall; R: cmp $k,%rax; jmp behind the cmp.
 *   The trampoline stands where the jump's displacement makes the first byte after the old syscall
 *   instruction an illegal one: a thread that goes on there (it was in the call when the site was
 *   rewritten, or a branch leads there) raises #UD, and goes on at R.
 *
 * Whoever looks at registers sees original addresses: they are translated when they are taken from
 * a stub, and back when they are loaded. So unwinding, restarts and signal frames know nothing of
 * trampolines.
 *
 * The page of a site is replaced by a changed copy in one mremap. All of this is per space, because
 * a fork carries it along; mappings that change forget what they held. Any doubt leaves the site
 * alone: trapping is always right. sites.lock is a leaf; `busy` keeps a second fiber of the
 * space from changing the same page while the first one's stub works. While a fork copies the
 * memory no site begins to be rewritten; of the one that is being rewritten just then the child
 * finds out by itself which of the two it has.
 */
#include "platform/trap/internal.h"
#include <stdlib.h>
#include <sys/mman.h>

enum {
	MAX_SITES = 16384,
	MAX_REGIONS = 32,
	REGION_BYTES = 65536,
	TRAMP_BYTES = 32,
	REGION_TRAMPS = REGION_BYTES / TRAMP_BYTES,
	JMP_BYTES = 5,
	MOV_SITE = 7, /* from the mov to behind the syscall instruction */
	CALL_BYTES = 2,
	CMP_BYTES = 6,
	CMP_RETURN = 17, /* R in the trampoline of a cmp site */
	PATCH_AT = 2,	 /* the trap that has it rewritten: most sites of a program's start are used
			    once */
};

enum site_kind {
	MOV_KIND,
	CMP_KIND,
};

enum site_state {
	COUNTING,
	PATCHING, /* a stub is at it, or was during the fork that made the space: old or new */
	PATCHED,
	NEVER,
};

struct site {
	uint64_t after; /* address after the syscall instruction; 0: empty, 1: was removed */
	uint64_t tramp;
	uint32_t imm; /* the number of a mov, the constant of a cmp */
	uint8_t kind;
	uint8_t state;
	uint8_t count; /* traps, while COUNTING */
};

struct region {
	uint64_t base;
	uint64_t *after; /* by trampoline; 0: free */
};

struct trap_sites {
	struct mutex lock;
	bool disabled;
	uint64_t busy;	    /* `after` of the site that is being rewritten */
	uint32_t forks;	    /* under way */
	uint32_t restoring; /* threads that put sites back */
	struct site *table; /* open addressing, a power of two, at most half full */
	uint32_t cap, filled;
	uint64_t *pages; /* that hold patches */
	uint32_t npages, pages_cap;
	struct region regions[MAX_REGIONS];
	uint32_t nregions;
};

static struct trap_sites *
sites_new(void)
{
	struct trap_sites *s = calloc(1, sizeof *s);

	if (s)
		mutex_init(&s->lock, LR_LEAF);
	return s;
}

void
trap_sites_free(struct trap_sites *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->nregions; i++)
		free(s->regions[i].after);
	free(s->table);
	free(s->pages);
	mutex_destroy(&s->lock);
	free(s);
}

static void *
duplicate(const void *p, size_t len)
{
	void *n = len ? malloc(len) : NULL;

	if (n)
		memcpy(n, p, len);
	else if (len)
		panic("no memory for the table of sites");
	return n;
}

static uint32_t
hash(uint64_t a, uint32_t cap)
{
	return (uint32_t)(a * 0x9e3779b97f4a7c15ull >> 32) & (cap - 1);
}

static struct site *
find_locked(struct trap_sites *s, uint64_t after)
{
	for (uint32_t i = s->cap ? hash(after, s->cap) : 0, n = 0; n < s->cap;
		n++, i = (i + 1) & (s->cap - 1)) {
		if (s->table[i].after == after)
			return &s->table[i];
		if (s->table[i].after == 0)
			return NULL;
	}
	return NULL;
}

static struct trap_sites *
sites_of(struct plat_space *sp)
{
	struct trap_sites *s;

	mutex_lock(&trap.lock);
	if (!sp->sites)
		sp->sites = sites_new();
	s = sp->sites;
	mutex_unlock(&trap.lock);
	return s;
}

/* Before a fork: the site that is being rewritten, for trap_sites_copy(). */
uint64_t
trap_sites_freeze(struct plat_space *sp)
{
	struct trap_sites *s = sites_of(sp);
	uint64_t busy;

	if (!s)
		return 0;
	mutex_lock(&s->lock);
	s->forks++;
	busy = s->busy;
	mutex_unlock(&s->lock);
	return busy;
}

void
trap_sites_thaw(struct plat_space *sp)
{
	struct trap_sites *s = sp->sites;

	if (!s)
		return;
	mutex_lock(&s->lock);
	if (s->forks)
		s->forks--;
	mutex_unlock(&s->lock);
}

struct trap_sites *
trap_sites_copy(const struct plat_space *sp, uint64_t busy)
{
	struct trap_sites *s = sp->sites, *n;
	struct site *site;

	if (!s)
		return NULL;
	n = sites_new();
	if (!n)
		panic("no memory for the table of sites");
	mutex_lock(&s->lock);
	n->disabled = s->disabled && !s->restoring; /* what is not done the child does anew */
	n->cap = s->cap;
	n->filled = s->filled;
	n->table = duplicate(s->table, s->cap * sizeof *s->table);
	n->npages = n->pages_cap = s->npages;
	n->pages = duplicate(s->pages, s->npages * sizeof *s->pages);
	n->nregions = s->nregions;
	for (uint32_t i = 0; i < s->nregions; i++) {
		n->regions[i] = s->regions[i];
		n->regions[i].after =
			duplicate(s->regions[i].after, REGION_TRAMPS * sizeof(uint64_t));
	}
	mutex_unlock(&s->lock);
	site = busy > 1 ? find_locked(n, busy) : NULL;
	if (site && site->state == PATCHED)
		site->state = PATCHING;
	return n;
}

static bool
grow_locked(struct trap_sites *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 128;
	struct site *t;

	if (cap > MAX_SITES)
		return false;
	t = calloc(cap, sizeof *t);
	if (!t)
		return false;
	s->filled = 0;
	for (uint32_t i = 0; i < s->cap; i++) {
		uint32_t k;

		if (s->table[i].after <= 1)
			continue;
		for (k = hash(s->table[i].after, cap); t[k].after; k = (k + 1) & (cap - 1))
			;
		t[k] = s->table[i];
		s->filled++;
	}
	free(s->table);
	s->table = t;
	s->cap = cap;
	return true;
}

static struct site *
add_locked(struct trap_sites *s, uint64_t after)
{
	uint32_t i;

	if (s->filled * 2 >= s->cap && !grow_locked(s))
		return NULL;
	for (i = hash(after, s->cap); s->table[i].after; i = (i + 1) & (s->cap - 1))
		;
	s->table[i] = (struct site){.after = after};
	s->filled++;
	return &s->table[i];
}

static void
add_page_locked(struct trap_sites *s, uint64_t page)
{
	for (uint32_t i = 0; i < s->npages; i++)
		if (s->pages[i] == page)
			return;
	if (s->npages == s->pages_cap) {
		uint32_t cap = s->pages_cap ? s->pages_cap * 2 : 32;
		uint64_t *p = realloc(s->pages, cap * sizeof *p);

		if (!p)
			panic("no memory for the table of sites");
		s->pages = p;
		s->pages_cap = cap;
	}
	s->pages[s->npages++] = page;
}

static bool
near_enough(uint64_t a, uint64_t b)
{
	int64_t d = (int64_t)(a - b);

	return d > -0x7f000000ll && d < 0x7f000000ll;
}

static uint64_t
site_start(const struct site *site)
{
	return site->after - (site->kind == MOV_KIND ? MOV_SITE : CALL_BYTES);
}

static uint32_t
displacement(const struct site *site, uint64_t tramp)
{
	return (uint32_t)(tramp - (site_start(site) + JMP_BYTES));
}

/* One-byte opcodes that are illegal in 64-bit mode, and that nobody plans to give a meaning. */
static bool
illegal(uint8_t op)
{
	static const uint8_t ops[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
		0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xea};

	return memchr(ops, op, sizeof ops) != NULL;
}

/* A free trampoline near the site, and for a cmp site one whose displacement is illegal code in its
 * second byte; 0 when there is none without a new region. */
static uint64_t
tramp_locked(struct trap_sites *s, const struct site *site)
{
	for (uint32_t i = 0; i < s->nregions; i++) {
		struct region *r = &s->regions[i];

		if (!near_enough(r->base, site->after))
			continue;
		for (uint32_t k = 0; k < REGION_TRAMPS; k++) {
			uint64_t at = r->base + (uint64_t)TRAMP_BYTES * k;

			if (r->after[k] ||
				(site->kind == CMP_KIND &&
					!illegal((uint8_t)(displacement(site, at) >> 8))))
				continue;
			r->after[k] = site->after;
			return at;
		}
	}
	return 0;
}

static bool
new_region(struct plat_thread *t, struct trap_sites *s, uint64_t near)
{
	uint64_t at, *after;

	if (s->nregions == MAX_REGIONS)
		return false;
	at = trap.env->find_gap(t, t->owner, near, REGION_BYTES);
	if (!at || (at & (LX_PAGE_SIZE - 1)) || !near_enough(at, near))
		return false;
	if (trap_map(t, at, REGION_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) < 0)
		return false;
	after = calloc(REGION_TRAMPS, sizeof *after);
	if (!after)
		return false;
	mutex_lock(&s->lock);
	s->regions[s->nregions++] = (struct region){.base = at, .after = after};
	mutex_unlock(&s->lock);
	return true;
}

static unsigned
vector_of(uint32_t nr)
{
	switch (nr) {
	case SYS_getpid:
		return VEC_GETPID;
	case SYS_gettid:
		return VEC_GETTID;
	case SYS_getppid:
		return VEC_GETPPID;
	case SYS_getuid:
		return VEC_GETUID;
	case SYS_geteuid:
		return VEC_GETEUID;
	case SYS_getgid:
		return VEC_GETGID;
	case SYS_getegid:
		return VEC_GETEGID;
	case SYS_getpgrp:
		return VEC_GETPGRP;
	}
	return VEC_GENERAL;
}

static void
put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof v);
}

static void
make_tramp(uint8_t code[TRAMP_BYTES], uint64_t at, const struct site *site)
{
	memset(code, 0xcc, TRAMP_BYTES);
	if (site->kind == MOV_KIND) {
		code[0] = 0xb8; /* mov $nr, %eax */
		put32(code + 1, site->imm);
		memcpy(code + 5, "\x48\x8d\x0d", 3); /* lea after(%rip), %rcx */
		put32(code + 8, (uint32_t)(site->after - (at + 12)));
		memcpy(code + 12, "\x65\xff\x24\x25", 4); /* jmp *%gs:vec */
		put32(code + 16, SLOT_VEC + 8 * vector_of(site->imm));
		return;
	}
	memcpy(code, "\x48\x8d\x0d", 3); /* lea R(%rip), %rcx */
	put32(code + 3, CMP_RETURN - 7);
	memcpy(code + 7, "\x65\xff\x24\x25", 4); /* jmp *%gs:vec */
	put32(code + 11, SLOT_VEC + 8 * VEC_GENERAL);
	memcpy(code + 15, "\x0f\x05\x48\x3d", 4); /* syscall; R: cmp $imm, %rax */
	put32(code + 19, site->imm);
	code[23] = 0xe9; /* jmp behind the cmp */
	put32(code + 24, (uint32_t)(site->after + CMP_BYTES - (at + 28)));
}

/* Have the stub put the jump in place; tramp 0: put the original bytes back. */
static int
patch(struct plat_thread *t, const struct site *site, uint64_t tramp, int prot)
{
	uint64_t start = site_start(site), bytes = 0;
	uint8_t b[8] = {0}, code[TRAMP_BYTES];
	struct stub_op *op;

	if (t->nops > STUB_NOPS - 2 && trap_flush(t) < 0)
		return -ESRCH;
	if (tramp) {
		b[0] = 0xe9;
		put32(b + 1, displacement(site, tramp));
	} else if (site->kind == MOV_KIND) {
		b[0] = 0xb8;
		put32(b + 1, site->imm);
	} else {
		memcpy(b, "\x0f\x05\x48\x3d", 4);
		b[4] = (uint8_t)site->imm;
	}
	memcpy(&bytes, b, sizeof b);
	op = trap_op_new(t, STUB_OP_PATCH);
	if (!op)
		return -ESRCH;
	op->a[0] = start & ~(LX_PAGE_SIZE - 1);
	op->a[1] = (uint64_t)prot;
	op->a[2] = start & (LX_PAGE_SIZE - 1);
	op->a[3] = bytes;
	op->a[4] = tramp;
	op->a[5] = JMP_BYTES;
	op = trap_op_new(t, STUB_OP_DATA);
	if (!op)
		return -ESRCH;
	make_tramp(code, tramp, site);
	memcpy(op->a, code, sizeof code);
	return trap_flush(t);
}

static void
rewrite(struct plat_thread *t, struct trap_sites *s, struct site want)
{
	uint64_t start = site_start(&want), tramp = 0;
	struct site *site;
	int prot = 0, r = -EINVAL;

	if ((start & (LX_PAGE_SIZE - 1)) <= LX_PAGE_SIZE - JMP_BYTES &&
		trap.env->may_patch(t->owner, start, JMP_BYTES, &prot) && !(prot & PROT_WRITE) &&
		(prot & PROT_EXEC)) {
		mutex_lock(&s->lock);
		tramp = tramp_locked(s, &want);
		mutex_unlock(&s->lock);
		if (!tramp && new_region(t, s, start)) {
			mutex_lock(&s->lock);
			tramp = tramp_locked(s, &want);
			mutex_unlock(&s->lock);
		}
		if (tramp) {
			mutex_lock(&s->lock);
			site = find_locked(s, want.after);
			if (site)
				site->tramp = tramp;
			mutex_unlock(&s->lock);
			r = patch(t, &want, tramp, prot);
		}
	}
	mutex_lock(&s->lock);
	site = find_locked(s, want.after);
	if (site)
		site->state = r < 0 ? NEVER : s->disabled ? PATCHING : PATCHED;
	if (site && r == 0)
		add_page_locked(s, start & ~(LX_PAGE_SIZE - 1));
	if (r == 0 && s->disabled) { /* meanwhile */
		mutex_unlock(&s->lock);
		(void)patch(t, &want, 0, prot);
		mutex_lock(&s->lock);
		site = find_locked(s, want.after);
		if (site)
			site->state = NEVER;
	}
	s->busy = 0;
	mutex_unlock(&s->lock);
	if (r == 0 && want.kind == CMP_KIND)
		trap_regs_dirty(
			t); /* it returns to where illegal code stands now: load R instead */
}

/* What kind of site the code around a trapped syscall instruction is; false: none that is
 * rewritten. */
static bool
classify(struct plat_thread *t, struct site *site)
{
	uint32_t n = t->s->ncode;
	uint8_t code[16];

	site->after = t->s->regs.rip;
	memcpy(code, t->s->code, sizeof code);
	if (n < 8 || code[6] != 0x0f || code[7] != 0x05 || site->after < LX_PAGE_SIZE ||
		site->after > trap.base - STUB_GUARD)
		return false;
	memcpy(&site->imm, code + 2, sizeof site->imm);
	site->kind = MOV_KIND;
	/* A prefix before it would make it a mov to another register, by chance with the number. */
	if (code[1] == 0xb8 && site->imm == t->nr && (code[0] & 0xf1) != 0x41)
		return true;
	memcpy(&site->imm, code + 10, sizeof site->imm);
	site->kind = CMP_KIND;
	return n == 16 && code[8] == 0x48 && code[9] == 0x3d;
}

/* t has trapped at a syscall instruction: count it, and rewrite the site when it is due. */
void
trap_site_syscall(struct plat_thread *t)
{
	struct trap_sites *s = t->sp->sites;
	struct site want = {0}, *site;
	bool due = false;

	/* Unwinders know the restorer of a signal frame by its bytes. */
	if (!trap.env->find_gap || !trap.env->may_patch || t->gs_base ||
		t->nr == SYS_rt_sigreturn || !classify(t, &want))
		return;
	if (!s && !(s = sites_of(t->sp)))
		return;
	mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->nregions; i++)
		if (want.after - s->regions[i].base < REGION_BYTES) {
			mutex_unlock(&s->lock); /* the trap in a trampoline, after a restart */
			return;
		}
	site = find_locked(s, want.after);
	if (!site && !s->disabled)
		site = add_locked(s, want.after);
	if (site && site->state == COUNTING && (site->imm != want.imm || site->kind != want.kind)) {
		site->imm = want.imm;
		site->kind = want.kind;
		site->count = 0;
	}
	if (site && site->state == COUNTING && !s->disabled && !s->busy && !s->forks &&
		++site->count >= PATCH_AT) {
		due = true;
		s->busy = want.after;
		site->state = PATCHING;
	}
	mutex_unlock(&s->lock);
	if (due)
		rewrite(t, s, want);
}

/* Registers taken from a stub: who stands in a trampoline stands, for everybody else, at its site.
 */
void
trap_site_rip(struct plat_thread *t, struct guest_regs *r)
{
	struct trap_sites *s = t->sp->sites;

	if (!s)
		return;
	mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->nregions; i++) {
		uint64_t off = r->rip - s->regions[i].base, in = off % TRAMP_BYTES;
		const struct site *site;

		if (off >= REGION_BYTES)
			continue;
		site = find_locked(s, s->regions[i].after[off / TRAMP_BYTES]);
		if (!site)
			break;
		if (site->kind == MOV_KIND)
			r->rip = in == 0 ? site->after - MOV_SITE : site->after - CALL_BYTES;
		else if (in < CMP_RETURN)
			r->rip = site->after - CALL_BYTES;
		else
			r->rip = site->after + (in == CMP_RETURN ? 0 : CMP_BYTES);
		break;
	}
	mutex_unlock(&s->lock);
}

/* Has t, whose registers are not known yet, stopped in a trampoline? */
bool
trap_site_inside(struct plat_thread *t)
{
	struct trap_sites *s = t->sp->sites;
	uint64_t rip = t->s->regs.rip;
	bool in = false;

	if (!s)
		return false;
	mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->nregions && !in; i++)
		in = rip - s->regions[i].base < REGION_BYTES;
	mutex_unlock(&s->lock);
	return in;
}

/* Registers on their way to a stub: where a thread that is to stand at `rip` has to go on. */
uint64_t
trap_site_enter(struct plat_thread *t, uint64_t rip)
{
	struct trap_sites *s = t->sp->sites;
	const struct site *site;

	if (!s)
		return rip;
	mutex_lock(&s->lock);
	site = rip > 1 ? find_locked(s, rip) : NULL;
	if (site && site->state == PATCHED && site->kind == CMP_KIND)
		rip = site->tramp + CMP_RETURN;
	mutex_unlock(&s->lock);
	return rip;
}

/* Is an illegal instruction at rip ours? Then the thread is to go on there: it is translated when
 * it is loaded, or, while another thread's stub is still changing the page, raises the same again.
 */
bool
trap_site_illegal(struct plat_thread *t, uint64_t rip)
{
	struct trap_sites *s = t->sp->sites;
	struct site *site;
	bool ours;

	if (!s)
		return false;
	mutex_lock(&s->lock);
	site = rip > 1 ? find_locked(s, rip) : NULL;
	ours = site && site->kind == CMP_KIND &&
	       (site->state == PATCHING || site->state == PATCHED);
	if (ours && s->busy != rip && !s->restoring)
		site->state = PATCHED; /* a fork has left it open */
	mutex_unlock(&s->lock);
	return ours;
}

void
trap_sites_unmapped(struct plat_space *sp, uint64_t addr, uint64_t len)
{
	struct trap_sites *s = sp->sites;
	bool hit = false;

	if (!s)
		return;
	mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->npages;) {
		if (s->pages[i] - addr < len) {
			s->pages[i] = s->pages[--s->npages];
			hit = true;
		} else {
			i++;
		}
	}
	for (uint32_t i = 0; i < s->nregions;) {
		struct region *r = &s->regions[i];

		if (r->base - addr < len) {
			free(r->after);
			*r = s->regions[--s->nregions];
			hit = true;
		} else {
			i++;
		}
	}
	/* Sites that were only counted are found wrong by their bytes when they trap again. */
	for (uint32_t i = 0; hit && i < s->cap; i++)
		if (s->table[i].after > 1 && site_start(&s->table[i]) - addr < len)
			s->table[i].after = 1;
	mutex_unlock(&s->lock);
}

/* The next page at or above addr that holds a patch, below end; end if there is none. */
uint64_t
trap_sites_next_page(struct plat_space *sp, uint64_t addr, uint64_t end)
{
	struct trap_sites *s = sp->sites;

	if (!s)
		return end;
	mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->npages; i++)
		if (s->pages[i] >= addr && s->pages[i] < end)
			end = s->pages[i];
	mutex_unlock(&s->lock);
	return end;
}

/* The guest wants GS for itself: no site may use it from now on. Trampolines that somebody stands
 * in stay. */
void
trap_sites_disable(struct plat_thread *t)
{
	struct trap_sites *s = sites_of(t->sp);

	if (!s)
		return;
	mutex_lock(&s->lock);
	if (s->disabled) {
		mutex_unlock(&s->lock);
		return;
	}
	s->disabled = true;
	s->restoring++;
	for (uint32_t i = 0; i < s->cap; i++) {
		struct site site = s->table[i];
		int prot = PROT_READ | PROT_EXEC;

		if (site.after <= 1 || site.after == s->busy ||
			(site.state != PATCHED && site.state != PATCHING))
			continue;
		/* Until it is back an illegal instruction there is still ours. The table does not
		 * grow any more. */
		s->table[i].state = PATCHING;
		mutex_unlock(&s->lock);
		trap.env->may_patch(t->owner, site_start(&site), JMP_BYTES, &prot);
		patch(t, &site, 0, prot);
		mutex_lock(&s->lock);
		if (s->table[i].after == site.after)
			s->table[i].state = NEVER;
	}
	s->restoring--;
	mutex_unlock(&s->lock);
}
