/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory the children of a process have, from /proc (proc_pid_statm(5),
 * proc_pid_smaps(5)). As the rest of the keeper: no errno, no libc.
 */
#include "keeper_run.h"
#include "platform/host/raw.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/sysinfo.h>

#define PTR(p)	 ((uint64_t)(uintptr_t)(p))
#define PAGE	 4096
#define KIB	 1024
#define PATH_CAP 64
#define CHUNK	 4096
#define TEXT_CAP 4096 /* of status and smaps_rollup, which are shorter */
/* Page tables are memory too, of which the host has 8 bytes for each page of address space at most:
 * they are counted where they may come to more than so many bytes. */
#define SMALL_TABLES (128 * KIB)

struct path {
	char text[PATH_CAP];
	unsigned len;
};

static void
path_add(struct path *p, const char *s)
{
	while (*s && p->len < PATH_CAP - 1)
		p->text[p->len++] = *s++;
	p->text[p->len] = 0;
}

static void
path_of(struct path *p, int pid)
{
	char digits[12];
	unsigned n = sizeof digits - 1;

	digits[n] = 0;
	for (unsigned v = (unsigned)pid; n > 0 && (v || n == sizeof digits - 1); v /= 10)
		digits[--n] = (char)('0' + v % 10);
	p->len = 0;
	path_add(p, "/proc/");
	path_add(p, digits + n);
}

