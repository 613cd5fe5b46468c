/* SPDX-License-Identifier: Apache-2.0 */
/* Files as the guest sees them: open flags, *at flags, openat2, fcntl, locks, directory entries, rw
 * flags. */
#ifndef ABI_FS_H
#define ABI_FS_H

#include "abi/types.h"

#define LX_PATH_MAX	  4096
#define LX_NAME_MAX	  255
#define LX_MAXSYMLINKS	  40
#define LX_XATTR_NAME_MAX 255
#define LX_XATTR_SIZE_MAX 65536
#define LX_XATTR_LIST_MAX 65536

#define LX_O_ACCMODE   00000003
#define LX_O_RDONLY    00000000
#define LX_O_WRONLY    00000001
#define LX_O_RDWR      00000002
#define LX_O_CREAT     00000100
#define LX_O_EXCL      00000200
#define LX_O_NOCTTY    00000400
#define LX_O_TRUNC     00001000
#define LX_O_APPEND    00002000
#define LX_O_NONBLOCK  00004000
#define LX_O_DSYNC     00010000
#define LX_O_ASYNC     00020000
#define LX_O_DIRECT    00040000
#define LX_O_LARGEFILE 00100000
#define LX_O_DIRECTORY 00200000
#define LX_O_NOFOLLOW  00400000
#define LX_O_NOATIME   01000000
#define LX_O_CLOEXEC   02000000
#define LX___O_SYNC    04000000
#define LX_O_SYNC      (LX___O_SYNC | LX_O_DSYNC)
#define LX_O_PATH      010000000
#define LX___O_TMPFILE 020000000
#define LX_O_TMPFILE   (LX___O_TMPFILE | LX_O_DIRECTORY)

#define LX_AT_FDCWD	       (-100)
#define LX_AT_SYMLINK_NOFOLLOW 0x100
#define LX_AT_REMOVEDIR	       0x200
#define LX_AT_EACCESS	       0x200
#define LX_AT_SYMLINK_FOLLOW   0x400
#define LX_AT_NO_AUTOMOUNT     0x800
#define LX_AT_EMPTY_PATH       0x1000
#define LX_AT_STATX_SYNC_TYPE  0x6000
#define LX_AT_STATX_FORCE_SYNC 0x2000
#define LX_AT_STATX_DONT_SYNC  0x4000
#define LX_AT_RECURSIVE	       0x8000

#define LX_RESOLVE_NO_XDEV	 0x01
#define LX_RESOLVE_NO_MAGICLINKS 0x02
#define LX_RESOLVE_NO_SYMLINKS	 0x04
#define LX_RESOLVE_BENEATH	 0x08
#define LX_RESOLVE_IN_ROOT	 0x10
#define LX_RESOLVE_CACHED	 0x20

struct lx_open_how {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};

#define LX_F_OK 0
#define LX_X_OK 1
#define LX_W_OK 2
#define LX_R_OK 4

#define LX_SEEK_SET  0
#define LX_SEEK_CUR  1
#define LX_SEEK_END  2
#define LX_SEEK_DATA 3
#define LX_SEEK_HOLE 4

#define LX_RENAME_NOREPLACE 1
#define LX_RENAME_EXCHANGE  2
#define LX_RENAME_WHITEOUT  4

#define LX_F_DUPFD	      0
#define LX_F_GETFD	      1
#define LX_F_SETFD	      2
#define LX_F_GETFL	      3
#define LX_F_SETFL	      4
#define LX_F_GETLK	      5
#define LX_F_SETLK	      6
#define LX_F_SETLKW	      7
#define LX_F_SETOWN	      8
#define LX_F_GETOWN	      9
#define LX_F_SETSIG	      10
#define LX_F_GETSIG	      11
#define LX_F_SETOWN_EX	      15
#define LX_F_GETOWN_EX	      16
#define LX_F_GETOWNER_UIDS    17
#define LX_F_OFD_GETLK	      36
#define LX_F_OFD_SETLK	      37
#define LX_F_OFD_SETLKW	      38
#define LX_F_SETLEASE	      1024
#define LX_F_GETLEASE	      1025
#define LX_F_NOTIFY	      1026
#define LX_F_DUPFD_QUERY      1027
#define LX_F_CREATED_QUERY    1028
#define LX_F_DUPFD_CLOEXEC    1030
#define LX_F_SETPIPE_SZ	      1031
#define LX_F_GETPIPE_SZ	      1032
#define LX_F_ADD_SEALS	      1033
#define LX_F_GET_SEALS	      1034
#define LX_F_GET_RW_HINT      1035
#define LX_F_SET_RW_HINT      1036
#define LX_F_GET_FILE_RW_HINT 1037
#define LX_F_SET_FILE_RW_HINT 1038
#define LX_RWH_MAX	      5

