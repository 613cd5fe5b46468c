/* SPDX-License-Identifier: Apache-2.0 */
/* Standard streams: host descriptors that the launcher handed over, as open files of the guest. */
#include "internal.h"
#include "sentry/fs/dev.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/tty.h"
#include "sentry/vfs/path.h"
#include <errno.h>
#include <fcntl.h>

int
boot_stdio(const struct start *s, int which, struct file **ret)
{
	int fd = s->stdio[which], host, r;
	uint32_t flags;
	bool master;
	struct tty *t;

	*ret = NULL;
	if (fd < 0)
		return 0;
	host = fcntl(fd, F_GETFL);
	if (host < 0)
		return -errno;
	flags = (uint32_t)host & LX_O_ACCMODE;
	if (host & O_APPEND)
		flags |= LX_O_APPEND;
	r = hostfile_new(fd, flags, ret);
	if (r)
		return r;
	t = tty_of_file(*ret, &master);
	if (t)
		dev_set_console(t);
	return 0;
}
