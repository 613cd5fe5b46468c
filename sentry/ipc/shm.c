/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory: the table of segments, permissions, life and death (shmget(2), shmctl(2),
 * shmop(2)). */
#include "sentry/ipc/shm.h"
#include "abi/fs.h"
#include "abi/mman.h"
#include "base/lock.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ID_STEP 32768 /* an id is index + ID_STEP * sequence number */

struct segment {
	struct ref ref; /* the table's, and one for each attachment */
	int id;
	struct lx_shmid_ds ds; /* table_lock */
	struct file *file;     /* a reference */
	bool removed;	       /* table_lock: goes with the last attachment */
};

/* One attachment: shared by all areas that came from it (fork, splits). */
struct attachment {
	struct mappable m;
	struct mappable *inner; /* the file's; a reference */
	struct segment *seg;	/* a reference */
};

static struct mutex table_lock = MUTEX_INIT(FS);
static struct segment *table[SHM_MAX_SEGMENTS];
static uint16_t next_seq;

static int64_t
now(void)
{
	return time(NULL);
}

static void
segment_put(struct segment *s)
{
	if (!ref_put(&s->ref))
		return;
	file_put(s->file);
	free(s);
}

/* ipcperms() of Linux: want holds owner-style permission bits (0600, 0400). */
static bool
may(const struct call *c, const struct segment *s, uint32_t want)
{
	const struct cred *k = c->cred;
	uint32_t mode = s->ds.perm.mode, need = (want >> 6) & 7;

	if (k->euid == s->ds.perm.uid || k->euid == s->ds.perm.cuid)
		mode >>= 6;
	else if (cred_in_egroup(k, s->ds.perm.gid) || cred_in_egroup(k, s->ds.perm.cgid))
		mode >>= 3;
	return !(need & ~mode & 7) || cred_capable(k, LX_CAP_IPC_OWNER);
}

static bool
owns(const struct call *c, const struct segment *s)
{
	return c->cred->euid == s->ds.perm.uid || c->cred->euid == s->ds.perm.cuid ||
	       cred_capable(c->cred, LX_CAP_SYS_ADMIN);
}

static struct segment *
find_locked(int id)
{
	struct segment *s = id >= 0 ? table[id % ID_STEP % SHM_MAX_SEGMENTS] : NULL;

	return s && s->id == id ? s : NULL;
}

static int
make(const struct call *c, int32_t key, uint64_t size, int flags)
{
	struct segment *s;
	struct file *f;
	char name[32] = "/SYSV00000000";
	int err, i;

	if (!size || size > INT64_MAX / 2)
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
	s->file = f;
	s->ds.perm = (struct lx_ipc_perm){.key = key,
		.uid = c->cred->euid,
		.gid = c->cred->egid,
		.cuid = c->cred->euid,
		.cgid = c->cred->egid,
		.mode = (uint16_t)(flags & 0777)};
	s->ds.segsz = size;
	s->ds.ctime = now();
	s->ds.cpid = c->tgid;
	mutex_lock(&table_lock);
	for (i = 0; i < SHM_MAX_SEGMENTS && table[i]; i++)
		;
	err = -ENOSPC;
	if (i < SHM_MAX_SEGMENTS) {
		s->ds.perm.seq = next_seq;
		s->id = i + ID_STEP * next_seq;
		next_seq = (uint16_t)((next_seq + 1) % 65536 % (INT32_MAX / ID_STEP));
		table[i] = s;
		err = s->id;
	}
	mutex_unlock(&table_lock);
	if (err < 0)
		segment_put(s);
	return err;
}

