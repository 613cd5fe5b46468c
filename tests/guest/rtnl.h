/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of rtnetlink(7) about routes and rules, and their answers shown: each field, and each
 * attribute in its order. */
#ifndef TESTS_RTNL_H
#define TESTS_RTNL_H

#include "guest.h"
#include "network.h"
#include "nl_request.h"
#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>

enum { LO = 1, NONE = 99 };

struct request {
	struct nlmsghdr h;
	struct rtmsg m;
	char attrs[256];
};

static int s; /* a socket of NETLINK_ROUTE */

static inline void
put_address(struct request *rq, unsigned short type, const char *text, unsigned char *bits)
{
	unsigned char a[16];

	if (!text || inet_pton(rq->m.rtm_family, text, a) != 1)
		return;
	*bits = rq->m.rtm_family == AF_INET ? 32 : 128;
	nl_put(&rq->h, type, a, *bits / 8u);
}

static inline void
show_attr(const struct rtattr *a)
{
	const unsigned char *d = RTA_DATA(a);

	if (a->rta_type == 28 || a->rta_type == 29)
		return; /* masks of ports in rules, since Linux 6.15 */
	printf(" %d:", a->rta_type);
	if (a->rta_type == RTA_CACHEINFO) {
		printf("%d bytes", (int)RTA_PAYLOAD(a)); /* counts, and times */
		return;
	}
	for (size_t i = 0; i < RTA_PAYLOAD(a); i++)
		printf("%02x", d[i]);
}

static inline void
show_message(const struct nlmsghdr *h)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	const struct rtattr *a = RTM_RTA(m);
	size_t left;

	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		printf("%s\n", e->error ? strerrorname_np(-e->error) : "acknowledged");
		return;
	}
	printf("type %d flags %x seq %u: dst %d src %d tos %d table %d protocol %d scope %d type "
	       "%d flags %x",
		h->nlmsg_type, h->nlmsg_flags, h->nlmsg_seq, m->rtm_dst_len, m->rtm_src_len,
		m->rtm_tos, m->rtm_table, m->rtm_protocol, m->rtm_scope, m->rtm_type, m->rtm_flags);
	left = RTM_PAYLOAD(h);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		show_attr(a);
	printf("\n");
}

/* What comes next, each message of it. False: that was the last of a dump. */
static inline bool
show(void)
{
	static char buf[65536];
	ssize_t n = recv(s, buf, sizeof buf, 0);
	const struct nlmsghdr *h = (void *)buf;

	if (n < (ssize_t)sizeof *h || !NLMSG_OK(h, n))
		printf("recv %zd\n", n);
	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		show_message(h);
		if (h->nlmsg_type == NLMSG_DONE)
			return false;
	}
	return true;
}

#endif
