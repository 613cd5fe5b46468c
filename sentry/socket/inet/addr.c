/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ports: decoding, the table of bound sockets and its conflict rules (ip(7),
 * socket(7)). */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/route.h"
#include "sentry/net/sysctl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define BUCKETS 1024

static struct mutex table_lock = MUTEX_INIT(SOCKTABLE);
static struct list table[BUCKETS];
static uint16_t next_port;

const uint8_t inet_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t zero16[16];
static const uint8_t loop6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

void
inet_table_init(void)
{
	for (int i = 0; i < BUCKETS; i++)
		list_init(&table[i]);
}

bool
inet_is_v4(const struct inet_addr *a)
{
	return memcmp(a->ip, inet_mapped, sizeof inet_mapped) == 0;
}

bool
inet_is_link_local(const struct inet_addr *a)
{
	return (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80) ||
	       (a->ip[0] == 0xff && (a->ip[1] & 15) <= 2);
}

bool
inet_is_any(const struct inet_addr *a)
{
	return memcmp(a->ip, zero16, 16) == 0 ||
	       (inet_is_v4(a) && memcmp(a->ip + 12, zero16, 4) == 0);
}

bool
inet_same_ip(const struct inet_addr *a, const struct inet_addr *b)
{
	return memcmp(a->ip, b->ip, 16) == 0;
}

int
inet_addr_in(struct sock *s, const uint8_t *addr, uint32_t len, struct inet_addr *ret)
{
	uint16_t family;

	if (len < sizeof family)
		return -EINVAL;
	memcpy(&family, addr, sizeof family);
	if (s->family == LX_AF_INET) {
		struct lx_sockaddr_in in;

		if (len < sizeof in)
			return -EINVAL;
		memcpy(&in, addr, sizeof in);
		if (family != LX_AF_INET && !(family == LX_AF_UNSPEC && !in.addr))
			return -EAFNOSUPPORT;
		memcpy(ret->ip, inet_mapped, sizeof inet_mapped);
		memcpy(ret->ip + 12, &in.addr, 4);
		ret->port = ntohs(in.port);
		ret->scope = 0;
	} else {
		struct lx_sockaddr_in6 in6;

		if (len < 24) /* SIN6_LEN_RFC2133 */
			return -EINVAL;
		memset(&in6, 0, sizeof in6);
		memcpy(&in6, addr, len < sizeof in6 ? len : sizeof in6);
		if (family != LX_AF_INET6)
			return -EAFNOSUPPORT;
		memcpy(ret->ip, in6.addr, 16);
		ret->port = ntohs(in6.port);
		ret->scope = inet_is_link_local(ret) ? (int32_t)in6.scope_id : 0;
	}
	return 0;
}

void
inet_addr_out(struct sock *s, const struct inet_addr *a, uint8_t *addr, uint32_t *len)
{
	if (s->family == LX_AF_INET) {
		struct lx_sockaddr_in in = {.family = LX_AF_INET, .port = htons(a->port)};

		if (inet_is_v4(a))
			memcpy(&in.addr, a->ip + 12, 4);
		memcpy(addr, &in, sizeof in);
		*len = sizeof in;
	} else {
		struct lx_sockaddr_in6 in6 = {.family = LX_AF_INET6, .port = htons(a->port)};

		memcpy(in6.addr, a->ip, 16);
		if (inet_is_link_local(a))
			in6.scope_id = (uint32_t)a->scope;
		memcpy(addr, &in6, sizeof in6);
		*len = sizeof in6;
	}
}

/* Could one packet be for both? */
static bool
overlap(const struct inet_sock *a, const struct inet_addr *aa, const struct inet_sock *b)
{
	bool any_a = inet_is_any(aa), any_b = inet_is_any(&b->local);
	bool v4_a = a->s.family == LX_AF_INET, v4_b = b->s.family == LX_AF_INET;

	if (v4_a != v4_b) {
		const struct inet_sock *six = v4_a ? b : a;
		const struct inet_addr *six_addr = v4_a ? &b->local : aa;

		if (six->v6only || (!inet_is_any(six_addr) && !inet_is_v4(six_addr)))
			return false;
	}
	return any_a || any_b || inet_same_ip(aa, &b->local);
}

