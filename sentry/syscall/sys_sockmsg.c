/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on sockets: sendto, sendmsg, sendmmsg and the receiving ones, with ancillary data
 * (cmsg(3)). */
#include "abi/fs.h"
#include "abi/poll.h"
#include "internal.h"
#include "sentry/socket/socket.h"
#include "sentry/syscall/file_block.h"
#include "sentry/vfs/file.h"
#include "socket.h"
#include "uring.h"
#include <stdlib.h>
#include <string.h>

#define CMSG_ALIGN(n) (((n) + 7) & ~7UL)
#define MAX_CONTROL   131071 /* below net.core.optmem_max */
#define MAX_MMSG      1024

struct transfer {
	struct sock *s;
	const struct call *c;
	struct sock_msg *m;
};

static int64_t
try_send(void *p)
{
	struct transfer *x = p;

	return x->s->ops->sendmsg(x->s, x->c, x->m);
}

static int64_t
try_recv(void *p)
{
	struct transfer *x = p;

	return x->s->ops->recvmsg(x->s, x->c, x->m);
}

static bool
is_nonblock(const struct file *f, const struct sock_msg *m)
{
	/* the queue of errors is never waited for */
	return (file_flags(f) & LX_O_NONBLOCK) || (m->flags & (LX_MSG_DONTWAIT | LX_MSG_ERRQUEUE));
}

/* Send all of a message; a stream that blocks goes on until everything is sent. */
int64_t
sockmsg_send(struct task *t, struct file *f, struct sock *s, struct sock_msg *m, bool nonblock)
{
	struct transfer x = {s, &t->call, m};
	int64_t deadline = sock_deadline(s->sndtimeo_ns), done = 0, r;

	do {
		r = nonblock ? try_send(&x) : file_block(t, f, LX_POLLOUT, deadline, try_send, &x);
		if (r < 0)
			break;
		done += r;
	} while (s->type == LX_SOCK_STREAM && m->uio->left && r > 0);
	if (done)
		return done;
	r = sock_cut_short(r, deadline);
	if (r == -EPIPE && !(m->flags & LX_MSG_NOSIGNAL) && s->type != LX_SOCK_DGRAM) {
		struct lx_siginfo info;

		signal_info_user(&info, t, LX_SIGPIPE, LX_SI_USER);
		(void)signal_send_task(t, LX_SIGPIPE, &info);
	}
	return r;
}

int64_t
sockmsg_recv(struct task *t, struct file *f, struct sock *s, struct sock_msg *m, bool nonblock)
{
	struct transfer x = {s, &t->call, m};
	bool all = (m->flags & LX_MSG_WAITALL) && s->type == LX_SOCK_STREAM &&
		   !(m->flags & LX_MSG_PEEK);
	int64_t deadline = sock_deadline(s->rcvtimeo_ns), done = 0, r;

	do {
		r = nonblock ? try_recv(&x) : file_block(t, f, LX_POLLIN, deadline, try_recv, &x);
		if (r <= 0)
			break;
		done += r;
	} while (all && m->uio->left && !m->files);
	return done ? done : sock_cut_short(r, deadline);
}

/* --- ancillary data going out --- */

static int
add_rights(struct task *t, struct sock_msg *m, const uint8_t *data, size_t len)
{
	size_t n = len / 4;

	if (!m->files && !(m->files = calloc(1, sizeof *m->files)))
		return -ENOMEM;
	if (m->files->n + n > LX_SCM_MAX_FD)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		struct file *f;
		int32_t fd;

		memcpy(&fd, data + 4 * i, 4);
		f = task_file_raw(t, fd);
		if (!f)
			return -EBADF;
		/* A ring may hold files of its own for ever: Linux takes none since 6.8. */
		if (uring_of(f)) {
			file_put(f);
			return -EINVAL;
		}
		m->files->file[m->files->n++] = f;
	}
	return 0;
}

