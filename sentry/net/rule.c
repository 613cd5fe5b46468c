/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that choose the table that a route is looked for in (ip-rule(8)). Linux:
 * net/core/fib_rules.c, net/ipv4/fib_rules.c, net/ipv6/fib6_rules.c. Under the namespace's lock.
 */
#include "abi/socket.h"
#include "internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct net_rule at_first[] = {
	{.action = LX_FR_ACT_TO_TBL,
		.table = LX_RT_TABLE_LOCAL,
		.protocol = LX_RTPROT_KERNEL,
		.suppress_len = -1},
	{.action = LX_FR_ACT_TO_TBL,
		.table = LX_RT_TABLE_MAIN,
		.priority = 32766,
		.protocol = LX_RTPROT_KERNEL,
		.suppress_len = -1},
	{.action = LX_FR_ACT_TO_TBL,
		.table = LX_RT_TABLE_DEFAULT,
		.priority = 32767,
		.protocol = LX_RTPROT_KERNEL,
		.suppress_len = -1},
};

/* IPv6 has no table for defaults. */
static size_t
nr_at_first(uint8_t family)
{
	return family == LX_AF_INET ? 3 : 2;
}

static const struct net_rule *
rules_of(const struct net_ns *ns, uint8_t family, size_t *n)
{
	const struct rules *r = &ns->rules[family == LX_AF_INET6];

	*n = r->changed ? r->n : nr_at_first(family);
	return r->changed ? r->v : at_first;
}

/* --- which apply --- */

static bool
in_range(uint16_t port, const uint16_t range[2])
{
	return !range[0] || (port >= range[0] && port <= range[1]);
}

static bool
is_link(const struct net_ns *ns, const char *name, int32_t index)
{
	return !name[0] || link_is_named_locked(ns, index, name);
}

static bool
applies(const struct net_ns *ns, const struct net_rule *r, const struct net_flow *f)
{
	bool yes = is_link(ns, r->iif, f->iif) && is_link(ns, r->oif, f->oif) &&
		   ((f->mark ^ r->mark) & r->mask) == 0 &&
		   (!r->has_uids || (f->uid >= r->uids[0] && f->uid <= r->uids[1])) &&
		   net_prefix_is(r->src, f->src, r->src_len) &&
		   net_prefix_is(r->dst, f->dst, r->dst_len) &&
		   (!r->ipproto || r->ipproto == f->protocol) && in_range(f->sport, r->sports) &&
		   in_range(f->dport, r->dports);

	return yes != r->invert;
}

/* What a rule says; -EAGAIN: ask the next. */
static int
act(const struct net_ns *ns, const struct net_rule *r, const struct net_flow *f,
	struct net_route *ret)
{
	struct net_route x;
	int err;

	switch (r->action) {
	case LX_FR_ACT_TO_TBL:
		err = fib_find_locked(ns, f, r->table, r->table, &x);
		if (err == 0 && r->suppress_len >= 0 && x.dst_len <= r->suppress_len)
			return -EAGAIN;
		if (err == 0)
			*ret = x;
		return err;
	case LX_FR_ACT_NOP:
		return -EAGAIN;
	case LX_FR_ACT_UNREACHABLE:
		return -ENETUNREACH;
	case LX_FR_ACT_PROHIBIT:
		return -EACCES;
	default: /* blackhole, and whatever else was asked for */
		return -EINVAL;
	}
}

/* Without rules of somebody's own, the local table of IPv4 is one with the main one (fib_unmerge).
 */
static int
find_merged(const struct net_ns *ns, const struct net_flow *f, struct net_route *ret)
{
	int err = fib_find_locked(ns, f, LX_RT_TABLE_LOCAL, LX_RT_TABLE_MAIN, ret);

	if (err == -EAGAIN)
		return fib_find_locked(ns, f, LX_RT_TABLE_DEFAULT, LX_RT_TABLE_DEFAULT, ret);
	ret->table = LX_RT_TABLE_MAIN;
	return err;
}

int
rules_find_locked(const struct net_ns *ns, const struct net_flow *f, struct net_route *ret)
{
	size_t n;
	const struct net_rule *v = rules_of(ns, f->family, &n);
	int err = -EAGAIN;

	if (f->family == LX_AF_INET && !ns->rules[0].changed) {
		err = find_merged(ns, f, ret);
		return err == -EAGAIN ? -ENETUNREACH : err;
	}
	for (size_t i = 0; i < n && err == -EAGAIN; i++) {
		if (!applies(ns, &v[i], f))
			continue;
		if (v[i].action == LX_FR_ACT_GOTO) {
			size_t to = i + 1;

			while (to < n && v[to].priority < v[i].target)
				to++;
			if (to < n && v[to].priority == v[i].target)
				i = to - 1; /* only ever forward */
			continue;
		}
		err = act(ns, &v[i], f, ret);
	}
	return err == -EAGAIN ? -ENETUNREACH : err;
}

/* --- which there are --- */

bool
net_has_rules(struct net_ns *ns, uint8_t family)
{
	bool yes;

	mutex_lock(&ns->lock);
	yes = ns->rules[family == LX_AF_INET6].changed;
	mutex_unlock(&ns->lock);
	return yes;
}

static bool
is_resolved(const struct net_rule *r, const struct net_rule *v, size_t n)
{
	for (size_t i = 0; r->action == LX_FR_ACT_GOTO && i < n; i++)
		if (v[i].priority == r->target)
			return true;
	return r->action != LX_FR_ACT_GOTO;
}

