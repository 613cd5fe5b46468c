/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic files: a text that is made when reading starts, and kept with the open file so that a
 * reader in small steps sees one state (Linux: fs/seq_file.c). f->priv holds that text, under
 * the inode's dir_lock.
 */
#include "internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_MAX (64u << 10)
#define TABLE_POS                                                                                  \
	(1LL << 32) /* positions of a directory: rows below, dynamic entries from here on */

static bool
sbuf_room(struct sbuf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;
	char *np;

	if (b->failed)
		return false;
	if (n < b->cap - b->len)
		return true;
	while (cap - b->len <= n)
		cap *= 2;
	np = realloc(b->p, cap);
	if (!np) {
		b->failed = true;
		return false;
	}
	b->p = np;
	b->cap = cap;
	return true;
}

void
sbuf_add(struct sbuf *b, const void *p, size_t n)
{
	if (!sbuf_room(b, n))
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = 0;
}

void
sbuf_puts(struct sbuf *b, const char *s)
{
	sbuf_add(b, s, strlen(s));
}

void
sbuf_printf(struct sbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !sbuf_room(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
sbuf_free(struct sbuf *b)
{
	free(b->p);
	*b = (struct sbuf){0};
}

static bool
is_gone(const struct pnode *n)
{
	return n->obj_ops && n->obj_ops->gone && n->obj_ops->gone(n->obj);
}

static void
ctx_of_file(struct file *f, const struct call *c, struct pseudo_ctx *x)
{
	pseudo_ctx_of(f->inode, c, x);
	x->bound = x->row->bind ? ((struct pfile *)f->priv)->bound : 0;
	x->opener = f->cred;
}

/* The text of f, made anew when reading starts at the beginning, but for rows with at_open. The
 * inode's dir_lock is held. */
static int
text_of(struct file *f, const struct call *c, int64_t pos, struct sbuf **ret)
{
	struct pnode *n = pnode_of(f->inode);
	struct pfile *pf = f->priv;
	struct sbuf fresh = {0};
	struct pseudo_ctx x;
	int r;

	if (n->row->at_open || (pf && pf->text.p && pos != 0)) {
		*ret = &pf->text;
		return 0;
	}
	if (!n->row->outlives && is_gone(n))
		return -ESRCH;
	if (!pf && !(pf = calloc(1, sizeof *pf)))
		return -ENOMEM;
	f->priv = pf;
	ctx_of_file(f, c, &x);
	r = n->row->show(&x, &fresh);
	if (!r && fresh.failed)
		r = -ENOMEM;
	if (r) {
		sbuf_free(&fresh);
		return r;
	}
	sbuf_free(&pf->text);
	pf->text = fresh;
	*ret = &pf->text;
	return 0;
}

static ssize_t
file_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pnode *n = pnode_of(f->inode);
	struct pseudo_ctx x;
	struct sbuf *b;
	ssize_t r;

	(void)rwf;
	if (*pos < 0)
		return -EINVAL;
	if (n->row->pread) {
		ctx_of_file(f, c, &x);
		r = n->row->pread(&x, u, *pos);
		if (r > 0)
			*pos += r;
		return r;
	}
	if (!n->row->show)
		return -EINVAL;
	sleeplock_lock(&f->inode->dir_lock);
	r = text_of(f, c, *pos, &b);
	if (!r && (uint64_t)*pos < b->len) {
		r = uio_copy_to(u, b->p + *pos, b->len - (size_t)*pos);
		if (r > 0)
			*pos += r;
	}
	sleeplock_unlock(&f->inode->dir_lock);
	return r;
}

static ssize_t
file_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pnode *n = pnode_of(f->inode);
	size_t len = u->left < WRITE_MAX ? u->left : WRITE_MAX;
	struct pseudo_ctx x;
	char *buf;
	ssize_t r;

	(void)rwf;
	ctx_of_file(f, c, &x);
	if (n->row->pwrite) {
		r = n->row->pwrite(&x, u, *pos);
		if (r > 0)
			*pos += r;
		return r;
	}
	if (!n->row->write)
		return n->row->attr ? -EINVAL : -EIO; /* of a process, or not */
	if (!n->row->outlives && is_gone(n))
		return -ESRCH;
	buf = malloc(len + 1);
	if (!buf)
		return -ENOMEM;
	r = uio_copy_from(u, buf, len);
	if (r >= 0) {
		buf[r] = 0;
		r = n->row->write(&x, buf, (size_t)r, *pos);
		if (r > 0)
			*pos += r;
	}
	free(buf);
	return r;
}

static int64_t
file_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	(void)c;
	/* a generated text has no end to speak of */
	if (whence != LX_SEEK_SET && whence != LX_SEEK_CUR)
		return -EINVAL;
	return file_lseek_sized(f, off, whence, 0, INT64_MAX);
}

static uint32_t
file_poll(struct file *f, struct poll_table *pt)
{
	struct pnode *n = pnode_of(f->inode);
	struct pseudo_ctx x;

	if (!n->row->poll)
		return 0x145; /* IN, OUT, RDNORM, WRNORM */
	pseudo_ctx_of(f->inode, NULL, &x);
	x.bound = n->row->bind ? ((struct pfile *)f->priv)->bound : 0;
	return n->row->poll(&x, f, pt);
}

static void
file_release(struct file *f)
{
	const struct pseudo_row *row = pnode_of(f->inode)->row;
	struct pfile *pf = f->priv;

	if (pf && row->unbind)
		row->unbind(pf->bound);
	if (pf)
		sbuf_free(&pf->text);
	free(pf);
}

const struct file_ops pseudo_file_fops = {
	.read = file_read,
	.write = file_write,
	.lseek = file_lseek,
	.poll = file_poll,
	.release = file_release,
};

const struct file_ops pseudo_unpolled_fops = {
	.read = file_read,
	.write = file_write,
	.lseek = file_lseek,
	.release = file_release,
};

static int
dir_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct pnode *d = pnode_of(f->inode);
	const struct pseudo_row *rows = d->row->rows;
	struct pseudo_ctx x;
	char name[LX_NAME_MAX + 1];
	uint8_t type;
	int64_t at = 2, pos;

	if (is_gone(d))
		return -ENOENT;
	pseudo_ctx_of(f->inode, c, &x);
	if (!file_emit_dots(f, e))
		return 0;
	for (const struct pseudo_row *k = rows; k && k->name; k++, at++) {
		if (at < f->pos || (k->visible && !k->visible(&x)))
			continue;
		if (!e->fn(e, k->name, strlen(k->name),
			    pseudo_ino(f->inode->ino, k->name, strlen(k->name)),
			    (uint8_t)(k->mode >> 12), at + 1))
			return 0;
		f->pos = at + 1;
	}
	if (!d->row->dir || !d->row->dir->next)
		return 0;
	pos = f->pos < TABLE_POS ? 0 : f->pos - TABLE_POS;
	while (d->row->dir->next(&x, &pos, name, sizeof name, &type)) {
		size_t len = strlen(name);

		if (!e->fn(e, name, len, pseudo_ino(f->inode->ino, name, len), type,
			    TABLE_POS + pos + 1))
			return 0;
		pos++;
		f->pos = TABLE_POS + pos;
	}
	return 0;
}

const struct file_ops pseudo_dir_fops = {
	.read = file_read_dir,
	.lseek = file_lseek_dir,
	.iterate = dir_iterate,
};
