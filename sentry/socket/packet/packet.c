/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_PACKET (packet(7)). On lo each packet is seen as it leaves and as it comes in. No rings to
 * send from, none of version 3, no fanout. Locks: each namespace has a list of those to which
 * something can come, under its taps' lock.
 */
#include "sentry/bpf/packet.h"
#include "abi/poll.h"
#include "ring.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/dev.h"
#include "sentry/socket/socket.h"
#include "sentry/socket/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ETH_ALEN   6
#define SOL_PACKET 263

enum pkttype { PKT_HOST, PKT_BROADCAST, PKT_MULTICAST, PKT_OTHERHOST, PKT_OUTGOING };

enum packet_opt {
	PACKET_ADD_MEMBERSHIP = 1,
	PACKET_DROP_MEMBERSHIP = 2,
	PACKET_RX_RING = 5,
	PACKET_STATISTICS = 6,
	PACKET_AUXDATA = 8,
	PACKET_VERSION = 10,
	PACKET_HDRLEN = 11,
	PACKET_RESERVE = 12,
	PACKET_IGNORE_OUTGOING = 23,
};

struct packet_mreq {
	int32_t ifindex;
	uint16_t type, alen;
	uint8_t addr[8];
};

struct tpacket_auxdata {
	uint32_t status, len, snaplen;
	uint16_t mac, net, vlan_tci, vlan_tpid;
};

#define MEMBERSHIPS 4 /* multicast, promiscuous, all multicast, unicast */

struct packet_sock {
	struct sock s;
	struct list node;  /* while protocol is not 0 */
	uint16_t protocol; /* host order; 0: nothing comes; taps' lock and s.lock to write it */
	/* under s.lock */
	int32_t ifindex; /* 0: of all interfaces */
	bool auxdata, ignore_outgoing;
	uint32_t members[MEMBERSHIPS];
	uint32_t packets, drops; /* since they were last asked for */
	enum packet_version version;
	uint32_t reserve;
	struct packet_ring *ring; /* or NULL: packets go to the queue */
};

static struct packet_sock *
ps(struct sock *s)
{
	return (struct packet_sock *)s;
}

static bool
sees_ip(uint16_t protocol)
{
	return protocol == ETH_P_ALL || protocol == ETH_P_IP || protocol == ETH_P_IPV6;
}

/* In no list any longer; the lock of t, p's namespace's, is held. */
static void
leave_locked(struct net_taps *t, struct packet_sock *p)
{
	if (list_empty(&p->node))
		return;
	list_del(&p->node);
	atomic_fetch_sub(&t->nr_frames, 1);
	if (sees_ip(p->protocol))
		atomic_fetch_sub(&t->nr_packet, 1);
}

static void
leave(struct packet_sock *p)
{
	struct net_taps *t = net_ns_taps(p->s.net);

	mutex_lock(&t->lock);
	leave_locked(t, p);
	mutex_unlock(&t->lock);
}

/* To p comes now what is of protocol. Both locks are held. */
static void
set_protocol_locked(struct net_taps *t, struct packet_sock *p, uint16_t protocol)
{
	leave_locked(t, p);
	p->protocol = protocol;
	if (!protocol)
		return;
	list_push_back(&t->packet, &p->node);
	atomic_fetch_add(&t->nr_frames, 1);
	if (sees_ip(protocol))
		atomic_fetch_add(&t->nr_packet, 1);
}

/* --- coming in --- */

/* A packet as it went by. */
struct seen {
	const struct net_link *link;
	uint16_t protocol;
	enum pkttype type;
	const uint8_t *p;
	size_t len, head; /* with a header of so many bytes */
};

static const struct net_link lo = {
	.index = NET_LO_INDEX, .type = LX_ARPHRD_LOOPBACK, .hwaddr_len = ETH_ALEN};

static enum pkttype
type_of(const uint8_t *frame, const uint8_t *mine)
{
	static const uint8_t all[ETH_ALEN] = {255, 255, 255, 255, 255, 255};

	if (memcmp(frame, mine, ETH_ALEN) == 0)
		return PKT_HOST;
	if (memcmp(frame, all, ETH_ALEN) == 0)
		return PKT_BROADCAST;
	return frame[0] & 1 ? PKT_MULTICAST : PKT_OTHERHOST;
}

