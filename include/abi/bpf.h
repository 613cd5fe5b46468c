/* SPDX-License-Identifier: Apache-2.0 */
/* Classic BPF of the guest ABI (Linux, include/uapi/linux/{bpf_common,filter}.h). */
#ifndef ABI_BPF_H
#define ABI_BPF_H

#include "abi/types.h"

struct lx_sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

struct lx_sock_fprog {
	uint16_t len;
	uint16_t pad[3];
	uint64_t filter;
};

#define LX_BPF_MAXINSNS 4096
#define LX_BPF_MEMWORDS 16

/* Parts of a code. */
enum lx_bpf_code {
	BPF_LD = 0,
	BPF_LDX = 1,
	BPF_ST = 2,
	BPF_STX = 3,
	BPF_ALU = 4,
	BPF_JMP = 5,
	BPF_RET = 6,
	BPF_MISC = 7,

	BPF_W = 0x00,
	BPF_H = 0x08,
	BPF_B = 0x10,

	BPF_IMM = 0x00,
	BPF_ABS = 0x20,
	BPF_IND = 0x40,
	BPF_MEM = 0x60,
	BPF_LEN = 0x80,
	BPF_MSH = 0xa0,

	BPF_ADD = 0x00,
	BPF_SUB = 0x10,
	BPF_MUL = 0x20,
	BPF_DIV = 0x30,
	BPF_OR = 0x40,
	BPF_AND = 0x50,
	BPF_LSH = 0x60,
	BPF_RSH = 0x70,
	BPF_NEG = 0x80,
	BPF_MOD = 0x90,
	BPF_XOR = 0xa0,

	BPF_JA = 0x00,
	BPF_JEQ = 0x10,
	BPF_JGT = 0x20,
	BPF_JGE = 0x30,
	BPF_JSET = 0x40,

	BPF_K = 0x00,
	BPF_X = 0x08,
	BPF_A = 0x10,

	BPF_TAX = 0x00,
	BPF_TXA = 0x80,
};

#define BPF_CLASS(code) ((code)&0x07)
#define BPF_MODE(code)	((code)&0xe0)
#define BPF_OP(code)	((code)&0xf0)
#define BPF_SIZE(code)	((code)&0x18)

#endif
