/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent of a sandbox's processes. A library must not give its host program children: their
 * ends would be told by SIGCHLD, its waitpid(-1) would take them, and their numbers would then be
 * somebody else's. So there is one process in between, the keeper. It is a child of the host
 * program that no wait without __WALL sees and that ends without a signal; it shares the memory
 * (nothing is copied for it), but neither descriptors nor signals nor the current directory. It
 * makes the processes, waits for them, and ends them when it is told to or when the host program is
 * gone.
 *
 * All processes are held by descriptors: no number is signalled. One keeper, one thread at a time.
 */
#ifndef PLATFORM_HOST_KEEPER_H
#define PLATFORM_HOST_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#define KEEPER_CHILDREN_MAX 4
#define KEEPER_FDS_MAX	    8

struct keeper;

/* net_fd: its children start in this network namespace (borrowed; -1: in the caller's).
 * die_with_caller: it and its children end with the calling thread, not only with the process. */
int keeper_new(int net_fd, bool die_with_caller, struct keeper **ret);

/* fn has fds as it was given them, under other numbers, and none else but 0-2. */
typedef int keeper_fn(void *arg, const int *fds);

/* A new child, in which fn runs with a copy of the memory, as after fork; flags are CLONE_NEW*. The
 * child's index, from 0 on; -errno. */
int keeper_fork(
	struct keeper *k, unsigned flags, keeper_fn *fn, void *arg, const int *fds, unsigned nfds);
/* The same for a child that fn makes: it runs once, with this memory and while the caller waits, as
 * after vfork, clones the child with CLONE_PARENT, and returns its number or -errno. */
int keeper_vfork(struct keeper *k, keeper_fn *fn, void *arg, const int *fds, unsigned nfds);
pid_t keeper_child_pid(const struct keeper *k, int child);
int keeper_child_pidfd(const struct keeper *k, int child); /* borrowed */

/* Who has the other end of sock (SOCK_SEQPACKET; borrowed) may ask how much memory the first
 * child's children have (platform/host/meter.h). Before keeper_watch. */
int keeper_meter(struct keeper *k, int sock);

/* No child is made any more: those that end are waited for from now on (until then a number is a
 * child's even when that has ended). */
int keeper_watch(struct keeper *k);

/* Wait for a child to end; as wait(2) has it. -ECHILD: the keeper is gone. */
int keeper_child_wait(struct keeper *k, int child, int *ret_status);

/* The children stay, and are whoever's orphans are. k is freed. */
int keeper_leave(struct keeper *k);
/* The children are killed, and gone when this returns. k is freed; NULL is fine. */
void keeper_end(struct keeper *k);

#endif