static int
open_read(const struct path *p)
{
	return (int)host_call4(
		SYS_openat, AT_FDCWD, PTR(p->text), O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
}

/* The whole text of a file in a directory, with a NUL behind; -errno. */
static int
read_text(const struct path *dir, const char *name, char *buf, unsigned cap)
{
	struct path p = *dir;
	unsigned len = 0;
	long n = 1;
	int fd;

	path_add(&p, name);
	fd = open_read(&p);
	if (fd < 0)
		return fd;
	while (n > 0 && len < cap - 1) {
		n = host_call3(SYS_read, fd, PTR(buf + len), cap - 1 - len);
		if (n > 0)
			len += (unsigned)n;
	}
	(void)host_call1(SYS_close, fd);
	buf[len] = 0;
	return n < 0 ? (int)n : 0;
}

static const char *
number(const char *s, int64_t *ret)
{
	int64_t v = 0;

	while (*s == ' ' || *s == '\t')
		s++;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	*ret = v;
	return s;
}

/* The value of a line "NAME:   N kB", in bytes; -1: there is no such line. */
static int64_t
field(const char *text, const char *name)
{
	for (const char *line = text; *line; line++) {
		unsigned i = 0;
		int64_t v;

		while (name[i] && line[i] == name[i])
			i++;
		if (!name[i] && line[i] == ':') {
			(void)number(line + i + 1, &v);
			return v * KIB;
		}
		while (*line && *line != '\n')
			line++;
		if (!*line)
			break;
	}
	return -1;
}

/* What is not resident in pages of its own. Who reads where nothing is gets page tables, and pages
 * of zeros that count for nobody. */
static int64_t
other_bytes(const struct path *process)
{
	char text[TEXT_CAP];
	int64_t tables, swap;

	if (read_text(process, "/status", text, sizeof text) < 0)
		return 0;
	tables = field(text, "VmPTE");
	swap = field(text, "VmSwap");
	return (tables > 0 ? tables : 0) + (swap > 0 ? swap : 0);
}

static bool
host_swaps(void)
{
	struct sysinfo s = {0};

	return host_call1(SYS_sysinfo, PTR(&s)) == 0 && s.totalswap > 0;
}

/* statm: size resident shared ... in pages; shared: of files and of memory files. -errno. */
static int64_t
private_bytes(const struct path *process)
{
	char text[256];
	int64_t size, resident, shared, other = 0;
	int r = read_text(process, "/statm", text, sizeof text);

	if (r < 0)
		return r;
	(void)number(number(number(text, &size), &resident), &shared);
	if (size * 8 > SMALL_TABLES || host_swaps())
		other = other_bytes(process);
	return other + (resident > shared ? (resident - shared) * PAGE : 0);
}

static int64_t
exact_bytes(const struct path *process)
{
	char text[TEXT_CAP];
	int64_t anon, swap, tables;

	if (read_text(process, "/smaps_rollup", text, sizeof text) < 0 ||
		(anon = field(text, "Pss_Anon")) < 0)
		return private_bytes(process);
	swap = field(text, "SwapPss");
	tables = read_text(process, "/status", text, sizeof text) < 0 ? 0 : field(text, "VmPTE");
	return anon + (swap > 0 ? swap : 0) + (tables > 0 ? tables : 0);
}

/* The mark counts pages of files too; how many there were then, nobody knows any more. Those of now
 * are at least as many, as long as the process unmaps none: the answer errs to its favour. */
static int64_t
peak_bytes(const struct path *process)
{
	char text[TEXT_CAP];
	int64_t high, file, shmem, tables;
	int r = read_text(process, "/status", text, sizeof text);

	if (r < 0)
		return r;
	high = field(text, "VmHWM");
	file = field(text, "RssFile");
	shmem = field(text, "RssShmem");
	tables = field(text, "VmPTE");
	high += (tables > 0 ? tables : 0) - (file > 0 ? file : 0) - (shmem > 0 ? shmem : 0);
	return high > 0 ? high : 0;
}

static int64_t
bytes_of(const struct path *process, enum meter_question what)
{
	switch (what) {
	case METER_EXACT:
		return exact_bytes(process);
	case METER_PEAK:
		return peak_bytes(process);
	default:
		return private_bytes(process);
	}
}

struct dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Of a process whose first thread has ended: its other threads have the memory. */
static int64_t
bytes_of_threads(const struct path *process, enum meter_question what)
{
	_Alignas(8) char buf[CHUNK];
	struct path dir = *process;
	int64_t v = 0;
	long n;
	int fd;

	path_add(&dir, "/task/");
	fd = open_read(&dir);
	while (fd >= 0 && v <= 0 && (n = host_call3(SYS_getdents64, fd, PTR(buf), sizeof buf)) > 0)
		for (long i = 0; i < n && v <= 0;) {
			const struct dirent64 *e = (const void *)(buf + i);
			struct path thread = dir;

			i += e->len;
			if (e->name[0] == '.')
				continue;
			path_add(&thread, e->name);
			v = bytes_of(&thread, what);
		}
	if (fd >= 0)
		(void)host_call1(SYS_close, fd);
	return v;
}

static void
measure(int pid, enum meter_question what, struct meter_answer *a)
{
	struct path p;
	int64_t v;

	path_of(&p, pid);
	v = bytes_of(&p, what);
	if (v == 0)
		v = bytes_of_threads(&p, what);
	if (v < 0) /* it has ended */
		return;
	a->children += v > 0;
	if (what == METER_PEAK)
		a->bytes = v > a->bytes ? v : a->bytes;
	else
		a->bytes += v;
}

/* All numbers in a list of children. */
static int
each_child(const struct path *list, enum meter_question what, struct meter_answer *a)
{
	char buf[CHUNK];
	int fd = open_read(list), pid = 0;
	long n = fd;

	if (fd < 0)
		return fd == -ENOENT && what != METER_START ? 0 : fd; /* a thread that has ended */
	while ((n = host_call3(SYS_read, fd, PTR(buf), sizeof buf)) > 0)
		for (long i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				pid = pid * 10 + (buf[i] - '0');
			} else if (pid) {
				measure(pid, what, a);
				pid = 0;
			}
		}
	if (pid)
		measure(pid, what, a);
	(void)host_call1(SYS_close, fd);
	return (int)n;
}

void
keeper_measure(int pid, int what, struct meter_answer *a)
{
	_Alignas(8) char buf[CHUNK];
	struct path p;
	long n, r = 0;
	int fd;

	path_of(&p, pid);
	a->bytes = 0;
	a->children = 0;
	a->own_bytes = private_bytes(&p);
	path_add(&p, "/task");
	fd = open_read(&p);
	n = fd;
	while (fd >= 0 && r == 0 && (n = host_call3(SYS_getdents64, fd, PTR(buf), sizeof buf)) > 0)
		for (long i = 0; i < n && r == 0;) {
			const struct dirent64 *e = (const void *)(buf + i);
			struct path list = p;

			i += e->len;
			if (e->name[0] == '.')
				continue;
			path_add(&list, "/");
			path_add(&list, e->name);
			path_add(&list, "/children");
			r = each_child(&list, (enum meter_question)what, a);
		}
	if (fd >= 0)
		(void)host_call1(SYS_close, fd);
	if (n < 0 || r < 0 || a->own_bytes < 0)
		a->bytes = n < 0 ? n : r < 0 ? r : a->own_bytes;
}
