/* SPDX-License-Identifier: Apache-2.0 */
/* Who hears of a sandbox's events. */
#ifndef TOOLS_LIBMOAT_TRACE_H
#define TOOLS_LIBMOAT_TRACE_H

#include "moat/trace.h"

struct tracer;

/* Every kind that there is. */
#define TRACER_ALL ((2u << MOAT_EVENT_EXIT) - (1u << MOAT_EVENT_CALL))

unsigned tracer_kinds(const struct moat_trace *c);
/* Begin to listen; the sandbox's end is *ret_peer. -errno. */
int tracer_start(const struct moat_trace *c, struct tracer **ret, int *ret_peer);
/* The sandbox is gone: tell what it has sent, and end. NULL is fine. */
void tracer_stop(struct tracer *t);

#endif
