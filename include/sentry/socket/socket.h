/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets as the syscalls see them: an object with operations of its family and type, and a file
 * that stands for it. As all files they do not sleep: -EAGAIN, and a notification on sock->wq.
 *
 * Locks: sock->lock (rank SOCK) guards everything of one socket; two are never held at once. rlock
 * (sleeplock) is held by a reader of a stream, so that bytes can be copied out without holding
 * lock.
 */
#ifndef SENTRY_SOCKET_SOCKET_H
#define SENTRY_SOCKET_SOCKET_H

#include "abi/socket.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/cred/cred.h"
#include "sentry/sched/waitq.h"
#include "sentry/usermem/usermem.h"

struct file;
struct mappable;
struct sock;
struct sock_info;
struct net_ns;

#define SOCK_ADDR_MAX 128

/* Open files in flight (SCM_RIGHTS): references. */
struct scm_files {
	uint32_t n;
	uint32_t uid;	/* in flight: whose */
	bool in_flight; /* counted by unix/flight.c */
	struct scm_files *next;
	struct file *file[LX_SCM_MAX_FD];
};

/* Drops the references; NULL is fine. Called from within itself (a file was a socket with files in
 * its queue) it leaves the work to the outer call, so that chains of any length need no stack. */
void scm_files_free(struct scm_files *f);
struct scm_files *scm_files_dup(const struct scm_files *f); /* NULL: out of memory */

/* Ancillary data of a protocol, as in a struct cmsghdr. */
struct sock_ctl {
	int32_t level, type;
	uint32_t len;
	uint8_t data[48];
};
#define SOCK_CTL_MAX 8

/* What a datagram brings beside its contents. */
struct sock_meta {
	uint8_t to[16]; /* inet: where it was sent to */
	int32_t iif;	/* inet: the interface that it came by; 0: lo */
	uint8_t tos, ttl;
	uint16_t coverage;   /* UDP-Lite: bytes that are covered by the checksum; 0: all */
	uint32_t whole, got; /* packets: length, and how much of it a filter let through */
	int64_t stamp_ns;    /* since the Epoch; 0: none */
};

#define STREAM_PIECE_MAX 65536u /* as much at once goes into a stream's queue at most */

struct sock_msg {
	struct uio *uio;
	uint32_t flags;		     /* LX_MSG_*; on return of recvmsg, those for msg_flags */
	uint8_t addr[SOCK_ADDR_MAX]; /* destination, or the sender's address */
	uint32_t addr_len;	     /* 0: none */
	struct scm_files *files;     /* send: consumed on success; recv: the caller's to take */
	struct lx_ucred cred;
	bool has_cred;
	struct sock_meta meta;		   /* recv */
	struct sock_ctl ctl[SOCK_CTL_MAX]; /* the protocol's, or from the host */
	uint32_t nctl;
	/* send, or NULL: what goes into the queue is copied here too; room for all of uio, or for
	 * STREAM_PIECE_MAX */
	uint8_t *tap;
};

struct sock_ops {
	bool filters; /* looks at s->filter */
	bool on_host; /* the state is the host's */
	int (*bind)(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len);
	/* wait_at NULL: as O_NONBLOCK asks; -EINPROGRESS then, with the outcome in SO_ERROR.
	 * -EAGAIN: to be asked again when s->wq tells of something; or that of *wait_at, a
	 * reference, if that is set: its backlog is full. */
	int (*connect)(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
		struct sock **wait_at);
	int (*listen)(struct sock *s, const struct call *c, int backlog);
	/* A new reference; -EAGAIN. */
	int (*accept)(struct sock *s, const struct call *c, struct sock **ret);
	int (*getname)(struct sock *s, bool peer, uint8_t *addr, uint32_t *len); /* len: out only */
	ssize_t (*sendmsg)(struct sock *s, const struct call *c, struct sock_msg *m);
	ssize_t (*recvmsg)(struct sock *s, const struct call *c, struct sock_msg *m);
	int (*shutdown)(struct sock *s, int how);
	/* Options of SOL_SOCKET that setsockopt and getsockopt answer; NULL: none. */
	bool (*has_option)(int level, int opt);
	/* Options of other levels than SOL_SOCKET, and those. val holds len bytes. */
	int (*setsockopt)(struct sock *s, const struct call *c, int level, int opt,
		const uint8_t *val, uint32_t len);
	/* *len: room in val, then bytes written. With AF_PACKET val holds the 4 bytes that the
	 * caller had there. */
	int (*getsockopt)(struct sock *s, const struct call *c, int level, int opt, uint8_t *val,
		uint32_t *len);
	uint32_t (*poll)(struct sock *s);
	/* What mmap(2) of its file maps, a new reference; NULL: -ENODEV. */
	int (*mappable)(struct sock *s, struct file *f, bool shared, struct mappable **ret);
	int64_t (*ioctl)(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg);
	void (*close)(struct sock *s); /* the file is gone; the sock may live on by references */
	void (*free)(struct sock *s);  /* the last reference is gone; frees s */
	/* What is the family's own in *ret; false: not one to show (never bound, half made). */
	bool (*describe)(struct sock *s, struct sock_info *ret);
};

