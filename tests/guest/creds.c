/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids, groups, capabilities, securebits and what else prctl knows. */
#include "guest.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Raw calls: libc's reach all threads by signals, and hide ids from us. */
#define CALL(nr, ...) syscall(SYS_##nr, ##__VA_ARGS__)

static void
ids(const char *after)
{
	unsigned r = 0, e = 0, s = 0;

	CALL(getresuid, &r, &e, &s);
	printf("%s: uid %d %d %d fs %ld", after, (int)r, (int)e, (int)s, CALL(setfsuid, -1));
	CALL(getresgid, &r, &e, &s);
	printf(" gid %d %d %d fs %ld\n", (int)r, (int)e, (int)s, CALL(setfsgid, -1));
}

static struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct data[2];

static void
caps(const char *after)
{
	hdr.version = _LINUX_CAPABILITY_VERSION_3;
	hdr.pid = 0;
	CALL(capget, &hdr, data);
	printf("%s: chown permitted %d effective %d inheritable %d\n", after, data[0].permitted & 1,
		data[0].effective & 1, data[0].inheritable & 1);
}

static void
real_and_effective(void)
{
	ids("before");
	SHOW(CALL(setregid, 10, 11));
	SHOW(CALL(setreuid, -1, 12));
	ids("setreuid -1 12");
	SHOW(CALL(setreuid, 12, 0));
	ids("setreuid 12 0");
	caps("setreuid 12 0");
	SHOW(CALL(setreuid, 13, 13));
	ids("setreuid 13 13");
	caps("setreuid 13 13");
	SHOW(CALL(setreuid, 0, 0));
	SHOW(CALL(setregid, 11, 10));
	SHOW(CALL(setregid, 77, -1));
	SHOW(CALL(setuid, 0));
	SHOW(CALL(setuid, 13));
	ids("end");
}

static void
saved(void)
{
	SHOW(CALL(setresgid, 1, 2, 3));
	SHOW(CALL(setresuid, 1, 2, 0));
	ids("setresuid 1 2 0");
	caps("setresuid 1 2 0");
	SHOW(CALL(setresuid, -1, 0, -1));
	caps("back to 0");
	SHOW(CALL(setresuid, 1, 2, 3));
	caps("setresuid 1 2 3");
	SHOW(CALL(setresuid, 2, 3, 1));
	ids("rotated");
	SHOW(CALL(setresuid, 4, -1, -1));
	SHOW(CALL(setresgid, 3, 1, 2));
	SHOW(CALL(setresgid, 9, -1, -1));
	SHOW(CALL(getresuid, 1, 2, 3));
	SHOW(CALL(getresgid, 1, 2, 3));
	SHOW(CALL(setuid, -1));
	SHOW(CALL(setgid, -1));
	ids("end");
}

static void
filesystem_ids(void)
{
	SHOW(CALL(setfsuid, 5));
	SHOW(CALL(setfsuid, 6));
	SHOW(CALL(setfsuid, -1));
	SHOW(CALL(setfsgid, 5));
	SHOW(CALL(setfsgid, -1));
	caps("setfsuid");
	SHOW(open("owned", O_CREAT | O_WRONLY, 0600));
	SHOW(CALL(setfsuid, 0));
	SHOW(CALL(setgid, 20));
	ids("setgid");
	SHOW(CALL(setuid, 20));
	ids("setuid");
	SHOW(CALL(setfsuid, 0));
	SHOW(CALL(setfsuid, 0));
}

static void
groups(void)
{
	gid_t g[4] = {30, 10, 20, 10}, got[8] = {0};
	int n;

	SHOW(CALL(setgroups, 4, g));
	SHOW(CALL(getgroups, 0, 0));
	SHOW(CALL(getgroups, 3, got));
	SHOW(CALL(getgroups, -1, got));
	SHOW(n = (int)CALL(getgroups, 8, got));
	for (int i = 0; i < n; i++)
		printf("group %u\n", got[i]);
	SHOW(CALL(setgroups, 65537, g));
	SHOW(CALL(setgroups, -1, g));
	SHOW(CALL(setgroups, 2, 8));
	SHOW(CALL(getgroups, 8, 8));
	SHOW(CALL(setgroups, 0, 0));
	SHOW(CALL(getgroups, 8, got));
	g[0] = (gid_t)-1;
	SHOW(CALL(setgroups, 1, g));
	CALL(setuid, 7);
	SHOW(CALL(setgroups, 0, 0));
}

