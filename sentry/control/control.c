/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask for, one function for each message. */
#include "sentry/control/control.h"
#include "base/log.h"
#include "internal.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/task.h"
#include <errno.h>
#include <string.h>

void
conn_answer(struct conn *c, int r)
{
	if (r < 0)
		conn_fail(c, r, strerror(-r), false);
	else
		conn_send(c, CONTROL_DONE, NULL);
}

static void
request_resources(struct conn *c, struct wire_control *w)
{
	Control__Resources *m = wire_unpack(&control__resources__descriptor, w->body, w->len);
	struct kernel_container *k = c->container->kernel;

	if (m && m->memory_limit)
		kernel_container_set_memory(k, m->memory_limit);
	if (m && m->pids_limit)
		kernel_container_set_pids(k, m->pids_limit);
	if (m && m->cpu_quota_us)
		kernel_container_set_cpu(
			k, m->cpu_quota_us == UINT64_MAX ? 0 : m->cpu_quota_us, m->cpu_period_us);
	else if (m && m->cpu_period_us)
		kernel_container_set_cpu(k, kernel_container_cpu_quota(k), m->cpu_period_us);
	conn_answer(c, m ? 0 : -EPROTO);
	if (m)
		control__resources__free_unpacked(m, NULL);
}

static int
request_client(struct conn *c, struct wire_control *w)
{
	int sock = w->nfds == 1 ? w->fds[0] : -1;

	if (sock < 0)
		return -EPROTO;
	w->fds[0] = -1;
	return conn_new(sock, c->container, false, NULL);
}

static void
tell_state(struct conn *c)
{
	Control__State m = CONTROL__STATE__INIT;

	m.started = atomic_load(&c->container->started);
	m.paused = kernel_is_paused(c->container->kernel);
	m.container = c->container->nr;
	m.containers = container_count();
	m.calls = kernel_container_calls(c->container->kernel);
	conn_send(c, CONTROL_STATE_IS, &m.base);
}

/* With a descriptor to which messages of sd_notify(3) go. */
static int
request_go(struct container *k, struct wire_control *w)
{
	int r = 0;

	if (!atomic_load(&k->loaded) || atomic_load(&k->started) || w->nfds > 1)
		return -EINVAL;
	if (w->nfds) {
		r = k->notify ? notify_go(k, w->fds[0]) : -EINVAL;
		if (k->notify || r == 0)
			w->fds[0] = -1;
	}
	if (r == 0)
		container_go(k);
	return r;
}

void
control_request(struct conn *c, struct wire_control *w)
{
	struct container *k = c->container;
	int r;

	switch (w->type) {
	case CONTROL_SIGNAL:
		control_signal(c, w);
		break;
	case CONTROL_KILL:
		kernel_kill_all(k->kernel);
		if (!c->quiet)
			conn_answer(c, 0);
		break;
	case CONTROL_DETACH:
		c->holds = false;
		conn_answer(c, 0);
		break;
	case CONTROL_GO:
		conn_answer(c, request_go(k, w));
		break;
	case CONTROL_CLIENT:
		r = request_client(c, w);
		if (!c->quiet)
			conn_answer(c, r);
		break;
	case CONTROL_EXEC:
		control_exec(c, w);
		break;
	case CONTROL_WAIT:
		mutex_lock(&conns_lock);
		c->waits = true;
		mutex_unlock(&conns_lock);
		break;
	case CONTROL_PAUSE:
		kernel_pause(k->kernel);
		conn_answer(c, 0);
		break;
	case CONTROL_RESUME:
		kernel_resume(k->kernel);
		conn_answer(c, 0);
		break;
	case CONTROL_PROCESSES:
		control_processes(c);
		break;
	case CONTROL_STATE:
		tell_state(c);
		break;
	case CONTROL_INSPECT:
		control_inspect(c, w);
		break;
	case CONTROL_JOIN:
		control_join(c, w);
		break;
	case CONTROL_RESOURCES:
		request_resources(c, w);
		break;
	default:
		log_warn("unknown request %u", w->type);
		conn_answer(c, -ENOSYS);
	}
}

void
control_client_gone(struct conn *c)
{
	int32_t pid;

	/* Nobody is left to report to. */
	if (c->holds)
		container_abandon(c->container, 0);
	mutex_lock(&c->lock);
	pid = c->pid;
	c->pid = 0;
	mutex_unlock(&c->lock);
	if (pid)
		(void)kernel_signal(pid, LX_SIGKILL);
}

void
control_failed(int launcher, int err, const char *text, bool exec)
{
	Control__Failed m = CONTROL__FAILED__INIT;

	m.err = err < 0 ? -err : err;
	m.text = wire_bytes(text, strlen(text));
	m.exec = exec;
	(void)wire_control_send(launcher, CONTROL_FAILED, &m.base, NULL, 0);
}
