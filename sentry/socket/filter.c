/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic BPF of sockets. A checked program only jumps forward and inside, and ends with a return,
 * so it ends within its length; a load from beyond the packet ends it with 0. Linux:
 * net/core/filter.c. (That of seccomp, kernel/bpf.c, has fewer instructions and other data.)
 */
#include "sentry/socket/filter.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILTER_MAX 4096
#define MEMWORDS   16

enum {
	LD = 0,
	LDX = 1,
	ST = 2,
	STX = 3,
	ALU = 4,
	JMP = 5,
	RET = 6,
	MISC = 7,

	W = 0x00,
	H = 0x08,
	B = 0x10,

	IMM = 0x00,
	ABS = 0x20,
	IND = 0x40,
	MEM = 0x60,
	LEN = 0x80,
	MSH = 0xa0,

	ADD = 0x00,
	SUB = 0x10,
	MUL = 0x20,
	DIV = 0x30,
	OR = 0x40,
	AND = 0x50,
	LSH = 0x60,
	RSH = 0x70,
	NEG = 0x80,
	MOD = 0x90,
	XOR = 0xa0,

	JA = 0x00,
	JEQ = 0x10,
	JGT = 0x20,
	JGE = 0x30,
	JSET = 0x40,

	X = 0x08,
	A = 0x10,
	TXA = 0x80,
};

/* Negative offsets: what the packet does not hold (SKF_AD_OFF), and the IP header (SKF_NET_OFF). */
#define AD_OFF	    0xfffff000u
#define AD_PROTOCOL 0u
#define AD_PKTTYPE  4u
#define AD_IFINDEX  8u
#define AD_HATYPE   28u

struct sock_filter {
	size_t n;
	struct lx_sock_filter insn[];
};

static bool
load_ok(const struct lx_sock_filter *i)
{
	uint32_t ad = i->k - AD_OFF;

	if (i->k < 0x80000000u)
		return true;
	return (i->code & 0xe0) == ABS &&
	       (ad == AD_PROTOCOL || ad == AD_PKTTYPE || ad == AD_IFINDEX || ad == AD_HATYPE);
}

static bool
alu_ok(const struct lx_sock_filter *i)
{
	bool k = !(i->code & X);

	switch (i->code & 0xf0) {
	case DIV:
	case MOD:
		return !k || i->k;
	case LSH:
	case RSH:
		return !k || i->k < 32;
	case ADD:
	case SUB:
	case MUL:
	case OR:
	case AND:
	case XOR:
		return true;
	case NEG:
		return k;
	default:
		return false;
	}
}

static bool
jump_ok(const struct lx_sock_filter *i, size_t left)
{
	switch (i->code & 0xf0) {
	case JA:
		return !(i->code & X) && i->k < left;
	case JEQ:
	case JGT:
	case JGE:
	case JSET:
		return i->jt < left && i->jf < left;
	default:
		return false;
	}
}

/* left: instructions that follow */
static bool
insn_ok(const struct lx_sock_filter *i, size_t left)
{
	switch (i->code) {
	case LD | W | ABS:
	case LD | H | ABS:
	case LD | B | ABS:
	case LD | W | IND:
	case LD | H | IND:
	case LD | B | IND:
	case LDX | B | MSH:
		return load_ok(i);
	case LD | W | LEN:
	case LDX | W | LEN:
	case LD | IMM:
	case LDX | IMM:
	case RET:
	case RET | A:
	case MISC:
	case MISC | TXA:
		return true;
	case LD | MEM:
	case LDX | MEM:
	case ST:
	case STX:
		return i->k < MEMWORDS;
	default:
		break;
	}
	if (i->code > 0xff)
		return false;
	return (i->code & 7) == ALU ? alu_ok(i) : (i->code & 7) == JMP && jump_ok(i, left);
}

int
sock_filter_new(const struct lx_sock_filter *p, size_t n, struct sock_filter **ret)
{
	struct sock_filter *f;

	if (!n || n > FILTER_MAX)
		return -EINVAL;
	for (size_t k = 0; k < n; k++)
		if (!insn_ok(&p[k], n - 1 - k))
			return -EINVAL;
	if (p[n - 1].code != RET && p[n - 1].code != (RET | A))
		return -EINVAL;
	f = malloc(sizeof *f + n * sizeof *p);
	if (!f)
		return -ENOMEM;
	f->n = n;
	memcpy(f->insn, p, n * sizeof *p);
	*ret = f;
	return 0;
}

