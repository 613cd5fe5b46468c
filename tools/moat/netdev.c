/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network devices on their way into a container's namespace, and back when it does not come to
 * be. The kernel closes a device that is moved, which takes its addresses and routes away: the
 * addresses are given again on the other side. When the namespace ends, the kernel takes physical
 * devices back and removes the others: nothing of that is ours.
 */
#include "netdev.h"
#include "moat.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESSES_MAX 256 /* of one device */

/* A network namespace, and an rtnetlink(7) socket in it. */
struct side {
	int ns, sock;
};

struct address {
	struct ifaddrmsg head;
	uint8_t attrs[128];
	size_t len;
};

struct device {
	const char *outside, *inside;
	const char *now; /* which of both it has, once it was moved */
	int index;	 /* outside */
	bool up;
	struct address *addrs; /* that it had outside */
	size_t naddrs;
};

struct netdev_moves {
	struct side host, container;
	struct device *v;
	size_t n;
};

/* error: -errno, of what was tried with it. */
static int
failed(struct moat_error *err, const struct device *d, const char *what, int error)
{
	return refuse(
		err, -error, "linux.netDevices.%s: %s: %s", d->outside, what, strerror(-error));
}

/* --- rtnetlink --- */

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
	} body;
	uint8_t attrs[256];
};

static void
begin(struct request *rq, uint16_t type, uint16_t flags, size_t body)
{
	memset(rq, 0, sizeof *rq);
	rq->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
	rq->h.nlmsg_type = type;
	rq->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
}

/* Where the next attribute goes. What is added fits. */
static void *
end(struct request *rq)
{
	return (uint8_t *)rq + NLMSG_ALIGN(rq->h.nlmsg_len);
}

static void
put(struct request *rq, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = end(rq);

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	rq->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(rq->h.nlmsg_len) + RTA_SPACE(len));
}