int
net_rules(struct net_ns *ns, uint8_t family, void (*fn)(const struct net_rule *r, void *arg),
	void *arg)
{
	const struct net_rule *now;
	struct net_rule *v;
	size_t n;

	mutex_lock(&ns->lock);
	now = rules_of(ns, family, &n);
	v = net_copy(now, n, sizeof *v);
	mutex_unlock(&ns->lock);
	for (size_t i = 0; v && i < n; i++) {
		v[i].family = family;
		v[i].unresolved = !is_resolved(&v[i], v, n);
		fn(&v[i], arg);
	}
	free(v);
	return n && !v ? -ENOMEM : 0;
}

/* --- changes --- */

/* From now on they are the guest's own. */
static int
own(struct rules *r, uint8_t family)
{
	if (r->changed)
		return 0;
	r->cap = 8;
	r->v = calloc(r->cap, sizeof *r->v);
	if (!r->v)
		return -ENOMEM;
	r->n = nr_at_first(family);
	memcpy(r->v, at_first, r->n * sizeof *r->v);
	for (size_t i = 0; i < r->n; i++)
		r->v[i].family = family;
	r->changed = true;
	return 0;
}

static int
make_room(struct rules *r)
{
	struct net_rule *v;

	if (r->n == NET_RULES_MAX)
		return -ENOBUFS;
	if (r->n < r->cap)
		return 0;
	v = realloc(r->v, 2 * r->cap * sizeof *v);
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->cap *= 2;
	return 0;
}

/* Field by field: there is padding. */
static bool
equal(const struct net_rule *a, const struct net_rule *b)
{
	return a->priority == b->priority && a->action == b->action && a->table == b->table &&
	       a->invert == b->invert && a->target == b->target && a->mark == b->mark &&
	       a->mask == b->mask && a->suppress_len == b->suppress_len &&
	       a->has_uids == b->has_uids && memcmp(a->uids, b->uids, sizeof a->uids) == 0 &&
	       a->ipproto == b->ipproto && memcmp(a->sports, b->sports, sizeof a->sports) == 0 &&
	       memcmp(a->dports, b->dports, sizeof a->dports) == 0 && strcmp(a->iif, b->iif) == 0 &&
	       strcmp(a->oif, b->oif) == 0 && a->src_len == b->src_len &&
	       memcmp(a->src, b->src, 16) == 0 && a->dst_len == b->dst_len &&
	       memcmp(a->dst, b->dst, 16) == 0;
}

/* fib_default_rule_pref: before the second. */
static uint32_t
usual_priority(const struct rules *r)
{
	return r->n > 1 && r->v[1].priority ? r->v[1].priority - 1 : 0;
}

int
net_rule_add(struct net_ns *ns, struct net_rule *r, bool has_priority, uint16_t nlm_flags)
{
	struct rules *of = &ns->rules[r->family == LX_AF_INET6];
	size_t at = 0;
	int err;

	mutex_lock(&ns->lock);
	err = own(of, r->family);
	if (!err && !has_priority)
		r->priority = usual_priority(of);
	if (!err && r->action == LX_FR_ACT_GOTO && r->target <= r->priority)
		err = -EINVAL;
	for (size_t i = 0; !err && nlm_flags & LX_NLM_F_EXCL && i < of->n; i++)
		if (equal(&of->v[i], r))
			err = -EEXIST;
	if (!err)
		err = make_room(of);
	if (!err) {
		while (at < of->n && of->v[at].priority <= r->priority)
			at++;
		memmove(&of->v[at + 1], &of->v[at], (of->n - at) * sizeof *r);
		of->v[at] = *r;
		of->n++;
		r->unresolved = !is_resolved(r, of->v, of->n);
		net_path_changed(ns);
	}
	mutex_unlock(&ns->lock);
	return err;
}

/* rule_find */
static bool
is_like(const struct net_rule *r, const struct net_rule *x, unsigned named)
{
	return (!x->action || r->action == x->action) && (!x->table || r->table == x->table) &&
	       (!(named & NET_RULE_PRIORITY) || r->priority == x->priority) &&
	       (!x->iif[0] || strcmp(r->iif, x->iif) == 0) &&
	       (!x->oif[0] || strcmp(r->oif, x->oif) == 0) && (!x->mark || r->mark == x->mark) &&
	       (!x->mask || r->mask == x->mask) &&
	       (!(named & NET_RULE_SUPPRESS) || r->suppress_len == x->suppress_len) &&
	       (!x->has_uids || (r->has_uids && memcmp(r->uids, x->uids, sizeof r->uids) == 0)) &&
	       (!x->ipproto || r->ipproto == x->ipproto) &&
	       (!x->sports[0] || memcmp(r->sports, x->sports, sizeof r->sports) == 0) &&
	       (!x->dports[0] || memcmp(r->dports, x->dports, sizeof r->dports) == 0) &&
	       (!x->src_len || r->src_len == x->src_len) &&
	       (!x->dst_len || r->dst_len == x->dst_len) &&
	       (!(named & NET_RULE_SRC) || memcmp(r->src, x->src, 16) == 0) &&
	       (!(named & NET_RULE_DST) || memcmp(r->dst, x->dst, 16) == 0);
}

int
net_rule_remove(struct net_ns *ns, struct net_rule *r, unsigned named)
{
	struct rules *of = &ns->rules[r->family == LX_AF_INET6];
	size_t at = 0;
	int err;

	mutex_lock(&ns->lock);
	err = own(of, r->family);
	while (!err && at < of->n && !is_like(&of->v[at], r, named))
		at++;
	if (!err && at == of->n)
		err = -ENOENT;
	if (!err) {
		*r = of->v[at];
		r->unresolved = !is_resolved(r, of->v, of->n);
		of->n--;
		memmove(&of->v[at], &of->v[at + 1], (of->n - at) * sizeof *r);
		net_path_changed(ns);
	}
	mutex_unlock(&ns->lock);
	return err;
}
