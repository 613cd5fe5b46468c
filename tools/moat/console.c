/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals for programs, and handing descriptors to an engine's socket. */
#include "create.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_SECONDS 10 /* for a socket that nobody reads */

int
socket_connect(const char *option, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = SEND_SECONDS};
	int s;

	if (strlen(path) >= sizeof a.sun_path) {
		complain("%s: the path is too long", option);
		return -1;
	}
	strcpy(a.sun_path, path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s >= 0)
		(void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
		complain("%s: cannot send to %s: %s", option, path, strerror(errno));
		if (s >= 0)
			close(s);
		return -1;
	}
	return s;
}

int
socket_send(const char *option, const char *path, int s, int fd, const char *text)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof ctl.buf};
	ssize_t n;

	ctl.h.cmsg_level = SOL_SOCKET;
	ctl.h.cmsg_type = SCM_RIGHTS;
	ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.h), &fd, sizeof fd);
	n = sendmsg(s, &m, MSG_NOSIGNAL);
	if (n >= 0 && (size_t)n < iov.iov_len) {
		n = -1;
		errno = EAGAIN; /* nobody has read so far */
	}
	return n < 0 ? complain("%s: cannot send to %s: %s", option, path, strerror(errno)) : 0;
}

int
send_descriptor(const char *option, const char *path, int fd, const char *name)
{
	int s = socket_connect(option, path), r;

	if (s < 0)
		return exit_failure;
	r = socket_send(option, path, s, fd, name);
	close(s);
	return r;
}

int
console_new(const char *path, uint16_t rows, uint16_t columns)
{
	struct winsize ws = {.ws_row = rows, .ws_col = columns};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char name[64];

	if (master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name) != 0) {
		complain("cannot make a terminal: %s", strerror(errno));
		return -1;
	}
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		complain("cannot open the terminal: %s", strerror(errno));
		close(master);
		return -1;
	}
	if (rows && columns)
		(void)ioctl(master, TIOCSWINSZ, &ws);
	if (send_descriptor("--console-socket", path, master, name)) {
		close(slave);
		slave = -1;
	}
	close(master);
	return slave;
}
