/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of mounts, in the order in which the launcher lists them: the root first, each of the
 * others on its target inside, which is made if it is missing. Runs in a fiber, before the first
 * process.
 */
#include "base/log.h"
#include "internal.h"
#include "sentry/control/control.h"
#include "sentry/control/process.h"
#include "sentry/fs/gofer.h"
#include "sentry/fs/overlay.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/vfs/path.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What failed, for the launcher: empty at first. */
struct failure {
	char text[256];
};

static const char *const type_names[] = {
	[CONTROL__MOUNT__KIND__GOFER] = "gofer",
	[CONTROL__MOUNT__KIND__TMPFS] = "tmpfs",
	[CONTROL__MOUNT__KIND__PROC] = "proc",
	[CONTROL__MOUNT__KIND__SYSFS] = "sysfs",
	[CONTROL__MOUNT__KIND__DEVTMPFS] = "devtmpfs",
	[CONTROL__MOUNT__KIND__DEVPTS] = "devpts",
	[CONTROL__MOUNT__KIND__MQUEUE] = "mqueue",
	[CONTROL__MOUNT__KIND__CGROUP] = "cgroup2",
	[CONTROL__MOUNT__KIND__VIRTUAL] = "gofer",
};

static int
make_super(const struct container_conns *conns, const Control__Mount *m, const struct call *c,
	struct super **ret)
{
	struct gofer_mount gm = {.conn = conns->gofer,
		.export = m->export,
		.shared = m->shared && !m->overlay,
		.relaxed = m->target.len == 1}; /* the root, which others change rarely */
	char *source = control_text(&m->source), *options = control_text(&m->data);
	struct mount_request rq = {.source = source, .options = options, .ms_flags = m->flags};
	struct super *lower;
	int r = -ENODEV;

	if (m->kind == CONTROL__MOUNT__KIND__VIRTUAL)
		gm = (struct gofer_mount){.conn = conns->virtual[m->export],
			.shared = !m->overlay,
			.relaxed = m->valid_ms > 0,
			.relax_ns = m->valid_ms * 1000000ll,
			.virtual = true};
	if (m->kind == CONTROL__MOUNT__KIND__GOFER || m->kind == CONTROL__MOUNT__KIND__VIRTUAL) {
		rq.priv = &gm;
		rq.options = NULL;
	}
	if ((size_t)m->kind < sizeof type_names / sizeof type_names[0])
		r = fs_mount(type_names[m->kind], c, &rq, ret);
	if (r == 0 && m->overlay) {
		lower = *ret;
		r = overlay_new(c, lower, NULL, ret);
		super_put(lower);
	}
	free(source);
	free(options);
	return r;
}

static int
find_target(const struct call *c, const char *target, bool file, struct path *ret)
{
	int r = vfs_lookup(c, NULL, target, LOOKUP_FOLLOW, ret);

	if (r != -ENOENT)
		return r;
	r = control_make_path(c, target, file);
	return r < 0 ? r : vfs_lookup(c, NULL, target, LOOKUP_FOLLOW, ret);
}

/* A mount that begins with what it covers. */
static int
fill(const struct call *c, const Control__Mount *m, const char *target, const struct path *below)
{
	struct path top;
	int r = vfs_lookup(c, NULL, target, LOOKUP_FOLLOW, &top);

	if (r < 0)
		return r;
	r = boot_copy_up(c, below, &top);
	if (r == 0 && (m->flags & MNT_RDONLY))
		r = mnt_remount(&top, c, m->flags & MNT_FLAGS_USER, 0, NULL, true);
	path_put(&top);
	return r;
}

static int
add_mount(const struct container_conns *conns, const struct call *c, const Control__Mount *m,
	struct failure *why)
{
	char *target = control_text(&m->target);
	struct super *sb = NULL;
	struct path on;
	int r;

