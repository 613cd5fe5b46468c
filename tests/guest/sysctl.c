/* SPDX-License-Identifier: Apache-2.0 */
/* Values of /proc/sys that belong to a namespace, in namespaces of the test's own: what can be
 * written by whom, and what it does. */
#include "sysctl_file.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Nothing of the host's may be changed: a namespace that is another one than before. */
static void
own(int flag, const char *link)
{
	struct stat before, after;

	if (stat(link, &before) || unshare(flag) || stat(link, &after)) {
		perror(link);
		exit(1);
	}
	if (before.st_ino == after.st_ino)
		exit(1);
}

static void
lo_up(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
}

static void
values(void)
{
	static const char *const shown[] = {"net/core/somaxconn", "net/ipv4/ip_local_port_range",
		"net/ipv4/ip_local_reserved_ports", "net/ipv4/ip_default_ttl",
		"net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range",
		"net/ipv4/tcp_fin_timeout", "net/ipv4/tcp_keepalive_time",
		"net/ipv4/tcp_keepalive_intvl", "net/ipv4/tcp_keepalive_probes",
		"net/ipv4/tcp_syncookies", "net/ipv6/bindv6only", "net/unix/max_dgram_qlen",
		"net/ipv6/conf/lo/disable_ipv6"};
	struct stat st;

	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		char path[128];

		snprintf(path, sizeof path, "/proc/sys/%s", shown[i]);
		SHOW(stat(path, &st));
		printf("%s %o %u: %s\n", shown[i], st.st_mode, st.st_uid, sysctl_get(shown[i]));
	}
	SHOW(chmod("/proc/sys/net/core/somaxconn", 0666));
	SHOW(chown("/proc/sys/net/core/somaxconn", 1, 1));
	SHOW(chmod("/proc/sys/kernel/shmmax", 0666));
	sysctl_set("net/core/somaxconn", "10\n");
	sysctl_set("net/core/somaxconn", " \t 11 \n");
	sysctl_set("net/core/somaxconn", "12 13\n");
	sysctl_set("net/core/somaxconn", "0x10");
	sysctl_set("net/core/somaxconn", "010");
	sysctl_set("net/core/somaxconn", "-1");
	sysctl_set("net/core/somaxconn", "2147483648");
	sysctl_set("net/core/somaxconn", "99999999999999999999999999");
	sysctl_set("net/core/somaxconn", "many");
	sysctl_set("net/core/somaxconn", "7x");
	sysctl_set("net/core/somaxconn", "- 7");
	sysctl_set("net/core/somaxconn", "\n");
	sysctl_set("net/ipv4/ip_default_ttl", "0");
	sysctl_set("net/ipv4/ip_default_ttl", "256");
	sysctl_set("net/ipv4/ip_default_ttl", "255");
	sysctl_set("net/ipv4/tcp_rmem", "4096 65536 1000000");
	sysctl_set("net/ipv4/tcp_rmem", "8192");
	sysctl_set("net/ipv4/tcp_rmem", "0 1 2");
	sysctl_set("net/ipv4/tcp_wmem", "4096\t65536\t1000000\n");
	sysctl_set("net/ipv4/ip_local_port_range", "40000 40010");
	sysctl_set("net/ipv4/ip_local_port_range", "40000 39999");
	sysctl_set("net/ipv4/ip_local_port_range", "41000");
	sysctl_set("net/ipv4/ip_local_port_range", "0 100");
	sysctl_set("net/ipv4/ip_local_port_range", "100 65536");
	sysctl_set("net/ipv4/ip_unprivileged_port_start", "40001");
	sysctl_set("net/ipv4/ip_unprivileged_port_start", "40000");
	sysctl_set("net/ipv4/ip_local_port_range", "39999 50000");
	sysctl_set("net/ipv4/ip_unprivileged_port_start", "0");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "8080,9148-9150,9151\n");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "5-3");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "65536");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "1 2");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "65535,0-1");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "\n");
	sysctl_set("net/ipv4/ping_group_range", "5 10");
	sysctl_set("net/ipv4/ping_group_range", "10 5");
	sysctl_set("net/ipv4/ping_group_range", "0 4294967295");
	sysctl_set("net/ipv4/tcp_keepalive_probes", "256");
	sysctl_set("net/ipv4/tcp_keepalive_probes", "8");
	sysctl_set("net/ipv4/tcp_keepalive_time", "2000000");
	sysctl_set("net/ipv4/tcp_fin_timeout", "30");
	sysctl_set("net/ipv4/tcp_syncookies", "0");
	sysctl_set("net/ipv4/tcp_tw_reuse", "3");
	sysctl_set("net/ipv4/tcp_syn_retries", "0");
	sysctl_set("net/ipv4/ip_forward", "1");
	printf("lo forwards: %s\n", sysctl_get("net/ipv4/conf/lo/forwarding"));
	sysctl_set("net/ipv4/conf/all/forwarding", "0");
	printf("forwards: %s\n", sysctl_get("net/ipv4/ip_forward"));
	sysctl_set("net/ipv4/conf/lo/rp_filter", "2");
	printf("all: %s\n", sysctl_get("net/ipv4/conf/all/rp_filter"));
	sysctl_set("net/ipv6/conf/all/forwarding", "1");
	printf("default, lo: %s ", sysctl_get("net/ipv6/conf/default/forwarding"));
	printf("%s\n", sysctl_get("net/ipv6/conf/lo/forwarding"));
	sysctl_set("net/ipv6/conf/default/hop_limit", "0");
	sysctl_set("net/ipv4/conf/all/mc_forwarding", "1");
}

