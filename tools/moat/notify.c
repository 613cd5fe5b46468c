/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOTIFY_SOCKET of who called us (sd_notify(3)), for the container: its programs have a socket of
 * the sandbox's, and what they say there is looked at here. Only lines that tell of themselves
 * pass; what would make the service manager do something (MAINPID, FDSTORE, ...) does not.
 */
#include "notify.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 4096

static const char *
host_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && (path[0] == '/' || path[0] == '@') && path[1] ? path : NULL;
}

void
notify_prepare(struct moat_mount *mounts, struct strings *env, struct moat_config *c)
{
	if (!host_socket())
		return;
	mounts[c->nmounts++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS,
		.source = "notify",
		.target = "/run/notify",
		.options = "size=16k,mode=755",
		.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC};
	strings_set_env(env, "NOTIFY_SOCKET=/run/notify/notify.sock");
	c->env = env->v;
	c->notify = true;
}

static void
tell(const char *text, size_t len)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = host_socket();
	size_t n = strlen(path);
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (n < sizeof a.sun_path)
		memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = 0;
	if (s < 0 || n >= sizeof a.sun_path ||
		sendto(s, text, len, MSG_NOSIGNAL, (struct sockaddr *)&a,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		warn("NOTIFY_SOCKET: cannot send to %s: %s", path,
			n >= sizeof a.sun_path ? "the path is too long" : strerror(errno));
	if (s >= 0)
		close(s);
}

/* Lines of a message that may pass, in out (as large as text). True: one says that it is ready. */
static bool
select_lines(char *text, char *out)
{
	static const char *const pass[] = {"READY=1", "STATUS=", "EXTEND_TIMEOUT_USEC=", "ERRNO="};
	char *save = NULL;
	bool ready = false;

	*out = 0;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; i < sizeof pass / sizeof pass[0]; i++) {
			size_t n = strlen(pass[i]);

			if (strncmp(l, pass[i], n) != 0 || (i == 0 && l[n]))
				continue;
			for (char *p = l; *p; p++)
				if ((unsigned char)*p < ' ' || *p == 127)
					*p = '?';
			strcat(out, l);
			strcat(out, "\n");
			ready |= i == 0;
		}
	return ready;
}

void
notify_forward(int fd, pid_t pid, pid_t main_pid)
{
	int ended = pid ? pidfd_open(pid, 0) : -1;
	char text[MESSAGE_MAX + 1], out[MESSAGE_MAX + 2];
	bool ready = false;

	while (!ready) {
		struct pollfd p[2] = {{fd, POLLIN, 0}, {ended, POLLIN, 0}};
		ssize_t n;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		n = p[0].revents ? recv(fd, text, MESSAGE_MAX, MSG_DONTWAIT) : -1;
		if (n == 0 || (n < 0 && p[0].revents && errno != EAGAIN && errno != EINTR))
			break;
		if (n < 0 && p[1].revents)
			break; /* it ended, and has no more to say */
		if (n < 0)
			continue;
		text[n] = 0;
		ready = select_lines(text, out);
		if (*out)
			tell(out, strlen(out));
	}
	if (ready && main_pid) {
		snprintf(out, sizeof out, "MAINPID=%d\n", (int)main_pid);
		tell(out, strlen(out));
	}
	if (ended >= 0)
		close(ended);
	close(fd);
}

int
notify_go(struct container *c, struct moat_sandbox *s, int *ret, struct moat_error *err)
{
	int sv[2], r;

	*ret = -1;
	if (!json_is_true(json_object_get(c->state, "notify")) || !host_socket())
		return moat_go(s, err);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
		err->code = errno;
		snprintf(err->text, sizeof err->text, "cannot make a socket for NOTIFY_SOCKET: %s",
			strerror(errno));
		return -err->code;
	}
	r = moat_go_notify(s, sv[1], err);
	close(sv[1]);
	if (r == 0)
		*ret = sv[0];
	else
		close(sv[0]);
	return r;
}

void
notify_forward_beside(int fd)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			notify_forward(fd, 0, 0);
		_exit(0);
	}
	if (pid < 0)
		warn("NOTIFY_SOCKET: cannot start a process: %s", strerror(errno));
	close(fd);
}