static bool
conflict(const struct inet_sock *i, const struct inet_addr *a, const struct inet_sock *o)
{
	if (o->s.net != i->s.net || o->local.port != a->port || o->s.protocol != i->s.protocol ||
		!overlap(i, a, o))
		return false;
	if (i->s.reuseport && o->s.reuseport && i->s.owner.uid == o->s.owner.uid)
		return false;
	if (i->s.reuseaddr && o->s.reuseaddr && (i->s.type == LX_SOCK_DGRAM || !o->s.listening))
		return false;
	return true;
}

static bool
port_free(const struct inet_sock *i, const struct inet_addr *a)
{
	struct inet_sock *o;

	list_for_each_entry (o, &table[a->port % BUCKETS], port_node)
		if (o != i && conflict(i, a, o))
			return false;
	return true;
}

/* False: taken. A port of 0 is replaced by a free one. */
static bool
enter(struct inet_sock *i, const struct inet_addr *want)
{
	struct inet_addr a = *want;
	uint16_t first, last;
	bool ok = false;

	net_port_range(i->s.net, &first, &last);
	mutex_lock(&table_lock);
	if (a.port) {
		ok = port_free(i, &a);
	} else {
		for (int tries = 0; tries <= last - first && !ok; tries++) {
			if (next_port < first || next_port > last)
				next_port = first;
			a.port = next_port++;
			ok = !net_port_reserved(i->s.net, a.port) && port_free(i, &a);
		}
	}
	if (ok) {
		i->local = a;
		i->bound = true;
		list_push_back(&table[a.port % BUCKETS], &i->port_node);
	}
	mutex_unlock(&table_lock);
	return ok;
}

static void
any_addr(const struct sock *s, uint8_t ip[16])
{
	memset(ip, 0, 16);
	if (s->family == LX_AF_INET)
		memcpy(ip, inet_mapped, sizeof inet_mapped);
}

int
inet_autobind(struct sock *s, const struct inet_addr *ip)
{
	struct inet_addr a;

	if (is(s)->addr_asked)
		a = is(s)->local;
	else if (ip)
		a = *ip;
	else
		any_addr(s, a.ip);
	a.port = 0;
	return enter(is(s), &a) ? 0 : -EADDRNOTAVAIL;
}

void
inet_unbind(struct inet_sock *i)
{
	mutex_lock(&table_lock);
	if (i->bound)
		list_del(&i->port_node);
	i->bound = false;
	mutex_unlock(&table_lock);
}

void
inet_unask(struct inet_sock *i)
{
	if (!i->port_asked)
		inet_unbind(i);
	mutex_lock(&table_lock);
	if (!i->addr_asked)
		any_addr(&i->s, i->local.ip);
	mutex_unlock(&table_lock);
}

int
inet_take_scope(struct sock *s, const struct inet_addr *a, bool has_to)
{
	struct net_link l;
	int err = 0;

	if (!inet_is_link_local(a) || a->ip[0] == 0xff)
		return 0;
	if (a->scope && net_link_find(s->net, a->scope, NULL, &l) < 0)
		return -ENODEV;
	mutex_lock(&s->lock);
	if (s->bound_dev && a->scope && s->bound_dev != a->scope)
		err = -EINVAL;
	else if (a->scope && has_to)
		s->bound_dev = a->scope;
	else if (!s->bound_dev && has_to)
		err = -EINVAL;
	mutex_unlock(&s->lock);
	return err;
}

