/* SPDX-License-Identifier: Apache-2.0 */
/* AF_INET and AF_INET6: making sockets, options of the IP, IPv6, TCP and UDP
 * levels. */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/dev.h"
#include "sentry/net/sysctl.h"
#include "sentry/net/tcp.h"
#include "sentry/socket/info.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TCP_BUFFER  212992
#define TCP_RCV_MIN 2304
#define TCP_SND_MIN 4608

/* What Linux's tuning would make of a buffer that nobody asked for, within its bounds. */
static uint32_t
tcp_buffer(const struct net_ns *net, enum net_sysctl which, int32_t least)
{
	int32_t n = TCP_BUFFER, first = net_sysctl(net, which, 1), most = net_sysctl(net, which, 2);

	n = n > most ? most : n;
	n = n < first ? first : n;
	return (uint32_t)(n < least ? least : n);
}

/* net.ipv4.ping_group_range: may the caller send echo requests? */
static bool
may_ping(const struct call *c)
{
	uint32_t low = (uint32_t)net_sysctl(c->net, NET_PING_GROUP_RANGE, 0),
		 high = (uint32_t)net_sysctl(c->net, NET_PING_GROUP_RANGE, 1);
	const struct group_list *g = c->cred->groups;

	if (c->cred->egid >= low && c->cred->egid <= high)
		return true;
	for (uint32_t i = 0; g && i < g->n; i++)
		if (g->gid[i] >= low && g->gid[i] <= high)
			return true;
	return false;
}

struct inet_sock *
inet_new(const struct call *c, int family, int type, int protocol)
{
	struct inet_sock *i = calloc(1, sizeof *i);

	if (!i)
		return NULL;
	sock_init(&i->s,
		type == LX_SOCK_STREAM ? &tcp_ops
		: type == LX_SOCK_RAW || protocol == LX_IPPROTO_ICMP ||
				protocol == LX_IPPROTO_ICMPV6
			? &icmp_ops
			: &udp_ops,
		c, family, type, protocol);
	if (type == LX_SOCK_STREAM) {
		i->s.rcvbuf = tcp_buffer(c->net, NET_TCP_RMEM, TCP_RCV_MIN);
		i->s.sndbuf = tcp_buffer(c->net, NET_TCP_WMEM, TCP_SND_MIN);
	}
	i->v6only = family == LX_AF_INET6 && net_sysctl(c->net, NET_BINDV6ONLY, 0);
	list_init(&i->port_node);
	list_init(&i->errors);
	list_init(&i->acceptq);
	list_init(&i->accept_node);
	tcp_connect_init(i);
	return i;
}

static int
create(const struct call *c, int family, int type, int protocol, struct sock **ret)
{
	int icmp = family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6;
	struct inet_sock *i;

	switch (type) {
	case LX_SOCK_STREAM:
		if (protocol && protocol != LX_IPPROTO_TCP)
			return -EPROTONOSUPPORT;
		protocol = LX_IPPROTO_TCP;
		break;
	case LX_SOCK_DGRAM:
		if (protocol == icmp) {
			if (!may_ping(c))
				return -EACCES;
			break;
		}
		if (protocol && protocol != LX_IPPROTO_UDP && protocol != LX_IPPROTO_UDPLITE)
			return -EPROTONOSUPPORT;
		if (!protocol)
			protocol = LX_IPPROTO_UDP;
		break;
	case LX_SOCK_RAW:
		if (!cred_capable_in(c->cred, net_ns_owner(c->net), LX_CAP_NET_RAW))
			return -EPERM;
		if (protocol <= 0 || protocol > 255)
			return protocol ? -EINVAL : -EPROTONOSUPPORT;
		break;
	default:
		return -ESOCKTNOSUPPORT;
	}
	i = type == LX_SOCK_RAW || protocol == icmp ? icmp_new(c, family, type, protocol)
						    : inet_new(c, family, type, protocol);
	if (!i)
		return -ENOMEM;
	*ret = &i->s;
	return 0;
}

static int
create4(const struct call *c, int type, int protocol, struct sock **ret)
{
	return create(c, LX_AF_INET, type, protocol, ret);
}

static int
create6(const struct call *c, int type, int protocol, struct sock **ret)
{
	return create(c, LX_AF_INET6, type, protocol, ret);
}

void
inet_init(void)
{
	static const struct sock_family v4 = {LX_AF_INET, SOCK_OWN_STACK, create4, NULL},
					v6 = {LX_AF_INET6, SOCK_OWN_STACK, create6, NULL};

	inet_table_init();
	tcp_wire_init();
	inet_input_init(netlink_link_news, netlink_addr_news);
	sock_family_register(&v4);
	sock_family_register(&v6);
}

