/* SPDX-License-Identifier: Apache-2.0 */
/* NOTIFY_SOCKET: what a container says to the service manager that started it. */
#ifndef TOOLS_MOAT_NOTIFY_H
#define TOOLS_MOAT_NOTIFY_H

#include "container.h"
#include "moat.h"

/* If this process has a NOTIFY_SOCKET, so will the container. mounts and env are c's; mounts has
 * room for one more. */
void notify_prepare(struct moat_mount *mounts, struct strings *env, struct moat_config *c);
/* Let the program run. *ret: where its messages come, or -1. */
int notify_go(struct container *c, struct moat_sandbox *s, int *ret, struct moat_error *err);
/* Pass on messages of fd (which is closed) until one says READY=1, or the process pid has ended
 * (0: or the sandbox). main_pid: what MAINPID= names then; 0: nothing is said of that. */
void notify_forward(int fd, pid_t pid, pid_t main_pid);
/* The same in a process of its own, which ends with this one. */
void notify_forward_beside(int fd);

#endif
