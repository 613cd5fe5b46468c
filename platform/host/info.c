/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/info.h"
#include "base/log.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

void
host_sysinfo(struct host_sysinfo *ret)
{
	struct sysinfo si;

	*ret = (struct host_sysinfo){0};
	if (sysinfo(&si))
		return;
	ret->total_bytes = (uint64_t)si.totalram * si.mem_unit;
	ret->free_bytes = (uint64_t)(si.freeram + si.bufferram) * si.mem_unit;
	ret->shared_bytes = (uint64_t)si.sharedram * si.mem_unit;
	ret->buffer_bytes = (uint64_t)si.bufferram * si.mem_unit;
	ret->uptime_s = si.uptime;
	for (int i = 0; i < 3; i++)
		ret->loads[i] = si.loads[i];
}

int64_t
host_own_cpu_ns(void)
{
	struct timespec t;

	return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) ? 0
							   : t.tv_sec * 1000000000LL + t.tv_nsec;
}

int
host_membarrier(bool expedited)
{
	int cmd = expedited ? MEMBARRIER_CMD_GLOBAL_EXPEDITED : MEMBARRIER_CMD_GLOBAL;

	return syscall(SYS_membarrier, cmd, 0, 0) ? -errno : 0;
}

void
host_random(void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = getrandom((char *)buf + done, len - done, 0);

		if (n < 0 && errno != EINTR)
			panic("no random bytes: errno %d", errno);
		if (n > 0)
			done += (size_t)n;
	}
}
