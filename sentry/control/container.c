/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a container: made from a message, its tree of mounts built, its first process loaded,
 * held until GO, running, ended. The first container is made by the start of this process, which
 * ends with the last one.
 */
#include "sentry/kernel/container.h"
#include "base/log.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/control/process.h"
#include "sentry/cred/user_ns.h"
#include "sentry/fs/gofer.h"
#include "sentry/fs/proc.h"
#include "sentry/fs/tty.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/task.h"
#include "sentry/net/link.h"
#include "sentry/sched/fiber.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define RETRY_NS      100000000ll /* before accept is tried again after a failure */
#define ANCHOR_END_MS 2000
#define NAME_MAX_LEN  64

static struct container *first;
static control_build *build;
static _Atomic uint32_t count, last_nr;

/* --- objects --- */

struct container *
container_get(struct container *c)
{
	ref_get(&c->ref);
	return c;
}

static void
close_conns(struct container *c)
{
	if (c->conns.gofer)
		gofer_conn_close(c->conns.gofer);
	for (uint32_t i = 0; i < CONTROL_VIRTUAL_MAX; i++)
		if (c->conns.virtual[i])
			gofer_conn_close(c->conns.virtual[i]);
}

void
container_put(struct container *c)
{
	if (!c || !ref_put(&c->ref))
		return;
	if (c->listen.fd >= 0)
		host_fd_close(c->listen.fd);
	if (c->anchor.fd >= 0)
		host_fd_close(c->anchor.fd);
	waitq_destroy(&c->listen.q);
	waitq_destroy(&c->anchor.q);
	close_conns(c);
	gofer_conn_put(c->conns.gofer);
	for (uint32_t i = 0; i < CONTROL_VIRTUAL_MAX; i++)
		gofer_conn_put(c->conns.virtual[i]);
	kernel_container_put(c->kernel);
	if (c->launcher)
		conn_put(c->launcher);
	fs_ctx_put(c->world);
	tty_put(c->console);
	file_put(c->notify);
	free(c);
}

static struct container *
find_locked(uint32_t nr)
{
	struct container *c;

	list_for_each_entry (c, &containers, node)
		if (c->nr == nr)
			return c;
	return NULL;
}

uint32_t
container_count(void)
{
	return atomic_load(&count);
}

static bool
container_is_listed(const struct container *c)
{
	bool yes;

	mutex_lock(&conns_lock);
	yes = !list_empty(&c->node);
	mutex_unlock(&conns_lock);
	return yes;
}

static struct container *
container_new(struct kernel_container *kernel, bool hold)
{
	struct container *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	ref_init(&c->ref);
	list_init(&c->node);
	c->nr = atomic_fetch_add(&last_nr, 1) + 1;
	c->kernel = kernel;
	c->hold = hold;
	c->listen.fd = c->anchor.fd = -1;
	waitq_init(&c->listen.q);
	waitq_init(&c->anchor.q);
	return c;
}

/* --- its end --- */

/* Its launcher's connection, which has a reference on it: whoever goes first, both can. */
static void
drop_launcher(struct container *c)
{
	struct conn *l;

	mutex_lock(&conns_lock);
	l = c->launcher;
	c->launcher = NULL;
	mutex_unlock(&conns_lock);
	if (l)
		conn_put(l);
}

/* True: it is the last one, and so is this. Else what it has of the host is given back. */
static bool
leave(struct container *c)
{
	bool last;

	close_conns(c);
	mutex_lock(&conns_lock);
	list_del(&c->node);
	last = list_empty(&containers);
	if (!last) {
		atomic_fetch_sub(&count, 1);
		atomic_store(&c->ended, true);
	}
	mutex_unlock(&conns_lock);
	if (last)
		return true;
	waitq_notify(&c->listen.q, ~0u);
	waitq_notify(&c->anchor.q, ~0u);
	notify_end(c);
	drop_launcher(c);
	container_put(c); /* of the list */
	return false;
}

