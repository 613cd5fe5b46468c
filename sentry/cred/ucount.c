/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/cred/ucount.h"
#include "base/lock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct key {
	const struct user_ns *ns; /* whoever counts holds it */
	uint64_t uid;
};

struct counts {
	struct key key;
	uint32_t total, of[UCOUNTS];
	UT_hash_handle hh;
};

static struct mutex lock = MUTEX_INIT(LEAF);
static struct counts *all;

static struct counts *
find_locked(const struct user_ns *ns, uint32_t uid, bool make)
{
	struct key key = {ns, uid};
	struct counts *c;

	HASH_FIND(hh, all, &key, sizeof key, c);
	if (!c && make && (c = calloc(1, sizeof *c))) {
		c->key = key;
		HASH_ADD(hh, all, key, sizeof c->key, c);
	}
	return c;
}

static void
drop_locked(struct counts *c)
{
	if (c->total == 0) {
		HASH_DEL(all, c);
		free(c);
	}
}

/* In ns and those above it, up to and without end; or where there is none yet, NULL. */
static void
give_locked(struct user_ns *ns, uint32_t uid, enum ucount what, const struct counts *end)
{
	for (;;) {
		struct counts *c = find_locked(ns, uid, false);

		if (c == end)
			return;
		c->of[what]--;
		c->total--;
		drop_locked(c);
		if (!ns)
			return;
		uid = user_ns_owner(ns);
		ns = user_ns_parent(ns);
	}
}

int
ucount_take(struct user_ns *ns, uint32_t uid, enum ucount what)
{
	struct user_ns *at = ns;
	uint32_t who = uid;
	int r = 0;

	if (uid == UCOUNT_NOBODY)
		return 0;
	mutex_lock(&lock);
	for (;;) {
		struct counts *c = find_locked(at, who, true);

		if (!c || c->of[what] >= user_ns_max(at, what)) {
			r = c ? -ENOSPC : -ENOMEM;
			give_locked(ns, uid, what, c);
			if (c)
				drop_locked(c);
			break;
		}
		c->of[what]++;
		c->total++;
		if (!at)
			break;
		who = user_ns_owner(at);
		at = user_ns_parent(at);
	}
	mutex_unlock(&lock);
	return r;
}

void
ucount_give(struct user_ns *ns, uint32_t uid, enum ucount what)
{
	if (uid == UCOUNT_NOBODY)
		return;
	mutex_lock(&lock);
	give_locked(ns, uid, what, NULL);
	mutex_unlock(&lock);
}
