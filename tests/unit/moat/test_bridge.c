/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge of a seccomp agent between a sentry that is broken, taken over or mute, which is this
 * process, and agents that are killed, which are children of it.
 */
#include "abi/seccomp.h"
#include "gofer/bridge.h"
#include "gofer/wire.h"
#include "lib/suite.h"
#include "tools/moat/bridge.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int file, sentry;
static struct wire_packet packet;

static void
begin(void)
{
	struct timeval limit = {.tv_sec = 20};
	char err[256];
	int mount;

	ck_assert_msg(bridge_start(&mount, &sentry, err, sizeof err) == 0, "%s", err);
	file = bridge_open(mount);
	ck_assert_int_ge(file, 0);
	close(mount);
	setsockopt(sentry, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/* The bridge is gone when the file is. */
static void
end(void)
{
	int r;

	close(file);
	while ((r = wire_recv(sentry, &packet, 0)) > 0)
		wire_close_fds(&packet, 0);
	ck_assert_int_eq(r, 0);
	close(sentry);
}

static void
events(uint32_t ev)
{
	struct wire_head h = {.id = ev, .type = BRIDGE_EVENTS};

	ck_assert_int_eq(wire_send(sentry, &h, NULL, 0, NULL, 0, 0), 0);
}

static void
asked(uint16_t type)
{
	ck_assert_int_eq(wire_recv(sentry, &packet, 0), 1);
	ck_assert_int_eq(packet.head.type, type);
}

static void
answer(int32_t result, const void *body, size_t len, int fd)
{
	struct wire_head h = {.id = packet.head.id, .type = BRIDGE_ANSWER, .error = result};

	ck_assert_int_eq(wire_send(sentry, &h, body, len, &fd, fd >= 0, 0), 0);
}

/* A child that makes one ioctl: its status is errno, or 200 and then n.pid. */
static pid_t
agent(unsigned long cmd)
{
	struct {
		struct lx_seccomp_notif n;
		char more[200];
	} arg = {0};
	pid_t pid = fork();

	if (pid)
		return pid;
	close(sentry);
	if (ioctl(file, cmd, &arg) < 0)
		_exit(errno);
	_exit(200 + (arg.n.pid == (uint32_t)getppid() ? 1 : arg.n.pid ? 2 : 0));
}

static int
ended(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

START_TEST(caller)
{
	struct lx_seccomp_notif n = {.id = 7, .pid = 1};
	int self = pidfd_open(getpid(), 0), null = open("/dev/null", O_RDONLY);
	const struct {
		int fd, seen;
	} cases[] = {{self, 201}, {null, 200}, {-1, 200}};

	begin();
	for (int i = 0; i < 3; i++) {
		pid_t pid = agent(LX_SECCOMP_IOCTL_NOTIF_RECV);

		events(POLLIN);
		asked(BRIDGE_RECV);
		answer(0, &n, sizeof n, cases[i].fd);
		ck_assert_int_eq(ended(pid), cases[i].seen);
		events(0);
	}
	close(self);
	close(null);
	end();
}
END_TEST

/* What has not the form of an answer ends the connection, and nobody waits any longer. */
START_TEST(nonsense)
{
	struct lx_seccomp_notif n = {.id = 7};
	char large[5000] = "";
	int fds[2] = {0, 1};

	for (int i = 0; i < 10; i++) {
		struct pollfd p = {0};
		struct wire_head h = {.type = BRIDGE_ANSWER};
		pid_t pid;

		begin();
		pid = agent(i < 7 ? LX_SECCOMP_IOCTL_NOTIF_RECV : LX_SECCOMP_IOCTL_NOTIF_ID_VALID);
		events(POLLIN);
		asked(i < 7 ? BRIDGE_RECV : BRIDGE_ID_VALID);
		h.id = packet.head.id;
		switch (i) {
		case 0:
			answer(0, NULL, 0, -1);
			break;
		case 1:
			answer(0, large, sizeof large, -1);
			break;
		case 2:
			answer(1, &n, sizeof n, -1);
			break;
		case 3:
			wire_send(sentry, &h, &n, sizeof n, fds, 2, 0);
			break;
		case 4:
			h.id++;
			wire_send(sentry, &h, &n, sizeof n, NULL, 0, 0);
			break;
		case 5:
			h.type = BRIDGE_SEND;
			wire_send(sentry, &h, &n, sizeof n, NULL, 0, 0);
			break;
		case 6:
			send(sentry, "x", 1, 0);
			break;
		case 7:
			answer(3, NULL, 0, -1);
			break;
		case 8:
			answer(-5000, NULL, 0, -1);
			break;
		default:
			answer(0, NULL, 0, 0);
		}
		ck_assert_msg(ended(pid) == ENOENT, "case %d", i);
		ck_assert_msg(wire_recv(sentry, &packet, 0) == 0, "case %d: it goes on", i);
		p = (struct pollfd){.fd = file, .events = POLLIN};
		ck_assert_int_eq(poll(&p, 1, 10000), 1);
		ck_assert_int_eq(p.revents, POLLHUP);
		end();
	}
}
END_TEST

/* Answers to nobody's questions. */
START_TEST(unasked)
{
	begin();
	packet.head.id = 0;
	answer(0, NULL, 0, -1);
	ck_assert_int_eq(wire_recv(sentry, &packet, 0), 0);
	ck_assert_int_eq(ended(agent(LX_SECCOMP_IOCTL_NOTIF_RECV)), ENOENT);
	end();
}
END_TEST

/* FUSE lets nobody go who was not answered. */
START_TEST(mute)
{
	struct lx_seccomp_notif n = {.id = 7};
	pid_t pid;

	begin();
	pid = agent(LX_SECCOMP_IOCTL_NOTIF_RECV); /* there is no call to be asked for */
	usleep(100000);
	kill(pid, SIGKILL);
	ck_assert_int_eq(ended(pid), -SIGKILL);
	pid = agent(LX_SECCOMP_IOCTL_NOTIF_SEND);
	asked(BRIDGE_SEND);
	kill(pid, SIGKILL);
	ck_assert_int_eq(ended(pid), -SIGKILL);
	answer(0, NULL, 0, -1);
	/* A call that comes too late is not lost. */
	pid = agent(LX_SECCOMP_IOCTL_NOTIF_RECV);
	events(POLLIN);
	asked(BRIDGE_RECV);
	kill(pid, SIGKILL);
	ck_assert_int_eq(ended(pid), -SIGKILL);
	answer(0, &n, sizeof n, -1);
	asked(BRIDGE_PUT_BACK);
	ck_assert(packet.head.len == sizeof n.id && memcmp(packet.body, &n.id, sizeof n.id) == 0);
	answer(0, NULL, 0, -1);
	end();
}
END_TEST

/* One that may not be had now is asked for again when there is news. */
START_TEST(again)
{
	struct lx_seccomp_notif n = {.id = 7};
	struct pollfd p;
	pid_t pid;

	begin();
	pid = agent(LX_SECCOMP_IOCTL_NOTIF_RECV);
	for (int i = 0; i < 3; i++) {
		events(POLLIN);
		asked(BRIDGE_RECV);
		answer(i < 2 ? -EAGAIN : 0, &n, i < 2 ? 0 : sizeof n, -1);
	}
	ck_assert_int_eq(ended(pid), 200);
	p = (struct pollfd){.fd = file, .events = POLLIN | POLLOUT};
	events(POLLOUT);
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	end();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");
	char err[256];
	int mount, other;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("sanitizers do not fit the filter on host calls");
	return 77;
#endif
	if (bridge_start(&mount, &other, err, sizeof err) < 0) {
		puts(err);
		return geteuid() == 0 && access("/dev/fuse", F_OK) == 0 ? 1 : 77;
	}
	close(mount);
	close(other);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, caller);
	tcase_add_test(t, nonsense);
	tcase_add_test(t, unasked);
	tcase_add_test(t, mute);
	tcase_add_test(t, again);
	return suite_run("bridge", t);
}
