/* SPDX-License-Identifier: Apache-2.0 */
/* getdents(2) and getdents64(2). */
#ifndef ABI_DIRENT_H
#define ABI_DIRENT_H

#include "abi/types.h"

#define LX_DT_UNKNOWN 0
#define LX_DT_FIFO    1
#define LX_DT_CHR     2
#define LX_DT_DIR     4
#define LX_DT_BLK     6
#define LX_DT_REG     8
#define LX_DT_LNK     10
#define LX_DT_SOCK    12

static inline uint8_t
lx_mode_to_dt(uint32_t mode)
{
	return (uint8_t)((mode & 0170000u) >> 12);
}

/* Header of an entry; the name with its NUL follows, then padding to 8 bytes. */
struct lx_dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
} __attribute__((packed));

/* The old layout: the type stands in the last byte of the record. */
struct lx_dirent {
	uint64_t ino;
	uint64_t off;
	uint16_t reclen;
	char name[];
} __attribute__((packed));

#endif
