/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: add_key(2), request_key(2), keyctl(2). */
#include "sentry/cred/user_ns.h"
#include "sentry/keys/keys.h"
#include "sentry/syscall/internal.h"
#include <stdlib.h>
#include <string.h>

#define TYPE_MAX 32
#define NO_ID	 UINT32_MAX

enum keyctl_op {
	KEYCTL_GET_KEYRING_ID,
	KEYCTL_JOIN_SESSION_KEYRING,
	KEYCTL_UPDATE,
	KEYCTL_REVOKE,
	KEYCTL_CHOWN,
	KEYCTL_SETPERM,
	KEYCTL_DESCRIBE,
	KEYCTL_CLEAR,
	KEYCTL_LINK,
	KEYCTL_UNLINK,
	KEYCTL_SEARCH,
	KEYCTL_READ,
	KEYCTL_INSTANTIATE,
	KEYCTL_NEGATE,
	KEYCTL_SET_REQKEY_KEYRING,
	KEYCTL_SET_TIMEOUT,
	KEYCTL_ASSUME_AUTHORITY,
	KEYCTL_GET_SECURITY,
	KEYCTL_SESSION_TO_PARENT,
	KEYCTL_REJECT,
	KEYCTL_INSTANTIATE_IOV,
	KEYCTL_INVALIDATE,
	KEYCTL_GET_PERSISTENT,
	KEYCTL_RESTRICT_KEYRING = 29,
	KEYCTL_MOVE,
	KEYCTL_CAPABILITIES,
};

/* KEYCTL_CAPABILITIES: persistent keyrings, invalidation, restriction, moving; names of keyrings by
 * user namespace. Not: Diffie-Hellman, public keys, big keys, notifications. */
static const uint8_t capabilities[2] = {0x01 | 0x02 | 0x20 | 0x40 | 0x80, 0x01};

#define LOGICAL_PAGE 4096u

static int
type_in(struct task *t, uint64_t addr, char type[TYPE_MAX])
{
	ssize_t n = copy_in_str(&t->mem.um, type, ua(addr), TYPE_MAX);

	if (n == -ENAMETOOLONG || n == 0)
		return -EINVAL;
	if (n < 0)
		return (int)n;
	return type[0] == '.' ? -EPERM : 0;
}

/* *ret is to be freed. */
static int
string_in(struct task *t, uint64_t addr, char **ret)
{
	char *s = malloc(KEY_DESC_MAX);
	ssize_t n;

	if (!s)
		return -ENOMEM;
	n = copy_in_str(&t->mem.um, s, ua(addr), KEY_DESC_MAX);
	if (n < 0) {
		free(s);
		return n == -ENAMETOOLONG ? -EINVAL : (int)n;
	}
	*ret = s;
	return 0;
}

static int
payload_in(struct task *t, uint64_t addr, uint64_t len, void **ret)
{
	*ret = NULL;
	if (!len)
		return 0;
	*ret = malloc(len);
	if (!*ret)
		return -ENOMEM;
	return copy_in(&t->mem.um, *ret, ua(addr), len) ? -EFAULT : 0;
}

static void
payload_free(void *p, uint64_t len)
{
	if (p)
		explicit_bzero(p, len);
	free(p);
}

int64_t
sys_add_key(struct task *t, const uint64_t a[6])
{
	struct key_caller k = {t->cred, &t->keys};
	char type[TYPE_MAX], *desc = NULL;
	void *payload = NULL;
	int64_t r;

	if (a[3] > KEY_PAYLOAD_MAX)
		return -EINVAL;
	r = type_in(t, a[0], type);
	if (!r && a[1])
		r = string_in(t, a[1], &desc);
	if (!r && desc && desc[0] == '.' && strncmp(type, "keyring", 7) == 0)
		r = -EPERM;
	if (!r)
		r = payload_in(t, a[2], a[3], &payload);
	if (!r)
		r = keys_add(&k, type, desc ? desc : "", payload, a[3], arg_int(a[4]));
	payload_free(payload, a[3]);
	free(desc);
	return r;
}

