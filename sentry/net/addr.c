/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of interfaces. Of IPv4, what is of a network that the interface has one of already
 * is secondary: nothing comes from it unless a socket says so, and it goes with that one, or takes
 * its place (promote_secondaries). The namespace's lock guards them. Linux: net/ipv4/devinet.c.
 */
#include "abi/netlink.h"
#include "abi/socket.h"
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
net_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg)
{
	struct net_addr *v;
	size_t n;

	if (ns->on_host)
		return net_host_addrs(ns, fn, arg);
	mutex_lock(&ns->lock);
	n = ns->naddrs;
	v = net_copy(ns->addrs, n, sizeof *v);
	mutex_unlock(&ns->lock);
	for (int family = LX_AF_INET; v && family; family = family == LX_AF_INET ? LX_AF_INET6 : 0)
		for (size_t i = 0; i < n; i++)
			if (v[i].family == family)
				fn(&v[i], arg);
	free(v);
	return n && !v ? -ENOMEM : 0;
}

bool
link_has_family_locked(const struct net_ns *ns, int32_t index, int family)
{
	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].index == index && ns->addrs[i].family == family)
			return true;
	return false;
}

bool
net_link_solicited(struct net_ns *ns, int32_t index, const uint8_t end[3])
{
	const struct net_dev *d;
	bool found = false;

	mutex_lock(&ns->lock);
	d = dev_by_index_locked(ns, index);
	for (size_t i = 0; d && d->tap && i < ns->naddrs; i++)
		found |= ns->addrs[i].index == index && ns->addrs[i].family == LX_AF_INET6 &&
			 memcmp(ns->addrs[i].addr + 13, end, 3) == 0;
	mutex_unlock(&ns->lock);
	return found;
}

/* --- one more --- */

/* Of IPv4 and the same interface, with the same network (inet_ifa_match). */
static bool
is_beside(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == LX_AF_INET && b->family == LX_AF_INET && a->index == b->index &&
	       a->prefixlen == b->prefixlen &&
	       net_prefix_is(a->has_peer ? a->peer : a->addr, b->has_peer ? b->peer : b->addr,
		       a->prefixlen);
}

/* The place of an address in the list, or naddrs. */
static size_t
place(const struct net_ns *ns, const struct net_addr *a)
{
	size_t i;

	for (i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == a->family && ns->addrs[i].index == a->index &&
			memcmp(ns->addrs[i].addr, a->addr, 16) == 0 &&
			ns->addrs[i].prefixlen == a->prefixlen &&
			(a->family != LX_AF_INET || is_beside(&ns->addrs[i], a)) &&
			(!a->label[0] || strncmp(ns->addrs[i].label, a->label, 16) == 0))
			break;
	return i;
}

const struct net_addr *
addr_primary_locked(const struct net_ns *ns, const struct net_addr *a)
{
	if (!(a->flags & LX_IFA_F_SECONDARY))
		return a;
	for (size_t i = 0; i < ns->naddrs; i++)
		if (is_beside(&ns->addrs[i], a))
			return &ns->addrs[i];
	return NULL;
}

/* Addresses are kept by interface, as a dump has them; of IPv4 those that are not secondary in
 * front, the narrowest first (__inet_insert_ifa). */
static int
choose_place(const struct net_ns *ns, struct net_addr *a, size_t *ret)
{
	size_t at = 0, end, first = SIZE_MAX;

	while (at < ns->naddrs && ns->addrs[at].index <= a->index)
		at++;
	end = at;
	for (size_t i = 0; i < end && a->family == LX_AF_INET; i++) {
		const struct net_addr *x = &ns->addrs[i];

		if (x->family != LX_AF_INET || x->index != a->index)
			continue;
		if (first == SIZE_MAX)
			first = at = i;
		if (!(x->flags & LX_IFA_F_SECONDARY) && a->scope <= x->scope)
			at = i + 1;
		if (!is_beside(x, a))
			continue;
		if (memcmp(x->addr, a->addr, 4) == 0)
			return -EEXIST;
		if (x->scope != a->scope)
			return -EINVAL;
		a->flags |= LX_IFA_F_SECONDARY;
	}
	*ret = a->flags & LX_IFA_F_SECONDARY ? end : at;
	return 0;
}

static void
insert(struct net_ns *ns, const struct net_addr *a, size_t at)
{
	memmove(&ns->addrs[at + 1], &ns->addrs[at], (ns->naddrs - at) * sizeof *a);
	ns->addrs[at] = *a;
	ns->naddrs++;
}