/* --- what the kinds without connections share --- */

int
inet_dgram_shutdown(struct sock *s, int how)
{
	int err = 0;

	mutex_lock(&s->lock);
	if (!is(s)->connected)
		err = -ENOTCONN;
	s->shut_rd |= how != LX_SHUT_WR;
	s->shut_wr |= how != LX_SHUT_RD;
	mutex_unlock(&s->lock);
	waitq_notify(&s->wq, ~0u);
	return err;
}

int
inet_dgram_listen(struct sock *s, const struct call *c, int backlog)
{
	(void)s, (void)c, (void)backlog;
	return -EOPNOTSUPP;
}

/* --- options --- */

struct option {
	int level, opt;
	int32_t min, max, def;
};

/* Options that do nothing one could see between two sockets of one machine, or that tune what the
 * stack below us does: kept and shown. What changes what a program receives is not in this list. */
static const struct option kept[] = {
	{LX_SOL_TCP, 1, 0, 1, 0},		   /* TCP_NODELAY */
	{LX_SOL_TCP, 2, 88, 32767, 65483},	   /* TCP_MAXSEG */
	{LX_SOL_TCP, 3, 0, 1, 0},		   /* TCP_CORK */
	{LX_SOL_TCP, 4, 1, 32767, 7200},	   /* TCP_KEEPIDLE */
	{LX_SOL_TCP, 5, 1, 32767, 75},		   /* TCP_KEEPINTVL */
	{LX_SOL_TCP, 6, 1, 127, 9},		   /* TCP_KEEPCNT */
	{LX_SOL_TCP, 7, 1, 127, 6},		   /* TCP_SYNCNT */
	{LX_SOL_TCP, 8, INT32_MIN, INT32_MAX, 60}, /* TCP_LINGER2 */
	{LX_SOL_TCP, 9, 0, INT32_MAX,
		0}, /* TCP_DEFER_ACCEPT: here data is there with the connection */
	{LX_SOL_TCP, 10, 0, INT32_MAX, 0},	   /* TCP_WINDOW_CLAMP */
	{LX_SOL_TCP, 12, 0, 1, 1},		   /* TCP_QUICKACK */
	{LX_SOL_TCP, 18, 0, INT32_MAX, 0},	   /* TCP_USER_TIMEOUT */
	{LX_SOL_TCP, 23, 0, INT32_MAX, 0},	   /* TCP_FASTOPEN: as TCP_DEFER_ACCEPT */
	{LX_SOL_TCP, 25, INT32_MIN, INT32_MAX, 0}, /* TCP_NOTSENT_LOWAT */
	{LX_SOL_TCP, 34, 0, 1, 0},		   /* TCP_FASTOPEN_NO_COOKIE */
	{LX_SOL_IP, 1, 0, 255, 0},		   /* IP_TOS */
	{LX_SOL_IP, 2, -1, 255, 64},		   /* IP_TTL */
	{LX_SOL_IP, 6, 0, 1, 0},		   /* IP_RECVOPTS */
	{LX_SOL_IP, 7, 0, 1, 0},		   /* IP_RETOPTS: no packet has options */
	{LX_SOL_IP, 8, 0, 1, 0},		   /* IP_PKTINFO */
	{LX_SOL_IP, 10, 0, 5, 1},		   /* IP_MTU_DISCOVER */
	{LX_SOL_IP, 11, 0, 1, 0},		   /* IP_RECVERR */
	{LX_SOL_IP, 12, 0, 1, 0},		   /* IP_RECVTTL */
	{LX_SOL_IP, 13, 0, 1, 0},		   /* IP_RECVTOS */
	{LX_SOL_IP, 15, 0, 1, 0},		   /* IP_FREEBIND */
	{LX_SOL_IP, 24, 0, 1, 0},		   /* IP_BIND_ADDRESS_NO_PORT */
	{LX_SOL_IP, 33, -1, 255, 1},		   /* IP_MULTICAST_TTL */
	{LX_SOL_IP, 34, 0, 1, 1},		   /* IP_MULTICAST_LOOP */
	{LX_SOL_IPV6, 2, 0, 1, 0},		   /* IPV6_2292PKTINFO */
	{LX_SOL_IPV6, 8, 0, 1, 0},		   /* IPV6_2292HOPLIMIT */
	{LX_SOL_IPV6, 16, -1, 255, 64},		   /* IPV6_UNICAST_HOPS */
	{LX_SOL_IPV6, 18, -1, 255, 1},		   /* IPV6_MULTICAST_HOPS */
	{LX_SOL_IPV6, 19, 0, 1, 1},		   /* IPV6_MULTICAST_LOOP */
	{LX_SOL_IPV6, 23, 0, 5, 1},		   /* IPV6_MTU_DISCOVER */
	{LX_SOL_IPV6, 25, 0, 1, 0},		   /* IPV6_RECVERR */
	{LX_SOL_IPV6, 49, 0, 1, 0},		   /* IPV6_RECVPKTINFO */
	{LX_SOL_IPV6, 51, 0, 1, 0},		   /* IPV6_RECVHOPLIMIT */
	{LX_SOL_IPV6, 53, 0, 1, 0},		   /* IPV6_RECVHOPOPTS: no packet has any */
	{LX_SOL_IPV6, 56, 0, 1, 0},		   /* IPV6_RECVRTHDR */
	{LX_SOL_IPV6, 58, 0, 1, 0},		   /* IPV6_RECVDSTOPTS */
	{LX_SOL_IPV6, 60, 0, 1, 0},		   /* IPV6_RECVPATHMTU */
	{LX_SOL_IPV6, 62, 0, 1, 0},		   /* IPV6_DONTFRAG */
	{LX_SOL_IPV6, 66, 0, 1, 0},		   /* IPV6_RECVTCLASS */
	{LX_SOL_IPV6, 67, -1, 255, 0},		   /* IPV6_TCLASS */
};

