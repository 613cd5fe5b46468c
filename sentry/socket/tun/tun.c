/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/net/tun: an interface whose other end is who has this open. What leaves by the interface is
 * read, what is written comes in by it. Linux: drivers/net/tun.c, Documentation/networking/tuntap.
 * One queue for each; nothing that is read needs segmentation or a checksum still, whatever
 * TUNSETOFFLOAD has allowed.
 *
 * A struct tun is what its net_dev drives, and lives as long as that. An open file that is attached
 * has a reference on the net_dev. Locks: tun->lock (LEAF).
 */
#include "abi/tun.h"
#include "abi/poll.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/dev.h"
#include "sentry/net/packet.h"
#include "sentry/sched/waitq.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_BYTES   (2u << 20) /* in one queue, beside the limit of packets */
#define PACKET_MAX    (65536u + ETH_HEADER)
#define HEADERS_MAX   4096u /* TUNSETVNETHDRSZ */
#define FEATURES      (LX_IFF_NO_PI | LX_IFF_ONE_QUEUE | LX_IFF_VNET_HDR)
#define KINDS	      (LX_IFF_TUN | LX_IFF_TAP)
#define UNKNOWN	      0x0170u /* MULTI_QUEUE, NAPI, NAPI_FRAGS, NO_CARRIER */
#define SIOCGIFHWADDR 0x8927
#define SIOCSIFHWADDR 0x8924

struct packet {
	struct list node;
	size_t n;
	uint8_t p[];
};

struct tun {
	struct net_dev *dev; /* no reference: that has this */
	struct waitq wq;
	struct mutex lock; /* all below */
	struct list queue;
	uint32_t queued;
	size_t bytes;
	bool attached, removed;
	uint32_t flags, owner, group;
	int32_t vnet_hdr_bytes, sndbuf;
};

struct tun_file {
	struct net_ns *ns; /* of who opened it */
	struct sleeplock setting;
	_Atomic(struct tun *) tun; /* set once; with a reference on its net_dev */
};

struct lx_tun_ifreq {
	char name[16];
	union {
		int16_t flags;
		struct {
			uint16_t family;
			uint8_t data[14];
		} hwaddr;
		uint8_t pad[24];
	};
};

static struct tun *
tun_of(struct file *f)
{
	return atomic_load(&((struct tun_file *)f->priv)->tun);
}

/* --- the driver --- */

static void
purge_locked(struct tun *t, struct list *ret)
{
	list_splice(ret, &t->queue);
	t->queued = 0;
	t->bytes = 0;
}

static void
free_packets(struct list *l)
{
	struct list *n;

	while ((n = list_pop_front(l)))
		free(list_entry(n, struct packet, node));
}

static bool
transmit(void *driver, const uint8_t *p, size_t n)
{
	struct tun *t = driver;
	struct packet *k = malloc(sizeof *k + n);
	struct net_link l;
	bool taken;

	if (!k || !net_dev_link(t->dev, &l)) {
		free(k);
		return false;
	}
	k->n = n;
	memcpy(k->p, p, n);
	mutex_lock(&t->lock);
	taken = t->attached && !t->removed && l.carrier && t->queued < l.txqlen &&
		t->bytes + n <= QUEUE_BYTES;
	if (taken) {
		list_push_back(&t->queue, &k->node);
		t->queued++;
		t->bytes += n;
	}
	mutex_unlock(&t->lock);
	if (taken)
		waitq_notify(&t->wq, LX_POLLIN | LX_POLLRDNORM);
	else
		free(k);
	return taken;
}

static void
removed(void *driver)
{
	struct list old = LIST_INIT(old);
	struct tun *t = driver;

	mutex_lock(&t->lock);
	t->removed = true;
	purge_locked(t, &old);
	mutex_unlock(&t->lock);
	free_packets(&old);
	waitq_notify(&t->wq, ~0u);
}

static void
up_or_down(void *driver)
{
	waitq_notify(&((struct tun *)driver)->wq, ~0u);
}

static void
release(void *driver)
{
	struct tun *t = driver;

	free_packets(&t->queue);
	waitq_destroy(&t->wq);
	mutex_destroy(&t->lock);
	free(t);
}

