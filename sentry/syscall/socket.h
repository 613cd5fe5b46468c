/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of socket syscalls share. */
#ifndef SENTRY_SYSCALL_SOCKET_H
#define SENTRY_SYSCALL_SOCKET_H

#include <stdint.h>

struct file;
struct sock;
struct task;

/* The socket behind fd; *ret_file is a reference to drop. NULL with *err: -EBADF, -ENOTSOCK. */
struct sock *task_sock(struct task *t, int fd, struct file **ret_file, int *err);
/* buf: SOCK_ADDR_MAX bytes. -EINVAL, -EFAULT. */
int sockaddr_in(struct task *t, uint64_t addr, uint64_t len, uint8_t *buf);
int sockaddr_out(
	struct task *t, uint64_t addr, uint64_t len_addr, const uint8_t *buf, uint32_t len);

#endif
