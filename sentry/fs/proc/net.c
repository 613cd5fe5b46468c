/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/net: sockets, interfaces, addresses and routes (proc(5); the formats are those of Linux's
 * net/core, net/ipv4, net/ipv6, net/unix). */
#include "abi/socket.h"
#include "abi/stat.h"
#include "internal.h"
#include "sentry/net/route.h"
#include "sentry/socket/info.h"
#include <stdio.h>
#include <string.h>

struct rows {
	struct sbuf *b;
	int n;
};

/* The namespace of the process below whose directory the file is: a reference. */
static struct net_ns *
net_of(const struct pseudo_ctx *x)
{
	struct task *t = proc_task(x);
	struct net_ns *net;

	mutex_lock(&t->pt_lock);
	net = net_ns_get(t->net);
	mutex_unlock(&t->pt_lock);
	return net;
}

static int
each_sock(const struct pseudo_ctx *x, int family, int protocol,
	void (*fn)(const struct sock_info *i, void *arg), void *arg)
{
	struct net_ns *net = net_of(x);
	int r = sock_each(net, family, protocol, fn, arg);

	net_ns_put(net);
	return r;
}

static int
show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_puts(b, (const char *)x->row->arg);
	return 0;
}

/* --- sockets --- */

static void
put_addr(struct sbuf *b, bool v6, const uint8_t *ip, uint16_t port)
{
	uint32_t w[4];

	memcpy(w, ip, 16);
	if (v6)
		sbuf_printf(b, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], port);
	else
		sbuf_printf(b, "%08X:%04X", w[3], port);
}

static void
inet_row(const struct sock_info *i, void *arg)
{
	struct rows *r = arg;
	bool v6 = i->family == LX_AF_INET6;

	sbuf_printf(r->b, "%4d: ", r->n++);
	put_addr(r->b, v6, i->local_ip, i->local_port);
	sbuf_puts(r->b, " ");
	put_addr(r->b, v6, i->remote_ip, i->remote_port);
	sbuf_printf(r->b,
		" %02X %08X:%08X 00:00000000 00000000 %5u        0 %llu 1 0000000000000000 100 0 0 "
		"10 0\n",
		i->state, i->snd_bytes, i->rcv_bytes, i->uid, (unsigned long long)i->ino);
}

/* arg: protocol, with 0x100 for IPv6. */
static int
show_inet(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct rows r = {b, 0};
	bool v6 = x->row->arg & 0x100;

	sbuf_printf(b,
		"  sl  %-*s %-*s st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
		v6 ? 37 : 13, "local_address", v6 ? 37 : 13, "rem_address");
	return each_sock(x, v6 ? LX_AF_INET6 : LX_AF_INET, (int)(x->row->arg & 0xff), inet_row, &r);
}

static void
unix_row(const struct sock_info *i, void *arg)
{
	struct rows *r = arg;

	/* Connected, connecting or not: the SS_ states of linux/net.h. */
	sbuf_printf(r->b, "0000000000000000: %08X 00000000 %08X %04X %02X %5llu", i->refs,
		i->listening ? 0x10000 : 0, i->type, i->state == 1 ? 3 : 1,
		(unsigned long long)i->ino);
	if (i->name_len) {
		sbuf_puts(r->b, " ");
		for (uint32_t k = 0; k < i->name_len; k++)
			sbuf_add(r->b, i->name[k] ? (const char *)&i->name[k] : "@", 1);
	}
	sbuf_puts(r->b, "\n");
}

