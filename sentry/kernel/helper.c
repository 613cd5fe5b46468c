/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/kernel/helper.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/net/link.h"
#include "sentry/vfs/mount.h"
#include <stdlib.h>
#include <string.h>

/* Memory of the task that it helps: from the side, at once. */
static int
reach(struct usermem *um, uint64_t addr, void *buf, size_t len, bool write)
{
	struct task *h = ((struct task_mem *)um)->task, *t = h->helps;
	int r = -EFAULT;

	mutex_lock(&t->pt_lock);
	if (t->pt && t->mm == h->mm)
		r = write ? plat->poke(t->pt, addr, buf, len) : plat->peek(t->pt, buf, addr, len);
	mutex_unlock(&t->pt_lock);
	return r ? -EFAULT : 0;
}

static int
helper_in(struct usermem *um, void *dst, struct uaddr src, size_t len)
{
	return reach(um, src.v, dst, len, false);
}

static int
helper_out(struct usermem *um, struct uaddr dst, const void *src, size_t len)
{
	return reach(um, dst.v, (void *)src, len, true);
}

static int
helper_zero(struct usermem *um, struct uaddr dst, size_t len)
{
	static const char zeros[4096];
	int r = 0;

	for (size_t n; len && !r; len -= n, dst = ua_add(dst, n)) {
		n = len < sizeof zeros ? len : sizeof zeros;
		r = helper_out(um, dst, zeros, n);
	}
	return r;
}

static const struct usermem_ops helper_mem_ops = {
	.in = helper_in, .out = helper_out, .zero = helper_zero};

struct task *
helper_new(struct task *t)
{
	struct task *h = task_alloc();

	if (!h)
		return NULL;
	h->helps = task_get(t);
	h->mem.um.ops = &helper_mem_ops;
	h->tgroup = tgroup_get(t->tgroup);
	h->pid = t->pid;
	ref_get(&h->pid->ref);
	h->tid = t->tid;
	h->cred = cred_get(t->cred);
	h->child_pid_ns = pid_ns_get(t->child_pid_ns);
	h->time_ns = time_ns_get(t->time_ns);
	h->child_time_ns = time_ns_get(t->child_time_ns);
	h->uts = t->uts;
	ref_get(&h->uts->ref);
	h->ipc = ipc_ns_get(t->ipc);
	h->net = net_ns_get(t->net);
	h->fs = fs_ctx_get(t->fs);
	h->files = fdtable_get(t->files);
	h->mm = mm_get(t->mm);
	h->user = user_get(t->cred->uid);
	h->blocked = ~0ULL;
	h->personality = t->personality;
	h->loginuid = t->loginuid;
	h->sessionid = t->sessionid;
	memcpy(h->comm, t->comm, sizeof h->comm);
	task_init_call(h);
	if (!h->user) {
		helper_free(h);
		return NULL;
	}
	return h;
}

int
helper_start(struct task *h, void (*fn)(void *arg), void *arg)
{
	return fiber_spawn(fn, arg, &h->fiber);
}

void
helper_enter(struct task *h)
{
	fiber_set_local(h);
}

void
helper_free(struct task *h)
{
	if (fiber_self() == h->fiber && h->fiber)
		fiber_set_local(NULL);
	fdtable_put(h->files, &h->call);
	fs_ctx_put(h->fs);
	mm_put(h->mm);
	task_put(h->helps);
	task_put(h);
}

void
helper_interrupt(struct task *h)
{
	atomic_fetch_or(&h->work, TW_EXIT);
	fiber_wake(h->fiber);
}
