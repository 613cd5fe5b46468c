/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables: an array of files and two bitmaps (in use, close-on-exec), under one lock. */
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/internal.h"
#include "sentry/socket/socket.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/lock.h"
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u

struct fdtable {
	struct ref ref;
	uint64_t id;
	struct mutex lock; /* rank FDTABLE: all below */
	struct file **files;
	uint64_t *used, *cloexec;
	uint32_t size;	     /* of files; a multiple of WORD_BITS */
	uint32_t first_free; /* none is free below it */
};

static _Atomic uint64_t next_id = 1;

static int
grow(struct fdtable *t, uint32_t want)
{
	uint32_t size = t->size ? t->size : WORD_BITS;
	struct file **files;
	uint64_t *used, *cloexec;

	while (size <= want)
		size *= 2;
	files = calloc(size, sizeof *files);
	used = calloc(size / WORD_BITS, sizeof *used);
	cloexec = calloc(size / WORD_BITS, sizeof *cloexec);
	if (!files || !used || !cloexec) {
		free(files);
		free(used);
		free(cloexec);
		return -ENOMEM;
	}
	if (t->size) {
		memcpy(files, t->files, t->size * sizeof *files);
		memcpy(used, t->used, t->size / WORD_BITS * sizeof *used);
		memcpy(cloexec, t->cloexec, t->size / WORD_BITS * sizeof *cloexec);
	}
	free(t->files);
	free(t->used);
	free(t->cloexec);
	t->files = files;
	t->used = used;
	t->cloexec = cloexec;
	t->size = size;
	return 0;
}

static bool
bit(const uint64_t *map, uint32_t i)
{
	return (map[i / WORD_BITS] >> (i % WORD_BITS)) & 1;
}

static void
set_bit(uint64_t *map, uint32_t i, bool on)
{
	if (on)
		map[i / WORD_BITS] |= 1ULL << (i % WORD_BITS);
	else
		map[i / WORD_BITS] &= ~(1ULL << (i % WORD_BITS));
}

int
fdtable_new(struct fdtable **ret)
{
	struct fdtable *t = calloc(1, sizeof *t);
	int err;

	if (!t)
		return -ENOMEM;
	err = grow(t, 0);
	if (err) {
		free(t);
		return err;
	}
	LIVE_INC(FDTABLE);
	ref_init(&t->ref);
	t->id = atomic_fetch_add(&next_id, 1);
	mutex_init(&t->lock, LR_FDTABLE);
	*ret = t;
	return 0;
}

int
fdtable_dup(struct fdtable *t, uint32_t max_fd, struct fdtable **ret)
{
	struct fdtable *n;
	int err = fdtable_new(&n);

	if (err)
		return err;
	mutex_lock(&t->lock);
	if (t->size > n->size)
		err = grow(n, t->size - 1);
	for (uint32_t i = 0; !err && i < t->size && i < max_fd; i++) {
		if (!t->files[i])
			continue;
		n->files[i] = file_get(t->files[i]);
		set_bit(n->used, i, true);
		set_bit(n->cloexec, i, bit(t->cloexec, i));
	}
	mutex_unlock(&t->lock);
	if (err) {
		fdtable_put(n, NULL);
		return err;
	}
	*ret = n;
	return 0;
}

struct fdtable *
fdtable_get(struct fdtable *t)
{
	ref_get(&t->ref);
	return t;
}

struct fdtable *
task_files_get(struct task *t)
{
	struct fdtable *f = NULL;

	mutex_lock(&t->pt_lock);
	if (t->files)
		f = fdtable_get(t->files);
	mutex_unlock(&t->pt_lock);
	return f;
}

int
fd_close_file(struct fdtable *t, struct file *f, const struct call *c)
{
	bool flying;
	int r = 0;

	if (c && f->ops->flush)
		r = f->ops->flush(f, c);
	file_locks_close(f, t->id);
	flying = unix_in_flight(f);
	file_put(f);
	if (flying)
		unix_flight_collect();
	return r;
}

void
fdtable_put(struct fdtable *t, const struct call *c)
{
	if (!t || !ref_put(&t->ref))
		return;
	for (uint32_t i = 0; i < t->size; i++)
		if (t->files[i])
			fd_close_file(t, t->files[i], c);
	free(t->files);
	free(t->used);
	free(t->cloexec);
	mutex_destroy(&t->lock);
	free(t);
	LIVE_DEC(FDTABLE);
}

uint64_t
fdtable_id(const struct fdtable *t)
{
	return t->id;
}

bool
fdtable_shared(const struct fdtable *t)
{
	return atomic_load(&((struct fdtable *)t)->ref.n) > 1;
}

struct file *
fdtable_file(struct fdtable *t, int fd)
{
	struct file *f = NULL;

	mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->files[fd])
		f = file_get(t->files[fd]);
	mutex_unlock(&t->lock);
	return f;
}

static int
find_free(struct fdtable *t, uint32_t from)
{
	if (from < t->first_free)
		from = t->first_free;
	for (uint32_t w = from / WORD_BITS; w < t->size / WORD_BITS; w++) {
		uint64_t free_bits = ~t->used[w];

		if (w == from / WORD_BITS)
			free_bits &= ~0ULL << (from % WORD_BITS);
		if (free_bits)
			return (int)(w * WORD_BITS) + __builtin_ctzll(free_bits);
	}
	return (int)(from > t->size ? from : t->size);
}