static void
hand_to(struct packet_sock *p, const struct seen *x)
{
	size_t skip = p->s.type == LX_SOCK_DGRAM ? x->head : 0;
	struct filter_packet k = {x->p + skip, (uint32_t)(x->len - skip), x->protocol,
		(uint8_t)x->type, x->link->index, x->link->type};
	struct sockaddr_ll from = {LX_AF_PACKET, htons(x->protocol), x->link->index, x->link->type,
		(uint8_t)x->type, x->link->hwaddr_len ? ETH_ALEN : 0, {0}};
	struct skb *b;
	uint32_t snap;

	mutex_lock(&p->s.lock);
	if (p->s.closed || (p->protocol != ETH_P_ALL && p->protocol != x->protocol) ||
		(x->type == PKT_OUTGOING && (p->protocol != ETH_P_ALL || p->ignore_outgoing)) ||
		(p->ifindex && p->ifindex != x->link->index)) {
		mutex_unlock(&p->s.lock);
		return;
	}
	snap = sock_filter_run(p->s.filter, &k);
	if (snap > k.len)
		snap = k.len;
	if (!snap) {
		mutex_unlock(&p->s.lock);
		return;
	}
	p->packets++;
	if (x->head)
		memcpy(from.addr, x->p + ETH_ALEN, ETH_ALEN);
	if (p->ring) {
		struct ring_packet r = {k.p, k.len, snap, (uint32_t)(x->head - skip), from,
			sock_stamp(), p->drops != 0};

		if (!packet_ring_add(p->ring, &r))
			p->drops++;
		mutex_unlock(&p->s.lock);
		waitq_notify(&p->s.wq, LX_POLLIN | LX_POLLRDNORM);
		return;
	}
	b = skb_full_locked(&p->s) ? NULL : skb_new(snap);
	if (!b) {
		p->drops++;
		mutex_unlock(&p->s.lock);
		return;
	}
	memcpy(b->data, k.p, snap);
	b->len = snap;
	memcpy(b->addr, &from, sizeof from);
	b->addr_len = sizeof from;
	b->meta.whole = k.len;
	b->meta.got = snap;
	if (p->s.stamp)
		b->meta.stamp_ns = sock_stamp();
	skb_queue_locked(&p->s, b);
	mutex_unlock(&p->s.lock);
	waitq_notify(&p->s.wq, LX_POLLIN | LX_POLLRDNORM);
}

static void
show(struct net_ns *net, const struct seen *x, const struct sock *from)
{
	struct net_taps *t = net_ns_taps(net);
	struct packet_sock *p;

	mutex_lock(&t->lock);
	list_for_each_entry (p, &t->packet, node)
		if (&p->s != from)
			hand_to(p, x);
	mutex_unlock(&t->lock);
}

void
packet_show(struct net_ns *net, const uint8_t *frame, size_t len, const struct sock *from)
{
	static const uint8_t mine[ETH_ALEN];
	struct seen x = {
		&lo, (uint16_t)(frame[12] << 8 | frame[13]), PKT_OUTGOING, frame, len, ETH_HEADER};

	show(net, &x, from);
	x.type = type_of(frame, mine);
	show(net, &x, NULL);
}

bool
packet_has_any(struct net_ns *net)
{
	return atomic_load_explicit(&net_ns_taps(net)->nr_frames, memory_order_relaxed);
}

void
packet_show_link(struct net_ns *net, const struct net_link *l, bool out, uint16_t protocol,
	const uint8_t *p, size_t n, const struct sock *from)
{
	struct seen x = {
		l, protocol, out ? PKT_OUTGOING : PKT_HOST, p, n, l->hwaddr_len ? ETH_HEADER : 0};

	if (!out && x.head)
		x.type = type_of(p, l->hwaddr);
	show(net, &x, from);
}

void
packet_show_ip(struct net_ns *net, bool v6, const uint8_t *ip, size_t len)
{
	uint16_t protocol = v6 ? ETH_P_IPV6 : ETH_P_IP;
	uint8_t *frame = calloc(1, ETH_HEADER + len);

	if (!frame)
		return;
	frame[12] = (uint8_t)(protocol >> 8);
	frame[13] = (uint8_t)protocol;
	memcpy(frame + ETH_HEADER, ip, len);
	packet_show(net, frame, ETH_HEADER + len, NULL);
	free(frame);
}

