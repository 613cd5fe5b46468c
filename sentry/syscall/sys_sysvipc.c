/* SPDX-License-Identifier: Apache-2.0 */
/* System V semaphores and message queues: decode, wait, encode. */
#include "sentry/ipc/ipc.h"
#include "sentry/syscall/internal.h"
#include <stdlib.h>

void
ipc_owner_in(const struct task *t, struct lx_ipc_perm *p)
{
	p->uid = uid_in(t->cred->user_ns, p->uid);
	p->gid = gid_in(t->cred->user_ns, p->gid);
}

void
ipc_owner_out(const struct task *t, struct lx_ipc_perm *p)
{
	const struct user_ns *ns = t->cred->user_ns;

	p->uid = uid_out(ns, p->uid);
	p->gid = gid_out(ns, p->gid);
	p->cuid = uid_out(ns, p->cuid);
	p->cgid = gid_out(ns, p->cgid);
}

/* --- semaphores --- */

int64_t
sys_semget(struct task *t, const uint64_t a[6])
{
	return sem_get(&t->call, arg_int(a[0]), arg_int(a[1]), arg_int(a[2]));
}

static int64_t
operate(struct task *t, int id, const struct lx_sembuf *ops, unsigned n, int64_t deadline)
{
	struct sem_waiter sw = {.fiber = t->fiber, .ops = ops, .n = n};
	struct ipc_set *s;
	struct waiter w;
	int64_t r = sem_find(&t->call, id, &s);

	if (r)
		return r;
	r = sem_try(&t->call, s, &sw, &t->sem_undo);
	if (r == -EINPROGRESS) {
		waiter_init_fiber(&w, t->fiber, ~0u);
		waitq_add(sem_queue(s), &w);
		while ((r = sem_waited(&t->call, s, &sw)) == -EINPROGRESS) {
			int p = task_park(t, deadline);

			if (p) {
				r = sem_give_up(
					&t->call, s, &sw, p == -ETIMEDOUT ? -EAGAIN : -EINTR);
				break;
			}
		}
		waitq_remove(&w);
	}
	sem_put(s);
	return r;
}

static int64_t
semtimedop(struct task *t, int id, uint64_t addr, uint32_t n, int64_t deadline)
{
	struct lx_sembuf small[8], *ops = small;
	int64_t r;

	if (n > ipc_limit_get(t->call.ipc, IPC_SEMOPM))
		return -E2BIG;
	if (n > 8 && !(ops = malloc(n * sizeof *ops)))
		return -ENOMEM;
	if (copy_in(&t->mem.um, ops, ua(addr), n * sizeof *ops))
		r = -EFAULT;
	else if (n < 1 || id < 0)
		r = -EINVAL;
	else
		r = operate(t, id, ops, n, deadline);
	if (ops != small)
		free(ops);
	return r;
}

int64_t
sys_semop(struct task *t, const uint64_t a[6])
{
	return semtimedop(t, arg_int(a[0]), a[1], (uint32_t)a[2], INT64_MAX);
}

int64_t
sys_semtimedop(struct task *t, const uint64_t a[6])
{
	int64_t deadline = INT64_MAX, ns;
	int r;

	if (a[3]) {
		r = timespec_in(t, ua(a[3]), &ns);
		if (r)
			return r;
		deadline = deadline_after(ns);
	}
	return semtimedop(t, arg_int(a[0]), a[1], (uint32_t)a[2], deadline);
}

static int64_t
sem_info(struct task *t, int cmd, uint64_t addr)
{
	int sets, sems, highest = sem_usage(&t->call, &sets, &sems);
	int32_t sets_max = (int32_t)ipc_limit_get(t->call.ipc, IPC_SEMMNI);
	int32_t set_max = (int32_t)ipc_limit_get(t->call.ipc, IPC_SEMMSL);
	int32_t all = (int32_t)ipc_limit_get(t->call.ipc, IPC_SEMMNS);
	int32_t ops = (int32_t)ipc_limit_get(t->call.ipc, IPC_SEMOPM);
	int32_t info[10] = {all, sets_max, all, all, set_max, ops, ops, 20, SEM_VMX, SEM_VMX};

	if (cmd == LX_SEM_INFO) {
		info[7] = sets;
		info[9] = sems;
	}
	return copy_out(&t->mem.um, ua(addr), info, sizeof info) ? -EFAULT : highest;
}