static int
show_unix(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct rows r = {b, 0};

	sbuf_puts(b, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	return each_sock(x, LX_AF_UNIX, -1, unix_row, &r);
}

static void
netlink_row(const struct sock_info *i, void *arg)
{
	struct rows *r = arg;

	sbuf_printf(r->b, "%016x %-3d %-10u %08x %-8u %-8d %-5d %-8u %-8u %-8llu\n", 0, i->protocol,
		i->portid, (unsigned)i->groups, i->rcv_bytes, 0, 0, i->refs, 0,
		(unsigned long long)i->ino);
}

static int
show_netlink(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct rows r = {b, 0};

	sbuf_puts(b, "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
		     "Drops    Inode\n");
	return each_sock(x, LX_AF_NETLINK, -1, netlink_row, &r);
}

struct counts {
	int used, tcp, udp, tcp6, udp6;
};

static void
count_sock(const struct sock_info *i, void *arg)
{
	struct counts *n = arg;

	n->used++;
	if (i->family == LX_AF_INET) {
		n->tcp += i->protocol == LX_IPPROTO_TCP;
		n->udp += i->protocol == LX_IPPROTO_UDP;
	} else if (i->family == LX_AF_INET6) {
		n->tcp6 += i->protocol == LX_IPPROTO_TCP;
		n->udp6 += i->protocol == LX_IPPROTO_UDP;
	}
}

static int
show_sockstat(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct counts n = {0};
	int r = each_sock(x, 0, -1, count_sock, &n);

	if (x->row->arg == 6)
		sbuf_printf(b,
			"TCP6: inuse %d\nUDP6: inuse %d\nUDPLITE6: inuse 0\nRAW6: inuse 0\n"
			"FRAG6: inuse 0 memory 0\n",
			n.tcp6, n.udp6);
	else
		sbuf_printf(b,
			"sockets: used %d\nTCP: inuse %d orphan 0 tw 0 alloc %d mem 0\n"
			"UDP: inuse %d mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\n"
			"FRAG: inuse 0 memory 0\n",
			n.used, n.tcp, n.tcp + n.tcp6, n.udp);
	return r;
}

/* --- interfaces, addresses, routes --- */

static void
dev_row(const struct net_link *l, void *arg)
{
	const struct lx_link_stats64 *s = &l->stats;
	/* more: length, over, crc, frame, fifo, missed of what came in; then what went out. */
	unsigned long long in_frame = s->more[0] + s->more[1] + s->more[2] + s->more[3];
	unsigned long long out_carrier = s->more[6] + s->more[7] + s->more[9] + s->more[10];

	sbuf_printf(arg,
		"%6s: %7llu %7llu %4llu %4llu %4llu %5llu %10llu %9llu %8llu %7llu %4llu %4llu "
		"%4llu "
		"%5llu %7llu %10llu\n",
		l->name, (unsigned long long)s->rx_bytes, (unsigned long long)s->rx_packets,
		(unsigned long long)s->rx_errors, (unsigned long long)(s->rx_dropped + s->more[5]),
		(unsigned long long)s->more[4], in_frame, (unsigned long long)s->more[11],
		(unsigned long long)s->multicast, (unsigned long long)s->tx_bytes,
		(unsigned long long)s->tx_packets, (unsigned long long)s->tx_errors,
		(unsigned long long)s->tx_dropped, (unsigned long long)s->more[8],
		(unsigned long long)s->collisions, out_carrier, (unsigned long long)s->more[12]);
}

static int
show_dev(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct net_ns *net = net_of(x);
	int r;

	sbuf_puts(b,
		"Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
		"packets errs drop fifo colls carrier compressed\n");
	r = net_links(net, dev_row, b);
	net_ns_put(net);
	return r;
}

/* Names of interfaces by number, for lists that have only those. */
struct names {
	size_t n;
	struct {
		int32_t index;
		char name[16];
	} v[64];
};

struct named_rows {
	struct sbuf *b;
	struct names *names;
	uint32_t table; /* IPv6 routes: of the last row; 0: none yet */
	bool has_default, has_main, has_local;
};

static void
note_name(const struct net_link *l, void *arg)
{
	struct names *n = arg;

	if (n->n == sizeof n->v / sizeof n->v[0])
		return;
	n->v[n->n].index = l->index;
	memcpy(n->v[n->n++].name, l->name, sizeof l->name);
}

static const char *
name_of(const struct names *n, int32_t index)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->v[i].index == index)
			return n->v[i].name;
	return "*";
}

#define ROUTE_WIDTH   127 /* every line of /proc/net/route */
#define RTF_UP	      0x1
#define RTF_GATEWAY   0x2
#define RTF_HOST      0x4
#define RTF_REJECT    0x200
#define RTF_NONEXTHOP 0x00200000
#define RTF_LOCAL     0x80000000

