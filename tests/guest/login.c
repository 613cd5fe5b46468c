/* SPDX-License-Identifier: Apache-2.0 */
/* Who has logged in (/proc/PID/loginuid, sessionid): said once, and kept by children. */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NOBODY_YET "4294967295"

static const char *
text_of(const char *path)
{
	static char text[64];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static ssize_t
say(const char *path, const char *text)
{
	int fd = open(path, O_RDWR);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n;
}

static ssize_t
say_at(off_t at)
{
	int fd = open("/proc/self/loginuid", O_RDWR);
	ssize_t n = pwrite(fd, "7", 1, at);

	close(fd);
	return n;
}

static void
look(const char *who)
{
	printf("%s: login of %s, ", who, text_of("/proc/self/loginuid"));
	printf("a session %s\n",
		strcmp(text_of("/proc/self/sessionid"), NOBODY_YET) ? "yes" : "no");
}

static void
wrong(void)
{
	char parent[40];

	SHOW(say("/proc/self/loginuid", ""));
	SHOW(say("/proc/self/loginuid", "x"));
	SHOW(say("/proc/self/loginuid", "1x"));
	SHOW(say("/proc/self/loginuid", " 1"));
	SHOW(say("/proc/self/loginuid", "-1"));
	SHOW(say("/proc/self/loginuid", "4294967296"));
	SHOW(say_at(1));
	snprintf(parent, sizeof parent, "/proc/%d/loginuid", (int)getppid());
	SHOW(say(parent, "3"));
	look("after what is wrong");
}

static void
child(void)
{
	look("a child");
}

static void
once(void)
{
	char first[64];

	SHOW(say("/proc/self/loginuid", "1000\n"));
	look("logged in");
	snprintf(first, sizeof first, "%s", text_of("/proc/self/sessionid"));
	in_child("of who is logged in", child);
	/* who may, again */
	SHOW(say("/proc/self/loginuid", "+1001"));
	look("logged in again");
	TRUE(strcmp(first, text_of("/proc/self/sessionid")) == 0);
	SHOW(say("/proc/self/loginuid", NOBODY_YET));
	look("logged out");
	SHOW(say("/proc/self/loginuid", "1002"));
	if (unshare(CLONE_NEWUSER)) {
		printf("no user namespace\n");
		return;
	}
	look("with no name here");
	SHOW(say("/proc/self/loginuid", "1003"));
	SHOW(say("/proc/self/loginuid", NOBODY_YET));
}

int
main(void)
{
	/* where somebody has logged in to run the test, and this is root's */
	say("/proc/self/loginuid", NOBODY_YET);
	if (strcmp(text_of("/proc/self/loginuid"), NOBODY_YET) != 0) {
		printf("somebody has logged in, and that stays\n");
		return 77;
	}
	look("nobody yet");
	in_child("what is wrong", wrong);
	in_child("once", once);
	look("a parent");
	return 0;
}
