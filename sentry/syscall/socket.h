/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of socket syscalls share. */
#ifndef SENTRY_SYSCALL_SOCKET_H
#define SENTRY_SYSCALL_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct sock;
struct task;
struct sock_msg;
struct lx_msghdr;

/* The socket behind fd; *ret_file is a reference to drop. NULL with *err: -EBADF, -ENOTSOCK. */
struct sock *task_sock(struct task *t, int fd, struct file **ret_file, int *err);
/* buf: SOCK_ADDR_MAX bytes. -EINVAL, -EFAULT. */
int sockaddr_in(struct task *t, uint64_t addr, uint64_t len, uint8_t *buf);
int sockaddr_out(
	struct task *t, uint64_t addr, uint64_t len_addr, const uint8_t *buf, uint32_t len);

/* What a message that goes out has beside its buffers: the destination, ancillary data. After an
 * error, m->files is still to be freed. */
int sockmsg_out_in(struct task *t, struct sock *s, const struct lx_msghdr *h, struct sock_msg *m);
/* What one that came in has, to the header at addr: r or -errno. Takes m->files. */
int64_t sockmsg_in_out(struct task *t, struct sock *s, uint64_t addr, const struct lx_msghdr *h,
	struct sock_msg *m, int64_t r);
int64_t sockmsg_send(
	struct task *t, struct file *f, struct sock *s, struct sock_msg *m, bool nonblock);
int64_t sockmsg_recv(
	struct task *t, struct file *f, struct sock *s, struct sock_msg *m, bool nonblock);
/* SO_RCVTIMEO, SO_SNDTIMEO: a deadline; who has one is not restarted (signal(7)). */
int64_t sock_deadline(int64_t timeout_ns);
int64_t sock_cut_short(int64_t r, int64_t deadline);
/* connect(2) and accept(2) to their end, or -EAGAIN. addr: SOCK_ADDR_MAX bytes. */
int64_t sock_connect(
	struct task *t, struct sock *s, const uint8_t *addr, uint32_t len, bool nonblock);
int64_t sock_accept(struct task *t, struct file *f, struct sock *s, uint64_t addr,
	uint64_t len_addr, uint32_t flags, bool nonblock);

#endif
