/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User namespaces (user_namespaces(7)). Everywhere inside the sentry ids are those of the first
 * namespace; they are translated where a guest says or sees one. NULL stands for the first
 * namespace, so that whoever stays in it pays nothing.
 */
#ifndef SENTRY_CRED_USER_NS_H
#define SENTRY_CRED_USER_NS_H

#include "sentry/cred/cred.h"

#define USER_NS_MAX_LEVEL   32
#define USER_NS_MAX_EXTENTS 340

struct user_ns;

/* What a namespace limits (sentry/cred/ucount.h), for each user. */
enum ucount {
	UCOUNT_USER,
	UCOUNT_PID,
	UCOUNT_MNT,
	UCOUNT_UTS,
	UCOUNT_IPC,
	UCOUNT_NET,
	UCOUNT_TIME,
	UCOUNT_INOTIFY_INSTANCES,
	UCOUNT_INOTIFY_WATCHES,
	UCOUNTS
};
int64_t user_ns_max(const struct user_ns *ns, enum ucount what);
void user_ns_set_max(struct user_ns *ns, enum ucount what, int32_t max);

uint64_t ns_id_new(void); /* a number for a namespace of any kind */

/* A child of c's, owned by c's effective ids. -EUSERS (too deep), -EPERM (these ids have no name
 * in c's), -ENOMEM. */
int user_ns_new(const struct cred *c, struct user_ns **ret);
struct user_ns *user_ns_get(struct user_ns *ns); /* NULL is fine */
void user_ns_put(struct user_ns *ns);
/* Called with the number of a namespace that ends; no lock of a rank above KEYS may be held by who
 * drops the last reference. */
extern void (*user_ns_gone)(uint64_t id);
struct user_ns *user_ns_parent(const struct user_ns *ns); /* borrowed */
uint32_t user_ns_owner(const struct user_ns *ns);
uint64_t user_ns_id(const struct user_ns *ns); /* inode number of /proc/PID/ns/user */
bool user_ns_is_below(const struct user_ns *ns, const struct user_ns *above); /* or the same */

/* From a guest of ns: UINT32_MAX when it has no such id. UINT32_MAX itself stays. */
uint32_t uid_in(const struct user_ns *ns, uint32_t uid);
uint32_t gid_in(const struct user_ns *ns, uint32_t gid);
/* For a guest of ns: kernel.overflowuid, overflowgid for what has no name there. */
uint32_t uid_out(const struct user_ns *ns, uint32_t uid);
uint32_t gid_out(const struct user_ns *ns, uint32_t gid);
bool uid_known(const struct user_ns *ns, uint32_t uid);
bool gid_known(const struct user_ns *ns, uint32_t gid);

/* uid_map, gid_map: written once. c: who writes; opener: who opened the file. text is
 * NUL-terminated. -EPERM, -EINVAL. */
int user_ns_write_map(struct user_ns *ns, const struct cred *c, const struct cred *opener, bool gid,
	const char *text);
/* As reader's namespace sees it: extents, at most max; how many there are. */
struct id_extent {
	uint32_t first, lower, count;
};
/* What is shown of the first namespace to who is in it: who its ids are outside. n: extents, at
 * most USER_NS_MAX_EXTENTS, as three numbers each. Before there are tasks. -EINVAL, -ENOMEM. */
int user_ns_show_first(bool gid, const uint32_t *map, size_t n);
uint32_t user_ns_map(const struct user_ns *ns, const struct user_ns *reader, bool gid,
	struct id_extent *ret, uint32_t max);
bool user_ns_setgroups_allowed(const struct user_ns *ns);
bool user_ns_gid_mapped(const struct user_ns *ns); /* setgroups(2) needs a gid_map */
int user_ns_deny_setgroups(struct user_ns *ns);	   /* -EPERM: a gid_map is there already */

/* Capabilities. cred_capable (cred.h) asks over the first namespace; these ask over another one,
 * over that of c itself, and over a file whose owner c's namespace has to know. */
bool cred_capable_in(const struct cred *c, const struct user_ns *ns, int cap);
bool cred_capable_own(const struct cred *c, int cap);
bool cred_capable_file(const struct cred *c, uint32_t uid, uint32_t gid, int cap);

#endif
