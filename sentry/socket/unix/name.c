/* SPDX-License-Identifier: Apache-2.0 */
/* Names of unix sockets: paths (the socket hangs at the inode), and abstract ones (a table). */
#include "abi/stat.h"
#include "internal.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mutex table_lock = MUTEX_INIT(SOCKTABLE);
static struct unix_sock
	*table; /* abstract names, without a reference: a socket leaves it when it closes */
static uint32_t next_auto;

#define PATH_OFF 2u

/* -EINVAL; *path_len without the terminating NUL of a path name. */
static int
check_addr(const uint8_t *addr, uint32_t len, uint32_t *path_len, bool *abstract)
{
	uint16_t family;

	if (len < sizeof family || len > sizeof(struct lx_sockaddr_un))
		return -EINVAL;
	memcpy(&family, addr, sizeof family);
	if (family != LX_AF_UNIX)
		return -EINVAL;
	*path_len = len - PATH_OFF;
	*abstract = *path_len && !addr[PATH_OFF];
	if (*path_len && !*abstract)
		*path_len = (uint32_t)strnlen((const char *)addr + PATH_OFF, *path_len);
	return 0;
}

static unsigned
make_key(struct unix_key *k, const struct net_ns *net, const void *name, uint32_t len)
{
	k->net = net;
	memcpy(k->name, name, len);
	return (unsigned)offsetof(struct unix_key, name) + len;
}

/* -EADDRINUSE: taken. -EINVAL: somebody else gave u a name meanwhile. */
static int
enter_abstract(struct unix_sock *u, const struct lx_sockaddr_un *a, uint32_t len)
{
	struct unix_sock *other;
	struct unix_key key;
	unsigned key_len;
	int err = 0;

	mutex_lock(&table_lock);
	key_len = make_key(&key, u->s.net, a->path, len - PATH_OFF);
	HASH_FIND(hh, table, &key, key_len, other);
	if (!other) {
		mutex_lock(&u->s.lock);
		if (u->addr_len) {
			err = -EINVAL;
		} else {
			u->addr = *a;
			u->addr_len = len;
			u->hashed = true;
		}
		mutex_unlock(&u->s.lock);
		if (!err) {
			u->key = key;
			HASH_ADD_KEYPTR(hh, table, &u->key, key_len, u);
		}
	}
	mutex_unlock(&table_lock);
	return other ? -EADDRINUSE : err;
}

int
unix_autobind(struct sock *s, const struct call *c)
{
	struct lx_sockaddr_un a = {.family = LX_AF_UNIX};

	(void)c;
	for (uint32_t tries = 0; tries < 1u << 20; tries++) {
		uint32_t n = __atomic_fetch_add(&next_auto, 1, __ATOMIC_RELAXED) & 0xfffff;
		char name[8];
		int err;

		snprintf(name, sizeof name, "%05x", n);
		memcpy(a.path + 1, name, 5);
		err = enter_abstract(us(s), &a, PATH_OFF + 6);
		if (err != -EADDRINUSE)
			return err == -EINVAL ? 0 : err; /* it has a name, which is all */
	}
	return -ENOSPC;
}

int
unix_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	struct unix_sock *u = us(s);
	struct lx_sockaddr_un a = {.family = LX_AF_UNIX};
	uint32_t path_len;
	bool abstract, named;
	struct path p;
	int err = check_addr(addr, len, &path_len, &abstract);

	if (err)
		return err;
	mutex_lock(&s->lock);
	named = u->addr_len != 0;
	mutex_unlock(&s->lock);
	if (!path_len)
		return named ? 0 : unix_autobind(s, c);
	if (named)
		return -EINVAL;
	memcpy(a.path, addr + PATH_OFF, path_len);
	if (abstract)
		return enter_abstract(u, &a, PATH_OFF + path_len);
	{
		char name[sizeof a.path + 1];

		memcpy(name, a.path, path_len);
		name[path_len] = 0;
		err = vfs_mknod_path(c, NULL, name, LX_S_IFSOCK | 0777, 0, &p);
	}
	if (err)
		return err == -EEXIST ? -EADDRINUSE : err;
	mutex_lock(&s->lock);
	if (u->addr_len) {
		mutex_unlock(&s->lock);
		path_put(&p);
		return -EINVAL;
	}
	u->addr = a;
	/* getsockname tells the name with its NUL, if there is room for one (unix(7)). */
	u->addr_len = PATH_OFF + path_len + (path_len < sizeof a.path);
	u->path = p;
	mutex_unlock(&s->lock);
	mutex_lock(&p.dentry->inode->lock);
	p.dentry->inode->ipc = s;
	mutex_unlock(&p.dentry->inode->lock);
	return 0;
}

