/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a running sandbox for something. Each question has a connection of its own, made by
 * handing the sentry one end of a pair, so that answers never mix with the news of an exit that the
 * first connection brings; a sandbox of somebody else's is asked by the connection that there is.
 */
#include "internal.h"
#include "moat/run.h"
#include "platform/host/err.h"
#include "platform/host/keeper.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 10000 /* a sentry that says nothing for so long hangs */

static const char sentry_name[] = "moat-sentry";

struct moat_process {
	int sock;
	int pid, host_pid;
	struct streams *streams; /* that are buffers, or NULL */
	struct end end;
};

static int
wait_readable(int sock, int timeout_ms)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	int r = HOST_RETRY(poll(&p, 1, timeout_ms));

	return r == 0 ? -ETIMEDOUT : r < 0 ? r : 0;
}

static int end_of(struct wire_control *m, struct end *ret, struct moat_error *err);

/* The next message of an attached sandbox's only connection that is an answer to the last question.
 * Answers come in the order of the questions: those that are late are dropped. The end comes at any
 * time when it was asked for, and is kept. 1: in *m, else as wire_control_recv, or -ETIMEDOUT. */
static int
recv_answer(struct moat_sandbox *s, struct wire_control *m)
{
	struct moat_error err;
	int r;

	for (;;) {
		r = wait_readable(s->sentry_sock, ANSWER_MS);
		if (r == -ETIMEDOUT)
			s->owed++;
		if (r == 0)
			r = wire_control_recv(s->sentry_sock, m);
		else
			return r;
		if (r <= 0)
			return r;
		if (m->type == CONTROL_EXIT && s->asked) {
			r = end_of(m, &s->end, &err);
			if (r < 0)
				return r;
		} else if (s->owed == 0) {
			return r;
		} else {
			s->owed--;
			wire_control_free(m);
		}
		memset(m, 0, sizeof *m);
	}
}

int
sandbox_connect(struct moat_sandbox *s, int *ret, struct moat_error *err)
{
	int sv[2], r = wire_pair(sv);

	if (r < 0)
		return error_set(err, r, "cannot make a socket: %s", strerror(-r));
	r = wire_control_send(s->sentry_sock, CONTROL_CLIENT, NULL, &sv[1], 1);
	close(sv[1]);
	if (r == 0 && s->attached) {
		struct wire_control m;

		memset(&m, 0, sizeof m);
		r = recv_answer(s, &m);
		if (r > 0 && m.type == CONTROL_DONE) {
			wire_control_free(&m);
			r = 0;
		} else {
			close(sv[0]);
			return answer_bad(&m, r, sentry_name, err);
		}
	}
	if (r < 0) {
		close(sv[0]);
		return error_set(err, r, "cannot talk to %s: %s", sentry_name, strerror(-r));
	}
	*ret = sv[0];
	return 0;
}

/* Send and receive on sock; of: what it is the only connection of, or NULL. The answer is in *m
 * when 0 is returned. */
static int
ask_on(struct moat_sandbox *of, int sock, uint16_t type, const ProtobufCMessage *msg,
	const int *fds, uint32_t nfds, uint16_t want, struct wire_control *m,
	struct moat_error *err)
{
	int r = wire_control_send(sock, type, msg, fds, nfds);

	memset(m, 0, sizeof *m);
	if (r < 0)
		return error_set(err, r, "cannot talk to %s: %s", sentry_name, strerror(-r));
	if (of)
		r = recv_answer(of, m);
	else if ((r = wait_readable(sock, ANSWER_MS)) == 0)
		r = wire_control_recv(sock, m);
	else
		return answer_bad(m, r, sentry_name, err);
	if (r <= 0 || m->type != want)
		return answer_bad(m, r, sentry_name, err);
	return 0;
}

static int
ask(struct moat_sandbox *s, uint16_t type, const ProtobufCMessage *msg, uint16_t want,
	struct wire_control *ret, struct moat_error *err)
{
	int sock = s->sentry_sock, r = 0;

	if (!s->attached)
		r = sandbox_connect(s, &sock, err);
	if (r < 0)
		return r;
	r = ask_on(s->attached ? s : NULL, sock, type, msg, NULL, 0, want, ret, err);
	if (!s->attached)
		close(sock);
	return r;
}

static int
ask_done(struct moat_sandbox *s, uint16_t type, const ProtobufCMessage *msg, struct moat_error *err)
{
	struct wire_control m;
	int r = ask(s, type, msg, CONTROL_DONE, &m, err);

	if (r == 0)
		wire_control_free(&m);
	return r;
}