	if (!target)
		return -ENOMEM;
	r = make_super(conns, m, c, &sb);
	if (r == 0) {
		r = find_target(c, target, m->file, &on);
		if (r == 0) {
			/* Writable while it is filled. */
			r = mnt_attach_super(&on, sb,
				m->flags & MNT_FLAGS_USER &
					~(m->copy_up ? (uint32_t)MNT_RDONLY : 0));
			if (r == 0 && m->copy_up)
				r = fill(c, m, target, &on);
			path_put(&on);
		}
		super_put(sb);
	}
	if (r == -ENODEV && m->kind == CONTROL__MOUNT__KIND__MQUEUE) {
		log_warn("no file system %s: %s stays as it is", type_names[m->kind], target);
		r = 0;
	}
	if (r < 0)
		snprintf(why->text, sizeof why->text, "cannot mount %s at %s: %s",
			type_names[m->kind], target, strerror(-r));
	free(target);
	return r;
}

/* A node as the list has it, whatever stood there before. */
static int
add_device(const struct call *c, const Control__Device *d, const char *path)
{
	struct iattr a = {.valid = IATTR_MODE | IATTR_UID | IATTR_GID,
		.mode = d->mode & LX_S_IALLUGO,
		.uid = d->uid,
		.gid = d->gid};
	uint32_t dev = LX_MKDEV(d->major, d->minor);
	struct lx_stat_all st;
	struct path p;
	char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
	int r;

	if (!dir)
		return -ENOMEM;
	*slash = 0;
	r = *dir ? control_make_path(c, dir, false) : 0;
	free(dir);
	if (r == 0)
		r = vfs_mknod(c, NULL, path, d->mode & (LX_S_IFMT | LX_S_IALLUGO), dev);
	if (r < 0 && r != -EEXIST)
		return r;
	r = vfs_lookup(c, NULL, path, 0, &p);
	if (r < 0)
		return r;
	r = vfs_getattr(c, &p, 0, &st);
	if (r == 0 && ((st.mode ^ d->mode) & LX_S_IFMT ||
			      ((d->mode & LX_S_IFMT) != LX_S_IFIFO && st.rdev != dev)))
		r = -EEXIST;
	if (r == 0)
		r = vfs_setattr(c, &p, &a);
	path_put(&p);
	return r;
}

static int
add_devices(const struct call *c, const Control__Start *m, struct failure *why)
{
	int r = 0;

	for (size_t i = 0; i < m->n_devices && r == 0; i++) {
		char *path = control_text(&m->devices[i]->path);

		r = path ? add_device(c, m->devices[i], path) : -ENOMEM;
		if (r < 0 && path)
			snprintf(why->text, sizeof why->text, "cannot make the device %s: %s", path,
				strerror(-r));
		free(path);
	}
	return r;
}

/* Cover a path: /dev/null over a file, an empty read-only directory over a directory. Missing:
 * nothing to do. */
static int
mask(const struct call *c, const char *path)
{
	struct path on, null;
	struct super *sb;
	int r = vfs_lookup(c, NULL, path, LOOKUP_FOLLOW, &on);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r;
	if (inode_is_dir(on.dentry->inode)) {
		r = tmpfs_new(c, "size=0,mode=755", &sb);
		if (r == 0) {
			r = mnt_attach_super(
				&on, sb, MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC);
			super_put(sb);
		}
	} else {
		r = vfs_lookup(c, NULL, "/dev/null", LOOKUP_FOLLOW, &null);
		if (r == 0) {
			r = mnt_bind(&null, &on, false);
			path_put(&null);
		}
	}
	path_put(&on);
	return r;
}

static int
make_readonly(const struct call *c, const char *path)
{
	struct path p;
	int r = vfs_lookup(c, NULL, path, LOOKUP_FOLLOW, &p);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r;
	r = mnt_bind(&p, &p, true);
	path_put(&p);
	if (r < 0 || (r = vfs_lookup(c, NULL, path, LOOKUP_FOLLOW, &p)) < 0)
		return r;
	r = mnt_remount(
		&p, c, (atomic_load(&p.mnt->flags) & MNT_FLAGS_USER) | MNT_RDONLY, 0, NULL, true);
	path_put(&p);
	return r;
}

