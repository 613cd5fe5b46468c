/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of a peer that breaks the form: what comes with them is not left open. */
#include "gofer/wire.h"
#include "lib/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct wire_packet packet;
static int sv[2];

/* The lowest number that is free. */
static int
lowest(void)
{
	int fd = dup(0);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return fd;
}

/* Any bytes, with one descriptor. */
static void
send_raw(const void *p, size_t len)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} c = {0};
	struct iovec v = {(void *)(uintptr_t)p, len};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = c.buf,
		.msg_controllen = sizeof c.buf};

	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.h), &sv[0], sizeof(int));
	ck_assert_int_eq(sendmsg(sv[0], &m, 0), (ssize_t)len);
}

static void
begin(void)
{
	ck_assert_int_eq(wire_pair(sv), 0);
}

static void
end(void)
{
	close(sv[0]);
	close(sv[1]);
}

START_TEST(empty_packet)
{
	int before = lowest();

	send_raw("", 0);
	ck_assert_int_eq(wire_recv(sv[1], &packet, 0), 0);
	ck_assert_uint_eq(packet.nfds, 0);
	ck_assert_int_eq(lowest(), before);
}
END_TEST

/* Parts of a message that has no type, each with a descriptor. */
START_TEST(no_type)
{
	struct wire_head h = {.more = 1};
	struct wire_control c;
	int before = lowest();

	for (int i = 0; i < 3; i++)
		send_raw(&h, sizeof h);
	h.more = 0;
	send_raw(&h, sizeof h);
	ck_assert_int_eq(wire_control_recv(sv[1], &c), -EPROTO);
	ck_assert_int_eq(lowest(), before);
}
END_TEST

START_TEST(control_message)
{
	struct wire_control c;
	int before = lowest();

	ck_assert_int_eq(wire_control_send(sv[0], CONTROL_DONE, NULL, &sv[0], 1), 0);
	ck_assert_int_eq(wire_control_recv(sv[1], &c), 1);
	ck_assert_uint_eq(c.type, CONTROL_DONE);
	ck_assert_uint_eq(c.nfds, 1);
	wire_control_free(&c);
	ck_assert_int_eq(lowest(), before);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("packets");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, empty_packet);
	tcase_add_test(t, no_type);
	tcase_add_test(t, control_message);
	return suite_run("wire", t);
}
