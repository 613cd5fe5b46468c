/* SPDX-License-Identifier: Apache-2.0 */
/* What all sockets share: life, their files, SOL_SOCKET options, byte queues of streams. */
#include "abi/fs.h"
#include "abi/poll.h"
#include "abi/stat.h"
#include "sentry/bpf/packet.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/link.h"
#include "sentry/net/sysctl.h"
#include "sentry/socket/info.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUF_MIN_SND 4608
#define BUF_MIN_RCV 2304

static const struct sock_family *families[8];
static unsigned nfamilies;
static _Atomic uint64_t next_cookie = 1;
static struct mutex all_lock = MUTEX_INIT(LEAF);
static struct list all = {&all, &all}; /* struct sock by all_node */
static size_t nall;

void
sock_family_register(const struct sock_family *f)
{
	families[nfamilies++] = f;
}

static const struct sock_family *
find_family(int family, const struct net_ns *net)
{
	unsigned other = net_ns_on_host(net) ? SOCK_OWN_STACK : SOCK_HOST_STACK;

	for (unsigned i = 0; i < nfamilies; i++)
		if (families[i]->family == family && families[i]->where != other)
			return families[i];
	return NULL;
}

int
sock_create(const struct call *c, int family, int type, int protocol, struct sock **ret)
{
	const struct sock_family *f = find_family(family, c->net);

	return f ? f->create(c, type, protocol, ret) : -EAFNOSUPPORT;
}

int
sock_create_pair(const struct call *c, int family, int type, int protocol, struct sock *ret[2])
{
	const struct sock_family *f = find_family(family, c->net);

	if (!f)
		return -EAFNOSUPPORT;
	return f->pair ? f->pair(c, type, protocol, ret) : -EOPNOTSUPP;
}

int
sock_error_take(struct sock *s)
{
	int err;

	mutex_lock(&s->lock);
	err = -s->err;
	s->err = 0;
	mutex_unlock(&s->lock);
	return err;
}

int
sock_no_listen(struct sock *s, const struct call *c, int backlog)
{
	(void)s, (void)c, (void)backlog;
	return -EOPNOTSUPP;
}

int
sock_no_shutdown(struct sock *s, int how)
{
	(void)s, (void)how;
	return -EOPNOTSUPP;
}

void
sock_init(struct sock *s, const struct sock_ops *ops, const struct call *c, int family, int type,
	int protocol)
{
	LIVE_INC(SOCK);
	ref_init(&s->ref);
	s->ops = ops;
	s->family = (uint16_t)family;
	s->type = (uint16_t)type;
	s->protocol = (uint16_t)protocol;
	mutex_init(&s->lock, LR_SOCK);
	sleeplock_init(&s->rlock);
	waitq_init(&s->wq);
	list_init(&s->rcvq);
	s->rcvbuf = (uint32_t)net_sysctl(c->net, NET_RMEM_DEFAULT, 0);
	s->sndbuf = (uint32_t)net_sysctl(c->net, NET_WMEM_DEFAULT, 0);
	s->rcvlowat = 1;
	s->owner = (struct lx_ucred){c->tgid, c->cred->euid, c->cred->egid};
	s->owner_cred = cred_get(c->cred);
	s->net = net_ns_get(c->net);
	s->cookie = atomic_fetch_add(&next_cookie, 1);
	mutex_lock(&all_lock);
	list_push_back(&all, &s->all_node);
	nall++;
	mutex_unlock(&all_lock);
}

void
sock_fini(struct sock *s)
{
	struct list *n;

	mutex_lock(&all_lock);
	list_del(&s->all_node);
	nall--;
	mutex_unlock(&all_lock);
	while ((n = list_pop_front(&s->rcvq)))
		skb_free(list_entry(n, struct skb, node));
	cred_put(s->owner_cred);
	sock_filter_free(s->filter);
	net_ns_put(s->net);
	waitq_destroy(&s->wq);
	mutex_destroy(&s->lock);
	LIVE_DEC(SOCK);
}