/* The anchor ends as the first process did. */
static bool
tell_anchor(struct container *c, int32_t status)
{
	return c->anchor.fd >= 0 &&
	       host_fd_write(c->anchor.fd, &status, sizeof status) == sizeof status;
}

/* Before this process: it is in this one's pid namespace, and would be killed. One that has been
 * stopped is not waited for for ever. */
static void
await_anchor(struct container *c)
{
	uint8_t signo;

	for (int i = 0; i < ANCHOR_END_MS / 100; i++) {
		int events = host_fd_poll(c->anchor.fd, POLLIN, 100);

		if (events < 0 || (events & POLLHUP) ||
			(events && host_fd_read(c->anchor.fd, &signo, sizeof signo) <= 0))
			return;
	}
}

static void
first_ended(void *arg, int status, const struct kernel_usage *process)
{
	struct container *c = arg;
	struct kernel_usage u;
	struct conn *k;
	bool told;

	(void)process;
	kernel_limits_end(c->kernel);
	kernel_container_end(c->kernel);
	kernel_container_usage(c->kernel, &u);
	kernel_log_live(); /* now: the launcher ends this process when it hears of the exit */
	mutex_lock(&conns_lock);
	list_for_each_entry (k, &conns, node)
		if (k->waits && k->container == c)
			conn_exit(k, c->inside_pid, status, &u);
	mutex_unlock(&conns_lock);
	told = tell_anchor(c, status);
	if (leave(c)) {
		if (told)
			await_anchor(c);
		/* The init of the pid namespace: every stub goes with it. */
		_exit(status & 127 ? 128 + (status & 127) : status >> 8 & 255);
	}
	container_put(c); /* of the process */
}

void
container_abandon(struct container *c, int status)
{
	bool lives, only;

	mutex_lock(&conns_lock);
	lives = !atomic_load(&c->ended);
	only = containers.next == containers.prev;
	mutex_unlock(&conns_lock);
	if (lives && only)
		_exit(status);
	if (lives)
		kernel_kill_all(c->kernel);
}

static void
kill_it(void *arg)
{
	struct container *c = arg;

	kernel_kill_all(c->kernel);
	container_put(c);
}

static void
gofer_died(void *arg, const char *why)
{
	struct container *c = arg;
	struct fiber *f;
	char text[200];

	if (atomic_load(&c->ended))
		return;
	if (container_count() > 1) {
		log_error("%s; container %u ends", why, c->nr);
		/* Not here: the watches are locked. */
		if (fiber_spawn(kill_it, container_get(c), &f) < 0)
			panic("out of memory for a fiber");
		return;
	}
	log_error("%s; the sandbox ends", why);
	snprintf(text, sizeof text, "%s; the sandbox ends", why);
	control_failed(c->launcher->sock, -ECONNRESET, text, false);
	_exit(1);
}

/* Nothing but its files ends. */
static void
virtual_died(void *arg, const char *why)
{
	(void)arg, (void)why;
	log_warn("the program that serves virtual files has left: they cannot be used any longer");
}

/* --- the first process --- */

void
container_go(struct container *c)
{
	struct fiber *f;

	atomic_store(&c->started, true);
	f = atomic_load(&c->held);
	if (f)
		fiber_wake(f);
}

static void
first_started(void *arg, int err)
{
	struct container *c = arg;
	struct task *t = task_current();

	if (err) {
		conn_fail(c->launcher, err, strerror(-err), true);
		if (leave(c))
			_exit(0);
		container_put(c); /* of the process, which will not tell of an end */
		return;
	}
	c->inside_pid = pid_vnr(t->pid);
	atomic_store(&c->held, fiber_self());
	atomic_store(&c->loaded, true);
	if (!c->hold)
		atomic_store(&c->started, true);
	conn_started(c->launcher, c->inside_pid, c);
	while (!atomic_load(&c->started) && !(atomic_load(&t->work) & TW_EXIT))
		fiber_park();
	atomic_store(&c->held, NULL);
	kernel_limits_start(c->kernel);
}

