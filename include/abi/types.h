/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types that every guest ABI header stands on. A guest address is a struct, so that the compiler
 * refuses to dereference it.
 */
#ifndef ABI_TYPES_H
#define ABI_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LX_PAGE_SIZE  4096UL
#define LX_PAGE_SHIFT 12

struct uaddr {
	uint64_t v;
};

static inline struct uaddr
ua(uint64_t v)
{
	return (struct uaddr){v};
}

static inline struct uaddr
ua_add(struct uaddr a, uint64_t n)
{
	return (struct uaddr){a.v + n};
}

static inline bool
ua_null(struct uaddr a)
{
	return a.v == 0;
}

struct lx_iovec {
	uint64_t base;
	uint64_t len;
};

struct lx_timespec {
	int64_t sec;
	int64_t nsec;
};

struct lx_timeval {
	int64_t sec;
	int64_t usec;
};

#endif
