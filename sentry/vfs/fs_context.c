/* SPDX-License-Identifier: Apache-2.0 */
/* The file behind fsopen(2): parameters are collected one by one. Linux counterparts: fs/fsopen.c,
 * fs/fs_context.c. */
#include "sentry/vfs/fs_context.h"
#include "mount_internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX	    8		 /* messages; older ones go */
#define OPTIONS_MAX LX_PAGE_SIZE /* bytes of all parameters together, as mount(2) takes */

enum phase {
	PHASE_PARAMS, /* of a super that is to be made */
	PHASE_MOUNT,  /* it is made */
	PHASE_DONE,   /* it was mounted, or reconfigured: parameters for a change may come */
	PHASE_RECONFIGURE,
	PHASE_FAILED,
};

struct fs_context {
	struct sleeplock lock; /* all below */
	enum phase phase;
	const struct fs_type *type;
	struct super *sb; /* a reference; NULL: not yet */
	char *source;	  /* NULL: not given */
	char *options;	  /* comma-separated, or NULL */
	uint32_t ms_set, ms_clear;
	char *log[LOG_MAX]; /* malloc'd */
	unsigned nlog;
};

static void
params_reset(struct fs_context *x)
{
	free(x->source);
	free(x->options);
	x->source = x->options = NULL;
	x->ms_set = x->ms_clear = 0;
}

static void
context_free(struct fs_context *x)
{
	params_reset(x);
	for (unsigned i = 0; i < x->nlog; i++)
		free(x->log[i]);
	super_put(x->sb);
	free(x);
}

static void
context_release(struct file *f)
{
	context_free(f->priv);
}

/* What is lost for want of memory is a message. */
static int __attribute__((format(printf, 3, 4)))
complain(struct fs_context *x, int r, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return r;
	if (x->nlog == LOG_MAX) {
		free(x->log[0]);
		memmove(x->log, x->log + 1, (LOG_MAX - 1) * sizeof x->log[0]);
		x->nlog--;
	}
	x->log[x->nlog++] = text;
	return r;
}

static ssize_t
context_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fs_context *x = f->priv;
	char *text;
	ssize_t n;

	(void)c;
	(void)pos;
	(void)rwf;
	sleeplock_lock(&x->lock);
	if (!x->nlog) {
		sleeplock_unlock(&x->lock);
		return -ENODATA;
	}
	text = x->log[0];
	memmove(x->log, x->log + 1, --x->nlog * sizeof x->log[0]);
	sleeplock_unlock(&x->lock);
	n = (ssize_t)strlen(text);
	n = n > (ssize_t)u->left ? -EMSGSIZE : uio_copy_to(u, text, (size_t)n);
	free(text);
	return n;
}

static const struct file_ops context_ops = {.release = context_release, .read = context_read};

static int
context_new(const struct fs_type *type, struct super *sb, struct file **ret)
{
	struct fs_context *x = calloc(1, sizeof *x);
	int r;

	if (!x)
		return -ENOMEM;
	sleeplock_init(&x->lock);
	x->type = type;
	x->sb = sb ? super_get(sb) : NULL;
	x->phase = sb ? PHASE_RECONFIGURE : PHASE_PARAMS;
	r = file_new_anon(&context_ops, x, "anon_inode:[fscontext]", 0600, LX_O_RDWR, ret);
	if (r)
		context_free(x);
	return r;
}

int
fs_context_open(const char *type, struct file **ret)
{
	const char *subtype; /* Linux passes over it here */
	struct fs_type *t = fs_type_named(type, &subtype);

	if (!t || (t->flags & FS_TYPE_INTERNAL))
		return -ENODEV;
	return context_new(t, NULL, ret);
}

int
fs_context_pick(const struct path *p, struct file **ret)
{
	if (p->dentry != p->mnt->root)
		return -EINVAL;
	return context_new(p->mnt->sb->type, p->mnt->sb, ret);
}

/* The generic flags of a super. */
static bool
set_super_flag(struct fs_context *x, const char *key)
{
	static const struct {
		const char *name;
		uint32_t set, clear;
	} flags[] = {{"ro", LX_MS_RDONLY, 0}, {"rw", 0, LX_MS_RDONLY},
		{"sync", LX_MS_SYNCHRONOUS, 0}, {"async", 0, LX_MS_SYNCHRONOUS},
		{"dirsync", LX_MS_DIRSYNC, 0}, {"lazytime", LX_MS_LAZYTIME, 0},
		{"nolazytime", 0, LX_MS_LAZYTIME}, {"mand", LX_MS_MANDLOCK, 0},
		{"nomand", 0, LX_MS_MANDLOCK}};

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		if (strcmp(key, flags[i].name) != 0)
			continue;
		x->ms_set = (x->ms_set & ~flags[i].clear) | flags[i].set;
		x->ms_clear = (x->ms_clear & ~flags[i].set) | flags[i].clear;
		return true;
	}
	return false;
}

