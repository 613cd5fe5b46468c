/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and keyrings (keyrings(7)): what add_key(2), request_key(2) and keyctl(2) do, for callers
 * that say who they are. Numbers of keys are positive; names, payloads and results are the caller's
 * memory. Nothing here parks. Thread-safe.
 */
#ifndef SENTRY_KEYS_KEYS_H
#define SENTRY_KEYS_KEYS_H

#include "sentry/cred/cred.h"
#include <stddef.h>
#include <stdint.h>

struct key;

#define KEY_DESC_MAX	4096
#define KEY_PAYLOAD_MAX (1024 * 1024 - 1)

/* The keyrings of a task; references. Only keys/ looks into it: the task itself, under the lock of
 * keys/ but for a look whether there is any, and for its session others too (keys_session_to). */
struct key_rings {
	struct key *thread, *process;
	struct key *_Atomic session;
	int32_t request_to; /* KEYCTL_SET_REQKEY_KEYRING */
};

struct key_caller {
	const struct cred *cred;
	struct key_rings *rings;
};

void keys_init(void);

/* What a child begins with; a thread of the same process has its process keyring too. */
int keys_clone(
	const struct cred *c, const struct key_rings *from, struct key_rings *to, bool thread);
void keys_exec(struct key_rings *r);
void keys_exit(struct key_rings *r);
/* Who has these rings is now somebody else, perhaps by file system ids too. */
void keys_new_cred(struct key_rings *r, const struct cred *old, const struct cred *c);

/* All return a number or -errno, as the calls that they serve do. Strings are NUL-terminated. */
int64_t keys_add(const struct key_caller *k, const char *type, const char *desc,
	const void *payload, size_t len, int32_t ring);
int64_t keys_request(const struct key_caller *k, const char *type, const char *desc, int32_t dest);

int64_t keys_id(const struct key_caller *k, int32_t id, bool create);
int64_t keys_join_session(const struct key_caller *k, const char *name); /* NULL: a new one */
int64_t keys_update(const struct key_caller *k, int32_t id, const void *payload, size_t len);
int64_t keys_revoke(const struct key_caller *k, int32_t id);
int64_t keys_chown(const struct key_caller *k, int32_t id, uint32_t uid, uint32_t gid);
int64_t keys_setperm(const struct key_caller *k, int32_t id, uint32_t perm);
/* Text and size of a description, with its NUL; *ret is to be freed. */
int64_t keys_describe(const struct key_caller *k, int32_t id, char **ret);
int64_t keys_clear(const struct key_caller *k, int32_t ring);
int64_t keys_link(const struct key_caller *k, int32_t id, int32_t ring);
int64_t keys_unlink(const struct key_caller *k, int32_t id, int32_t ring);
int64_t keys_move(const struct key_caller *k, int32_t id, int32_t from, int32_t to, bool exclusive);
int64_t keys_search(
	const struct key_caller *k, int32_t ring, const char *type, const char *desc, int32_t dest);
/* Length; *ret, to be freed, has so many bytes. */
int64_t keys_read(const struct key_caller *k, int32_t id, void **ret);
int64_t keys_security(const struct key_caller *k, int32_t id); /* may it be asked for? */
int64_t keys_request_to(const struct key_caller *k, int32_t where);
int64_t keys_set_timeout(const struct key_caller *k, int32_t id, uint32_t seconds);
int64_t keys_invalidate(const struct key_caller *k, int32_t id);
int64_t keys_get_persistent(const struct key_caller *k, uint32_t uid, int32_t dest);
/* by_type: a type was named; how: a restriction for it */
int64_t keys_restrict(const struct key_caller *k, int32_t ring, const char *type, bool how);
/* Give the session keyring to another task, whose threads and credentials the caller has looked at.
 */
int64_t keys_session_to(const struct key_caller *k, const struct key_caller *to);

/* /proc/keys and /proc/key-users: a line for each that k may see. -ENOMEM */
int keys_show(const struct key_caller *k, void (*line)(void *arg, const char *text), void *arg);
int keys_show_users(
	const struct key_caller *k, void (*line)(void *arg, const char *text), void *arg);

#endif