static ssize_t
packet_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	uint32_t freed;
	ssize_t n;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EINVAL;
	if (m->flags & LX_MSG_ERRQUEUE)
		return -EAGAIN;
	n = sock_error_take(s);
	if (n)
		return n;
	n = sock_packet_take(s, m, &freed);
	m->nctl = 0;
	if (n >= 0 && ps(s)->auxdata) {
		struct tpacket_auxdata aux = {.status = 1, /* TP_STATUS_USER */
			.len = m->meta.whole,
			.snaplen = m->meta.got,
			.net = s->type == LX_SOCK_RAW ? ETH_HEADER : 0};
		struct sock_ctl *ctl = &m->ctl[m->nctl++];

		*ctl = (struct sock_ctl){SOL_PACKET, PACKET_AUXDATA, sizeof aux, {0}};
		memcpy(ctl->data, &aux, sizeof aux);
	}
	return n;
}

/* --- going out --- */

/* A frame of this socket's, or a packet for an interface without a header. */
static int
frame_in(struct sock *s, struct sock_msg *m, struct net_link *ret_link, uint16_t *ret_protocol,
	uint8_t **ret, size_t *ret_len)
{
	struct packet_sock *p = ps(s);
	struct sockaddr_ll to = {.family = LX_AF_PACKET};
	size_t n = m->uio->left, hard, head;
	struct net_link link;
	uint8_t *frame;
	int err;

	mutex_lock(&s->lock);
	to.ifindex = p->ifindex;
	to.protocol = htons(p->protocol);
	mutex_unlock(&s->lock);
	if (m->addr_len) {
		if (m->addr_len < sizeof to)
			return -EINVAL;
		memcpy(&to, m->addr, sizeof to);
		if (s->type == LX_SOCK_DGRAM &&
			(to.halen > sizeof to.addr || m->addr_len < 12u + to.halen))
			return -EINVAL;
	}
	err = to.ifindex > 0 ? net_link_find(s->net, to.ifindex, NULL, &link) : -ENXIO;
	if (err)
		return -ENXIO;
	if (!(link.flags & 1))
		return -ENETDOWN;
	hard = link.hwaddr_len ? ETH_HEADER : 0;
	head = s->type == LX_SOCK_DGRAM ? hard : 0;
	if (n + head < hard || !(n + head))
		return -EINVAL;
	if (n + head > link.mtu + hard)
		return -EMSGSIZE;
	frame = calloc(1, n + head);
	if (!frame)
		return -ENOBUFS;
	if (n && uio_copy_from(m->uio, frame + head, n) != (ssize_t)n) {
		free(frame);
		return -EFAULT;
	}
	if (head) {
		memcpy(frame, to.addr, ETH_ALEN);
		memcpy(frame + ETH_ALEN, link.hwaddr, ETH_ALEN);
		memcpy(frame + 12, &to.protocol, 2);
	}
	*ret_protocol = hard ? get_be16(frame + 12) : ntohs(to.protocol);
	*ret_link = link;
	*ret = frame;
	*ret_len = n + head;
	return 0;
}

static ssize_t
packet_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	static const uint8_t mine[ETH_ALEN];
	size_t n = m->uio->left, len;
	struct net_link link;
	uint16_t protocol;
	uint8_t *frame;
	int err;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EINVAL;
	err = frame_in(s, m, &link, &protocol, &frame, &len);
	if (err)
		return err;
	if (link.index != NET_LO_INDEX) {
		err = net_dev_send(s->net, link.index, protocol, frame, len, s);
		free(frame);
		return err ? err : (ssize_t)n;
	}
	net_lo_count(s->net, len - ETH_HEADER);
	packet_show(s->net, frame, len, s);
	if (type_of(frame, mine) != PKT_OTHERHOST &&
		(protocol == ETH_P_IP || protocol == ETH_P_IPV6))
		inet_take_packet(
			s->net, protocol == ETH_P_IPV6, frame + ETH_HEADER, len - ETH_HEADER);
	free(frame);
	return (ssize_t)n;
}

/* --- names and options --- */

static int
packet_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	struct net_taps *t = net_ns_taps(s->net);
	struct sockaddr_ll a;
	struct net_link link;

	(void)c;
	if (len < sizeof a)
		return -EINVAL;
	memcpy(&a, addr, sizeof a);
	if (a.family != LX_AF_PACKET)
		return -EINVAL;
	if (a.ifindex && (a.ifindex < 0 || net_link_find(s->net, a.ifindex, NULL, &link)))
		return -ENODEV;
	mutex_lock(&t->lock);
	mutex_lock(&s->lock);
	ps(s)->ifindex = a.ifindex;
	if (a.protocol)
		set_protocol_locked(t, ps(s), ntohs(a.protocol));
	if (a.ifindex && !(link.flags & 1))
		s->err = ENETDOWN;
	mutex_unlock(&s->lock);
	mutex_unlock(&t->lock);
	return 0;
}