static int
set_source(struct fs_context *x, const char *value)
{
	if (!value)
		return complain(x, -EINVAL, "e %s: Non-string source\n", x->type->name);
	if (x->source)
		return complain(x, -EINVAL, "e %s: Multiple sources\n", x->type->name);
	x->source = strdup(value);
	return x->source ? 0 : -ENOMEM;
}

/* A comma would make two options of it. */
static int
add_option(struct fs_context *x, const char *key, const char *value)
{
	size_t old = x->options ? strlen(x->options) : 0;
	char *text;
	int n;

	if (strpbrk(key, ",=") || (value && strchr(value, ',')))
		return -EINVAL;
	if (!x->type->check || x->type->check(key, value))
		return complain(x, -EINVAL, "e %s: Unknown parameter or bad value '%s'\n",
			x->type->name, key);
	n = asprintf(&text, "%s%s%s%s%s", old ? x->options : "", old ? "," : "", key,
		value ? "=" : "", value ? value : "");
	if (n < 0)
		return -ENOMEM;
	if ((size_t)n >= OPTIONS_MAX) {
		free(text);
		return -EINVAL;
	}
	free(x->options);
	x->options = text;
	return 0;
}

static struct fs_context *
context_of(struct file *f)
{
	return f->ops == &context_ops ? f->priv : NULL;
}

/* After a mount or a change, what comes next is about another change. */
static void
begin_again(struct fs_context *x)
{
	if (x->phase == PHASE_DONE)
		x->phase = PHASE_RECONFIGURE;
}

static bool
takes_params(const struct fs_context *x)
{
	return x->phase == PHASE_PARAMS || x->phase == PHASE_RECONFIGURE;
}

int
fs_context_set(struct file *f, const char *key, const char *value)
{
	struct fs_context *x = context_of(f);
	int r = 0;

	if (!x)
		return -EINVAL;
	sleeplock_lock(&x->lock);
	begin_again(x);
	if (!takes_params(x))
		r = -EBUSY;
	else if (!set_super_flag(x, key))
		r = strcmp(key, "source") == 0 ? set_source(x, value) : add_option(x, key, value);
	sleeplock_unlock(&x->lock);
	return r;
}

int
fs_context_refuse(struct file *f, const char *key)
{
	struct fs_context *x = context_of(f);
	int r;

	if (!x)
		return -EINVAL;
	sleeplock_lock(&x->lock);
	begin_again(x);
	r = takes_params(x)
		    ? complain(x, -EINVAL, "e %s: Unknown parameter '%s'\n", x->type->name, key)
		    : -EBUSY;
	sleeplock_unlock(&x->lock);
	return r;
}

int
fs_context_create(struct file *f, const struct call *c, bool excl)
{
	struct fs_context *x = context_of(f);
	struct mount_request rq;
	int r;

	if (!x)
		return -EINVAL;
	sleeplock_lock(&x->lock);
	begin_again(x);
	if (x->phase != PHASE_PARAMS) {
		r = -EBUSY;
	} else if (excl && (x->type->flags & FS_TYPE_ONE_SUPER)) {
		r = -EBUSY;
		x->phase = PHASE_FAILED;
	} else {
		rq = (struct mount_request){x->source, x->options, x->ms_set, NULL, NULL};
		r = mnt_new_super(c, x->type->name, &rq, &x->sb);
		x->phase = r ? PHASE_FAILED : PHASE_MOUNT;
		if (r == -EPERM)
			x->phase = PHASE_PARAMS; /* it was not begun */
	}
	sleeplock_unlock(&x->lock);
	return r;
}

int
fs_context_reconfigure(struct file *f, const struct call *c)
{
	struct fs_context *x = context_of(f);
	uint32_t ms;
	int r;

	if (!x)
		return -EINVAL;
	sleeplock_lock(&x->lock);
	begin_again(x);
	if (x->phase != PHASE_RECONFIGURE) {
		r = -EBUSY;
	} else {
		ms = atomic_load(&x->sb->flags) & SUPER_RDONLY ? LX_MS_RDONLY : 0;
		ms = (ms & ~x->ms_clear) | x->ms_set;
		r = mnt_reconfigure(c, x->sb, ms, x->options);
		params_reset(x);
		x->phase = r ? PHASE_FAILED : PHASE_DONE;
		if (r == -EPERM)
			x->phase = PHASE_RECONFIGURE;
	}
	sleeplock_unlock(&x->lock);
	return r;
}

int
fs_context_mount(struct file *f, const struct call *c, uint32_t mnt_flags, struct mount **ret)
{
	struct fs_context *x = context_of(f);
	int r;

	if (!x)
		return -EINVAL;
	sleeplock_lock(&x->lock);
	if (!x->sb)
		r = -EINVAL;
	else if (mnt_reveals(c, x->type, &mnt_flags))
		r = -EPERM;
	else if (x->phase != PHASE_MOUNT)
		r = -EBUSY;
	else
		r = mnt_new_detached(x->sb, mnt_flags, ret);
	if (!r) {
		params_reset(x);
		x->phase = PHASE_DONE;
	}
	sleeplock_unlock(&x->lock);
	return r;
}
