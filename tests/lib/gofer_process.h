/* SPDX-License-Identifier: Apache-2.0 */
/* A gofer process of the build, over a temporary directory, for unit tests. */
#ifndef TESTS_LIB_GOFER_PROCESS_H
#define TESTS_LIB_GOFER_PROCESS_H

#include "control.pb-c.h"
#include "gofer.pb-c.h"
#include "gofer/wire.h"
#include "lib/suite.h"
#include "platform/host/err.h"
#include "platform/host/keeper.h"
#include "platform/host/ns.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static int conn;
static struct keeper *keeper;

static inline void
gofer_process_start(bool readonly)
{
	char path[512];
	struct ns_spawn n = {.path = path,
		.name = "moat-gofer",
		.namespaces =
			CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS};
	struct ns_idmap self_uid = {geteuid(), geteuid(), 1}, self_gid = {getegid(), getegid(), 1};
	Gofer__Setup m = GOFER__SETUP__INIT;
	Gofer__Export ex = GOFER__EXPORT__INIT, *list = &ex;
	struct wire_control c;
	int ctl[2], sv[2], fds[2], report;
	char err[256], cmd[160];

	snprintf(path, sizeof path, "%s/moat-gofer", getenv("BUILD") ? getenv("BUILD") : "build");
	strcpy(dir, "/tmp/gofer-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(cmd, sizeof cmd,
		"cd %s && mkdir -p a/b/c && echo hello >a/file && ln -s /etc/passwd a/link && "
		"mkfifo fifo",
		dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(wire_pair(ctl), 0);
	ck_assert_int_eq(wire_pair(sv), 0);
	if (geteuid() != 0) {
		n.namespaces |= CLONE_NEWUSER;
		n.uid_map = &self_uid;
		n.gid_map = &self_gid;
		n.nuid = n.ngid = 1;
		n.ambient_caps = true;
	} else {
		n.set_ids = true;
	}
	n.control = ctl[1];
	ck_assert_int_eq(keeper_new(-1, false, &keeper), 0);
	n.keeper = keeper;
	ck_assert_msg(ns_spawn(&n, &report, err, sizeof err) == 0, "%s", err);
	ck_assert_msg(ns_started(report, path, err, sizeof err) == 0, "%s", err);
	ck_assert_int_eq(keeper_watch(keeper), 0);
	ex.readonly = readonly;
	m.exports = &list;
	m.n_exports = 1;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	m.weaker = (char *)(uintptr_t) "seccomp"; /* sanitizers make calls of their own */
#endif
	fds[0] = sv[1];
	fds[1] = open(dir, O_PATH | O_CLOEXEC);
	ck_assert_int_eq(wire_control_send(ctl[0], CONTROL_SETUP, &m.base, fds, 2), 0);
	ck_assert_int_eq(wire_control_recv(ctl[0], &c), 1);
	if (c.type == CONTROL_FAILED) {
		Control__Failed *f = wire_unpack(&control__failed__descriptor, c.body, c.len);

		ck_abort_msg("%.*s", (int)f->text.len, (char *)f->text.data);
	}
	ck_assert_int_eq(c.type, CONTROL_READY);
	wire_control_free(&c);
	close(fds[0]);
	close(fds[1]);
	close(ctl[0]);
	close(ctl[1]);
	conn = sv[0];
}

/* It ends by itself when its connection is closed. */
static inline void
gofer_process_stop(void)
{
	char cmd[160];
	int status;

	close(conn);
	ck_assert_int_eq(keeper_child_wait(keeper, 0, &status), 0);
	keeper_end(keeper);
	ck_assert_msg(
		WIFEXITED(status) && WEXITSTATUS(status) == 0, "the gofer ended with %x", status);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

#endif
