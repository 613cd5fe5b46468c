/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp(2) of the guest ABI (Linux, include/uapi/linux/{seccomp,audit}.h). */
#ifndef ABI_SECCOMP_H
#define ABI_SECCOMP_H

#include "abi/bpf.h"
#include "abi/types.h"

#define LX_SECCOMP_MODE_DISABLED 0
#define LX_SECCOMP_MODE_STRICT	 1
#define LX_SECCOMP_MODE_FILTER	 2

#define LX_SECCOMP_SET_MODE_STRICT  0
#define LX_SECCOMP_SET_MODE_FILTER  1
#define LX_SECCOMP_GET_ACTION_AVAIL 2
#define LX_SECCOMP_GET_NOTIF_SIZES  3

#define LX_SECCOMP_FILTER_FLAG_TSYNC		  1u
#define LX_SECCOMP_FILTER_FLAG_LOG		  2u
#define LX_SECCOMP_FILTER_FLAG_SPEC_ALLOW	  4u
#define LX_SECCOMP_FILTER_FLAG_NEW_LISTENER	  8u
#define LX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH	  16u
#define LX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV 32u

#define LX_SECCOMP_RET_KILL_PROCESS 0x80000000u
#define LX_SECCOMP_RET_KILL_THREAD  0x00000000u
#define LX_SECCOMP_RET_TRAP	    0x00030000u
#define LX_SECCOMP_RET_ERRNO	    0x00050000u
#define LX_SECCOMP_RET_USER_NOTIF   0x7fc00000u
#define LX_SECCOMP_RET_TRACE	    0x7ff00000u
#define LX_SECCOMP_RET_LOG	    0x7ffc0000u
#define LX_SECCOMP_RET_ALLOW	    0x7fff0000u
#define LX_SECCOMP_RET_ACTION_FULL  0xffff0000u
#define LX_SECCOMP_RET_DATA	    0x0000ffffu

#define LX_AUDIT_ARCH_X86_64 0xc000003eu
#define LX_AUDIT_ARCH_I386   0x40000003u
#define LX_SYS_SECCOMP	     1 /* si_code of SIGSYS */
#define LX_SYS_USER_DISPATCH 2

struct lx_seccomp_data {
	int32_t nr;
	uint32_t arch;
	uint64_t instruction_pointer;
	uint64_t args[6];
};

struct lx_seccomp_notif {
	uint64_t id;
	uint32_t pid;
	uint32_t flags;
	struct lx_seccomp_data data;
};

struct lx_seccomp_notif_resp {
	uint64_t id;
	int64_t val;
	int32_t error;
	uint32_t flags;
};

struct lx_seccomp_notif_addfd {
	uint64_t id;
	uint32_t flags, srcfd, newfd, newfd_flags;
};

#define LX_SECCOMP_USER_NOTIF_FLAG_CONTINUE  1u
#define LX_SECCOMP_USER_NOTIF_FD_SYNC_WAKEUP 1u
#define LX_SECCOMP_ADDFD_FLAG_SETFD	     1u
#define LX_SECCOMP_ADDFD_FLAG_SEND	     2u

#define LX_SECCOMP_IOCTL_NOTIF_RECV	      0xc0502100u
#define LX_SECCOMP_IOCTL_NOTIF_SEND	      0xc0182101u
#define LX_SECCOMP_IOCTL_NOTIF_ID_VALID	      0x40082102u
#define LX_SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG 0x80082102u
#define LX_SECCOMP_IOCTL_NOTIF_ADDFD	      0x40182103u
#define LX_SECCOMP_IOCTL_NOTIF_SET_FLAGS      0x40082104u

_Static_assert(sizeof(struct lx_seccomp_data) == 64, "seccomp_data is 64 bytes");
_Static_assert(sizeof(struct lx_seccomp_notif) == 80, "seccomp_notif is 80 bytes");

#endif