static int
packet_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len)
{
	struct sockaddr_ll a = {.family = LX_AF_PACKET};
	struct net_link link;

	if (peer)
		return -EOPNOTSUPP;
	mutex_lock(&s->lock);
	a.ifindex = ps(s)->ifindex;
	a.protocol = htons(ps(s)->protocol);
	mutex_unlock(&s->lock);
	if (a.ifindex && net_link_find(s->net, a.ifindex, NULL, &link) == 0) {
		a.hatype = link.type;
		a.halen = link.hwaddr_len ? ETH_ALEN : 0;
		memcpy(a.addr, link.hwaddr, a.halen);
	}
	memcpy(addr, &a, sizeof a);
	*len = 12u + a.halen;
	return 0;
}

static int
membership(struct packet_sock *p, int opt, const uint8_t *val, uint32_t len)
{
	struct packet_mreq m = {0};
	struct net_link link;

	if (len < sizeof m)
		return -EINVAL;
	memcpy(&m, val, sizeof m);
	if (len < sizeof m - sizeof m.addr + m.alen)
		return -EINVAL;
	if (net_link_find(p->s.net, m.ifindex, NULL, &link))
		return opt == PACKET_ADD_MEMBERSHIP ? -ENODEV : 0;
	if (m.type >= MEMBERSHIPS || m.alen > ETH_ALEN)
		return -EINVAL;
	mutex_lock(&p->s.lock);
	/* every frame is seen as it is */
	if (opt == PACKET_ADD_MEMBERSHIP)
		p->members[m.type]++;
	else if (p->members[m.type])
		p->members[m.type]--;
	mutex_unlock(&p->s.lock);
	return 0;
}

/* PACKET_RX_RING: no ring at all with block_nr 0. */
static int
set_ring(struct packet_sock *p, const uint8_t *val, uint32_t len)
{
	struct packet_ring *r = NULL, *old;
	struct tpacket_req q;
	int err = 0;

	if (len < sizeof q)
		return -EINVAL;
	memcpy(&q, val, sizeof q);
	mutex_lock(&p->s.lock);
	old = p->ring;
	if (old && (packet_ring_is_mapped(old) || q.block_nr))
		err = -EBUSY;
	else if (!q.block_nr)
		err = q.frame_nr ? -EINVAL : 0;
	else
		err = packet_ring_new(p->version, p->reserve, &q, &r);
	if (!err)
		p->ring = r;
	mutex_unlock(&p->s.lock);
	if (err)
		return err;
	packet_ring_put(old);
	sock_purge(&p->s);
	return 0;
}

/* PACKET_VERSION and PACKET_RESERVE, for the ring that is made next. */
static int
set_for_ring(struct packet_sock *p, int opt, const uint8_t *val, uint32_t len)
{
	int32_t v;
	int err = 0;

	if (len != sizeof v)
		return -EINVAL;
	memcpy(&v, val, sizeof v);
	if (opt == PACKET_VERSION ? v != TPACKET_V1 && v != TPACKET_V2 : v < 0)
		return -EINVAL;
	mutex_lock(&p->s.lock);
	if (p->ring)
		err = -EBUSY;
	else if (opt == PACKET_VERSION)
		p->version = (enum packet_version)v;
	else
		p->reserve = (uint32_t)v;
	mutex_unlock(&p->s.lock);
	return err;
}

static int
packet_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	struct packet_sock *p = ps(s);
	int32_t v;

	(void)c;
	if (level != SOL_PACKET)
		return -ENOPROTOOPT;
	if (opt == PACKET_ADD_MEMBERSHIP || opt == PACKET_DROP_MEMBERSHIP)
		return membership(p, opt, val, len);
	if (opt == PACKET_RX_RING)
		return set_ring(p, val, len);
	if (opt == PACKET_VERSION || opt == PACKET_RESERVE)
		return set_for_ring(p, opt, val, len);
	if (opt != PACKET_AUXDATA && opt != PACKET_IGNORE_OUTGOING)
		return -ENOPROTOOPT;
	if (len < sizeof v)
		return -EINVAL;
	memcpy(&v, val, sizeof v);
	if (opt == PACKET_IGNORE_OUTGOING && (v < 0 || v > 1))
		return -EINVAL;
	mutex_lock(&s->lock);
	*(opt == PACKET_AUXDATA ? &p->auxdata : &p->ignore_outgoing) = v != 0;
	mutex_unlock(&s->lock);
	return 0;
}

