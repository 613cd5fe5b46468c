/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat-sentry: the process that is the guest's kernel. Started by libmoat in namespaces of its own;
 * takes its orders from the control socket, shuts itself in, starts the engine and the workers,
 * seals itself, and only then looks at the first byte of the guest's files.
 */
#include "base/log.h"
#include "internal.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "platform/host/maps.h"
#include "platform/host/ns.h"
#include "sentry/control/control.h"
#include "sentry/fs/gofer.h"
#include "sentry/kernel/init.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/sched.h"
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct start start;
static int32_t first_pid;

void
boot_fail(int err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	control_failed(NS_CONTROL_FD, err, text, false);
	_exit(1);
}

static void
shut_in(void)
{
	char err[256];
	int r = 0;

	host_maps_keep();
	if (!(start.weaker & WEAKER_MNTNS))
		r = confine_empty_root(false, err, sizeof err);
	if (r == 0 && !(start.weaker & WEAKER_CAPS))
		r = confine_caps(0, err, sizeof err);
	if (r == 0)
		r = confine_no_new_privs(err, sizeof err);
	if (r < 0)
		boot_fail(r, "%s", err);
}

static void
raise_fd_limit(void)
{
	struct rlimit l;

	if (HOST(getrlimit(RLIMIT_NOFILE, &l)) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

bool
boot_network_is_host(const struct start *s)
{
	return s->m->network.len == 4 && memcmp(s->m->network.data, "host", 4) == 0;
}

static void
seal(void)
{
	bool ptrace = start.m->platform.len == 6, host = boot_network_is_host(&start);
	enum confine_filter f =
		ptrace ? (host ? CONFINE_SENTRY_PTRACE_HOSTNET : CONFINE_SENTRY_PTRACE)
		       : (host ? CONFINE_SENTRY_TRAP_HOSTNET : CONFINE_SENTRY_TRAP);
	char err[256];
	int r;

	if (start.weaker & WEAKER_SECCOMP)
		return;
	r = confine_seal(f, err, sizeof err);
	if (r < 0)
		boot_fail(r, "%s", err);
}

static void
gofer_died(const char *why)
{
	log_error("%s; the sandbox ends", why);
	boot_fail(-ECONNRESET, "%s; the sandbox ends", why);
}

static void
on_exit_first(void *arg, int status)
{
	(void)arg;
	kernel_log_live(); /* now: the launcher ends this process when it hears of the exit */
	control_exited(NS_CONTROL_FD, first_pid, status);
	_exit(0); /* the init of the pid namespace: every stub goes with it */
}

static void
on_start_first(void *arg, int err)
{
	(void)arg;
	if (err == 0) {
		control_started(NS_CONTROL_FD, first_pid);
		return;
	}
	control_failed(NS_CONTROL_FD, err, strerror(-err), true);
	_exit(0);
}

/* A list of texts as a NULL-terminated array of strings. Never freed: the first process's. */
static char **
strings(const ProtobufCBinaryData *b, size_t n)
{
	char **v = calloc(n + 1, sizeof *v);

	for (size_t i = 0; v && i < n; i++) {
		v[i] = strndup((const char *)b[i].data, b[i].len);
		if (!v[i])
			return NULL;
	}
	return v;
}

static struct cred *
first_cred(const Control__Process *p)
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
first_rlimits(const Control__Process *p, struct rlimits *r)
{
	for (int i = 0; i < LX_RLIM_NLIMITS; i++)
		r->r[i] = (struct lx_rlimit64){LX_RLIM_INFINITY, LX_RLIM_INFINITY};
	for (size_t i = 0; i < p->n_rlimits; i++)
		if (p->rlimits[i]->type < LX_RLIM_NLIMITS)
			r->r[p->rlimits[i]->type] =
				(struct lx_rlimit64){p->rlimits[i]->cur, p->rlimits[i]->max};
}

/* In a fiber: everything that asks the gofer. */
static void
boot(void *arg)
{
	const Control__Process *p = start.m->process;
	struct kernel_process kp = {.terminal = p->terminal,
		.killable = p->killable,
		.on_exit = on_exit_first,
		.on_start = on_start_first};
	struct call c = {0};
	struct cred *root = cred_new_root(), *cred = first_cred(p);
	int r;

	(void)arg;
	kp.argv = strings(p->args, p->n_args);
	kp.envp = strings(p->env, p->n_env);
	if (!root || !cred || !kp.argv || !kp.envp)
		boot_fail(-ENOMEM, "out of memory");
	c.cred = root;
	r = boot_mounts(&start, &c, &kp.fs);
	if (r < 0)
		boot_fail(r, "cannot build the file tree: %s", strerror(-r));
	for (int i = 0; i < 3; i++) {
		r = boot_stdio(&start, i, &kp.stdio[i]);
		if (r < 0)
			boot_fail(r, "standard stream %d: %s", i, strerror(-r));
	}
	kp.path = kp.argv[0];
	kp.cred = cred;
	first_rlimits(p, &kp.rlim);
	r = kernel_start_process(&kp, &first_pid);
	cred_put(cred);
	cred_put(root);
	if (r < 0)
		boot_fail(r, "cannot start the first process: %s", strerror(-r));
}

int
main(void)
{
	struct kernel_config kc = {0};
	struct fiber *f;
	char platform[8] = "", host[65], domain[65];
	int r;

	log_to_fd(STDERR_FILENO, "moat-sentry");
	/* One arena: others shrink by asking /proc, which the sealed process cannot. */
	mallopt(M_ARENA_MAX, 1);
	start_receive(NS_CONTROL_FD, &start);
	if (start.log >= 0)
		log_to_fd(start.log, "moat-sentry");
	if (start.m->debug)
		log_level = LOG_DEBUG;
	shut_in();
	raise_fd_limit();
	snprintf(platform, sizeof platform, "%.*s", (int)start.m->platform.len,
		(char *)start.m->platform.data);
	snprintf(host, sizeof host, "%.*s", (int)start.m->hostname.len,
		(char *)start.m->hostname.data);
	snprintf(domain, sizeof domain, "%.*s", (int)start.m->domainname.len,
		(char *)start.m->domainname.data);
	kc.hostname = host;
	kc.domainname = domain;
	kc.platform = platform;
	kc.plat.rewrite_sites = !start.m->no_rewrite;
	kc.plat.stub_answers = !start.m->no_stub_answers;
	kc.plat.spin = !start.m->no_spin;
	kc.plat.marshal = !start.m->no_marshal;
	kc.workers = (int)start.m->workers;
	kc.may_spin = !start.m->no_spin;
	kc.trace_fd = start.trace;
	kc.memory_limit_bytes = start.m->memory_limit;
	r = kernel_init(&kc);
	if (r < 0)
		boot_fail(r, "cannot start the kernel on platform %s: %s", platform, strerror(-r));
	if ((r = boot_register_fs(&start)) < 0 || (r = gofer_init(start.gofer, gofer_died)) < 0 ||
		(r = control_start(NS_CONTROL_FD)) < 0 || (r = fiber_spawn(boot, NULL, &f)) < 0 ||
		(r = sched_start()) < 0)
		boot_fail(r, "cannot start: %s", strerror(-r));
	seal();
	sched_run();
	kernel_shutdown();
	return 0;
}
