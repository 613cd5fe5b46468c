/* SPDX-License-Identifier: Apache-2.0 */
/* Between the trace's text and its events. */
#ifndef SENTRY_SYSCALL_TRACE_PRIV_H
#define SENTRY_SYSCALL_TRACE_PRIV_H

#include "control.pb-c.h"
#include "moat/trace.h"

struct task;

int trace_event_init(int events);
/* Who and when. */
void trace_event_fill(Control__Event *e, enum moat_event_kind kind, const struct task *t);
void trace_event_send(Control__Event *e); /* parks */

#endif
