/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from and written to /dev/fuse (fuse(4); linux/fuse.h has the numbers and layouts).
 * The sentry is the kernel's side of it.
 */
#ifndef ABI_FUSE_H
#define ABI_FUSE_H

#include "abi/types.h"

#define LX_FUSE_VERSION	     7
#define LX_FUSE_MINOR	     31
#define LX_FUSE_ROOT_ID	     1
#define LX_FUSE_SUPER_MAGIC  0x65735546
#define LX_FUSE_MIN_BUFFER   8192 /* a read from the device is never shorter */
#define LX_FUSE_DEV_CLONE    0x8004e500u
#define LX_FUSE_INTERRUPT_ID 1u /* in the number of a request: what interrupts it */

enum lx_fuse_op {
	LX_FUSE_LOOKUP = 1,
	LX_FUSE_FORGET = 2,
	LX_FUSE_GETATTR = 3,
	LX_FUSE_SETATTR = 4,
	LX_FUSE_READLINK = 5,
	LX_FUSE_SYMLINK = 6,
	LX_FUSE_MKNOD = 8,
	LX_FUSE_MKDIR = 9,
	LX_FUSE_UNLINK = 10,
	LX_FUSE_RMDIR = 11,
	LX_FUSE_RENAME = 12,
	LX_FUSE_LINK = 13,
	LX_FUSE_OPEN = 14,
	LX_FUSE_READ = 15,
	LX_FUSE_WRITE = 16,
	LX_FUSE_STATFS = 17,
	LX_FUSE_RELEASE = 18,
	LX_FUSE_FSYNC = 20,
	LX_FUSE_SETXATTR = 21,
	LX_FUSE_GETXATTR = 22,
	LX_FUSE_LISTXATTR = 23,
	LX_FUSE_REMOVEXATTR = 24,
	LX_FUSE_FLUSH = 25,
	LX_FUSE_INIT = 26,
	LX_FUSE_OPENDIR = 27,
	LX_FUSE_READDIR = 28,
	LX_FUSE_RELEASEDIR = 29,
	LX_FUSE_FSYNCDIR = 30,
	LX_FUSE_ACCESS = 34,
	LX_FUSE_CREATE = 35,
	LX_FUSE_INTERRUPT = 36,
	LX_FUSE_BATCH_FORGET = 42,
	LX_FUSE_FALLOCATE = 43,
	LX_FUSE_RENAME2 = 45,
	LX_FUSE_LSEEK = 46,
};

enum lx_fuse_notify {
	LX_FUSE_NOTIFY_INVAL_INODE = 2,
	LX_FUSE_NOTIFY_INVAL_ENTRY = 3,
};

/* what both sides say in INIT */
#define LX_FUSE_BIG_WRITES	   (1u << 5)
#define LX_FUSE_DONT_MASK	   (1u << 6)
#define LX_FUSE_NO_OPEN_SUPPORT	   (1u << 17)
#define LX_FUSE_NO_OPENDIR_SUPPORT (1u << 24)

/* of an open file, by the server */
#define LX_FOPEN_DIRECT_IO   1u
#define LX_FOPEN_NONSEEKABLE 4u
#define LX_FOPEN_STREAM	     16u

#define LX_FATTR_MODE	   1u
#define LX_FATTR_UID	   2u
#define LX_FATTR_GID	   4u
#define LX_FATTR_SIZE	   8u
#define LX_FATTR_ATIME	   16u
#define LX_FATTR_MTIME	   32u
#define LX_FATTR_FH	   64u
#define LX_FATTR_ATIME_NOW 128u
#define LX_FATTR_MTIME_NOW 256u

#define LX_FUSE_GETATTR_FH 1u

struct lx_fuse_in_header {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid;
	uint16_t extlen, padding;
};

struct lx_fuse_out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

struct lx_fuse_attr {
	uint64_t ino, size, blocks, atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec;
	uint32_t mode, nlink, uid, gid, rdev, blksize, flags;
};

struct lx_fuse_entry_out {
	uint64_t nodeid, generation, entry_valid, attr_valid;
	uint32_t entry_valid_nsec, attr_valid_nsec;
	struct lx_fuse_attr attr;
};

struct lx_fuse_forget_one {
	uint64_t nodeid, nlookup;
};

struct lx_fuse_batch_forget_in {
	uint32_t count, dummy;
};

struct lx_fuse_getattr_in {
	uint32_t flags, dummy;
	uint64_t fh;
};

struct lx_fuse_attr_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, dummy;
	struct lx_fuse_attr attr;
};

struct lx_fuse_mknod_in {
	uint32_t mode, rdev, umask, padding;
};

struct lx_fuse_mkdir_in {
	uint32_t mode, umask;
};

struct lx_fuse_rename2_in {
	uint64_t newdir;
	uint32_t flags, padding;
};

struct lx_fuse_setattr_in {
	uint32_t valid, padding;
	uint64_t fh, size, lock_owner, atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec;
	uint32_t mode, unused4, uid, gid, unused5;
};

struct lx_fuse_open_in {
	uint32_t flags, open_flags;
};

struct lx_fuse_create_in {
	uint32_t flags, mode, umask, open_flags;
};

struct lx_fuse_open_out {
	uint64_t fh;
	uint32_t open_flags, padding;
};

struct lx_fuse_create_out {
	struct lx_fuse_entry_out entry;
	struct lx_fuse_open_out open;
};

struct lx_fuse_release_in {
	uint64_t fh;
	uint32_t flags, release_flags;
	uint64_t lock_owner;
};

struct lx_fuse_flush_in {
	uint64_t fh;
	uint32_t unused, padding;
	uint64_t lock_owner;
};

struct lx_fuse_read_in {
	uint64_t fh, offset;
	uint32_t size, read_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};

struct lx_fuse_write_in {
	uint64_t fh, offset;
	uint32_t size, write_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};

struct lx_fuse_write_out {
	uint32_t size, padding;
};

struct lx_fuse_statfs_out {
	uint64_t blocks, bfree, bavail, files, ffree;
	uint32_t bsize, namelen, frsize, padding, spare[6];
};

struct lx_fuse_fsync_in {
	uint64_t fh;
	uint32_t fsync_flags, padding;
};

struct lx_fuse_setxattr_in {
	uint32_t size, flags;
};

struct lx_fuse_getxattr_in {
	uint32_t size, padding;
};

struct lx_fuse_access_in {
	uint32_t mask, padding;
};

struct lx_fuse_fallocate_in {
	uint64_t fh, offset, length;
	uint32_t mode, padding;
};

struct lx_fuse_lseek_in {
	uint64_t fh, offset;
	uint32_t whence, padding;
};

struct lx_fuse_init_in {
	uint32_t major, minor, max_readahead, flags;
};

struct lx_fuse_init_out {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t unused[8];
};

struct lx_fuse_dirent {
	uint64_t ino, off;
	uint32_t namelen, type;
	/* the name, then zeros up to a multiple of 8 bytes */
};

struct lx_fuse_inval_inode_out {
	uint64_t ino;
	int64_t off, len;
};

struct lx_fuse_inval_entry_out {
	uint64_t parent;
	uint32_t namelen, flags;
};

#endif
