/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory: the table of segments, permissions, life and death (shmget(2), shmctl(2),
 * shmop(2)). */
#include "abi/fs.h"
#include "abi/mman.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/ipc/internal.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct segment {
	struct ipc_ns *ns;
	struct ref ref; /* the table's, and one for each attachment */
	int id;
	struct lx_shmid_ds ds; /* the namespace's lock */
	struct file *file;     /* a reference */
	bool removed;	       /* the same: goes with the last attachment */
	int32_t creator;       /* the same: a task, or 0: it is gone */
};

/* One attachment: shared by all areas that came from it (fork, splits). */
struct attachment {
	struct mappable m;
	struct mappable *inner; /* the file's; a reference */
	struct segment *seg;	/* a reference */
};

static void
segment_put(struct segment *s)
{
	if (!ref_put(&s->ref))
		return;
	file_put(s->file);
	free(s);
}

static struct segment *
find_locked(struct ipc_ns *ns, int id)
{
	struct segment *s = id >= 0 ? ns->shm[id % IPC_ID_STEP % SHM_MAX_SEGMENTS] : NULL;

	return s && s->id == id ? s : NULL;
}

/* The table's reference is the caller's. */
static void
take_out_locked(struct segment *s)
{
	s->ns->shm[s->id % IPC_ID_STEP] = NULL;
	if (s->creator)
		atomic_fetch_sub(&s->ns->shm_owned, 1);
	s->creator = 0;
}

/* shm_may_destroy() of Linux. */
static bool
may_go_locked(const struct segment *s)
{
	return !s->ds.nattch && (s->removed || s->ns->limit[IPC_SHM_RMID_FORCED]);
}

static int
usage_locked(const struct ipc_ns *ns, int *segments, uint64_t *pages)
{
	int highest = 0;

	*segments = 0;
	*pages = 0;
	for (int i = 0; i < SHM_MAX_SEGMENTS; i++) {
		if (!ns->shm[i])
			continue;
		highest = i;
		(*segments)++;
		*pages += (ns->shm[i]->ds.segsz + LX_PAGE_SIZE - 1) >> LX_PAGE_SHIFT;
	}
	return highest;
}

/* The one with this key: its id, or -errno; -ENOENT: none. */
static int
by_key_locked(const struct call *c, int32_t key, uint64_t size, int flags)
{
	for (int i = 0; key != LX_IPC_PRIVATE && i < SHM_MAX_SEGMENTS; i++) {
		struct segment *s = c->ipc->shm[i];

		if (!s || s->removed || s->ds.perm.key != key)
			continue;
		if ((flags & LX_IPC_CREAT) && (flags & LX_IPC_EXCL))
			return -EEXIST;
		if (size > s->ds.segsz)
			return -EINVAL;
		return ipc_may(c, &s->ds.perm, (uint32_t)flags & 0777) ? s->id : -EACCES;
	}
	return -ENOENT;
}

static int
enter_locked(struct ipc_ns *ns, struct segment *s)
{
	uint64_t pages, size = s->ds.segsz;
	int i, segments;

	usage_locked(ns, &segments, &pages);
	for (i = 0; i < SHM_MAX_SEGMENTS && ns->shm[i]; i++)
		;
	if (i == SHM_MAX_SEGMENTS || (uint64_t)segments >= ns->limit[IPC_SHMMNI] ||
		pages + ((size + LX_PAGE_SIZE - 1) >> LX_PAGE_SHIFT) > ns->limit[IPC_SHMALL])
		return -ENOSPC;
	s->ds.perm.seq = ns->shm_seq;
	s->id = i + IPC_ID_STEP * ns->shm_seq;
	ns->shm_seq = (uint16_t)((ns->shm_seq + 1) % 65536 % (INT32_MAX / IPC_ID_STEP));
	ns->shm[i] = s;
	if (s->creator)
		atomic_fetch_add(&ns->shm_owned, 1);
	return s->id;
}

