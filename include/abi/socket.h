/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the guest ABI (Linux, include/linux/socket.h, asm-generic/socket.h, tcp.h, in.h,
 * un.h). */
#ifndef ABI_SOCKET_H
#define ABI_SOCKET_H

#include "abi/types.h"

#define LX_AF_UNSPEC  0
#define LX_AF_UNIX    1
#define LX_AF_INET    2
#define LX_AF_INET6   10
#define LX_AF_NETLINK 16
#define LX_AF_PACKET  17
#define LX_AF_MAX     46

#define LX_SOCK_STREAM	  1
#define LX_SOCK_DGRAM	  2
#define LX_SOCK_RAW	  3
#define LX_SOCK_SEQPACKET 5
#define LX_SOCK_TYPE_MASK 0xf
#define LX_SOCK_CLOEXEC	  02000000
#define LX_SOCK_NONBLOCK  04000

#define LX_MSG_OOB	    0x1
#define LX_MSG_PEEK	    0x2
#define LX_MSG_DONTROUTE    0x4
#define LX_MSG_CTRUNC	    0x8
#define LX_MSG_TRUNC	    0x20
#define LX_MSG_DONTWAIT	    0x40
#define LX_MSG_EOR	    0x80
#define LX_MSG_WAITALL	    0x100
#define LX_MSG_CONFIRM	    0x800
#define LX_MSG_ERRQUEUE	    0x2000
#define LX_MSG_NOSIGNAL	    0x4000
#define LX_MSG_MORE	    0x8000
#define LX_MSG_WAITFORONE   0x10000
#define LX_MSG_FASTOPEN	    0x20000000
#define LX_MSG_CMSG_CLOEXEC 0x40000000

#define LX_SOL_SOCKET  1
#define LX_SOL_IP      0
#define LX_SOL_TCP     6
#define LX_SOL_UDP     17
#define LX_SOL_IPV6    41
#define LX_SOL_ICMPV6  58
#define LX_SOL_RAW     255
#define LX_SOL_UDPLITE 136

#define LX_SO_DEBUG	     1
#define LX_SO_REUSEADDR	     2
#define LX_SO_TYPE	     3
#define LX_SO_ERROR	     4
#define LX_SO_DONTROUTE	     5
#define LX_SO_BROADCAST	     6
#define LX_SO_SNDBUF	     7
#define LX_SO_RCVBUF	     8
#define LX_SO_KEEPALIVE	     9
#define LX_SO_OOBINLINE	     10
#define LX_SO_PRIORITY	     12
#define LX_SO_LINGER	     13
#define LX_SO_REUSEPORT	     15
#define LX_SO_PASSCRED	     16
#define LX_SO_PEERCRED	     17
#define LX_SO_RCVLOWAT	     18
#define LX_SO_SNDLOWAT	     19
#define LX_SO_RCVTIMEO	     20
#define LX_SO_SNDTIMEO	     21
#define LX_SO_BINDTODEVICE   25
#define LX_SO_ATTACH_FILTER  26
#define LX_SO_GET_FILTER     26 /* for getsockopt */
#define LX_SO_DETACH_FILTER  27
#define LX_SO_LOCK_FILTER    44
#define LX_SO_TIMESTAMP	     29
#define LX_SO_ACCEPTCONN     30
#define LX_SO_SNDBUFFORCE    32
#define LX_SO_RCVBUFFORCE    33
#define LX_SO_TIMESTAMPNS    35
#define LX_SO_MARK	     36
#define LX_SO_PROTOCOL	     38
#define LX_SO_DOMAIN	     39
#define LX_SO_MEMINFO	     55
#define LX_SO_INCOMING_CPU   49
#define LX_SO_BPF_EXTENSIONS 48
#define LX_SO_PASSSEC	     34
#define LX_SO_COOKIE	     57
#define LX_SO_RCVTIMEO_NEW   66
#define LX_SO_SNDTIMEO_NEW   67
#define LX_SO_PEERGROUPS     59

#define LX_SCM_RIGHTS	   1
#define LX_SCM_CREDENTIALS 2
#define LX_SCM_MAX_FD	   253

#define LX_SHUT_RD   0
#define LX_SHUT_WR   1
#define LX_SHUT_RDWR 2

#define LX_SOMAXCONN 4096

#define LX_IPPROTO_IP	   0
#define LX_IPPROTO_ICMP	   1
#define LX_IPPROTO_ICMPV6  58
#define LX_IPPROTO_TCP	   6
#define LX_IPPROTO_UDP	   17
#define LX_IPPROTO_UDPLITE 136
#define LX_IPPROTO_RAW	   255

struct lx_sockaddr_un {
	uint16_t family;
	char path[108];
};

struct lx_sockaddr_in {
	uint16_t family;
	uint16_t port; /* network order */
	uint32_t addr; /* network order */
	uint8_t zero[8];
};

struct lx_sockaddr_in6 {
	uint16_t family;
	uint16_t port;
	uint32_t flowinfo;
	uint8_t addr[16];
	uint32_t scope_id;
};

struct lx_msghdr {
	uint64_t name;
	int32_t namelen;
	uint32_t pad0;
	uint64_t iov;
	uint64_t iovlen;
	uint64_t control;
	uint64_t controllen;
	uint32_t flags;
	uint32_t pad1;
};

struct lx_cmsghdr {
	uint64_t len;
	int32_t level;
	int32_t type;
};

struct lx_ucred {
	int32_t pid;
	uint32_t uid, gid;
};

#endif
