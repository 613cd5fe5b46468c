/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge of a seccomp agent: a process that shows the listener of a container's filter, which
 * is the sentry's, as a file with the ioctls of seccomp_unotify(2).
 */
#ifndef TOOLS_MOAT_BRIDGE_H
#define TOOLS_MOAT_BRIDGE_H

#include <stddef.h>

/* Start one. *ret_mount: a mount, seen nowhere, whose root is the file; it is opened once, by
 * bridge_open. *ret_sentry: the other end, for moat_config.seccomp_listener. Both are the caller's
 * to close. It ends when the file is closed, or the mount without there ever being one. -errno with
 * a text that says what failed. */
int bridge_start(int *ret_mount, int *ret_sentry, char *err, size_t cap);
int bridge_open(int mount); /* the file, or -errno */

#endif