/* What the host has set in a network namespace of its own need not be shown here. */
static int
set_sysctls(const Control__Start *m, const struct call *call, struct process_fail *why)
{
	for (size_t i = 0; i < m->n_sysctls; i++) {
		const char *text = (const char *)m->sysctls[i].data;
		size_t len = m->sysctls[i].len;
		int r = proc_sysctl_set(call, text, len, call->net == net_ns_first());

		if (r < 0 && !(r == -ENOENT && strncmp(text, "net", 3) == 0 &&
				     net_ns_on_host(call->net))) {
			snprintf(why->text, sizeof why->text, "cannot set the sysctl %.*s: %s",
				(int)len, text, strerror(-r));
			return r;
		}
	}
	return 0;
}

/* Build the tree and start the process, which gets a reference. fds are consumed. In a fiber. */
static int
begin(struct container *c, const Control__Start *m, int *fds, uint32_t nmore,
	struct process_fail *why)
{
	struct kernel_process kp = {.on_exit = first_ended,
		.on_start = first_started,
		.arg = c,
		.container = c->kernel,
		.init = true};
	struct cred *root = cred_new_root();
	struct call call = {.cred = root};
	struct fs_ctx *fs = NULL;
	int r = root ? 0 : -ENOMEM;

	snprintf(why->text, sizeof why->text, "out of memory");
	kernel_container_call(c->kernel, &call);
	if (r == 0)
		r = set_sysctls(m, &call, why);
	if (r == 0)
		r = build(m, &c->conns, &call, &c->world, why->text, sizeof why->text);
	if (r == 0 && m->notify && (r = notify_open(c, &call)) < 0)
		snprintf(why->text, sizeof why->text, "cannot make the socket of NOTIFY_SOCKET: %s",
			strerror(-r));
	if (r == 0 && !(fs = fs_ctx_dup(c->world)))
		r = -ENOMEM;
	cred_put(root);
	if (r < 0) {
		for (uint32_t i = 0; i < 3 + nmore; i++)
			if (fds[i] >= 0)
				host_fd_close(fds[i]);
		return r;
	}
	container_get(c); /* of the process */
	r = process_start(m->process, fs, fds, (int)nmore, &kp, &c->first_pid, &c->console, why);
	if (r < 0)
		container_put(c);
	else
		kernel_container_set_console(c->kernel, c->console);
	return r;
}

/* --- who connects, who is sent signals --- */

/* It is served no more. */
static void
served(struct container *c, struct endpoint *e)
{
	sched_unwatch(&e->watch);
	host_fd_close(e->fd);
	e->fd = -1;
	container_put(c);
}

static void
serve_listen(void *arg)
{
	struct container *c = arg;
	struct waiter w;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&c->listen.q, &w);
	while (!atomic_load(&c->ended)) {
		int fd = host_socket_accept(c->listen.fd, NULL, NULL);

		if (fd == -EAGAIN)
			fiber_park();
		else if (fd < 0)
			(void)fiber_park_until(sched_now_ns() + RETRY_NS);
		else
			(void)conn_new(fd, c, false, NULL);
	}
	waitq_remove(&w);
	served(c, &c->listen);
}

/* What the anchor is sent is meant for the first process. When it is killed, so is the container:
 * engines know no other number. */
static void
serve_anchor(void *arg)
{
	struct container *c = arg;
	struct waiter w;
	uint8_t signo;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&c->anchor.q, &w);
	while (!atomic_load(&c->ended)) {
		ssize_t n = host_fd_read(c->anchor.fd, &signo, sizeof signo);

		if (n == -EAGAIN) {
			fiber_park();
		} else if (n == sizeof signo && signo >= 1 && signo <= 64) {
			(void)container_signal(c, c->first_pid, signo);
		} else if (n <= 0) {
			container_abandon(c, 128 + LX_SIGKILL);
			break;
		}
	}
	waitq_remove(&w);
	served(c, &c->anchor);
}