int
fdtable_install(struct fdtable *t, struct file *f, int from, uint64_t limit, bool cloexec)
{
	int fd, err = 0;

	mutex_lock(&t->lock);
	fd = find_free(t, (uint32_t)from);
	if ((uint64_t)fd >= limit || fd >= sysctl_get(SYSCTL_NR_OPEN))
		err = -EMFILE;
	else if ((uint32_t)fd >= t->size)
		err = grow(t, (uint32_t)fd);
	if (!err) {
		t->files[fd] = file_get(f);
		set_bit(t->used, (uint32_t)fd, true);
		set_bit(t->cloexec, (uint32_t)fd, cloexec);
		if ((uint32_t)fd == t->first_free)
			t->first_free++;
	}
	mutex_unlock(&t->lock);
	return err ? err : fd;
}

int
fdtable_install_at(struct fdtable *t, struct file *f, int fd, bool cloexec, struct file **ret_old)
{
	int err = 0;

	*ret_old = NULL;
	if (fd >= sysctl_get(SYSCTL_NR_OPEN))
		return -EMFILE;
	mutex_lock(&t->lock);
	if ((uint32_t)fd >= t->size)
		err = grow(t, (uint32_t)fd);
	if (!err) {
		*ret_old = t->files[fd];
		t->files[fd] = file_get(f);
		set_bit(t->used, (uint32_t)fd, true);
		set_bit(t->cloexec, (uint32_t)fd, cloexec);
	}
	mutex_unlock(&t->lock);
	return err;
}

static struct file *
take_locked(struct fdtable *t, uint32_t fd)
{
	struct file *f = t->files[fd];

	t->files[fd] = NULL;
	set_bit(t->used, fd, false);
	set_bit(t->cloexec, fd, false);
	if (fd < t->first_free)
		t->first_free = fd;
	return f;
}

int
fdtable_remove(struct fdtable *t, int fd, struct file **ret)
{
	int err = -EBADF;

	mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->files[fd]) {
		*ret = take_locked(t, (uint32_t)fd);
		err = 0;
	}
	mutex_unlock(&t->lock);
	return err;
}

int
fdtable_cloexec_get(struct fdtable *t, int fd)
{
	int r = -EBADF;

	mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->files[fd])
		r = bit(t->cloexec, (uint32_t)fd);
	mutex_unlock(&t->lock);
	return r;
}

int
fdtable_cloexec_set(struct fdtable *t, int fd, bool on)
{
	int r = -EBADF;

	mutex_lock(&t->lock);
	if (fd >= 0 && (uint32_t)fd < t->size && t->files[fd]) {
		set_bit(t->cloexec, (uint32_t)fd, on);
		r = 0;
	}
	mutex_unlock(&t->lock);
	return r;
}

void
fdtable_close_on_exec(struct fdtable *t, const struct call *c)
{
	for (uint32_t w = 0;; w++) {
		for (;;) {
			struct file *f = NULL;

			mutex_lock(&t->lock);
			if (w < t->size / WORD_BITS && t->cloexec[w])
				f = take_locked(t,
					w * WORD_BITS + (uint32_t)__builtin_ctzll(t->cloexec[w]));
			mutex_unlock(&t->lock);
			if (!f)
				break;
			fd_close_file(t, f, c);
		}
		if (w >= t->size / WORD_BITS)
			break;
	}
}

int
fdtable_close_range(
	struct fdtable *t, const struct call *c, uint32_t first, uint32_t last, bool cloexec_only)
{
	for (uint32_t i = first; i <= last; i++) {
		struct file *f = NULL;
		bool end;

		mutex_lock(&t->lock);
		end = i >= t->size;
		if (!end && t->files[i]) {
			if (cloexec_only)
				set_bit(t->cloexec, i, true);
			else
				f = take_locked(t, i);
		}
		mutex_unlock(&t->lock);
		if (f)
			fd_close_file(t, f, c);
		if (end)
			break;
	}
	return 0;
}

int
fdtable_next(struct fdtable *t, int from)
{
	int r = -1;

	mutex_lock(&t->lock);
	for (uint32_t i = (uint32_t)from; i < t->size && r < 0; i++)
		if (t->files[i])
			r = (int)i;
	mutex_unlock(&t->lock);
	return r;
}

uint32_t
fdtable_size(struct fdtable *t)
{
	uint32_t n;

	mutex_lock(&t->lock);
	n = t->size;
	mutex_unlock(&t->lock);
	return n;
}

struct file *
task_file_raw(struct task *t, int fd)
{
	return fdtable_file(t->files, fd);
}

struct file *
task_file(struct task *t, int fd)
{
	struct file *f = fdtable_file(t->files, fd);

	if (f && (f->mode & LX_FMODE_PATH)) {
		file_put(f);
		return NULL;
	}
	return f;
}

struct file *
task_call_file(const struct call *c, int fd)
{
	struct task *t = fiber_local();

	return t && c == &t->call ? task_file(t, fd) : NULL;
}

int
task_fd_install(struct task *t, struct file *f, bool cloexec)
{
	return fdtable_install(
		t->files, f, 0, rlimit_cur(&t->tgroup->rlim, LX_RLIMIT_NOFILE), cloexec);
}

int
task_fd_install_put(struct task *t, struct file *f, bool cloexec)
{
	int fd = task_fd_install(t, f, cloexec);

	file_put(f);
	return fd;
}
