/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long reads that the guest's process makes itself: one copy, by its host, instead of one into
 * shared memory and one out of it. The process keeps descriptors, which only read, of the files
 * that it last read so: what it may read it could map, and keep mapped, as well.
 *
 * A thread that has been told to read is a user of the file until its next request: only files
 * without users give way to others, and their owner (contents that are unlinked and closed
 * meanwhile) is kept that long.
 */
#include "platform/trap/internal.h"

enum {
	PIECE = 16 << 20, /* read between two looks at what the sentry wants */
};

/* Which file of the space this is, made one of the users; *ret_new: it is not there yet. -EBUSY: no
 * room. */
static int
file_take(struct plat_space *sp, uint64_t id, bool *ret_new, bool *ret_goes)
{
	static uint64_t clock; /* (L) */
	struct trap_file *f = NULL;

	mutex_lock(&trap.lock);
	*ret_new = true;
	for (int i = 0; i < STUB_NFILES; i++) {
		struct trap_file *o = &sp->files[i];

		if (o->id == id) {
			f = o;
			*ret_new = false;
			break;
		}
		if (!o->users && (!f || o->used < f->used))
			f = o;
	}
	if (f) {
		f->users++;
		f->used = ++clock;
		*ret_goes = f->there;
		if (*ret_new)
			f->id = 0; /* nobody else's until it is there */
	}
	mutex_unlock(&trap.lock);
	return f ? (int)(f - sp->files) : -EBUSY;
}

static void
file_leave(struct plat_space *sp, int i)
{
	mutex_lock(&trap.lock);
	sp->files[i].users--;
	mutex_unlock(&trap.lock);
}

/* The process takes the descriptor. */
static int
file_pass(struct plat_thread *t, int i, const struct plat_file *pf, bool goes)
{
	struct trap_file *f = &t->sp->files[i];
	int fd = pf->fd(pf->owner), r = fd < 0 ? fd : trap_flush(t);

	if (r == 0)
		r = trap_send_fd(t, fd);
	if (r == 0)
		r = (int)trap_op_now(t, STUB_OP_FILE, (uint64_t)i, goes, 0, 0, 0, 0);
	if (r < 0)
		return r;
	mutex_lock(&trap.lock);
	f->id = pf->id;
	f->there = true;
	mutex_unlock(&trap.lock);
	return 0;
}

void
trap_file_release(struct plat_thread *t)
{
	void *owner = t->file_owner;

	if (!owner)
		return;
	t->file_owner = NULL;
	file_leave(t->sp, t->file);
	t->file_put(owner);
}

int
trap_file_out(struct plat_thread *t, uint64_t dst, size_t len, const struct plat_file *f)
{
	bool is_new, goes;
	int i, r;

	if (t->file_owner) { /* a list of buffers: those before have been read */
		if (trap_flush(t) < 0)
			return -EFAULT;
		trap_file_release(t);
	}
	i = file_take(t->sp, f->id, &is_new, &goes);
	if (i < 0)
		return -EOPNOTSUPP;
	if (is_new && (r = file_pass(t, i, f, goes)) < 0) {
		file_leave(t->sp, i);
		return r == -ESRCH ? -EFAULT : -EOPNOTSUPP;
	}
	for (uint64_t at = 0; at < len; at += PIECE) {
		struct stub_op *op;

		op = at && trap_flush(t) < 0 ? NULL : trap_op_new(t, STUB_OP_PREAD);
		if (!op) {
			file_leave(t->sp, i);
			return -EFAULT;
		}
		trap_expect(len - at < PIECE ? len - at : PIECE);
		op->a[0] = dst + at;
		op->a[1] = len - at < PIECE ? len - at : PIECE;
		op->a[2] = f->off + at;
		op->a[3] = (uint64_t)i;
	}
	t->file = (uint8_t)i;
	t->file_owner = f->owner;
	t->file_put = f->put;
	return 0;
}
