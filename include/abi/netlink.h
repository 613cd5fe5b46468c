/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink of the guest ABI (Linux, include/uapi/linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h,
 * sock_diag.h, inet_diag.h, unix_diag.h). */
#ifndef ABI_NETLINK_H
#define ABI_NETLINK_H

#include "abi/types.h"

#define LX_NETLINK_ROUTE	  0
#define LX_NETLINK_SOCK_DIAG	  4
#define LX_NETLINK_KOBJECT_UEVENT 15
#define LX_NETLINK_GENERIC	  16

#define LX_SOL_NETLINK 270

#define LX_NETLINK_ADD_MEMBERSHIP   1
#define LX_NETLINK_DROP_MEMBERSHIP  2
#define LX_NETLINK_PKTINFO	    3
#define LX_NETLINK_BROADCAST_ERROR  4
#define LX_NETLINK_NO_ENOBUFS	    5
#define LX_NETLINK_LIST_MEMBERSHIPS 9
#define LX_NETLINK_CAP_ACK	    10
#define LX_NETLINK_EXT_ACK	    11
#define LX_NETLINK_GET_STRICT_CHK   12

struct lx_sockaddr_nl {
	uint16_t family;
	uint16_t pad;
	uint32_t pid;
	uint32_t groups;
};

struct lx_nlmsghdr {
	uint32_t len;
	uint16_t type;
	uint16_t flags;
	uint32_t seq;
	uint32_t pid;
};

#define LX_NLM_F_REQUEST 0x1
#define LX_NLM_F_MULTI	 0x2
#define LX_NLM_F_ACK	 0x4
#define LX_NLM_F_ECHO	 0x8
#define LX_NLM_F_ROOT	 0x100
#define LX_NLM_F_MATCH	 0x200
#define LX_NLM_F_DUMP	 0x300
#define LX_NLM_F_REPLACE 0x100
#define LX_NLM_F_EXCL	 0x200
#define LX_NLM_F_CREATE	 0x400
#define LX_NLM_F_APPEND	 0x800
#define LX_NLM_F_CAPPED	 0x100

#define LX_NLMSG_ERROR	  2
#define LX_NLMSG_DONE	  3
#define LX_NLMSG_MIN_TYPE 16

struct lx_nlattr {
	uint16_t len;
	uint16_t type;
};

#define LX_NLA_TYPE_MASK 0x3fff
#define LX_NLA_ALIGN(n)	 (((n) + 3u) & ~3u)

/* --- rtnetlink --- */
#define LX_RTM_NEWLINK	16
#define LX_RTM_DELLINK	17
#define LX_RTM_GETLINK	18
#define LX_RTM_SETLINK	19
#define LX_RTM_NEWADDR	20
#define LX_RTM_DELADDR	21
#define LX_RTM_GETADDR	22
#define LX_RTM_NEWROUTE 24
#define LX_RTM_DELROUTE 25
#define LX_RTM_GETROUTE 26
#define LX_RTM_NEWNEIGH 28
#define LX_RTM_DELNEIGH 29
#define LX_RTM_GETNEIGH 30
#define LX_RTM_NEWRULE	32
#define LX_RTM_DELRULE	33
#define LX_RTM_GETRULE	34

#define LX_RTNLGRP_LINK	       1
#define LX_RTNLGRP_NEIGH       3
#define LX_RTNLGRP_IPV4_IFADDR 5
#define LX_RTNLGRP_IPV4_ROUTE  7
#define LX_RTNLGRP_IPV4_RULE   8
#define LX_RTNLGRP_IPV6_IFADDR 9
#define LX_RTNLGRP_IPV6_ROUTE  11
#define LX_RTNLGRP_IPV6_RULE   19
#define LX_RTNLGRP_MAX	       36

struct lx_ifinfomsg {
	uint8_t family;
	uint8_t pad;
	uint16_t type;
	int32_t index;
	uint32_t flags;
	uint32_t change;
};

#define LX_IFF_UP	   0x1
#define LX_IFF_BROADCAST   0x2
#define LX_IFF_LOOPBACK	   0x8
#define LX_IFF_POINTOPOINT 0x10
#define LX_IFF_RUNNING	   0x40
#define LX_IFF_NOARP	   0x80
#define LX_IFF_MULTICAST   0x1000
#define LX_IFF_LOWER_UP	   0x10000

#define LX_ARPHRD_ETHER	   1
#define LX_ARPHRD_LOOPBACK 772
#define LX_ARPHRD_NONE	   0xfffe

