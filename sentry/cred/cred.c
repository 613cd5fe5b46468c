/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/cred/cred.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cred *
cred_new_root(void)
{
	struct cred *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	LIVE_INC(CRED);
	ref_init(&c->ref);
	c->cap_effective = c->cap_permitted = c->cap_bounding = LX_CAP_ALL;
	return c;
}

struct cred *
cred_dup(const struct cred *c)
{
	struct cred *d = malloc(sizeof *d);

	if (!d)
		return NULL;
	LIVE_INC(CRED);
	memcpy(d, c, sizeof *d);
	ref_init(&d->ref);
	if (d->groups)
		ref_get(&d->groups->ref);
	d->user_ns = user_ns_get(d->user_ns);
	return d;
}

struct cred *
cred_get(const struct cred *c)
{
	struct cred *m = (struct cred *)c;

	ref_get(&m->ref);
	return m;
}

static void
groups_put(struct group_list *g)
{
	if (g && ref_put(&g->ref))
		free(g);
}

void
cred_put(const struct cred *c)
{
	struct cred *m = (struct cred *)c;

	if (!m || !ref_put(&m->ref))
		return;
	groups_put(m->groups);
	user_ns_put(m->user_ns);
	free(m);
	LIVE_DEC(CRED);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int
cred_set_groups(struct cred *c, const uint32_t *gid, uint32_t n)
{
	struct group_list *g = NULL;

	if (n > LX_NGROUPS_MAX)
		return -EINVAL;
	if (n) {
		g = malloc(sizeof *g + n * sizeof *gid);
		if (!g)
			return -ENOMEM;
		ref_init(&g->ref);
		g->n = n;
		memcpy(g->gid, gid, n * sizeof *gid);
		qsort(g->gid, n, sizeof *gid, by_number);
	}
	groups_put(c->groups);
	c->groups = g;
	return 0;
}

static bool
in_supplementary(const struct cred *c, uint32_t gid)
{
	return c->groups && bsearch(&gid, c->groups->gid, c->groups->n, sizeof gid, by_number);
}

bool
cred_in_group(const struct cred *c, uint32_t gid)
{
	return gid == c->fsgid || in_supplementary(c, gid);
}

bool
cred_in_egroup(const struct cred *c, uint32_t gid)
{
	return gid == c->egid || in_supplementary(c, gid);
}
