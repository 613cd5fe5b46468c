/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: making, naming, connecting, options. Messages are in sys_sockmsg.c. */
#include "abi/fs.h"
#include "abi/poll.h"
#include "internal.h"
#include "sentry/net/sysctl.h"
#include "sentry/socket/socket.h"
#include "sentry/syscall/file_block.h"
#include "sentry/vfs/file.h"
#include "socket.h"
#include <stdlib.h>
#include <string.h>

static int64_t
install(struct task *t, struct sock *s, uint32_t flags)
{
	struct file *f;
	int err = sock_file(s, t->cred, flags & LX_SOCK_NONBLOCK ? LX_O_NONBLOCK : 0, &f);

	return err ? err : task_fd_install_put(t, f, flags & LX_SOCK_CLOEXEC);
}

static int
check_type(uint64_t *type, uint32_t *flags)
{
	*flags = (uint32_t)*type & ~(uint32_t)LX_SOCK_TYPE_MASK;
	*type &= LX_SOCK_TYPE_MASK;
	return *flags & ~(uint32_t)(LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK) ? -EINVAL : 0;
}

int64_t
sys_socket(struct task *t, const uint64_t a[6])
{
	uint64_t type = (uint32_t)a[1];
	uint32_t flags;
	struct sock *s;
	int err = check_type(&type, &flags);

	if (!err && (arg_int(a[0]) < 0 || arg_int(a[0]) >= LX_AF_MAX))
		err = -EAFNOSUPPORT;
	if (!err && type > 10)
		err = -EINVAL;
	if (!err)
		err = sock_create(&t->call, arg_int(a[0]), (int)type, arg_int(a[2]), &s);
	return err ? err : install(t, s, flags);
}

int64_t
sys_socketpair(struct task *t, const uint64_t a[6])
{
	uint64_t type = (uint32_t)a[1];
	struct sock *s[2];
	struct file *f;
	uint32_t flags;
	int32_t fd[2];
	int err = check_type(&type, &flags);

	if (!err)
		err = sock_create_pair(&t->call, arg_int(a[0]), (int)type, arg_int(a[2]), s);
	if (err)
		return err;
	fd[0] = (int32_t)install(t, s[0], flags);
	if (fd[0] < 0) {
		s[1]->ops->close(s[1]);
		sock_put(s[1]);
		return fd[0];
	}
	fd[1] = (int32_t)install(t, s[1], flags);
	err = fd[1] < 0 ? fd[1] : copy_out(&t->mem.um, ua(a[3]), fd, sizeof fd);
	if (!err)
		return 0;
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0 && !fdtable_remove(t->files, fd[i], &f))
			fd_close_file(t->files, f, &t->call);
	return err;
}

struct sock *
task_sock(struct task *t, int fd, struct file **ret_file, int *err)
{
	struct file *f = task_file(t, fd);
	struct sock *s = f ? sock_of(f) : NULL;

	if (!s) {
		*err = f ? -ENOTSOCK : -EBADF;
		if (f)
			file_put(f);
		return NULL;
	}
	*ret_file = f;
	return s;
}

int
sockaddr_in(struct task *t, uint64_t addr, uint64_t len, uint8_t *buf)
{
	if (arg_int(len) < 0 || arg_int(len) > SOCK_ADDR_MAX)
		return -EINVAL;
	memset(buf, 0, SOCK_ADDR_MAX);
	return copy_in(&t->mem.um, buf, ua(addr), (size_t)arg_int(len));
}

/* As move_addr_to_user: what fits, and the whole length. */
int
sockaddr_out(struct task *t, uint64_t addr, uint64_t len_addr, const uint8_t *buf, uint32_t len)
{
	int32_t room;

	if (copy_in(&t->mem.um, &room, ua(len_addr), sizeof room))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (copy_out(&t->mem.um, ua(addr), buf, (uint32_t)room < len ? (uint32_t)room : len) ||
		copy_out(&t->mem.um, ua(len_addr), &len, sizeof len))
		return -EFAULT;
	return 0;
}

