/* SPDX-License-Identifier: Apache-2.0 */
/* File types and modes, stat(2), statx(2), statfs(2), device numbers. */
#ifndef ABI_STAT_H
#define ABI_STAT_H

#include "abi/types.h"

#define LX_S_IFMT    0170000u
#define LX_S_IFSOCK  0140000u
#define LX_S_IFLNK   0120000u
#define LX_S_IFREG   0100000u
#define LX_S_IFBLK   0060000u
#define LX_S_IFDIR   0040000u
#define LX_S_IFCHR   0020000u
#define LX_S_IFIFO   0010000u
#define LX_S_ISUID   0004000u
#define LX_S_ISGID   0002000u
#define LX_S_ISVTX   0001000u
#define LX_S_IALLUGO 07777u

#define LX_S_ISDIR(m)  (((m)&LX_S_IFMT) == LX_S_IFDIR)
#define LX_S_ISREG(m)  (((m)&LX_S_IFMT) == LX_S_IFREG)
#define LX_S_ISLNK(m)  (((m)&LX_S_IFMT) == LX_S_IFLNK)
#define LX_S_ISCHR(m)  (((m)&LX_S_IFMT) == LX_S_IFCHR)
#define LX_S_ISBLK(m)  (((m)&LX_S_IFMT) == LX_S_IFBLK)
#define LX_S_ISFIFO(m) (((m)&LX_S_IFMT) == LX_S_IFIFO)
#define LX_S_ISSOCK(m) (((m)&LX_S_IFMT) == LX_S_IFSOCK)

struct lx_stat {
	uint64_t dev;
	uint64_t ino;
	uint64_t nlink;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t pad0;
	uint64_t rdev;
	int64_t size;
	int64_t blksize;
	int64_t blocks;
	struct lx_timespec atime;
	struct lx_timespec mtime;
	struct lx_timespec ctime;
	int64_t unused[3];
};

struct lx_statx_ts {
	int64_t sec;
	uint32_t nsec;
	int32_t pad;
};

#define LX_STATX_TYPE	       0x0001U
#define LX_STATX_MODE	       0x0002U
#define LX_STATX_NLINK	       0x0004U
#define LX_STATX_UID	       0x0008U
#define LX_STATX_GID	       0x0010U
#define LX_STATX_ATIME	       0x0020U
#define LX_STATX_MTIME	       0x0040U
#define LX_STATX_CTIME	       0x0080U
#define LX_STATX_INO	       0x0100U
#define LX_STATX_SIZE	       0x0200U
#define LX_STATX_BLOCKS	       0x0400U
#define LX_STATX_BASIC_STATS   0x07ffU
#define LX_STATX_BTIME	       0x0800U
#define LX_STATX_MNT_ID	       0x1000U
#define LX_STATX_DIOALIGN      0x2000U
#define LX_STATX_MNT_ID_UNIQUE 0x4000U
#define LX_STATX__RESERVED     0x80000000U

#define LX_STATX_ATTR_APPEND	 0x00000020
#define LX_STATX_ATTR_IMMUTABLE	 0x00000010
#define LX_STATX_ATTR_MOUNT_ROOT 0x00002000

struct lx_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t pad0;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct lx_statx_ts atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor;
	uint32_t dev_major, dev_minor;
	uint64_t mnt_id;
	uint32_t dio_mem_align;
	uint32_t dio_offset_align;
	uint64_t spare[12];
};

struct lx_statfs {
	int64_t type;
	int64_t bsize;
	uint64_t blocks;
	uint64_t bfree;
	uint64_t bavail;
	uint64_t files;
	uint64_t ffree;
	int32_t fsid[2];
	int64_t namelen;
	int64_t frsize;
	int64_t flags;
	int64_t spare[4];
};

/* Device numbers inside the sentry: 12 bits of major, 20 of minor, as in the kernel. */
#define LX_MKDEV(ma, mi) (((uint32_t)(ma) << 20) | ((uint32_t)(mi)&0xfffffu))
#define LX_MAJOR(d)	 ((uint32_t)(d) >> 20)
#define LX_MINOR(d)	 ((uint32_t)(d)&0xfffffu)

/* The encoding of st_dev, st_rdev and mknod's argument. */
static inline uint64_t
lx_dev_encode(uint32_t d)
{
	uint32_t ma = LX_MAJOR(d), mi = LX_MINOR(d);

	return (mi & 0xff) | (ma << 8) | ((uint64_t)(mi & ~0xffu) << 12);
}

static inline uint32_t
lx_dev_decode(uint64_t d)
{
	return LX_MKDEV((d & 0xfff00) >> 8, (d & 0xff) | ((d >> 12) & 0xfff00));
}

#endif
