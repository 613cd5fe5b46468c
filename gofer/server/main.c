/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat-gofer: the process that touches the container's files for the sentry. Started by libmoat in
 * namespaces of its own with a control socket; gets its exports from there, shuts itself in, says
 * that it is ready, and serves until the sentry is gone.
 */
#include "base/log.h"
#include "control.pb-c.h"
#include "internal.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "platform/host/memdir.h"
#include "platform/host/ns.h"
#include "platform/host/text.h"
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS	    4 /* requests that can be in work at once */
#define STACK_BYTES (128 << 10)
#define SPARE_FDS   256 /* beside those of nodes: open directories, descriptors on their way */

#define BIT(c) (1ULL << (c))

struct export_root *exports;
uint32_t nexports;
int memory_dir = -1;

static _Noreturn void
fail(int err, const char *text)
{
	Control__Failed m = CONTROL__FAILED__INIT;

	m.err = -err;
	m.text = wire_bytes(text, strlen(text));
	(void)wire_control_send(NS_CONTROL_FD, CONTROL_FAILED, &m.base, NULL, 0);
	_exit(1);
}

/* Take the set-up message: exports, and the connection's descriptor. */
static int
take_setup(uint32_t *ret_weaker)
{
	struct wire_control c;
	Gofer__Setup *m;
	const char *bad;
	int conn;

	if (wire_control_recv(NS_CONTROL_FD, &c) <= 0)
		_exit(1); /* the launcher is gone */
	m = c.type == CONTROL_SETUP ? wire_unpack(&gofer__setup__descriptor, c.body, c.len) : NULL;
	if (!m || c.nfds != m->n_exports + 1)
		fail(-EPROTO, "malformed set-up message");
	if (weaker_parse(m->weaker, ret_weaker, &bad) < 0)
		fail(-EINVAL, "unknown name in weaker isolation");
	exports = calloc(m->n_exports ? m->n_exports : 1, sizeof *exports);
	if (!exports)
		fail(-ENOMEM, "out of memory");
	nexports = (uint32_t)m->n_exports;
	for (uint32_t i = 0; i < nexports; i++) {
		exports[i].fd = c.fds[i + 1];
		exports[i].readonly = m->exports[i]->readonly;
		exports[i].idmapped = m->exports[i]->idmapped;
		c.fds[i + 1] = -1;
	}
	conn = c.fds[0];
	c.fds[0] = -1;
	gofer__setup__free_unpacked(m, NULL);
	wire_control_free(&c);
	return conn;
}

static void
shut_in(uint32_t weaker)
{
	uint64_t keep = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) |
			BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP);
	char err[256];
	int r = confine_cwd_to_fds(err, sizeof err);

	memory_dir = host_memory_dir();
	for (uint32_t i = 0; i < nexports; i++)
		if (exports[i].idmapped)
			keep |= BIT(CAP_SETUID) | BIT(CAP_SETGID);
	if (keep & BIT(CAP_SETUID) && (r = owner_init()) < 0)
		fail(r, "cannot keep capabilities apart from user ids (idmap)");

	if (r == 0 && !(weaker & WEAKER_MNTNS))
		r = confine_empty_root(true, err, sizeof err);
	/* Whoever is not root has no right over others' files to keep. */
	if (r == 0 && !(weaker & WEAKER_CAPS))
		r = confine_caps(geteuid() == 0 ? keep : 0, err, sizeof err);
	if (r == 0)
		r = confine_no_new_privs(err, sizeof err);
	if (r < 0)
		fail(r, err);
}

static uint32_t
raise_fd_limit(void)
{
	struct rlimit l;

	if (HOST(getrlimit(RLIMIT_NOFILE, &l)) < 0)
		return 1024 - SPARE_FDS;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_max > 1u << 20)
		return 1u << 20;
	return l.rlim_max > 2 * SPARE_FDS ? (uint32_t)l.rlim_max - SPARE_FDS
					  : (uint32_t)l.rlim_max / 2;
}

/* Held until the process is sealed and the launcher knows that it is there: a sandbox may be over
 * before all threads have run once. */
static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;

static void *
thread_main(void *arg)
{
	pthread_mutex_lock(&beginning);
	pthread_mutex_unlock(&beginning);
	serve(*(int *)arg);
	return NULL;
}

int
main(void)
{
	static int conn;
	uint32_t weaker = 0;
	pthread_attr_t attr;
	char err[256];
	int r;

	prctl(PR_SET_NAME, "moat-gofer"); /* older hosts name it after a descriptor */
	log_to_fd(STDERR_FILENO, "moat-gofer");
	mallopt(M_ARENA_MAX, 1);
	umask(0);
	conn = take_setup(&weaker);
	shut_in(weaker);
	nodes_init(raise_fd_limit());
	pthread_mutex_lock(&beginning);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 1; i < THREADS; i++) {
		pthread_t t;

		r = pthread_create(&t, &attr, thread_main, &conn);
		if (r)
			fail(-r, "cannot create a thread");
	}
	host_text_drop();
	if (!(weaker & WEAKER_SECCOMP) && (r = confine_seal(CONFINE_GOFER, err, sizeof err)) < 0)
		fail(r, err);
	if (wire_control_send(NS_CONTROL_FD, CONTROL_READY, NULL, NULL, 0) < 0)
		_exit(1);
	close(NS_CONTROL_FD);
	pthread_mutex_unlock(&beginning);
	serve(conn);
}
