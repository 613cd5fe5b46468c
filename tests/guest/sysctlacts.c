/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of /proc/sys that a whole kernel has in common. Natively they are the host's, and are only
 * looked at; with the argument "acts" (tests/escape/sysctl.sh) they are written, and have to do
 * something.
 */
#include "sysctl_file.h"
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Natively too. */
static void
look(void)
{
	static const char *const same[] = {"kernel/cap_last_cap", "kernel/ngroups_max",
		"kernel/overflowuid", "kernel/printk_delay", "kernel/seccomp/actions_avail",
		"kernel/keys/maxkeys", "kernel/random/write_wakeup_threshold",
		"kernel/sched_rr_timeslice_ms", "kernel/sysctl_writes_strict", "kernel/pty/max",
		"fs/aio-max-nr", "fs/leases-enable", "fs/mount-max", "fs/nr_open",
		"fs/pipe-max-size", "fs/protected_hardlinks", "fs/suid_dumpable",
		"vm/max_map_count", "vm/lowmem_reserve_ratio", "vm/swappiness", "vm/dirty_bytes",
		"vm/page-cluster", "vm/nr_hugepages"};
	static const char *const modes[] = {"vm/drop_caches", "vm/mmap_rnd_bits",
		"kernel/threads-max", "kernel/core_pattern", "fs/file-nr", "fs/file-max",
		"fs/aio-nr", "kernel/seccomp/actions_logged", "kernel/seccomp/actions_avail",
		"kernel/io_uring_group", "kernel/random/urandom_min_reseed_secs",
		"vm/compact_memory", "vm/overcommit_kbytes", "abi/vsyscall32",
		"debug/exception-trace"};
	struct stat st;
	char path[128];

	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		printf("%s: %s\n", same[i], sysctl_get(same[i]));
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		snprintf(path, sizeof path, "/proc/sys/%s", modes[i]);
		if (stat(path, &st))
			perror(path);
		else
			printf("%s %o %u %u\n", modes[i], st.st_mode, st.st_uid, st.st_gid);
	}
	SHOW(open("/proc/sys/kernel/ngroups_max", O_WRONLY));
	SHOW(chmod("/proc/sys/vm/swappiness", 0666));
}

/* The process has no capability any more but those in keep. */
static void
keep_caps(uint64_t keep)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	syscall(SYS_capget, &h, d);
	for (int i = 0; i < 2; i++) {
		d[i].effective &= (uint32_t)(keep >> 32 * i);
		d[i].permitted &= (uint32_t)(keep >> 32 * i);
	}
	if (syscall(SYS_capset, &h, d))
		perror("capset");
}

static void
parsing(void)
{
	sysctl_set("vm/swappiness", "7\n");
	sysctl_set("vm/swappiness", "  0x10 \n");
	sysctl_set("vm/swappiness", "201");
	sysctl_set("vm/swappiness", "-1");
	sysctl_set("vm/swappiness", "99999999999999999999");
	sysctl_set("vm/swappiness", "1x");
	sysctl_set("vm/swappiness", "3 4");
	sysctl_set("vm/swappiness", "");
	sysctl_set("kernel/printk", "5 4");
	sysctl_set("kernel/printk", "6 x");
	sysctl_set("kernel/printk", "4 4 1 7");
	sysctl_set("fs/mount-max", "5 6");
	sysctl_set("fs/mount-max", "-5");
	sysctl_set("fs/mount-max", "100000");
	sysctl_set("vm/overcommit_kbytes", "9223372036854775808");
	sysctl_set("vm/overcommit_kbytes", "4096");
	sysctl_set("vm/overcommit_ratio", "60");
	printf("and overcommit_kbytes %s\n", sysctl_get("vm/overcommit_kbytes"));
	sysctl_set("kernel/core_pattern", "core.%p\nrest");
	sysctl_set_at("kernel/core_pattern", ".%e", 7);
	sysctl_set("kernel/core_pattern", "core");
	sysctl_set("kernel/seccomp/actions_logged", "log errno");
	sysctl_set("kernel/seccomp/actions_logged", "log allow");
	sysctl_set("kernel/seccomp/actions_logged", "log nothing");
	sysctl_set("kernel/random/write_wakeup_threshold", "3");
	sysctl_set("fs/pipe-max-size", "5000");
	sysctl_set("fs/pipe-max-size", "1048576");
	sysctl_set("kernel/sched_rt_runtime_us", "1000001");
	sysctl_set("kernel/unprivileged_bpf_disabled", "1");
	sysctl_set("kernel/unprivileged_bpf_disabled", "0");
	sysctl_set("kernel/modules_disabled", "0");
	sysctl_set("kernel/modules_disabled", "1");
	/* kernel.sysctl_writes_strict */
	sysctl_set_at("vm/swappiness", "50", 1);
	sysctl_set("kernel/sysctl_writes_strict", "0");
	sysctl_set_at("vm/swappiness", "50", 1);
	sysctl_set("kernel/sysctl_writes_strict", "1");
}

