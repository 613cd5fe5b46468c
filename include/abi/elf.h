/* SPDX-License-Identifier: Apache-2.0 */
/* ELF64 and the auxiliary vector, as the guest's images have them (System V ABI;
 * include/uapi/linux/auxvec.h). */
#ifndef ABI_ELF_H
#define ABI_ELF_H

#include <stdint.h>

struct lx_elf64_ehdr {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct lx_elf64_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

#define LX_ET_EXEC   2
#define LX_ET_DYN    3
#define LX_EM_X86_64 62

#define LX_PT_LOAD	1
#define LX_PT_INTERP	3
#define LX_PT_PHDR	6
#define LX_PT_GNU_STACK 0x6474e551
#define LX_PF_X		1
#define LX_PF_W		2
#define LX_PF_R		4

#define LX_AT_NULL		0
#define LX_AT_PHDR		3
#define LX_AT_PHENT		4
#define LX_AT_PHNUM		5
#define LX_AT_PAGESZ		6
#define LX_AT_BASE		7
#define LX_AT_FLAGS		8
#define LX_AT_ENTRY		9
#define LX_AT_UID		11
#define LX_AT_EUID		12
#define LX_AT_GID		13
#define LX_AT_EGID		14
#define LX_AT_PLATFORM		15
#define LX_AT_HWCAP		16
#define LX_AT_CLKTCK		17
#define LX_AT_SECURE		23
#define LX_AT_RANDOM		25
#define LX_AT_HWCAP2		26
#define LX_HWCAP2_FSGSBASE	2UL
#define LX_AT_RSEQ_FEATURE_SIZE 27
#define LX_AT_RSEQ_ALIGN	28
#define LX_AT_EXECFN		31
#define LX_AT_SYSINFO_EHDR	33
#define LX_AT_MINSIGSTKSZ	51

#endif