#define LX_FD_CLOEXEC 1
#define LX_F_RDLCK    0
#define LX_F_WRLCK    1
#define LX_F_UNLCK    2
#define LX_LOCK_SH    1
#define LX_LOCK_EX    2
#define LX_LOCK_NB    4
#define LX_LOCK_UN    8

#define LX_F_OWNER_TID	0
#define LX_F_OWNER_PID	1
#define LX_F_OWNER_PGRP 2

struct lx_f_owner_ex {
	int32_t type;
	int32_t pid;
};

struct lx_flock {
	int16_t type;
	int16_t whence;
	int32_t pad0;
	int64_t start;
	int64_t len;
	int32_t pid;
	int32_t pad1;
};

#define LX_F_SEAL_SEAL	       0x0001
#define LX_F_SEAL_SHRINK       0x0002
#define LX_F_SEAL_GROW	       0x0004
#define LX_F_SEAL_WRITE	       0x0008
#define LX_F_SEAL_FUTURE_WRITE 0x0010
#define LX_F_SEAL_EXEC	       0x0020
#define LX_F_ALL_SEALS	       0x003f

#define LX_MFD_CLOEXEC	     0x0001U
#define LX_MFD_ALLOW_SEALING 0x0002U
#define LX_MFD_HUGETLB	     0x0004U
#define LX_MFD_NOEXEC_SEAL   0x0008U
#define LX_MFD_EXEC	     0x0010U

#define LX_FALLOC_FL_KEEP_SIZE	    0x01
#define LX_FALLOC_FL_PUNCH_HOLE	    0x02
#define LX_FALLOC_FL_NO_HIDE_STALE  0x04
#define LX_FALLOC_FL_COLLAPSE_RANGE 0x08
#define LX_FALLOC_FL_ZERO_RANGE	    0x10
#define LX_FALLOC_FL_INSERT_RANGE   0x20
#define LX_FALLOC_FL_UNSHARE_RANGE  0x40

#define LX_RWF_HIPRI	 0x00000001
#define LX_RWF_DSYNC	 0x00000002
#define LX_RWF_SYNC	 0x00000004
#define LX_RWF_NOWAIT	 0x00000008
#define LX_RWF_APPEND	 0x00000010
#define LX_RWF_NOAPPEND	 0x00000020
#define LX_RWF_ATOMIC	 0x00000040
#define LX_RWF_DONTCACHE 0x00000080
#define LX_RWF_SUPPORTED 0x0000003f

#define LX_SPLICE_F_MOVE     1
#define LX_SPLICE_F_NONBLOCK 2
#define LX_SPLICE_F_MORE     4
#define LX_SPLICE_F_GIFT     8
#define LX_SPLICE_F_ALL	     15

#define LX_SYNC_FILE_RANGE_WAIT_BEFORE 1
#define LX_SYNC_FILE_RANGE_WRITE       2
#define LX_SYNC_FILE_RANGE_WAIT_AFTER  4

#define LX_XATTR_CREATE	 1
#define LX_XATTR_REPLACE 2

/* Events of inotify(7), which are what vfs_notify passes. */
#define LX_IN_ACCESS	    0x00000001
#define LX_IN_MODIFY	    0x00000002
#define LX_IN_ATTRIB	    0x00000004
#define LX_IN_CLOSE_WRITE   0x00000008
#define LX_IN_CLOSE_NOWRITE 0x00000010
#define LX_IN_OPEN	    0x00000020
#define LX_IN_MOVED_FROM    0x00000040
#define LX_IN_MOVED_TO	    0x00000080
#define LX_IN_CREATE	    0x00000100
#define LX_IN_DELETE	    0x00000200
#define LX_IN_DELETE_SELF   0x00000400
#define LX_IN_MOVE_SELF	    0x00000800
#define LX_IN_UNMOUNT	    0x00002000
#define LX_IN_Q_OVERFLOW    0x00004000
#define LX_IN_IGNORED	    0x00008000
#define LX_IN_ONLYDIR	    0x01000000
#define LX_IN_DONT_FOLLOW   0x02000000
#define LX_IN_EXCL_UNLINK   0x04000000
#define LX_IN_MASK_CREATE   0x10000000
#define LX_IN_MASK_ADD	    0x20000000
#define LX_IN_ISDIR	    0x40000000
#define LX_IN_ONESHOT	    0x80000000

/* fanotify(7); its other events have inotify's numbers. */
#define LX_FAN_OPEN_EXEC      0x00001000
#define LX_FAN_FS_ERROR	      0x00008000
#define LX_FAN_OPEN_PERM      0x00010000
#define LX_FAN_ACCESS_PERM    0x00020000
#define LX_FAN_OPEN_EXEC_PERM 0x00040000
#define LX_FAN_EVENT_ON_CHILD 0x08000000
#define LX_FAN_RENAME	      0x10000000

#endif
