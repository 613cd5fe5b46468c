/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control sockets: what the launcher and other clients of the sandbox order, and what they are
 * told; and the containers that they make. The launcher's is there from the start; others come
 * through a listening socket, or are handed over by a client.
 */
#ifndef SENTRY_CONTROL_CONTROL_H
#define SENTRY_CONTROL_CONTROL_H

#include "control.pb-c.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct fs_ctx;
struct gofer_conn;
struct tty;

#define CONTROL_VIRTUAL_MAX 16u

/* Descriptors of a container, -1: none. */
struct container_fds {
	int gofer;
	int *process; /* three streams and nmore others that its first process gets as 3, 4, ... */
	uint32_t nmore;
	int listen; /* who connects to it is a client */
	int anchor; /* a socket to the process that ends as the first one does */
	int meter;  /* a socket to who can tell how much memory processes have */
	int maker;  /* of sockets in a network namespace of its own */
	int virtual[CONTROL_VIRTUAL_MAX]; /* connections to who serves virtual files */
	uint32_t nvirtual;
};

/* Who serves the files of a container. */
struct container_conns {
	struct gofer_conn *gofer, *virtual[CONTROL_VIRTUAL_MAX];
};

/* How the tree of mounts is built, in a fiber: -errno with what failed in why. */
typedef int control_build(const Control__Start *m, const struct container_conns *conns,
	const struct call *c, struct fs_ctx **ret, char *why, size_t cap);

/* Begin to serve the launcher and the first container, whose descriptors are consumed. signals: a
 * signalfd for what this process is sent; it goes to the first process. m is borrowed for ever.
 * -errno. */
int control_start(int launcher, int signals, const Control__Start *m,
	const struct container_fds *fds, control_build *build);

/* Is the message well-formed, of a container's start? */
bool control_start_ok(const Control__Start *m);

/* Tell the launcher that there will be no sandbox. exec: it is fine, but the program could not be
 * started. Works before control_start. */
void control_failed(int launcher, int err, const char *text, bool exec);

#endif
