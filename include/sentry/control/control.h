/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control sockets: what the launcher and other clients of the sandbox order, and what they are
 * told. The launcher's is there from the start; others come through a listening socket, or are
 * handed over by a client.
 */
#ifndef SENTRY_CONTROL_CONTROL_H
#define SENTRY_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct fs_ctx;
struct kernel_process;
struct tty;

/* Begin to serve the launcher, and who connects to the socket `listen` (-1: nobody). signals: a
 * signalfd for what this process is sent, or -1; it goes to the first process. anchor: a socket to
 * the process that ends as the first one does, or -1. hold: the first process waits for GO. -errno.
 */
int control_start(int launcher, int listen, int signals, int anchor, bool hold);
/* The tree that further processes start in, and the first one's terminal (or NULL): references are
 * taken. */
void control_world(struct fs_ctx *fs);
void control_console(struct tty *t);

/* kernel_process.on_start and on_exit of the first process. */
void control_first_started(void *arg, int err);
void control_first_ended(void *arg, int status);
/* Its number; before it is started. */
extern int32_t control_first_pid;

/* Tell the launcher that there will be no sandbox. exec: it is fine, but the program could not be
 * started. Works before control_start. */
void control_failed(int launcher, int err, const char *text, bool exec);

#endif
