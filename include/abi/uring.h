/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring(7): what user space and the kernel share. */
#ifndef ABI_URING_H
#define ABI_URING_H

#include <stdint.h>

#define LX_URING_OFF_SQES 0x10000000ULL
#define LX_URING_OFF_CQ	  0x8000000ULL
#define LX_URING_OFF_MASK 0xf8000000ULL

#define LX_URING_SETUP_CQSIZE	     (1u << 3)
#define LX_URING_SETUP_CLAMP	     (1u << 4)
#define LX_URING_SETUP_R_DISABLED    (1u << 6)
#define LX_URING_SETUP_SUBMIT_ALL    (1u << 7)
#define LX_URING_SETUP_COOP_TASKRUN  (1u << 8)
#define LX_URING_SETUP_SINGLE_ISSUER (1u << 12)

#define LX_URING_FEAT_SINGLE_MMAP     (1u << 0)
#define LX_URING_FEAT_NODROP	      (1u << 1)
#define LX_URING_FEAT_SUBMIT_STABLE   (1u << 2)
#define LX_URING_FEAT_RW_CUR_POS      (1u << 3)
#define LX_URING_FEAT_CUR_PERSONALITY (1u << 4)
#define LX_URING_FEAT_FAST_POLL	      (1u << 5)
#define LX_URING_FEAT_POLL_32BITS     (1u << 6)
#define LX_URING_FEAT_EXT_ARG	      (1u << 8)
#define LX_URING_FEAT_CQE_SKIP	      (1u << 11)
#define LX_URING_FEAT_LINKED_FILE     (1u << 12)

#define LX_URING_ENTER_GETEVENTS (1u << 0)
#define LX_URING_ENTER_EXT_ARG	 (1u << 3)

#define LX_URING_SQ_CQ_OVERFLOW	     (1u << 1)
#define LX_URING_CQ_EVENTFD_DISABLED (1u << 0)

#define LX_IOSQE_FIXED_FILE	  (1u << 0)
#define LX_IOSQE_IO_DRAIN	  (1u << 1)
#define LX_IOSQE_IO_LINK	  (1u << 2)
#define LX_IOSQE_IO_HARDLINK	  (1u << 3)
#define LX_IOSQE_ASYNC		  (1u << 4)
#define LX_IOSQE_BUFFER_SELECT	  (1u << 5)
#define LX_IOSQE_CQE_SKIP_SUCCESS (1u << 6)

enum lx_uring_op {
	LX_OP_NOP,
	LX_OP_READV,
	LX_OP_WRITEV,
	LX_OP_FSYNC,
	LX_OP_READ_FIXED,
	LX_OP_WRITE_FIXED,
	LX_OP_POLL_ADD,
	LX_OP_POLL_REMOVE,
	LX_OP_SYNC_FILE_RANGE,
	LX_OP_SENDMSG,
	LX_OP_RECVMSG,
	LX_OP_TIMEOUT,
	LX_OP_TIMEOUT_REMOVE,
	LX_OP_ACCEPT,
	LX_OP_ASYNC_CANCEL,
	LX_OP_LINK_TIMEOUT,
	LX_OP_CONNECT,
	LX_OP_FALLOCATE,
	LX_OP_OPENAT,
	LX_OP_CLOSE,
	LX_OP_FILES_UPDATE,
	LX_OP_STATX,
	LX_OP_READ,
	LX_OP_WRITE,
	LX_OP_FADVISE,
	LX_OP_MADVISE,
	LX_OP_SEND,
	LX_OP_RECV,
	LX_OP_OPENAT2,
	LX_OP_EPOLL_CTL,
	LX_OP_SPLICE,
	LX_OP_PROVIDE_BUFFERS,
	LX_OP_REMOVE_BUFFERS,
	LX_OP_TEE,
	LX_OP_SHUTDOWN,
	LX_OP_RENAMEAT,
	LX_OP_UNLINKAT,
	LX_OP_MKDIRAT,
	LX_OP_SYMLINKAT,
	LX_OP_LINKAT,
	LX_OPS
};

#define LX_URING_FSYNC_DATASYNC	  (1u << 0)
#define LX_URING_TIMEOUT_ABS	  (1u << 0)
#define LX_URING_TIMEOUT_BOOTTIME (1u << 2)
#define LX_URING_TIMEOUT_REALTIME (1u << 3)
#define LX_URING_TIMEOUT_ETIME_OK (1u << 5)
#define LX_URING_CANCEL_ALL	  (1u << 0)
#define LX_URING_CANCEL_FD	  (1u << 1)
#define LX_URING_CANCEL_ANY	  (1u << 2)

struct lx_uring_sqe {
	uint8_t opcode, flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t off; /* addr2 */
	uint64_t addr;
	uint32_t len;
	uint32_t op_flags;
	uint64_t user_data;
	uint16_t buf_index, personality;
	int32_t file_index;
	uint64_t addr3, pad;
};
_Static_assert(sizeof(struct lx_uring_sqe) == 64, "sqe is 64 bytes");

struct lx_uring_cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

struct lx_uring_params {
	uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
	uint32_t resv[3];
	struct {
		uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
		uint64_t user_addr;
	} sq_off;
	struct {
		uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
		uint64_t user_addr;
	} cq_off;
};
_Static_assert(sizeof(struct lx_uring_params) == 120, "params are 120 bytes");

#define LX_URING_REGISTER_BUFFERS	0
#define LX_URING_UNREGISTER_BUFFERS	1
#define LX_URING_REGISTER_FILES		2
#define LX_URING_UNREGISTER_FILES	3
#define LX_URING_REGISTER_EVENTFD	4
#define LX_URING_UNREGISTER_EVENTFD	5
#define LX_URING_REGISTER_FILES_UPDATE	6
#define LX_URING_REGISTER_EVENTFD_ASYNC 7
#define LX_URING_REGISTER_PROBE		8
#define LX_URING_REGISTER_ENABLE_RINGS	12

#endif