/* What this process itself is sent, by its terminal or by others, is meant for the first process.
 */
static void
serve_signals(void *arg)
{
	struct endpoint *e = arg;
	struct signalfd_siginfo si;
	struct waiter w;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&e->q, &w);
	for (;;) {
		ssize_t n = host_fd_read(e->fd, &si, sizeof si);
		int signo = (int)si.ssi_signo;

		if (n != sizeof si)
			fiber_park();
		else if (atomic_load(&first->ended) || !first->first_pid)
			continue;
		else if (first->console && si.ssi_code == SI_KERNEL)
			(void)container_signal_terminal(
				first, first->console, first->first_pid, signo);
		else if (signo != LX_SIGTSTP)
			(void)container_signal(first, first->first_pid, signo);
	}
}

static int
serve_fd(struct endpoint *e, int fd, void (*fn)(void *), void *arg)
{
	struct fiber *f;
	int r;

	e->watch = (struct hostfd_watch){.fd = fd, .q = &e->q};
	e->fd = fd;
	r = sched_watch(&e->watch, EPOLLIN);
	if (r < 0)
		return r;
	r = fiber_spawn(fn, arg, &f);
	if (r < 0)
		sched_unwatch(&e->watch);
	return r;
}

/* One of a container's, which has a reference as long as it is served. */
static int
serve_one(struct container *c, struct endpoint *e, int fd, void (*fn)(void *))
{
	int r = serve_fd(e, fd, fn, container_get(c));

	if (r < 0)
		container_put(c);
	return r;
}

/* It is there from now on. */
static int
enter(struct container *c, const struct container_fds *fds)
{
	int r = gofer_conn_new(fds->gofer, gofer_died, c, &c->conns.gofer);

	for (uint32_t i = 0; i < fds->nvirtual; i++) {
		struct gofer_conn **conn = c->conns.virtual + i;
		int v = gofer_conn_new_virtual(fds->virtual[i], virtual_died, c, conn);

		r = r < 0 ? r : v;
	}
	/* The file system's references go when it is unmounted. */
	mutex_lock(&conns_lock);
	if (c != first && list_empty(&containers))
		r = r < 0 ? r : -ESRCH;
	if (r == 0) {
		atomic_fetch_add(&count, 1);
		list_push_back(&containers, &c->node);
		container_get(c);
	}
	mutex_unlock(&conns_lock);
	if (r == 0 && fds->listen >= 0)
		r = serve_one(c, &c->listen, fds->listen, serve_listen);
	else if (fds->listen >= 0)
		host_fd_close(fds->listen);
	if (r == 0 && fds->anchor >= 0)
		r = serve_one(c, &c->anchor, fds->anchor, serve_anchor);
	else if (fds->anchor >= 0)
		host_fd_close(fds->anchor);
	return r;
}

/* In a fiber. */
static int
watch_limits(struct container *c, const Control__Start *m, int meter, struct process_fail *why)
{
	const Control__Limits none = CONTROL__LIMITS__INIT, *l = m->limits ? m->limits : &none;
	struct kernel_limits kl = {.cpu_ns = (int64_t)l->cpu_ns,
		.wall_ns = (int64_t)l->wall_ns,
		.memory_bytes = l->memory_bytes,
		.output_bytes = l->output_bytes,
		.file_bytes = l->file_bytes,
		.meter = meter};
	int r = kernel_limits_set(c->kernel, &kl);

	if (r < 0)
		snprintf(why->text, sizeof why->text,
			"the sandbox's memory cannot be measured here (/proc of the host): %s",
			strerror(-r));
	return r;
}