int
moat_attach(int sock, struct moat_sandbox **ret, struct moat_error *err)
{
	struct moat_sandbox *s = calloc(1, sizeof *s);

	if (!s) {
		close(sock);
		return error_set(err, -ENOMEM, "out of memory");
	}
	s->sentry_sock = sock;
	s->gofer_sock = -1;
	for (int i = 0; i < PARTS; i++)
		s->parts[i] = s->reports[i] = -1;
	s->attached = true;
	*ret = s;
	return 0;
}

int
moat_go(struct moat_sandbox *s, struct moat_error *err)
{
	return ask_done(s, CONTROL_GO, NULL, err);
}

int
moat_go_notify(struct moat_sandbox *s, int fd, struct moat_error *err)
{
	struct wire_control m;
	int sock = s->sentry_sock, r = s->attached ? 0 : sandbox_connect(s, &sock, err);

	if (r < 0)
		return r;
	r = ask_on(s->attached ? s : NULL, sock, CONTROL_GO, NULL, &fd, 1, CONTROL_DONE, &m, err);
	if (r == 0)
		wire_control_free(&m);
	if (!s->attached)
		close(sock);
	return r;
}

int
moat_release(struct moat_sandbox *s, struct moat_error *err)
{
	struct wire_control m;
	int r;

	if (s->metered)
		return error_set(err, -EOPNOTSUPP,
			"a sandbox whose memory is watched cannot be left to itself");
	if (s->tracer)
		return error_set(err, -EOPNOTSUPP,
			"a sandbox whose events are told cannot be left to itself");
	/* On the first connection: it is the one that holds the sandbox. */
	r = ask_on(s->attached ? s : NULL, s->sentry_sock, CONTROL_DETACH, NULL, NULL, 0,
		CONTROL_DONE, &m, err);

	if (r < 0)
		return r;
	wire_control_free(&m);
	r = keeper_leave(s->keeper);
	s->keeper = NULL;
	return r < 0 ? error_set(err, r, "cannot let the sandbox's processes go: %s", strerror(-r))
		     : 0;
}

int
moat_pause(struct moat_sandbox *s, struct moat_error *err)
{
	return ask_done(s, CONTROL_PAUSE, NULL, err);
}

int
moat_resume(struct moat_sandbox *s, struct moat_error *err)
{
	return ask_done(s, CONTROL_RESUME, NULL, err);
}

int
moat_set_limits(
	struct moat_sandbox *s, uint64_t memory_bytes, uint64_t pids, struct moat_error *err)
{
	Control__Resources m = CONTROL__RESOURCES__INIT;

	m.memory_limit = memory_bytes;
	m.pids_limit = pids;
	return ask_done(s, CONTROL_RESOURCES, &m.base, err);
}

int
moat_set_cpu(struct moat_sandbox *s, uint64_t quota_us, uint64_t period_us, struct moat_error *err)
{
	Control__Resources m = CONTROL__RESOURCES__INIT;

	m.cpu_quota_us = quota_us;
	m.cpu_period_us = period_us;
	return ask_done(s, CONTROL_RESOURCES, &m.base, err);
}

int
moat_state(struct moat_sandbox *s, struct moat_state *ret, struct moat_error *err)
{
	struct wire_control m;
	Control__State *st;
	int r = ask(s, CONTROL_STATE, NULL, CONTROL_STATE_IS, &m, err);

	if (r < 0)
		return r;
	st = wire_unpack(&control__state__descriptor, m.body, m.len);
	wire_control_free(&m);
	if (!st)
		return error_set(err, -EPROTO, "%s sent nonsense", sentry_name);
	ret->started = st->started;
	ret->paused = st->paused;
	ret->container = st->container;
	ret->containers = st->containers;
	ret->calls = st->calls;
	control__state__free_unpacked(st, NULL);
	return 0;
}

int
moat_processes(struct moat_sandbox *s, struct moat_process_info **ret, size_t *ret_n,
	struct moat_error *err)
{
	struct wire_control m;
	Control__ProcessList *l;
	struct moat_process_info *p;
	int r = ask(s, CONTROL_PROCESSES, NULL, CONTROL_PROCESS_LIST, &m, err);

	if (r < 0)
		return r;
	l = wire_unpack(&control__process_list__descriptor, m.body, m.len);
	wire_control_free(&m);
	if (!l)
		return error_set(err, -EPROTO, "%s sent nonsense", sentry_name);
	p = calloc(l->n_processes + 1, sizeof *p);
	for (size_t i = 0; p && i < l->n_processes; i++) {
		const Control__ProcessInfo *in = l->processes[i];
		size_t n = in->name.len < sizeof p->name ? in->name.len : sizeof p->name - 1;

		p[i] = (struct moat_process_info){
			.pid = in->pid, .ppid = in->ppid, .host_pid = in->host_pid, .uid = in->uid};
		if (n)
			memcpy(p[i].name, in->name.data, n);
	}
	*ret_n = l->n_processes;
	*ret = p;
	control__process_list__free_unpacked(l, NULL);
	return p ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int
moat_inspect(struct moat_sandbox *s, const char *path, char **ret, size_t *ret_len,
	struct moat_error *err)
{
	Control__Inspect q = CONTROL__INSPECT__INIT;
	struct wire_control m;
	Control__Text *t;
	char *text;
	int r;

