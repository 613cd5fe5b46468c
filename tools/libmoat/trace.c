/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that tells the host program of events; see moat/trace.h. The sandbox's kernel sends
 * them as packets, and may have been taken over: what breaks the form ends the trace, so that the
 * function never sees text that is none, a kind that it did not ask for, or a string without an
 * end.
 */
#include "moat/trace.h"
#include "internal.h"
#include "platform/host/err.h"
#include "trace.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMM_MAX  15
#define TEXT_MAX  1023
#define CALL_MAX  63
#define PATH_BYTE 4095
#define ARGV_MAX  8193
#define ARGS_MAX  6

struct tracer {
	void (*fn)(void *user, const struct moat_event *e);
	void *user;
	unsigned kinds;
	int sock;
	pthread_t thread;
	bool running;
	struct wire_packet packet;
	char comm[COMM_MAX + 1], text[TEXT_MAX + 1], call[CALL_MAX + 1], path[PATH_BYTE + 1];
	char argv_bytes[ARGV_MAX];
	const char *argv[ARGV_MAX + 1];
};

/* A string; false: too long, or with a NUL in it. */
static bool
string(char *to, size_t max, const ProtobufCBinaryData *b)
{
	if (b->len > max || (b->len && memchr(b->data, 0, b->len)))
		return false;
	if (b->len)
		memcpy(to, b->data, b->len);
	to[b->len] = 0;
	return true;
}

static bool
is_printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

static bool
strings(struct tracer *t, const ProtobufCBinaryData *b, size_t *ret_n)
{
	size_t n = 0;

	if (b->len > sizeof t->argv_bytes || (b->len && b->data[b->len - 1]))
		return false;
	if (b->len)
		memcpy(t->argv_bytes, b->data, b->len);
	for (size_t at = 0; at < b->len; at += strlen(t->argv_bytes + at) + 1)
		t->argv[n++] = t->argv_bytes + at;
	t->argv[n] = NULL;
	*ret_n = n;
	return true;
}

/* False: not as it has to be. */
static bool
event_read(struct tracer *t, const Control__Event *m, struct moat_event *e)
{
	*e = (struct moat_event){.kind = (enum moat_event_kind)m->kind,
		.time_ns = m->time_ns,
		.pid = m->pid,
		.tid = m->tid,
		.comm = t->comm,
		.text = t->text,
		.nr = m->nr,
		.call = t->call,
		.nargs = (unsigned)m->n_args,
		.result = m->result,
		.ppid = m->ppid,
		.path = t->path,
		.argv = t->argv,
		.argv_cut = m->argv_cut,
		.status = m->status};
	if (m->kind > MOAT_EVENT_EXIT || !(t->kinds >> m->kind & 1) || m->n_args > ARGS_MAX)
		return false;
	for (size_t i = 0; i < m->n_args; i++)
		e->args[i] = m->args[i];
	return string(t->comm, COMM_MAX, &m->comm) && string(t->text, TEXT_MAX, &m->text) &&
	       string(t->call, CALL_MAX, &m->call) && string(t->path, PATH_BYTE, &m->path) &&
	       is_printable(t->text) && is_printable(t->call) && strings(t, &m->argv, &e->nargv);
}

static void *
listen_for_events(void *arg)
{
	struct tracer *t = arg;
	bool ok = true;

	prctl(PR_SET_NAME, "moat-trace");
	while (ok && wire_recv(t->sock, &t->packet, WIRE_NO_FDS) > 0) {
		Control__Event *m = NULL;
		struct moat_event e;

		if (!t->packet.fds_lost && t->packet.head.type == CONTROL_EVENT)
			m = wire_unpack(
				&control__event__descriptor, t->packet.body, t->packet.head.len);
		ok = m && event_read(t, m, &e);
		if (m)
			control__event__free_unpacked(m, NULL);
		if (ok)
			t->fn(t->user, &e);
	}
	/* Who has something to tell does not wait any longer. */
	shutdown(t->sock, SHUT_RDWR);
	return NULL;
}

int
tracer_start(const struct moat_trace *c, struct tracer **ret, int *ret_peer)
{
	struct tracer *t = calloc(1, sizeof *t);
	sigset_t all, old;
	int sv[2], r;

	if (!t)
		return -ENOMEM;
	r = wire_pair(sv);
	if (r < 0) {
		free(t);
		return r;
	}
	t->fn = c->fn;
	t->user = c->user;
	t->kinds = tracer_kinds(c);
	t->sock = sv[0];
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&t->thread, NULL, listen_for_events, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->running = r == 0;
	if (r < 0) {
		close(sv[1]);
		tracer_stop(t);
		return r;
	}
	*ret = t;
	*ret_peer = sv[1];
	return 0;
}

unsigned
tracer_kinds(const struct moat_trace *c)
{
	return c->kinds ? c->kinds : TRACER_ALL;
}

void
tracer_stop(struct tracer *t)
{
	if (!t)
		return;
	/* What was sent before can still be received. */
	shutdown(t->sock, SHUT_RDWR);
	if (t->running)
		pthread_join(t->thread, NULL);
	close(t->sock);
	free(t);
}
