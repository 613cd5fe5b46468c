/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/bpf/check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
alu_ok(const struct lx_sock_filter *i)
{
	bool constant = !(i->code & BPF_X);

	switch (BPF_OP(i->code)) {
	case BPF_DIV:
	case BPF_MOD:
		return !constant || i->k;
	case BPF_LSH:
	case BPF_RSH:
		return !constant || i->k < 32;
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
		return true;
	case BPF_NEG:
		return constant;
	default:
		return false;
	}
}

static bool
jump_ok(const struct lx_sock_filter *i, size_t left)
{
	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return !(i->code & BPF_X) && i->k < left;
	case BPF_JEQ:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JSET:
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
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LDX | BPF_B | BPF_MSH:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return i->k < LX_BPF_MEMWORDS;
	default:
		break;
	}
	if (i->code > 0xff)
		return false;
	return BPF_CLASS(i->code) == BPF_ALU ? alu_ok(i)
					     : BPF_CLASS(i->code) == BPF_JMP && jump_ok(i, left);
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
		case BPF_ST:
		case BPF_STX:
			have |= (uint16_t)(1u << p[pc].k);
			break;
		case BPF_LD | BPF_MEM:
		case BPF_LDX | BPF_MEM:
			if (!(have & 1u << p[pc].k))
				err = -EINVAL;
			break;
		case BPF_JMP | BPF_JA:
			valid[pc + 1 + p[pc].k] &= have;
			have = 0xffff;
			break;
		default:
			if (BPF_CLASS(p[pc].code) == BPF_JMP) {
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
bpf_check_classic(
	const struct lx_sock_filter *p, size_t len, bool (*allowed)(const struct lx_sock_filter *i))
{
	if (len == 0 || len > LX_BPF_MAXINSNS)
		return -EINVAL;
	for (size_t pc = 0; pc < len; pc++)
		if (!insn_ok(&p[pc], len - pc - 1) || !allowed(&p[pc]))
			return -EINVAL;
	if (p[len - 1].code != (BPF_RET | BPF_K) && p[len - 1].code != (BPF_RET | BPF_A))
		return -EINVAL;
	return check_scratch(p, len);
}