/* A file is of the namespace in which it was opened, for reading and writing, and who writes needs
 * the right when it does. */
static void
namespaces(void)
{
	int fd, st, old = open("/proc/self/ns/net", O_RDONLY);
	char b[16] = {0};

	sysctl_set("net/core/somaxconn", "77");
	fd = open("/proc/sys/net/core/somaxconn", O_RDWR);
	own(CLONE_NEWNET, "/proc/self/ns/net");
	printf("new: %s\n", sysctl_get("net/core/somaxconn"));
	SHOW(pread(fd, b, sizeof b, 0));
	printf("old: %s", b);
	SHOW(pwrite(fd, "78", 2, 0));
	SHOW(pwrite(fd, "79", 2, 1));
	printf("new: %s\n", sysctl_get("net/core/somaxconn"));
	SHOW(setns(old, CLONE_NEWNET));
	printf("old: %s\n", sysctl_get("net/core/somaxconn"));
	if (!fork()) {
		SHOW(setgid(5));
		SHOW(setuid(5));
		SHOW(open("/proc/sys/net/core/somaxconn", O_WRONLY));
		SHOW(access("/proc/sys/net/core/somaxconn", R_OK));
		SHOW(access("/proc/sys/net/core/somaxconn", W_OK));
		SHOW(pwrite(fd, "80", 2, 0));
		printf("%s\n", sysctl_get("net/core/somaxconn"));
		/* Who rules a network of its own may; not what it came from. */
		SHOW(unshare(CLONE_NEWUSER));
		SHOW(sysctl_put("net/core/somaxconn", "81"));
		own(CLONE_NEWNET, "/proc/self/ns/net");
		SHOW(sysctl_put("net/core/somaxconn", "81"));
		printf("%s\n", sysctl_get("net/core/somaxconn"));
		SHOW(pwrite(fd, "82", 2, 0));
		SHOW(sysctl_put("net/ipv4/ping_group_range", "0 10"));
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	SHOW(st);
	printf("old: %s\n", sysctl_get("net/core/somaxconn"));
	close(fd);
	close(old);
}

static int
option(int s, int level, int opt)
{
	int v = -1;
	socklen_t len = sizeof v;

	return getsockopt(s, level, opt, &v, &len) ? -1 : v;
}

static int
bind_to(int s, const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return bind(s, (struct sockaddr *)&a, sizeof a);
}

static int
port_of(int s)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;

	return getsockname(s, (struct sockaddr *)&a, &len) ? -1 : ntohs(a.sin_port);
}