/* A piece of data in a receive queue. */
struct skb {
	struct list node;
	uint32_t len, off; /* bytes in data, and how many of them are read */
	uint32_t cap;
	struct scm_files *files;
	struct lx_ucred cred;
	bool has_cred, fin;
	bool urgent;		     /* one byte of TCP that is out of band */
	uint8_t addr[SOCK_ADDR_MAX]; /* datagrams: the sender */
	uint32_t addr_len;
	struct sock_meta meta;
	uint8_t data[];
};

int64_t sock_stamp(void); /* sock_meta.stamp_ns of what comes now */
struct skb *skb_new(uint32_t cap);
void skb_free(struct skb *b);
/* b, which is in no queue, without the room that nothing is in; it may move. */
struct skb *skb_fit(struct skb *b);

struct sock {
	struct ref ref;
	const struct sock_ops *ops;
	uint16_t family, type, protocol;
	struct mutex lock; /* rank SOCK: all below */
	struct sleeplock rlock;
	struct waitq wq;
	struct list rcvq;   /* struct skb */
	uint32_t rcv_bytes; /* to be read there */
	uint64_t rcv_held;  /* memory that it takes, which is what limits it */
	uint32_t rcvbuf, sndbuf;
	int err; /* SO_ERROR, positive */
	/* TCP's urgent byte: the newest one, until the reader has passed its place in the queue */
	enum { URGENT_NONE, URGENT_UNREAD, URGENT_READ } urgent;
	uint8_t urgent_byte;
	bool closed;	       /* its file is gone */
	bool shut_rd, shut_wr; /* by the owner */
	bool listening;
	/* SOL_SOCKET options */
	bool reuseaddr, reuseport, keepalive, broadcast, passcred, oobinline, dontroute, debug;
	bool linger_on;
	enum { STAMP_NONE, STAMP_US, STAMP_NS } stamp; /* SO_TIMESTAMP, SO_TIMESTAMPNS */
	int32_t linger_s;
	int32_t priority;
	uint32_t mark;	   /* SO_MARK */
	int32_t bound_dev; /* SO_BINDTODEVICE: an interface; 0: none */
	int32_t rcvlowat;
	int64_t rcvtimeo_ns, sndtimeo_ns; /* 0: none */
	struct lx_ucred owner;		  /* of the maker, for SO_PEERCRED */
	struct cred *owner_cred;	  /* a reference, for SO_PEERGROUPS */
	struct sock_filter *filter;	  /* SO_ATTACH_FILTER, or NULL */
	bool filter_locked;		  /* SO_LOCK_FILTER */
	uint64_t cookie;
	_Atomic uint64_t ino; /* of its file */
	struct list all_node; /* of all sockets */
	struct net_ns *net;   /* a reference: that of the maker */
};

void sock_init(struct sock *s, const struct sock_ops *ops, const struct call *c, int family,
	int type, int protocol);
/* The other end of a connection is in the namespace of who listened. */
void sock_set_net(struct sock *s, struct net_ns *net);
void sock_fini(struct sock *s); /* what sock_init made; for ops->free */
struct sock *sock_get(struct sock *s);
void sock_put(struct sock *s);

/* A file for s; consumes the reference in every case. oflags: LX_O_NONBLOCK or 0. */
int sock_file(struct sock *s, const struct cred *maker, uint32_t oflags, struct file **ret);
struct sock *sock_of(struct file *f); /* borrowed; NULL: not a socket */

/* socket(2): a new sock. -EAFNOSUPPORT, -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EPERM. */
int sock_create(const struct call *c, int family, int type, int protocol, struct sock **ret);
int sock_create_pair(const struct call *c, int family, int type, int protocol, struct sock *ret[2]);

struct sock_family {
	int family;
	/* Families of the same number: whose namespaces it is for. */
	enum { SOCK_ANYWHERE, SOCK_OWN_STACK, SOCK_HOST_STACK } where;
	int (*create)(const struct call *c, int type, int protocol, struct sock **ret);
	int (*pair)(const struct call *c, int type, int protocol,
		struct sock *ret[2]); /* NULL: -EOPNOTSUPP */
};
void sock_family_register(const struct sock_family *f);

