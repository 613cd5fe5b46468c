/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: the launcher's orders in, what happened out. */
#ifndef SENTRY_CONTROL_CONTROL_H
#define SENTRY_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* Begin to serve orders, in a fiber of its own. -errno. */
int control_start(int sock);
void control_started(int sock, int32_t pid);
void control_exited(int sock, int32_t pid, int status);
/* exec: the sandbox is fine, but the program could not be started. */
void control_failed(int sock, int err, const char *text, bool exec);

#endif