static void
ports(void)
{
	int s[4], seen[3];

	lo_up();
	sysctl_set("net/ipv4/ip_local_port_range", "50001 50004");
	sysctl_set("net/ipv4/ip_local_reserved_ports", "50002");
	for (int i = 0; i < 4; i++) {
		s[i] = socket(AF_INET, SOCK_DGRAM, 0);
		WORKS(bind_to(s[i], "127.0.0.1", 0));
		if (i < 3)
			seen[i] = port_of(s[i]);
	}
	for (int i = 0; i < 3; i++)
		TRUE(seen[i] == 50001 || seen[i] == 50003 || seen[i] == 50004);
	SHOW(bind_to(s[3], "127.0.0.1", 50002)); /* reserved is not forbidden */
	for (int i = 0; i < 4; i++)
		close(s[i]);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind_to(s[0], "10.9.8.7", 0));
	sysctl_set("net/ipv4/ip_nonlocal_bind", "1");
	SHOW(bind_to(s[0], "10.9.8.7", 0));
	close(s[0]);
	sysctl_set("net/ipv4/ip_unprivileged_port_start", "2000");
	if (!fork()) {
		SHOW(setuid(5));
		SHOW(bind_to(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", 1999));
		SHOW(bind_to(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", 2000));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	sysctl_set("net/ipv4/ip_unprivileged_port_start", "80");
	if (!fork()) {
		SHOW(setuid(5));
		SHOW(bind_to(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", 79));
		SHOW(bind_to(socket(AF_INET6, SOCK_STREAM, 0), "127.0.0.1", 79));
		SHOW(bind_to(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", 80));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void
options(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), v = 7200, s6;

	SHOW(setsockopt(b, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof v));
	v = 64;
	SHOW(setsockopt(b, IPPROTO_IP, IP_TTL, &v, sizeof v));
	sysctl_set("net/ipv4/tcp_keepalive_time", "600");
	sysctl_set("net/ipv4/tcp_keepalive_intvl", "10");
	sysctl_set("net/ipv4/tcp_keepalive_probes", "3");
	sysctl_set("net/ipv4/tcp_syn_retries", "2");
	sysctl_set("net/ipv4/ip_default_ttl", "33");
	SHOW(option(a, IPPROTO_TCP, TCP_KEEPIDLE));
	SHOW(option(b, IPPROTO_TCP, TCP_KEEPIDLE));
	SHOW(option(a, IPPROTO_TCP, TCP_KEEPINTVL));
	SHOW(option(a, IPPROTO_TCP, TCP_KEEPCNT));
	SHOW(option(a, IPPROTO_TCP, TCP_SYNCNT));
	SHOW(option(a, IPPROTO_IP, IP_TTL));
	SHOW(option(b, IPPROTO_IP, IP_TTL));
	v = -1;
	SHOW(setsockopt(b, IPPROTO_IP, IP_TTL, &v, sizeof v));
	SHOW(option(b, IPPROTO_IP, IP_TTL));
	sysctl_set("net/ipv6/conf/all/hop_limit", "9");
	s6 = socket(AF_INET6, SOCK_DGRAM, 0);
	SHOW(option(s6, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
	SHOW(option(s6, IPPROTO_IPV6, IPV6_V6ONLY));
	sysctl_set("net/ipv6/bindv6only", "1");
	close(s6);
	s6 = socket(AF_INET6, SOCK_DGRAM, 0);
	SHOW(option(s6, IPPROTO_IPV6, IPV6_V6ONLY));
	close(s6);
	close(a);
	close(b);
}

static void
backlog(void)
{
	int l, c[5], done = 0;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	lo_up();
	sysctl_set("net/core/somaxconn", "1");
	l = socket(AF_INET, SOCK_STREAM, 0);
	bind_to(l, "127.0.0.1", 0);
	SHOW(listen(l, 100));
	a.sin_port = htons((uint16_t)port_of(l));
	for (int i = 0; i < 5; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		done += !connect(c[i], (struct sockaddr *)&a, sizeof a);
		usleep(20000);
	}
	usleep(50000);
	done = 0;
	for (int i = 0; i < 5; i++) {
		struct tcp_info info;
		socklen_t len = sizeof info;

		done += !getsockopt(c[i], IPPROTO_TCP, TCP_INFO, &info, &len) &&
			info.tcpi_state == TCP_ESTABLISHED;
		close(c[i]);
	}
	SHOW(done);
	close(l);
}

static int
fill(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int r = socket(AF_UNIX, SOCK_DGRAM, 0), s = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0),
	    n = 0;
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));

	memcpy(a.sun_path + 1, name, strlen(name));
	if (bind(r, (struct sockaddr *)&a, len))
		return -1;
	while (n < 100000 && sendto(s, "x", 1, 0, (struct sockaddr *)&a, len) == 1)
		n++;
	close(r);
	close(s);
	return n;
}

static void
datagrams(void)
{
	SHOW(fill("one"));
	sysctl_set("net/unix/max_dgram_qlen", "3");
	SHOW(fill("two"));
	sysctl_set("net/unix/max_dgram_qlen", "50");
	SHOW(fill("three"));
	sysctl_set("net/unix/max_dgram_qlen", "1000000");
	TRUE(fill("four") > 51 && fill("five") < 1000);
}

static void
pings(void)
{
	SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	sysctl_set("net/ipv4/ping_group_range", "5 10");
	SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	SHOW(setgid(6));
	WORKS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	WORKS(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
}

/* Does it answer? */
static int
echo(void)
{
	char b[16] = {8};
	struct timeval tv = {0, 200000};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	sendto(s, b, sizeof b, 0, (struct sockaddr *)&a, sizeof a);
	return (int)recv(s, b, sizeof b, 0);
}

static void
echoes(void)
{
	lo_up();
	sysctl_set("net/ipv4/ping_group_range", "0 100");
	SHOW(echo());
	sysctl_set("net/ipv4/icmp_echo_ignore_all", "1");
	SHOW(echo());
	sysctl_set("net/ipv4/icmp_echo_ignore_all", "2");
}

static int
bind6(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int s = socket(AF_INET6, SOCK_DGRAM, 0), r = bind(s, (struct sockaddr *)&a, sizeof a),
	    e = errno;

	close(s);
	errno = e;
	return r;
}

static void
without_ipv6(void)
{
	lo_up();
	SHOW(bind6());
	sysctl_set("net/ipv6/conf/all/disable_ipv6", "1");
	printf("lo: %s\n", sysctl_get("net/ipv6/conf/lo/disable_ipv6"));
	SHOW(bind6());
	sysctl_set("net/ipv6/conf/lo/disable_ipv6", "0");
	SHOW(bind6());
}

static int
exists(int id)
{
	struct shmid_ds ds;

	return !shmctl(id, IPC_STAT, &ds);
}

static int
segment(void)
{
	return shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
}

/* Segments that nobody has go: with the last attachment, or with who made them. */
static void
forced(void)
{
	int id, other, p[2];
	void *at;

	own(CLONE_NEWIPC, "/proc/self/ns/ipc");
	sysctl_set("kernel/shm_rmid_forced", "2");
	sysctl_set("kernel/shm_rmid_forced", "1");
	id = segment();
	SHOW(exists(id)); /* its maker is there */
	at = shmat(id, NULL, 0);
	SHOW(exists(id));
	shmdt(at);
	SHOW(exists(id));
	id = segment();
	SHOW(pipe(p));
	if (!fork()) {
		other = segment();
		write(p[1], &other, sizeof other);
		at = shmat(id, NULL, 0);
		_exit(0);
	}
	read(p[0], &other, sizeof other);
	wait(NULL);
	SHOW(exists(other));
	SHOW(exists(id));
	/* Of one that is attached elsewhere nothing goes. */
	id = segment();
	at = shmat(id, NULL, 0);
	if (!fork())
		_exit(0);
	wait(NULL);
	SHOW(exists(id));
	shmdt(at);
	SHOW(exists(id));
	sysctl_set("kernel/shm_rmid_forced", "0");
	id = segment();
	if (!fork()) {
		other = segment();
		write(p[1], &other, sizeof other);
		_exit(0);
	}
	read(p[0], &other, sizeof other);
	wait(NULL);
	SHOW(exists(other));
	at = shmat(other, NULL, 0);
	shmdt(at);
	SHOW(exists(other));
	sysctl_set("kernel/shm_rmid_forced", "1");
	SHOW(exists(other));
	SHOW(exists(id));
	SHOW(shmctl(id, IPC_RMID, NULL));
}

static void
network(void)
{
	own(CLONE_NEWNET, "/proc/self/ns/net");
}

int
main(void)
{
	static void (*const parts[])(void) = {values, namespaces, ports, options, backlog,
		datagrams, pings, echoes, without_ipv6, forced};
	static const char *const names[] = {"values", "namespaces", "ports", "options", "backlog",
		"datagrams", "pings", "echoes", "without IPv6", "forced"};

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		printf("--- %s\n", names[i]);
		fflush(stdout);
		if (!fork()) {
			network();
			parts[i]();
			fflush(stdout);
			_exit(0);
		}
		wait(NULL);
	}
	return 0;
}
