/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that are buffers, against a writer that never stops: /dev/zero stands for it. */
#include "lib/suite.h"
#include "tools/libmoat/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors of pipes that do not block: the reading ends. */
static int
replace_pipes(int with)
{
	int n = 0;

	for (int fd = 3; fd < 64; fd++) {
		char link[64], what[64] = "";

		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, what, sizeof what - 1) < 0 || strncmp(what, "pipe:", 5) != 0 ||
			!(fcntl(fd, F_GETFL) & O_NONBLOCK))
			continue;
		ck_assert_int_eq(dup2(with, fd), fd);
		n++;
	}
	return n;
}

START_TEST(test_without_end)
{
	struct rlimit few = {256 << 20, 256 << 20}; /* what takes all of it fails, and is seen */
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), sv[2];
	struct moat_config c;
	struct streams *s;
	const char *text;
	size_t len;

	moat_config_init(&c);
	ck_assert_int_ge(zero, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	ck_assert_int_eq(streams_open(NULL, &c, &s), 0);
	ck_assert_int_eq(replace_pipes(zero), 2);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need more */
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &few), 0);
#else
	(void)few;
#endif
	/* Time is up all the same, */
	ck_assert_int_eq(streams_pump(s, sv[0], 0), -ETIMEDOUT);
	/* and an end is seen. */
	ck_assert_int_eq(write(sv[1], "x", 1), 1);
	ck_assert_int_eq(streams_pump(s, sv[0], -1), 0);
	ck_assert_int_eq(streams_output(s, 1, &text, &len), 0);
	ck_assert_uint_ge(len, 1 << 20);
	streams_free(s);
}
END_TEST

int
main(void)
{
	TCase *c = tcase_create("streams");

	tcase_add_test(c, test_without_end);
	return suite_run("streams", c);
}
