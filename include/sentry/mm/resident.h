/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory is resident (VmRSS). Estimated where an address space is large: by a part of each
 * area's pages. */
#ifndef SENTRY_MM_RESIDENT_H
#define SENTRY_MM_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mm;

/* Bytes: private without a file; private of files, changed or not; shared. */
struct mm_resident {
	uint64_t anon, files, shared;
	int64_t at_ns; /* when it was looked at; 0: never */
};

/* pid: the process of mm, as the sentry's pid namespace has it. Unless `now`, a figure may be 0.2 s
 * old. -ENOSYS, -EPERM: the host does not tell; -ESRCH: there is no such process any more; -ENOMEM.
 */
int mm_resident(struct mm *mm, pid_t pid, bool now, struct mm_resident *ret);

struct resident_area {
	uint64_t start, pages;
	int kind; /* the caller's */
};

/* So many pages of each of the n areas; errors as above. */
int resident_of_areas(pid_t pid, const struct resident_area *a, size_t n, uint64_t *ret_pages);

#endif
