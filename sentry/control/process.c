/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that comes from outside: the first one, or another that a client adds. Its streams are
 * descriptors of the host. A terminal among them is shown in the guest's devpts and opened there,
 * so that its name, its number and what a descriptor says of it agree.
 */
#include "sentry/control/process.h"
#include "abi/sched.h"
#include "base/log.h"
#include "platform/host/fdstat.h"
#include "platform/host/file.h"
#include "sentry/control/control.h"
#include "sentry/fs/dev.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/tty.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/passed.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/sched/sched.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/path.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MORE 64

bool
control_text_ok(const ProtobufCBinaryData *b)
{
	return !b->len || !memchr(b->data, 0, b->len);
}

bool
control_texts_ok(const ProtobufCBinaryData *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!control_text_ok(&b[i]))
			return false;
	return n <= CONTROL_LIST_MAX;
}

static bool
schedule_ok(const Control__Process *p)
{
	bool rt = p->sched_policy == LX_SCHED_FIFO || p->sched_policy == LX_SCHED_RR;

	return (rt ? p->sched_priority >= 1 && p->sched_priority <= 99
		   : p->sched_priority == 0 && (p->sched_policy == LX_SCHED_OTHER ||
						       p->sched_policy == LX_SCHED_BATCH ||
						       p->sched_policy == LX_SCHED_IDLE)) &&
	       (!p->has_nice || (p->nice >= -20 && p->nice <= 19)) && p->ioprio < 4u << 13 &&
	       ((p->personality & LX_PER_MASK) == LX_PER_LINUX ||
		       (p->personality & LX_PER_MASK) == LX_PER_LINUX32);
}

bool
process_ok(const Control__Process *p)
{
	return p && p->n_args > 0 && control_texts_ok(p->args, p->n_args) &&
	       control_texts_ok(p->env, p->n_env) && p->n_groups <= LX_NGROUPS_MAX &&
	       p->n_rlimits <= 64 && control_text_ok(&p->cwd) && p->cwd.len > 0 &&
	       p->cwd.data[0] == '/' && p->seccomp_bpf.len % 8 == 0 &&
	       (!p->seccomp_listener || p->seccomp_bpf.len) && schedule_ok(p);
}

bool
process_fds_ok(const Control__Process *p, uint32_t n)
{
	return n <= MAX_MORE && n >= (p->seccomp_listener ? 1u : 0u);
}

bool
control_start_ok(const Control__Start *m)
{
	if (!process_ok(m->process) || !process_fds_ok(m->process, m->n_extra_fds) ||
		!control_texts_ok(m->masked_paths, m->n_masked_paths) ||
		!control_texts_ok(m->readonly_paths, m->n_readonly_paths) ||
		!control_texts_ok(m->sysctls, m->n_sysctls) || m->n_mounts == 0 ||
		m->n_mounts > CONTROL_LIST_MAX || m->n_virtual > CONTROL_VIRTUAL_MAX)
		return false;
	if (!control_text_ok(&m->hostname) || !control_text_ok(&m->domainname) ||
		m->hostname.len > 64 || m->domainname.len > 64)
		return false;
	for (size_t i = 0; i < m->n_mounts; i++) {
		const Control__Mount *mnt = m->mounts[i];

		if (!control_text_ok(&mnt->target) || !control_text_ok(&mnt->data) ||
			!control_text_ok(&mnt->source) || mnt->target.len == 0 ||
			mnt->target.data[0] != '/' ||
			(mnt->kind == CONTROL__MOUNT__KIND__VIRTUAL && mnt->export >= m->n_virtual))
			return false;
	}
	for (size_t i = 0; i < m->n_devices; i++) {
		const Control__Device *d = m->devices[i];

		if (!control_text_ok(&d->path) || d->path.len == 0 || d->path.data[0] != '/' ||
			((d->mode & LX_S_IFMT) != LX_S_IFCHR &&
				(d->mode & LX_S_IFMT) != LX_S_IFBLK &&
				(d->mode & LX_S_IFMT) != LX_S_IFIFO) ||
			d->major > 0xfff || d->minor > 0xfffff)
			return false;
	}
	return m->n_devices <= CONTROL_LIST_MAX;
}

char *
control_text(const ProtobufCBinaryData *b)
{
	return b->len ? strndup((const char *)b->data, b->len) : NULL;
}

/* The folder name in *at becomes *at; it is made if it is missing. */
static int
make_step(const struct call *c, struct path *at, const char *name)
{
	struct path next;
	int r = vfs_lookup(c, at, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &next);

	if (r == -ENOENT) {
		r = vfs_mkdir(c, at, name, 0755);
		if (r == 0 || r == -EEXIST)
			r = vfs_lookup(c, at, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &next);
	}
	if (r == 0) {
		path_put(at);
		*at = next;
	}
	return r;
}