static void
powerless(void)
{
	int fd = open("/proc/sys/vm/swappiness", O_WRONLY);

	keep_caps(~(1ULL << CAP_SYS_ADMIN));
	SHOW(write(fd, "9", 1));
	SHOW(sysctl_put("kernel/threads-max", "100"));
	SHOW(sysctl_put("kernel/core_pattern", "x"));
	SHOW(sysctl_put("kernel/seccomp/actions_logged", "log"));
	SHOW(sysctl_put("fs/nr_open", "64"));
	if (setresuid(1000, 1000, 1000))
		perror("setresuid");
	SHOW(sysctl_put("vm/swappiness", "9"));
}

/* In a user namespace of one's own one has all capabilities, but not over these. */
static void
elsewhere(void)
{
	int fd = open("/proc/sys/vm/swappiness", O_WRONLY);

	SHOW(unshare(CLONE_NEWUSER));
	SHOW(write(fd, "9", 1));
	printf("%u %u\n", getuid(), getgid());
	sysctl_set("vm/swappiness", "9");
}

static void
threads(void)
{
	pid_t made[100];
	int n = 0;

	sysctl_set("kernel/threads-max", "20");
	while (n < 100 && (made[n] = fork()) >= 0) {
		if (made[n] == 0) {
			pause();
			_exit(0);
		}
		n++;
	}
	printf("%s, %s\n", n > 0 && n < 20 ? "some" : "no or too many", strerrorname_np(errno));
	while (n > 0) {
		kill(made[--n], SIGKILL);
		waitpid(made[n], NULL, 0);
	}
}

static void
descriptors(void)
{
	struct rlimit l = {64, 65};
	int fd = 0, last = -1;

	sysctl_set("fs/nr_open", "64");
	SHOW(setrlimit(RLIMIT_NOFILE, &l));
	while ((fd = dup(0)) >= 0)
		last = fd;
	printf("%s, last %d\n", strerrorname_np(errno), last);
	SHOW(fcntl(0, F_DUPFD, 70));
	SHOW(dup2(0, 70));
	close(last);
	sysctl_set("fs/nr_open", "1048576");
	SHOW(dup2(0, 70));
	SHOW(strncmp(sysctl_get("fs/file-nr"), "0\t", 2) != 0);
	sysctl_set("fs/file-max", "1");
	WORKS(fd = open("/", O_RDONLY));
	close(fd);
	keep_caps(~(1ULL << CAP_SYS_ADMIN));
	SHOW(open("/", O_RDONLY));
	SHOW(epoll_create1(0));
}

static void
areas(void)
{
	char *p;
	int i;

	sysctl_set("vm/max_map_count", "100");
	p = mmap(NULL, 400 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 200 && mprotect(p + 2 * i * 4096, 4096, PROT_NONE) == 0; i++)
		;
	printf("%s, %s\n", i > 10 && i < 100 ? "some" : "no or too many", strerrorname_np(errno));
	sysctl_set("vm/max_map_count", "65530");
	SHOW(mprotect(p + 2 * i * 4096, 4096, PROT_NONE));
	SHOW(sysctl_put("vm/max_map_count", "65531"));
	sysctl_set("vm/mmap_min_addr", "4096");
	sysctl_set("vm/mmap_min_addr", "131072");
	keep_caps(~(1ULL << CAP_SYS_RAWIO));
	SHOW(mmap((void *)65536, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(mmap((void *)131072, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(sysctl_put("vm/mmap_min_addr", "65536"));
}

static void
pipes(void)
{
	int p[2];

	if (pipe(p))
		perror("pipe");
	sysctl_set("fs/pipe-max-size", "8192");
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 16384));
	keep_caps(~(1ULL << CAP_SYS_RESOURCE));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 32768));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 8192));
}

