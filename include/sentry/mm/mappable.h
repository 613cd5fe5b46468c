/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mmap can map other than fresh anonymous memory: something that has a host descriptor. Files
 * give one (file_ops.mappable); mm holds a reference for each area that uses it.
 */
#ifndef SENTRY_MM_MAPPABLE_H
#define SENTRY_MM_MAPPABLE_H

#include "base/ref.h"
#include <stddef.h>

struct mappable;
struct file;

struct mappable_ops {
	/* The host fd to map for this access, borrowed; valid as long as the mappable. Called again
	 * for each host mmap. -errno. */
	int (*host_fd)(struct mappable *m, int prot, bool shared);
	/* Where in that file what is mapped from off on lies, or -EINVAL; NULL: there. */
	int64_t (*place)(struct mappable *m, uint64_t off, uint64_t len);
	void (*release)(struct mappable *m); /* the last reference is gone */
};

struct mappable {
	struct ref ref;
	const struct mappable_ops *ops;
	struct file *
		file; /* for /proc/PID/maps and MAP_SHARED write accounting; a reference, or NULL */
	const void *memory; /* what others with the same pages have here too; NULL: nobody has */
};

#endif