int64_t
sys_bind(struct task *t, const uint64_t a[6])
{
	uint8_t addr[SOCK_ADDR_MAX];
	struct file *f;
	int err = 0;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	err = sockaddr_in(t, a[1], a[2], addr);
	if (!err)
		err = s->ops->bind ? s->ops->bind(s, &t->call, addr, (uint32_t)a[2]) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

int64_t
sys_listen(struct task *t, const uint64_t a[6])
{
	int backlog = arg_int(a[1]);
	struct file *f;
	int err = 0;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	if ((uint32_t)backlog > (uint32_t)net_sysctl(s->net, NET_SOMAXCONN, 0))
		backlog = net_sysctl(s->net, NET_SOMAXCONN, 0);
	err = s->ops->listen(s, &t->call, backlog);
	file_put(f);
	return err;
}

int64_t
sock_deadline(int64_t timeout_ns)
{
	return timeout_ns ? deadline_after(timeout_ns) : INT64_MAX;
}

int64_t
sock_cut_short(int64_t r, int64_t deadline)
{
	return r == -ERESTARTSYS && deadline != INT64_MAX ? -EINTR : r;
}

/* As often as there may be an answer. */
static int64_t
connect_and_wait(struct task *t, struct sock *s, const uint8_t *addr, uint32_t len)
{
	int64_t r, deadline = sock_deadline(s->sndtimeo_ns);
	struct sock *at = NULL;
	struct waiter own, room;

	waiter_init_fiber(&own, t->fiber, ~0u);
	waiter_init_fiber(&room, t->fiber, LX_POLLOUT);
	waitq_add(&s->wq, &own);
	for (;;) {
		struct sock *full = NULL;

		r = s->ops->connect(s, &t->call, addr, len, &full);
		if (r != -EAGAIN)
			break;
		if (full && full != at) { /* else it waits there already */
			waitq_remove(&room);
			sock_put(at);
			at = full;
			waitq_add(&at->wq, &room);
			continue;
		}
		sock_put(full);
		r = task_park(t, deadline);
		if (r == -ETIMEDOUT || (!r && sched_now_ns() >= deadline)) {
			r = s->family == LX_AF_UNIX ? -EAGAIN : -EINPROGRESS;
			break;
		}
		if (r) {
			r = sock_cut_short(r, deadline);
			break;
		}
	}
	waitq_remove(&room);
	waitq_remove(&own);
	sock_put(at);
	return r;
}

int64_t
sock_connect(struct task *t, struct sock *s, const uint8_t *addr, uint32_t len, bool nonblock)
{
	struct sock *full = NULL;
	int64_t r;

	r = s->ops->connect(s, &t->call, addr, len, nonblock ? NULL : &full);
	sock_put(full);
	return r == -EAGAIN && !nonblock ? connect_and_wait(t, s, addr, len) : r;
}

int64_t
sys_connect(struct task *t, const uint64_t a[6])
{
	uint8_t addr[SOCK_ADDR_MAX] = {0};
	struct file *f;
	int err = 0;
	int64_t r;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	r = sockaddr_in(t, a[1], a[2], addr);
	if (!r)
		r = sock_connect(t, s, addr, (uint32_t)a[2], file_flags(f) & LX_O_NONBLOCK);
	file_put(f);
	return r;
}

struct accept_arg {
	struct sock *s, *got;
	const struct call *c;
};

static int64_t
try_accept(void *p)
{
	struct accept_arg *a = p;

	return a->s->ops->accept(a->s, a->c, &a->got);
}

int64_t
sock_accept(struct task *t, struct file *f, struct sock *s, uint64_t addr_at, uint64_t len_at,
	uint32_t flags, bool nonblock)
{
	struct accept_arg aa = {.s = s, .c = &t->call};
	uint8_t addr[SOCK_ADDR_MAX];
	uint32_t len;
	int64_t r, deadline;
	int err;

	if (flags & ~(uint32_t)(LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK))
		return -EINVAL;
	if (!s->ops->accept)
		return -EOPNOTSUPP;
	deadline = sock_deadline(s->rcvtimeo_ns);
	if (nonblock)
		r = try_accept(&aa);
	else
		r = sock_cut_short(
			file_block(t, f, LX_POLLIN, deadline, try_accept, &aa), deadline);
	if (r)
		return r;
	if (addr_at) {
		err = aa.got->ops->getname(aa.got, true, addr, &len);
		if (err) { /* the other end is gone already */
			memset(addr, 0, sizeof addr);
			memcpy(addr, &aa.got->family, 2);
			len = 2;
		}
		err = sockaddr_out(t, addr_at, len_at, addr, len);
		if (err) {
			aa.got->ops->close(aa.got);
			sock_put(aa.got);
			return err;
		}
	}
	return install(t, aa.got, flags);
}

static int64_t
do_accept(struct task *t, const uint64_t a[6], uint32_t flags)
{
	struct file *f;
	int err = 0;
	int64_t r;
	struct sock *s;

	if (flags & ~(uint32_t)(LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK))
		return -EINVAL;
	s = task_sock(t, arg_int(a[0]), &f, &err);
	if (!s)
		return err;
	r = sock_accept(t, f, s, a[1], a[2], flags, file_flags(f) & LX_O_NONBLOCK);
	file_put(f);
	return r;
}

int64_t
sys_accept(struct task *t, const uint64_t a[6])
{
	return do_accept(t, a, 0);
}

int64_t
sys_accept4(struct task *t, const uint64_t a[6])
{
	return do_accept(t, a, (uint32_t)a[3]);
}

static int64_t
do_getname(struct task *t, const uint64_t a[6], bool peer)
{
	uint8_t addr[SOCK_ADDR_MAX];
	struct file *f;
	uint32_t len;
	int err = 0;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	err = s->ops->getname(s, peer, addr, &len);
	file_put(f);
	return err ? err : sockaddr_out(t, a[1], a[2], addr, len);
}

int64_t
sys_getsockname(struct task *t, const uint64_t a[6])
{
	return do_getname(t, a, false);
}

int64_t
sys_getpeername(struct task *t, const uint64_t a[6])
{
	return do_getname(t, a, true);
}

int64_t
sys_shutdown(struct task *t, const uint64_t a[6])
{
	struct file *f;
	int err = 0;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	err = (uint32_t)a[1] > LX_SHUT_RDWR ? -EINVAL : s->ops->shutdown(s, arg_int(a[1]));
	file_put(f);
	return err;
}

#define OPT_MAX 4096

int64_t
sys_setsockopt(struct task *t, const uint64_t a[6])
{
	uint32_t len = (uint32_t)a[4];
	uint8_t val[256] = {0};
	struct file *f;
	int err = 0;
	struct sock *s;

	if (arg_int(len) < 0)
		return -EINVAL;
	s = task_sock(t, arg_int(a[0]), &f, &err);
	if (!s)
		return err;
	if (len > sizeof val)
		len = sizeof val;
	if (copy_in(&t->mem.um, val, ua(a[3]), len))
		err = -EFAULT;
	else
		err = sock_setsockopt(s, &t->call, arg_int(a[1]), arg_int(a[2]), val, len);
	file_put(f);
	return err;
}

/* Who is at the other end, as the caller's namespaces know them. */
static void
show_peer(struct task *t, struct lx_ucred *u)
{
	u->pid = pid_nr_out(u->pid);
	if (u->uid != UINT32_MAX) {
		u->uid = uid_out(t->cred->user_ns, u->uid);
		u->gid = gid_out(t->cred->user_ns, u->gid);
	}
}

int64_t
sys_getsockopt(struct task *t, const uint64_t a[6])
{
	uint8_t *val;
	struct file *f;
	int32_t room;
	uint32_t len;
	int err = 0;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	val = calloc(1, OPT_MAX);
	if (!val) {
		err = -ENOMEM;
	} else if (copy_in(&t->mem.um, &room, ua(a[4]), sizeof room)) {
		err = -EFAULT;
	} else if (room < 0) {
		err = -EINVAL;
	} else if (arg_int(a[1]) == LX_SOL_SOCKET && arg_int(a[2]) == LX_SO_GET_FILTER) {
		err = sock_get_filter(s, &t->call, ua(a[3]), (uint32_t)room);
		len = err < 0 ? 0 : (uint32_t)err;
		if (err >= 0)
			err = copy_out(&t->mem.um, ua(a[4]), &len, sizeof len) ? -EFAULT : 0;
	} else {
		len = room > OPT_MAX ? OPT_MAX : (uint32_t)room;
		/* PACKET_HDRLEN answers what it finds there */
		if (s->family == LX_AF_PACKET && len >= 4)
			err = copy_in(&t->mem.um, val, ua(a[3]), 4) ? -EFAULT : 0;
		if (!err)
			err = sock_getsockopt(s, &t->call, arg_int(a[1]), arg_int(a[2]), val, &len);
		if (!err && arg_int(a[1]) == LX_SOL_SOCKET && arg_int(a[2]) == LX_SO_PEERCRED &&
			len == sizeof(struct lx_ucred))
			show_peer(t, (struct lx_ucred *)val);
		if (!err && (copy_out(&t->mem.um, ua(a[3]), val, len) ||
				    copy_out(&t->mem.um, ua(a[4]), &len, sizeof len)))
			err = -EFAULT;
	}
	free(val);
	file_put(f);
	return err;
}