int
control_make_path(const struct call *c, const char *path, bool file)
{
	char *p = strdup(path), *name, *save = NULL, *following;
	struct path at;
	int r = p ? vfs_lookup(c, NULL, "/", LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &at) : -ENOMEM;

	if (r < 0) {
		free(p);
		return r;
	}
	/* From folder to folder: the whole path each time would take a second where it is long. */
	for (name = strtok_r(p, "/", &save); name && r == 0; name = following) {
		following = strtok_r(NULL, "/", &save);
		if (following || !file) {
			r = make_step(c, &at, name);
			continue;
		}
		r = vfs_mknod(c, &at, name, LX_S_IFREG | 0644, 0);
		if (r == -EEXIST)
			r = 0;
	}
	path_put(&at);
	free(p);
	return r == -EROFS ? 0 : r;
}

static int
fail(struct process_fail *why, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	why->err = -r;
	return r;
}

/* A list of texts as a NULL-terminated array of strings. */
static char **
strings(const ProtobufCBinaryData *b, size_t n)
{
	char **v = calloc(n + 1, sizeof *v);

	for (size_t i = 0; v && i < n; i++)
		v[i] = strndup((const char *)b[i].data, b[i].len);
	return v;
}

static bool
strings_whole(char *const *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		if (!v[i])
			return false;
	return v != NULL;
}

static void
strings_drop(char **v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		free(v[i]);
	free(v);
}

static struct cred *
make_cred(const Control__Process *p)
{
	struct cred *c = cred_new_root();

	if (!c)
		return NULL;
	c->uid = c->euid = c->suid = c->fsuid = p->uid;
	c->gid = c->egid = c->sgid = c->fsgid = p->gid;
	c->cap_effective = p->cap_effective & LX_CAP_ALL;
	c->cap_permitted = p->cap_permitted & LX_CAP_ALL;
	c->cap_inheritable = p->cap_inheritable & LX_CAP_ALL;
	c->cap_bounding = p->cap_bounding & LX_CAP_ALL;
	c->cap_ambient = p->cap_ambient & LX_CAP_ALL;
	c->no_new_privs = p->no_new_privs;
	if (cred_set_groups(c, p->groups, (uint32_t)p->n_groups) < 0) {
		cred_put(c);
		return NULL;
	}
	return c;
}

static void
make_rlimits(const Control__Process *p, uint64_t file_limit, struct rlimits *r)
{
	for (int i = 0; i < LX_RLIM_NLIMITS; i++)
		r->r[i] = (struct lx_rlimit64){LX_RLIM_INFINITY, LX_RLIM_INFINITY};
	for (size_t i = 0; i < p->n_rlimits; i++)
		if (p->rlimits[i]->type < LX_RLIM_NLIMITS)
			r->r[p->rlimits[i]->type] =
				(struct lx_rlimit64){p->rlimits[i]->cur, p->rlimits[i]->max};
	if (file_limit && r->r[LX_RLIMIT_FSIZE].cur > file_limit)
		r->r[LX_RLIMIT_FSIZE].cur = file_limit;
	if (file_limit && r->r[LX_RLIMIT_FSIZE].max > file_limit)
		r->r[LX_RLIMIT_FSIZE].max = file_limit;
}

static bool
any_cpu(const Control__Process *p)
{
	uint8_t online[128];

	sched_online_cpus(online, sizeof online);
	for (size_t i = 0; i < p->cpus.len && i < sizeof online; i++)
		if (p->cpus.data[i] & online[i])
			return true;
	return false;
}

static int
enter_cwd(const Control__Process *p, const struct call *c)
{
	char *cwd = control_text(&p->cwd);
	struct path at;
	int r = cwd ? vfs_lookup(c, NULL, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &at) : -ENOMEM;

	if (r == -ENOENT && p->make_cwd) {
		r = control_make_path(c, cwd, false);
		if (r == 0)
			r = vfs_lookup(c, NULL, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &at);
	}
	if (r == 0) {
		fs_ctx_set_cwd(c->fs, &at);
		path_put(&at);
	}
	free(cwd);
	return r;
}

/* The terminal that *f is, as a file of /dev/pts; stays as it is where that cannot be. */
static void
show_terminal(const struct call *c, uint32_t uid, struct file **f)
{
	struct open_spec how = {.flags = LX_O_RDWR | LX_O_NOCTTY};
	struct file *opened;
	struct path pts;
	char name[32];
	int r;

	if (vfs_lookup(c, NULL, "/dev/pts", LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &pts) < 0)
		return;
	r = hostfile_show_tty(*f, c, pts.dentry->sb, uid);
	path_put(&pts);
	if (r < 0) {
		log_info("the terminal is not shown in /dev/pts: %s", strerror(-r));
		return;
	}
	snprintf(name, sizeof name, "/dev/pts/%d", r);
	r = vfs_open(c, NULL, name, &how, &opened);
	if (r < 0) {
		log_warn("cannot open %s: %s", name, strerror(-r));
		return;
	}
	file_put(*f);
	*f = opened;
}

static int
open_streams(const Control__Process *p, const struct call *c, const int *fds,
	struct kernel_process *kp, struct tty **ret_tty, struct process_fail *why)
{
	static const uint32_t dirs[3] = {LX_O_RDWR, LX_O_WRONLY, LX_O_WRONLY};
	bool master, taken[3] = {false};
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		struct tty *t;