#define DRIVER(...)                                                                                \
	{                                                                                          \
		.kind = "tun", .transmit = transmit, .removed = removed, .up_or_down = up_or_down, \
		.release = release, __VA_ARGS__                                                    \
	}

/* Packets, and frames. */
static const struct net_dev_ops kinds[2] = {
	DRIVER(.flags = LX_IFF_POINTOPOINT | LX_IFF_NOARP | LX_IFF_MULTICAST, .txqlen = 500),
	DRIVER(.ethernet = true, .flags = LX_IFF_BROADCAST | LX_IFF_MULTICAST, .txqlen = 1000)};

/* What it is, for who looks at the interface. */
static void
tell(struct tun *t)
{
	struct net_tun_info i = {.is = true};

	mutex_lock(&t->lock);
	i.flags = t->flags;
	i.owner = t->owner;
	i.group = t->group;
	mutex_unlock(&t->lock);
	net_dev_set_tun(t->dev, &i);
}

/* --- TUNSETIFF --- */

static struct tun *
tun_new(uint32_t flags)
{
	struct tun *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	waitq_init(&t->wq);
	mutex_init(&t->lock, LR_LEAF);
	list_init(&t->queue);
	t->flags = flags;
	t->owner = t->group = UINT32_MAX;
	t->attached = true;
	t->vnet_hdr_bytes = sizeof(struct lx_virtio_net_hdr);
	t->sndbuf = INT32_MAX;
	return t;
}

static int
create(struct net_ns *ns, const struct call *c, uint32_t flags, char name[16],
	struct net_dev **ret_dev, struct tun **ret)
{
	struct tun *t;
	int err;

	if (!cred_capable_in(c->cred, net_ns_owner(ns), LX_CAP_NET_ADMIN))
		return -EPERM;
	if (!name[0])
		strcpy(name, flags & LX_IFF_TAP ? "tap%d" : "tun%d");
	t = tun_new(flags);
	if (!t)
		return -ENOMEM;
	err = net_dev_new(ns, name, &kinds[!!(flags & LX_IFF_TAP)], t, &t->dev);
	if (err) {
		release(t);
		return err;
	}
	*ret_dev = t->dev;
	*ret = t;
	return 0;
}

/* tun_not_capable */
static bool
may_attach(const struct tun *t, const struct net_ns *ns, const struct call *c)
{
	bool owns = (t->owner == UINT32_MAX || t->owner == c->cred->euid) &&
		    (t->group == UINT32_MAX || cred_in_egroup(c->cred, t->group));

	return owns || cred_capable_in(c->cred, net_ns_owner(ns), LX_CAP_NET_ADMIN);
}

static int
attach(struct net_ns *ns, const struct call *c, uint32_t flags, uint32_t kind, struct net_dev *d,
	struct tun **ret)
{
	struct tun *t = net_dev_driver(d, &kinds[net_dev_is_tap(d)]);
	int err = 0;

	if (!t || !kind || net_dev_is_tap(d) != (kind == LX_IFF_TAP))
		return -EINVAL;
	mutex_lock(&t->lock);
	if (flags & LX_IFF_TUN_EXCL)
		err = -EBUSY;
	else if (!may_attach(t, ns, c))
		err = -EPERM;
	else if (t->attached || t->removed)
		err = -EBUSY;
	if (!err) {
		t->attached = true;
		t->flags = (t->flags & ~FEATURES) | (flags & FEATURES);
	}
	mutex_unlock(&t->lock);
	if (!err)
		net_dev_set_carrier(d, true);
	*ret = t;
	return err;
}

static int
set_iff(struct tun_file *tf, const struct call *c, struct lx_tun_ifreq *r)
{
	uint32_t flags = (uint16_t)r->flags,
		 kind = flags & LX_IFF_TUN ? LX_IFF_TUN : flags & LX_IFF_TAP;
	struct net_dev *d;
	struct net_link l;
	struct tun *t;
	int err;

	r->name[15] = 0;
	if (flags & UNKNOWN)
		return -EINVAL;
	d = r->name[0] ? net_dev_find(tf->ns, 0, r->name) : NULL;
	if (d)
		err = attach(tf->ns, c, flags, kind, d, &t);
	else if (!kind || (r->name[0] && net_link_find(tf->ns, 0, r->name, &l) == 0))
		err = -EINVAL; /* or it is there, and none */
	else
		err = create(tf->ns, c, kind | (flags & FEATURES), r->name, &d, &t);
	if (err) {
		net_dev_put(d);
		return err;
	}
	tell(t);
	if (net_dev_link(d, &l)) {
		memcpy(r->name, l.name, sizeof r->name);
		net_link_news(tf->ns, l.index);
	}
	atomic_store(&tf->tun, t); /* the reference d is its */
	return 0;
}

