/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes in and out by an interface beside lo. No lock is held while it goes. Linux:
 * net/core/dev.c, net/ipv4/ip_input.c, ip_output.c.
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/net/packet.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct net_input input;

void
net_input_set(const struct net_input *in)
{
	input = *in;
}

const struct net_input *
net_input(void)
{
	return &input;
}

static void
count(struct net_dev *d, bool out, size_t n)
{
	atomic_fetch_add_explicit(&d->packets[out], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->bytes[out], n, memory_order_relaxed);
}

/* --- in --- */

/* Is it long enough, and what it says to be? Then *n is its own length. */
static bool
is_ip(bool v6, const uint8_t *ip, size_t *n, bool checked)
{
	size_t head, whole;

	if (*n < (v6 ? IP6_HEADER : IP_HEADER) || ip[0] >> 4 != (v6 ? 6 : 4))
		return false;
	head = v6 ? IP6_HEADER : (size_t)(ip[0] & 15) * 4;
	whole = v6 ? IP6_HEADER + get_be16(ip + 4) : get_be16(ip + 2);
	if (head < IP_HEADER || whole < head || whole > *n)
		return false;
	*n = whole;
	if (v6 || checked)
		return true;
	return ip_sum_is_right(ip_sum_add(0, ip, head));
}

static void
ip_input(struct net_ns *ns, struct net_dev *d, bool v6, const uint8_t *ip, size_t n, bool checked)
{
	uint8_t *whole = NULL;

	if (!is_ip(v6, ip, &n, checked))
		return;
	if (ip_is_piece(v6, ip, n)) {
		if (ip_frags_add(ns->frags, d->index, v6, ip, n, sched_now_ns(), &whole, &n))
			return;
		ip = whole;
		checked = false;
	}
	if (d->tap && v6 && n > IP6_HEADER && ip[6] == 58 && ip[IP6_HEADER] >= 133 &&
		ip[IP6_HEADER] <= 137)
		resolve_nd_input(ns, d, ip, n);
	input.ip(ns, d->index, v6, ip, n, checked);
	free(whole);
}

static void
frame_input(struct net_ns *ns, struct net_dev *d, const uint8_t *p, size_t n, bool checked)
{
	uint16_t protocol = get_be16(p + 12);
	struct net_link l;

	if (!net_dev_link(d, &l))
		return;
	if (input.has_taps(ns))
		input.show(ns, &l, false, protocol, p, n, NULL);
	if (!(p[0] & 1) && memcmp(p, l.hwaddr, 6) != 0)
		return; /* somebody else's */
	if (protocol == ETH_P_ARP)
		resolve_arp_input(ns, d, p, n);
	else if (protocol == ETH_P_IP || protocol == ETH_P_IPV6)
		ip_input(ns, d, protocol == ETH_P_IPV6, p + ETH_HEADER, n - ETH_HEADER, checked);
}

static void
packet_input(struct net_ns *ns, struct net_dev *d, const uint8_t *p, size_t n, bool checked)
{
	bool v6 = n && p[0] >> 4 == 6;
	struct net_link l;

	if (input.has_taps(ns) && net_dev_link(d, &l))
		input.show(ns, &l, false, v6 ? ETH_P_IPV6 : ETH_P_IP, p, n, NULL);
	ip_input(ns, d, v6, p, n, checked);
}

int
net_dev_input(struct net_dev *d, const uint8_t *p, size_t n, bool checked)
{
	struct net_ns *ns = net_dev_ns(d);
	bool up;

	if (!ns)
		return -EIO;
	mutex_lock(&ns->lock);
	up = d->up;
	mutex_unlock(&ns->lock);
	if (!up || n < (d->tap ? ETH_HEADER : 1)) {
		net_ns_put(ns);
		return up ? -EINVAL : -EIO;
	}
	count(d, false, n);
	if (d->tap)
		frame_input(ns, d, p, n, checked);
	else
		packet_input(ns, d, p, n, checked);
	net_ns_put(ns);
	return 0;
}

/* --- out --- */

static void
send_from(struct net_ns *ns, struct net_dev *d, uint16_t protocol, const uint8_t *p, size_t n,
	const struct sock *from)
{
	struct net_link l;

	if (input.has_taps(ns) && net_dev_link(d, &l))
		input.show(ns, &l, true, protocol, p, n, from);
	if (d->ops->transmit(d->driver, p, n))
		count(d, true, n);
	else
		net_dev_count(d, true, false);
}

void
dev_send(struct net_ns *ns, struct net_dev *d, uint16_t protocol, const uint8_t *p, size_t n)
{
	send_from(ns, d, protocol, p, n, NULL);
}

int
net_dev_send(struct net_ns *ns, int32_t oif, uint16_t protocol, const uint8_t *p, size_t n,
	const struct sock *from)
{
	struct net_dev *d = net_dev_find(ns, oif, NULL);
	bool up;

	if (!d)
		return -ENODEV;
	mutex_lock(&ns->lock);
	up = d->up;
	mutex_unlock(&ns->lock);
	if (up)
		send_from(ns, d, protocol, p, n, from);
	net_dev_put(d);
	return up ? 0 : -ENETDOWN;
}

struct leaving {
	struct net_ns *ns;
	struct net_dev *d;
	bool v6;
	const uint8_t *next_hop;
};

static int
leave(void *arg, const uint8_t *ip, size_t n)
{
	const struct leaving *o = arg;

	if (o->d->tap)
		return resolve_output(o->ns, o->d, o->v6, o->next_hop, ip, n);
	dev_send(o->ns, o->d, o->v6 ? ETH_P_IPV6 : ETH_P_IP, ip, n);
	return 0;
}

int
net_dev_output(struct net_ns *ns, int32_t oif, const uint8_t *next_hop, bool v6, const uint8_t *ip,
	size_t n, uint32_t path_mtu)
{
	static _Atomic uint32_t next_id;
	struct leaving o = {ns, net_dev_find(ns, oif, NULL), v6, next_hop};
	uint32_t mtu;
	bool up;
	int err;

	if (!o.d)
		return -ENETDOWN;
	mutex_lock(&ns->lock);
	up = o.d->up;
	mtu = path_mtu < o.d->mtu ? path_mtu : o.d->mtu;
	mutex_unlock(&ns->lock);
	if (!up) {
		err = -ENETDOWN;
	} else if (n > mtu && !v6 && ip[6] & 0x40) {
		err = -EMSGSIZE;
	} else {
		err = ip_cut(v6, ip, n, mtu, atomic_fetch_add(&next_id, 1), leave, &o);
	}
	net_dev_put(o.d);
	return err;
}
