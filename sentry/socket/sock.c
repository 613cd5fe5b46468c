/* SPDX-License-Identifier: Apache-2.0 */
/* What all sockets share: life, their files, SOL_SOCKET options, byte queues of streams. */
#include "abi/fs.h"
#include "abi/poll.h"
#include "abi/stat.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_DEFAULT 212992 /* net.core.[rw]mem_default */
#define BUF_MAX	    212992
#define BUF_MIN_SND 4608
#define BUF_MIN_RCV 2304
#define PIECE_BYTES 65536u

static const struct sock_family *families[8];
static unsigned nfamilies;
static _Atomic uint64_t next_cookie = 1;

void
sock_family_register(const struct sock_family *f)
{
	families[nfamilies++] = f;
}

static const struct sock_family *
find_family(int family)
{
	for (unsigned i = 0; i < nfamilies; i++)
		if (families[i]->family == family)
			return families[i];
	return NULL;
}

int
sock_create(const struct call *c, int family, int type, int protocol, struct sock **ret)
{
	const struct sock_family *f = find_family(family);

	return f ? f->create(c, type, protocol, ret) : -EAFNOSUPPORT;
}

int
sock_create_pair(const struct call *c, int family, int type, int protocol, struct sock *ret[2])
{
	const struct sock_family *f = find_family(family);

	if (!f)
		return -EAFNOSUPPORT;
	return f->pair ? f->pair(c, type, protocol, ret) : -EOPNOTSUPP;
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
	s->rcvbuf = s->sndbuf = BUF_DEFAULT;
	s->rcvlowat = 1;
	s->owner = (struct lx_ucred){c->tgid, c->cred->euid, c->cred->egid};
	s->owner_cred = cred_get(c->cred);
	s->cookie = atomic_fetch_add(&next_cookie, 1);
}

void
sock_fini(struct sock *s)
{
	struct list *n;

	while ((n = list_pop_front(&s->rcvq)))
		skb_free(list_entry(n, struct skb, node));
	cred_put(s->owner_cred);
	waitq_destroy(&s->wq);
	mutex_destroy(&s->lock);
	LIVE_DEC(SOCK);
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

/* --- data --- */

void
scm_files_free(struct scm_files *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->n; i++)
		file_put(f->file[i]);
	free(f);
}

struct skb *
skb_new(uint32_t cap)
{
	struct skb *b = malloc(sizeof *b + cap);

	if (!b)
		return NULL;
	memset(b, 0, offsetof(struct skb, data));
	list_init(&b->node);
	b->cap = cap;
	return b;
}

void
skb_free(struct skb *b)
{
	if (!b)
		return;
	scm_files_free(b->files);
	free(b);
}

static bool
same_cred(const struct skb *b, const struct sock_msg *m)
{
	return b->has_cred == m->has_cred &&
	       (!m->has_cred || memcmp(&b->cred, &m->cred, sizeof m->cred) == 0);
}

ssize_t
stream_append(struct sock *dst, struct sock_msg *m, uint32_t limit)
{
	size_t want = m->uio->left, room, n;
	struct skb *b, *last;
	uint32_t cap;
	ssize_t k;

	mutex_lock(&dst->lock);
	room = dst->rcv_bytes < limit ? limit - dst->rcv_bytes : 0;
	mutex_unlock(&dst->lock);
	if (!room)
		return -EAGAIN;
	n = want < room ? want : room;
	if (n > PIECE_BYTES)
		n = PIECE_BYTES;
	/* Small writes leave room behind them for the next ones. */
	cap = (uint32_t)(n < 1024 ? 2048 : n);
	b = skb_new(cap);
	if (!b)
		return -ENOMEM;
	k = uio_copy_from(m->uio, b->data, n);
	if (k < 0 || (!k && want)) {
		skb_free(b);
		return k ? k : -EFAULT;
	}
	b->len = (uint32_t)k;
	b->files = m->files;
	b->cred = m->cred;
	b->has_cred = m->has_cred;
	m->files = NULL;
	mutex_lock(&dst->lock);
	last = list_empty(&dst->rcvq) ? NULL : list_entry(dst->rcvq.prev, struct skb, node);
	if (last && !b->files && !last->files && !last->fin && last->len && same_cred(last, m) &&
		last->cap - last->len >= b->len) {
		memcpy(last->data + last->len, b->data, b->len);
		/* A reader may be looking at the piece: the bytes first, then their number. */
		__atomic_store_n(&last->len, last->len + b->len, __ATOMIC_RELEASE);
	} else {
		list_push_back(&dst->rcvq, &b->node);
		b = NULL;
	}
	dst->rcv_bytes += (uint32_t)k;
	mutex_unlock(&dst->lock);
	skb_free(b);
	waitq_notify(&dst->wq, LX_POLLIN | LX_POLLRDNORM);
	return k;
}

