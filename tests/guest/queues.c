/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in a socket that nobody reads has an end, of whatever it is: empty messages, those
 * that a filter cut, bytes that come with descriptors. How many it takes is the kernel's own
 * matter. */
#include "guest.h"
#include "network.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#define MANY 5000 /* more than any queue takes */
#define SOME 100  /* what each takes in any case */

static char buf[70000];

static int
udp(int *to)
{
	struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
	socklen_t len = sizeof a;
	int from = socket(AF_INET, SOCK_DGRAM, 0);

	*to = socket(AF_INET, SOCK_DGRAM, 0);
	bind(*to, (void *)&a, sizeof a);
	getsockname(*to, (void *)&a, &len);
	connect(from, (void *)&a, sizeof a);
	return from;
}

static int
cut_to(int s, unsigned n)
{
	struct sock_filter f = {BPF_RET | BPF_K, 0, 0, n};
	struct sock_fprog p = {1, &f};

	return setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p);
}

/* How many messages of so many bytes are there after many were sent. */
static int
fill(int from, int to, size_t bytes)
{
	int n = 0;

	for (int i = 0; i < MANY; i++)
		if (send(from, buf, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	while (recv(to, buf, sizeof buf, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

/* What was read makes room for as much again. */
static void
bounded(const char *name, int from, int to, size_t bytes, int least)
{
	int first = fill(from, to, bytes), second = fill(from, to, bytes);

	printf("%s: enough %d, an end %d, again %d\n", name, first >= least, first < MANY,
		second == first);
}

static void
datagrams(void)
{
	int to, from = udp(&to), n, small = 0;

	bounded("empty datagrams", from, to, 0, SOME);
	bounded("of 100 bytes", from, to, 100, SOME);
	bounded("of 60000", from, to, 60000, 3);
	SHOW(cut_to(to, 8));
	bounded("cut to none", from, to, 1400, 1);
	SHOW(cut_to(to, 20));
	bounded("cut to 12 bytes", from, to, 1400, 1);
	send(from, buf, 1400, 0);
	SHOW(ioctl(to, FIONREAD, &n));
	printf("  %d\n", n);
	SHOW(recv(to, buf, sizeof buf, 0));
	setsockopt(to, SOL_SOCKET, SO_DETACH_FILTER, &n, sizeof n);
	/* one goes in, however small the buffer is */
	SHOW(setsockopt(to, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
	send(from, buf, 60000, 0);
	SHOW(recv(to, buf, sizeof buf, MSG_DONTWAIT));
	close(to);
	close(from);
}

/* The same seen by who looks at packets. */
static void
looking(int look, const char *name)
{
	int to, from = udp(&to), n = 0;

	SHOW(cut_to(look, 1));
	for (int i = 0; i < MANY; i++)
		send(from, buf, 1000, 0);
	while (recv(look, buf, sizeof buf, MSG_DONTWAIT) >= 0)
		n++;
	printf("%s: enough %d, an end %d\n", name, n >= SOME / 2, n < MANY);
	close(look);
	close(to);
	close(from);
}

static void
local(int type, const char *name, size_t bytes, int least)
{
	int s[2];

	socketpair(AF_UNIX, type, 0, s);
	bounded(name, s[0], s[1], bytes, least);
	close(s[0]);
	close(s[1]);
}

static void
to_itself(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof a;
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	bind(s, (void *)&a, sizeof a.sun_family);
	getsockname(s, (void *)&a, &len);
	SHOW(connect(s, (void *)&a, len));
	bounded("to itself", s, s, 0, SOME);
	close(s);
}

/* A byte and a descriptor each. */
static void
descriptors(int type, const char *name)
{
	_Alignas(8) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {buf, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int s[2], n = 0;

	socketpair(AF_UNIX, type, 0, s);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &s[0], sizeof s[0]);
	while (n < MANY && sendmsg(s[0], &m, MSG_DONTWAIT) == 1)
		n++;
	printf("%s with descriptors: enough %d, an end %d: %s\n", name, n >= SOME, n < MANY,
		strerrorname_np(errno));
	close(s[0]);
	close(s[1]);
}

/* Answers to requests that do nothing. */
static void
answers(void)
{
	struct nlmsghdr *h = (void *)buf;
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), n = 0, ended = 0;
	ssize_t got;

	for (int i = 0; i < 1000; i++, h++)
		*h = (struct nlmsghdr){.nlmsg_len = sizeof *h,
			.nlmsg_type = NLMSG_NOOP,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};
	for (int i = 0; i < 20; i++)
		send(s, buf, 1000 * sizeof *h, MSG_DONTWAIT);
	while (ended < 2) {
		got = recv(s, buf, sizeof buf, MSG_DONTWAIT);
		/* ENOBUFS is told once, where it is told */
		ended += got < 0 ? errno == ENOBUFS ? 0 : 2 : 0;
		n += got >= 0;
	}
	printf("answers: enough %d, an end %d\n", n >= SOME, n < 20000);
	close(s);
}

int
main(void)
{
	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	own_network();
	datagrams();
	looking(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), "a packet socket");
	looking(socket(AF_INET, SOCK_RAW, IPPROTO_UDP), "a raw socket");
	local(SOCK_SEQPACKET, "empty packets", 0, SOME);
	local(SOCK_SEQPACKET, "packets", 1000, 50);
	local(SOCK_SEQPACKET, "large packets", sizeof buf, 2);
	local(SOCK_DGRAM, "a pair", 0, SOME);
	to_itself();
	descriptors(SOCK_STREAM, "bytes");
	descriptors(SOCK_SEQPACKET, "packets");
	answers();
	return 0;
}
