/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink(7): which object a request is about, and who may change it. */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>

int
nl_route(struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r)
{
	/* Every body begins with the family. */
	if (rq->len < 1)
		return 0;
	if ((rq->h.type & 3) != 2 &&
		!cred_capable_in(c->cred, net_ns_owner(s->s.net), LX_CAP_NET_ADMIN))
		return -EPERM;
	switch (rq->h.type & ~3) {
	case LX_RTM_NEWLINK:
		return nl_link(s, c, rq, r);
	case LX_RTM_NEWADDR:
		return nl_addr(s, rq, r);
	case LX_RTM_NEWROUTE:
		return nl_fib(s, c, rq, r);
	case LX_RTM_NEWNEIGH:
		return nl_neigh(s, rq, r);
	case LX_RTM_NEWRULE:
		return nl_rule(s, c, rq, r);
	default:
		return -EOPNOTSUPP;
	}
}