static void
set_limits(struct kernel_container *k, const Control__Start *m)
{
	kernel_container_set_memory(k, m->memory_limit);
	kernel_container_set_pids(k, m->pids_limit);
	kernel_container_set_cpu(k, m->cpu_quota_us, m->cpu_period_us);
}

/* --- the first container --- */

static struct {
	const Control__Start *m;
	const struct container_fds *fds;
	struct endpoint signals;
} start;

static void
begin_first(void *arg)
{
	struct process_fail why = {0};
	int r;

	(void)arg;
	r = watch_limits(first, start.m, start.fds->meter, &why);

	if (r == 0)
		r = begin(first, start.m, start.fds->process, start.fds->nmore, &why);

	(void)arg;
	if (r < 0) {
		control_failed(first->launcher->sock, r, why.text, false);
		_exit(1);
	}
}

int
control_start(int launcher, int signals, const Control__Start *m, const struct container_fds *fds,
	control_build *how)
{
	struct fiber *f;
	int r;

	build = how;
	start.m = m;
	start.fds = fds;
	first = container_new(kernel_container_get(kernel_container_first()), m->hold);
	if (!first)
		return -ENOMEM;
	set_limits(first->kernel, m);
	kernel_set_boot_offset(m->boot_offset_ns);
	kernel_set_mem_policy((uint16_t)m->mem_policy, m->mem_nodes);
	r = user_ns_show_first(false, m->uid_map, m->n_uid_map / 3);
	if (r == 0)
		r = user_ns_show_first(true, m->gid_map, m->n_gid_map / 3);
	if (r < 0)
		return r;
	r = conn_new(launcher, first, true, &first->launcher);
	if (r == 0)
		r = enter(first, fds);
	waitq_init(&start.signals.q);
	if (r == 0)
		r = serve_fd(&start.signals, signals, serve_signals, &start.signals);
	return r < 0 ? r : fiber_spawn(begin_first, NULL, &f);
}

/* --- another one --- */

/* The namespaces that are asked for, of containers that are there. -ESRCH. */
static int
find_shared(const Control__Join *m, struct kernel_container_config *cfg)
{
	struct {
		uint32_t nr;
		struct kernel_container **of;
	} parts[] = {{m->pid_of, &cfg->pid}, {m->ipc_of, &cfg->ipc}, {m->uts_of, &cfg->uts}};
	int r = 0;

	mutex_lock(&conns_lock);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		struct container *c = parts[i].nr ? find_locked(parts[i].nr) : NULL;

		if (parts[i].nr && !c)
			r = -ESRCH;
		*parts[i].of = c ? kernel_container_get(c->kernel) : NULL;
	}
	mutex_unlock(&conns_lock);
	return r;
}

static int
new_kernel_container(
	const Control__Join *m, struct container_fds *fds, struct kernel_container **ret)
{
	struct kernel_container_config cfg = {0};
	char host[NAME_MAX_LEN + 1], domain[NAME_MAX_LEN + 1];
	int r = find_shared(m, &cfg);

	if (r == 0 && m->own_net) {
		cfg.own_net = net_ns_new_on_host(fds->maker, m->start->low_ports);
		fds->maker = -1;
		r = cfg.own_net ? 0 : -ENOMEM;
	}

	snprintf(host, sizeof host, "%.*s", (int)m->start->hostname.len,
		(char *)m->start->hostname.data);
	snprintf(domain, sizeof domain, "%.*s", (int)m->start->domainname.len,
		(char *)m->start->domainname.data);
	cfg.hostname = host;
	cfg.domainname = domain;
	cfg.net = m->net;
	if (r == 0)
		r = kernel_container_new(&cfg, ret);
	kernel_container_put(cfg.pid);
	kernel_container_put(cfg.ipc);
	kernel_container_put(cfg.uts);
	net_ns_put(cfg.own_net);
	return r;
}