int
shm_get(const struct call *c, int32_t key, uint64_t size, int flags)
{
	int r = -ENOENT;

	if (key != LX_IPC_PRIVATE) {
		mutex_lock(&table_lock);
		for (int i = 0; i < SHM_MAX_SEGMENTS; i++) {
			struct segment *s = table[i];

			if (!s || s->removed || s->ds.perm.key != key)
				continue;
			if ((flags & LX_IPC_CREAT) && (flags & LX_IPC_EXCL))
				r = -EEXIST;
			else if (size > s->ds.segsz)
				r = -EINVAL;
			else
				r = may(c, s, (uint32_t)flags & 0777) ? s->id : -EACCES;
			break;
		}
		mutex_unlock(&table_lock);
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

static void
attachment_release(struct mappable *m)
{
	struct attachment *a = container_of(m, struct attachment, m);
	struct segment *s = a->seg;
	bool gone = false;

	mutex_lock(&table_lock);
	s->ds.nattch--;
	s->ds.dtime = now();
	if (!s->ds.nattch && s->removed) {
		table[s->id % ID_STEP] = NULL;
		gone = true;
	}
	mutex_unlock(&table_lock);
	if (ref_put(&a->inner->ref))
		a->inner->ops->release(a->inner);
	file_put(a->m.file);
	free(a);
	segment_put(s);
	if (gone)
		segment_put(s);
}

static const struct mappable_ops attachment_ops = {attachment_fd, attachment_release};

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
	mutex_lock(&table_lock);
	s = find_locked(id);
	if (!s)
		err = -EINVAL;
	else if (!may(c, s, write ? 0600 : 0400))
		err = -EACCES;
	else {
		ref_get(&s->ref);
		s->ds.nattch++;
		s->ds.atime = now();
		s->ds.lpid = c->tgid;
		*ret_size = s->ds.segsz;
	}
	mutex_unlock(&table_lock);
	if (err) {
		free(a);
		return err;
	}
	err = s->file->ops->mappable(s->file, c, LX_PROT_READ | LX_PROT_WRITE, true, &a->inner);
	if (err) {
		mutex_lock(&table_lock);
		s->ds.nattch--;
		mutex_unlock(&table_lock);
		segment_put(s);
		free(a);
		return err;
	}
	ref_init(&a->m.ref);
	a->m.ops = &attachment_ops;
	a->m.file = file_get(s->file);
	a->seg = s;
	*ret = &a->m;
	return 0;
}

int
shm_stat(const struct call *c, int id, bool by_index, struct lx_shmid_ds *ret, int *ret_id)
{
	struct segment *s;
	int err = 0;

	mutex_lock(&table_lock);
	s = by_index ? id >= 0 && id < SHM_MAX_SEGMENTS ? table[id] : NULL : find_locked(id);
	if (!s)
		err = -EINVAL;
	else if (!may(c, s, 0400))
		err = -EACCES;
	else {
		*ret = s->ds;
		*ret_id = s->id;
	}
	mutex_unlock(&table_lock);
	return err;
}

int
shm_set(const struct call *c, int id, const struct lx_shmid_ds *ds)
{
	struct segment *s;
	int err = 0;

	mutex_lock(&table_lock);
	s = find_locked(id);
	if (!s)
		err = -EINVAL;
	else if (!owns(c, s))
		err = -EPERM;
	else {
		s->ds.perm.uid = ds->perm.uid;
		s->ds.perm.gid = ds->perm.gid;
		s->ds.perm.mode = (uint16_t)((s->ds.perm.mode & ~0777) | (ds->perm.mode & 0777));
		s->ds.ctime = now();
	}
	mutex_unlock(&table_lock);
	return err;
}

int
shm_remove(const struct call *c, int id)
{
	struct segment *s;
	bool drop = false;
	int err = 0;

	mutex_lock(&table_lock);
	s = find_locked(id);
	if (!s) {
		err = -EINVAL;
	} else if (!owns(c, s)) {
		err = -EPERM;
	} else if (!s->removed) {
		s->removed = true;
		s->ds.perm.key = LX_IPC_PRIVATE;
		s->ds.perm.mode |= LX_SHM_DEST;
		if (!s->ds.nattch) {
			table[s->id % ID_STEP] = NULL;
			drop = true;
		}
	}
	mutex_unlock(&table_lock);
	if (drop)
		segment_put(s);
	return err;
}

int
shm_usage(int *segments, uint64_t *pages)
{
	int highest = 0;

	*segments = 0;
	*pages = 0;
	mutex_lock(&table_lock);
	for (int i = 0; i < SHM_MAX_SEGMENTS; i++) {
		if (!table[i])
			continue;
		highest = i;
		(*segments)++;
		*pages += (table[i]->ds.segsz + LX_PAGE_SIZE - 1) >> LX_PAGE_SHIFT;
	}
	mutex_unlock(&table_lock);
	return highest;
}
