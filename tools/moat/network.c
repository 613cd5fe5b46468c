/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"
#include "moat.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int
network_open(const char *path, bool *ret_own)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st, own;

	if (fd < 0) {
		complain("linux.namespaces: cannot open the network namespace %s: %s", path,
			strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) < 0 || stat("/proc/self/ns/net", &own) < 0) {
		complain("linux.namespaces: cannot look at %s: %s", path, strerror(errno));
	} else if (st.st_dev != own.st_dev) {
		complain("linux.namespaces: %s is no namespace", path);
	} else {
		*ret_own = st.st_ino == own.st_ino;
		return fd;
	}
	close(fd);
	return -1;
}

bool
network_sysctl(const char *key)
{
	return strncmp(key, "net.", 4) == 0 || strncmp(key, "net/", 4) == 0;
}

/* Is each part of a path a name? */
static bool
names_only(const char *p)
{
	for (;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n <= 2 && strspn(p, ".") >= n))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

int
network_sysctl_path(const char *key, char *path, size_t cap)
{
	char *name = path + strlen("/proc/sys/");

	if (!network_sysctl(key) || (size_t)snprintf(path, cap, "/proc/sys/%s", key) >= cap)
		return -1;
	/* When the first separator is a dot, dots stand for slashes, and slashes for the dots of an
	 * interface's name. */
	for (char *p = name; key[3] == '.' && *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return names_only(name) ? 0 : -1;
}

static int
write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

static const char low_ports[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/* In a child that is in the namespace: the exit status. */
static int
set_up(json_t *sysctl)
{
	const char *key;
	json_t *v;

	struct ifreq ifr = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &ifr) < 0)
		return 1;
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
		return 1;
	/* What is not there (IPv6 off, an old kernel) cannot be opened up either. */
	(void)write_text(low_ports, "0");
	(void)write_text("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
	json_object_foreach(sysctl, key, v)
	{
		char path[300];

		if (!network_sysctl(key) || !json_is_string(v))
			continue;
		if (network_sysctl_path(key, path, sizeof path) < 0) {
			complain("linux.sysctl: %s is not the name of one", key);
			return 3;
		}
		if (strcmp(path, low_ports) == 0)
			continue; /* the sandbox's to know */
		if (write_text(path, json_string_value(v)) < 0) {
			complain("linux.sysctl: cannot write %s to %s: %s", json_string_value(v),
				path, strerror(errno));
			return 3;
		}
	}
	return 0;
}

int
network_prepare(pid_t pid, json_t *sysctl)
{
	char path[64];
	pid_t child;
	int status = 0, fd;

	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain("cannot open %s: %s", path, strerror(errno));
	child = fork();
	if (child == 0)
		_exit(setns(fd, CLONE_NEWNET) < 0 ? 2 : set_up(sysctl));
	close(fd);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return complain("cannot set up the network namespace: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		return exit_failure; /* said by the child */
	return complain(status == 2 << 8
				? "cannot enter the new network namespace"
				: "cannot bring up the loopback of the new network namespace");
}