ssize_t
stream_take(struct sock *s, struct sock_msg *m, uint32_t *freed)
{
	ssize_t done = 0;
	bool first = true, peek = m->flags & LX_MSG_PEEK;
	struct list *at = &s->rcvq;

	*freed = 0;
	sleeplock_lock(&s->rlock);
	while (m->uio->left) {
		struct skb *b;
		uint32_t off, len;
		ssize_t k;

		mutex_lock(&s->lock);
		b = at->next == &s->rcvq ? NULL : list_entry(at->next, struct skb, node);
		len = b ? b->len : 0;
		off = b ? b->off : 0;
		mutex_unlock(&s->lock);
		if (!b)
			break;
		/* Bytes of different senders, and what comes with descriptors, are not joined
		 * (unix(7)). */
		if (!first && (b->files || b->has_cred != m->has_cred ||
				      (m->has_cred && memcmp(&b->cred, &m->cred, sizeof b->cred))))
			break;
		if (first) {
			m->has_cred = b->has_cred;
			m->cred = b->cred;
		}
		if (len ==
			off) { /* an empty message cannot be in a stream; a spent piece is going */
			at = at->next;
			continue;
		}
		if (m->flags & LX_MSG_TRUNC) {
			k = (ssize_t)(len - off < m->uio->left ? len - off : m->uio->left);
			uio_skip(m->uio, (size_t)k);
		} else {
			k = uio_copy_to(m->uio, b->data + off, len - off);
		}
		if (k < 0) {
			if (!done)
				done = k;
			break;
		}
		done += k;
		mutex_lock(&s->lock);
		if (b->files && !m->files && !peek) {
			m->files = b->files;
			b->files = NULL;
		}
		first = false;
		if (peek) {
			at = at->next;
		} else {
			b->off += (uint32_t)k;
			s->rcv_bytes -= (uint32_t)k;
			*freed += (uint32_t)k;
			if (b->off == b->len) {
				list_del(&b->node);
				at = &s->rcvq;
			} else {
				b = NULL;
			}
		}
		mutex_unlock(&s->lock);
		if (!peek)
			skb_free(b);
		if (m->files)
			break;
	}
	sleeplock_unlock(&s->rlock);
	return done;
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
	int32_t v;

	switch (cmd) {
	case 0x541b: /* FIONREAD, SIOCINQ */
		if (s->ops->on_host)
			return s->ops->ioctl ? s->ops->ioctl(s, c, cmd, arg) : -ENOTTY;
		mutex_lock(&s->lock);
		if (s->listening) {
			mutex_unlock(&s->lock);
			return -EINVAL;
		}
		if (s->type == LX_SOCK_STREAM) {
			v = (int32_t)s->rcv_bytes;
		} else {
			struct skb *b = list_first(&s->rcvq, struct skb, node);

			v = b ? (int32_t)b->len : 0;
		}
		mutex_unlock(&s->lock);
		return copy_out(c->um, ua(arg), &v, sizeof v);
	case 0x5411: /* TIOCOUTQ: what the peer has not taken; it took everything that left here */
		v = 0;
		return copy_out(c->um, ua(arg), &v, sizeof v);
	default:
		return s->ops->ioctl ? s->ops->ioctl(s, c, cmd, arg) : -ENOTTY;
	}
}

static const struct file_ops sock_file_ops = {
	.release = sock_file_release,
	.read = sock_file_read,
	.write = sock_file_write,
	.poll = sock_file_poll,
	.ioctl = sock_file_ioctl,
};

