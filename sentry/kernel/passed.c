/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/kernel/passed.h"
#include "abi/fs.h"
#include "abi/stat.h"
#include "platform/host/fdstat.h"
#include "platform/host/file.h"
#include "sentry/fs/hostfile.h"
#include "sentry/socket/socket.h"

int
passed_file(const struct call *c, int fd, struct file **ret)
{
	int flags = host_fd_flags(fd);
	struct host_stat st;
	struct sock *s;
	int r = flags < 0 ? flags : host_fd_stat(fd, &st);

	if (r == 0 && LX_S_ISSOCK(st.mode)) {
		r = hostsock_passed(c, fd, &s);
		return r < 0 ? r
			     : sock_file(s, s->owner_cred, (uint32_t)flags & LX_O_NONBLOCK, ret);
	}
	if (r == 0)
		r = hostfile_new(fd, (uint32_t)flags & LX_O_ACCMODE, ret);
	if (r < 0)
		host_fd_close(fd);
	return r;
}
