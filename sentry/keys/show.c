/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/keys and /proc/key-users (proc(5)). */
#include "internal.h"
#include "sentry/sysctl/sysctl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct out {
	const struct key_caller *k;
	void (*line)(void *arg, const char *text);
	void *arg;
};

static void
left(const struct key *k, char *buf, size_t cap)
{
	int64_t s = k->expiry_s - key_now();

	if (!k->expiry_s)
		snprintf(buf, cap, "perm");
	else if (s <= 0)
		snprintf(buf, cap, "expd");
	else if (s < 60)
		snprintf(buf, cap, "%llds", (long long)s);
	else if (s < 60 * 60)
		snprintf(buf, cap, "%lldm", (long long)s / 60);
	else if (s < 60 * 60 * 24)
		snprintf(buf, cap, "%lldh", (long long)s / (60 * 60));
	else if (s < 60 * 60 * 24 * 7)
		snprintf(buf, cap, "%lldd", (long long)s / (60 * 60 * 24));
	else
		snprintf(buf, cap, "%lldw", (long long)s / (60 * 60 * 24 * 7));
}

static int
show_key(const struct out *o, const struct key *k)
{
	const struct user_ns *ns = o->k->cred->user_ns;
	char time[32], what[32] = "", *text;

	left(k, time, sizeof time);
	if (k->type == TYPE_KEYRING && k->nlinks)
		snprintf(what, sizeof what, ": %u", k->nlinks);
	else if (k->type == TYPE_KEYRING)
		snprintf(what, sizeof what, ": empty");
	else if (!k->revoked)
		snprintf(what, sizeof what, ": %u", k->len);
	if (asprintf(&text, "%08x I%c-%c--%c %5u %4s %08x %5d %5d %-9.9s %s%s\n", k->serial,
		    k->revoked ? 'R' : '-', k->in_quota ? 'Q' : '-', k->invalidated ? 'i' : '-',
		    k->refs, time, k->perm, (int)uid_out(ns, k->uid), key_gid_out(ns, k),
		    key_type_name(k->type), k->desc, what) < 0)
		return -ENOMEM;
	o->line(o->arg, text);
	free(text);
	return 0;
}

static int
by_serial(const void *a, const void *b)
{
	const struct key *x = *(struct key *const *)a, *y = *(struct key *const *)b;

	return (x->serial > y->serial) - (x->serial < y->serial);
}

int
keys_show(const struct key_caller *k, void (*line)(void *arg, const char *text), void *arg)
{
	struct out o = {k, line, arg};
	struct key *key, **v;
	uint64_t mark;
	size_t n = 0;
	int err = 0;

	mutex_lock(&keys_lock);
	keys_reap();
	mark = rings_mark(k);
	list_for_each_entry (key, &keys_all, all_node)
		n++;
	v = malloc((n + 1) * sizeof *v);
	if (!v) {
		mutex_unlock(&keys_lock);
		return -ENOMEM;
	}
	n = 0;
	list_for_each_entry (key, &keys_all, all_node) {
		struct key_ref r = {key, key->mark == mark};

		if (uid_known(k->cred->user_ns, key->uid) &&
			key_permission(r, k->cred, KP_VIEW) == 0)
			v[n++] = key;
	}
	qsort(v, n, sizeof *v, by_serial);
	for (size_t i = 0; i < n && !err; i++)
		err = show_key(&o, v[i]);
	mutex_unlock(&keys_lock);
	free(v);
	return err;
}

static void
show_user(const struct key_user *u, void *arg)
{
	const struct out *o = arg;
	char text[128];

	if (!uid_known(o->k->cred->user_ns, u->uid))
		return;
	snprintf(text, sizeof text, "%5u: %5u %u/%u %u/%u %u/%u\n",
		uid_out(o->k->cred->user_ns, u->uid), u->keys, u->keys, u->keys, u->quota_keys,
		(uint32_t)sysctl_get(u->uid ? SYSCTL_KEYS_MAXKEYS : SYSCTL_KEYS_ROOT_MAXKEYS),
		u->quota_bytes,
		(uint32_t)sysctl_get(u->uid ? SYSCTL_KEYS_MAXBYTES : SYSCTL_KEYS_ROOT_MAXBYTES));
	o->line(o->arg, text);
}

int
keys_show_users(const struct key_caller *k, void (*line)(void *arg, const char *text), void *arg)
{
	struct out o = {k, line, arg};

	mutex_lock(&keys_lock);
	key_users_each(show_user, &o);
	mutex_unlock(&keys_lock);
	return 0;
}