static int
add_cred(struct task *t, struct sock_msg *m, const uint8_t *data, size_t len)
{
	const struct cred *c = t->cred;
	struct lx_ucred u;

	if (len != sizeof u)
		return -EINVAL;
	memcpy(&u, data, sizeof u);
	u.pid = pid_nr_to_global(u.pid);
	u.uid = uid_in(c->user_ns, u.uid);
	u.gid = gid_in(c->user_ns, u.gid);
	if (u.pid != task_tgid(t) && !cred_capable_own(c, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (u.pid != task_tgid(t)) {
		struct tgroup *g = tgroup_find_global_get(u.pid);

		if (!g)
			return -ESRCH;
		tgroup_put(g);
	}
	if (u.uid != c->uid && u.uid != c->euid && u.uid != c->suid &&
		!cred_capable_own(c, LX_CAP_SETUID))
		return -EPERM;
	if (u.gid != c->gid && u.gid != c->egid && u.gid != c->sgid &&
		!cred_capable_own(c, LX_CAP_SETGID))
		return -EPERM;
	m->cred = u;
	m->has_cred = true;
	return 0;
}

/* For the protocol. */
static int
add_ctl(struct sock_msg *m, const struct lx_cmsghdr *h, const uint8_t *data)
{
	struct sock_ctl *c = &m->ctl[m->nctl];
	size_t len = h->len - sizeof *h;

	/* Nothing that any protocol knows is longer, nor are there as many. */
	if (m->nctl == SOCK_CTL_MAX || len > sizeof c->data)
		return -EINVAL;
	*c = (struct sock_ctl){h->level, h->type, (uint32_t)len, {0}};
	memcpy(c->data, data, len);
	m->nctl++;
	return 0;
}

static int
control_in(struct task *t, struct sock *s, struct sock_msg *m, uint64_t addr, uint64_t len)
{
	uint8_t *buf;
	size_t at = 0;
	int err = 0;

	if (!len)
		return 0;
	if (len > MAX_CONTROL)
		return -ENOBUFS;
	buf = malloc(len);
	if (!buf)
		return -ENOBUFS;
	if (copy_in(&t->mem.um, buf, ua(addr), len))
		err = -EFAULT;
	while (!err && len - at >= sizeof(struct lx_cmsghdr)) {
		struct lx_cmsghdr h;

		memcpy(&h, buf + at, sizeof h);
		if (h.len < sizeof h || h.len > len - at) {
			err = -EINVAL;
			break;
		}
		if (h.level == LX_SOL_SOCKET && s->family == LX_AF_UNIX) {
			if (h.type == LX_SCM_RIGHTS)
				err = add_rights(t, m, buf + at + sizeof h, h.len - sizeof h);
			else if (h.type == LX_SCM_CREDENTIALS)
				err = add_cred(t, m, buf + at + sizeof h, h.len - sizeof h);
			else
				err = -EINVAL;
		} else if (h.level == LX_SOL_SOCKET) {
			err = h.type == LX_SCM_RIGHTS || h.type == LX_SCM_CREDENTIALS ? 0 : -EINVAL;
		} else if (s->type != LX_SOCK_STREAM &&
			   (s->family == LX_AF_INET || s->family == LX_AF_INET6)) {
			err = add_ctl(m, &h, buf + at + sizeof h);
		} /* others pass over what is not of SOL_SOCKET */
		if (len - at < CMSG_ALIGN(h.len))
			break;
		at += CMSG_ALIGN(h.len);
	}
	free(buf);
	return err;
}

/* --- ancillary data coming in --- */

struct control_out {
	struct task *t;
	uint64_t addr, room, used;
	bool truncated;
};

static int
put_cmsg(struct control_out *o, int level, int type, const void *data, size_t len)
{
	struct lx_cmsghdr h = {sizeof h + len, level, type};
	uint64_t left = o->room - o->used;

	if (left < sizeof h) {
		o->truncated = true;
		return 0;
	}
	if (left < h.len) {
		o->truncated = true;
		h.len = left;
		len = left - sizeof h;
	}
	if (copy_out(&o->t->mem.um, ua(o->addr + o->used), &h, sizeof h) ||
		copy_out(&o->t->mem.um, ua(o->addr + o->used + sizeof h), data, len))
		return -EFAULT;
	o->used += CMSG_ALIGN(h.len) < left ? CMSG_ALIGN(h.len) : left;
	return 0;
}

static int
put_rights(struct control_out *o, struct scm_files *files, bool cloexec)
{
	uint64_t left = o->room - o->used;
	uint32_t fit = left > sizeof(struct lx_cmsghdr)
			       ? (uint32_t)((left - sizeof(struct lx_cmsghdr)) / 4)
			       : 0;
	int32_t fds[LX_SCM_MAX_FD];
	uint32_t n = 0;

	for (; n < files->n && n < fit; n++) {
		fds[n] = task_fd_install(o->t, files->file[n], cloexec);
		if (fds[n] < 0)
			break;
	}
	if (n < files->n)
		o->truncated = true;
	return n ? put_cmsg(o, LX_SOL_SOCKET, LX_SCM_RIGHTS, fds, 4UL * n) : 0;
}

static int
control_out(struct task *t, struct sock *s, struct sock_msg *m, uint64_t addr, uint64_t room,
	uint64_t *used)
{
	struct control_out o = {t, addr, addr ? room : 0, 0, false};
	int err = 0;

	if (s->stamp && s->type != LX_SOCK_STREAM) {
		int64_t ns = m->meta.stamp_ns ? m->meta.stamp_ns : sock_stamp();
		int64_t v[2] = {ns / 1000000000,
			s->stamp == STAMP_US ? ns % 1000000000 / 1000 : ns % 1000000000};

		err = put_cmsg(&o, LX_SOL_SOCKET,
			s->stamp == STAMP_US ? LX_SO_TIMESTAMP : LX_SO_TIMESTAMPNS, v, sizeof v);
	}
	for (uint32_t k = 0; k < m->nctl && !err; k++)
		err = put_cmsg(&o, m->ctl[k].level, m->ctl[k].type, m->ctl[k].data, m->ctl[k].len);
	if (!err && s->passcred && s->family == LX_AF_UNIX) {
		struct lx_ucred u = m->has_cred ? m->cred : (struct lx_ucred){0, 65534, 65534};

		u.pid = pid_nr_out(u.pid);
		u.uid = uid_out(t->cred->user_ns, u.uid);
		u.gid = gid_out(t->cred->user_ns, u.gid);

		err = put_cmsg(&o, LX_SOL_SOCKET, LX_SCM_CREDENTIALS, &u, sizeof u);
	}
	if (m->files && !err)
		err = put_rights(&o, m->files, m->flags & LX_MSG_CMSG_CLOEXEC);
	scm_files_free(m->files);
	m->files = NULL;
	if (o.truncated)
		m->flags |= LX_MSG_CTRUNC;
	*used = o.used;
	return err;
}

/* --- the syscalls --- */

int64_t
sys_sendto(struct task *t, const uint64_t a[6])
{
	struct sock_msg m = {.flags = (uint32_t)a[3]};
	struct uio u;
	struct file *f;
	int err = 0;
	int64_t r;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	uio_init_user(&u, &t->mem.um, ua(a[1]), a[2]);
	m.uio = &u;
	r = a[4] ? sockaddr_in(t, a[4], a[5], m.addr) : 0;
	m.addr_len = a[4] ? (uint32_t)a[5] : 0;
	if (!r)
		r = sockmsg_send(t, f, s, &m, is_nonblock(f, &m));
	file_put(f);
	return r;
}

int64_t
sys_recvfrom(struct task *t, const uint64_t a[6])
{
	struct sock_msg m = {.flags = (uint32_t)a[3]};
	struct uio u;
	struct file *f;
	int err = 0;
	int64_t r;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	uio_init_user(&u, &t->mem.um, ua(a[1]), a[2]);
	m.uio = &u;
	r = sockmsg_recv(t, f, s, &m, is_nonblock(f, &m));
	scm_files_free(m.files);
	if (r >= 0 && a[4]) {
		err = sockaddr_out(t, a[4], a[5], m.addr, m.addr_len);
		if (err)
			r = err;
	}
	file_put(f);
	return r;
}

int
sockmsg_out_in(struct task *t, struct sock *s, const struct lx_msghdr *h, struct sock_msg *m)
{
	if (h->name && h->namelen) {
		int r;

		if (h->namelen < 0)
			return -EINVAL;
		m->addr_len = h->namelen > SOCK_ADDR_MAX ? SOCK_ADDR_MAX : (uint32_t)h->namelen;
		r = sockaddr_in(t, h->name, m->addr_len, m->addr);
		if (r)
			return r;
	}
	return control_in(t, s, m, h->control, h->controllen);
}

/* vec: LX_UIO_MAXIOV entries. */
static int64_t
send_one(struct task *t, struct file *f, struct sock *s, const struct lx_msghdr *h, uint32_t flags,
	struct lx_iovec *vec)
{
	struct sock_msg m = {.flags = flags};
	struct uio u;
	int64_t r;

	if (h->iovlen > LX_UIO_MAXIOV)
		return -EMSGSIZE;
	r = uio_init_user_iov(&u, &t->mem.um, vec, ua(h->iov), h->iovlen);
	m.uio = &u;
	if (!r)
		r = sockmsg_out_in(t, s, h, &m);
	if (!r)
		r = sockmsg_send(t, f, s, &m, is_nonblock(f, &m));
	scm_files_free(m.files);
	return r;
}

static int64_t
recv_one(struct task *t, struct file *f, struct sock *s, uint64_t addr, struct lx_msghdr *h,
	uint32_t flags, struct lx_iovec *vec)
{
	struct sock_msg m = {.flags = flags};
	struct uio u;
	int64_t r;

	if (h->iovlen > LX_UIO_MAXIOV)
		return -EMSGSIZE;
	r = uio_init_user_iov(&u, &t->mem.um, vec, ua(h->iov), h->iovlen);
	m.uio = &u;
	if (r)
		return r;
	r = sockmsg_recv(t, f, s, &m, is_nonblock(f, &m));
	if (r < 0) {
		scm_files_free(m.files);
		return r;
	}
	return sockmsg_in_out(t, s, addr, h, &m, r);
}

int64_t
sockmsg_in_out(struct task *t, struct sock *s, uint64_t addr, const struct lx_msghdr *h,
	struct sock_msg *m, int64_t r)
{
	uint64_t used = 0;
	uint32_t out;

	if (control_out(t, s, m, h->control, h->controllen, &used))
		return -EFAULT;
	out = m->flags & (LX_MSG_TRUNC | LX_MSG_CTRUNC | LX_MSG_CMSG_CLOEXEC | LX_MSG_ERRQUEUE);
	if (h->name) {
		uint32_t n =
			m->addr_len < (uint32_t)h->namelen ? m->addr_len : (uint32_t)h->namelen;

		if (h->namelen < 0)
			return -EINVAL;
		if (copy_out(&t->mem.um, ua(h->name), m->addr, n) ||
			copy_out(&t->mem.um, ua(addr + offsetof(struct lx_msghdr, namelen)),
				&m->addr_len, 4))
			return -EFAULT;
	}
	if (copy_out(&t->mem.um, ua(addr + offsetof(struct lx_msghdr, flags)), &out, 4) ||
		copy_out(&t->mem.um, ua(addr + offsetof(struct lx_msghdr, controllen)), &used, 8))
		return -EFAULT;
	return r;
}

static int64_t
with_msghdr(struct task *t, const uint64_t a[6], bool send)
{
	struct lx_iovec *vec;
	struct lx_msghdr h;
	struct file *f;
	int err = 0;
	int64_t r;
	struct sock *s = task_sock(t, arg_int(a[0]), &f, &err);

	if (!s)
		return err;
	vec = malloc(LX_UIO_MAXIOV * sizeof *vec);
	if (!vec)
		r = -ENOMEM;
	else if (copy_in(&t->mem.um, &h, ua(a[1]), sizeof h))
		r = -EFAULT;
	else if (send)
		r = send_one(t, f, s, &h, (uint32_t)a[2], vec);
	else
		r = recv_one(t, f, s, a[1], &h, (uint32_t)a[2], vec);
	free(vec);
	file_put(f);
	return r;
}

int64_t
sys_sendmsg(struct task *t, const uint64_t a[6])
{
	return with_msghdr(t, a, true);
}

int64_t
sys_recvmsg(struct task *t, const uint64_t a[6])
{
	return with_msghdr(t, a, false);
}

static int64_t
many(struct task *t, const uint64_t a[6], bool send)
{
	uint32_t n = (uint32_t)a[2], flags = (uint32_t)a[3], i;
	int64_t deadline = INT64_MAX, ns, r = 0;
	struct lx_iovec *vec;
	struct file *f;
	int err = 0;
	struct sock *s;

	if (!send && a[4]) {
		r = timespec_in(t, ua(a[4]), &ns);
		if (r)
			return r;
		deadline = deadline_after(ns);
	}
	s = task_sock(t, arg_int(a[0]), &f, &err);
	if (!s)
		return err;
	vec = malloc(LX_UIO_MAXIOV * sizeof *vec);
	if (!vec)
		r = -ENOMEM;
	if (n > MAX_MMSG)
		n = MAX_MMSG;
	for (i = 0; i < n && r >= 0; i++) {
		uint64_t addr = a[1] + i * 64UL;
		struct lx_msghdr h;
		uint32_t len;

		if (copy_in(&t->mem.um, &h, ua(addr), sizeof h)) {
			r = -EFAULT;
			break;
		}
		r = send ? send_one(t, f, s, &h, flags, vec)
			 : recv_one(t, f, s, addr, &h, flags & ~(uint32_t)LX_MSG_WAITFORONE, vec);
		if (r < 0)
			break;
		len = (uint32_t)r;
		if (copy_out(&t->mem.um, ua(addr + sizeof h), &len, sizeof len)) {
			r = -EFAULT;
			break;
		}
		if (flags & LX_MSG_WAITFORONE)
			flags |= LX_MSG_DONTWAIT;
		if (sched_now_ns() >= deadline) {
			i++;
			break;
		}
	}
	free(vec);
	file_put(f);
	return i ? (int64_t)i : r;
}

int64_t
sys_sendmmsg(struct task *t, const uint64_t a[6])
{
	return many(t, a, true);
}

int64_t
sys_recvmmsg(struct task *t, const uint64_t a[6])
{
	return many(t, a, false);
}