#define LX_IFLA_ADDRESS	      1
#define LX_IFLA_BROADCAST     2
#define LX_IFLA_IFNAME	      3
#define LX_IFLA_MTU	      4
#define LX_IFLA_LINK	      5
#define LX_IFLA_QDISC	      6
#define LX_IFLA_STATS	      7
#define LX_IFLA_TXQLEN	      13
#define LX_IFLA_OPERSTATE     16
#define LX_IFLA_LINKMODE      17
#define LX_IFLA_LINKINFO      18
#define LX_IFLA_NET_NS_PID    19
#define LX_IFLA_STATS64	      23
#define LX_IFLA_GROUP	      27
#define LX_IFLA_NET_NS_FD     28
#define LX_IFLA_EXT_MASK      29
#define LX_IFLA_PROMISCUITY   30
#define LX_IFLA_NUM_TX_QUEUES 31
#define LX_IFLA_NUM_RX_QUEUES 32
#define LX_IFLA_CARRIER	      33

/* Within LX_IFLA_LINKINFO, and the LX_IFLA_INFO_DATA of a tun. */
#define LX_IFLA_INFO_KIND	1
#define LX_IFLA_INFO_DATA	2
#define LX_VETH_INFO_PEER	1
#define LX_IFLA_TUN_OWNER	1
#define LX_IFLA_TUN_GROUP	2
#define LX_IFLA_TUN_TYPE	3
#define LX_IFLA_TUN_PI		4
#define LX_IFLA_TUN_VNET_HDR	5
#define LX_IFLA_TUN_PERSIST	6
#define LX_IFLA_TUN_MULTI_QUEUE 7

/* if_tun.h; what TUNSETIFF takes beside a name */
#define LX_IFF_TUN	 0x0001
#define LX_IFF_TAP	 0x0002
#define LX_IFF_PERSIST	 0x0800
#define LX_IFF_NO_PI	 0x1000
#define LX_IFF_NOFILTER	 0x1000 /* TUNGETIFF */
#define LX_IFF_ONE_QUEUE 0x2000
#define LX_IFF_VNET_HDR	 0x4000
#define LX_IFF_TUN_EXCL	 0x8000

/* The first ten are also those of IFLA_STATS, with 32 bits. */
struct lx_link_stats64 {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped,
		tx_dropped, multicast, collisions, more[15];
};

struct lx_ifaddrmsg {
	uint8_t family;
	uint8_t prefixlen;
	uint8_t flags;
	uint8_t scope;
	uint32_t index;
};

#define LX_IFA_ADDRESS	 1
#define LX_IFA_LOCAL	 2
#define LX_IFA_LABEL	 3
#define LX_IFA_BROADCAST 4
#define LX_IFA_CACHEINFO 6
#define LX_IFA_FLAGS	 8

#define LX_IFA_F_SECONDARY	0x01
#define LX_IFA_F_NODAD		0x02
#define LX_IFA_F_PERMANENT	0x80
#define LX_IFA_F_MANAGETEMPADDR 0x100
#define LX_IFA_F_NOPREFIXROUTE	0x200
#define LX_IFA_F_MCAUTOJOIN	0x400

struct lx_rtmsg {
	uint8_t family, dst_len, src_len, tos, table, protocol, scope, type;
	uint32_t flags;
};

#define LX_RTA_DST	 1
#define LX_RTA_SRC	 2
#define LX_RTA_IIF	 3
#define LX_RTA_OIF	 4
#define LX_RTA_GATEWAY	 5
#define LX_RTA_PRIORITY	 6
#define LX_RTA_PREFSRC	 7
#define LX_RTA_CACHEINFO 12
#define LX_RTA_TABLE	 15
#define LX_RTA_MARK	 16
#define LX_RTA_PREF	 20
#define LX_RTA_UID	 25

struct lx_rta_cacheinfo {
	uint32_t clntref, lastuse;
	int32_t expires;
	uint32_t error, used, id, ts, tsage;
};

/* rtm_flags */
#define LX_RTM_F_CLONED	   0x200
#define LX_RTM_F_FIB_MATCH 0x2000
#define LX_RTCF_BROADCAST  0x10000000u
#define LX_RTCF_MULTICAST  0x20000000u
#define LX_RTCF_LOCAL	   0x80000000u

#define LX_RTNH_F_ONLINK 4

