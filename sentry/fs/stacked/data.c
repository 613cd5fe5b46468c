/* SPDX-License-Identifier: Apache-2.0 */
/* Contents that are those of a file below. */
#include "sentry/fs/stacked.h"
#include "sentry/mm/mappable.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COPY_CHUNK (256u << 10)

static bool
all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

static ssize_t
page_end(ssize_t at, ssize_t n)
{
	return n - at < 4096 ? n : at + 4096;
}

int
stacked_copy(struct file *from, struct file *to, const struct call *c, int64_t size)
{
	char *buf = malloc(COPY_CHUNK);
	int64_t pos = 0;
	int r = buf ? 0 : -ENOMEM;

	while (!r && pos < size) {
		size_t want = size - pos < COPY_CHUNK ? (size_t)(size - pos) : COPY_CHUNK;
		int64_t at = pos;
		ssize_t n = vfs_read_kernel(from, c, buf, want, &pos);

		if (n < 0)
			r = (int)n;
		if (n <= 0)
			break;
		/* what was a hole, or might have been, stays one */
		for (ssize_t k = 0, end; !r && k < n; k = end) {
			int64_t wpos = at + k;
			ssize_t w;

			end = page_end(k, n);
			if (all_zero(buf + k, (size_t)(end - k)))
				continue;
			while (end < n && !all_zero(buf + end, (size_t)(page_end(end, n) - end)))
				end = page_end(end, n);
			w = vfs_write_kernel(to, c, buf + k, (size_t)(end - k), &wpos);
			if (w != end - k)
				r = w < 0 ? (int)w : -ENOSPC;
		}
	}
	free(buf);
	return r;
}

/* --- open files --- */

struct file *
stacked_keep(_Atomic(struct file *) *place, struct file *f)
{
	struct file *none = NULL;

	if (atomic_compare_exchange_strong(place, &none, f))
		return f;
	file_put(f);
	return none;
}

void
stacked_release(struct file *f)
{
	struct stacked_file *s = f->priv;

	file_put(atomic_load(&s->lower));
	file_put(atomic_load(&s->upper));
	free(s);
}

void
stacked_sync_size(struct inode *i, const struct inode *real)
{
	mutex_lock(&i->lock);
	inode_store(i->size, inode_load(real->size));
	mutex_unlock(&i->lock);
}

/* --- mapping --- */

struct mapped {
	struct mappable m, *real;
};

static int
map_fd(struct mappable *m, int prot, bool shared)
{
	struct mappable *real = container_of(m, struct mapped, m)->real;

	return real->ops->host_fd(real, prot, shared);
}

static void
map_release(struct mappable *m)
{
	struct mapped *o = container_of(m, struct mapped, m);

	if (ref_put(&o->real->ref))
		o->real->ops->release(o->real);
	file_put(m->file);
	free(o);
}

static const struct mappable_ops map_ops = {.host_fd = map_fd, .release = map_release};

int
stacked_mappable(struct file *f, struct file *real, const struct call *c, int prot, bool shared,
	struct mappable **ret)
{
	struct mapped *o;
	int r;

	if (!real->ops->mappable)
		return -ENODEV;
	o = calloc(1, sizeof *o);
	if (!o)
		return -ENOMEM;
	r = real->ops->mappable(real, c, prot, shared, &o->real);
	if (r) {
		free(o);
		return r;
	}
	ref_init(&o->m.ref);
	o->m.ops = &map_ops;
	o->m.file = file_get(f);
	o->m.memory = o->real->memory;
	*ret = &o->m;
	return 0;
}