/* --- ioctl --- */

/* A number that is read from there, or written there. */
static int64_t
number_ioctl(struct tun *t, const struct call *c, uint32_t cmd, uint64_t arg)
{
	int32_t v;

	if (cmd == LX_TUNGETSNDBUF || cmd == LX_TUNGETVNETHDRSZ || cmd == LX_TUNGETVNETLE) {
		mutex_lock(&t->lock);
		v = cmd == LX_TUNGETSNDBUF	? t->sndbuf
		    : cmd == LX_TUNGETVNETHDRSZ ? t->vnet_hdr_bytes
						: 1;
		mutex_unlock(&t->lock);
		return copy_out(c->um, ua(arg), &v, sizeof v);
	}
	if (copy_in(c->um, &v, ua(arg), sizeof v))
		return -EFAULT;
	switch (cmd) {
	case LX_TUNSETSNDBUF:
		if (v <= 0)
			return -EINVAL;
		mutex_lock(&t->lock);
		t->sndbuf = v;
		mutex_unlock(&t->lock);
		return 0;
	case LX_TUNSETVNETHDRSZ:
		if (v < (int32_t)sizeof(struct lx_virtio_net_hdr) || v > (int32_t)HEADERS_MAX)
			return -EINVAL;
		mutex_lock(&t->lock);
		t->vnet_hdr_bytes = v;
		mutex_unlock(&t->lock);
		return 0;
	case LX_TUNSETVNETLE: /* so are the numbers in any case */
		return 0;
	case LX_TUNSETCARRIER:
		net_dev_set_carrier(t->dev, v != 0);
		return 0;
	default:
		return -EINVAL;
	}
}

/* TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP: the argument is the value. */
static int64_t
value_ioctl(struct tun *t, const struct call *c, uint32_t cmd, uint64_t arg)
{
	uint32_t id = cmd == LX_TUNSETOWNER   ? uid_in(c->cred->user_ns, (uint32_t)arg)
		      : cmd == LX_TUNSETGROUP ? gid_in(c->cred->user_ns, (uint32_t)arg)
					      : 0;

	if (id == UINT32_MAX)
		return -EINVAL;
	mutex_lock(&t->lock);
	if (cmd == LX_TUNSETOWNER)
		t->owner = id;
	else if (cmd == LX_TUNSETGROUP)
		t->group = id;
	else if (arg)
		t->flags |= LX_IFF_PERSIST;
	else
		t->flags &= ~LX_IFF_PERSIST;
	mutex_unlock(&t->lock);
	tell(t);
	return 0;
}

static int64_t
hwaddr_ioctl(struct tun *t, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct lx_tun_ifreq r;
	struct net_link l;

	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	if (!net_dev_link(t->dev, &l))
		return -EBADFD;
	if (cmd == SIOCSIFHWADDR)
		return r.hwaddr.family == l.type ? net_dev_set_hwaddr(t->dev, r.hwaddr.data)
						 : -EINVAL;
	memset(r.pad, 0, sizeof r.pad);
	r.hwaddr.family = l.type;
	memcpy(r.hwaddr.data, l.hwaddr, l.hwaddr_len);
	return copy_out(c->um, ua(arg), &r, sizeof r);
}

/* Of one that is not attached yet. */
static int64_t
attach_ioctl(struct tun_file *tf, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct lx_tun_ifreq r;
	int err;

	if (cmd != LX_TUNSETIFF)
		return -EBADFD;
	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	sleeplock_lock(&tf->setting);
	err = atomic_load(&tf->tun) ? -EEXIST : set_iff(tf, c, &r);
	sleeplock_unlock(&tf->setting);
	return err ? err : copy_out(c->um, ua(arg), &r, sizeof r);
}