static int
make(const struct call *c, int32_t key, uint64_t size, int flags)
{
	struct segment *s;
	struct file *f;
	char name[32] = "/SYSV00000000";
	int err;

	if (!size || size > INT64_MAX / 2 || size > ipc_limit_get(c->ipc, IPC_SHMMAX))
		return -EINVAL;
	if (flags & LX_SHM_HUGETLB)
		return -ENOMEM; /* no huge pages are reserved */
	for (int k = 0; k < 8; k++)
		name[5 + k] = "0123456789abcdef"[((uint32_t)key >> (28 - 4 * k)) & 15];
	err = tmpfs_file_new(c, name, (int64_t)((size + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1)),
		0600, LX_O_RDWR, &f);
	if (err)
		return err;
	s = calloc(1, sizeof *s);
	if (!s) {
		file_put(f);
		return -ENOMEM;
	}
	ref_init(&s->ref);
	s->ns = c->ipc;
	s->file = f;
	ipc_perm_init(c, &s->ds.perm, key, flags);
	s->ds.segsz = size;
	s->ds.ctime = ipc_now();
	s->ds.cpid = c->tgid;
	s->creator = c->tid;
	mutex_lock(&c->ipc->lock);
	/* somebody else may have made one with this key meanwhile */
	err = by_key_locked(c, key, size, flags);
	if (err == -ENOENT) {
		err = enter_locked(c->ipc, s);
		if (err >= 0)
			s = NULL; /* the table's */
	}
	mutex_unlock(&c->ipc->lock);
	if (s)
		segment_put(s);
	return err;
}

int
shm_get(const struct call *c, int32_t key, uint64_t size, int flags)
{
	int r;

	if (key != LX_IPC_PRIVATE) {
		mutex_lock(&c->ipc->lock);
		r = by_key_locked(c, key, size, flags);
		mutex_unlock(&c->ipc->lock);
		if (r != -ENOENT || !(flags & LX_IPC_CREAT))
			return r;
	}
	return make(c, key, size, flags);
}

static int
attachment_fd(struct mappable *m, int prot, bool shared)
{
	struct attachment *a = container_of(m, struct attachment, m);

	return a->inner->ops->host_fd(a->inner, prot, shared);
}

/* One attachment less, whose reference goes. */
static void
detach(struct segment *s)
{
	bool gone;

	mutex_lock(&s->ns->lock);
	s->ds.nattch--;
	s->ds.dtime = ipc_now();
	gone = may_go_locked(s);
	if (gone)
		take_out_locked(s);
	mutex_unlock(&s->ns->lock);
	segment_put(s);
	if (gone)
		segment_put(s);
}

static void
attachment_release(struct mappable *m)
{
	struct attachment *a = container_of(m, struct attachment, m);
	struct segment *s = a->seg;
	struct ipc_ns *ns = s->ns;

	if (ref_put(&a->inner->ref))
		a->inner->ops->release(a->inner);
	file_put(a->m.file);
	free(a);
	detach(s);
	ipc_ns_put(ns);
}

static const struct mappable_ops attachment_ops = {
	.host_fd = attachment_fd, .release = attachment_release};

bool
shm_is(const struct mappable *m)
{
	return m && m->ops == &attachment_ops;
}

int
shm_attach(const struct call *c, int id, bool write, struct mappable **ret, uint64_t *ret_size)
{
	struct attachment *a = calloc(1, sizeof *a);
	struct segment *s;
	int err = 0;

	if (!a)
		return -ENOMEM;
	mutex_lock(&c->ipc->lock);
	s = find_locked(c->ipc, id);
	if (!s)
		err = -EINVAL;
	else if (!ipc_may(c, &s->ds.perm, write ? 0600 : 0400))
		err = -EACCES;
	else {
		ref_get(&s->ref);
		s->ds.nattch++;
		s->ds.atime = ipc_now();
		s->ds.lpid = c->tgid;
		*ret_size = s->ds.segsz;
	}
	mutex_unlock(&c->ipc->lock);
	if (err) {
		free(a);
		return err;
	}
	err = s->file->ops->mappable(s->file, c, LX_PROT_READ | LX_PROT_WRITE, true, &a->inner);
	if (err) {
		detach(s);
		free(a);
		return err;
	}
	ref_init(&a->m.ref);
	a->m.ops = &attachment_ops;
	a->m.file = file_get(s->file);
	a->m.memory = a->inner->memory;
	a->seg = s;
	(void)ipc_ns_get(s->ns);
	*ret = &a->m;
	return 0;
}

