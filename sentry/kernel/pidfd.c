/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/kernel/pidfd.h"
#include "abi/fs.h"
#include "abi/poll.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"
#include <stdio.h>

static void
pidfd_release(struct file *f)
{
	pid_unref(f->priv);
}

static uint32_t
pidfd_poll(struct file *f, struct poll_table *pt)
{
	struct pid *p = f->priv;
	uint32_t ev = 0;

	poll_wait(pt, &p->waitq);
	mutex_lock(&tasklist_lock);
	if (!p->tgroup || p->tgroup->state >= TG_ZOMBIE)
		ev = LX_POLLIN | LX_POLLRDNORM;
	if (!p->tgroup)
		ev |= LX_POLLHUP;
	mutex_unlock(&tasklist_lock);
	return ev;
}

static void
pidfd_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct pid *p = f->priv;

	mutex_lock(&tasklist_lock);
	snprintf(
		buf, cap, "Pid:\t%d\nNSpid:\t%d\n", p->tgroup ? p->nr : -1, p->tgroup ? p->nr : -1);
	mutex_unlock(&tasklist_lock);
}

static const struct file_ops pidfd_ops = {
	.release = pidfd_release,
	.poll = pidfd_poll,
	.fdinfo = pidfd_fdinfo,
};

int
pidfd_new(struct pid *p, uint32_t flags, struct file **ret)
{
	int err;

	ref_get(&p->ref);
	err = file_new_anon(&pidfd_ops, p, "anon_inode:[pidfd]", 0700, LX_O_RDWR | flags, ret);
	if (err)
		pid_unref(p);
	else
		(*ret)->mode |= LX_FMODE_PREAD; /* of a file system of its own: pread is EINVAL */
	return err;
}

struct pid *
pidfd_pid(struct file *f)
{
	return f->ops == &pidfd_ops ? f->priv : NULL;
}
