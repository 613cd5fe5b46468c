/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic BPF. A checked program only jumps forward and inside, reads only seccomp_data and scratch
 * words that were written before, and ends with a return: so it ends, within len steps.
 * Linux counterparts: net/core/filter.c (bpf_check_classic), kernel/seccomp.c
 * (seccomp_check_filter).
 */
#include "sentry/kernel/bpf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	IMM = 0x00,
	ABS = 0x20,
	MEM = 0x60,
	LEN = 0x80,

	ADD = 0x00,
	SUB = 0x10,
	MUL = 0x20,
	DIV = 0x30,
	OR = 0x40,
	AND = 0x50,
	LSH = 0x60,
	RSH = 0x70,
	NEG = 0x80,
	XOR = 0xa0,

	JA = 0x00,
	JEQ = 0x10,
	JGT = 0x20,
	JGE = 0x30,
	JSET = 0x40,

	K = 0x00,
	X = 0x08,
	A = 0x10,

	TAX = 0x00,
	TXA = 0x80,
	MEMWORDS = 16,
};

static int
check_insn(const struct lx_sock_filter *i, size_t left, bool *reads_ip)
{
	switch (i->code) {
	case LD | W | ABS:
		if (i->k >= sizeof(struct lx_seccomp_data) || (i->k & 3))
			return -EINVAL;
		if (i->k >= offsetof(struct lx_seccomp_data, instruction_pointer) &&
			i->k < offsetof(struct lx_seccomp_data, args))
			*reads_ip = true;
		return 0;
	case LD | W | LEN:
	case LDX | W | LEN:
	case LD | IMM:
	case LDX | IMM:
	case RET | K:
	case RET | A:
	case ALU | ADD | K:
	case ALU | ADD | X:
	case ALU | SUB | K:
	case ALU | SUB | X:
	case ALU | MUL | K:
	case ALU | MUL | X:
	case ALU | DIV | X:
	case ALU | AND | K:
	case ALU | AND | X:
	case ALU | OR | K:
	case ALU | OR | X:
	case ALU | XOR | K:
	case ALU | XOR | X:
	case ALU | LSH | X:
	case ALU | RSH | X:
	case ALU | NEG:
	case MISC | TAX:
	case MISC | TXA:
		return 0;
	case ALU | DIV | K:
		return i->k ? 0 : -EINVAL;
	case ALU | LSH | K:
	case ALU | RSH | K:
		return i->k < 32 ? 0 : -EINVAL;
	case LD | MEM:
	case LDX | MEM:
	case ST:
	case STX:
		return i->k < MEMWORDS ? 0 : -EINVAL;
	case JMP | JA:
		return i->k < left ? 0 : -EINVAL;
	case JMP | JEQ | K:
	case JMP | JEQ | X:
	case JMP | JGE | K:
	case JMP | JGE | X:
	case JMP | JGT | K:
	case JMP | JGT | X:
	case JMP | JSET | K:
	case JMP | JSET | X:
		return i->jt < left && i->jf < left ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* No scratch word is read that was not written on every way there. */
static int
check_scratch(const struct lx_sock_filter *p, size_t len)
{
	uint16_t *valid = malloc(len * sizeof *valid), have = 0;
	int err = 0;

	if (!valid)
		return -ENOMEM;
	memset(valid, 0xff, len * sizeof *valid);
	for (size_t pc = 0; pc < len && !err; pc++) {
		have &= valid[pc];
		switch (p[pc].code) {
		case ST:
		case STX:
			have |= (uint16_t)(1u << p[pc].k);
			break;
		case LD | MEM:
		case LDX | MEM:
			if (!(have & 1u << p[pc].k))
				err = -EINVAL;
			break;
		case JMP | JA:
			valid[pc + 1 + p[pc].k] &= have;
			have = 0xffff;
			break;
		default:
			if ((p[pc].code & 7) == JMP) {
				valid[pc + 1 + p[pc].jt] &= have;
				valid[pc + 1 + p[pc].jf] &= have;
				have = 0xffff;
			}
			break;
		}
	}
	free(valid);
	return err;
}

int
bpf_check(const struct lx_sock_filter *p, size_t len, bool *reads_ip)
{
	*reads_ip = false;
	if (len == 0 || len > LX_BPF_MAXINSNS)
		return -EINVAL;
	for (size_t pc = 0; pc < len; pc++) {
		int err = check_insn(&p[pc], len - pc - 1, reads_ip);

		if (err)
			return err;
	}
	if (p[len - 1].code != (RET | K) && p[len - 1].code != (RET | A))
		return -EINVAL;
	return check_scratch(p, len);
}

static uint32_t
alu(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case ADD:
		return a + b;
	case SUB:
		return a - b;
	case MUL:
		return a * b;
	case OR:
		return a | b;
	case AND:
		return a & b;
	case XOR:
		return a ^ b;
	case LSH:
		return a << (b & 31);
	case RSH:
		return a >> (b & 31);
	default:
		return -a; /* NEG */
	}
}

static bool
jump(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case JEQ:
		return a == b;
	case JGT:
		return a > b;
	case JGE:
		return a >= b;
	default:
		return a & b; /* JSET */
	}
}

