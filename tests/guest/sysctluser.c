/* SPDX-License-Identifier: Apache-2.0 */
/* What a user namespace limits (/proc/sys/user), in a namespace of the test's own. */
#include "sysctl_file.h"
#include <linux/capability.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

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
	} kinds[] = {{"user/max_uts_namespaces", CLONE_NEWUTS},
		{"user/max_ipc_namespaces", CLONE_NEWIPC},
		{"user/max_net_namespaces", CLONE_NEWNET}, {"user/max_mnt_namespaces", CLONE_NEWNS},
		{"user/max_pid_namespaces", CLONE_NEWPID},
		{"user/max_time_namespaces", CLONE_NEWTIME}};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		flag = kinds[i].flag;
		sysctl_set(kinds[i].name, "0\n");
		in_child("none", one);
		sysctl_set(kinds[i].name, "1");
		in_child("one", one);
		/* what is gone is given back, as soon as it is */
		sleep_ms(100);
		if (flag == CLONE_NEWUTS || flag == CLONE_NEWIPC)
			in_child("two", two);
		sysctl_set(kinds[i].name, "1000");
	}
}

static void
deeper(void)
{
	/* counted above, too, for who made the namespace */
	SHOW(unshare(CLONE_NEWUSER));
	sysctl_set("user/max_uts_namespaces", "50");
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(unshare(CLONE_NEWUSER));
}

static void
users(void)
{
	sysctl_set("user/max_uts_namespaces", "1");
	sysctl_set("user/max_user_namespaces", "1");
	in_child("deeper", deeper);
	sysctl_set("user/max_user_namespaces", "0");
	flag = CLONE_NEWUSER;
	in_child("no user namespace", one);
}

static void
watches(void)
{
	int a, b;

	sysctl_set("user/max_inotify_instances", "1");
	sysctl_set("user/max_inotify_watches", "1");
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
	sysctl_set("user/max_uts_namespaces", "5");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (unshare(CLONE_NEWUSER)) {
		perror("unshare");
		return 77;
	}
	sysctl_set("user/max_uts_namespaces", "-1");
	sysctl_set("user/max_uts_namespaces", "2147483648");
	sysctl_set("user/max_uts_namespaces", "many");
	sysctl_set("user/max_uts_namespaces", "7 8");
	sysctl_set("user/max_uts_namespaces", "2147483647");
	in_child("spaces", spaces);
	in_child("powerless", powerless);
	in_child("watches", watches);
	in_child("users", users);
	return 0;
}
