/* SPDX-License-Identifier: Apache-2.0 */
/* What a sandbox's kernel that was taken over can say of events: nothing that breaks their form. */
#include "control.pb-c.h"
#include "gofer/wire.h"
#include "lib/suite.h"
#include "tools/libmoat/trace.h"
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned told;

static void
hear(void *user, const struct moat_event *e)
{
	(void)user;
	ck_assert(e->kind >= MOAT_EVENT_CALL && e->kind <= MOAT_EVENT_EXIT);
	ck_assert_uint_le(e->nargs, 6);
	told++;
}

static void
good(Control__Event *e)
{
	static uint64_t args[7];

	control__event__init(e);
	e->kind = MOAT_EVENT_EXEC;
	e->comm = wire_bytes("fifteen_bytes_.", 15);
	e->text = wire_bytes("exec", 4);
	e->path = wire_bytes("/x", 2);
	e->argv = wire_bytes("a\0\0b", 5);
	e->args = args;
	e->n_args = 6;
}

/* How many of: a good event, this one, a good event, are told. */
static unsigned
tell(unsigned kinds, uint16_t type, const void *raw, size_t len, const Control__Event *e)
{
	struct moat_trace c = {.fn = hear, .kinds = kinds};
	struct wire_head h = {.type = type};
	struct tracer *t;
	Control__Event first;
	int peer;

	told = 0;
	good(&first);
	ck_assert_int_eq(tracer_start(&c, &t, &peer), 0);
	ck_assert_int_eq(
		wire_send_msg(peer, CONTROL_EVENT, 0, 0, &first.base, NULL, 0, MSG_DONTWAIT), 0);
	if (e)
		ck_assert_int_eq(
			wire_send_msg(peer, type, 0, 0, &e->base, NULL, 0, MSG_DONTWAIT), 0);
	else
		ck_assert_int_eq(wire_send(peer, &h, raw, len, NULL, 0, MSG_DONTWAIT), 0);
	(void)wire_send_msg(peer, CONTROL_EVENT, 0, 0, &first.base, NULL, 0, MSG_DONTWAIT);
	tracer_stop(t);
	close(peer);
	return told;
}

START_TEST(malformed)
{
	static char big[9000];
	Control__Event e;

	memset(big, 'x', sizeof big - 1);
	good(&e);
	ck_assert_uint_eq(tell(0, CONTROL_EVENT, NULL, 0, &e), 3);
	ck_assert_uint_eq(tell(0, CONTROL_EXIT, NULL, 0, &e), 1);
	ck_assert_uint_eq(tell(0, CONTROL_EVENT, "\377\377\377", 3, NULL), 1);
	ck_assert_uint_eq(tell(0, CONTROL_EVENT, "", 0, NULL), 1); /* no kind */
#define BAD(change)                                                                                \
	good(&e);                                                                                  \
	change;                                                                                    \
	ck_assert_uint_eq(tell(0, CONTROL_EVENT, NULL, 0, &e), 1)
	BAD(e.kind = 6);
	BAD(e.kind = 33);
	BAD(e.kind = UINT32_MAX);
	BAD(e.n_args = 7);
	BAD(e.comm = wire_bytes(big, 16));
	BAD(e.comm = wire_bytes("a\0b", 3));
	BAD(e.text = wire_bytes("a\nb", 3));
	BAD(e.text = wire_bytes("a\033b", 3));
	BAD(e.text = wire_bytes("a\200b", 3));
	BAD(e.text = wire_bytes("a\0b", 3));
	BAD(e.text = wire_bytes(big, 1024));
	BAD(e.call = wire_bytes(big, 64));
	BAD(e.call = wire_bytes("a\n", 2));
	BAD(e.path = wire_bytes(big, 4096));
	BAD(e.path = wire_bytes("a\0b", 3));
	BAD(e.argv = wire_bytes("ab", 2));
	BAD(e.argv = wire_bytes(big, sizeof big));
	/* One that was not asked for. */
	good(&e);
	e.kind = MOAT_EVENT_EXIT;
	ck_assert_uint_eq(tell(1u << MOAT_EVENT_EXEC, CONTROL_EVENT, NULL, 0, &e), 1);
}
END_TEST

START_TEST(limits)
{
	static char zeros[8193];
	Control__Event e;

	/* As many arguments as there can be: all are empty. */
	good(&e);
	e.argv = wire_bytes(zeros, sizeof zeros);
	ck_assert_uint_eq(tell(0, CONTROL_EVENT, NULL, 0, &e), 3);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("trace");

	tcase_add_test(t, malformed);
	tcase_add_test(t, limits);
	return suite_run("trace", t);
}