static struct net_addr
take_out(struct net_ns *ns, size_t at)
{
	struct net_addr a = ns->addrs[at];

	ns->naddrs--;
	memmove(&ns->addrs[at], &ns->addrs[at + 1], (ns->naddrs - at) * sizeof a);
	return a;
}

int
addr_add_locked(struct net_ns *ns, const struct net_addr *given)
{
	struct net_addr a = *given;
	const struct net_dev *d;
	size_t at;
	int err;

	a.flags &= ~(uint32_t)LX_IFA_F_SECONDARY;
	d = dev_by_index_locked(ns, a.index);
	if (a.family == LX_AF_INET && !a.label[0] && d)
		memcpy(a.label, d->name, sizeof a.label);
	if (a.family == LX_AF_INET6 && place(ns, &a) < ns->naddrs)
		return -EEXIST;
	err = choose_place(ns, &a, &at);
	if (err)
		return err;
	if (ns->naddrs == NET_ADDRS_MAX)
		return -ENOSPC;
	if (ns->naddrs == ns->cap) {
		size_t cap = ns->cap ? 2 * ns->cap : 2;
		struct net_addr *v = realloc(ns->addrs, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		ns->addrs = v;
		ns->cap = cap;
	}
	insert(ns, &a, at);
	fib_add_addr_locked(ns, &a);
	return 0;
}

int
net_addr_add(struct net_ns *ns, struct net_addr *a)
{
	int r;

	mutex_lock(&ns->lock);
	if (!link_exists_locked(ns, a->index))
		r = -ENODEV;
	else
		r = a->family == LX_AF_INET6 && !link_has_ipv6_locked(ns, a->index)
			    ? -EACCES
			    : addr_add_locked(ns, a);
	if (!r)
		*a = ns->addrs[place(ns, a)];
	mutex_unlock(&ns->lock);
	return r;
}

/* inetdev_changename: the first is called as the interface, what others are called beside that
 * they keep. */
void
addrs_rename_locked(struct net_ns *ns, int32_t index, const char name[16])
{
	unsigned named = 0;

	for (size_t i = 0; i < ns->naddrs; i++) {
		struct net_addr *a = &ns->addrs[i];
		char more[16] = "", *colon = strchr(a->label, ':');
		size_t len = strnlen(name, 15), at;

		if (a->family != LX_AF_INET || a->index != index)
			continue;
		if (named++ && colon)
			memcpy(more, colon, strlen(colon));
		else if (named > 1)
			snprintf(more, sizeof more, ":%u", named);
		at = 15 - strlen(more);
		memset(a->label, 0, sizeof a->label);
		memcpy(a->label, name, len);
		memcpy(a->label + (len < at ? len : at), more, strlen(more));
	}
}

/* --- one less --- */

void
addrs_forget_locked(struct net_ns *ns, int32_t index, uint8_t family)
{
	size_t n = 0;

	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].index != index || (family && ns->addrs[i].family != family))
			ns->addrs[n++] = ns->addrs[i];
	ns->naddrs = n;
}

/* What has become of addresses, in order. */
struct changes {
	size_t n;
	struct {
		bool gone;
		struct net_addr a;
	} v[NET_ADDRS_MAX + 1];
};

static void
note(struct changes *c, bool gone, const struct net_addr *a)
{
	if (!c)
		return;
	c->v[c->n].gone = gone;
	c->v[c->n++].a = *a;
}

static void
remove_locked(struct net_ns *ns, size_t at, struct changes *c)
{
	struct net_addr a;

	fib_remove_addr_locked(ns, &ns->addrs[at]);
	a = take_out(ns, at);
	fib_forget_source_locked(ns, &a);
	note(c, true, &a);
}

/* Those beside a, which goes; false: the next of them takes its place. */
static bool
may_go(const struct net_ns *ns, const struct net_addr *a)
{
	return !net_sysctl(ns, NET4_PROMOTE_SECONDARIES, NET_CONF_ALL) &&
	       !net_conf_locked(ns, NET4_PROMOTE_SECONDARIES, a->index);
}

/* Where what takes the place of an address at `from` goes, which stands at `to` now
 * (__inet_del_ifa).
 */
static size_t
promoted_place(const struct net_ns *ns, const struct net_addr *gone, size_t from, size_t to)
{
	const struct net_addr *v = ns->addrs;

	if (from == to)
		return from;
	for (size_t i = to; i-- > from;)
		if (v[i].family == LX_AF_INET && v[i].index == gone->index &&
			!(v[i].flags & LX_IFA_F_SECONDARY) && gone->scope <= v[i].scope)
			return i + 1;
	for (size_t i = 0; i < from; i++)
		if (v[i].family == LX_AF_INET && v[i].index == gone->index)
			return i + 1;
	return from;
}

