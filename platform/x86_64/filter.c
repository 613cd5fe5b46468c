/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter of the stub processes, made from calls.def. Anything that no row allows is a
 * trap, which is how guests get to the sentry; so the test that a guest's call fails first comes
 * first. */
#include "platform/x86_64/stubcalls.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum rule_how {
	NONE,
	EQ,
	BITS,
	MAX,
};

struct rule {
	uint8_t arg;
	uint8_t how;
	uint64_t v;
};

struct call {
	int nr;
	const char *why;
	struct rule rules[4];
};

static const struct call calls[] = {
#define STUB_CALL(name, why, ...) {__NR_##name, why, {__VA_ARGS__}},
#include "platform/x86_64/calls.def"
#undef STUB_CALL
};

struct program {
	struct sock_filter *f;
	size_t n, cap;
};

static void
emit(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (p->n < p->cap)
		p->f[p->n] = (struct sock_filter){code, jt, jf, k};
	p->n++;
}

#define LOAD(p, off)	   emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(off))
#define JEQ(p, k, jt, jf)  emit(p, BPF_JMP | BPF_JEQ | BPF_K, jt, jf, (uint32_t)(k))
#define JGT(p, k, jt, jf)  emit(p, BPF_JMP | BPF_JGT | BPF_K, jt, jf, (uint32_t)(k))
#define JSET(p, k, jt, jf) emit(p, BPF_JMP | BPF_JSET | BPF_K, jt, jf, (uint32_t)(k))
#define RET(p, k)	   emit(p, BPF_RET | BPF_K, 0, 0, k)

/* Each jump that refuses is marked by SKIP and set to the end of the row afterwards. */
#define SKIP 0xff

static void
emit_rule(struct program *p, const struct rule *r)
{
	uint32_t lo = (uint32_t)offsetof(struct seccomp_data, args) + 8u * r->arg, hi = lo + 4;
	uint32_t vlo = (uint32_t)r->v, vhi = (uint32_t)(r->v >> 32);

	LOAD(p, hi);
	if (r->how == BITS)
		JSET(p, ~vhi, SKIP, 0);
	else
		JEQ(p, vhi, 0, SKIP);
	LOAD(p, lo);
	if (r->how == BITS)
		JSET(p, ~vlo, SKIP, 0);
	else if (r->how == MAX)
		JGT(p, vlo, SKIP, 0);
	else
		JEQ(p, vlo, 0, SKIP);
}

static void
emit_row(struct program *p, const struct call *c)
{
	size_t start = p->n;

	JEQ(p, c->nr, 0, SKIP);
	for (unsigned i = 0; i < 4 && c->rules[i].how != NONE; i++)
		emit_rule(p, &c->rules[i]);
	RET(p, SECCOMP_RET_ALLOW);
	for (size_t i = start; i < p->n && i < p->cap; i++) {
		uint8_t rest = (uint8_t)(p->n - i - 1);

		if (BPF_CLASS(p->f[i].code) != BPF_JMP)
			continue;
		if (p->f[i].jt == SKIP)
			p->f[i].jt = rest;
		if (p->f[i].jf == SKIP)
			p->f[i].jf = rest;
	}
	/* The next row finds the number loaded again only if it is loaded here. */
	if (c->rules[0].how != NONE)
		LOAD(p, offsetof(struct seccomp_data, nr));
}

ssize_t
x86_filter_make(void *buf, size_t cap, uint64_t at, uint64_t text, uint32_t len)
{
	struct sock_fprog *prog = buf;
	struct program p = {(struct sock_filter *)(prog + 1), 0,
		(cap - sizeof *prog) / sizeof(struct sock_filter)};

	LOAD(&p, offsetof(struct seccomp_data, instruction_pointer) + 4);
	JEQ(&p, text >> 32, 1, 0);
	RET(&p, SECCOMP_RET_TRAP);
	LOAD(&p, offsetof(struct seccomp_data, instruction_pointer));
	JGT(&p, len, 0, 1);
	RET(&p, SECCOMP_RET_TRAP);
	LOAD(&p, offsetof(struct seccomp_data, arch));
	JEQ(&p, AUDIT_ARCH_X86_64, 1, 0);
	RET(&p, SECCOMP_RET_TRAP);
	LOAD(&p, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		emit_row(&p, &calls[i]);
	RET(&p, SECCOMP_RET_TRAP);
	if (p.n > p.cap || (text & 0xffffffff) != 0)
		return -E2BIG;
	prog->len = (uint16_t)p.n;
	prog->filter = (struct sock_filter *)(at + sizeof *prog);
	return (ssize_t)(sizeof *prog + p.n * sizeof(struct sock_filter));
}
