/* SPDX-License-Identifier: Apache-2.0 */
/* The start message: received whole, checked, and kept as it came. */
#include "base/log.h"
#include "gofer/wire.h"
#include "internal.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "sentry/control/control.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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
			(uint32_t)s->m->has_meter;
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
	s->trace = s->m->has_trace ? c.fds[next++] : -1;
	s->listen = s->m->has_listen ? c.fds[next++] : -1;
	s->nmore = s->m->n_extra_fds;
	for (uint32_t i = 0; i < s->nmore; i++)
		s->fds[3 + i] = c.fds[next++];
	s->anchor = s->m->has_anchor ? c.fds[next++] : -1;
	for (uint32_t i = 0; i < s->m->n_virtual; i++)
		s->virtual[i] = c.fds[next++];
	s->meter = s->m->has_meter ? c.fds[next++] : -1;
	c.nfds = 0; /* all taken */
	wire_control_free(&c);
}
