/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of seccomp(2), which look at seccomp_data alone. Linux: kernel/seccomp.c
 * (seccomp_check_filter). */
#include "sentry/bpf/seccomp.h"
#include "sentry/bpf/check.h"
#include <errno.h>
#include <string.h>

static bool
allowed(const struct lx_sock_filter *i)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		if (BPF_MODE(i->code) == BPF_ABS)
			return BPF_SIZE(i->code) == BPF_W &&
			       i->k < sizeof(struct lx_seccomp_data) && !(i->k & 3);
		return BPF_MODE(i->code) != BPF_IND;
	case BPF_LDX:
		return BPF_MODE(i->code) != BPF_MSH;
	case BPF_ALU:
		return BPF_OP(i->code) != BPF_MOD;
	default:
		return true;
	}
}

int
bpf_check(const struct lx_sock_filter *p, size_t len, bool *reads_ip)
{
	int err = bpf_check_classic(p, len, allowed);

	*reads_ip = false;
	for (size_t pc = 0; pc < len && !err; pc++)
		if (p[pc].code == (BPF_LD | BPF_W | BPF_ABS) &&
			p[pc].k >= offsetof(struct lx_seccomp_data, instruction_pointer) &&
			p[pc].k < offsetof(struct lx_seccomp_data, args))
			*reads_ip = true;
	return err;
}

uint32_t
bpf_run(const struct lx_sock_filter *p, const struct lx_seccomp_data *d)
{
	uint32_t a = 0, x = 0, mem[LX_BPF_MEMWORDS] = {0};

	for (;; p++) {
		uint32_t b = p->code & BPF_X ? x : p->k;

		switch (BPF_CLASS(p->code)) {
		case BPF_LD:
			if (BPF_MODE(p->code) == BPF_ABS)
				memcpy(&a, (const char *)d + p->k, sizeof a);
			else if (BPF_MODE(p->code) == BPF_MEM)
				a = mem[p->k];
			else
				a = BPF_MODE(p->code) == BPF_LEN ? (uint32_t)sizeof *d : p->k;
			break;
		case BPF_LDX:
			if (BPF_MODE(p->code) == BPF_MEM)
				x = mem[p->k];
			else
				x = BPF_MODE(p->code) == BPF_LEN ? (uint32_t)sizeof *d : p->k;
			break;
		case BPF_ST:
			mem[p->k] = a;
			break;
		case BPF_STX:
			mem[p->k] = x;
			break;
		case BPF_ALU:
			if (!bpf_alu(p->code, &a, b))
				return 0;
			break;
		case BPF_JMP:
			if (BPF_OP(p->code) == BPF_JA)
				p += p->k;
			else
				p += bpf_holds(p->code, a, b) ? p->jt : p->jf;
			break;
		case BPF_MISC:
			if (p->code & BPF_TXA)
				a = x;
			else
				x = a;
			break;
		case BPF_RET:
			return p->code & BPF_A ? a : p->k;
		}
	}
}

uint32_t
bpf_weight(const struct lx_sock_filter *p, size_t len)
{
	uint32_t n = 3;

	for (const struct lx_sock_filter *i = p; i < p + len; i++) {
		uint16_t op = BPF_OP(i->code);

		n++;
		if (i->code == (BPF_RET | BPF_K)) {
			n++;
		} else if (i->code == (BPF_ALU | BPF_DIV | BPF_X)) {
			n += 3;
		} else if (BPF_CLASS(i->code) == BPF_JMP && op != BPF_JA) {
			if (!(i->code & BPF_X) && (int32_t)i->k < 0)
				n++;
			if (i->jf && (i->jt || op == BPF_JSET))
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
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k == offsetof(struct lx_seccomp_data, nr))
				a = (uint32_t)nr;
			else if (i->k == offsetof(struct lx_seccomp_data, arch))
				a = LX_AUDIT_ARCH_X86_64;
			else
				return false;
			break;
		case BPF_RET | BPF_K:
			return i->k == LX_SECCOMP_RET_ALLOW;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += bpf_holds(i->code, a, i->k) ? i->jt : i->jf;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		default:
			return false;
		}
	}
	return false;
}
