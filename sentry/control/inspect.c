/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into the sandbox from outside: its processes, and what stands at a path of a /proc of the
 * sentry's own, which no guest has mounted or can change. Directories give their names, links where
 * they lead, files their text.
 */
#include "internal.h"
#include "sentry/cred/cred.h"
#include "sentry/kernel/container.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (1u << 20)
#define PIECE	 1024 /* stacks of fibers are small */

/* Only the fibers of connections come here, one after the other waits for the other's answer. */
static struct mutex made_lock = MUTEX_INIT(LEAF);
static struct fs_ctx *made_fs;
static struct cred *made_cred;

/* A view of its own: nothing but proc. */
static int
view(struct call *c)
{
	struct mount_request rq = {.source = "proc"};
	struct fs_ctx *fs = NULL;
	struct mnt_ns *ns;
	struct super *sb;
	int r;

	mutex_lock(&made_lock);
	fs = made_fs;
	c->cred = made_cred;
	mutex_unlock(&made_lock);
	c->fs = fs;
	if (fs)
		return 0;
	c->cred = cred_new_root();
	if (!c->cred)
		return -ENOMEM;
	r = fs_mount("proc", c, &rq, &sb);
	if (r == 0) {
		r = mnt_ns_new(sb, 0, &ns);
		super_put(sb);
	}
	if (r == 0) {
		fs = fs_ctx_new(ns);
		mnt_ns_put(ns);
		r = fs ? 0 : -ENOMEM;
	}
	if (r < 0) {
		cred_put((struct cred *)(uintptr_t)c->cred);
		return r;
	}
	mutex_lock(&made_lock);
	if (!made_fs) {
		made_fs = fs;
		made_cred = (struct cred *)(uintptr_t)c->cred;
		fs = NULL;
	}
	c->fs = made_fs;
	mutex_unlock(&made_lock);
	if (fs) { /* another fiber was faster */
		fs_ctx_put(fs);
		cred_put((struct cred *)(uintptr_t)c->cred);
		c->cred = made_cred;
	}
	return 0;
}

struct text {
	struct dir_emit emit;
	char *p;
	size_t len, cap;
};

static bool
add(struct text *t, const char *s, size_t n)
{
	if (t->len + n > TEXT_MAX)
		return false;
	if (t->len + n > t->cap) {
		size_t cap = 2 * (t->len + n) + PIECE;
		char *p = realloc(t->p, cap);

		if (!p)
			return false;
		t->p = p;
		t->cap = cap;
	}
	memcpy(t->p + t->len, s, n);
	t->len += n;
	return true;
}

static bool
add_name(struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next)
{
	struct text *t = container_of(e, struct text, emit);

	(void)ino, (void)type, (void)next;
	return name[0] == '.' || (add(t, name, len) && add(t, "\n", 1));
}

static int
read_dir(const struct call *c, struct file *f, struct text *t)
{
	size_t before;
	int r;

	do {
		before = t->len;
		r = f->ops->iterate ? f->ops->iterate(f, c, &t->emit) : -ENOTDIR;
	} while (r == 0 && t->len > before);
	return r;
}

static int
read_text(const struct call *c, struct file *f, struct text *t)
{
	char buf[PIECE];
	int64_t at = 0;
	ssize_t n;

	while ((n = vfs_read_kernel(f, c, buf, sizeof buf, &at)) > 0)
		if (!add(t, buf, (size_t)n))
			break; /* so much will do */
	return n < 0 ? (int)n : 0;
}

static int
look(const struct call *c, const char *path, struct text *t)
{
	struct open_spec how = {.flags = LX_O_RDONLY};
	struct lx_stat_all st;
	struct path p;
	struct file *f;
	char buf[PIECE];
	int r = vfs_lookup(c, NULL, path, 0, &p);

	if (r < 0)
		return r;
	r = vfs_getattr(c, &p, 0, &st);
	if (r == 0 && (st.mode & LX_S_IFMT) == LX_S_IFLNK) {
		ssize_t n = vfs_readlink(c, &p, buf, sizeof buf);

		r = n < 0 ? (int)n : add(t, buf, (size_t)n) ? 0 : -ENOMEM;
	} else if (r == 0 && (r = vfs_open_path(c, &p, &how, &f)) == 0) {
		r = LX_S_ISDIR(st.mode) ? read_dir(c, f, t) : read_text(c, f, t);
		file_put(f);
	}
	path_put(&p);
	return r;
}

void
control_inspect(struct conn *conn, struct wire_control *w)
{
	Control__Inspect *m = wire_unpack(&control__inspect__descriptor, w->body, w->len);
	Control__Text answer = CONTROL__TEXT__INIT;
	struct text t = {.emit.fn = add_name};
	struct call c = {0};
	char path[256] = "", inside[256] = "", *end = NULL;
	long nr = 0;
	int r = -EPROTO;

	if (m && m->path.len > 0 && m->path.len < sizeof path &&
		!memchr(m->path.data, 0, m->path.len)) {
		memcpy(inside, m->path.data, m->path.len);
		nr = inside[0] == '/' ? strtol(inside + 1, &end, 10) : 0;
		/* Who looks is in no container: numbers are those outside. */
		if (nr > 0 && nr <= INT32_MAX && (*end == '/' || !*end))
			snprintf(path, sizeof path, "/%d%s",
				kernel_container_pid(conn->container->kernel, (int32_t)nr), end);
		else
			memcpy(path, inside, sizeof path);
		r = view(&c);
	}
	if (r == 0)
		r = look(&c, path, &t);
	if (r < 0) {
		conn_fail(conn, r, strerror(-r), false);
	} else {
		answer.text = wire_bytes(t.p, t.len);
		conn_send(conn, CONTROL_TEXT, &answer.base);
	}
	free(t.p);
	if (m)
		control__inspect__free_unpacked(m, NULL);
}

/* --- processes --- */

struct collect {
	Control__ProcessInfo *p;
	size_t n, cap;
	bool failed;
};

static void
collect_one(void *arg, const struct kernel_process_info *in)
{
	struct collect *l = arg;
	Control__ProcessInfo *p;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;

		p = realloc(l->p, cap * sizeof *p);
		if (!p) {
			l->failed = true;
			return;
		}
		l->p = p;
		l->cap = cap;
	}
	p = &l->p[l->n++];
	control__process_info__init(p);
	p->pid = in->pid;
	p->ppid = in->ppid;
	p->host_pid = in->host_pid;
	p->uid = in->uid;
	p->name.data = (uint8_t *)strdup(in->name);
	p->name.len = p->name.data ? strlen(in->name) : 0;
}

void
control_processes(struct conn *c)
{
	Control__ProcessList m = CONTROL__PROCESS_LIST__INIT;
	struct collect l = {0};

	kernel_each_process(c->container->kernel, collect_one, &l);
	m.processes = calloc(l.n + 1, sizeof *m.processes);
	for (size_t i = 0; m.processes && i < l.n; i++)
		m.processes[i] = &l.p[i];
	m.n_processes = l.n;
	if (l.failed || !m.processes)
		conn_fail(c, ENOMEM, "out of memory", false);
	else
		conn_send(c, CONTROL_PROCESS_LIST, &m.base);
	for (size_t i = 0; i < l.n; i++)
		free(l.p[i].name.data);
	free(m.processes);
	free(l.p);
}