#define IP_TOS		    1
#define IP_TTL		    2
#define IP_HDRINCL	    3
#define IP_MTU		    14
#define IPV6_MTU	    24
#define IP_MULTICAST_TTL    33
#define IP_MULTICAST_ALL    49
#define IPV6_UNICAST_HOPS   16
#define IPV6_MULTICAST_HOPS 18
#define IPV6_MULTICAST_LOOP 19
#define IPV6_MULTICAST_ALL  29
#define IPV6_V6ONLY	    26
#define TCP_INFO_OPT	    11
#define TCP_CONGESTION	    13

/* Those whose default is one of the network namespace. */
static const struct {
	int level, opt;
	enum net_sysctl which;
} following[] = {
	{LX_SOL_TCP, 4, NET_TCP_KEEPALIVE_TIME},
	{LX_SOL_TCP, 5, NET_TCP_KEEPALIVE_INTVL},
	{LX_SOL_TCP, 6, NET_TCP_KEEPALIVE_PROBES},
	{LX_SOL_TCP, 7, NET_TCP_SYN_RETRIES},
	{LX_SOL_IP, IP_TTL, NET_IP_DEFAULT_TTL},
	{LX_SOL_IPV6, IPV6_UNICAST_HOPS, NET6_HOP_LIMIT},
};

/* NET_SYSCTLS: none. */
static enum net_sysctl
followed(const struct option *o)
{
	for (size_t k = 0; k < sizeof following / sizeof *following; k++)
		if (following[k].level == o->level && following[k].opt == o->opt)
			return following[k].which;
	return NET_SYSCTLS;
}

static const struct option *
find_option(int level, int opt)
{
	for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
		if (kept[k].level == level && kept[k].opt == opt)
			return &kept[k];
	return NULL;
}

/* Any number turns them on. */
static bool
is_flag(const struct option *o)
{
	return o->min == 0 && o->max == 1 &&
	       !(o->level == LX_SOL_IPV6 && o->opt == IPV6_MULTICAST_LOOP);
}

static int32_t *
slot(struct inet_sock *i, const struct option *o)
{
	return o->level == LX_SOL_TCP  ? &i->tcp_opt[o->opt]
	       : o->level == LX_SOL_IP ? &i->ip_opt[o->opt]
				       : &i->ip6_opt[o->opt];
}

static int
check_level(struct sock *s, int level)
{
	if (level == LX_SOL_TCP && s->type != LX_SOCK_STREAM)
		return -ENOPROTOOPT;
	if (level == LX_SOL_IPV6 && s->family != LX_AF_INET6)
		return -ENOPROTOOPT;
	return 0;
}

#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11

/* Coverage of the checksum (udplite(7)): all, or the header at least. */
static int
udplite_setsockopt(struct inet_sock *i, int opt, const uint8_t *val, uint32_t len)
{
	int32_t v;

	if (opt != UDPLITE_SEND_CSCOV && opt != UDPLITE_RECV_CSCOV)
		return -ENOPROTOOPT;
	if (len < sizeof v)
		return -EINVAL;
	memcpy(&v, val, sizeof v);
	if (v < 0)
		v = 0;
	if (v > 0 && v < 8)
		v = 8;
	if (v > UINT16_MAX)
		v = UINT16_MAX;
	*(opt == UDPLITE_SEND_CSCOV ? &i->send_cover : &i->recv_cover) = (uint16_t)v;
	return 0;
}

