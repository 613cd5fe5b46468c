/* SPDX-License-Identifier: Apache-2.0 */
/* The host calls of the engines (platform/trap, platform/ptrace), each a thin wrapper: the result
 * or -errno. */
#ifndef PLATFORM_HOST_ENGINE_H
#define PLATFORM_HOST_ENGINE_H

#include "platform/host/raw.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A memfd of that size which nobody can resize. */
int host_memfd_sealed(const char *name, uint64_t size);
/* From now on the memfd can only be mapped read-only by others. */
int host_memfd_freeze(int fd);
/* NULL on failure, with *err set. */
void *host_map_shared(int fd, uint64_t off, size_t len, int *err);
void host_unmap(void *p, size_t len);
/* Both ends close-on-exec; SOCK_SEQPACKET. */
int host_socketpair(int fds[2]);
/* Send one descriptor with a short message; never blocks. */
int host_send_fd(int sock, const void *msg, size_t len, int fd);
int host_pipe_nonblock(int fds[2]);
void host_close(int fd);
/* Bytes read, 0 when there is nothing. */
ssize_t host_drain(int fd, void *buf, size_t len);

void host_futex_wake(uint32_t *w, int n);
int host_futex_wait(const uint32_t *w, uint32_t v, int64_t timeout_ns);
int host_tgkill(pid_t pid, pid_t tid, int sig);
int host_kill(pid_t pid, int sig);
/* A child becomes a process group of its own; its children will be in it. */
int host_own_group(pid_t pid);
int host_kill_group(pid_t pid, int sig);
/* Is pid a child of this process, dead or alive? */
bool host_is_child(pid_t pid);
/* Wait for the death of any child and reap it: its pid, or -errno. */
pid_t host_reap_any(void);
/* Reap that child if it is dead. */
bool host_reap_pid(pid_t pid, int *status);

/* 0, or -EFAULT when not all of it could be copied; -EPERM when the host refuses. */
int host_vm_read(pid_t pid, void *dst, uint64_t src, size_t len);
int host_vm_write(pid_t pid, uint64_t dst, const void *src, size_t len);

/* Which of n pages of a child are resident: on which memory node, or negative. 0; -ENOSYS, -EPERM:
 * the host does not tell; -ESRCH. */
int host_where(pid_t pid, const uint64_t *pages, int *status, unsigned n);

int64_t host_process_cpu_ns(pid_t pid);
int64_t host_now_ns(void);
int host_set_affinity(pid_t tid, const void *mask, size_t len);
/* Nice value, and one of SCHED_OTHER, SCHED_BATCH, SCHED_IDLE. */
int host_set_sched(pid_t tid, int nice, int policy);
#endif
