/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny server of functions: each HTTP request runs a program of a directory in a sandbox of its
 * own. See README.md in this folder.
 *
 *	funcd [-p PORT] [-t CPU-MS] DIRECTORY
 *
 * /NAME runs DIRECTORY/NAME. What was posted is its standard input, what it prints is the answer,
 * and how it ended is the status. Requests are served side by side, a thread for each.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <moat/run.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MIB		(1024ULL * 1024)
#define HEAD_MAX	8192
#define BODY_MAX	(1 * MIB)
#define REQUESTS_MAX	32 /* at the same time; more are told to come again */
#define RECEIVE_SECONDS 10
#define LINGER_SECONDS	1
#define WALL_FACTOR	2 /* of the CPU time, for functions that wait */

static struct moat_limits limits = {.cpu_ms = 1000,
	.memory_bytes = 64 * MIB,
	.processes = 32,
	.output_bytes = 4 * MIB,
	.file_bytes = 16 * MIB};

static char directory[PATH_MAX];
static _Atomic int active;

struct request {
	char method[8], name[64], query[1200];
	char *body;
	size_t len;
};

static void
send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void
reply(int fd, int status, const char *reason, const char *body, size_t len)
{
	char head[256];
	int n = snprintf(head, sizeof head,
		"HTTP/1.1 %d %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
		reason, len);

	send_all(fd, head, (size_t)n);
	send_all(fd, body, len);
}

static int
reply_error(int fd, int status, const char *reason)
{
	char body[128];
	int n = snprintf(body, sizeof body, "%s\n", reason);

	reply(fd, status, reason, body, (size_t)n);
	return -1;
}

/* The head of a request up to the empty line, and what came of the body with it. */
static ssize_t
read_head(int fd, char *buf, size_t cap, char **ret_body)
{
	size_t len = 0;

	while (len < cap - 1) {
		ssize_t n = recv(fd, buf + len, cap - 1 - len, 0);

		if (n <= 0)
			return -1;
		len += (size_t)n;
		buf[len] = 0;
		*ret_body = strstr(buf, "\r\n\r\n");
		if (*ret_body) {
			*ret_body += 4;
			return (ssize_t)len;
		}
	}
	return -1;
}

/* A header's value, of one that ends with the line; NULL: there is none. */
static const char *
header(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':')
			return line + 3 + n + strspn(line + 3 + n, " \t");
	return NULL;
}

/* Letters, digits, '-', '_' and '.', the last one not first: no way out of the directory. */
static bool
name_ok(const char *s)
{
	if (!isalnum((unsigned char)s[0]))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	return true;
}

static int
receive(int fd, struct request *q)
{
	char head[HEAD_MAX], target[1200], *body, *mark;
	ssize_t len = read_head(fd, head, sizeof head, &body);
	const char *v;
	size_t have;

	if (len < 0 || sscanf(head, "%7[A-Z] %1199[^ \r\n] HTTP/1.", q->method, target) != 2 ||
		target[0] != '/')
		return reply_error(fd, 400, "Bad Request");
	if (strcmp(q->method, "GET") != 0 && strcmp(q->method, "POST") != 0)
		return reply_error(fd, 405, "Method Not Allowed");
	mark = strchr(target, '?');
	if (mark)
		*mark++ = 0;
	if (strlen(target) > sizeof q->name || !name_ok(target + 1))
		return reply_error(fd, 404, "Not Found");
	memcpy(q->name, target + 1, strlen(target)); /* with its end */
	snprintf(q->query, sizeof q->query, "%s", mark ? mark : "");
	body[-1] = 0; /* the headers end */
	if (header(head, "Transfer-Encoding"))
		return reply_error(fd, 411, "Length Required");
	v = header(head, "Content-Length");
	if (v && (!isdigit((unsigned char)*v) || strspn(v, "0123456789") > 9))
		return reply_error(fd, 400, "Bad Request");
	q->len = v ? strtoul(v, NULL, 10) : 0;
	if (q->len > BODY_MAX)
		return reply_error(fd, 413, "Content Too Large");
	q->body = malloc(q->len + 1);
	if (!q->body)
		return reply_error(fd, 503, "Service Unavailable");
	have = (size_t)(head + len - body);
	if (have > q->len)
		have = q->len;
	memcpy(q->body, body, have);
	while (have < q->len) {
		ssize_t n = recv(fd, q->body + have, q->len - have, 0);

		if (n <= 0)
			return -1;
		have += (size_t)n;
	}
	return 0;
}

/* The function's directory and what scripts need of this machine, all read-only. */
static size_t
mounts_of(struct moat_mount *m)
{
	static const char *const parts[] = {"/usr", "/bin", "/lib", "/lib64", "/etc/alternatives"};
	size_t n = 0;

	m[n++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS, .target = "/"};
	m[n++] = (struct moat_mount){.kind = MOAT_MOUNT_PROC, .target = "/proc"};
	m[n++] = (struct moat_mount){.kind = MOAT_MOUNT_DEV, .target = "/dev"};
	m[n++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS, .target = "/tmp"};
	m[n++] = (struct moat_mount){.kind = MOAT_MOUNT_HOST,
		.source = directory,
		.target = "/functions",
		.flags = MS_RDONLY,
		.shared = true};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (access(parts[i], F_OK) == 0)
			m[n++] = (struct moat_mount){.kind = MOAT_MOUNT_HOST,
				.source = parts[i],
				.target = parts[i],
				.flags = MS_RDONLY};
	return n;
}

