/* SPDX-License-Identifier: Apache-2.0 */
/* mount(2), umount2(2), and the fsopen family's flags. */
#ifndef ABI_MOUNT_H
#define ABI_MOUNT_H

#include "abi/types.h"

#define LX_MS_RDONLY	  1u
#define LX_MS_NOSUID	  2u
#define LX_MS_NODEV	  4u
#define LX_MS_NOEXEC	  8u
#define LX_MS_SYNCHRONOUS 16u
#define LX_MS_REMOUNT	  32u
#define LX_MS_MANDLOCK	  64u
#define LX_MS_DIRSYNC	  128u
#define LX_MS_NOSYMFOLLOW 256u
#define LX_MS_NOATIME	  1024u
#define LX_MS_NODIRATIME  2048u
#define LX_MS_BIND	  4096u
#define LX_MS_MOVE	  8192u
#define LX_MS_REC	  16384u
#define LX_MS_SILENT	  32768u
#define LX_MS_POSIXACL	  (1u << 16)
#define LX_MS_UNBINDABLE  (1u << 17)
#define LX_MS_PRIVATE	  (1u << 18)
#define LX_MS_SLAVE	  (1u << 19)
#define LX_MS_SHARED	  (1u << 20)
#define LX_MS_RELATIME	  (1u << 21)
#define LX_MS_I_VERSION	  (1u << 23)
#define LX_MS_STRICTATIME (1u << 24)
#define LX_MS_LAZYTIME	  (1u << 25)
#define LX_MS_MGC_VAL	  0xc0ed0000u
#define LX_MS_MGC_MSK	  0xffff0000u

#define LX_MNT_FORCE	   1
#define LX_MNT_DETACH	   2
#define LX_MNT_EXPIRE	   4
#define LX_UMOUNT_NOFOLLOW 8

/* open_tree(2), move_mount(2) */
#define LX_OPEN_TREE_CLONE	   1u
#define LX_OPEN_TREE_CLOEXEC	   02000000u
#define LX_MOVE_MOUNT_F_SYMLINKS   0x001u
#define LX_MOVE_MOUNT_F_AUTOMOUNTS 0x002u
#define LX_MOVE_MOUNT_F_EMPTY_PATH 0x004u
#define LX_MOVE_MOUNT_T_SYMLINKS   0x010u
#define LX_MOVE_MOUNT_T_AUTOMOUNTS 0x020u
#define LX_MOVE_MOUNT_T_EMPTY_PATH 0x040u
/* fsopen(2), fspick(2), fsmount(2) */
#define LX_FSOPEN_CLOEXEC	   1u
#define LX_FSPICK_CLOEXEC	   1u
#define LX_FSPICK_SYMLINK_NOFOLLOW 2u
#define LX_FSPICK_NO_AUTOMOUNT	   4u
#define LX_FSPICK_EMPTY_PATH	   8u
#define LX_FSMOUNT_CLOEXEC	   1u
/* fsconfig(2) */
enum lx_fsconfig {
	LX_FSCONFIG_SET_FLAG,
	LX_FSCONFIG_SET_STRING,
	LX_FSCONFIG_SET_BINARY,
	LX_FSCONFIG_SET_PATH,
	LX_FSCONFIG_SET_PATH_EMPTY,
	LX_FSCONFIG_SET_FD,
	LX_FSCONFIG_CMD_CREATE,
	LX_FSCONFIG_CMD_RECONFIGURE,
	LX_FSCONFIG_CMD_CREATE_EXCL,
};
/* mount_setattr(2) */
#define LX_MOUNT_ATTR_RDONLY	  0x000001u
#define LX_MOUNT_ATTR_NOSUID	  0x000002u
#define LX_MOUNT_ATTR_NODEV	  0x000004u
#define LX_MOUNT_ATTR_NOEXEC	  0x000008u
#define LX_MOUNT_ATTR__ATIME	  0x000070u
#define LX_MOUNT_ATTR_RELATIME	  0x000000u
#define LX_MOUNT_ATTR_NOATIME	  0x000010u
#define LX_MOUNT_ATTR_STRICTATIME 0x000020u
#define LX_MOUNT_ATTR_NODIRATIME  0x000080u
#define LX_MOUNT_ATTR_IDMAP	  0x100000u
#define LX_MOUNT_ATTR_NOSYMFOLLOW 0x200000u
struct lx_mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};

/* statmount(2), listmount(2), as of Linux 6.12 */
struct lx_mnt_id_req {
	uint32_t size, spare;
	uint64_t mnt_id;
	uint64_t param; /* statmount: a mask; listmount: the last id of the list before */
	uint64_t mnt_ns_id;
};
#define LX_MNT_ID_REQ_SIZE_VER0 24

#define LX_STATMOUNT_SB_BASIC	    0x01u
#define LX_STATMOUNT_MNT_BASIC	    0x02u
#define LX_STATMOUNT_PROPAGATE_FROM 0x04u
#define LX_STATMOUNT_MNT_ROOT	    0x08u
#define LX_STATMOUNT_MNT_POINT	    0x10u
#define LX_STATMOUNT_FS_TYPE	    0x20u
#define LX_STATMOUNT_MNT_NS_ID	    0x40u
#define LX_STATMOUNT_MNT_OPTS	    0x80u
#define LX_STATMOUNT_STRINGS                                                                       \
	(LX_STATMOUNT_MNT_ROOT | LX_STATMOUNT_MNT_POINT | LX_STATMOUNT_FS_TYPE |                   \
		LX_STATMOUNT_MNT_OPTS)

struct lx_statmount {
	uint32_t size;	   /* with the strings */
	uint32_t mnt_opts; /* strings: where they begin, behind the struct */
	uint64_t mask;
	uint32_t sb_dev_major, sb_dev_minor;
	uint64_t sb_magic;
	uint32_t sb_flags;
	uint32_t fs_type;
	uint64_t mnt_id, mnt_parent_id;
	uint32_t mnt_id_old, mnt_parent_id_old;
	uint64_t mnt_attr, mnt_propagation, mnt_peer_group, mnt_master, propagate_from;
	uint32_t mnt_root, mnt_point;
	uint64_t mnt_ns_id;
	uint64_t spare2[49];
};
_Static_assert(sizeof(struct lx_statmount) == 512, "the ABI's");

#define LX_LSMT_ROOT	     UINT64_MAX
#define LX_LISTMOUNT_REVERSE 1u
#define LX_LISTMOUNT_MAX     1000000u

#define LX_ST_RDONLY	  0x0001
#define LX_ST_NOSUID	  0x0002
#define LX_ST_NODEV	  0x0004
#define LX_ST_NOEXEC	  0x0008
#define LX_ST_SYNCHRONOUS 0x0010
#define LX_ST_VALID	  0x0020
#define LX_ST_MANDLOCK	  0x0040
#define LX_ST_NOATIME	  0x0400
#define LX_ST_NODIRATIME  0x0800
#define LX_ST_RELATIME	  0x1000
#define LX_ST_NOSYMFOLLOW 0x2000

#endif