static int64_t
tun_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	uint32_t features = KINDS | FEATURES;
	struct lx_tun_ifreq r = {.pad = {0}};
	struct tun *t = tun_of(f);
	struct net_link l;

	if (cmd == LX_TUNGETFEATURES)
		return copy_out(c->um, ua(arg), &features, sizeof features);
	if (!t)
		return attach_ioctl(f->priv, c, cmd, arg);
	if (!net_dev_link(t->dev, &l))
		return -EBADFD;
	switch (cmd) {
	case LX_TUNSETIFF:
		return -EEXIST;
	case LX_TUNGETIFF:
		memcpy(r.name, l.name, sizeof r.name);
		r.flags = (int16_t)(l.tun.flags | LX_IFF_NOFILTER); /* it has none */
		return copy_out(c->um, ua(arg), &r, sizeof r);
	case LX_TUNSETNOCSUM: /* nothing any more in Linux, too */
	case LX_TUNSETDEBUG:
		return 0;
	case LX_TUNSETPERSIST:
	case LX_TUNSETOWNER:
	case LX_TUNSETGROUP:
		return value_ioctl(t, c, cmd, arg);
	case LX_TUNSETLINK: /* of a kind that it is not, no frames could be made */
		return l.flags & LX_IFF_UP ? -EBUSY : arg == l.type ? 0 : -EINVAL;
	case LX_TUNSETOFFLOAD:
		return arg & ~(uint64_t)LX_TUN_F_ALL ? -EINVAL : 0;
	case SIOCGIFHWADDR:
	case SIOCSIFHWADDR:
		return hwaddr_ioctl(t, c, cmd, arg);
	default:
		return number_ioctl(t, c, cmd, arg);
	}
}

/* --- reading and writing --- */

static uint16_t
protocol_of(const struct tun *t, const uint8_t *p)
{
	if (net_dev_is_tap(t->dev))
		return get_be16(p + 12);
	return p[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
}

static ssize_t
tun_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	static const uint8_t zeros[HEADERS_MAX];
	struct tun *t = tun_of(f);
	struct lx_tun_pi pi = {0};
	size_t head = 0, room = u->left;
	struct packet *k = NULL;
	uint32_t flags;
	ssize_t r = 0;
	bool gone;

	(void)c, (void)pos, (void)rwf;
	if (!t)
		return -EBADFD;
	if (!room)
		return 0;
	mutex_lock(&t->lock);
	gone = t->removed;
	flags = t->flags;
	if (flags & LX_IFF_VNET_HDR)
		head = (size_t)t->vnet_hdr_bytes;
	if (!gone && !list_empty(&t->queue)) {
		k = list_entry(list_pop_front(&t->queue), struct packet, node);
		t->queued--;
		t->bytes -= k->n;
	}
	mutex_unlock(&t->lock);
	if (!k)
		return gone ? -EBADFD : -EAGAIN;
	if (!(flags & LX_IFF_NO_PI)) {
		if (room < sizeof pi + head + k->n)
			pi.flags = LX_TUN_PKT_STRIP;
		pi.proto = htons(protocol_of(t, k->p));
		r = room < sizeof pi ? -EINVAL : uio_copy_to(u, &pi, sizeof pi);
	}
	if (r >= 0 && head)
		r = u->left < head ? -EINVAL : uio_copy_to(u, zeros, head);
	if (r >= 0 && u->left)
		r = uio_copy_to(u, k->p, k->n);
	free(k);
	return r < 0 ? r : (ssize_t)(room - u->left);
}

/* What comes before a packet; *checked: nobody looks at its checksums. */
static int
take_headers(struct tun *t, struct uio *u, struct lx_tun_pi *pi, bool *has_pi, bool *checked)
{
	struct lx_virtio_net_hdr h;
	size_t head;
	uint32_t flags;

	mutex_lock(&t->lock);
	flags = t->flags;
	head = (size_t)t->vnet_hdr_bytes;
	mutex_unlock(&t->lock);
	*has_pi = !(flags & LX_IFF_NO_PI);
	if (*has_pi) {
		if (u->left < sizeof *pi)
			return -EINVAL;
		if (uio_copy_from(u, pi, sizeof *pi) != sizeof *pi)
			return -EFAULT;
	}
	if (!(flags & LX_IFF_VNET_HDR))
		return 0;
	if (u->left < head)
		return -EINVAL;
	if (uio_copy_from(u, &h, sizeof h) != sizeof h)
		return -EFAULT;
	uio_skip(u, head - sizeof h);
	if (h.flags & LX_VIRTIO_NET_HDR_F_NEEDS_CSUM &&
		(size_t)h.csum_start + h.csum_offset + 2 > u->left)
		return -EINVAL;
	*checked = h.flags & (LX_VIRTIO_NET_HDR_F_NEEDS_CSUM | LX_VIRTIO_NET_HDR_F_DATA_VALID);
	return h.hdr_len > u->left ? -EINVAL : 0;
}