static int
each_path(const struct call *c, const ProtobufCBinaryData *b, size_t n,
	int (*fn)(const struct call *, const char *), struct failure *why)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		char *s = control_text(&b[i]);

		r = s ? fn(c, s) : 0;
		if (r < 0)
			snprintf(why->text, sizeof why->text, "cannot mask or protect %s: %s", s,
				strerror(-r));
		free(s);
	}
	return r;
}

/* Here, because the root may become read-only. */
static int
make_cwd(const struct call *c, const Control__Process *p)
{
	char *cwd = control_text(&p->cwd);
	int r = -ENOMEM;
	struct path at;

	if (cwd)
		r = vfs_lookup(c, NULL, cwd, LOOKUP_FOLLOW, &at);
	if (r == 0)
		path_put(&at);
	else if (r == -ENOENT)
		r = control_make_path(c, cwd, false);
	free(cwd);
	/* What is wrong with it, the process says when it enters it. */
	return r == -ENOMEM ? r : 0;
}

/* As peers of each other inside; what is covered by then stays private. */
static int
propagate(const struct call *c, const Control__Mount *m, struct failure *why)
{
	char *target = control_text(&m->target);
	struct path at;
	int r = target ? vfs_lookup(c, NULL, target, LOOKUP_FOLLOW, &at) : -ENOMEM;

	if (r == 0) {
		r = mnt_set_propagation(
			&at, m->propagation & ~(uint32_t)LX_MS_REC, m->propagation & LX_MS_REC);
		path_put(&at);
	}
	if (r < 0 && target)
		snprintf(why->text, sizeof why->text, "cannot set the propagation of %s: %s",
			target, strerror(-r));
	free(target);
	return r;
}

static int
build(const Control__Start *m, const struct container_conns *conns, const struct call *c,
	struct fs_ctx **ret, struct failure *why)
{
	struct call in = *c;
	struct mnt_ns *ns;
	struct super *sb;
	struct fs_ctx *fs;
	struct path root;
	int r = make_super(conns, m->mounts[0], c, &sb);

	if (r < 0)
		return r;
	r = mnt_ns_new(sb, m->mounts[0]->flags & MNT_FLAGS_USER & ~(uint32_t)MNT_RDONLY, &ns);
	super_put(sb);
	if (r < 0)
		return r;
	fs = fs_ctx_new(ns);
	mnt_ns_put(ns);
	if (!fs)
		return -ENOMEM;
	in.fs = fs;
	for (size_t i = 1; i < m->n_mounts && r == 0; i++) {
		r = add_mount(conns, &in, m->mounts[i], why);
	}
	if (r == 0)
		r = add_devices(&in, m, why);
	if (r == 0)
		r = each_path(&in, m->masked_paths, m->n_masked_paths, mask, why);
	if (r == 0)
		r = each_path(&in, m->readonly_paths, m->n_readonly_paths, make_readonly, why);
	if (r == 0 && m->process->make_cwd)
		r = make_cwd(&in, m->process);
	if (r == 0 && m->root_readonly) {
		fs_ctx_root(fs, &root);
		r = mnt_remount(&root, &in, (m->mounts[0]->flags & MNT_FLAGS_USER) | MNT_RDONLY, 0,
			NULL, true);
		path_put(&root);
	}
	for (size_t i = m->n_mounts; i-- > 0 && r == 0;)
		if (m->mounts[i]->propagation)
			r = propagate(&in, m->mounts[i], why);
	if (r < 0) {
		fs_ctx_put(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

int
boot_mounts(const Control__Start *m, const struct container_conns *conns, const struct call *c,
	struct fs_ctx **ret, char *why, size_t cap)
{
	struct failure f = {""};
	int r = build(m, conns, c, ret, &f);

	if (r < 0 && f.text[0])
		snprintf(why, cap, "%s", f.text);
	else if (r < 0)
		snprintf(why, cap, "cannot build the file tree: %s", strerror(-r));
	return r;
}