int
inet_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	struct inet_sock *i = is(s);
	const struct option *o = find_option(level, opt);
	int32_t v = 0;
	int err = check_level(s, level);

	(void)c;
	if (err)
		return err;
	if (level == LX_SOL_UDPLITE && s->protocol == LX_IPPROTO_UDPLITE)
		return udplite_setsockopt(i, opt, val, len);
	if ((level == LX_SOL_RAW || level == LX_SOL_ICMPV6) && s->ops == &icmp_ops)
		return opt == 1 ? icmp_filter_set(i, val, len) : -ENOPROTOOPT;
	if (level == LX_SOL_IP && opt == IP_HDRINCL) {
		if (s->type != LX_SOCK_RAW)
			return -ENOPROTOOPT;
		if (len < 1)
			return -EINVAL;
		memcpy(&v, val, len < 4 ? 1 : 4);
		i->hdrincl = v != 0;
		return 0;
	}
	if (level == LX_SOL_TCP && opt == TCP_CONGESTION)
		return len >= 5 && (!memcmp(val, "cubic", 5) || !memcmp(val, "reno", 4)) ? 0
											 : -ENOENT;
	if ((level == LX_SOL_IP && opt == IP_MULTICAST_ALL) ||
		(level == LX_SOL_IPV6 && opt == IPV6_MULTICAST_ALL)) {
		if (len < 1 || (level == LX_SOL_IPV6 && len < 4))
			return -EINVAL;
		memcpy(&v, val, len < 4 ? 1 : 4);
		if (v != 0 && v != 1)
			return -EINVAL;
		i->own_groups_only = !v;
		return 0;
	}
	if (!o && !(level == LX_SOL_IPV6 && opt == IPV6_V6ONLY))
		return inet_multicast_set(i, level, opt, val, len);
	if (len >= 4)
		memcpy(&v, val, 4);
	else if (len >= 1 && level == LX_SOL_IP)
		v = val[0];
	else if (level != LX_SOL_IP || !o || opt == IP_TTL || opt > 13)
		return -EINVAL;
	if (!o) {
		if (i->bound)
			return -EINVAL;
		i->v6only = v != 0;
		return 0;
	}
	if (is_flag(o))
		v = v != 0;
	if (level == LX_SOL_IP && opt == IP_TOS)
		v &= 0xff;
	if (v < o->min || v > o->max)
		return -EINVAL;
	if (v == 0 && level == LX_SOL_IP && opt == IP_TTL)
		return -EINVAL;
	/* Zeroed memory means "default": kept relative to that, or by one higher if that can
	 * change.
	 */
	if (followed(o) != NET_SYSCTLS) {
		*slot(i, o) = v + 1;
		return 0;
	}
	if (v == -1 && o->min == -1)
		v = o->def;
	*slot(i, o) = v - o->def;
	return 0;
}

uint8_t
inet_ttl(const struct inet_sock *i, const struct inet_addr *to)
{
	bool v4 = inet_is_v4(to);
	int32_t own = v4 ? i->ip_opt[IP_TTL] : i->ip6_opt[IPV6_UNICAST_HOPS];

	if (inet_is_multicast(to)) {
		/* kept relative to 1 */
		own = 1 + (v4 ? i->ip_opt[IP_MULTICAST_TTL] : i->ip6_opt[IPV6_MULTICAST_HOPS]);
		return (uint8_t)(own < 0 ? 1 : own);
	}
	return own ? (uint8_t)(own - 1) : inet_ttl_usual(i->s.net, v4);
}

uint8_t
inet_ttl_usual(const struct net_ns *net, bool v4)
{
	return (uint8_t)(v4 ? net_sysctl(net, NET_IP_DEFAULT_TTL, 0)
			    : net_sysctl(net, NET6_HOP_LIMIT, NET_CONF_LO));
}

/* struct tcp_info, member by member. A connection within the namespace knows no segments. */
static void
fill_tcp_info(struct sock *s, uint8_t b[104])
{
	struct tcp_conn_info x = {.snd_mss = 65483, .rcv_mss = 65483, .rtt_us = 50};
	bool over_wire = tcp_wire_info(s, &x);
	const uint32_t words[] = {x.rto_us, 0 /* ato */, x.snd_mss, x.rcv_mss, x.unacked, 0, 0, 0,
		0, 0, 0, 0, 0, 0 /* pmtu */, 0, x.rtt_us, x.rttvar_us, x.ssthresh, x.cwnd, 0, 0, 0,
		0, x.total_retrans};

	memset(b, 0, 104);
	mutex_lock(&s->lock);
	b[0] = (uint8_t)tcp_state(is(s));
	mutex_unlock(&s->lock);
	if (over_wire) {
		b[2] = (uint8_t)(x.retransmits < 255 ? x.retransmits : 255);
		b[5] = (uint8_t)(x.timestamps | x.wscale_ok << 2); /* TCPI_OPT_* */
		b[6] = (uint8_t)(x.snd_wscale | x.rcv_wscale << 4);
	}
	memcpy(b + 8, words, sizeof words);
}