int
inet_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	struct inet_sock *i = is(s);
	struct inet_addr a;
	int err = inet_addr_in(s, addr, len, &a);

	if (err)
		return err;
	if (s->family == LX_AF_INET6 && i->v6only && inet_is_v4(&a))
		return -EINVAL;
	err = inet_take_scope(s, &a, true);
	if (err)
		return err;
	a.scope = s->bound_dev;
	if (!inet_is_any(&a) && !net_may_bind(s->net, a.ip) &&
		!net_sysctl(s->net,
			s->family == LX_AF_INET ? NET_IP_NONLOCAL_BIND : NET_IP6_NONLOCAL_BIND,
			0) &&
		!(s->type == LX_SOCK_DGRAM && inet_is_multicast(&a)))
		return -EADDRNOTAVAIL;
	if (a.port && a.port < net_ns_low_ports(s->net) &&
		!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_BIND_SERVICE))
		return -EACCES;
	mutex_lock(&s->lock);
	err = i->bound || i->connected || s->listening ? -EINVAL : 0;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	if (!enter(i, &a))
		return -EADDRINUSE;
	i->addr_asked = !inet_is_any(&a);
	i->port_asked = a.port;
	return 0;
}

/* SO_BINDTODEVICE */
static bool
comes_by(const struct sock *s, int32_t iif)
{
	return !s->bound_dev || s->bound_dev == (iif ? iif : NET_LO_INDEX);
}

struct sock *
inet_find(const struct net_ns *net, int protocol, bool listening, const struct inet_addr *to,
	const struct inet_addr *from, int32_t iif)
{
	struct inet_sock *o, *best = NULL;
	int best_score = -1;
	unsigned same = 0;

	mutex_lock(&table_lock);
	list_for_each_entry (o, &table[to->port % BUCKETS], port_node) {
		int score = 0;

		if (o->s.net != net || o->local.port != to->port || o->s.protocol != protocol ||
			o->s.closed || !comes_by(&o->s, iif))
			continue;
		if (listening && !o->s.listening)
			continue;
		if (o->s.family == LX_AF_INET && !inet_is_v4(to))
			continue;
		if (o->s.family == LX_AF_INET6 && o->v6only && inet_is_v4(to))
			continue;
		if (!inet_is_any(&o->local)) {
			if (!inet_same_ip(&o->local, to))
				continue;
			score += 2;
		}
		if (o->s.family == (inet_is_v4(to) ? LX_AF_INET : LX_AF_INET6))
			score += 1;
		if (!listening && o->connected) {
			if (o->remote.port != from->port || !inet_same_ip(&o->remote, from))
				continue;
			score += 4;
		}
		if (score > best_score) {
			best_score = score;
			best = o;
			same = 1;
		} else if (score == best_score && o->s.reuseport) {
			/* One of the group, the same for the same sender. */
			uint32_t h = (uint32_t)(from->port * 2654435761u) ^ (uint32_t)from->ip[15];

			same++;
			if (h % same == 0)
				best = o;
		} else if (score == best_score && protocol == LX_IPPROTO_UDP) {
			best = o; /* SO_REUSEADDR datagram sockets: the last one bound gets it */
		}
	}
	if (best && !ref_get_unless_zero(&best->s.ref))
		best = NULL;
	mutex_unlock(&table_lock);
	return best ? &best->s : NULL;
}

unsigned
inet_find_all(struct net_ns *net, int protocol, const struct inet_addr *to,
	const struct inet_addr *from, int32_t iif, struct sock *ret[INET_FIND_MAX])
{
	struct inet_sock *o;
	unsigned n = 0;

	if (!inet_is_in_group(net, to, iif))
		return 0;
	mutex_lock(&table_lock);
	list_for_each_entry (o, &table[to->port % BUCKETS], port_node) {
		if (n == INET_FIND_MAX)
			break;
		if (o->s.net != net || o->local.port != to->port || o->s.protocol != protocol ||
			o->s.closed || !comes_by(&o->s, iif))
			continue;
		if (inet_is_v4(to) ? o->s.family == LX_AF_INET6 && o->v6only
				   : o->s.family == LX_AF_INET)
			continue;
		if (!inet_is_any(&o->local) && !inet_same_ip(&o->local, to))
			continue;
		if (o->connected &&
			(o->remote.port != from->port || !inet_same_ip(&o->remote, from)))
			continue;
		if (inet_gets_group(o, to, iif) && ref_get_unless_zero(&o->s.ref))
			ret[n++] = &o->s;
	}
	mutex_unlock(&table_lock);
	return n;
}

