/* SPDX-License-Identifier: Apache-2.0 */
/* pipe, pipe2, memfd_create. */
#include "file_util.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/kernel/pid_ns.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t
do_pipe(struct task *t, uint64_t addr, uint32_t flags)
{
	bool cloexec = flags & LX_O_CLOEXEC;
	struct file *r, *w;
	int64_t fd0, fd1;
	int32_t fds[2];

	if (flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NONBLOCK | LX_O_DIRECT))
		return -EINVAL;
	fd0 = pipe_new(&t->call, flags, &r, &w);
	if (fd0)
		return fd0;
	fd0 = task_fd_install_put(t, r, cloexec);
	if (fd0 < 0) {
		file_put(w);
		return fd0;
	}
	fd1 = task_fd_install_put(t, w, cloexec);
	if (fd1 >= 0) {
		fds[0] = (int32_t)fd0;
		fds[1] = (int32_t)fd1;
		if (!copy_out(t->call.um, ua(addr), fds, sizeof fds))
			return 0;
		if (!fdtable_remove(t->files, (int)fd1, &w))
			fd_close_file(t->files, w, &t->call);
		fd1 = -EFAULT;
	}
	if (!fdtable_remove(t->files, (int)fd0, &r))
		fd_close_file(t->files, r, &t->call);
	return fd1;
}

int64_t
sys_pipe(struct task *t, const uint64_t a[6])
{
	return do_pipe(t, a[0], 0);
}

int64_t
sys_pipe2(struct task *t, const uint64_t a[6])
{
	return do_pipe(t, a[0], (uint32_t)a[1]);
}

#define MFD_NAME_MAX 249

int64_t
sys_memfd_create(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[1], mode = 0777;
	char name[MFD_NAME_MAX + 2], desc[MFD_NAME_MAX + 16];
	int32_t noexec; /* vm.memfd_noexec */
	struct file *f;
	ssize_t n;
	int r;

	if (flags & ~(LX_MFD_CLOEXEC | LX_MFD_ALLOW_SEALING | LX_MFD_NOEXEC_SEAL | LX_MFD_EXEC))
		return -EINVAL; /* huge pages, too: there are none */
	if ((flags & LX_MFD_EXEC) && (flags & LX_MFD_NOEXEC_SEAL))
		return -EINVAL;
	noexec = pid_ns_memfd_noexec(t->pid->ns);
	if (!(flags & (LX_MFD_EXEC | LX_MFD_NOEXEC_SEAL)))
		flags |= noexec ? LX_MFD_NOEXEC_SEAL : LX_MFD_EXEC;
	if (noexec == 2 && !(flags & LX_MFD_NOEXEC_SEAL))
		return -EACCES;
	n = copy_in_str(t->call.um, name, ua(a[0]), MFD_NAME_MAX + 1);
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	snprintf(desc, sizeof desc, "/memfd:%s", name);
	if (flags & LX_MFD_NOEXEC_SEAL)
		mode = 0666;
	r = tmpfs_file_new(&t->call, desc, 0, mode, LX_O_RDWR | LX_O_LARGEFILE, &f);
	if (r)
		return r;
	if (flags & LX_MFD_NOEXEC_SEAL)
		tmpfs_seals_init(f, LX_F_SEAL_EXEC);
	else if (flags & LX_MFD_ALLOW_SEALING)
		tmpfs_seals_init(f, 0);
	return task_fd_install_put(t, f, flags & LX_MFD_CLOEXEC);
}
