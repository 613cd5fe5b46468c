/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7): links that are made (veth, dummy), changed, and moved to another namespace. Linux:
 * net/core/rtnetlink.c (rtnl_newlink, do_setlink).
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/dev.h"
#include <errno.h>
#include <string.h>

#define HEAD sizeof(struct lx_ifinfomsg)

/* The name that a request gives, or "". */
static void
take_name(const struct nl_request *rq, char name[16])
{
	size_t len = 0;
	const uint8_t *a = nl_attr(rq, HEAD, LX_IFLA_IFNAME, &len);

	memset(name, 0, 16);
	if (a)
		memcpy(name, a, len < 16 ? len : 15);
}

/* The namespace that a request names, a reference; that of the socket, if it names none. -EINVAL,
 * -ESRCH, -EPERM. */
static int
take_ns(struct net_ns *own, const struct call *c, const struct nl_request *rq, struct net_ns **ret)
{
	int32_t v;
	int r = nl_take_attr(rq, HEAD, LX_IFLA_NET_NS_PID, &v, sizeof v);

	if (r < 0)
		return r;
	if (r > 0) {
		*ret = net_ns_of_pid(c, v);
		if (!*ret)
			return -ESRCH;
	} else {
		r = nl_take_attr(rq, HEAD, LX_IFLA_NET_NS_FD, &v, sizeof v);
		if (r < 0)
			return r;
		*ret = r > 0 ? net_ns_of_fd(c, v) : net_ns_get(own);
		if (!*ret)
			return -EINVAL;
	}
	if (*ret != own && !cred_capable_in(c->cred, net_ns_owner(*ret), LX_CAP_NET_ADMIN)) {
		net_ns_put(*ret);
		return -EPERM;
	}
	return 0;
}

/* What a request asks for beside a name, a namespace and flags. */
static int
set_attributes(struct net_ns *net, const struct nl_request *rq, int32_t index)
{
	uint32_t v;
	uint8_t mac[6];
	int r = nl_take_attr(rq, HEAD, LX_IFLA_MTU, &v, sizeof v);

	if (r > 0)
		r = net_link_set_mtu(net, index, v);
	if (r < 0)
		return r;
	r = nl_take_attr(rq, HEAD, LX_IFLA_TXQLEN, &v, sizeof v);
	if (r > 0)
		r = net_link_set_txqlen(net, index, v);
	if (r < 0)
		return r;
	r = nl_take_attr(rq, HEAD, LX_IFLA_ADDRESS, mac, sizeof mac);
	if (r > 0)
		r = net_link_set_hwaddr(net, index, mac);
	return r < 0 ? r : 0;
}

static int
set_flags(struct net_ns *net, const struct lx_ifinfomsg *m, int32_t index)
{
	/* Without a mask, all of the flags are meant. */
	uint32_t mask = m->change ? m->change : m->flags ? ~0u : 0;
	int r = 0;

	if (mask != ~0u && mask & ~(uint32_t)LX_IFF_UP)
		r = net_link_set_flags(net, index, m->flags, mask);
	if (r == 0 && mask & LX_IFF_UP)
		r = net_link_set_up(net, index, m->flags & LX_IFF_UP);
	return r;
}

/* --- made --- */

/* The attributes within one of a request's, behind a head of so many bytes. False: it is not there,
 * or too short. */
static bool
inner(const struct nl_request *rq, size_t head, uint16_t type, size_t inner_head,
	struct nl_request *ret)
{
	size_t len = 0;
	const uint8_t *a = rq->body ? nl_attr(rq, head, type, &len) : NULL;

	*ret = (struct nl_request){.h = rq->h, .body = a, .len = len};
	return a && len >= inner_head;
}

static int
finish(struct net_ns *net, const struct nl_request *rq, struct net_dev *d)
{
	struct lx_ifinfomsg m;
	struct net_link l;
	int err;

	memcpy(&m, rq->body, sizeof m);
	if (!net_dev_link(d, &l))
		return -ENODEV;
	err = set_attributes(net, rq, l.index);
	if (!err)
		err = set_flags(net, &m, l.index);
	if (!err)
		net_link_news(net, l.index);
	return err;
}

static void
tell(struct net_ns *net, struct net_dev *d)
{
	struct net_link l;

	if (net_dev_link(d, &l))
		net_link_news(net, l.index);
}