/* Until the end of the answer, each message of which goes to fn (or NULL). 0 or -errno. */
static int
ask(int sock, const struct request *rq, int (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
	_Alignas(struct nlmsghdr) uint8_t buf[32 << 10];
	int r = 0;

	if (send(sock, rq, rq->h.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(sock, buf, sizeof buf, MSG_TRUNC);
		const struct nlmsghdr *h = (const void *)buf;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || n > (ssize_t)sizeof buf)
			return n < 0 ? -errno : -EMSGSIZE;
		for (size_t left = (size_t)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return r;
			if (h->nlmsg_type == NLMSG_ERROR)
				return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
					       ? -EPROTO
					       : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (fn && r == 0)
				r = fn(h, arg);
		}
	}
}

/* --- devices --- */

/* Its index, or -errno. *ret_flags: IFF_*. Other names that a device may have beside its name are
 * none of ours. */
static int
find(const struct side *s, const char *name, int *ret_flags)
{
	struct ifreq ifr = {0};
	int index;

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(s->sock, SIOCGIFINDEX, &ifr) < 0)
		return -errno;
	index = ifr.ifr_ifindex;
	if (ioctl(s->sock, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	*ret_flags = ifr.ifr_flags;
	ifr.ifr_ifindex = index;
	if (ioctl(s->sock, SIOCGIFNAME, &ifr) < 0)
		return -errno;
	return strcmp(ifr.ifr_name, name) == 0 ? index : -ENODEV;
}

static int
bring_up(const struct side *s, const char *name)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(s->sock, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(s->sock, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int
change_namespace(const struct side *s, int index, int ns, const char *name)
{
	struct request rq;

	begin(&rq, RTM_SETLINK, NLM_F_ACK, sizeof rq.body.link);
	rq.body.link.ifi_index = index;
	put(&rq, IFLA_NET_NS_FD, &ns, sizeof ns);
	put(&rq, IFLA_IFNAME, name, strlen(name) + 1);
	return ask(s->sock, &rq, NULL, NULL);
}

/* Those of a message that say what the address is; where it is, and for how long, they do not. */
static void
keep_attributes(struct address *to, const struct nlmsghdr *h)
{
	const struct rtattr *a = IFA_RTA(NLMSG_DATA(h));

	for (size_t left = IFA_PAYLOAD(h); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		unsigned short type = a->rta_type & NLA_TYPE_MASK;

		if ((type != IFA_LOCAL && type != IFA_ADDRESS && type != IFA_BROADCAST) ||
			RTA_ALIGN(a->rta_len) > sizeof to->attrs - to->len)
			continue;
		memcpy(to->attrs + to->len, a, a->rta_len);
		to->len += RTA_ALIGN(a->rta_len);
	}
}

/* Those that somebody set, and that mean something elsewhere. */
static int
note_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct device *d = arg;
	struct address *to;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof *m))
		return -EPROTO;
	if ((int)m->ifa_index != d->index || m->ifa_scope != RT_SCOPE_UNIVERSE ||
		!(m->ifa_flags & IFA_F_PERMANENT))
		return 0;
	if (d->naddrs == ADDRESSES_MAX)
		return -E2BIG;
	to = &d->addrs[d->naddrs++];
	to->head = *m;
	to->head.ifa_flags &= IFA_F_NODAD;
	keep_attributes(to, h);
	return 0;
}

static int
read_addresses(const struct side *s, struct device *d)
{
	struct request rq;

	d->addrs = xcalloc(ADDRESSES_MAX, sizeof *d->addrs);
	begin(&rq, RTM_GETADDR, NLM_F_DUMP, sizeof rq.body.addr);
	return ask(s->sock, &rq, note_address, d);
}

/* It has arrived, and is called name. */
static int
set_up(const struct side *s, const char *name, const struct device *d, bool up)
{
	int flags, index = find(s, name, &flags), r = 0;

	if (index < 0)
		return index;
	for (size_t i = 0; i < d->naddrs && r == 0; i++) {
		const struct address *a = &d->addrs[i];
		struct request rq;

		begin(&rq, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof rq.body.addr);
		rq.body.addr = a->head;
		rq.body.addr.ifa_index = (uint32_t)index;
		memcpy(end(&rq), a->attrs, a->len);
		rq.h.nlmsg_len += (uint32_t)a->len;
		r = ask(s->sock, &rq, NULL, NULL);
	}
	return r == 0 && up ? bring_up(s, name) : r;
}

/* --- to and fro --- */

/* In the namespace that this process is in, where it stays. */
static int
rtnetlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static int
open_sides(struct netdev_moves *m, pid_t pid, struct moat_error *err)
{
	char path[64];
	struct stat own, other;

	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	m->host.ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	m->container.ns = open(path, O_RDONLY | O_CLOEXEC);
	if (m->host.ns < 0 || m->container.ns < 0 || fstat(m->host.ns, &own) < 0 ||
		fstat(m->container.ns, &other) < 0)
		return refuse(
			err, errno, "linux.netDevices: cannot open %s: %s", path, strerror(errno));
	if (own.st_dev == other.st_dev && own.st_ino == other.st_ino)
		return refuse(err, EINVAL,
			"linux.netDevices: the container is in the network "
			"namespace that they are in");
	m->host.sock = rtnetlink();
	if (setns(m->container.ns, CLONE_NEWNET) < 0)
		return refuse(err, errno,
			"linux.netDevices: cannot enter the container's network namespace: %s",
			strerror(errno));
	m->container.sock = rtnetlink();
	if (setns(m->host.ns, CLONE_NEWNET) < 0)
		exit(complain("linux.netDevices: cannot return to the own network namespace: %s",
			strerror(errno)));
	return m->host.sock < 0 || m->container.sock < 0
		       ? refuse(err, EIO, "linux.netDevices: cannot make an rtnetlink socket")
		       : 0;
}

static int
move(struct netdev_moves *m, const struct moat_oci_value *v, struct moat_error *err)
{
	struct device *d = &m->v[m->n];
	int flags, other, r;

	*d = (struct device){.outside = v->name, .inside = *v->value ? v->value : v->name};
	d->index = find(&m->host, d->outside, &flags);
	if (d->index < 0)
		return failed(err, d, "there is no such device", d->index);
	if (flags & IFF_LOOPBACK)
		return refuse(err, EINVAL, "linux.netDevices.%s: a loopback stays in its namespace",
			d->outside);
	if (find(&m->container, d->inside, &other) >= 0)
		return refuse(err, EEXIST,
			"linux.netDevices.%s: the container's network namespace has a device %s "
			"already",
			d->outside, d->inside);
	m->n++;
	d->up = flags & IFF_UP;
	if ((r = read_addresses(&m->host, d)) < 0)
		return failed(err, d, "its addresses cannot be read", r);
	r = change_namespace(&m->host, d->index, m->container.ns, d->inside);
	/* The new name is given behind the move, which this can fail after. */
	d->now = r == 0 ? d->inside : d->outside;
	if (r < 0)
		return failed(err, d, "it cannot be moved to the container", r);
	r = set_up(&m->container, d->inside, d, true);
	return r < 0 ? failed(err, d, "it cannot be set up in the container", r) : 0;
}

int
netdev_move(const struct moat_oci_value *devices, size_t n, pid_t pid, struct netdev_moves **ret,
	struct moat_error *err)
{
	struct netdev_moves *m = xcalloc(1, sizeof *m);
	int r;

	m->host = m->container = (struct side){-1, -1};
	m->v = xcalloc(n + 1, sizeof *m->v);
	r = open_sides(m, pid, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = move(m, &devices[i], err);
	if (r == 0)
		*ret = m;
	else
		netdev_undo(m);
	return r;
}

static int
move_back(const struct netdev_moves *m, const struct device *d)
{
	int flags, index, r;

	if (!d->now || find(&m->host, d->outside, &flags) >= 0)
		return 0; /* it has never left */
	index = find(&m->container, d->now, &flags);
	if (index < 0)
		return index;
	r = change_namespace(&m->container, index, m->host.ns, d->outside);
	return r < 0 ? r : set_up(&m->host, d->outside, d, d->up);
}

void
netdev_undo(struct netdev_moves *m)
{
	for (size_t i = m ? m->n : 0; i > 0; i--) {
		int r = move_back(m, &m->v[i - 1]);

		if (r < 0)
			warn("linux.netDevices.%s: it cannot be moved back: %s",
				m->v[i - 1].outside, strerror(-r));
	}
	netdev_moves_free(m);
}

static void
close_side(const struct side *s)
{
	if (s->ns >= 0)
		close(s->ns);
	if (s->sock >= 0)
		close(s->sock);
}

void
netdev_moves_free(struct netdev_moves *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].addrs);
	close_side(&m->host);
	close_side(&m->container);
	free(m->v);
	free(m);
}
