/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of sockets, which look at the bytes of a packet. A load from beyond them ends a
 * program with 0. Linux: net/core/filter.c.
 */
#include "sentry/bpf/packet.h"
#include "sentry/bpf/check.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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
allowed(const struct lx_sock_filter *i)
{
	uint32_t ad = i->k - AD_OFF;
	bool of_packet = BPF_CLASS(i->code) == BPF_LD &&
			 (BPF_MODE(i->code) == BPF_ABS || BPF_MODE(i->code) == BPF_IND);

	if (i->code != (BPF_LDX | BPF_B | BPF_MSH) && !of_packet)
		return true;
	if (i->k < 0x80000000u)
		return true;
	return of_packet && BPF_MODE(i->code) == BPF_ABS &&
	       (ad == AD_PROTOCOL || ad == AD_PKTTYPE || ad == AD_IFINDEX || ad == AD_HATYPE);
}

int
sock_filter_new(const struct lx_sock_filter *p, size_t n, struct sock_filter **ret)
{
	struct sock_filter *f;
	int err = bpf_check_classic(p, n, allowed);

	if (err)
		return err;
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
	uint32_t n = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;

	if (at >= 0x80000000u)
		return ancillary(k, at, ret);
	if (at > k->len || n > k->len - at)
		return false;
	*ret = 0;
	for (uint32_t j = 0; j < n; j++)
		*ret = *ret << 8 | k->p[at + j];
	return true;
}

uint32_t
sock_filter_run(const struct sock_filter *f, const struct filter_packet *k)
{
	uint32_t a = 0, x = 0, mem[LX_BPF_MEMWORDS] = {0};

	if (!f)
		return UINT32_MAX;
	for (size_t pc = 0; pc < f->n; pc++) {
		const struct lx_sock_filter *i = &f->insn[pc];
		uint32_t v = i->code & BPF_X ? x : i->k;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_LEN:
			a = k->len;
			continue;
		case BPF_LDX | BPF_W | BPF_LEN:
			x = k->len;
			continue;
		case BPF_LD | BPF_IMM:
			a = i->k;
			continue;
		case BPF_LDX | BPF_IMM:
			x = i->k;
			continue;
		case BPF_LD | BPF_MEM:
			a = mem[i->k];
			continue;
		case BPF_LDX | BPF_MEM:
			x = mem[i->k];
			continue;
		case BPF_ST:
			mem[i->k] = a;
			continue;
		case BPF_STX:
			mem[i->k] = x;
			continue;
		case BPF_MISC:
			x = a;
			continue;
		case BPF_MISC | BPF_TXA:
			a = x;
			continue;
		case BPF_RET:
			return i->k;
		case BPF_RET | BPF_A:
			return a;
		case BPF_LDX | BPF_B | BPF_MSH:
			if (!load(k, i->k, BPF_B, &v))
				return 0;
			x = (v & 15) * 4;
			continue;
		default:
			break;
		}
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			/* ABS, or IND, which may not wrap round into what is not of the packet */
			v = i->k;
			if (BPF_MODE(i->code) == BPF_IND) {
				if (__builtin_add_overflow(v, x, &v) || v >= 0x80000000u)
					return 0;
			}
			if (!load(k, v, BPF_SIZE(i->code), &a))
				return 0;
			break;
		case BPF_ALU:
			if (!bpf_alu(i->code, &a, v))
				return 0;
			break;
		default:
			if (i->code == (BPF_JMP | BPF_JA))
				pc += i->k;
			else
				pc += bpf_holds(i->code, a, v) ? i->jt : i->jf;
			break;
		}
	}
	return 0;
}