/* The descriptors of the message, which are taken. False: not as it says. */
static bool
take_fds(const Control__Start *m, bool maker, struct wire_control *w, struct container_fds *fds,
	int *process)
{
	uint32_t next = 4;

	if (m->has_log || m->has_trace || m->has_meter || m->limits || m->trace ||
		m->n_extra_fds > WIRE_FDS_MAX ||
		w->nfds != 4 + (uint32_t)m->has_listen + m->n_extra_fds + (uint32_t)m->has_anchor +
				   m->n_virtual + maker)
		return false;
	*fds = (struct container_fds){
		w->fds[0], process, m->n_extra_fds, -1, -1, -1, -1, .nvirtual = m->n_virtual};
	for (int i = 0; i < 3; i++) {
		process[i] = w->fds[1 + i];
		if (m->process->closed >> i & 1) {
			host_fd_close(process[i]);
			process[i] = -1;
		}
	}
	if (m->has_listen)
		fds->listen = w->fds[next++];
	for (uint32_t i = 0; i < m->n_extra_fds; i++)
		process[3 + i] = w->fds[next++];
	if (m->has_anchor)
		fds->anchor = w->fds[next++];
	for (uint32_t i = 0; i < m->n_virtual; i++)
		fds->virtual[i] = w->fds[next++];
	if (maker)
		fds->maker = w->fds[next++];
	w->nfds = 0;
	return true;
}

static void
drop_fds(const struct container_fds *fds, bool all)
{
	for (uint32_t i = 0; i < 3 + fds->nmore; i++)
		if (fds->process[i] >= 0)
			host_fd_close(fds->process[i]);
	if (!all)
		return;
	host_fd_close(fds->gofer);
	if (fds->listen >= 0)
		host_fd_close(fds->listen);
	if (fds->anchor >= 0)
		host_fd_close(fds->anchor);
	if (fds->maker >= 0)
		host_fd_close(fds->maker);
	for (uint32_t i = 0; i < fds->nvirtual; i++)
		host_fd_close(fds->virtual[i]);
}

void
control_join(struct conn *k, struct wire_control *w)
{
	Control__Join *m = wire_unpack(&control__join__descriptor, w->body, w->len);
	struct process_fail why = {0};
	struct kernel_container *kernel = NULL;
	struct container *c = NULL;
	struct container_fds fds;
	int process[WIRE_FDS_MAX], r;

	if (!m || !m->start || k->used || k->quiet || !control_start_ok(m->start) ||
		!take_fds(m->start, m->own_net, w, &fds, process)) {
		conn_fail(k, EPROTO, "malformed request to make a container", false);
		goto out;
	}
	snprintf(why.text, sizeof why.text, "cannot make the container");
	/* A kernel that was shut in without a network has no use for sockets. */
	if (m->own_net && !net_ns_on_host(net_ns_first()))
		r = -ENETDOWN;
	else
		r = new_kernel_container(m, &fds, &kernel);
	if (r == 0 && !(c = container_new(kernel, m->start->hold)))
		r = -ENOMEM;
	if (r < 0) {
		drop_fds(&fds, true);
		kernel_container_put(kernel);
		snprintf(why.text, sizeof why.text, "cannot make the container: %s",
			r == -ENETDOWN ? "its sandbox was begun without a network, and so all "
					 "containers in it have none"
				       : strerror(-r));
		conn_fail(k, r, why.text, false);
		goto out;
	}
	set_limits(kernel, m->start);
	c->launcher = conn_get(k);
	r = enter(c, &fds);
	conn_make_launcher(k, c);
	if (r < 0)
		drop_fds(&fds, false);
	else
		r = begin(c, m->start, fds.process, fds.nmore, &why);
	if (r < 0) {
		conn_fail(k, r, why.text, false);
		if (container_is_listed(c) && leave(c))
			_exit(0); /* all others went meanwhile */
		drop_launcher(c);
	}
	container_put(c);
out:
	if (m)
		control__join__free_unpacked(m, NULL);
}