void
sock_set_net(struct sock *s, struct net_ns *net)
{
	struct net_ns *old = s->net;

	s->net = net_ns_get(net);
	net_ns_put(old);
}

struct sock *
sock_get(struct sock *s)
{
	ref_get(&s->ref);
	return s;
}

void
sock_put(struct sock *s)
{
	if (s && ref_put(&s->ref))
		s->ops->free(s);
}

/* False: it has been closed. */
static bool
describe(struct sock *s, struct sock_info *i)
{
	bool closed;

	memset(i, 0, sizeof *i);
	mutex_lock(&s->lock);
	i->family = s->family;
	i->type = s->type;
	i->protocol = s->protocol;
	i->rcv_bytes = s->rcv_bytes;
	i->uid = s->owner.uid;
	i->ino = s->ino;
	i->cookie = s->cookie;
	i->listening = s->listening;
	i->shutdown = (uint8_t)(s->shut_rd | s->shut_wr << 1);
	i->refs = (uint32_t)atomic_load(&s->ref.n);
	closed = s->closed;
	mutex_unlock(&s->lock);
	return !closed && s->ops->describe && s->ops->describe(s, i);
}

int
sock_each(const struct net_ns *net, int family, int protocol,
	void (*fn)(const struct sock_info *i, void *arg), void *arg)
{
	struct sock **v = NULL, *s;
	struct sock_info info;
	size_t n = 0, cap = 0;

	/* References first: sockets are looked at without the list's lock. */
	do {
		struct sock **more;

		mutex_lock(&all_lock);
		cap = nall + 16;
		mutex_unlock(&all_lock);
		more = realloc(v, cap * sizeof *v);
		if (!more) {
			free(v);
			return -ENOMEM;
		}
		v = more;
		mutex_lock(&all_lock);
		if (nall <= cap)
			list_for_each_entry (s, &all, all_node)
				if (s->net == net && (!family || s->family == family) &&
					(protocol < 0 || s->protocol == protocol) &&
					ref_get_unless_zero(&s->ref))
					v[n++] = s;
		cap = nall <= cap ? cap : 0;
		mutex_unlock(&all_lock);
	} while (!cap);
	for (size_t i = 0; i < n; i++) {
		if (describe(v[i], &info))
			fn(&info, arg);
		sock_put(v[i]);
	}
	free(v);
	return 0;
}

/* --- files --- */

static void
sock_file_release(struct file *f)
{
	struct sock *s = f->priv;

	s->ops->close(s);
	sock_put(s);
}

static ssize_t
sock_file_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct sock *s = f->priv;
	struct sock_msg m = {.uio = u};
	ssize_t n;

	(void)pos;
	(void)rwf;
	if (!u->left)
		return 0; /* takes nothing, looks at nothing */
	n = s->ops->recvmsg(s, c, &m);
	scm_files_free(m.files);
	return n;
}

static ssize_t
sock_file_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct sock *s = f->priv;
	struct sock_msg m = {.uio = u};

	(void)pos;
	(void)rwf;
	return s->ops->sendmsg(s, c, &m);
}

static uint32_t
sock_file_poll(struct file *f, struct poll_table *pt)
{
	struct sock *s = f->priv;

	poll_wait(pt, &s->wq);
	return s->ops->poll(s);
}