static ssize_t
tun_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct tun *t = tun_of(f);
	size_t whole = u->left, n;
	bool has_pi, checked = false;
	struct lx_tun_pi pi;
	struct net_link l;
	uint8_t *p;
	int err;

	(void)c, (void)pos, (void)rwf;
	if (!t || !net_dev_link(t->dev, &l))
		return -EBADFD;
	err = take_headers(t, u, &pi, &has_pi, &checked);
	if (err)
		return err;
	n = u->left;
	if (n > PACKET_MAX)
		return -EMSGSIZE;
	if (net_dev_is_tap(t->dev) && n < ETH_HEADER)
		return -EINVAL;
	p = malloc(n ? n : 1);
	if (!p)
		return -ENOMEM;
	if (n && uio_copy_from(u, p, n) != (ssize_t)n)
		err = -EFAULT;
	else if (!net_dev_is_tap(t->dev) && !has_pi && (!n || (p[0] >> 4 != 4 && p[0] >> 4 != 6)))
		err = -EINVAL;
	else if (!(l.flags & LX_IFF_UP))
		err = -EIO;
	else if (n && (net_dev_is_tap(t->dev) || !has_pi || ntohs(pi.proto) == protocol_of(t, p)))
		err = net_dev_input(t->dev, p, n, checked);
	free(p);
	if (err == -EIO)
		net_dev_count(t->dev, false, false);
	return err ? err : (ssize_t)whole;
}

static uint32_t
tun_poll(struct file *f, struct poll_table *pt)
{
	struct tun *t = tun_of(f);
	struct net_link l;
	uint32_t ev = 0;

	if (!t)
		return LX_POLLERR;
	poll_wait(pt, &t->wq);
	if (!net_dev_link(t->dev, &l))
		return LX_POLLERR;
	mutex_lock(&t->lock);
	if (!list_empty(&t->queue))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	mutex_unlock(&t->lock);
	if (l.flags & LX_IFF_UP)
		ev |= LX_POLLOUT | LX_POLLWRNORM;
	return ev;
}

/* --- open and close --- */

static void
detach(struct tun *t)
{
	struct list old = LIST_INIT(old);
	bool persists;

	mutex_lock(&t->lock);
	t->attached = false;
	persists = t->flags & LX_IFF_PERSIST;
	purge_locked(t, &old);
	mutex_unlock(&t->lock);
	free_packets(&old);
	if (persists)
		net_dev_set_carrier(t->dev, false);
	else
		net_dev_remove(t->dev);
	net_dev_put(t->dev);
}

static void
tun_release(struct file *f)
{
	struct tun_file *tf = f->priv;

	if (tf->tun)
		detach(tf->tun);
	net_ns_put(tf->ns);
	free(tf);
}

static const struct file_ops tun_fops = {
	.read = tun_read,
	.write = tun_write,
	.poll = tun_poll,
	.ioctl = tun_ioctl,
	.release = tun_release,
};

static int
tun_open(struct file *f, const struct call *c)
{
	struct tun_file *tf;

	if (!c->net)
		return -ENXIO;
	tf = calloc(1, sizeof *tf);
	if (!tf)
		return -ENOMEM;
	sleeplock_init(&tf->setting);
	tf->ns = net_ns_get(c->net);
	f->priv = tf;
	f->ops = &tun_fops;
	f->mode |= LX_FMODE_MESSAGES;
	return 0;
}

void
tun_init(void)
{
	static struct vfs_dev device = {.type = LX_S_IFCHR,
		.major = 10,
		.minor = 200,
		.nminors = 1,
		.name = "tun",
		.open = tun_open};

	vfs_dev_register(&device);
}