int64_t
sys_request_key(struct task *t, const uint64_t a[6])
{
	struct key_caller k = {t->cred, &t->keys};
	char type[TYPE_MAX], *desc = NULL, *info = NULL;
	int64_t r = type_in(t, a[0], type);

	if (!r)
		r = string_in(t, a[1], &desc);
	if (!r && a[2])
		r = string_in(t, a[2], &info);
	if (!r)
		r = keys_request(&k, type, desc, arg_int(a[3]));
	free(info);
	free(desc);
	return r;
}

static int64_t
join(struct task *t, const struct key_caller *k, uint64_t name_at)
{
	char *name = NULL;
	int64_t r = name_at ? string_in(t, name_at, &name) : 0;

	if (!r && name && name[0] == '.')
		r = -EPERM;
	if (!r)
		r = keys_join_session(k, name);
	free(name);
	return r;
}

static int64_t
update(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	void *payload = NULL;
	int64_t r;

	if (a[3] > LOGICAL_PAGE)
		return -EINVAL;
	r = payload_in(t, a[2], a[3], &payload);
	if (!r)
		r = keys_update(k, arg_int(a[1]), payload, a[3]);
	payload_free(payload, a[3]);
	return r;
}

static int64_t
change_owner(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	const struct user_ns *ns = t->cred->user_ns;
	uint32_t uid = uid_in(ns, (uint32_t)a[2]), gid = gid_in(ns, (uint32_t)a[3]);

	if ((uid == NO_ID && (uint32_t)a[2] != NO_ID) || (gid == NO_ID && (uint32_t)a[3] != NO_ID))
		return -EINVAL;
	return keys_chown(k, arg_int(a[1]), uid, gid);
}

static int64_t
search(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	char type[TYPE_MAX], *desc = NULL;
	int64_t r = type_in(t, a[2], type);

	if (!r)
		r = string_in(t, a[3], &desc);
	if (!r)
		r = keys_search(k, arg_int(a[1]), type, desc, arg_int(a[4]));
	free(desc);
	return r;
}

/* What there is room for as a whole, else nothing; the size in any case. */
static int64_t
whole_out(struct task *t, int64_t n, const void *data, uint64_t addr, uint64_t room)
{
	if (n > 0 && addr && (uint64_t)n <= room && copy_out(&t->mem.um, ua(addr), data, (size_t)n))
		return -EFAULT;
	return n;
}

static int64_t
describe(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	char *text = NULL;
	int64_t n = keys_describe(k, arg_int(a[1]), &text), r = whole_out(t, n, text, a[2], a[3]);

	free(text);
	return r;
}

static int64_t
read_key(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	void *data = NULL;
	int64_t n = keys_read(k, arg_int(a[1]), &data), r = whole_out(t, n, data, a[2], a[3]);

	payload_free(data, n > 0 ? (uint64_t)n : 0);
	return r;
}

static int64_t
get_security(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	int64_t r = keys_security(k, arg_int(a[1]));

	if (r)
		return r;
	if (a[2] && a[3] && copy_out(&t->mem.um, ua(a[2]), "", 1))
		return -EFAULT;
	return 1; /* no security module has a label for it */
}

/* Linux lets the parent change by itself when it next leaves the kernel; here it is done at once.
 */
static int64_t
session_to_parent(struct task *t, const struct key_caller *k)
{
	struct tgroup *g;
	struct task *p = NULL;
	int64_t r = -EPERM;

	mutex_lock(&tasklist_lock);
	g = t->tgroup->parent;
	if (g && g->leader && g->nr_threads == 1 && !g->leader->dead && g->leader->mm)
		p = task_get(g->leader);
	mutex_unlock(&tasklist_lock);
	if (!p)
		return -EPERM;
	mutex_lock(&p->pt_lock);
	if (p->cred && p->pid->nr > 1 && p->cred->uid == t->cred->euid &&
		p->cred->euid == t->cred->euid && p->cred->suid == t->cred->euid &&
		p->cred->gid == t->cred->egid && p->cred->egid == t->cred->egid &&
		p->cred->sgid == t->cred->egid)
		r = keys_session_to(k, &(struct key_caller){p->cred, &p->keys});
	mutex_unlock(&p->pt_lock);
	task_put(p);
	return r;
}