static int64_t
sock_file_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct sock *s = f->priv;
	int64_t r;
	int32_t v;

	switch (cmd) {
	case 0x541b: /* FIONREAD, SIOCINQ */
		if (s->ops->on_host)
			return s->ops->ioctl ? s->ops->ioctl(s, c, cmd, arg) : -ENOTTY;
		if (s->family == LX_AF_NETLINK)
			return -ENOTTY;
		mutex_lock(&s->lock);
		if (s->listening) {
			mutex_unlock(&s->lock);
			return -EINVAL;
		}
		if (s->type == LX_SOCK_STREAM) {
			v = (int32_t)(s->urgent ? stream_before_mark_locked(s) : s->rcv_bytes);
		} else {
			struct skb *b = list_first(&s->rcvq, struct skb, node);

			v = b ? (int32_t)b->len : 0;
		}
		mutex_unlock(&s->lock);
		return copy_out(c->um, ua(arg), &v, sizeof v);
	case 0x5411: /* TIOCOUTQ: what the peer has not taken; here it took everything at once */
		r = s->ops->ioctl ? s->ops->ioctl(s, c, cmd, arg) : -ENOTTY;
		if (r != -ENOTTY || s->ops->on_host)
			return r;
		v = 0;
		return copy_out(c->um, ua(arg), &v, sizeof v);
	default:
		r = s->ops->ioctl ? s->ops->ioctl(s, c, cmd, arg) : -ENOTTY;
		/* Interfaces are asked for by sockets of any family. */
		return r == -ENOTTY ? ifreq_ioctl(s, c, cmd, arg) : r;
	}
}

static int
sock_file_mappable(
	struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct sock *s = f->priv;

	(void)c, (void)prot;
	return s->ops->mappable ? s->ops->mappable(s, f, shared, ret) : -ENODEV;
}

static const struct file_ops sock_file_ops = {
	.release = sock_file_release,
	.read = sock_file_read,
	.write = sock_file_write,
	.poll = sock_file_poll,
	.ioctl = sock_file_ioctl,
	.mappable = sock_file_mappable,
};

int
sock_file(struct sock *s, const struct cred *maker, uint32_t oflags, struct file **ret)
{
	int err = file_new_anon(
		&sock_file_ops, s, "socket:[%lu]", LX_S_IFSOCK | 0777, LX_O_RDWR | oflags, ret);

	if (err) {
		s->ops->close(s);
		sock_put(s);
	} else {
		(*ret)->inode->uid = maker->fsuid;
		(*ret)->inode->gid = maker->fsgid;
		s->ino = (*ret)->inode->ino; /* it is in the list of all already */
		if (s->type == LX_SOCK_STREAM)
			(*ret)->mode |= LX_FMODE_WRITEALL;
	}
	return err;
}

struct sock *
sock_of(struct file *f)
{
	return f->ops == &sock_file_ops ? f->priv : NULL;
}

/* --- options --- */

static int
get_int(const uint8_t *val, uint32_t len, int32_t *ret)
{
	if (len < sizeof *ret)
		return -EINVAL;
	memcpy(ret, val, sizeof *ret);
	return 0;
}

/* most: net.core.[rw]mem_max */
static uint32_t
buffer_size(int32_t v, uint32_t min, int32_t most, bool force)
{
	uint32_t n = (uint32_t)v;

	if (!force && n > (uint32_t)most)
		n = (uint32_t)most;
	else if (v < 0)
		n = 0;
	if (n > INT32_MAX / 2)
		n = INT32_MAX / 2;
	n *= 2; /* socket(7): the kernel doubles it */
	return n < min ? min : n;
}

static int
set_timeout(const uint8_t *val, uint32_t len, int64_t *ret_ns)
{
	struct lx_timeval tv;

	if (len < sizeof tv)
		return -EINVAL;
	memcpy(&tv, val, sizeof tv);
	if (tv.usec < 0 || tv.usec >= 1000000)
		return -EDOM;
	if (tv.sec < 0)
		*ret_ns = 1; /* as Linux: at once */
	else
		*ret_ns = tv.sec > 9000000000LL ? 0 : tv.sec * 1000000000LL + tv.usec * 1000;
	return 0;
}