/* struct fib_rule_hdr is laid out as struct lx_rtmsg: type is the action. */
#define LX_FRA_DST	       1
#define LX_FRA_SRC	       2
#define LX_FRA_IIFNAME	       3
#define LX_FRA_GOTO	       4
#define LX_FRA_PRIORITY	       6
#define LX_FRA_FWMARK	       10
#define LX_FRA_SUPPRESS_PREFIX 14
#define LX_FRA_TABLE	       15
#define LX_FRA_FWMASK	       16
#define LX_FRA_OIFNAME	       17
#define LX_FRA_UID_RANGE       20
#define LX_FRA_PROTOCOL	       21
#define LX_FRA_IP_PROTO	       22
#define LX_FRA_SPORT_RANGE     23
#define LX_FRA_DPORT_RANGE     24

#define LX_FR_ACT_TO_TBL      1
#define LX_FR_ACT_GOTO	      2
#define LX_FR_ACT_NOP	      3
#define LX_FR_ACT_BLACKHOLE   6
#define LX_FR_ACT_UNREACHABLE 7
#define LX_FR_ACT_PROHIBIT    8

#define LX_FIB_RULE_INVERT	 0x2
#define LX_FIB_RULE_UNRESOLVED	 0x4
#define LX_FIB_RULE_IIF_DETACHED 0x8
#define LX_FIB_RULE_OIF_DETACHED 0x10

#define LX_RTN_UNICAST	   1
#define LX_RTN_LOCAL	   2
#define LX_RTN_BROADCAST   3
#define LX_RTN_ANYCAST	   4
#define LX_RTN_MULTICAST   5
#define LX_RTN_BLACKHOLE   6
#define LX_RTN_UNREACHABLE 7
#define LX_RTN_PROHIBIT	   8
#define LX_RTN_THROW	   9
#define LX_RTN_MAX	   11

#define LX_RT_SCOPE_UNIVERSE 0
#define LX_RT_SCOPE_SITE     200
#define LX_RT_SCOPE_LINK     253
#define LX_RT_SCOPE_HOST     254
#define LX_RT_SCOPE_NOWHERE  255
#define LX_RT_TABLE_COMPAT   252
#define LX_RT_TABLE_DEFAULT  253
#define LX_RT_TABLE_MAIN     254
#define LX_RT_TABLE_LOCAL    255
#define LX_RTPROT_BOOT	     3
#define LX_RTPROT_KERNEL     2

struct lx_ndmsg {
	uint8_t family, pad1;
	uint16_t pad2;
	int32_t index;
	uint16_t state;
	uint8_t flags, type;
};

#define LX_NDA_DST	 1
#define LX_NDA_LLADDR	 2
#define LX_NDA_CACHEINFO 3
#define LX_NDA_PROBES	 4
#define LX_NDA_IFINDEX	 8
#define LX_NDA_MASTER	 9

#define LX_NTF_PROXY  0x08
#define LX_NTF_ROUTER 0x80

#define LX_NUD_INCOMPLETE 0x01
#define LX_NUD_REACHABLE  0x02
#define LX_NUD_STALE	  0x04
#define LX_NUD_DELAY	  0x08
#define LX_NUD_PROBE	  0x10
#define LX_NUD_FAILED	  0x20
#define LX_NUD_NOARP	  0x40
#define LX_NUD_PERMANENT  0x80

/* --- sock_diag --- */
#define LX_SOCK_DIAG_BY_FAMILY 20

struct lx_inet_diag_sockid {
	uint16_t sport, dport; /* network order */
	uint32_t src[4], dst[4];
	uint32_t iface;
	uint32_t cookie[2];
};

struct lx_inet_diag_req {
	uint8_t family, protocol, ext, pad;
	uint32_t states;
	struct lx_inet_diag_sockid id;
};

struct lx_inet_diag_msg {
	uint8_t family, state, timer, retrans;
	struct lx_inet_diag_sockid id;
	uint32_t expires, rqueue, wqueue, uid, inode;
};

#define LX_INET_DIAG_SHUTDOWN 8

struct lx_unix_diag_req {
	uint8_t family, protocol;
	uint16_t pad;
	uint32_t states, ino, show, cookie[2];
};

struct lx_unix_diag_msg {
	uint8_t family, type, state, pad;
	uint32_t ino, cookie[2];
};

#define LX_UDIAG_SHOW_NAME    0x1
#define LX_UDIAG_SHOW_PEER    0x4
#define LX_UDIAG_SHOW_RQLEN   0x10
#define LX_UNIX_DIAG_NAME     0
#define LX_UNIX_DIAG_PEER     2
#define LX_UNIX_DIAG_RQLEN    4
#define LX_UNIX_DIAG_SHUTDOWN 6

#endif