int
sock_file(struct sock *s, uint32_t oflags, struct file **ret)
{
	int err = file_new_anon(
		&sock_file_ops, s, "socket:[%lu]", LX_S_IFSOCK | 0777, LX_O_RDWR | oflags, ret);

	if (err) {
		s->ops->close(s);
		sock_put(s);
	} else {
		s->ino = (*ret)->inode->ino;
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

static uint32_t
buffer_size(int32_t v, uint32_t min, bool force)
{
	uint32_t n = v < 0 ? 0 : (uint32_t)v;

	if (!force && n > BUF_MAX)
		n = BUF_MAX;
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

static int
set_socket_option(struct sock *s, const struct call *c, int opt, const uint8_t *val, uint32_t len)
{
	int32_t v = 0;
	int err;

	switch (opt) {
	case LX_SO_RCVTIMEO:
		return set_timeout(val, len, &s->rcvtimeo_ns);
	case LX_SO_SNDTIMEO:
		return set_timeout(val, len, &s->sndtimeo_ns);
	case LX_SO_BINDTODEVICE: {
		char name[16] = {0};

		memcpy(name, val, len < 15 ? len : 15);
		if (name[0] && strcmp(name, "lo") != 0)
			return -ENODEV;
		return 0; /* there is only lo */
	}
	default:
		break;
	}
	err = get_int(val, len, &v);
	if (err)
		return err;
	switch (opt) {
	case LX_SO_DEBUG:
		if (v && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
			return -EACCES;
		s->debug = v;
		return 0;
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
	case LX_SO_KEEPALIVE:
		s->keepalive = v;
		return 0;
	case LX_SO_OOBINLINE:
		s->oobinline = v;
		return 0;
	case LX_SO_PASSCRED:
		if (s->family != LX_AF_UNIX && s->family != LX_AF_NETLINK)
			return -EOPNOTSUPP;
		s->passcred = v;
		return 0;
	case LX_SO_SNDBUF:
	case LX_SO_SNDBUFFORCE:
		if (opt == LX_SO_SNDBUFFORCE && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
			return -EPERM;
		s->sndbuf = buffer_size(v, BUF_MIN_SND, opt == LX_SO_SNDBUFFORCE);
		waitq_notify(&s->wq, LX_POLLOUT);
		return 0;
	case LX_SO_RCVBUF:
	case LX_SO_RCVBUFFORCE:
		if (opt == LX_SO_RCVBUFFORCE && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
			return -EPERM;
		s->rcvbuf = buffer_size(v, BUF_MIN_RCV, opt == LX_SO_RCVBUFFORCE);
		return 0;
	case LX_SO_RCVLOWAT:
		s->rcvlowat = v < 0 ? INT32_MAX : v ? v : 1;
		return 0;
	case LX_SO_PRIORITY:
		if ((v < 0 || v > 6) && !cred_capable(c->cred, LX_CAP_NET_ADMIN))
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
	if (level == LX_SOL_SOCKET) {
		int err = set_socket_option(s, c, opt, val, len);

		/* Time-outs and the like are ours; what the host has to know it gets as well. */
		if (err || !s->ops->on_host)
			return err;
		err = s->ops->setsockopt(s, c, level, opt, val, len);
		return err == -ENOPROTOOPT ? 0 : err;
	}
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
	int err;

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
		mutex_lock(&s->lock);
		err = s->err;
		s->err = 0;
		mutex_unlock(&s->lock);
		return put_int(val, len, err);
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
	case LX_SO_PASSCRED:
		return put_int(val, len, s->passcred);
	case LX_SO_RCVLOWAT:
		return put_int(val, len, s->rcvlowat);
	case LX_SO_SNDLOWAT:
		return put_int(val, len, 1);
	case LX_SO_RCVTIMEO:
		return put_timeout(val, len, s->rcvtimeo_ns);
	case LX_SO_SNDTIMEO:
		return put_timeout(val, len, s->sndtimeo_ns);
	case LX_SO_ACCEPTCONN:
		return put_int(val, len, s->listening);
	case LX_SO_INCOMING_CPU:
		return put_int(val, len, 0);
	case LX_SO_COOKIE:
		if (*len < 8)
			return -EINVAL;
		return put(val, len, &s->cookie, 8);
	case LX_SO_BINDTODEVICE:
		*len = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int
sock_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	if (level == LX_SOL_SOCKET && s->ops->on_host) {
		int err = s->ops->getsockopt(s, c, level, opt, val, len);

		if (err != -ENOPROTOOPT)
			return err;
	}
	if (level == LX_SOL_SOCKET && opt != LX_SO_PEERCRED && opt != LX_SO_PEERGROUPS)
		return get_socket_option(s, opt, val, len);
	if (s->ops->getsockopt)
		return s->ops->getsockopt(s, c, level, opt, val, len);
	return level == LX_SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}
