/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the sentry: what the launcher asked for, and the steps to it. */
#ifndef SENTRY_BOOT_INTERNAL_H
#define SENTRY_BOOT_INTERNAL_H

#include "control.pb-c.h"
#include "gofer/wire.h"
#include "sentry/syscall/trace.h"
#include "sentry/vfs/mount.h"
#include <stdint.h>

enum start_fd {
	START_FD_GOFER,
	START_FD_STDIO, /* three */
	START_FD_REST = START_FD_STDIO + 3,
};

struct container_conns;

struct start {
	Control__Start *m;
	int gofer, log, listen, anchor, meter; /* -1: none */
	struct trace_config trace;
	int fds[WIRE_FDS_MAX];	   /* of the first process: three streams (-1: closed), others */
	uint32_t nmore;		   /* how many others */
	int virtual[WIRE_FDS_MAX]; /* connections to who serves virtual files */
	uint32_t weaker;
};

/* Tell the launcher what failed, and end. */
_Noreturn void boot_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Receive and check the start message. Ends the process if it is malformed. */
void start_receive(int sock, struct start *s);

/* Register all file systems. -errno. */
bool boot_network_is_host(const struct start *s); /* --network=host */
int boot_register_fs(const struct start *s);

/* Copy what the directory `from` holds into `to`. */
int boot_copy_up(const struct call *c, const struct path *from, const struct path *to);

/* Build the tree of mounts, in a fiber. -errno, with what failed in why. */
int boot_mounts(const Control__Start *m, const struct container_conns *conns, const struct call *c,
	struct fs_ctx **ret, char *why, size_t cap);

#endif