void
sock_filter_free(struct sock_filter *f)
{
	free(f);
}

const struct lx_sock_filter *
sock_filter_get(const struct sock_filter *f, size_t *n)
{
	*n = f->n;
	return f->insn;
}

static bool
ancillary(const struct filter_packet *k, uint32_t at, uint32_t *ret)
{
	switch (at - AD_OFF) {
	case AD_PROTOCOL:
		*ret = k->protocol;
		return true;
	case AD_PKTTYPE:
		*ret = k->pkttype;
		return true;
	case AD_IFINDEX:
		*ret = (uint32_t)k->ifindex;
		return true;
	case AD_HATYPE:
		*ret = k->hatype;
		return true;
	default:
		return false;
	}
}

/* size: a code's W, H or B. */
static bool
load(const struct filter_packet *k, uint32_t at, unsigned size, uint32_t *ret)
{
	uint32_t n = size == W ? 4 : size == H ? 2 : 1;

	if (at >= 0x80000000u)
		return ancillary(k, at, ret);
	if (at > k->len || n > k->len - at)
		return false;
	*ret = 0;
	for (uint32_t j = 0; j < n; j++)
		*ret = *ret << 8 | k->p[at + j];
	return true;
}

/* False: the program ends (division by zero). */
static bool
compute(uint16_t code, uint32_t *a, uint32_t v)
{
	switch (code & 0xf0) {
	case ADD:
		*a += v;
		return true;
	case SUB:
		*a -= v;
		return true;
	case MUL:
		*a *= v;
		return true;
	case DIV:
		if (v)
			*a /= v;
		return v;
	case MOD:
		if (v)
			*a %= v;
		return v;
	case OR:
		*a |= v;
		return true;
	case AND:
		*a &= v;
		return true;
	case LSH:
		*a <<= v & 31;
		return true;
	case RSH:
		*a >>= v & 31;
		return true;
	case NEG:
		*a = -*a;
		return true;
	default:
		*a ^= v;
		return true;
	}
}

static bool
holds(uint16_t code, uint32_t a, uint32_t v)
{
	switch (code & 0xf0) {
	case JEQ:
		return a == v;
	case JGT:
		return a > v;
	case JGE:
		return a >= v;
	default:
		return a & v;
	}
}

uint32_t
sock_filter_run(const struct sock_filter *f, const struct filter_packet *k)
{
	uint32_t a = 0, x = 0, mem[MEMWORDS] = {0};

	if (!f)
		return UINT32_MAX;
	for (size_t pc = 0; pc < f->n; pc++) {
		const struct lx_sock_filter *i = &f->insn[pc];
		uint32_t v = i->code & X ? x : i->k;

		switch (i->code) {
		case LD | W | LEN:
			a = k->len;
			continue;
		case LDX | W | LEN:
			x = k->len;
			continue;
		case LD | IMM:
			a = i->k;
			continue;
		case LDX | IMM:
			x = i->k;
			continue;
		case LD | MEM:
			a = mem[i->k];
			continue;
		case LDX | MEM:
			x = mem[i->k];
			continue;
		case ST:
			mem[i->k] = a;
			continue;
		case STX:
			mem[i->k] = x;
			continue;
		case MISC:
			x = a;
			continue;
		case MISC | TXA:
			a = x;
			continue;
		case RET:
			return i->k;
		case RET | A:
			return a;
		case LDX | B | MSH:
			if (!load(k, i->k, B, &v))
				return 0;
			x = (v & 15) * 4;
			continue;
		default:
			break;
		}
		switch (i->code & 7) {
		case LD:
			/* ABS, or IND, which may not wrap round into what is not of the packet */
			v = i->k;
			if ((i->code & 0xe0) == IND) {
				if (__builtin_add_overflow(v, x, &v) || v >= 0x80000000u)
					return 0;
			}
			if (!load(k, v, i->code & 0x18, &a))
				return 0;
			break;
		case ALU:
			if (!compute(i->code, &a, v))
				return 0;
			break;
		default:
			if (i->code == (JMP | JA))
				pc += i->k;
			else
				pc += holds(i->code, a, v) ? i->jt : i->jf;
			break;
		}
	}
	return 0;
}