static void
route_row(const struct net_route *r, void *arg)
{
	struct named_rows *rows = arg;
	uint32_t dst, gateway, mask = 0;
	unsigned flags =
		RTF_UP | (r->has_gateway ? RTF_GATEWAY : 0) | (r->dst_len == 32 ? RTF_HOST : 0) |
		(r->type == LX_RTN_UNREACHABLE || r->type == LX_RTN_PROHIBIT ? RTF_REJECT : 0);
	size_t from = rows->b->len;

	if (r->family != LX_AF_INET || r->table != LX_RT_TABLE_MAIN ||
		r->type == LX_RTN_BROADCAST || r->type == LX_RTN_MULTICAST)
		return;
	memcpy(&dst, r->dst, 4);
	memcpy(&gateway, r->gateway, 4);
	if (r->dst_len)
		mask = 0xffffffffu << (32 - r->dst_len);
	sbuf_printf(rows->b, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%d\t%u\t%u",
		name_of(rows->names, r->oif), dst, gateway, flags, 0, 0, r->priority,
		__builtin_bswap32(mask), 0, 0, 0);
	sbuf_printf(rows->b, "%*s\n", (int)(ROUTE_WIDTH - (rows->b->len - from)), "");
}

static int
show_route(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct names names = {0};
	struct named_rows rows = {.b = b, .names = &names};
	struct net_ns *net = net_of(x);
	int r = net_links(net, note_name, &names);

	sbuf_printf(b, "%-*s\n", ROUTE_WIDTH,
		"Iface\tDestination\tGateway "
		"\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
	if (r == 0)
		r = net_routes(net, route_row, &rows);
	net_ns_put(net);
	return r;
}

static void
put_hex(struct sbuf *b, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sbuf_printf(b, "%02x", p[i]);
}

/* How a table ends whose default route nobody made: with the one that refuses. */
static void
refusing_row(struct sbuf *b)
{
	static const char zeros[] = "00000000000000000000000000000000";

	sbuf_printf(b, "%s 00 %s 00 %s ffffffff %08x %08x %08x %8s\n", zeros, zeros, zeros, 1, 0,
		RTF_REJECT | RTF_NONEXTHOP, "lo");
}

/* Behind the rows of one table. Two are there also when they are empty. */
static void
end_table(struct named_rows *rows, uint32_t next)
{
	if (rows->table && !rows->has_default)
		refusing_row(rows->b);
	if (next == LX_RT_TABLE_LOCAL && !rows->has_main)
		refusing_row(rows->b);
	rows->has_main |= next == LX_RT_TABLE_MAIN || next == LX_RT_TABLE_LOCAL;
	rows->has_local |= next == LX_RT_TABLE_LOCAL;
	rows->table = next;
	rows->has_default = false;
}

static void
route6_row(const struct net_route *r, void *arg)
{
	static const uint8_t zero[16];
	struct named_rows *rows = arg;
	unsigned flags = RTF_UP | (r->has_gateway ? RTF_GATEWAY : 0);

	if (r->family != LX_AF_INET6)
		return;
	/* Whatever is not this host's, by lo, is a route to nowhere. */
	if (r->type == LX_RTN_LOCAL)
		flags |= RTF_LOCAL | (r->protocol == LX_RTPROT_KERNEL ? RTF_NONEXTHOP : 0);
	else if (r->oif == NET_LO_INDEX)
		flags = RTF_REJECT | RTF_NONEXTHOP;
	if (r->table != rows->table)
		end_table(rows, r->table);
	rows->has_default |= !r->dst_len;
	put_hex(rows->b, r->dst, 16);
	sbuf_printf(rows->b, " %02x ", r->dst_len);
	put_hex(rows->b, zero, 16);
	sbuf_puts(rows->b, " 00 ");
	put_hex(rows->b, r->gateway, 16);
	sbuf_printf(rows->b, " %08x %08x %08x %08x %8s\n", r->priority, 1, 0, flags,
		name_of(rows->names, r->oif));
}

static int
show_route6(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct names names = {0};
	struct named_rows rows = {.b = b, .names = &names};
	struct net_ns *net = net_of(x);
	int r = net_links(net, note_name, &names);

	if (r == 0)
		r = net_routes(net, route6_row, &rows);
	if (!rows.has_local)
		end_table(&rows, LX_RT_TABLE_LOCAL);
	end_table(&rows, 0);
	net_ns_put(net);
	return r;
}

struct arp_rows {
	struct sbuf *b;
	struct net_ns *net;
};

static void
arp_row(const struct net_neigh *n, void *arg)
{
	const struct arp_rows *r = arg;
	const uint8_t *a = n->addr, *l = n->lladdr;
	/* ATF_COM, _PERM, _PUBL */
	unsigned flags = n->proxy					  ? 0xc
			 : n->state & LX_NUD_PERMANENT			  ? 0x6
			 : n->state & (LX_NUD_FAILED | LX_NUD_INCOMPLETE) ? 0
									  : 0x2;
	struct net_link link;
	char ip[16];

	if (net_link_find(r->net, n->index, NULL, &link) < 0)
		return;
	if (n->family != LX_AF_INET || n->state & LX_NUD_NOARP)
		return;
	snprintf(ip, sizeof ip, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
	sbuf_printf(r->b, "%-16s 0x%-10x0x%-10x%02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", ip,
		link.type, flags, l[0], l[1], l[2], l[3], l[4], l[5], link.name);
}

static int
show_arp(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct net_ns *net = net_of(x);
	struct arp_rows rows = {b, net};
	int r;

	sbuf_puts(b, "IP address       HW type     Flags       HW address            Mask     "
		     "Device\n");
	r = net_neighs(net, false, arp_row, &rows);
	if (r == 0)
		r = net_neighs(net, true, arp_row, &rows);
	net_ns_put(net);
	return r;
}

static void
addr6_row(const struct net_addr *a, void *arg)
{
	struct named_rows *rows = arg;
	/* As the kernel's own numbers of address types have it. */
	unsigned scope = a->scope == LX_RT_SCOPE_HOST	? 0x10
			 : a->scope == LX_RT_SCOPE_LINK ? 0x20
							: 0;

	if (a->family != LX_AF_INET6)
		return;
	put_hex(rows->b, a->addr, 16);
	sbuf_printf(rows->b, " %02x %02x %02x %02x %8s\n", a->index, a->prefixlen, scope, a->flags,
		name_of(rows->names, a->index));
}

static int
show_addr6(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct names names = {0};
	struct named_rows rows = {.b = b, .names = &names};
	struct net_ns *net = net_of(x);
	int r = net_links(net, note_name, &names);

	if (r == 0)
		r = net_addrs(net, addr6_row, &rows);
	net_ns_put(net);
	return r;
}

/* --- counters; what this stack does not count is zero --- */

struct traffic {
	unsigned long long packets;
};

static void
add_traffic(const struct net_link *l, void *arg)
{
	((struct traffic *)arg)->packets += l->stats.rx_packets;
}

static void
count_established(const struct sock_info *i, void *arg)
{
	*(int *)arg += i->protocol == LX_IPPROTO_TCP && i->state == 1;
}

static void
put_counters(struct sbuf *b, const char *group, const char *const *names, const char *const *values)
{
	sbuf_printf(b, "%s:", group);
	for (int i = 0; names[i]; i++)
		sbuf_printf(b, " %s", names[i]);
	sbuf_printf(b, "\n%s:", group);
	for (int i = 0; names[i]; i++)
		sbuf_printf(b, " %s", values && values[i] ? values[i] : "0");
	sbuf_puts(b, "\n");
}

static int
show_snmp(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const char *const ip[] = {"Forwarding", "DefaultTTL", "InReceives", "InHdrErrors",
		"InAddrErrors", "ForwDatagrams", "InUnknownProtos", "InDiscards", "InDelivers",
		"OutRequests", "OutDiscards", "OutNoRoutes", "ReasmTimeout", "ReasmReqds",
		"ReasmOKs", "ReasmFails", "FragOKs", "FragFails", "FragCreates", NULL};
	static const char *const icmp[] = {"InMsgs", "InErrors", "InCsumErrors", "InDestUnreachs",
		"InTimeExcds", "InParmProbs", "InSrcQuenchs", "InRedirects", "InEchos",
		"InEchoReps", "InTimestamps", "InTimestampReps", "InAddrMasks", "InAddrMaskReps",
		"OutMsgs", "OutErrors", "OutDestUnreachs", "OutTimeExcds", "OutParmProbs",
		"OutSrcQuenchs", "OutRedirects", "OutEchos", "OutEchoReps", "OutTimestamps",
		"OutTimestampReps", "OutAddrMasks", "OutAddrMaskReps", NULL};
	static const char *const tcp[] = {"RtoAlgorithm", "RtoMin", "RtoMax", "MaxConn",
		"ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab", "InSegs",
		"OutSegs", "RetransSegs", "InErrs", "OutRsts", "InCsumErrors", NULL};
	static const char *const udp[] = {"InDatagrams", "NoPorts", "InErrors", "OutDatagrams",
		"RcvbufErrors", "SndbufErrors", "InCsumErrors", "IgnoredMulti", "MemErrors", NULL};
	struct traffic t = {0};
	struct net_ns *net = net_of(x);
	int established = 0, r = net_links(net, add_traffic, &t);
	char packets[24], conns[16];
	const char *ip_v[20] = {"2", "64", packets}, *tcp_v[16] = {"1", "200", "120000", "-1"};

	net_ns_put(net);
	if (r == 0)
		r = each_sock(x, LX_AF_INET, -1, count_established, &established);
	if (r == 0)
		r = each_sock(x, LX_AF_INET6, -1, count_established, &established);
	snprintf(packets, sizeof packets, "%llu", t.packets);
	snprintf(conns, sizeof conns, "%d", established);
	ip_v[8] = ip_v[9] = packets;
	tcp_v[8] = conns;
	put_counters(b, "Ip", ip, ip_v);
	put_counters(b, "Icmp", icmp, NULL);
	sbuf_puts(b, "IcmpMsg:\nIcmpMsg:\n");
	put_counters(b, "Tcp", tcp, tcp_v);
	put_counters(b, "Udp", udp, NULL);
	put_counters(b, "UdpLite", udp, NULL);
	return r;
}

static int
show_netstat(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const char *const tcp[] = {"SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed",
		"EmbryonicRsts", "PruneCalled", "TW", "TWRecycled", "DelayedACKs",
		"ListenOverflows", "ListenDrops", "TCPLostRetransmit", "TCPFastRetrans",
		"TCPTimeouts", "TCPAbortOnData", "TCPAbortOnClose", "TCPAbortOnMemory",
		"TCPAbortOnTimeout", "TCPRcvQDrop", NULL};
	static const char *const ip[] = {"InNoRoutes", "InTruncatedPkts", "InMcastPkts",
		"OutMcastPkts", "InBcastPkts", "OutBcastPkts", "InOctets", "OutOctets", NULL};

	(void)x;
	put_counters(b, "TcpExt", tcp, NULL);
	put_counters(b, "IpExt", ip, NULL);
	return 0;
}

#define TEXT(n, t)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_text, .arg = (uintptr_t)(t),  \
		.outlives = true                                                                   \
	}
#define INET(n, p)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_inet, .arg = (p),             \
		.outlives = true                                                                   \
	}