int
shm_stat(const struct call *c, int id, bool by_index, struct lx_shmid_ds *ret, int *ret_id)
{
	struct segment *s;
	int err = 0;

	mutex_lock(&c->ipc->lock);
	s = by_index ? id >= 0 && id < SHM_MAX_SEGMENTS ? c->ipc->shm[id] : NULL
		     : find_locked(c->ipc, id);
	if (!s)
		err = -EINVAL;
	else if (!ipc_may(c, &s->ds.perm, 0400))
		err = -EACCES;
	else {
		*ret = s->ds;
		*ret_id = s->id;
	}
	mutex_unlock(&c->ipc->lock);
	return err;
}

int
shm_set(const struct call *c, int id, const struct lx_shmid_ds *ds)
{
	struct segment *s;
	int err = 0;

	mutex_lock(&c->ipc->lock);
	s = find_locked(c->ipc, id);
	if (!s)
		err = -EINVAL;
	else if (!ipc_owns(c, &s->ds.perm))
		err = -EPERM;
	else
		err = ipc_perm_set(&s->ds.perm, &ds->perm);
	if (!err)
		s->ds.ctime = ipc_now();
	mutex_unlock(&c->ipc->lock);
	return err;
}

int
shm_remove(const struct call *c, int id)
{
	struct segment *s;
	bool drop = false;
	int err = 0;

	mutex_lock(&c->ipc->lock);
	s = find_locked(c->ipc, id);
	if (!s) {
		err = -EINVAL;
	} else if (!ipc_owns(c, &s->ds.perm)) {
		err = -EPERM;
	} else if (!s->removed) {
		s->removed = true;
		s->ds.perm.key = LX_IPC_PRIVATE;
		s->ds.perm.mode |= LX_SHM_DEST;
		drop = !s->ds.nattch;
		if (drop)
			take_out_locked(s);
	}
	mutex_unlock(&c->ipc->lock);
	if (drop)
		segment_put(s);
	return err;
}

int
shm_usage(const struct call *c, int *segments, uint64_t *pages)
{
	int highest;

	mutex_lock(&c->ipc->lock);
	highest = usage_locked(c->ipc, segments, pages);
	mutex_unlock(&c->ipc->lock);
	return highest;
}

void
shm_drop_orphans(struct ipc_ns *ns, int32_t creator)
{
	for (int i = 0; i < SHM_MAX_SEGMENTS; i++) {
		struct segment *s;

		mutex_lock(&ns->lock);
		s = ns->shm[i];
		if (s && s->creator == creator) {
			if (creator)
				atomic_fetch_sub(&ns->shm_owned, 1);
			s->creator = 0;
			if (may_go_locked(s))
				take_out_locked(s);
			else
				s = NULL;
		} else {
			s = NULL;
		}
		mutex_unlock(&ns->lock);
		if (s)
			segment_put(s);
	}
}

void
shm_task_gone(struct ipc_ns *ns, const struct call *c)
{
	if (ns && c->tid && atomic_load(&ns->shm_owned))
		shm_drop_orphans(ns, c->tid);
}

void
shm_ns_gone(struct ipc_ns *ns)
{
	/* Nothing is attached any more: an attachment holds the namespace. */
	for (int i = 0; i < SHM_MAX_SEGMENTS; i++)
		if (ns->shm[i])
			segment_put(ns->shm[i]);
}