		if (fds[i] < 0)
			continue;
		r = hostfile_new(fds[i], dirs[i], &kp->stdio[i]);
		if (r < 0) {
			fail(why, r, "standard stream %d: %s", i, strerror(-r));
			break;
		}
		taken[i] = true;
		t = tty_of_file(kp->stdio[i], &master);
		if (!t) {
			/* Whoever it is that runs may open /dev/stdout, as with runc, which gives
			 * the host's file to him; here it is only shown so. */
			if (!LX_S_ISCHR(inode_mode(kp->stdio[i]->inode)))
				kp->stdio[i]->inode->uid = p->uid;
			continue;
		}
		show_terminal(c, p->uid, &kp->stdio[i]);
		if (!*ret_tty && p->terminal)
			*ret_tty = tty_get(t);
	}
	for (int i = 0; i < 3; i++)
		if (!taken[i])
			host_fd_close(fds[i]);
	return r;
}

/* Descriptors 3, 4, ...: what the caller passes on. */
static int
open_more(const struct call *c, const int *fds, int n, struct kernel_process *kp,
	struct file **more, struct process_fail *why)
{
	int r = 0;

	kp->more = more;
	for (int i = 0; i < n; i++) {
		if (r < 0) {
			host_fd_close(fds[i]);
			continue;
		}
		r = passed_file(c, fds[i], &more[kp->nmore]);
		kp->nmore += r == 0;
	}
	return r < 0 ? fail(why, r, "preserved descriptors: %s", strerror(-r)) : 0;
}

static void
drop_streams(struct kernel_process *kp)
{
	for (int i = 0; i < 3; i++)
		if (kp->stdio[i])
			file_put(kp->stdio[i]);
	for (int i = 0; i < kp->nmore; i++)
		file_put(kp->more[i]);
}

int
process_start(const Control__Process *p, struct fs_ctx *fs, const int *fds, int nmore,
	struct kernel_process *kp, int32_t *ret_pid, struct tty **ret_tty, struct process_fail *why)
{
	char **argv = strings(p->args, p->n_args), **envp = strings(p->env, p->n_env);
	struct cred *root = cred_new_root(), *cred = make_cred(p);
	struct call c = {.cred = root, .fs = fs};
	struct seccomp_program filter = {(const void *)p->seccomp_bpf.data,
		p->seccomp_bpf.len / sizeof(struct lx_sock_filter),
		p->seccomp_log ? LX_SECCOMP_FILTER_FLAG_LOG : 0, -1};
	struct file *more[MAX_MORE];
	int r;

	*ret_tty = NULL;
	if (p->seccomp_listener)
		filter.listener = fds[3 + --nmore];
	assert_that(nmore <= MAX_MORE);
	kernel_container_call(kp->container, &c);
	/* The descriptors are consumed first, whatever fails. */
	r = root ? open_streams(p, &c, fds, kp, ret_tty, why) : -ENOMEM;
	if (root) {
		int r2 = open_more(&c, fds + 3, nmore, kp, more, why);

		r = r ? r : r2;
	}
	if (r == 0 && (!cred || !strings_whole(argv, p->n_args) || !strings_whole(envp, p->n_env)))
		r = fail(why, -ENOMEM, "out of memory");
	if (r == 0 && p->cpus.len && !any_cpu(p))
		r = fail(why, -EINVAL, "the CPUs that it is to run on: none of them is there");
	if (r == 0 && (r = enter_cwd(p, &c)) < 0)
		fail(why, r, "chdir to cwd (\"%.*s\") set in config.json failed: %s",
			(int)p->cwd.len, (const char *)p->cwd.data, strerror(-r));
	if (r < 0) {
		drop_streams(kp);
		fs_ctx_put(fs);
		goto out;
	}
	atomic_store(&fs->umask, p->umask & 0777);
	kp->argv = argv;
	kp->envp = envp;
	kp->path = argv[0];
	kp->cred = cred;
	kp->fs = fs;
	kp->terminal = p->terminal;
	kp->killable = p->killable;
	kp->oom_score_adj = p->oom_score_adj;
	kp->sched_policy = (uint8_t)p->sched_policy;
	kp->sched_priority = (int)p->sched_priority;
	kp->sched_reset = p->sched_reset;
	kp->nice = p->has_nice ? &p->nice : NULL;
	kp->ioprio = (int)p->ioprio;
	kp->personality = p->personality;
	kp->cpus = p->cpus.data;
	kp->cpus_bytes = p->cpus.len;
	kp->seccomp = filter.len ? &filter : NULL;
	make_rlimits(p, kernel_file_limit(kp->container), &kp->rlim);
	r = kernel_start_process(kp, ret_pid);
	if (r < 0)
		fail(why, r, "cannot start the process: %s", strerror(-r));
out:
	host_fd_close(filter.listener);
	if (r < 0) {
		tty_put(*ret_tty);
		*ret_tty = NULL;
	}
	cred_put(cred);
	cred_put(root);
	strings_drop(argv, p->n_args);
	strings_drop(envp, p->n_env);
	return r;
}
