/* SPDX-License-Identifier: Apache-2.0 */
/* The start message: received whole, checked, and kept as it came. */
#include "base/log.h"
#include "gofer/wire.h"
#include "internal.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "sentry/control/control.h"
#include "sentry/syscall/syscall.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void
trace_wanted(const Control__Trace *m, struct trace_config *ret)
{
	ret->kinds = m->kinds;
	ret->all_calls = m->n_calls == 0;
	for (size_t i = 0; i < m->n_calls; i++) {
		const ProtobufCBinaryData *b = &m->calls[i];
		uint32_t nr = 0;

		for (; nr < SC_MAX; nr++) {
			const struct sc_row *row = syscall_row(nr);

			if (row && strlen(row->name) == b->len &&
				memcmp(row->name, b->data, b->len) == 0)
				break;
		}
		if (nr == SC_MAX)
			boot_fail(-EINVAL, "trace: no system call is called \"%.*s\"",
				b->len < 64 ? (int)b->len : 64, (const char *)b->data);
		ret->calls[nr / 64] |= 1ULL << nr % 64;
	}
}

void
start_receive(int sock, struct start *s)
{
	struct wire_control c;
	const char *bad;
	uint32_t want = START_FD_REST, next = START_FD_REST;

	if (wire_control_recv(sock, &c) <= 0)
		_exit(1); /* the launcher is gone */
	s->m = c.type == CONTROL_START ? wire_unpack(&control__start__descriptor, c.body, c.len)
				       : NULL;
	if (s->m)
		want += (uint32_t)s->m->has_log + (uint32_t)s->m->has_trace +
			(uint32_t)s->m->has_listen + (uint32_t)s->m->has_anchor +
			(uint32_t)s->m->has_meter + (s->m->trace != NULL);
	if (!s->m || s->m->n_extra_fds > WIRE_FDS_MAX || !control_start_ok(s->m) ||
		c.nfds != want + s->m->n_extra_fds + s->m->n_virtual)
		boot_fail(-EPROTO, "malformed start message");
	if (weaker_parse(s->m->weaker, &s->weaker, &bad) < 0)
		boot_fail(-EINVAL, "unknown name in weaker isolation");
	s->gofer = c.fds[START_FD_GOFER];
	for (int i = 0; i < 3; i++) {
		s->fds[i] = c.fds[START_FD_STDIO + i];
		if (s->m->process->closed >> i & 1) {
			close(s->fds[i]);
			s->fds[i] = -1;
		}
	}
	s->log = s->m->has_log ? c.fds[next++] : -1;
	s->trace.text_fd = s->m->has_trace ? c.fds[next++] : -1;
	s->listen = s->m->has_listen ? c.fds[next++] : -1;
	s->nmore = s->m->n_extra_fds;
	for (uint32_t i = 0; i < s->nmore; i++)
		s->fds[3 + i] = c.fds[next++];
	s->anchor = s->m->has_anchor ? c.fds[next++] : -1;
	for (uint32_t i = 0; i < s->m->n_virtual; i++)
		s->virtual[i] = c.fds[next++];
	s->meter = s->m->has_meter ? c.fds[next++] : -1;
	s->trace.events = s->m->trace ? c.fds[next++] : -1;
	if (s->m->trace)
		trace_wanted(s->m->trace, &s->trace);
	c.nfds = 0; /* all taken */
	wire_control_free(&c);
}