/* IP_MTU, IPV6_MTU: of the way to whom s is connected to. -ENOTCONN. */
static int32_t
path_mtu(struct sock *s)
{
	struct inet_hop hop = {.oif = NET_LO_INDEX};
	struct inet_addr to, from;
	bool connected;

	mutex_lock(&s->lock);
	connected = is(s)->connected;
	to = is(s)->remote;
	from = is(s)->local;
	mutex_unlock(&s->lock);
	if (!connected)
		return -ENOTCONN;
	if (inet_route_packet(s->net, &to, &from, s->bound_dev, &hop) != INET_OUT)
		hop.oif = NET_LO_INDEX;
	return (int32_t)net_pmtu(s->net, to.ip, hop.oif);
}

int
inet_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	struct inet_sock *i = is(s);
	const struct option *o;
	int32_t v;
	int err;

	(void)c;
	if (level == LX_SOL_SOCKET)
		return -ENOPROTOOPT;
	err = check_level(s, level);
	if (err)
		return err;
	if ((level == LX_SOL_RAW || level == LX_SOL_ICMPV6) && s->ops == &icmp_ops)
		return opt == 1 ? icmp_filter_get(i, val, len) : -ENOPROTOOPT;
	if (level == LX_SOL_TCP && opt == TCP_INFO_OPT) {
		uint8_t info[104];

		fill_tcp_info(s, info);
		if (*len > sizeof info)
			*len = sizeof info;
		memcpy(val, info, *len);
		return 0;
	}
	if (level == LX_SOL_TCP && opt == TCP_CONGESTION) {
		char name[16] = "cubic";

		if (*len > sizeof name)
			*len = sizeof name;
		memcpy(val, name, *len);
		return 0;
	}
	if (level == LX_SOL_UDPLITE && s->protocol == LX_IPPROTO_UDPLITE &&
		(opt == UDPLITE_SEND_CSCOV || opt == UDPLITE_RECV_CSCOV)) {
		v = opt == UDPLITE_SEND_CSCOV ? i->send_cover : i->recv_cover;
	} else if (level == LX_SOL_IP && opt == IP_HDRINCL) {
		v = i->hdrincl;
	} else if (level == LX_SOL_IPV6 && opt == IPV6_V6ONLY) {
		v = i->v6only;
	} else if ((level == LX_SOL_IP && opt == IP_MULTICAST_ALL) ||
		   (level == LX_SOL_IPV6 && opt == IPV6_MULTICAST_ALL)) {
		v = !i->own_groups_only;
	} else if ((level == LX_SOL_IP && opt == IP_MTU) ||
		   (level == LX_SOL_IPV6 && opt == IPV6_MTU)) {
		v = path_mtu(s);
		if (v < 0)
			return v;
	} else if (inet_multicast_get(i, level, opt, (uint8_t *)&v) == 0) {
		;
	} else {
		o = find_option(level, opt);
		if (!o)
			return -ENOPROTOOPT;
		v = *slot(i, o);
		if (followed(o) == NET_SYSCTLS)
			v += o->def;
		else
			v = v ? v - 1 : net_sysctl(s->net, followed(o), 0);
	}
	if (*len > 4)
		*len = 4;
	memcpy(val, &v, *len);
	return 0;
}

bool
inet_describe(struct sock *s, struct sock_info *x)
{
	struct inet_sock *i = is(s);
	bool tcp = s->protocol == LX_IPPROTO_TCP;

	mutex_lock(&s->lock);
	memcpy(x->local_ip, i->local.ip, 16);
	memcpy(x->remote_ip, i->remote.ip, 16);
	x->local_port = i->local.port;
	x->remote_port = i->remote.port;
	x->state = tcp ? (uint8_t)tcp_state(i) : i->connected ? TCP_ESTABLISHED : TCP_CLOSE;
	if (s->listening)
		x->rcv_bytes = (uint32_t)i->nr_accept;
	mutex_unlock(&s->lock);
	if (i->likeness)
		return false;
	return tcp ? s->listening || i->connected || i->connecting : i->bound;
}
