/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_LIBMOAT_INTERNAL_H
#define TOOLS_LIBMOAT_INTERNAL_H

#include "control.pb-c.h"
#include "gofer.pb-c.h"
#include "gofer/wire.h"
#include "moat/moat.h"
#include <sys/types.h>

struct moat_sandbox {
	pid_t sentry_pid, gofer_pid; /* 0: not started, or waited for */
	int sentry_sock, gofer_sock; /* control; -1: none */
	uint32_t weaker;
	bool exited;
	int status;
};

/* Say what failed; returns r. */
int error_set(struct moat_error *e, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* config.c: what the two programs are told */
int config_check(const struct moat_config *c, struct moat_error *err);
int config_send_gofer(int sock, const struct moat_config *c, int conn, struct moat_error *err);
int config_send_sentry(int sock, const struct moat_config *c, int conn, struct moat_error *err);

#endif