static void
capability_calls(void)
{
	struct __user_cap_data_struct d[2];

	hdr.version = 0;
	SHOW(CALL(capget, &hdr, NULL));
	printf("version %x\n", hdr.version);
	SHOW(CALL(capget, &hdr, data));
	hdr.version = 0x1234;
	SHOW(CALL(capget, &hdr, data));
	SHOW(CALL(capget, 8, data));
	SHOW(CALL(capget, &hdr, 8));
	hdr.pid = -1;
	SHOW(CALL(capget, &hdr, data));
	hdr.pid = 0x3fffff;
	SHOW(CALL(capget, &hdr, data));
	hdr.pid = getppid();
	SHOW(CALL(capget, &hdr, data));
	SHOW(CALL(capset, &hdr, data));
	hdr.version = _LINUX_CAPABILITY_VERSION_1;
	hdr.pid = 0;
	SHOW(CALL(capget, &hdr, data));
	caps("before");
	memcpy(d, data, sizeof d);
	d[0].inheritable |= 1;
	SHOW(CALL(capset, &hdr, d));
	caps("inheritable");
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 1, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 64, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 1, 0));
	SHOW(prctl(PR_CAP_AMBIENT, 77, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	d[0].effective &= ~1u;
	SHOW(CALL(capset, &hdr, d));
	caps("not effective");
	SHOW(chown(".", 1, 1));
	d[0].permitted &= ~1u;
	SHOW(CALL(capset, &hdr, d));
	caps("not permitted");
	d[0].permitted |= 1;
	SHOW(CALL(capset, &hdr, d));
	d[0].permitted &= ~1u;
	d[0].effective |= 1;
	SHOW(CALL(capset, &hdr, d));
	SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_READ, 64, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_DROP, 64, 0, 0, 0));
	SHOW(prctl(PR_CAPBSET_READ, -1, 0, 0, 0));
}

static void
kept(void)
{
	SHOW(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0));
	SHOW(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	SHOW(CALL(setuid, 9));
	caps("kept");
	SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0));
}

static void
securebits(void)
{
	SHOW(prctl(PR_SET_SECUREBITS, 0x1000, 0, 0, 0));
	SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED, 0, 0, 0));
	SHOW(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0));
	SHOW(CALL(setuid, 9));
	caps("no fix-up");
}

static void
other_prctls(void)
{
	char name[17] = "";
	int v = -1;

	SHOW(prctl(PR_SET_NAME, "a name of more than 15", 0, 0, 0));
	SHOW(prctl(PR_GET_NAME, name, 0, 0, 0));
	printf("%s\n", name);
	SHOW(prctl(PR_SET_NAME, 8, 0, 0, 0));
	SHOW(prctl(PR_GET_NAME, 8, 0, 0, 0));
	SHOW(prctl(PR_SET_PDEATHSIG, 65, 0, 0, 0));
	SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
	SHOW(prctl(PR_GET_PDEATHSIG, &v, 0, 0, 0));
	printf("%d\n", v);
	SHOW(prctl(PR_GET_PDEATHSIG, 8, 0, 0, 0));
	SHOW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0));
	SHOW(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_CHILD_SUBREAPER, &v, 0, 0, 0));
	printf("%d\n", v);
	SHOW(prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0));
	SHOW(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_TIMING, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_TIMING, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_ENDIAN, &v, 0, 0, 0));
	SHOW(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(prctl(99999, 0, 0, 0, 0));
	SHOW(prctl(-1, 0, 0, 0, 0));
}

int
main(void)
{
	if (geteuid() != 0) {
		puts("needs root");
		return 77;
	}
	in_child("real and effective ids", real_and_effective);
	in_child("saved ids", saved);
	in_child("filesystem ids", filesystem_ids);
	unlink("owned");
	in_child("groups", groups);
	in_child("capabilities", capability_calls);
	in_child("keepcaps", kept);
	in_child("securebits", securebits);
	in_child("prctl", other_prctls);
	return 0;
}
