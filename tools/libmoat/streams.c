/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that are buffers. What a program reads is a sealed file in memory: nothing has to be
 * written while it runs, and so no SIGPIPE can come. What it writes comes through pipes, of which
 * only the reading ends are here.
 */
#include "internal.h"
#include "moat/run.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GROW_MIN  65536
#define DRAIN_MAX (1024 * 1024) /* at least what a pipe holds */

struct output {
	int fd; /* -1: over */
	bool captured;
	char *data;
	size_t len, cap; /* cap has room for a NUL */
};

struct streams {
	struct output out[2]; /* 1, 2 */
	int theirs[3];	      /* the program's ends, until it has them; -1 */
};

static int
input_file(const struct moat_io *io)
{
	int fd = HOST(memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING)), r;

	if (fd < 0)
		return fd;
	r = HOST(ftruncate(fd, (off_t)io->input_bytes));
	for (size_t at = 0; r == 0 && at < io->input_bytes;) {
		ssize_t n = HOST_RETRY(
			pwrite(fd, (const char *)io->input + at, io->input_bytes - at, (off_t)at));

		if (n < 0)
			r = (int)n;
		else
			at += (size_t)n;
	}
	if (r == 0)
		r = HOST(fcntl(
			fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static int
open_output(struct streams *s, int stream)
{
	int p[2], r = HOST(pipe2(p, O_CLOEXEC));

	if (r < 0)
		return r;
	r = HOST(fcntl(p[0], F_SETFL, O_NONBLOCK));
	s->theirs[stream] = p[1];
	s->out[stream - 1] = (struct output){.fd = p[0], .captured = true};
	return r;
}

int
streams_open(const struct moat_io *io, struct moat_config *c, struct streams **ret)
{
	static const struct moat_io none;
	struct streams *s = calloc(1, sizeof *s);
	int r = 0;

	if (!s)
		return -ENOMEM;
	io = io ? io : &none;
	for (int i = 0; i < 3; i++)
		s->theirs[i] = -1;
	s->out[0].fd = s->out[1].fd = -1;
	if (!(io->pass & 1))
		r = s->theirs[0] = input_file(io);
	if (r >= 0 && !(io->pass & 2))
		r = open_output(s, 1);
	if (r >= 0 && !io->merge && !(io->pass & 4))
		r = open_output(s, 2);
	if (r < 0) {
		streams_free(s);
		return r;
	}
	for (int i = 0; i < 3; i++)
		if (s->theirs[i] >= 0)
			c->stdio[i] = s->theirs[i];
	if (io->merge)
		c->stdio[2] = c->stdio[1];
	*ret = s;
	return 0;
}

void
streams_given(struct streams *s)
{
	for (int i = 0; i < 3; i++) {
		if (s->theirs[i] >= 0)
			close(s->theirs[i]);
		s->theirs[i] = -1;
	}
}

void
streams_free(struct streams *s)
{
	if (!s)
		return;
	streams_given(s);
	for (int i = 0; i < 2; i++) {
		if (s->out[i].fd >= 0)
			close(s->out[i].fd);
		free(s->out[i].data);
	}
	free(s);
}

/* What there is, as far as a pipe can hold it: more has come meanwhile, from who never stops. 0;
 * -ENOMEM. */
static int
drain(struct output *o)
{
	for (size_t before = o->len; o->fd >= 0 && o->len - before < DRAIN_MAX;) {
		ssize_t n;

		if (o->cap - o->len < GROW_MIN / 2) {
			size_t cap = o->cap ? o->cap * 2 : GROW_MIN;
			char *grown = realloc(o->data, cap);

			if (!grown)
				return -ENOMEM;
			o->data = grown;
			o->cap = cap;
		}
		n = HOST_RETRY(read(o->fd, o->data + o->len, o->cap - o->len - 1));
		if (n == -EAGAIN)
			return 0;
		if (n <= 0) {
			close(o->fd);
			o->fd = -1;
			return n < 0 ? (int)n : 0;
		}
		o->len += (size_t)n;
	}
	return 0;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int
streams_pump(struct streams *s, int sock, int timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;
	int r = 0;

	for (;;) {
		struct pollfd p[3] = {{.fd = sock, .events = POLLIN}};
		int64_t left = timeout_ms < 0 ? -1 : until - now_ms();

		for (int i = 0; i < 2; i++)
			p[i + 1] = (struct pollfd){.fd = s ? s->out[i].fd : -1, .events = POLLIN};
		r = HOST(poll(p, 3, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0));
		if (r == -EINTR)
			continue;
		for (int i = 0; s && i < 2 && r >= 0; i++)
			if (p[0].revents || p[i + 1].revents) {
				int d = drain(&s->out[i]);

				r = d < 0 ? d : r;
			}
		if (r < 0 || p[0].revents)
			return r < 0 ? r : 0;
		if (timeout_ms >= 0 && now_ms() >= until)
			return -ETIMEDOUT;
	}
}

int
streams_output(const struct streams *s, int stream, const char **ret, size_t *ret_bytes)
{
	const struct output *o;

	if (!s || stream < 1 || stream > 2 || !s->out[stream - 1].captured)
		return -EINVAL;
	o = &s->out[stream - 1];
	if (o->data)
		o->data[o->len] = 0;
	*ret = o->data ? o->data : "";
	*ret_bytes = o->len;
	return 0;
}

int
streams_take(struct streams *s, int stream, char **ret, size_t *ret_bytes)
{
	struct output *o = &s->out[stream - 1];
	char *data = o->data ? o->data : malloc(1);

	if (!data)
		return -ENOMEM;
	data[o->len] = 0;
	*ret = data;
	*ret_bytes = o->len;
	o->data = NULL;
	o->len = o->cap = 0;
	return 0;
}