static void
flow_of(const struct sock *s, const struct inet_addr *to, const struct inet_addr *from, int32_t oif,
	struct net_flow *f)
{
	const struct inet_sock *i = (const struct inet_sock *)s;
	bool v4 = inet_is_v4(to);
	size_t skip = v4 ? 12 : 0;

	*f = (struct net_flow){.family = v4 ? LX_AF_INET : LX_AF_INET6,
		.protocol = (uint8_t)s->protocol,
		.iif = NET_LO_INDEX,
		.oif = oif ? oif : s->bound_dev,
		.mark = s->mark,
		.uid = s->owner.uid,
		.sport = i->local.port,
		.dport = to->port};
	memcpy(f->dst, to->ip + skip, 16 - skip);
	if (!inet_is_any(from) && inet_is_v4(from) == v4)
		memcpy(f->src, from->ip + skip, 16 - skip);
}

/* What the kind of a route means for s. Linux takes what it sends over lo by an IPv4 route for its
 * own, but answers from its own addresses alone. */
static int
lead(const struct sock *s, const struct net_flow *f, const struct net_path *p)
{
	bool everybody = f->family == LX_AF_INET && memcmp(f->dst, "\377\377\377\377", 4) == 0;

	if (everybody || p->route.type == LX_RTN_BROADCAST) {
		if (s->type == LX_SOCK_STREAM)
			return -ENETUNREACH;
		if (!s->broadcast)
			return -EACCES;
	}
	if (!p->up)
		return INET_LOST;
	if (p->leaves && !p->own)
		return INET_OUT;
	if (everybody || p->own || p->route.type == LX_RTN_LOCAL ||
		p->route.type == LX_RTN_BROADCAST)
		return INET_HERE;
	return f->family == LX_AF_INET ? INET_ONE_WAY : INET_LOST;
}

static int
find_way(struct sock *s, struct net_flow *f, bool connects, struct net_path *p)
{
	static const uint8_t any[16];
	int r = net_path_find(s->net, f, p);

	/* ip_route_connect */
	if (r == 0 && connects && p->has_source && f->family == LX_AF_INET &&
		memcmp(f->src, any, 4) == 0 && net_has_rules(s->net, f->family)) {
		memcpy(f->src, p->source, 4);
		r = net_path_find(s->net, f, p);
		memcpy(p->source, f->src, 4);
	}
	return r ? r : lead(s, f, p);
}

/* The way is as it was. Then *from and *ret are. */
static bool
known_way(struct sock *s, const struct inet_addr *to, struct inet_addr *from, uint64_t generation,
	struct inet_hop *hop, int *ret)
{
	struct inet_sock *i = is(s);
	bool any = inet_is_any(from), known;

	mutex_lock(&s->lock);
	known = i->path.generation == generation && (i->path.has_from || !any) &&
		memcmp(i->path.to, to->ip, 16) == 0 && i->path.dev == s->bound_dev;
	if (known && any)
		memcpy(from->ip, i->path.from, 16);
	if (known) {
		*ret = i->path.way;
		*hop = i->path.hop;
	}
	mutex_unlock(&s->lock);
	return known;
}

/* from: NULL if it was not asked for. */
static void
note_way(struct sock *s, const struct inet_addr *to, const struct inet_addr *from,
	uint64_t generation, const struct inet_hop *hop, int way)
{
	struct inet_sock *i = is(s);

	mutex_lock(&s->lock);
	i->path.generation = generation;
	memcpy(i->path.to, to->ip, 16);
	i->path.has_from = from;
	if (from)
		memcpy(i->path.from, from->ip, 16);
	i->path.way = way;
	i->path.hop = *hop;
	i->path.dev = s->bound_dev;
	mutex_unlock(&s->lock);
}

