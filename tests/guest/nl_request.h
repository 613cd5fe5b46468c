/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of netlink(7) that grow by their attributes. Behind their header there must be room. */
#ifndef TESTS_GUEST_NL_REQUEST_H
#define TESTS_GUEST_NL_REQUEST_H

#include "guest.h"
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

static inline struct rtattr *
nl_put(struct nlmsghdr *h, int type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));

	a->rta_type = (unsigned short)type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

/* Send it, and what comes first is in buf: 0, or the error that it is, or -1 and errno. */
static inline int
nl_ask(int fd, const struct nlmsghdr *h, void *buf, size_t cap)
{
	const struct nlmsghdr *answer = buf;
	const struct nlmsgerr *e = NLMSG_DATA(answer);

	if (send(fd, h, h->nlmsg_len, 0) < 0 || recv(fd, buf, cap, 0) < 0)
		return -1;
	return answer->nlmsg_type == NLMSG_ERROR ? -e->error : 0;
}

/* As above, for who wants no more than that. */
static inline const char *
nl_say(int fd, const struct nlmsghdr *h)
{
	_Alignas(8) char buf[4096];
	int err = nl_ask(fd, h, buf, sizeof buf);

	return err < 0 ? "no answer" : err ? strerrorname_np(err) : "ok";
}

static inline void
nl_put_ip(struct nlmsghdr *h, int type, const char *ip)
{
	uint8_t a[16];

	if (inet_pton(AF_INET, ip, a) == 1)
		nl_put(h, type, a, 4);
	else if (inet_pton(AF_INET6, ip, a) == 1)
		nl_put(h, type, a, 16);
}

/* By a socket of its own; what goes wrong is printed. */
static inline void
nl_must(const struct nlmsghdr *h)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	const char *answer = nl_say(fd, h);

	close(fd);
	if (strcmp(answer, "ok") != 0)
		printf("request %d: %s\n", h->nlmsg_type, answer);
}

#endif