static void
touch(const char *name, int mode, uid_t uid)
{
	if (mknod(name, (mode_t)mode, 0) || chmod(name, (mode_t)(mode & 07777)) ||
		chown(name, uid, 0))
		perror(name);
}

/* Users 1000 (who looks), 1001 (whose files they are), and root (whose directory it is). */
static void
as_user(const char *what)
{
	printf("%s:\n", what);
	setfsuid(1000);
	SHOW(link("regular", "name"));
	SHOW(access("symlink", R_OK) ? -1 : 0);
	SHOW(open("regular", O_RDWR | O_CREAT, 0666) < 0 ? -1 : 0);
	SHOW(open("fifo", O_RDWR | O_CREAT, 0666) < 0 ? -1 : 0);
	SHOW(open("regular", O_RDWR) < 0 ? -1 : 0);
	setfsuid(0);
	unlink("name");
}

static void
sticky(void)
{
	if (mkdir("sticky", 0777) || chmod("sticky", 01777) || chdir("sticky") ||
		symlink("regular", "symlink"))
		perror("sticky");
	touch("regular", S_IFREG | 0604, 1001);
	touch("fifo", S_IFIFO | 0666, 1001);
	if (lchown("symlink", 1001, 0))
		perror("symlink");
	as_user("as it is");
	chmod("regular", 0666);
	as_user("writable");
	sysctl_set("fs/protected_hardlinks", "0");
	sysctl_set("fs/protected_symlinks", "0");
	sysctl_set("fs/protected_regular", "0");
	sysctl_set("fs/protected_fifos", "0");
	as_user("all off");
	sysctl_set("fs/protected_regular", "1");
	sysctl_set("fs/protected_fifos", "1");
	if (chown(".", 0, 1000) || chmod(".", 01775))
		perror("sticky");
	setfsgid(1000);
	as_user("of a group, 1");
	sysctl_set("fs/protected_regular", "2");
	sysctl_set("fs/protected_fifos", "2");
	as_user("of a group, 2");
	sysctl_set("fs/protected_hardlinks", "1");
	sysctl_set("fs/protected_symlinks", "1");
	sysctl_set("fs/protected_fifos", "1");
}

static int
ring(void)
{
	struct io_uring_params p = {0};

	return (int)syscall(SYS_io_uring_setup, 4, &p);
}

static void
rings(void)
{
	gid_t group = 77;

	sysctl_set("kernel/io_uring_disabled", "2");
	SHOW(ring());
	sysctl_set("kernel/io_uring_disabled", "1");
	WORKS(ring());
	sysctl_set("kernel/io_uring_group", "77");
	keep_caps(~(1ULL << CAP_SYS_ADMIN));
	SHOW(ring());
	SHOW(syscall(SYS_setgroups, 1, &group));
	WORKS(ring());
}

static void
counts(void)
{
	struct epoll_event ev = {EPOLLIN, {0}};
	aio_context_t aio = 0;
	int ep = epoll_create1(0), p[2];

	sysctl_set("fs/aio-max-nr", "10");
	SHOW(syscall(SYS_io_setup, 11, &aio));
	SHOW(syscall(SYS_io_setup, 10, &aio));
	printf("aio-nr %s\n", sysctl_get("fs/aio-nr"));
	SHOW(syscall(SYS_io_destroy, aio));
	SHOW(sysctl_put("fs/aio-max-nr", "65537"));
	sysctl_set("fs/aio-max-nr", "65536");
	sysctl_set("fs/epoll/max_user_watches", "1");
	if (pipe(p))
		perror("pipe");
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev));
	sysctl_set("fs/epoll/max_user_watches", "1000000");
	sysctl_set("fs/inotify/max_user_watches", "1");
	sysctl_set("fs/inotify/max_user_instances", "1");
	ep = inotify_init1(0);
	SHOW(inotify_init1(0));
	SHOW(inotify_add_watch(ep, "/", IN_CREATE));
	SHOW(inotify_add_watch(ep, "/proc", IN_CREATE));
	sysctl_set("user/max_inotify_watches", "65536");
	printf("watches %s\n", sysctl_get("fs/inotify/max_user_watches"));
	SHOW(sysctl_put("fs/inotify/max_user_instances", "129"));
	sysctl_set("fs/inotify/max_user_instances", "128");
	sysctl_set("fs/mount-max", "1");
	SHOW(mount("none", "/tmp", "tmpfs", 0, NULL));
	sysctl_set("fs/mount-max", "100000");
	sysctl_set("kernel/pty/max", "1024");
	SHOW(open("/dev/ptmx", O_RDWR));
	sysctl_set("kernel/pty/max", "4096");
	WORKS(open("/dev/ptmx", O_RDWR));
}

