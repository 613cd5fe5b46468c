/* SPDX-License-Identifier: Apache-2.0 */
/* System V IPC of the guest ABI (include/uapi/linux/ipc.h, shm.h). */
#ifndef ABI_IPC_H
#define ABI_IPC_H

#include "abi/types.h"

#define LX_IPC_PRIVATE 0
#define LX_IPC_CREAT   01000
#define LX_IPC_EXCL    02000
#define LX_IPC_RMID    0
#define LX_IPC_SET     1
#define LX_IPC_STAT    2
#define LX_IPC_INFO    3

#define LX_SHM_RDONLY	 010000
#define LX_SHM_RND	 020000
#define LX_SHM_REMAP	 040000
#define LX_SHM_EXEC	 0100000
#define LX_SHM_HUGETLB	 04000
#define LX_SHM_NORESERVE 010000
#define LX_SHM_DEST	 01000
#define LX_SHM_LOCK	 11
#define LX_SHM_UNLOCK	 12
#define LX_SHM_STAT	 13
#define LX_SHM_INFO	 14

struct lx_ipc_perm {
	int32_t key;
	uint32_t uid, gid, cuid, cgid;
	uint16_t mode, pad1;
	uint16_t seq, pad2;
	uint32_t pad3;
	uint64_t unused[2];
};

struct lx_shmid_ds {
	struct lx_ipc_perm perm;
	uint64_t segsz;
	int64_t atime, dtime, ctime;
	int32_t cpid, lpid;
	uint64_t nattch;
	uint64_t unused[2];
};
_Static_assert(sizeof(struct lx_shmid_ds) == 112, "shmid64_ds");

struct lx_semid_ds {
	struct lx_ipc_perm perm;
	int64_t otime;
	uint64_t unused1;
	int64_t ctime;
	uint64_t unused2;
	uint64_t nsems;
	uint64_t unused3[2];
};
_Static_assert(sizeof(struct lx_semid_ds) == 104, "semid64_ds");

struct lx_sembuf {
	uint16_t num;
	int16_t op;
	int16_t flg;
};

#define LX_SEM_UNDO	0x1000
#define LX_IPC_NOWAIT	04000
#define LX_GETPID	11
#define LX_GETVAL	12
#define LX_GETALL	13
#define LX_GETNCNT	14
#define LX_GETZCNT	15
#define LX_SETVAL	16
#define LX_SETALL	17
#define LX_SEM_STAT	18
#define LX_SEM_INFO	19
#define LX_SEM_STAT_ANY 20

struct lx_msqid_ds {
	struct lx_ipc_perm perm;
	int64_t stime, rtime, ctime;
	uint64_t cbytes, qnum, qbytes;
	int32_t lspid, lrpid;
	uint64_t unused[2];
};
_Static_assert(sizeof(struct lx_msqid_ds) == 120, "msqid64_ds");

#define LX_MSG_NOERROR	010000
#define LX_MSG_EXCEPT	020000
#define LX_MSG_COPY	040000
#define LX_MSG_STAT	11
#define LX_MSG_INFO	12
#define LX_MSG_STAT_ANY 13

#endif
