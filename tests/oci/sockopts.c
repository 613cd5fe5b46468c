/* SPDX-License-Identifier: Apache-2.0 */
/* What every option of Internet sockets answers: asked, set to some values, asked again. Printed by
 * level and number. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *
level_name(int level)
{
	return level == SOL_SOCKET     ? "socket"
	       : level == IPPROTO_IP   ? "ip"
	       : level == IPPROTO_IPV6 ? "ipv6"
	       : level == IPPROTO_TCP  ? "tcp"
				       : "udp";
}

static void
ask(int fd, int level, int opt)
{
	unsigned char v[512] = {0};
	socklen_t len = sizeof v;
	int n;

	if (getsockopt(fd, level, opt, v, &len) < 0) {
		printf(" %s", strerrorname_np(errno));
		return;
	}
	memcpy(&n, v, sizeof n);
	printf(" %u:%d", len, n);
}

static void
set(int fd, int level, int opt, const void *v, socklen_t len)
{
	printf(" %s", setsockopt(fd, level, opt, v, len) < 0 ? strerrorname_np(errno) : "ok");
}

static void
option(const char *kind, int family, int type, int state, int level, int opt)
{
	static const int ints[] = {1, 0, 2, -1, 255, 1000};
	int fd = socket(family, type, 0), other = -1, l = -1;

	if (state) {
		union {
			struct sockaddr_in a4;
			struct sockaddr_in6 a6;
			struct sockaddr a;
		} a;
		socklen_t len = family == AF_INET ? sizeof a.a4 : sizeof a.a6;

		memset(&a, 0, sizeof a);
		a.a.sa_family = (sa_family_t)family;
		if (family == AF_INET)
			a.a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		else
			a.a6.sin6_addr = in6addr_loopback;
		l = socket(family, type, 0);
		bind(l, &a.a, len);
		getsockname(l, &a.a, &len);
		listen(l, 5);
		connect(fd, &a.a, len);
		if (type == SOCK_STREAM)
			other = accept(l, NULL, NULL);
	}
	printf("%s %s %d:", kind, level_name(level), opt);
	ask(fd, level, opt);
	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
		printf(" |%d", ints[i]);
		set(fd, level, opt, &ints[i], sizeof ints[i]);
		ask(fd, level, opt);
	}
	printf(" |short");
	set(fd, level, opt, "\1", 1);
	ask(fd, level, opt);
	printf(" |none");
	set(fd, level, opt, "", 0);
	printf(" |long");
	set(fd, level, opt, (unsigned char[200]){0}, 200);
	ask(fd, level, opt);
	printf("\n");
	close(fd);
	if (l >= 0)
		close(l);
	if (other >= 0)
		close(other);
}

int
main(void)
{
	static const struct {
		const char *name;
		int family, type, state;
	} kinds[] = {{"tcp4", AF_INET, SOCK_STREAM, 0}, {"tcp6", AF_INET6, SOCK_STREAM, 0},
		{"udp4", AF_INET, SOCK_DGRAM, 0}, {"udp6", AF_INET6, SOCK_DGRAM, 0},
		{"tcp4c", AF_INET, SOCK_STREAM, 1}, {"udp6c", AF_INET6, SOCK_DGRAM, 1}};
	static const int levels[] = {
		SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP};

	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
			for (int opt = 1; opt < 130; opt++)
				option(kinds[k].name, kinds[k].family, kinds[k].type,
					kinds[k].state, levels[l], opt);
	return 0;
}