	q.path = wire_bytes(path, strlen(path));
	r = ask(s, CONTROL_INSPECT, &q.base, CONTROL_TEXT, &m, err);
	if (r < 0)
		return r;
	t = wire_unpack(&control__text__descriptor, m.body, m.len);
	wire_control_free(&m);
	if (!t)
		return error_set(err, -EPROTO, "%s sent nonsense", sentry_name);
	text = calloc(1, t->text.len + 1);
	if (text && t->text.len)
		memcpy(text, t->text.data, t->text.len);
	*ret = text;
	*ret_len = t->text.len;
	control__text__free_unpacked(t, NULL);
	return text ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- signals --- */

static int
send_signal(struct moat_sandbox *answers, int sock, int pid, int signo, bool terminal, bool all)
{
	Control__Signal m = CONTROL__SIGNAL__INIT;
	struct wire_control w;
	struct moat_error err;
	int r;

	if (signo < 0 || signo > 64)
		return -EINVAL;
	m.pid = pid;
	m.signo = signo;
	m.terminal = terminal;
	m.all = all;
	if (!answers)
		return wire_control_send(sock, CONTROL_SIGNAL, &m.base, NULL, 0);
	r = ask_on(answers, sock, CONTROL_SIGNAL, &m.base, NULL, 0, CONTROL_DONE, &w, &err);
	if (r == 0)
		wire_control_free(&w);
	return r;
}

int
moat_signal(struct moat_sandbox *s, int pid, int signo)
{
	return send_signal(s->attached ? s : NULL, s->sentry_sock, pid, signo, false, false);
}

int
moat_signal_terminal(struct moat_sandbox *s, int signo)
{
	return send_signal(s->attached ? s : NULL, s->sentry_sock, 0, signo, true, false);
}

int
moat_signal_all(struct moat_sandbox *s, int signo)
{
	return send_signal(s->attached ? s : NULL, s->sentry_sock, 0, signo, false, true);
}

/* --- ends --- */

/* What an EXIT message says; it is freed. */
static int
end_of(struct wire_control *m, struct end *ret, struct moat_error *err)
{
	Control__Exit *e = m->type == CONTROL_EXIT
				   ? wire_unpack(&control__exit__descriptor, m->body, m->len)
				   : NULL;

	if (!e)
		return answer_bad(m, 1, sentry_name, err);
	*ret = (struct end){
		.known = true, .status = e->status, .limit = e->limit, .limits_met = e->limits_met};
	if (e->usage)
		ret->usage = (struct moat_rusage){e->usage->user_ns, e->usage->system_ns,
			e->usage->wall_ns, e->usage->memory_peak};
	control__exit__free_unpacked(e, NULL);
	wire_control_free(m);
	return 0;
}

int
moat_wait(struct moat_sandbox *s, int *ret_status, struct moat_error *err)
{
	return moat_wait_timeout(s, -1, ret_status, err);
}

int
moat_wait_timeout(struct moat_sandbox *s, int timeout_ms, int *ret_status, struct moat_error *err)
{
	struct wire_control m;
	int r;

	if (!s->end.known && s->attached && !s->asked) {
		r = wire_control_send(s->sentry_sock, CONTROL_WAIT, NULL, NULL, 0);
		if (r < 0)
			return error_set(err, -ECONNRESET, "%s ended unexpectedly", sentry_name);
		s->asked = true;
	}
	while (!s->end.known) {
		r = streams_pump(s->streams, s->sentry_sock, timeout_ms);
		if (r == -ETIMEDOUT)
			return error_set(err, r, "the program still runs");
		if (r < 0)
			return error_set(
				err, r, "cannot take what the program writes: %s", strerror(-r));
		r = wire_control_recv(s->sentry_sock, &m);
		if (r == 0 && s->keeper)
			return peer_died(s, SENTRY, sentry_name, err);
		if (r <= 0)
			return answer_bad(&m, r, sentry_name, err);
		if (s->owed && m.type != CONTROL_EXIT) { /* late, to another question */
			s->owed--;
			wire_control_free(&m);
			continue;
		}
		if (m.type == CONTROL_FAILED) {
			answer_bad(&m, r, sentry_name, err);
			return -ECONNRESET;
		}
		r = end_of(&m, &s->end, err);
		if (r < 0)
			return r;
	}
	*ret_status = s->end.status;
	return 0;
}

int
moat_rusage(const struct moat_sandbox *s, struct moat_rusage *ret)
{
	if (!s->end.known)
		return -EAGAIN;
	*ret = s->end.usage;
	return 0;
}

int
moat_fd(const struct moat_sandbox *s)
{
	return s->sentry_sock;
}

int
moat_pid(const struct moat_sandbox *s)
{
	return s->pids[ANCHOR] ? s->pids[ANCHOR] : s->pids[SENTRY];
}

int
moat_sentry_pid(const struct moat_sandbox *s)
{
	return s->pids[SENTRY] ? s->pids[SENTRY] : s->joined_pid;
}

int
moat_first_host_pid(const struct moat_sandbox *s)
{
	return s->host_pid;
}

int
moat_zygote_host_pid(const struct moat_sandbox *s)
{
	return s->zygote_pid;
}

int
moat_gofer_pid(const struct moat_sandbox *s)
{
	return s->pids[GOFER];
}

/* --- further processes --- */

int
moat_spawn(struct moat_sandbox *s, const struct moat_config *c, struct moat_process **ret,
	struct moat_error *err)
{
	struct moat_process *p = calloc(1, sizeof *p);
	Control__Exec e = CONTROL__EXEC__INIT;
	struct process_message pm;
	struct wire_control m;
	Control__Started *st;
	int r;

	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	p->sock = -1;
	if (!c->args || !c->args[0] || !c->args[0][0]) {
		free(p);
		return error_set(err, -EINVAL, "args: no program named");
	}
	r = process_message_fill(&pm, c);
	if (r < 0) {
		error_set(err, r, "cannot describe the process: %s", strerror(-r));
		goto out;
	}
	r = sandbox_connect(s, &p->sock, err);
	if (r < 0)
		goto out;
	e.process = &pm.p;
	r = ask_on(NULL, p->sock, CONTROL_EXEC, &e.base, pm.fds, pm.nfds, CONTROL_STARTED, &m, err);
	if (r < 0)
		goto out;
	st = wire_unpack(&control__started__descriptor, m.body, m.len);
	wire_control_free(&m);
	if (!st) {
		r = error_set(err, -EPROTO, "%s sent nonsense", sentry_name);
		goto out;
	}
	p->pid = st->pid;
	p->host_pid = st->host_pid;
	control__started__free_unpacked(st, NULL);
	*ret = p;
out:
	process_message_release(&pm);
	if (r < 0)
		moat_process_free(p);
	return r;
}

int
moat_process_pid(const struct moat_process *p)
{
	return p->pid;
}

int
moat_process_host_pid(const struct moat_process *p)
{
	return p->host_pid;
}

int
moat_process_fd(const struct moat_process *p)
{
	return p->sock;
}

int
moat_process_wait(struct moat_process *p, int timeout_ms, int *ret_status, struct moat_error *err)
{
	struct wire_control m;
	int r;

	if (!p->end.known) {
		r = streams_pump(p->streams, p->sock, timeout_ms);
		if (r == -ETIMEDOUT)
			return error_set(err, r, "the process still runs");
		r = r < 0 ? r : wire_control_recv(p->sock, &m);
		if (r <= 0) {
			memset(&m, 0, sizeof m);
			return answer_bad(&m, r, sentry_name, err);
		}
		r = end_of(&m, &p->end, err);
		if (r < 0)
			return r;
	}
	*ret_status = p->end.status;
	return 0;
}

int
moat_process_rusage(const struct moat_process *p, struct moat_rusage *ret)
{
	if (!p->end.known)
		return -EAGAIN;
	*ret = p->end.usage;
	return 0;
}

int
moat_spawn_io(struct moat_sandbox *s, const struct moat_config *c, const struct moat_io *io,
	struct moat_process **ret, struct moat_error *err)
{
	struct moat_config with = *c;
	struct streams *st;
	int r = streams_open(io, &with, &st);

	if (r < 0)
		return error_set(err, r, "cannot make the streams: %s", strerror(-r));
	r = moat_spawn(s, &with, ret, err);
	streams_given(st);
	if (r < 0)
		streams_free(st);
	else
		(*ret)->streams = st;
	return r;
}

int
moat_process_output(const struct moat_process *p, int stream, const char **ret, size_t *ret_bytes)
{
	return streams_output(p->streams, stream, ret, ret_bytes);
}

int
moat_process_signal(struct moat_process *p, int signo)
{
	return send_signal(NULL, p->sock, 0, signo, false, false);
}

int
moat_process_signal_terminal(struct moat_process *p, int signo)
{
	return send_signal(NULL, p->sock, 0, signo, true, false);
}

void
moat_process_free(struct moat_process *p)
{
	if (!p)
		return;
	if (p->sock >= 0)
		close(p->sock);
	streams_free(p->streams);
	free(p);
}
