/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted per real user id: processes (RLIMIT_NPROC) and queued signals
 * (RLIMIT_SIGPENDING). */
#include "sentry/kernel/internal.h"
#include <stdlib.h>
#include <uthash.h>

struct user {
	uint32_t uid;
	int32_t refs;
	_Atomic int32_t processes, sigqueues;
	UT_hash_handle hh;
};

static struct mutex lock = MUTEX_INIT(LEAF);
static struct user *users;

struct user *
user_get(uint32_t uid)
{
	struct user *u;

	mutex_lock(&lock);
	HASH_FIND(hh, users, &uid, sizeof uid, u);
	if (!u && (u = calloc(1, sizeof *u))) {
		u->uid = uid;
		HASH_ADD(hh, users, uid, sizeof uid, u);
	}
	if (u)
		u->refs++;
	mutex_unlock(&lock);
	return u;
}

void
user_put(struct user *u)
{
	if (!u)
		return;
	mutex_lock(&lock);
	if (--u->refs == 0) {
		HASH_DEL(users, u);
		free(u);
	}
	mutex_unlock(&lock);
}

int
user_add_process(struct user *u, int n)
{
	return atomic_fetch_add(&u->processes, n) + n;
}

int
user_add_sigqueue(struct user *u, int n)
{
	return atomic_fetch_add(&u->sigqueues, n) + n;
}
