/* SPDX-License-Identifier: Apache-2.0 */
/* What the host says about a descriptor. */
#ifndef PLATFORM_HOST_FDSTAT_H
#define PLATFORM_HOST_FDSTAT_H

#include <stdint.h>

struct host_stat {
	uint64_t ino, blocks; /* blocks of 512 bytes */
	int64_t size;
	uint32_t mode, uid, gid, nlink, blksize;
	uint32_t rdev_major, rdev_minor;
	int64_t atime_sec, mtime_sec, ctime_sec;
	int64_t atime_nsec, mtime_nsec, ctime_nsec;
};

int host_fd_stat(int fd, struct host_stat *st); /* -errno */

int host_fd_dup(int fd);   /* another number for it, close-on-exec */
int host_fd_flags(int fd); /* F_GETFL */

#endif