void
unix_unname(struct unix_sock *u)
{
	struct path p = u->path;

	if (u->hashed) {
		mutex_lock(&table_lock);
		HASH_DEL(table, u);
		mutex_unlock(&table_lock);
		u->hashed = false;
	}
	u->path = (struct path){0};
	if (p.dentry) {
		mutex_lock(&p.dentry->inode->lock);
		if (p.dentry->inode->ipc == u)
			p.dentry->inode->ipc = NULL;
		mutex_unlock(&p.dentry->inode->lock);
		path_put(&p);
	}
}

int
unix_find(struct sock *from, const struct call *c, const uint8_t *addr, uint32_t len, int type,
	struct sock **ret)
{
	uint32_t path_len;
	bool abstract;
	struct sock *s = NULL;
	int err = check_addr(addr, len, &path_len, &abstract);

	if (err)
		return err;
	if (!path_len)
		return -EINVAL;
	if (abstract) {
		struct unix_sock *u;
		struct unix_key key;
		unsigned key_len = make_key(&key, from->net, addr + PATH_OFF, path_len);

		mutex_lock(&table_lock);
		HASH_FIND(hh, table, &key, key_len, u);
		if (u && ref_get_unless_zero(&u->s.ref))
			s = &u->s;
		mutex_unlock(&table_lock);
	} else {
		char name[sizeof((struct lx_sockaddr_un *)0)->path + 1];
		struct path p;
		struct inode *i;

		memcpy(name, addr + PATH_OFF, path_len);
		name[path_len] = 0;
		err = vfs_lookup(c, NULL, name, LOOKUP_FOLLOW, &p);
		if (err)
			return err;
		i = p.dentry->inode;
		err = vfs_access(c, &p, 2);
		if (!err && (inode_mode(i) & LX_S_IFMT) == LX_S_IFSOCK) {
			mutex_lock(&i->lock);
			s = i->ipc;
			if (s && !ref_get_unless_zero(&s->ref))
				s = NULL;
			mutex_unlock(&i->lock);
		}
		path_put(&p);
		if (err)
			return err;
	}
	if (!s)
		return -ECONNREFUSED;
	if (s->type != type) {
		sock_put(s);
		return -EPROTOTYPE;
	}
	*ret = s;
	return 0;
}

struct sock *
unix_peer_get(struct sock *s)
{
	struct sock *p;

	mutex_lock(&s->lock);
	p = us(s)->peer;
	if (p)
		sock_get(p);
	mutex_unlock(&s->lock);
	return p;
}

int
unix_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len)
{
	struct sock *o = peer ? unix_peer_get(s) : sock_get(s);

	if (!o)
		return -ENOTCONN;
	mutex_lock(&o->lock);
	memset(addr, 0, sizeof(struct lx_sockaddr_un));
	if (us(o)->addr_len) {
		memcpy(addr, &us(o)->addr, us(o)->addr_len);
		*len = us(o)->addr_len;
	} else {
		addr[0] = LX_AF_UNIX;
		*len = 2;
	}
	mutex_unlock(&o->lock);
	sock_put(o);
	return 0;
}

bool
unix_describe(struct sock *s, struct sock_info *x)
{
	struct unix_sock *u = us(s);
	struct sock *peer;

	mutex_lock(&s->lock);
	if (u->addr_len > sizeof u->addr.family) {
		x->name_len = u->addr_len - (uint32_t)sizeof u->addr.family;
		memcpy(x->name, u->addr.path, x->name_len);
		/* A path was stored with its zero byte. */
		if (x->name[0])
			x->name_len = (uint32_t)strnlen((char *)x->name, x->name_len);
	}
	x->state = s->listening ? 10 : u->connected || u->peer ? 1 : 7;
	if (s->listening)
		x->rcv_bytes = (uint32_t)u->nr_accept;
	mutex_unlock(&s->lock);
	peer = unix_peer_get(s);
	if (peer)
		x->peer_ino = peer->ino;
	sock_put(peer);
	return true;
}
