/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/oom.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST   1000
#define LAST   (-999) /* when there is nobody else in its cgroup */
#define SOONER 300    /* than the sentry: as if it had 30 % of the limit in addition */

int
host_oom_own(void)
{
	char text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? atoi(text) : 0;
}

int
host_oom_set(int pid, int score)
{
	char path[64], text[16];
	int fd, r;

	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
	snprintf(text, sizeof text, "%d", score);
	fd = HOST(open(path, O_WRONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	r = (int)HOST(write(fd, text, strlen(text)));
	close(fd);
	return r < 0 ? r : 0;
}

int
host_oom_of_programs(int pid, int asked)
{
	if (host_oom_set(pid, LAST) == 0)
		return asked;
	return asked + SOONER < MOST ? asked + SOONER : MOST;
}

void
host_oom_spare(int pid, int asked)
{
	if (host_oom_set(pid, LAST) < 0)
		(void)host_oom_set(pid, asked);
}
