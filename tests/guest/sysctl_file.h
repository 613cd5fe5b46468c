/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /proc/sys, by their names below it. */
#ifndef TESTS_GUEST_SYSCTL_FILE_H
#define TESTS_GUEST_SYSCTL_FILE_H

#include "guest.h"
#include <fcntl.h>

/* Bytes written, or -1. */
static inline int
sysctl_put_at(const char *name, const char *text, off_t at)
{
	char path[128];
	int fd, n, err;

	snprintf(path, sizeof path, "/proc/sys/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	n = (int)pwrite(fd, text, strlen(text), at);
	err = errno;
	close(fd);
	errno = err;
	return n;
}

static inline int
sysctl_put(const char *name, const char *text)
{
	return sysctl_put_at(name, text, 0);
}

/* The last one's is gone with the next. "": it cannot be read. */
static inline const char *
sysctl_get(const char *name)
{
	static char text[256];
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/sys/%s", name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	close(fd);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = 0;
	return text;
}

/* Write, and print what came of it. */
static inline void
sysctl_set_at(const char *name, const char *text, off_t at)
{
	int n = sysctl_put_at(name, text, at);

	printf("%s <- %.*s: ", name, (int)strcspn(text, "\n"), text);
	if (n < 0)
		printf("%s", strerrorname_np(errno));
	else
		printf("%d", n);
	printf(", is %s\n", sysctl_get(name));
}

static inline void
sysctl_set(const char *name, const char *text)
{
	sysctl_set_at(name, text, 0);
}

#endif
