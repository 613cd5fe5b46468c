/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the host. */
#ifndef PLATFORM_HOST_INFO_H
#define PLATFORM_HOST_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_sysinfo {
	uint64_t total_bytes, free_bytes, shared_bytes, buffer_bytes;
	uint64_t loads[3]; /* 16 fraction bits */
	int64_t uptime_s;
};

/* len bytes from the host's random generator, which is always ready by the time a sandbox starts.
 */
void host_random(void *buf, size_t len);

void host_sysinfo(struct host_sysinfo *ret);
int64_t host_own_cpu_ns(void); /* of all threads of this process */
/* membarrier(2): every running thread of the stubs, which have registered for that, passes a
 * barrier (expedited; -EINVAL before Linux 4.16), or every one of the host, which takes
 * milliseconds. -errno. */
int host_membarrier(bool expedited);

#endif
