/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs say to a service manager (sd_notify(3)): a datagram socket of the sandbox's at
 * NOTIFY_PATH, whose messages go out over a socket of the host when the container runs. They go as
 * they are: who gets them has to look at them. Files that are sent along are closed, which is what
 * BARRIER=1 waits for.
 */
#include "abi/stat.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/cred/cred.h"
#include "sentry/kernel/container.h"
#include "sentry/sched/fiber.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/path.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTIFY_PATH "/run/notify/notify.sock"
#define MESSAGE_MAX 4096
#define RETRY_NS    10000000ll
#define RETRIES	    100

int
notify_open(struct container *c, const struct call *outside)
{
	struct lx_sockaddr_un a = {.family = LX_AF_UNIX, .path = NOTIFY_PATH};
	struct call call = *outside;
	struct path p;
	struct sock *s;
	int r;

	call.fs = c->world;
	r = sock_create(&call, LX_AF_UNIX, LX_SOCK_DGRAM, 0, &s);
	if (r < 0)
		return r;
	r = sock_file(s, s->owner_cred, LX_O_NONBLOCK, &c->notify);
	if (r < 0)
		return r;
	r = s->ops->bind(
		s, &call, (const uint8_t *)&a, (uint32_t)(sizeof a.family + sizeof NOTIFY_PATH));
	if (r == 0)
		r = vfs_lookup(&call, NULL, NOTIFY_PATH, 0, &p);
	if (r == 0) {
		r = vfs_chmod(&call, &p, 0777);
		path_put(&p);
	}
	return r;
}

struct forward {
	struct container *c; /* a reference */
	struct cred *cred;
	int fd;
	char text[MESSAGE_MAX];
};

static void
forward_free(struct forward *f)
{
	host_fd_close(f->fd);
	cred_put(f->cred);
	container_put(f->c);
	free(f);
}

/* -errno when nobody listens any more. */
static int
pass_on(struct forward *f, size_t len)
{
	ssize_t r = 0;

	for (int i = 0; i < RETRIES && !atomic_load(&f->c->ended); i++) {
		r = host_socket_send(f->fd, f->text, len, 0, NULL, 0);
		if (r != -EAGAIN)
			break;
		(void)fiber_park_until(sched_now_ns() + RETRY_NS);
	}
	return r < 0 && r != -EAGAIN ? (int)r : 0;
}

static void
forward_main(void *arg)
{
	struct forward *f = arg;
	struct call call = {.cred = f->cred};
	struct sock *s = sock_of(f->c->notify);
	struct file *file;
	struct waiter w;
	int r = 0;

	kernel_container_call(f->c->kernel, &call);
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&s->wq, &w);
	while (r == 0 && !atomic_load(&f->c->ended)) {
		struct sock_msg m = {0};
		struct uio u;
		ssize_t n;

		uio_init_kernel(&u, f->text, sizeof f->text);
		m.uio = &u;
		n = s->ops->recvmsg(s, &call, &m);
		scm_files_free(m.files);
		if (n == -EAGAIN)
			fiber_park();
		else if (n < 0)
			r = (int)n;
		else
			r = pass_on(f, (size_t)n);
	}
	waitq_remove(&w);
	/* Now who sends is told that nobody is there. */
	mutex_lock(&conns_lock);
	file = f->c->notify;
	f->c->notify = NULL;
	mutex_unlock(&conns_lock);
	file_put(file);
	forward_free(f);
}

int
notify_go(struct container *c, int fd)
{
	struct forward *f = calloc(1, sizeof *f);
	struct fiber *fiber;

	if (!f || !(f->cred = cred_new_root())) {
		free(f);
		host_fd_close(fd);
		return -ENOMEM;
	}
	f->c = container_get(c);
	f->fd = fd;
	if (fiber_spawn(forward_main, f, &fiber) < 0) {
		forward_free(f);
		return -ENOMEM;
	}
	return 0;
}

void
notify_end(struct container *c)
{
	struct file *f;

	mutex_lock(&conns_lock);
	f = c->notify ? file_get(c->notify) : NULL;
	mutex_unlock(&conns_lock);
	if (f)
		waitq_notify(&sock_of(f)->wq, ~0u);
	file_put(f);
}