uint32_t
bpf_run(const struct lx_sock_filter *p, const struct lx_seccomp_data *d)
{
	uint32_t a = 0, x = 0, mem[MEMWORDS] = {0};

	for (;; p++) {
		uint32_t b = p->code & X ? x : p->k;

		switch (p->code & 7) {
		case LD:
			if ((p->code & 0xe0) == ABS)
				memcpy(&a, (const char *)d + p->k, sizeof a);
			else if ((p->code & 0xe0) == MEM)
				a = mem[p->k];
			else
				a = (p->code & 0xe0) == LEN ? (uint32_t)sizeof *d : p->k;
			break;
		case LDX:
			if ((p->code & 0xe0) == MEM)
				x = mem[p->k];
			else
				x = (p->code & 0xe0) == LEN ? (uint32_t)sizeof *d : p->k;
			break;
		case ST:
			mem[p->k] = a;
			break;
		case STX:
			mem[p->k] = x;
			break;
		case ALU:
			if ((p->code & 0xf0) != DIV)
				a = alu(p->code & 0xf0, a, b);
			else if (b)
				a /= b;
			else
				return 0;
			break;
		case JMP:
			if ((p->code & 0xf0) == JA)
				p += p->k;
			else
				p += jump(p->code & 0xf0, a, b) ? p->jt : p->jf;
			break;
		case MISC:
			if (p->code & TXA)
				a = x;
			else
				x = a;
			break;
		case RET:
			return p->code & A ? a : p->k;
		}
	}
}

uint32_t
bpf_weight(const struct lx_sock_filter *p, size_t len)
{
	uint32_t n = 3;

	for (const struct lx_sock_filter *i = p; i < p + len; i++) {
		uint16_t op = i->code & 0xf0;

		n++;
		if (i->code == (RET | K)) {
			n++;
		} else if (i->code == (ALU | DIV | X)) {
			n += 3;
		} else if ((i->code & 7) == JMP && op != JA) {
			if (!(i->code & X) && (int32_t)i->k < 0)
				n++;
			if (i->jf && (i->jt || op == JSET))
				n++;
		}
	}
	return n;
}

bool
bpf_always_allows(const struct lx_sock_filter *p, size_t len, int32_t nr)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < len; pc++) {
		const struct lx_sock_filter *i = &p[pc];

		switch (i->code) {
		case LD | W | ABS:
			if (i->k == offsetof(struct lx_seccomp_data, nr))
				a = (uint32_t)nr;
			else if (i->k == offsetof(struct lx_seccomp_data, arch))
				a = LX_AUDIT_ARCH_X86_64;
			else
				return false;
			break;
		case RET | K:
			return i->k == LX_SECCOMP_RET_ALLOW;
		case JMP | JA:
			pc += i->k;
			break;
		case JMP | JEQ | K:
		case JMP | JGT | K:
		case JMP | JGE | K:
		case JMP | JSET | K:
			pc += jump(i->code & 0xf0, a, i->k) ? i->jt : i->jf;
			break;
		case ALU | AND | K:
			a &= i->k;
			break;
		default:
			return false;
		}
	}
	return false;
}
