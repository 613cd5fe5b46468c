/* SPDX-License-Identifier: Apache-2.0 */
/* What a user namespace limits (/proc/sys/user), in a namespace of the test's own. */
#include "guest.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void
set(const char *name, const char *text)
{
	char path[128], is[32] = "";
	int fd, n, err;

	snprintf(path, sizeof path, "/proc/sys/user/%s", name);
	fd = open(path, O_WRONLY);
	n = fd < 0 ? -1 : (int)write(fd, text, strlen(text));
	err = errno;
	close(fd);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, is, sizeof is - 1) > 0)
		is[strcspn(is, "\n")] = 0;
	close(fd);
	printf("%s <- %.*s: ", name, (int)strcspn(text, "\n"), text);
	if (n < 0)
		printf("%s", strerrorname_np(err));
	else
		printf("%d", n);
	printf(", is %s\n", is);
}

static int flag;

static void
one(void)
{
	SHOW(unshare(flag));
}

static void
two(void)
{
	SHOW(unshare(flag));
	SHOW(unshare(flag));
}

static void
spaces(void)
{
	static const struct {
		const char *name;
		int flag;
	} kinds[] = {{"max_uts_namespaces", CLONE_NEWUTS}, {"max_ipc_namespaces", CLONE_NEWIPC},
		{"max_net_namespaces", CLONE_NEWNET}, {"max_mnt_namespaces", CLONE_NEWNS},
		{"max_pid_namespaces", CLONE_NEWPID}, {"max_time_namespaces", CLONE_NEWTIME}};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		flag = kinds[i].flag;
		set(kinds[i].name, "0\n");
		in_child("none", one);
		set(kinds[i].name, "1");
		in_child("one", one);
		/* what is gone is given back, as soon as it is */
		sleep_ms(100);
		if (flag == CLONE_NEWUTS || flag == CLONE_NEWIPC)
			in_child("two", two);
		set(kinds[i].name, "1000");
	}
}

static void
deeper(void)
{
	/* counted above, too, for who made the namespace */
	SHOW(unshare(CLONE_NEWUSER));
	set("max_uts_namespaces", "50");
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(unshare(CLONE_NEWUSER));
}

static void
users(void)
{
	set("max_uts_namespaces", "1");
	set("max_user_namespaces", "1");
	in_child("deeper", deeper);
	set("max_user_namespaces", "0");
	flag = CLONE_NEWUSER;
	in_child("no user namespace", one);
}

static void
watches(void)
{
	int a, b;

	set("max_inotify_instances", "1");
	set("max_inotify_watches", "1");
	WORKS(a = inotify_init1(0));
	SHOW(inotify_init1(0));
	SHOW(inotify_add_watch(a, "/", IN_CREATE));
	SHOW(inotify_add_watch(a, "/proc", IN_CREATE));
	SHOW(inotify_add_watch(a, "/", IN_DELETE));
	SHOW(inotify_rm_watch(a, 1));
	SHOW(inotify_add_watch(a, "/proc", IN_CREATE));
	close(a);
	sleep_ms(100);
	WORKS(b = inotify_init1(0));
	WORKS(inotify_add_watch(b, "/", IN_CREATE));
}

static void
powerless(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	syscall(SYS_capget, &h, d);
	d[0].effective &= ~(1u << CAP_SYS_RESOURCE);
	SHOW(syscall(SYS_capset, &h, d));
	set("max_uts_namespaces", "5");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (unshare(CLONE_NEWUSER)) {
		perror("unshare");
		return 77;
	}
	set("max_uts_namespaces", "-1");
	set("max_uts_namespaces", "2147483648");
	set("max_uts_namespaces", "many");
	set("max_uts_namespaces", "7 8");
	set("max_uts_namespaces", "2147483647");
	in_child("spaces", spaces);
	in_child("powerless", powerless);
	in_child("watches", watches);
	in_child("users", users);
	return 0;
}