static int64_t
sem_getsetall(struct task *t, int id, uint64_t addr, bool write)
{
	int n = sem_count(&t->call, id);
	uint16_t *v;
	int64_t r;

	if (n < 0)
		return n;
	v = malloc((size_t)n * sizeof *v);
	if (!v)
		return -ENOMEM;
	if (write && copy_in(&t->mem.um, v, ua(addr), (size_t)n * sizeof *v))
		r = -EFAULT;
	else
		r = sem_all(&t->call, id, v, n, write);
	if (!r && !write)
		r = copy_out(&t->mem.um, ua(addr), v, (size_t)n * sizeof *v);
	free(v);
	return r;
}

int64_t
sys_semctl(struct task *t, const uint64_t a[6])
{
	int id = arg_int(a[0]), num = arg_int(a[1]), cmd = arg_int(a[2]), found, r;
	struct lx_semid_ds ds;

	switch (cmd) {
	case LX_IPC_INFO:
	case LX_SEM_INFO:
		return sem_info(t, cmd, a[3]);
	case LX_IPC_STAT:
	case LX_SEM_STAT:
	case LX_SEM_STAT_ANY:
		r = sem_stat(&t->call, id, cmd, &ds, &found);
		if (r)
			return r;
		ipc_owner_out(t, &ds.perm);
		if (copy_out(&t->mem.um, ua(a[3]), &ds, sizeof ds))
			return -EFAULT;
		return cmd == LX_IPC_STAT ? 0 : found;
	case LX_IPC_SET:
		if (copy_in(&t->mem.um, &ds, ua(a[3]), sizeof ds))
			return -EFAULT;
		ipc_owner_in(t, &ds.perm);
		return sem_set(&t->call, id, &ds);
	case LX_IPC_RMID:
		return sem_remove(&t->call, id);
	case LX_GETVAL:
	case LX_GETPID:
	case LX_GETNCNT:
	case LX_GETZCNT:
		r = sem_value(&t->call, id, num, cmd);
		return cmd == LX_GETPID && r > 0 ? pid_nr_out(r) : r;
	case LX_SETVAL:
		return sem_set_value(&t->call, id, num, arg_int(a[3]));
	case LX_GETALL:
	case LX_SETALL:
		return sem_getsetall(t, id, a[3], cmd == LX_SETALL);
	default:
		return -EINVAL;
	}
}

/* --- message queues --- */

int64_t
sys_msgget(struct task *t, const uint64_t a[6])
{
	return msg_get(&t->call, arg_int(a[0]), arg_int(a[1]));
}

int64_t
sys_msgsnd(struct task *t, const uint64_t a[6])
{
	int flags = arg_int(a[3]);
	uint64_t len = a[2];
	struct ipc_set *q;
	struct waiter w;
	int64_t type, r;
	void *text;

	if (copy_in(&t->mem.um, &type, ua(a[1]), sizeof type))
		return -EFAULT;
	if (len > ipc_limit_get(t->call.ipc, IPC_MSGMAX) || arg_int(a[0]) < 0 || type < 1)
		return -EINVAL;
	text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	r = copy_in(&t->mem.um, text, ua(a[1] + 8), len) ? -EFAULT
							 : msg_find(&t->call, arg_int(a[0]), &q);
	if (r) {
		free(text);
		return r;
	}
	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(msg_queue(q), &w);
	while ((r = msg_send(&t->call, q, type, text, len)) == -EAGAIN &&
		!(flags & LX_IPC_NOWAIT)) {
		if (task_park(t, INT64_MAX)) {
			r = -ERESTARTNOHAND;
			break;
		}
	}
	waitq_remove(&w);
	msg_put(q);
	if (r)
		free(text);
	return r;
}