#define SHOW(n, f, a)                                                                              \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = (f), .arg = (a), .outlives = true  \
	}

const struct pseudo_row proc_net_rows[] = {
	INET("tcp", LX_IPPROTO_TCP),
	INET("tcp6", LX_IPPROTO_TCP | 0x100),
	INET("udp", LX_IPPROTO_UDP),
	INET("udp6", LX_IPPROTO_UDP | 0x100),
	SHOW("unix", show_unix, 0),
	SHOW("netlink", show_netlink, 0),
	SHOW("sockstat", show_sockstat, 4),
	SHOW("sockstat6", show_sockstat, 6),
	SHOW("dev", show_dev, 0),
	SHOW("route", show_route, 0),
	SHOW("ipv6_route", show_route6, 0),
	SHOW("if_inet6", show_addr6, 0),
	SHOW("snmp", show_snmp, 0),
	SHOW("netstat", show_netstat, 0),
	/* What this kernel has none of. */
	TEXT("icmp",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
		"uid  timeout inode ref pointer drops             \n"),
	TEXT("udplite", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
			"retrnsmt   uid "
			" timeout inode ref pointer drops            \n"),
	TEXT("udplite6",
		"  sl  local_address                         remote_address                        "
		"st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
		"drops\n"),
	TEXT("raw6",
		"  sl  local_address                         remote_address                        "
		"st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
		"drops\n"),
	TEXT("dev_mcast", ""),
	TEXT("igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"),
	TEXT("igmp6", ""),
	TEXT("anycast6", ""),
	TEXT("ptype", "Type Device      Function\n0800          ip_rcv\n86dd          ipv6_rcv\n"),
	TEXT("psched", "000003e8 00000040 000f4240 3b9aca00\n"),
	TEXT("rt_cache",
		"Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\t"
		"Window\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst\n"),
	SHOW("arp", show_arp, 0),
	TEXT("raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
		    "uid  timeout inode\n"),
	TEXT("packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
	{.name = NULL},
};
