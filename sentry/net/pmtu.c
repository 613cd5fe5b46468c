/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned of paths that take smaller packets than their interface (RFC 1191, 8201), for
 * ten minutes. Under the namespace's lock. */
#include "internal.h"
#include "sentry/sched/fiber.h"
#include <stdlib.h>
#include <string.h>

#define EXPIRES_NS 600000000000ll /* net.ipv4.route.mtu_expires */
#define LEAST4	   552u		  /* net.ipv4.route.min_pmtu */
#define LEAST6	   1280u

static struct net_pmtu *
find_locked(struct net_ns *ns, const uint8_t ip[16])
{
	for (unsigned i = 0; ns->pmtus && i < NET_PMTUS; i++)
		if (ns->pmtus[i].mtu && memcmp(ns->pmtus[i].ip, ip, 16) == 0)
			return &ns->pmtus[i];
	return NULL;
}

/* The place of the one that goes first. */
static struct net_pmtu *
oldest_locked(struct net_ns *ns)
{
	struct net_pmtu *best = ns->pmtus;

	for (unsigned i = 0; i < NET_PMTUS; i++)
		if (ns->pmtus[i].until_ns < best->until_ns)
			best = &ns->pmtus[i];
	return best;
}

void
net_pmtu_learn(struct net_ns *ns, bool v6, const uint8_t ip[16], uint32_t mtu)
{
	struct net_pmtu *p;

	if (mtu < (v6 ? LEAST6 : LEAST4))
		mtu = v6 ? LEAST6 : LEAST4;
	mutex_lock(&ns->lock);
	if (!ns->pmtus)
		ns->pmtus = calloc(NET_PMTUS, sizeof *ns->pmtus);
	if (ns->pmtus) {
		p = find_locked(ns, ip);
		if (!p)
			p = oldest_locked(ns);
		memcpy(p->ip, ip, 16);
		p->mtu = mtu;
		p->until_ns = sched_now_ns() + EXPIRES_NS;
	}
	mutex_unlock(&ns->lock);
}

uint32_t
net_pmtu(struct net_ns *ns, const uint8_t ip[16], int32_t oif)
{
	const struct net_dev *d;
	struct net_pmtu *p;
	uint32_t mtu;

	mutex_lock(&ns->lock);
	d = dev_by_index_locked(ns, oif);
	mtu = d ? d->mtu : ns->mtu;
	p = find_locked(ns, ip);
	if (p && p->until_ns < sched_now_ns())
		p->mtu = 0;
	else if (p && p->mtu < mtu)
		mtu = p->mtu;
	mutex_unlock(&ns->lock);
	return mtu;
}
