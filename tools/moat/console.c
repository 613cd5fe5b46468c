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
send_descriptor(const char *option, const char *path, int fd, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	struct iovec iov = {(void *)(uintptr_t)name, strlen(name)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof ctl.buf};
	struct timeval limit = {.tv_sec = SEND_SECONDS};
	int s, r = 0;

	if (strlen(path) >= sizeof a.sun_path)
		return complain("%s: the path is too long", option);
	strcpy(a.sun_path, path);
	ctl.h.cmsg_level = SOL_SOCKET;
	ctl.h.cmsg_type = SCM_RIGHTS;
	ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.h), &fd, sizeof fd);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s >= 0)
		(void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0 ||
		sendmsg(s, &m, MSG_NOSIGNAL) < 0)
		r = complain("%s: cannot send to %s: %s", option, path, strerror(errno));
	if (s >= 0)
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