int sock_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len);
int sock_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len);
/* SO_GET_FILTER: how many instructions there are, or -errno. They are written to val, which has
 * room for so many (-EINVAL: it has not), unless room is 0. */
int sock_get_filter(struct sock *s, const struct call *c, struct uaddr val, uint32_t room);

/* Into and out of the receive queue, with its numbers. lock is held. */
void skb_queue_locked(struct sock *s, struct skb *b);
void skb_unqueue_locked(struct sock *s, struct skb *b);
/* What is queued in s is read by nobody. Takes rlock and lock. */
void sock_purge(struct sock *s);
/* Packets: no more of them are taken in. As in Linux the last one may go beyond rcvbuf. */
bool skb_full_locked(const struct sock *s);

/* Streams: append what fits of m to dst's queue (dst is locked by this), join into the last piece
 * where that loses nothing. Bytes, or -EAGAIN. limit: most bytes queued. */
ssize_t stream_append(struct sock *dst, struct sock_msg *m, uint32_t limit);
/* The same, the last byte of m being urgent: it replaces an older one. */
ssize_t stream_append_urgent(struct sock *dst, struct sock_msg *m, uint32_t limit);
/* recv(2) with MSG_OOB: 1, -EINVAL (none, or it was read, or it is in line), -EFAULT. */
ssize_t stream_take_urgent(struct sock *s, struct sock_msg *m);
/* Is the next byte the urgent one (sockatmark(3))? lock is held. */
bool stream_at_mark_locked(struct sock *s);
/* Bytes before the urgent one, or all (SIOCINQ). lock is held. */
uint32_t stream_before_mark_locked(struct sock *s);
/* Bytes that a plain read gets next: up to the urgent byte. lock is held. */
uint32_t stream_readable_locked(struct sock *s);
/* Bytes that can be appended now. lock is held. */
uint32_t stream_room_locked(const struct sock *dst, uint32_t limit);
/* Streams: move queued bytes of s to m. 0: nothing there (whether more can come is to be asked
 * before: what was sent before the end counts). Takes rlock and lock. *freed: added to it, bytes
 * that made room. */
ssize_t stream_take(struct sock *s, struct sock_msg *m, uint32_t *freed);

/* Packets: move the first message of s to m as a whole; what m has no room for is lost (MSG_TRUNC).
 * Its length as recvmsg(2) tells it, or -EAGAIN. *freed: 0 if it stays (MSG_PEEK). */
ssize_t sock_packet_take(struct sock *s, struct sock_msg *m, uint32_t *freed);
/* sock_ops.poll where only what comes in can be waited for. */
uint32_t sock_packet_poll(struct sock *s);
/* The pending error, negative, which is told once; 0: none. */
int sock_error_take(struct sock *s);
/* -EOPNOTSUPP, for sockets that have no such operation. */
int sock_no_listen(struct sock *s, const struct call *c, int backlog);
int sock_no_shutdown(struct sock *s, int how);

/* The ioctls of netdevice(7); -ENOTTY: not one of them. */
int64_t ifreq_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg);

int unix_init(void); /* after the scheduler's. -ENOMEM */
/* Is f a socket that is in flight somewhere? When a descriptor to such a one is closed, what is
 * left of it may be kept by nothing but queues that nobody can receive from. */
bool unix_in_flight(struct file *f);
void unix_flight_collect(void);		   /* drops those, soon */
void unix_flight_end(struct scm_files *f); /* received, or not to be; NULL and any other are fine */
/* A message without a head from the kernel, for mq_notify(3). s: of AF_NETLINK. -ENOMEM. */
int netlink_deliver(struct sock *s, const void *data, uint32_t len);
void netlink_init(void);
void tun_init(void); /* /dev/net/tun */
struct net_addr;
struct net_link;
/* An interface, or an address, has changed or is gone: to who listens. */
void netlink_link_news(struct net_ns *net, const struct net_link *l, bool gone);
void netlink_addr_news(struct net_ns *net, bool gone, const struct net_addr *a);
void inet_init(void); /* AF_INET, AF_INET6: loopback inside the sandbox */
/* and by host sockets in namespaces that are the host's; ports below low_ports take
 * CAP_NET_BIND_SERVICE */
void hostsock_init(void);
/* A socket of the host that a program is given (consumed in any case): unix, IPv4 or IPv6.
 * -EAFNOSUPPORT, -ESOCKTNOSUPPORT. */
int hostsock_passed(const struct call *c, int fd, struct sock **ret);

#endif
