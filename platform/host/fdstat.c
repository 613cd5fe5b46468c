/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/fdstat.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int
host_fd_stat(int fd, struct host_stat *ret)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*ret = (struct host_stat){
		.ino = st.st_ino,
		.blocks = (uint64_t)st.st_blocks,
		.size = st.st_size,
		.mode = st.st_mode,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.nlink = (uint32_t)st.st_nlink,
		.blksize = (uint32_t)st.st_blksize,
		.rdev_major = major(st.st_rdev),
		.rdev_minor = minor(st.st_rdev),
		.atime_sec = st.st_atim.tv_sec,
		.mtime_sec = st.st_mtim.tv_sec,
		.ctime_sec = st.st_ctim.tv_sec,
		.atime_nsec = st.st_atim.tv_nsec,
		.mtime_nsec = st.st_mtim.tv_nsec,
		.ctime_nsec = st.st_ctim.tv_nsec,
	};
	return 0;
}

int
host_fd_dup(int fd)
{
	int n = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return n < 0 ? -errno : n;
}

int
host_fd_flags(int fd)
{
	int r = fcntl(fd, F_GETFL);

	return r < 0 ? -errno : r;
}