static int
packet_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	struct packet_sock *p = ps(s);
	uint32_t v[2] = {0}, n = sizeof *v;

	(void)c;
	if (level != SOL_PACKET)
		return -ENOPROTOOPT;
	mutex_lock(&s->lock);
	switch (opt) {
	case PACKET_STATISTICS:
		v[0] = p->packets;
		v[1] = p->drops;
		p->packets = p->drops = 0;
		n = sizeof v;
		break;
	case PACKET_AUXDATA:
		v[0] = p->auxdata;
		break;
	case PACKET_IGNORE_OUTGOING:
		v[0] = p->ignore_outgoing;
		break;
	case PACKET_VERSION:
		v[0] = p->version;
		break;
	case PACKET_RESERVE:
		v[0] = p->reserve;
		break;
	case PACKET_HDRLEN: /* of the version that is given */
		memcpy(v, val, sizeof *v);
		if (*len < sizeof *v || (*v != TPACKET_V1 && *v != TPACKET_V2)) {
			mutex_unlock(&s->lock);
			return -EINVAL;
		}
		v[0] = TPACKET_HEADER;
		break;
	default:
		mutex_unlock(&s->lock);
		return -ENOPROTOOPT;
	}
	mutex_unlock(&s->lock);
	if (*len > n)
		*len = n;
	memcpy(val, v, *len);
	return 0;
}

/* --- the rest --- */

static int
no_name(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	(void)s, (void)c, (void)addr, (void)len, (void)wait_at;
	return -EOPNOTSUPP;
}

static void
packet_close(struct sock *s)
{
	leave(ps(s));
	mutex_lock(&s->lock);
	s->closed = true;
	mutex_unlock(&s->lock);
}

static void
packet_free(struct sock *s)
{
	leave(ps(s));
	packet_ring_put(ps(s)->ring);
	sock_fini(s);
	free(ps(s));
}

static uint32_t
packet_poll(struct sock *s)
{
	uint32_t ev = sock_packet_poll(s);

	mutex_lock(&s->lock);
	if (ps(s)->ring && packet_ring_ready(ps(s)->ring))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	mutex_unlock(&s->lock);
	return ev;
}

static int
packet_mappable(struct sock *s, struct file *f, bool shared, struct mappable **ret)
{
	int err;

	mutex_lock(&s->lock);
	err = ps(s)->ring ? packet_ring_mappable(ps(s)->ring, f, shared, ret) : -EINVAL;
	mutex_unlock(&s->lock);
	return err;
}

static const struct sock_ops packet_ops = {
	.filters = true,
	.bind = packet_bind,
	.connect = no_name,
	.listen = sock_no_listen,
	.getname = packet_getname,
	.sendmsg = packet_sendmsg,
	.recvmsg = packet_recvmsg,
	.shutdown = sock_no_shutdown,
	.setsockopt = packet_setsockopt,
	.getsockopt = packet_getsockopt,
	.poll = packet_poll,
	.mappable = packet_mappable,
	.close = packet_close,
	.free = packet_free,
};

static int
create(const struct call *c, int type, int protocol, struct sock **ret)
{
	struct net_taps *t = net_ns_taps(c->net);
	struct packet_sock *p;

	if (!cred_capable_in(c->cred, net_ns_owner(c->net), LX_CAP_NET_RAW))
		return -EPERM;
	if (type != LX_SOCK_RAW && type != LX_SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	sock_init(&p->s, &packet_ops, c, LX_AF_PACKET, type, protocol);
	list_init(&p->node);
	mutex_lock(&t->lock);
	set_protocol_locked(t, p, ntohs((uint16_t)protocol));
	mutex_unlock(&t->lock);
	*ret = &p->s;
	return 0;
}

void
packet_init(void)
{
	/* Not of the host's network: what goes by there is others' too. */
	static const struct sock_family family = {LX_AF_PACKET, SOCK_OWN_STACK, create, NULL};

	sock_family_register(&family);
}
