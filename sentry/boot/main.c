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
#include "platform/host/info.h"
#include "platform/host/maps.h"
#include "platform/host/ns.h"
#include "platform/host/text.h"
#include "sentry/control/control.h"
#include "sentry/fs/gofer.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/init.h"
#include "sentry/sched/sched.h"
#include "sentry/sysctl/sysctl.h"
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct start start;

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

/* Signals that this process is sent are for the first process inside. They are blocked in all
 * threads, and read from a descriptor; the engine gives the stubs an empty mask. */
static int
catch_signals(void)
{
	static const int caught[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return HOST(fd);
}

/* The first process's terminal tells this process of keys and of its size. It does not when another
 * session has it: then the launcher, which stands in that session, does. */
static void
take_terminal(void)
{
	if (start.m->process->terminal && start.fds[0] >= 0)
		(void)ioctl(start.fds[0], TIOCSCTTY, 0);
}

static const struct tmpfs_memory memory = {.reopen = gofer_reopen, .large = gofer_memory_file};

int
main(void)
{
	struct host_sysinfo si;
	struct kernel_config kc = {0};
	static struct container_fds fds;
	char platform[8] = "", host[65], domain[65];
	int r, signals;

	prctl(PR_SET_NAME, "moat-sentry"); /* older hosts name it after a descriptor */
	log_to_fd(STDERR_FILENO, "moat-sentry");
	/* One arena: others shrink by asking /proc, which the sealed process cannot. */
	mallopt(M_ARENA_MAX, 1);
	start_receive(NS_CONTROL_FD, &start);
	if (start.log >= 0)
		log_to_fd(start.log, "moat-sentry");
	if (start.m->debug)
		log_level = LOG_DEBUG;
	take_terminal();
	signals = catch_signals();
	if (signals < 0)
		boot_fail(signals, "cannot make a signalfd: %s", strerror(-signals));
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
	kc.trace = &start.trace;
	kc.own_pid_ns = start.m->has_anchor;
	r = kernel_init(&kc);
	if (r < 0)
		boot_fail(r, "cannot start the kernel on platform %s: %s", platform, strerror(-r));
	fds = (struct container_fds){start.gofer, start.fds, start.nmore, start.listen,
		start.anchor, start.meter, .maker = -1, .nvirtual = start.m->n_virtual};
	memcpy(fds.virtual, start.virtual, fds.nvirtual * sizeof fds.virtual[0]);
	gofer_init(kernel_memory_limit);
	host_sysinfo(&si);
	sysctl_init(si.total_bytes);
	tmpfs_set_memory(&memory); /* before a worker runs anything */
	if ((r = boot_register_fs(&start)) < 0 ||
		(r = control_start(NS_CONTROL_FD, signals, start.m, &fds, boot_mounts)) < 0 ||
		(r = sched_start()) < 0)
		boot_fail(r, "cannot start: %s", strerror(-r));
	seal();
	host_text_drop();
	sched_run();
	kernel_shutdown();
	return 0;
}
