/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that another process makes: the answer to each request, one that comes late, comes not,
 * or is none. */
#include "lib/suite.h"
#include "platform/host/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int pair[2]; /* who asks; who makes */
static bool mute;

static void
begin(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	mute = false;
}

static void
end(void)
{
	close(pair[0]);
	if (pair[1] >= 0)
		close(pair[1]);
}

static void
reply(uint32_t number, int32_t err, int fd)
{
	struct host_socket_reply a = {number, err};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec v = {&a, sizeof a};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
	}
	ck_assert_int_eq(sendmsg(pair[1], &m, 0), sizeof a);
}

static struct host_socket_request
request(void)
{
	struct host_socket_request q;

	ck_assert_int_eq(read(pair[1], &q, sizeof q), sizeof q);
	return q;
}

/* As the anchor does; a type of -1 is one that there is not. */
static void *
make_one(void *arg)
{
	struct host_socket_request q = request();
	int fd = arg || q.type < 0 ? -1 : socket(q.family, q.type, q.protocol);

	reply(q.number, fd < 0 ? -ESOCKTNOSUPPORT : 0, fd);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int
ask(void *(*maker)(void *), void *arg)
{
	pthread_t t;
	int r;

	ck_assert_int_eq(pthread_create(&t, NULL, maker, arg), 0);
	r = host_socket_ask(pair[0], &mute, AF_INET, SOCK_DGRAM, 0);
	pthread_join(t, NULL);
	return r;
}

static int
open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

START_TEST(answers)
{
	int type = 0, fd;
	socklen_t len = sizeof type;

	begin();
	fd = ask(make_one, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	ck_assert_int_eq(type, SOCK_DGRAM);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	ck_assert_int_eq(ask(make_one, &mute), -ESOCKTNOSUPPORT);
	end();
}
END_TEST

START_TEST(silence)
{
	struct host_socket_request q;
	int64_t t = now_ms();
	int fds, fd;

	begin();
	ck_assert_int_eq(host_socket_ask(pair[0], &mute, AF_INET, SOCK_DGRAM, 0), -ENETDOWN);
	ck_assert(mute && now_ms() - t >= 1000);
	/* The next ones are not kept waiting as long, all together. */
	t = now_ms();
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(
			host_socket_ask(pair[0], &mute, AF_INET, SOCK_DGRAM, 0), -ENETDOWN);
	ck_assert(mute && now_ms() - t < 20 * 1000);
	for (int i = 0; i < 21; i++)
		q = request();
	/* It speaks again, late: that is for nobody, and is closed. */
	fds = open_fds();
	reply(q.number - 1, 0, pair[1]);
	reply(q.number, -EMFILE, -1);
	fd = ask(make_one, NULL);
	ck_assert(fd >= 0 && !mute);
	close(fd);
	ck_assert_int_eq(open_fds(), fds);
	end();
}
END_TEST

static void *
nonsense(void *arg)
{
	struct host_socket_request q = request();
	const int *kind = arg;

	switch (*kind) {
	case 0: /* no socket, and no error */
		reply(q.number, 0, -1);
		break;
	case 1: /* both */
		reply(q.number, -EMFILE, pair[1]);
		break;
	case 2: /* an error that is a descriptor */
		reply(q.number, 5, -1);
		break;
	case 3: /* too short */
		ck_assert_int_eq(write(pair[1], &q, 4), 4);
		break;
	default:
		close(pair[1]);
		pair[1] = -1;
	}
	return NULL;
}

START_TEST(other_answers)
{
	for (int kind = 0; kind < 5; kind++) {
		int fds;

		begin();
		fds = open_fds();
		ck_assert_int_eq(ask(nonsense, &kind), -ENETDOWN);
		ck_assert_int_eq(open_fds(), kind == 4 ? fds - 1 : fds);
		if (kind == 4)
			ck_assert_int_eq(
				host_socket_ask(pair[0], &mute, AF_INET, SOCK_DGRAM, 0), -ENETDOWN);
		end();
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, answers);
	tcase_add_test(t, silence);
	tcase_add_test(t, other_answers);
	return suite_run("sockets of another process", t);
}
