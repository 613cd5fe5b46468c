/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/net/tun of the guest ABI (Linux, include/uapi/linux/if_tun.h, virtio_net.h). The flags of an
 * interface are in abi/netlink.h, which shows them too. */
#ifndef ABI_TUN_H
#define ABI_TUN_H

#include "abi/types.h"

#define LX_TUNSETNOCSUM	   0x400454c8u
#define LX_TUNSETDEBUG	   0x400454c9u
#define LX_TUNSETIFF	   0x400454cau
#define LX_TUNSETPERSIST   0x400454cbu
#define LX_TUNSETOWNER	   0x400454ccu
#define LX_TUNSETLINK	   0x400454cdu
#define LX_TUNSETGROUP	   0x400454ceu
#define LX_TUNGETFEATURES  0x800454cfu
#define LX_TUNSETOFFLOAD   0x400454d0u
#define LX_TUNGETIFF	   0x800454d2u
#define LX_TUNGETSNDBUF	   0x800454d3u
#define LX_TUNSETSNDBUF	   0x400454d4u
#define LX_TUNGETVNETHDRSZ 0x800454d7u
#define LX_TUNSETVNETHDRSZ 0x400454d8u
#define LX_TUNSETVNETLE	   0x400454dcu
#define LX_TUNGETVNETLE	   0x800454ddu
#define LX_TUNSETCARRIER   0x400454e2u

#define LX_TUN_F_ALL 0x7fu /* what TUNSETOFFLOAD may name */

struct lx_tun_pi {
	uint16_t flags; /* LX_TUN_PKT_STRIP */
	uint16_t proto; /* network order */
};
#define LX_TUN_PKT_STRIP 1

struct lx_virtio_net_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
#define LX_VIRTIO_NET_HDR_F_NEEDS_CSUM 1
#define LX_VIRTIO_NET_HDR_F_DATA_VALID 2

#endif