static int64_t
restrict_ring(struct task *t, const struct key_caller *k, const uint64_t a[6])
{
	char type[TYPE_MAX], *how = NULL;
	int64_t r = 0;

	if (a[2])
		r = type_in(t, a[2], type);
	if (!r && a[2] && a[3])
		r = string_in(t, a[3], &how);
	if (!r)
		r = keys_restrict(k, arg_int(a[1]), a[2] ? type : NULL, a[3]);
	free(how);
	return r;
}

int64_t
sys_keyctl(struct task *t, const uint64_t a[6])
{
	struct key_caller k = {t->cred, &t->keys};
	int32_t id = arg_int(a[1]), id2 = arg_int(a[2]);
	uint32_t uid;

	switch (arg_int(a[0])) {
	case KEYCTL_GET_KEYRING_ID:
		return keys_id(&k, id, id2);
	case KEYCTL_JOIN_SESSION_KEYRING:
		return join(t, &k, a[1]);
	case KEYCTL_UPDATE:
		return update(t, &k, a);
	case KEYCTL_REVOKE:
		return keys_revoke(&k, id);
	case KEYCTL_CHOWN:
		return change_owner(t, &k, a);
	case KEYCTL_SETPERM:
		return (uint32_t)a[2] & ~0x3f3f3f3fu ? -EINVAL
						     : keys_setperm(&k, id, (uint32_t)a[2]);
	case KEYCTL_DESCRIBE:
		return describe(t, &k, a);
	case KEYCTL_CLEAR:
		return keys_clear(&k, id);
	case KEYCTL_LINK:
		return keys_link(&k, id, id2);
	case KEYCTL_UNLINK:
		return keys_unlink(&k, id, id2);
	case KEYCTL_SEARCH:
		return search(t, &k, a);
	case KEYCTL_READ:
		return read_key(t, &k, a);
	case KEYCTL_INSTANTIATE:
	case KEYCTL_NEGATE:
	case KEYCTL_REJECT:
	case KEYCTL_INSTANTIATE_IOV:
		return -EPERM; /* nobody has the authority: no key is under construction */
	case KEYCTL_ASSUME_AUTHORITY:
		return id < 0 ? -EINVAL : id ? -ENOKEY : 0;
	case KEYCTL_SET_REQKEY_KEYRING:
		return keys_request_to(&k, id);
	case KEYCTL_SET_TIMEOUT:
		return keys_set_timeout(&k, id, (uint32_t)a[2]);
	case KEYCTL_GET_SECURITY:
		return get_security(t, &k, a);
	case KEYCTL_SESSION_TO_PARENT:
		return session_to_parent(t, &k);
	case KEYCTL_INVALIDATE:
		return keys_invalidate(&k, id);
	case KEYCTL_GET_PERSISTENT:
		uid = (uint32_t)a[1] == NO_ID ? t->cred->uid
					      : uid_in(t->cred->user_ns, (uint32_t)a[1]);
		return uid == NO_ID ? -EINVAL : keys_get_persistent(&k, uid, id2);
	case KEYCTL_RESTRICT_KEYRING:
		return restrict_ring(t, &k, a);
	case KEYCTL_MOVE:
		if ((uint32_t)a[4] & ~1u)
			return -EINVAL;
		return keys_move(&k, id, id2, arg_int(a[3]), a[4] & 1);
	case KEYCTL_CAPABILITIES: {
		uint64_t room = a[2], n = room < sizeof capabilities ? room : sizeof capabilities;

		if (n && copy_out(&t->mem.um, ua(a[1]), capabilities, n))
			return -EFAULT;
		if (room > n && usermem_zero(&t->mem.um, ua(a[1] + n), room - n))
			return -EFAULT;
		return sizeof capabilities;
	}
	default:
		return -EOPNOTSUPP;
	}
}
