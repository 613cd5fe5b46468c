/* SPDX-License-Identifier: Apache-2.0 */
/* Classic BPF: what programs of seccomp and of sockets have in common. */
#ifndef SENTRY_BPF_CHECK_H
#define SENTRY_BPF_CHECK_H

#include "abi/bpf.h"
#include <stdbool.h>
#include <stddef.h>

/* 0: len instructions that are all known, jump forward and inside only, read no scratch word that
 * was not written on every way there, and end with a return: so a run ends within len steps.
 * allowed: is i one of those that there are here? It sees only known ones. -EINVAL, -ENOMEM. Linux:
 * net/core/filter.c (bpf_check_classic, check_load_and_stores). */
int bpf_check_classic(const struct lx_sock_filter *p, size_t len,
	bool (*allowed)(const struct lx_sock_filter *i));

/* *a of an ALU instruction with the operand b; false: division by zero, which ends the program. */
static inline bool
bpf_alu(uint16_t code, uint32_t *a, uint32_t b)
{
	switch (BPF_OP(code)) {
	case BPF_ADD:
		*a += b;
		return true;
	case BPF_SUB:
		*a -= b;
		return true;
	case BPF_MUL:
		*a *= b;
		return true;
	case BPF_DIV:
		if (b)
			*a /= b;
		return b;
	case BPF_MOD:
		if (b)
			*a %= b;
		return b;
	case BPF_OR:
		*a |= b;
		return true;
	case BPF_AND:
		*a &= b;
		return true;
	case BPF_XOR:
		*a ^= b;
		return true;
	case BPF_LSH:
		*a <<= b & 31;
		return true;
	case BPF_RSH:
		*a >>= b & 31;
		return true;
	default:
		*a = -*a; /* NEG */
		return true;
	}
}

/* Does a conditional jump's condition hold? */
static inline bool
bpf_holds(uint16_t code, uint32_t a, uint32_t b)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return a & b; /* JSET */
	}
}

#endif