static int
make_veth(struct net_ns *own, struct net_ns *net, const struct call *c, const struct nl_request *rq,
	const struct nl_request *info)
{
	static const uint16_t known[] = {LX_IFLA_IFNAME, LX_IFLA_MTU, LX_IFLA_TXQLEN,
		LX_IFLA_ADDRESS, LX_IFLA_NET_NS_PID, LX_IFLA_NET_NS_FD, LX_IFLA_EXT_MASK, 0};
	struct nl_request data, peer;
	char name[16], peer_name[16] = "";
	struct net_ns *peer_net = NULL;
	struct net_dev *d[2];
	bool has_peer = inner(info, 0, LX_IFLA_INFO_DATA, 0, &data) &&
			inner(&data, 0, LX_VETH_INFO_PEER, HEAD, &peer);
	int err = has_peer ? take_ns(own, c, &peer, &peer_net) : 0;

	if (err)
		return err;
	if (has_peer && !nl_attrs_only(&peer, HEAD, known)) {
		net_ns_put(peer_net);
		return -EOPNOTSUPP;
	}
	if (!peer_net)
		peer_net = net_ns_get(net);
	take_name(rq, name);
	if (has_peer)
		take_name(&peer, peer_name);
	err = net_veth_new(net, name, peer_net, peer_name, d);
	if (!err) {
		err = finish(net, rq, d[0]);
		if (!err && has_peer)
			err = finish(peer_net, &peer, d[1]);
		else if (!err)
			tell(peer_net, d[1]);
		if (err)
			net_dev_remove(d[0]);
		net_dev_put(d[0]);
		net_dev_put(d[1]);
	}
	net_ns_put(peer_net);
	return err;
}

static int
make_dummy(struct net_ns *net, const struct nl_request *rq)
{
	struct net_dev *d;
	char name[16];
	int err;

	take_name(rq, name);
	err = net_dummy_new(net, name, &d);
	if (err)
		return err;
	err = finish(net, rq, d);
	if (err)
		net_dev_remove(d);
	net_dev_put(d);
	return err;
}

static int
make(struct net_ns *own, const struct call *c, const struct nl_request *rq)
{
	static const uint16_t known[] = {LX_IFLA_IFNAME, LX_IFLA_LINKINFO, LX_IFLA_MTU,
		LX_IFLA_TXQLEN, LX_IFLA_ADDRESS, LX_IFLA_NET_NS_PID, LX_IFLA_NET_NS_FD,
		LX_IFLA_EXT_MASK, 0};
	struct nl_request info, kind;
	struct net_ns *net;
	char what[16] = "";
	int err;

	if (!inner(rq, HEAD, LX_IFLA_LINKINFO, 0, &info) ||
		!inner(&info, 0, LX_IFLA_INFO_KIND, 1, &kind))
		return -EOPNOTSUPP;
	memcpy(what, kind.body, kind.len < sizeof what ? kind.len : sizeof what - 1);
	if (!nl_attrs_only(rq, HEAD, known))
		return -EOPNOTSUPP;
	err = take_ns(own, c, rq, &net);
	if (err)
		return err;
	if (strcmp(what, "veth") == 0)
		err = make_veth(own, net, c, rq, &info);
	else
		err = strcmp(what, "dummy") == 0 ? make_dummy(net, rq) : -EOPNOTSUPP;
	net_ns_put(net);
	return err;
}

/* --- changed --- */

/* *l becomes what it is called, and which number it has, there. */
static int
move(struct net_ns *from, struct net_ns *to, const char *name, struct net_link *l)
{
	struct net_dev *d = net_dev_find(from, l->index, NULL);
	int err;

	if (!d)
		return l->index == NET_LO_INDEX ? -EINVAL : -ENODEV;
	err = net_dev_move(d, to, name[0] ? name : NULL);
	if (!err && !net_dev_link(d, l))
		err = -ENODEV;
	net_dev_put(d);
	return err;
}

static int
rename_or_move(
	struct net_ns *own, struct net_ns *net, const struct nl_request *rq, struct net_link *l)
{
	char name[16];

	take_name(rq, name);
	if (net == own)
		return name[0] ? net_link_rename(net, l->index, name) : 0;
	return move(own, net, name, l);
}

int
nl_set_link(struct nl_sock *s, const struct call *c, const struct nl_request *rq)
{
	/* no master, and the like */
	static const uint16_t changeable[] = {LX_IFLA_IFNAME, LX_IFLA_MTU, LX_IFLA_TXQLEN,
		LX_IFLA_ADDRESS, LX_IFLA_NET_NS_PID, LX_IFLA_NET_NS_FD, LX_IFLA_EXT_MASK, 0};
	struct lx_ifinfomsg m;
	struct net_link l;
	struct net_ns *net;
	int r = nl_named_link(s->s.net, rq, &m, &l);
	bool may_make =
		rq->len >= HEAD && rq->h.type == LX_RTM_NEWLINK && rq->h.flags & LX_NLM_F_CREATE;

	if (r < 0 && may_make)
		return make(s->s.net, c, rq);
	if (r < 0) /* ip(8) takes EINVAL for a kernel that makes no links */
		return rq->len >= HEAD && rq->h.type == LX_RTM_NEWLINK ? -ENODEV : r;
	if (rq->h.flags & LX_NLM_F_EXCL)
		return -EEXIST;
	if (!nl_attrs_only(rq, HEAD, changeable))
		return -EOPNOTSUPP;
	r = take_ns(s->s.net, c, rq, &net);
	if (r)
		return r;
	r = rename_or_move(s->s.net, net, rq, &l);
	if (!r)
		r = set_attributes(net, rq, l.index);
	if (!r)
		r = set_flags(net, &m, l.index);
	if (!r)
		net_link_news(net, l.index);
	net_ns_put(net);
	return r;
}
