/* SPDX-License-Identifier: Apache-2.0 */
/* Files in the host's memory that the sandbox holds, and how much they have together. */
#ifndef PLATFORM_HOST_MEMORY_H
#define PLATFORM_HOST_MEMORY_H

#include "base/list.h"
#include <stdint.h>

struct host_memory {
	struct list node;
	int fd;
};

void host_memory_add(struct host_memory *m, int fd); /* fd is borrowed */
void host_memory_del(struct host_memory *m);
uint64_t host_memory_bytes(void); /* what the host has allocated for all */

#endif