int64_t
sock_stamp(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* val: a struct sock_fprog, or nothing for SO_DETACH_FILTER. */
static int
set_filter(struct sock *s, const struct call *c, int opt, const uint8_t *val, uint32_t len)
{
	struct lx_sock_fprog prog;
	struct lx_sock_filter *insn;
	struct sock_filter *f = NULL, *old;
	int err = 0;

	if (!s->ops->filters)
		return opt == LX_SO_DETACH_FILTER ? -ENOENT : -ENOPROTOOPT;
	if (opt == LX_SO_ATTACH_FILTER) {
		if (len != sizeof prog)
			return -EINVAL;
		memcpy(&prog, val, sizeof prog);
		if (!prog.len || prog.len > 4096 || !prog.filter)
			return -EINVAL;
		insn = malloc(prog.len * sizeof *insn);
		if (!insn)
			return -ENOMEM;
		if (copy_in(c->um, insn, ua(prog.filter), prog.len * sizeof *insn))
			err = -EFAULT;
		else
			err = sock_filter_new(insn, prog.len, &f);
		free(insn);
		if (err)
			return err;
	}
	mutex_lock(&s->lock);
	old = s->filter;
	if (s->filter_locked)
		err = -EPERM;
	else if (opt == LX_SO_DETACH_FILTER && !old)
		err = -ENOENT;
	else
		s->filter = f;
	mutex_unlock(&s->lock);
	sock_filter_free(err ? f : old);
	return err;
}

int
sock_get_filter(struct sock *s, const struct call *c, struct uaddr val, uint32_t room)
{
	const struct lx_sock_filter *have;
	struct lx_sock_filter *copy = NULL;
	size_t n = 0;
	int err = 0;

	mutex_lock(&s->lock);
	have = s->filter ? sock_filter_get(s->filter, &n) : NULL;
	if (n && room) {
		copy = room < n ? NULL : malloc(n * sizeof *copy);
		if (copy)
			memcpy(copy, have, n * sizeof *copy);
		else
			err = room < n ? -EINVAL : -ENOMEM;
	}
	mutex_unlock(&s->lock);
	if (copy && copy_out(c->um, val, copy, n * sizeof *copy))
		err = -EFAULT;
	free(copy);
	return err ? err : (int)n;
}

/* Messages of the family say who sends them. */
static bool
has_creds(const struct sock *s)
{
	return s->family == LX_AF_UNIX || s->family == LX_AF_NETLINK;
}

static int
set_socket_option(struct sock *s, const struct call *c, int opt, const uint8_t *val, uint32_t len)
{
	int32_t v = 0;
	int err;

	switch (opt) {
	case LX_SO_RCVTIMEO:
	case LX_SO_RCVTIMEO_NEW:
		return set_timeout(val, len, &s->rcvtimeo_ns);
	case LX_SO_SNDTIMEO:
	case LX_SO_SNDTIMEO_NEW:
		return set_timeout(val, len, &s->sndtimeo_ns);
	case LX_SO_BINDTODEVICE: {
		char name[16] = {0};
		struct net_link link;

		memcpy(name, val, len < 15 ? len : 15);
		if (name[0] && net_link_find(s->net, 0, name, &link) < 0)
			return -ENODEV;
		if (s->bound_dev && !cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_RAW))
			return -EPERM;
		s->bound_dev = name[0] ? link.index : 0;
		return 0;
	}
	default:
		break;
	}
	err = get_int(val, len, &v);
	if (err)
		return err;
	switch (opt) {
	case LX_SO_ATTACH_FILTER:
	case LX_SO_DETACH_FILTER:
		return set_filter(s, c, opt, val, len);
	case LX_SO_DEBUG:
		if (v && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
			return -EACCES;
		s->debug = v;
		return 0;
	case LX_SO_LOCK_FILTER:
		if (!s->ops->filters)
			return -ENOPROTOOPT;
		mutex_lock(&s->lock);
		err = s->filter_locked && !v ? -EPERM : 0;
		s->filter_locked |= v != 0;
		mutex_unlock(&s->lock);
		return err;
	case LX_SO_REUSEADDR:
		s->reuseaddr = v;
		return 0;
	case LX_SO_REUSEPORT:
		s->reuseport = v;
		return 0;
	case LX_SO_DONTROUTE:
		s->dontroute = v;
		return 0;
	case LX_SO_BROADCAST:
		s->broadcast = v;
		return 0;
	case LX_SO_MARK:
		if (!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_RAW) &&
			!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_ADMIN))
			return -EPERM;
		s->mark = (uint32_t)v;
		return 0;
	case LX_SO_KEEPALIVE:
		s->keepalive = v;
		return 0;
	case LX_SO_OOBINLINE:
		s->oobinline = v;
		return 0;
	case LX_SO_TIMESTAMP:
	case LX_SO_TIMESTAMPNS:
		/* Of datagrams: what there is of a stream has no time of its own. */
		if (s->type != LX_SOCK_DGRAM && s->type != LX_SOCK_RAW)
			return -ENOPROTOOPT;
		s->stamp = !v ? STAMP_NONE : opt == LX_SO_TIMESTAMP ? STAMP_US : STAMP_NS;
		return 0;
	case LX_SO_PASSCRED:
		if (!has_creds(s))
			return -EOPNOTSUPP;
		s->passcred = v;
		return 0;
	case LX_SO_PASSSEC:
		return has_creds(s) ? -ENOPROTOOPT : -EOPNOTSUPP;
	case LX_SO_SNDBUF:
	case LX_SO_SNDBUFFORCE:
		if (opt == LX_SO_SNDBUFFORCE && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
			return -EPERM;
		s->sndbuf = buffer_size(v, BUF_MIN_SND, net_sysctl(s->net, NET_WMEM_MAX, 0),
			opt == LX_SO_SNDBUFFORCE);
		waitq_notify(&s->wq, LX_POLLOUT);
		return 0;
	case LX_SO_RCVBUF:
	case LX_SO_RCVBUFFORCE:
		if (opt == LX_SO_RCVBUFFORCE && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
			return -EPERM;
		s->rcvbuf = buffer_size(v, BUF_MIN_RCV, net_sysctl(s->net, NET_RMEM_MAX, 0),
			opt == LX_SO_RCVBUFFORCE);
		return 0;
	case LX_SO_RCVLOWAT:
		s->rcvlowat = v < 0 ? INT32_MAX : v ? v : 1;
		return 0;
	case LX_SO_PRIORITY:
		if ((v < 0 || v > 6) &&
			!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_ADMIN))
			return -EPERM;
		s->priority = v;
		return 0;
	case LX_SO_LINGER:
		if (len < 8)
			return -EINVAL;
		s->linger_on = v;
		memcpy(&s->linger_s, val + 4, 4);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int
sock_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	if (level == LX_SOL_SOCKET && !(s->ops->has_option && s->ops->has_option(level, opt)))
		return set_socket_option(s, c, opt, val, len);
	return s->ops->setsockopt ? s->ops->setsockopt(s, c, level, opt, val, len) : -EOPNOTSUPP;
}

static int
put(uint8_t *val, uint32_t *len, const void *src, uint32_t n)
{
	if (*len > n)
		*len = n;
	memcpy(val, src, *len);
	return 0;
}

static int
put_int(uint8_t *val, uint32_t *len, int32_t v)
{
	return put(val, len, &v, sizeof v);
}

static int
put_timeout(uint8_t *val, uint32_t *len, int64_t ns)
{
	struct lx_timeval tv = {ns / 1000000000, ns % 1000000000 / 1000};

	return put(val, len, &tv, sizeof tv);
}

static int
get_socket_option(struct sock *s, int opt, uint8_t *val, uint32_t *len)
{
	int32_t pair[2];

	switch (opt) {
	case LX_SO_DEBUG:
		return put_int(val, len, s->debug);
	case LX_SO_REUSEADDR:
		return put_int(val, len, s->reuseaddr);
	case LX_SO_REUSEPORT:
		return put_int(val, len, s->reuseport);
	case LX_SO_TYPE:
		return put_int(val, len, s->type);
	case LX_SO_PROTOCOL:
		return put_int(val, len, s->protocol);
	case LX_SO_DOMAIN:
		return put_int(val, len, s->family);
	case LX_SO_ERROR:
		return put_int(val, len, -sock_error_take(s));
	case LX_SO_DONTROUTE:
		return put_int(val, len, s->dontroute);
	case LX_SO_BROADCAST:
		return put_int(val, len, s->broadcast);
	case LX_SO_SNDBUF:
		return put_int(val, len, (int32_t)s->sndbuf);
	case LX_SO_RCVBUF:
		return put_int(val, len, (int32_t)s->rcvbuf);
	case LX_SO_KEEPALIVE:
		return put_int(val, len, s->keepalive);
	case LX_SO_OOBINLINE:
		return put_int(val, len, s->oobinline);
	case LX_SO_PRIORITY:
		return put_int(val, len, s->priority);
	case LX_SO_LINGER:
		pair[0] = s->linger_on;
		pair[1] = s->linger_s;
		return put(val, len, pair, sizeof pair);
	case LX_SO_TIMESTAMP:
		return put_int(val, len, s->stamp == STAMP_US);
	case LX_SO_TIMESTAMPNS:
		return put_int(val, len, s->stamp == STAMP_NS);
	case LX_SO_PASSCRED:
		return has_creds(s) ? put_int(val, len, s->passcred) : -EOPNOTSUPP;
	case LX_SO_PASSSEC:
		return has_creds(s) ? -ENOPROTOOPT : -EOPNOTSUPP;
	case LX_SO_BPF_EXTENSIONS:
		return put_int(val, len, 64); /* SKF_AD_MAX */
	case LX_SO_RCVLOWAT:
		return put_int(val, len, s->rcvlowat);
	case LX_SO_SNDLOWAT:
		return put_int(val, len, 1);
	case LX_SO_RCVTIMEO:
	case LX_SO_RCVTIMEO_NEW:
		return put_timeout(val, len, s->rcvtimeo_ns);
	case LX_SO_SNDTIMEO:
	case LX_SO_SNDTIMEO_NEW:
		return put_timeout(val, len, s->sndtimeo_ns);
	case LX_SO_ACCEPTCONN:
		return put_int(val, len, s->listening);
	case LX_SO_INCOMING_CPU:
		return put_int(val, len, 0);
	case LX_SO_COOKIE:
		if (*len < 8)
			return -EINVAL;
		return put(val, len, &s->cookie, 8);
	case LX_SO_BINDTODEVICE: {
		struct net_link link;

		if (!s->bound_dev) {
			*len = 0;
			return 0;
		}
		if (*len < 16)
			return -EINVAL;
		if (net_link_find(s->net, s->bound_dev, NULL, &link) < 0)
			return -ENODEV;
		return put(val, len, link.name, (uint32_t)strlen(link.name) + 1);
	}
	case LX_SO_MARK:
		return put_int(val, len, (int32_t)s->mark);
	case LX_SO_LOCK_FILTER:
		return s->ops->filters ? put_int(val, len, s->filter_locked) : -ENOPROTOOPT;
	default:
		return -ENOPROTOOPT;
	}
}

int
sock_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	if (level == LX_SOL_SOCKET && opt == LX_SO_PEERCRED && s->family != LX_AF_UNIX) {
		struct lx_ucred nobody = {0, UINT32_MAX, UINT32_MAX};

		return put(val, len, &nobody, sizeof nobody);
	}
	if (level == LX_SOL_SOCKET && opt != LX_SO_PEERCRED && opt != LX_SO_PEERGROUPS &&
		!(s->ops->has_option && s->ops->has_option(level, opt)))
		return get_socket_option(s, opt, val, len);
	if (s->ops->getsockopt)
		return s->ops->getsockopt(s, c, level, opt, val, len);
	return level == LX_SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}