static void
loopback_of(const struct sock *s, struct inet_addr *a)
{
	if (s->family == LX_AF_INET || inet_is_v4(a)) {
		memcpy(a->ip, inet_mapped, sizeof inet_mapped);
		memcpy(a->ip + 12, (const uint8_t[4]){127, 0, 0, 1}, 4);
	} else {
		memcpy(a->ip, loop6, 16);
	}
}

static void
hop_of(const struct net_path *p, const struct net_flow *f, struct inet_hop *hop)
{
	bool everybody = f->family == LX_AF_INET && memcmp(f->dst, "\377\377\377\377", 4) == 0;

	*hop = (struct inet_hop){
		.oif = p->route.oif, .here_too = everybody || p->route.type == LX_RTN_BROADCAST};
	memcpy(hop->ip, p->route.has_gateway ? p->route.gateway : f->dst, 16);
}

int
inet_route_packet(struct net_ns *net, const struct inet_addr *to, const struct inet_addr *from,
	int32_t oif, struct inet_hop *hop)
{
	bool v4 = inet_is_v4(to);
	size_t skip = v4 ? 12 : 0;
	struct net_flow f = {
		.family = v4 ? LX_AF_INET : LX_AF_INET6, .iif = NET_LO_INDEX, .oif = oif};
	struct net_path p;
	int err;

	memcpy(f.dst, to->ip + skip, 16 - skip);
	memcpy(f.src, from->ip + skip, 16 - skip);
	err = net_path_find(net, &f, &p);
	if (err)
		return err;
	if (!p.up || !p.leaves)
		return p.up ? INET_HERE : INET_LOST;
	hop_of(&p, &f, hop);
	return INET_OUT;
}

int
inet_route(struct sock *s, struct inet_addr *to, struct inet_addr *from, bool connects, int32_t oif,
	struct inet_hop *hop)
{
	uint64_t generation = net_path_generation(s->net);
	bool any = inet_is_any(from), v4;
	struct net_path p;
	struct net_flow f;
	int r;

	if (inet_is_any(to))
		loopback_of(s, to);
	r = inet_take_scope(s, to, connects);
	if (r)
		return r;
	if (!oif && inet_is_link_local(to))
		oif = to->scope;
	if (!oif && known_way(s, to, from, generation, hop, &r))
		return r;
	flow_of(s, to, from, oif, &f);
	v4 = f.family == LX_AF_INET;
	r = find_way(s, &f, connects, &p);
	if (r < 0)
		return r;
	hop_of(&p, &f, hop);
	if (any) {
		memset(from->ip, 0, 16);
		if (v4)
			memcpy(from->ip, inet_mapped, sizeof inet_mapped);
		if (p.has_source)
			memcpy(from->ip + (v4 ? 12 : 0), p.source, v4 ? 4 : 16);
		from->scope = hop->oif;
	}
	/* With rules the way depends on all of the flow, a broadcast's on an option, and what is
	 * only assumed to be there on another. */
	if (!oif && p.found && p.route.type != LX_RTN_BROADCAST && !net_has_rules(s->net, f.family))
		note_way(s, to, any ? from : NULL, generation, hop, r);
	return r;
}

int
inet_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len)
{
	struct inet_sock *i = is(s);
	struct inet_addr a;
	int err = 0;

	mutex_lock(&s->lock);
	if (peer && (!i->connected || (s->type == LX_SOCK_STREAM && tcp_state(i) == TCP_CLOSE)))
		err = -ENOTCONN;
	a = peer ? i->remote : i->local;
	if (s->family == LX_AF_INET && !inet_is_v4(&a))
		memcpy(a.ip, inet_mapped, sizeof inet_mapped);
	mutex_unlock(&s->lock);
	if (!err)
		inet_addr_out(s, &a, addr, len);
	return err;
}