static void
answer(int fd, const struct request *q, const struct moat_result *r)
{
	switch (r->verdict) {
	case MOAT_OK:
		reply(fd, 200, "OK", r->out, r->out_bytes);
		break;
	case MOAT_LIMIT_CPU:
	case MOAT_LIMIT_WALL:
		reply_error(fd, 504, "Gateway Timeout");
		break;
	case MOAT_LIMIT_MEMORY:
	case MOAT_LIMIT_FILE:
		reply_error(fd, 507, "Insufficient Storage");
		break;
	case MOAT_LIMIT_OUTPUT:
		reply_error(fd, 502, "Bad Gateway");
		break;
	default:
		reply_error(fd, 500, "Internal Server Error");
	}
	fprintf(stderr, "funcd: %s %s: %s, %llu ms\n", q->method, q->name,
		moat_verdict_name(r->verdict), (unsigned long long)r->usage.wall_ns / 1000000);
}

static void
run(int fd, const struct request *q)
{
	char path[PATH_MAX + 80], program[80], method[32], query[1300];
	const char *args[] = {program, NULL};
	const char *env[] = {"PATH=/usr/bin:/bin", method, query, NULL};
	struct moat_io io = {.input = q->body, .input_bytes = q->len};
	struct moat_mount mounts[16];
	struct moat_config c;
	struct moat_result r;
	struct moat_error err;
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", directory, q->name);
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
		reply_error(fd, 404, "Not Found");
		return;
	}
	snprintf(program, sizeof program, "/functions/%s", q->name);
	snprintf(method, sizeof method, "REQUEST_METHOD=%s", q->method);
	snprintf(query, sizeof query, "QUERY_STRING=%s", q->query);
	moat_config_init(&c);
	c.args = args;
	c.env = env;
	c.cwd = "/tmp";
	c.mounts = mounts;
	c.nmounts = mounts_of(mounts);
	c.uid = geteuid();
	c.gid = getegid();
	c.libexec = getenv("MOAT_LIBEXEC"); /* NULL: as installed */
	if (moat_run(&c, &limits, &io, &r, &err) < 0) {
		fprintf(stderr, "funcd: %s: %s\n", q->name, err.text);
		reply_error(fd, err.exec ? 500 : 503,
			err.exec ? "Internal Server Error" : "Service Unavailable");
		return;
	}
	answer(fd, q, &r);
	moat_result_free(&r);
}

/* What came and was not read would make the kernel reset the connection, and the answer be lost
 * with it (RFC 9112, 9.6). wait: until the other side is done, for a while. */
static void
finish(int fd, bool wait)
{
	struct timeval patience = {.tv_sec = LINGER_SECONDS};
	time_t until = time(NULL) + 2 * LINGER_SECONDS;
	char buf[4096];

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (shutdown(fd, SHUT_WR) == 0)
		while (recv(fd, buf, sizeof buf, wait ? 0 : MSG_DONTWAIT) > 0 &&
			time(NULL) <= until)
			;
	close(fd);
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct timeval patience = {.tv_sec = RECEIVE_SECONDS};
	struct request q = {.body = NULL};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (receive(fd, &q) == 0)
		run(fd, &q);
	free(q.body);
	finish(fd, true);
	atomic_fetch_sub(&active, 1);
	return NULL;
}

static int
listen_on(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof a;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
		bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 128) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		fprintf(stderr, "funcd: cannot listen on port %d: %s\n", port, strerror(errno));
		exit(1);
	}
	printf("listening on http://127.0.0.1:%d/\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int
main(int argc, char **argv)
{
	int port = 8080, opt, sock;
	pthread_attr_t detached;

	while ((opt = getopt(argc, argv, "p:t:")) > 0) {
		if (opt == 'p')
			port = atoi(optarg);
		else
			limits.cpu_ms = opt == 't' ? strtoull(optarg, NULL, 10) : 0;
	}
	limits.wall_ms = limits.cpu_ms * WALL_FACTOR;
	if (port < 0 || !limits.cpu_ms || port > 65535 || argc - optind != 1 ||
		!realpath(argv[optind], directory)) {
		fprintf(stderr, "usage: funcd [-p PORT] [-t CPU-MS] DIRECTORY\n");
		return 2;
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sock = listen_on(port);
	for (;;) {
		int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
		pthread_t t;

		if (fd < 0)
			continue;
		if (atomic_fetch_add(&active, 1) >= REQUESTS_MAX ||
			pthread_create(&t, &detached, serve, (void *)(intptr_t)fd) != 0) {
			atomic_fetch_sub(&active, 1);
			reply_error(fd, 503, "Service Unavailable");
			finish(fd, false);
		}
	}
}
