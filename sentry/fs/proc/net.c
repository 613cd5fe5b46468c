/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/net: sockets and the one interface. */
#include "abi/stat.h"
#include "internal.h"
#include "sentry/socket/info.h"

static int
show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_puts(b, (const char *)x->row->arg);
	return 0;
}

struct inet_list {
	struct sbuf *b;
	int n;
};

static void
put_addr(struct sbuf *b, const struct inet_info *i, const uint8_t *ip, uint16_t port)
{
	uint32_t w[4];

	__builtin_memcpy(w, ip, 16);
	if (i->v6)
		sbuf_printf(b, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], port);
	else
		sbuf_printf(b, "%08X:%04X", w[3], port);
}

static void
put_inet(const struct inet_info *i, void *arg)
{
	struct inet_list *l = arg;

	sbuf_printf(l->b, "%4d: ", l->n++);
	put_addr(l->b, i, i->local_ip, i->local_port);
	sbuf_puts(l->b, " ");
	put_addr(l->b, i, i->remote_ip, i->remote_port);
	sbuf_printf(l->b,
		" %02X %08X:%08X 00:00000000 00000000 %5u        0 %llu 1 0000000000000000 100 0 0 "
		"10 0\n",
		i->state, 0, i->rcv_bytes, i->uid, (unsigned long long)i->ino);
}

/* arg: protocol, with 0x100 for IPv6. */
static int
show_inet(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct inet_list l = {b, 0};

	sbuf_printf(b,
		"  sl  %-*s %-*s st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
		x->row->arg & 0x100 ? 37 : 13, "local_address", x->row->arg & 0x100 ? 37 : 13,
		"rem_address");
	inet_each((int)(x->row->arg & 0xff), x->row->arg & 0x100, put_inet, &l);
	return 0;
}

#define TEXT(n, t)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_text, .arg = (uintptr_t)(t)   \
	}
#define INET(n, p)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_inet, .arg = (p)              \
	}

const struct pseudo_row proc_net_rows[] = {
	INET("tcp", 6),
	INET("tcp6", 6 | 0x100),
	INET("udp", 17),
	INET("udp6", 17 | 0x100),
	TEXT("dev", "Inter-|   Receive                                                |  Transmit\n"
		    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
		    "packets errs drop fifo colls "
		    "carrier compressed\n    lo:       0       0    0    0    0     0          0   "
		    "      0        0       0    0 "
		    "   0    0     0       0          0\n"),
	TEXT("route", "Iface\tDestination\tGateway "
		      "\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"),
	TEXT("if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"),
	TEXT("unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"),
	TEXT("arp",
		"IP address       HW type     Flags       HW address            Mask     Device\n"),
	TEXT("raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
		    "uid  timeout inode\n"),
	TEXT("packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
	TEXT("netlink", "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
			"Drops    Inode\n"),
	TEXT("protocols", ""),
	{.name = NULL},
};