static int
receive(struct task *t, struct ipc_set *q, struct msg_receiver *m)
{
	struct waiter w;
	int r;

	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(msg_queue(q), &w);
	do {
		r = msg_receive(&t->call, q, m);
		while (r == -EINPROGRESS && (r = msg_received(&t->call, q, m)) == -EINPROGRESS)
			if (task_park(t, INT64_MAX))
				r = msg_give_up(&t->call, q, m, -ERESTARTNOHAND);
	} while (r == -EAGAIN);
	waitq_remove(&w);
	return r;
}

int64_t
sys_msgrcv(struct task *t, const uint64_t a[6])
{
	struct msg_receiver m = {
		.fiber = t->fiber, .type = (int64_t)a[3], .flags = arg_int(a[4]), .max = a[2]};
	struct ipc_set *q;
	int64_t r;

	if (arg_int(a[0]) < 0 || (int64_t)a[2] < 0)
		return -EINVAL;
	if ((m.flags & LX_MSG_COPY) && ((m.flags & LX_MSG_EXCEPT) || !(m.flags & LX_IPC_NOWAIT)))
		return -EINVAL;
	r = msg_find(&t->call, arg_int(a[0]), &q);
	if (r)
		return r;
	r = receive(t, q, &m);
	msg_put(q);
	if (!r) {
		r = (int64_t)m.len;
		if (copy_out(&t->mem.um, ua(a[1]), &m.got_type, sizeof m.got_type) ||
			copy_out(&t->mem.um, ua(a[1] + 8), m.text, m.len))
			r = -EFAULT;
	}
	free(m.text);
	return r;
}

static int64_t
msg_info(struct task *t, int cmd, uint64_t addr)
{
	int queues, messages, bytes, highest = msg_usage(&t->call, &queues, &messages, &bytes);
	int32_t max = (int32_t)ipc_limit_get(t->call.ipc, IPC_MSGMAX);
	int32_t mnb = (int32_t)ipc_limit_get(t->call.ipc, IPC_MSGMNB);
	int32_t mni = (int32_t)ipc_limit_get(t->call.ipc, IPC_MSGMNI);
	int32_t info[8] = {
		(int32_t)((int64_t)mni * mnb / 1024), mnb, max, mnb, mni, 16, mnb, 0xffff};

	if (cmd == LX_MSG_INFO) {
		info[0] = queues;
		info[1] = messages;
		info[6] = bytes;
	}
	return copy_out(&t->mem.um, ua(addr), info, sizeof info) ? -EFAULT : highest;
}

int64_t
sys_msgctl(struct task *t, const uint64_t a[6])
{
	int id = arg_int(a[0]), cmd = arg_int(a[1]), found, r;
	struct lx_msqid_ds ds;

	switch (cmd) {
	case LX_IPC_INFO:
	case LX_MSG_INFO:
		return msg_info(t, cmd, a[2]);
	case LX_IPC_STAT:
	case LX_MSG_STAT:
	case LX_MSG_STAT_ANY:
		r = msg_stat(&t->call, id, cmd, &ds, &found);
		if (r)
			return r;
		ipc_owner_out(t, &ds.perm);
		ds.lspid = pid_nr_out(ds.lspid);
		ds.lrpid = pid_nr_out(ds.lrpid);
		if (copy_out(&t->mem.um, ua(a[2]), &ds, sizeof ds))
			return -EFAULT;
		return cmd == LX_IPC_STAT ? 0 : found;
	case LX_IPC_SET:
		if (copy_in(&t->mem.um, &ds, ua(a[2]), sizeof ds))
			return -EFAULT;
		ipc_owner_in(t, &ds.perm);
		return msg_set(&t->call, id, &ds);
	case LX_IPC_RMID:
		return msg_remove(&t->call, id);
	default:
		return -EINVAL;
	}
}