static void
others(void)
{
	struct sched_param sp = {1};
	struct timespec ts = {0};

	sysctl_set("kernel/sched_rr_timeslice_ms", "20");
	SHOW(sched_setscheduler(0, SCHED_RR, &sp));
	SHOW(sched_rr_get_interval(0, &ts));
	printf("%ld\n", ts.tv_nsec);
	sysctl_set("kernel/sched_rr_timeslice_ms", "0");
	sysctl_set("kernel/overflowuid", "65536");
	sysctl_set("kernel/overflowuid", "4000");
	sysctl_set("fs/suid_dumpable", "1");
	SHOW(klogctl(8, NULL, 5));
	printf("printk %s\n", sysctl_get("kernel/printk"));
	SHOW(klogctl(6, NULL, 0));
	printf("printk %s\n", sysctl_get("kernel/printk"));
	SHOW(klogctl(7, NULL, 0));
	printf("printk %s\n", sysctl_get("kernel/printk"));
	sysctl_set("kernel/dmesg_restrict", "0");
	SHOW(unshare(CLONE_NEWUSER));
	SHOW(getuid());
	SHOW(klogctl(10, NULL, 0) > 0);
	SHOW(klogctl(9, NULL, 0));
}

static void
dumpable(void)
{
	SHOW(setresuid(1000, 1000, 0));
	SHOW(prctl(PR_GET_DUMPABLE));
}

/* Where things are in a program that is begun anew. */
static void
where(const char *self, char *ret)
{
	int p[2], status;
	ssize_t n;

	if (pipe(p))
		perror("pipe");
	if (fork() == 0) {
		dup2(p[1], 1);
		execl(self, self, "where", NULL);
		_exit(127);
	}
	close(p[1]);
	n = read(p[0], ret, 127);
	ret[n > 0 ? n : 0] = 0;
	close(p[0]);
	wait(&status);
}

static void
places(const char *self)
{
	char a[128], b[128];
	unsigned long first, second;

	where(self, a);
	where(self, b);
	printf("apart: %d\n", strcmp(a, b) != 0);
	sysctl_set("kernel/randomize_va_space", "0");
	where(self, a);
	where(self, b);
	printf("apart: %d\n", strcmp(a, b) != 0);
	if (sscanf(a, "%*p %*p %lx %lx", &first, &second) == 2)
		printf("upwards: %d\n", second > first);
	sysctl_set("vm/legacy_va_layout", "1");
	where(self, a);
	if (sscanf(a, "%*p %*p %lx %lx", &first, &second) == 2)
		printf("low: %d\n", first < 0x500000000000);
	sysctl_set("vm/legacy_va_layout", "0");
	sysctl_set("kernel/randomize_va_space", "2");
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "where")) {
		char *one = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *two = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		printf("%p %p %lx %lx\n", (void *)&argc, sbrk(0), (long)one, (long)two);
		return 0;
	}
	if (argc < 2) {
		look();
		return 0;
	}
	in_child("parsing", parsing);
	in_child("powerless", powerless);
	in_child("elsewhere", elsewhere);
	in_child("descriptors", descriptors);
	sysctl_set("fs/file-max", "9223372036854775807");
	in_child("areas", areas);
	in_child("pipes", pipes);
	sysctl_set("fs/pipe-max-size", "1048576");
	in_child("sticky", sticky);
	in_child("rings", rings);
	sysctl_set("kernel/io_uring_disabled", "0");
	in_child("counts", counts);
	in_child("others", others);
	in_child("dumpable", dumpable);
	places(argv[0]);
	in_child("threads", threads);
	return 0;
}
