/* SPDX-License-Identifier: Apache-2.0 */
/* Further processes of a container, each of them its connection's. */
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/control/process.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/task.h"
#include <errno.h>
#include <string.h>

static void
added_started(void *arg, int err)
{
	struct conn *c = arg;
	int32_t pid;

	if (err) {
		mutex_lock(&c->lock);
		c->pid = 0;
		mutex_unlock(&c->lock);
		conn_fail(c, err, strerror(-err), true);
		conn_put(c); /* there will be no exit to tell of */
		return;
	}
	pid = task_tgid(task_current());
	mutex_lock(&c->lock);
	c->pid = pid;
	mutex_unlock(&c->lock);
	conn_started(c, pid_vnr(task_current()->pid), NULL);
	mutex_lock(&c->lock);
	if (c->closed)
		c->pid = 0;
	else
		pid = 0;
	mutex_unlock(&c->lock);
	if (pid)
		(void)kernel_signal(pid, LX_SIGKILL); /* the client went meanwhile */
}

static void
added_ended(void *arg, int status, const struct kernel_usage *u)
{
	struct conn *c = arg;
	int32_t pid;

	mutex_lock(&c->lock);
	pid = c->pid;
	c->pid = 0;
	mutex_unlock(&c->lock);
	conn_exit(c, pid, status, u);
	conn_put(c);
}

void
control_exec(struct conn *c, struct wire_control *w)
{
	Control__Exec *m = wire_unpack(&control__exec__descriptor, w->body, w->len);
	struct kernel_process kp = {.on_start = added_started, .on_exit = added_ended, .arg = c};
	struct container *k = c->container;
	struct process_fail why;
	struct fs_ctx *fs;
	int fds[WIRE_FDS_MAX];
	int32_t pid;
	int r;

	if (!m || w->nfds < 3 || !process_ok(m->process) ||
		!process_fds_ok(m->process, w->nfds - 3)) {
		conn_fail(c, EPROTO, "malformed request to start a process", false);
		goto out;
	}
	if (c->used || !atomic_load(&k->loaded) || atomic_load(&k->ended)) {
		conn_fail(c, EBUSY, "no process can be started now", false);
		goto out;
	}
	fs = fs_ctx_dup(k->world);
	if (!fs) {
		conn_fail(c, ENOMEM, "out of memory", false);
		goto out;
	}
	for (uint32_t i = 0; i < w->nfds; i++) {
		fds[i] = w->fds[i];
		w->fds[i] = -1;
		if (i < 3 && (m->process->closed >> i & 1)) {
			host_fd_close(fds[i]);
			fds[i] = -1;
		}
	}
	kp.container = k->kernel;
	c->used = true;
	conn_get(c); /* of the process */
	r = process_start(m->process, fs, fds, (int)w->nfds - 3, &kp, &pid, &c->tty, &why);
	if (r < 0) {
		conn_fail(c, r, why.text, false);
		conn_put(c);
	}
out:
	if (m)
		control__exec__free_unpacked(m, NULL);
}