/* The routes of those beside it come from it, and are made anew once the first of them stands
 * for them all. */
static void
promote_locked(struct net_ns *ns, size_t at, struct changes *c)
{
	struct net_addr gone = ns->addrs[at], heir;
	size_t was = at;

	for (size_t i = ns->naddrs; i-- > at + 1;)
		if (is_beside(&ns->addrs[i], &gone)) {
			fib_remove_addr_locked(ns, &ns->addrs[i]);
			was = i;
		}
	remove_locked(ns, at, c);
	was--;
	heir = take_out(ns, was);
	heir.flags &= ~(uint32_t)LX_IFA_F_SECONDARY;
	insert(ns, &heir, promoted_place(ns, &gone, at, was));
	note(c, false, &heir);
	for (size_t i = 0; i < ns->naddrs; i++)
		if (is_beside(&ns->addrs[i], &heir))
			fib_add_addr_locked(ns, &ns->addrs[i]);
}

static void
remove_with_others_locked(struct net_ns *ns, size_t at, struct changes *c)
{
	struct net_addr a = ns->addrs[at];
	bool others = false;

	for (size_t i = at + 1; i < ns->naddrs && !(a.flags & LX_IFA_F_SECONDARY); i++)
		others |= is_beside(&ns->addrs[i], &a);
	if (others && !may_go(ns, &a)) {
		promote_locked(ns, at, c);
		return;
	}
	for (size_t i = at + 1; others && i < ns->naddrs;)
		if (is_beside(&ns->addrs[i], &a))
			remove_locked(ns, i, c);
		else
			i++;
	remove_locked(ns, at, c);
	/* without an address there is no IPv4 there (fib_inetaddr_event) */
	if (a.family == LX_AF_INET && !link_has_family_locked(ns, a.index, LX_AF_INET))
		fib_down_locked(ns, a.index, LX_AF_INET, true);
}

int
net_addr_remove(struct net_ns *ns, const struct net_addr *a,
	void (*fn)(bool gone, const struct net_addr *a, void *arg), void *arg)
{
	struct changes *c = calloc(1, sizeof *c); /* without memory nobody is told */
	int r = -EADDRNOTAVAIL;
	size_t i;

	mutex_lock(&ns->lock);
	i = place(ns, a);
	if (i < ns->naddrs) {
		remove_with_others_locked(ns, i, c);
		r = 0;
	} else if (!link_exists_locked(ns, a->index)) {
		r = -ENODEV;
	}
	mutex_unlock(&ns->lock);
	for (size_t k = 0; c && k < c->n; k++)
		if (fn)
			fn(c->v[k].gone, &c->v[k].a, arg);
		else
			net_addr_news(ns, c->v[k].gone, &c->v[k].a);
	free(c);
	return r;
}

/* --- news --- */

static void
look_locked(const struct net_ns *ns, struct addr_list *l)
{
	l->v = net_copy(ns->addrs, ns->naddrs, sizeof *l->v);
	l->n = l->v ? ns->naddrs : 0;
}

void
addr_watch_locked(const struct net_ns *ns, struct addr_watch *w)
{
	look_locked(ns, &w->was);
}

void
addr_watched_locked(const struct net_ns *ns, struct addr_watch *w)
{
	look_locked(ns, &w->is);
}

static const struct net_addr *
find(const struct net_addr *a, const struct addr_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].family == a->family && l->v[i].index == a->index &&
			l->v[i].prefixlen == a->prefixlen && memcmp(l->v[i].addr, a->addr, 16) == 0)
			return &l->v[i];
	return NULL;
}

void
addr_watch_tell(struct net_ns *ns, struct addr_watch *w)
{
	for (size_t i = 0; i < w->was.n; i++)
		if (!find(&w->was.v[i], &w->is))
			net_addr_news(ns, true, &w->was.v[i]);
	for (size_t i = 0; i < w->is.n; i++) {
		const struct net_addr *a = &w->is.v[i], *was = find(a, &w->was);

		if (!was || was->flags != a->flags || strcmp(was->label, a->label) != 0)
			net_addr_news(ns, false, a);
	}
	free(w->was.v);
	free(w->is.v);
}

void
net_addr_news(struct net_ns *ns, bool gone, const struct net_addr *a)
{
	if (net_input()->addr_news)
		net_input()->addr_news(ns, gone, a);
}
