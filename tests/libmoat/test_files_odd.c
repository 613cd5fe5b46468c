/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual files when something is odd: functions that return nonsense or do not return, programs
 * that are killed while they wait, many open files, races, a kernel that dies.
 */
#include "lib.h"
#include <dirent.h>
#include <moat/files.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

static sem_t in, go; /* a function has begun to block; may go on */
static _Atomic int opened, released, stats, stops;
static char names[64][32]; /* of /race; under lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int program = -1; /* a static program of the host */

static bool
is(const char *path, const char *name)
{
	return strcmp(path, name) == 0;
}

static char *
racer(const char *name)
{
	for (int i = 0; i < 64; i++)
		if (is(names[i], name))
			return names[i];
	return NULL;
}

static int
o_getattr(void *user, const char *path, void *file, struct moat_file_attr *a)
{
	struct stat st;
	int r = 0;

	(void)user, (void)file;
	stats++;
	a->mode = S_IFREG | 0777;
	a->size = 6;
	if (is(path, "/") || is(path, "/race") || is(path, "/bad"))
		a->mode = S_IFDIR | 0777;
	else if (is(path, "/bad/type"))
		a->mode = S_IFCHR | 0777;
	else if (is(path, "/bad/bits"))
		a->mode |= 1u << 20;
	else if (is(path, "/bad/size"))
		a->size = UINT64_MAX;
	else if (is(path, "/bad/time"))
		a->mtime_ns = 1000000000;
	else if (is(path, "/bad/positive"))
		r = 1;
	else if (is(path, "/bad/errno"))
		r = -100000;
	else if (is(path, "/bad/link"))
		a->mode = S_IFLNK | 0777;
	else if (is(path, "/busybox") && fstat(program, &st) == 0)
		a->size = (uint64_t)st.st_size;
	else if (!strncmp(path, "/race/", 6)) {
		pthread_mutex_lock(&lock);
		r = racer(path + 6) ? 0 : -ENOENT;
		pthread_mutex_unlock(&lock);
	} else if (is(path, "/missing") || path[0] != '/')
		r = -ENOENT;
	return r;
}

static int
o_readdir(void *user, const char *path, struct moat_dir *d)
{
	char name[300];

	(void)user;
	if (is(path, "/bad")) {
		memset(name, 'a', sizeof name);
		name[256] = 0;
		CHECK(moat_dir_add(d, "", S_IFREG) == -EINVAL);
		CHECK(moat_dir_add(d, NULL, S_IFREG) == -EINVAL);
		CHECK(moat_dir_add(d, ".", S_IFDIR) == -EINVAL);
		CHECK(moat_dir_add(d, "..", S_IFDIR) == -EINVAL);
		CHECK(moat_dir_add(d, "a/b", S_IFREG) == -EINVAL);
		CHECK(moat_dir_add(d, name, S_IFREG) == -EINVAL);
		name[255] = 0;
		CHECK(moat_dir_add(d, name, 0xffffffff) == 0);
		CHECK(moat_dir_add(d, "fine", S_IFREG) == 0);
		return 0;
	}
	if (is(path, "/")) /* more than one message has room for */
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof name, "%05d-of-many-entries-of-this-directory", i);
			CHECK(moat_dir_add(d, name, S_IFREG) == 0);
		}
	return 0;
}

static int
o_readlink(void *user, const char *path, char *buf, size_t size)
{
	(void)user, (void)path;
	memset(buf, 'x', size);
	return 0;
}

static int
o_open(void *user, const char *path, int flags, void **ret)
{
	(void)user, (void)flags, (void)ret;
	if (is(path, "/bad/open"))
		return 17;
	if (is(path, "/blockopen")) {
		sem_post(&in);
		sem_wait(&go);
	}
	opened++;
	return 0;
}

static ssize_t
o_read(void *user, const char *path, void *file, void *buf, size_t len, uint64_t off)
{
	(void)user, (void)file;
	if (is(path, "/block")) {
		sem_post(&in);
		sem_wait(&go);
	}
	if (is(path, "/busybox"))
		return pread(program, buf, len, (off_t)off);
	if (is(path, "/bad/long"))
		return (ssize_t)len + 1;
	if (is(path, "/bad/longest"))
		return INT64_MAX;
	if (is(path, "/bad/negative"))
		return INT64_MIN;
	if (is(path, "/bad/lazy"))
		return (ssize_t)(off ? 0 : len); /* says that it wrote it */
	if (off >= 6)
		return 0;
	memcpy(buf, &"bytes\n"[off], len < 6 - off ? len : 6 - off);
	return (ssize_t)(6 - off);
}

static ssize_t
o_write(void *user, const char *path, void *file, const void *buf, size_t len, uint64_t off)
{
	(void)user, (void)file, (void)buf, (void)off;
	return is(path, "/bad/write") ? (ssize_t)len + 1 : (ssize_t)len;
}

static void
o_release(void *user, void *file)
{
	(void)user, (void)file;
	released++;
}

static int
o_create(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	char *free_one;

	(void)user, (void)mode, (void)uid, (void)gid;
	if (strncmp(path, "/race/", 6) != 0)
		return -EACCES;
	pthread_mutex_lock(&lock);
	free_one = racer(path + 6) ? NULL : racer("");
	if (free_one)
		snprintf(free_one, sizeof names[0], "%s", path + 6);
	pthread_mutex_unlock(&lock);
	return free_one ? 0 : -EEXIST;
}

static int
o_unlink(void *user, const char *path)
{
	char *n;

	(void)user;
	pthread_mutex_lock(&lock);
	n = racer(path + 6);
	if (n)
		n[0] = 0;
	pthread_mutex_unlock(&lock);
	return n ? 0 : -ENOENT;
}

static int
o_rename(void *user, const char *from, const char *to, unsigned flags)
{
	char *n, *over;

	(void)user, (void)flags;
	pthread_mutex_lock(&lock);
	n = racer(from + 6);
	over = racer(to + 6);
	if (n && over && over != n)
		over[0] = 0;
	if (n)
		snprintf(n, sizeof names[0], "%s", to + 6);
	pthread_mutex_unlock(&lock);
	return n ? 0 : -ENOENT;
}

static void
o_stop(void *user)
{
	(void)user;
	stops++;
	sem_post(&go);
}

static const struct moat_files_ops ops = {.getattr = o_getattr,
	.readdir = o_readdir,
	.readlink = o_readlink,
	.open = o_open,
	.read = o_read,
	.write = o_write,
	.release = o_release,
	.create = o_create,
	.unlink = o_unlink,
	.rename = o_rename,
	.stop = o_stop};
static struct moat_files files = {.ops = &ops};

static struct box *
box(void)
{
	struct box *b = box_new();

	opened = released = stats = stops = 0;
	sem_init(&in, 0, 0);
	sem_init(&go, 0, 0);
	box_mount(b, MOAT_MOUNT_VIRTUAL, "/host")->files = &files;
	return b;
}

static void
nonsense(void)
{
	box_expect(box(),
		"cd /host/bad; for i in type bits size time positive errno link; do "
		"stat $i 2>&1 | tail -c 19; done; ls | wc -l; "
		"for i in open long longest negative; do cat $i 2>&1 | tail -c 19; done; "
		"cat lazy | wc -c; cat lazy | tr -d '\\0' | wc -c; "
		"echo x 2>&1 >>write | tail -c 10; (: >write) 2>&1 | tail -c 24; cat fine",
		"Input/output error\nInput/output error\nInput/output error\nInput/output error\n"
		"Input/output error\nInput/output error\nInput/output error\n2\n"
		"Input/output error\nInput/output error\nInput/output error\nInput/output error\n"
		"61440\n0\n"
		"I/O error\nOperation not permitted\nbytes\n",
		0);
}

static void
many(void)
{
	const struct moat_rlimit limit = {RLIMIT_NOFILE, 20000, 20000};
	struct box *b = box();

	b->c.rlimits = &limit;
	b->c.nrlimits = 1;
	box_expect(b,
		"ls /host | sort -u | wc -l; exec python3 -c '\n"
		"import os\n"
		"f = [os.open(f\"/host/{i}\", os.O_RDONLY) for i in range(10000)]\n"
		"print(len(f), os.read(f[0], 9), os.read(f[9999], 9))'",
		"5000\n10000 b'bytes\\n' b'bytes\\n'\n", 0);
	CHECK(opened == 10000 && released == 10000, "%d opened, %d released", opened, released);
}

static void
races(void)
{
	memset(names, 0, sizeof names);
	box_expect(box(),
		"cd /host/race; r() { i=0; while [ $i -lt 60 ]; do ($1) 2>/dev/null; i=$((i+1)); "
		"done; }; r ': >a' & r 'mv a b' & r 'rm b' & r 'cat b; ls -l' >/dev/null & r 'mv b "
		"a' "
		"& wait; rm -f a b; : >c && cat c",
		"bytes\n", 0);
	CHECK(racer("c") && !racer("a") && !racer("b"));
	CHECK(opened == released, "%d opened, %d released", opened, released);
}

/* Programs and libraries: what is executed and mapped comes in messages, too. */
static void
programs(void)
{
	program = open("/bin/busybox", O_RDONLY | O_CLOEXEC);
	CHECK(program >= 0);
	box_expect(box(),
		"/host/busybox echo runs; python3 -c '\n"
		"import mmap, os\n"
		"f = os.open(\"/host/x\", os.O_RDWR)\n"
		"g = os.open(\"/host/x\", os.O_RDONLY)\n"
		"print(mmap.mmap(g, 6, mmap.MAP_SHARED, mmap.PROT_READ)[:5])\n"
		"m = mmap.mmap(g, 6, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)\n"
		"m[0] = 66; print(m[:5])\n"
		"try: mmap.mmap(f, 6, mmap.MAP_SHARED)\n"
		"except OSError as e: print(e.errno)'",
		"runs\nb'bytes'\nb'Bytes'\n19\n", 0);
	close(program);
	CHECK(opened == released, "%d opened, %d released", opened, released);
}

/* Each open file that is mapped may have a copy; all of them together are no more than the memory
 * that the sandbox was told of. */
static void
copies(void)
{
	struct box *b = box();

	program = open("/bin/busybox", O_RDONLY | O_CLOEXEC);
	CHECK(program >= 0);
	b->c.memory_limit = 5 << 20;
	box_expect(b,
		"exec python3 -c '\n"
		"import mmap, os\n"
		"size = os.stat(\"/bin/busybox\").st_size\n"
		"def one():\n"
		"  f = os.open(\"/host/busybox\", os.O_RDONLY)\n"
		"  try: return mmap.mmap(f, 4096, mmap.MAP_SHARED, mmap.PROT_READ)\n"
		"  except OSError as e: return e.errno\n"
		"  finally: os.close(f)\n"
		"fit = (5 << 20) // size\n"
		"for i in range(3):\n"
		"  all = [one() for i in range(fit + 2)]\n"
		"  print([x for x in all if type(x) is int], len(all) - fit)\n"
		"  all = None'",
		"[12, 12] 2\n[12, 12] 2\n[12, 12] 2\n", 0);
	close(program);
	CHECK(opened == released, "%d opened, %d released", opened, released);
}

/* Who waits for a function that does not return can be killed, and what it asked for is forgotten.
 */
static void
killed_while_waiting(const char *file, int signo)
{
	struct box *b = box();
	char script[256], text[8];
	int status, to[2], from[2];

	CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
	snprintf(script, sizeof script,
		"exec 2>/dev/null; cat /host/%s & p=$!; read x; kill -%d $p; wait $p; echo $?; "
		"read x; cat /host/f",
		file, signo);
	box_args(b, "/bin/sh", "-c", script);
	b->c.stdio[0] = to[0];
	b->c.stdio[1] = b->c.stdio[2] = from[1];
	CHECK(moat_start(&b->c, &b->s, &b->err) == 0, "%s", b->err.text);
	close(to[0]);
	close(from[1]);
	sem_wait(&in);
	CHECK(write(to[1], "\n", 1) == 1);
	CHECK(read(from[0], text, 4) == 4);
	text[4] = 0;
	CHECK(atoi(text) == 128 + signo, "%s", text);
	sem_post(&go); /* now it returns, to nobody */
	CHECK(write(to[1], "\n", 1) == 1);
	CHECK(read(from[0], text, 6) == 6 && !memcmp(text, "bytes\n", 6));
	CHECK(moat_wait(b->s, &status, &b->err) == 0 && status == 0);
	close(to[1]);
	close(from[0]);
	box_free(b);
	CHECK(opened == released, "%d opened, %d released", opened, released);
}

static void
killed(void)
{
	killed_while_waiting("block", SIGKILL);
	killed_while_waiting("block", SIGTERM);
	killed_while_waiting("blockopen", SIGKILL);
}

static void
destroyed_while_blocking(void)
{
	struct box *b = box();
	double t;

	box_start(b, "cat /host/block");
	sem_wait(&in);
	t = seconds();
	box_free(b);
	CHECK(stops == 1 && seconds() - t < 5);
	CHECK(opened == released, "%d opened, %d released", opened, released);
}

/* The first process is killed: the sandbox ends, whatever blocks. */
static void
killed_first(void)
{
	struct box *b = box();
	int status;

	box_start(b, "exec cat /host/block");
	sem_wait(&in);
	CHECK(moat_signal(b->s, 0, SIGKILL) == 0);
	CHECK(moat_wait(b->s, &status, &b->err) == 0 && status == SIGKILL);
	box_free(b);
}

static void
kernel_dies(void)
{
	struct box *b = box();
	int status;

	box_start(b, "cat /host/block");
	sem_wait(&in);
	CHECK(kill(moat_sentry_pid(b->s), SIGKILL) == 0);
	CHECK(moat_wait(b->s, &status, &b->err) == -ECONNRESET);
	usleep(50000);
	sem_post(&go); /* the answer goes nowhere; no SIGPIPE */
	usleep(50000);
	box_free(b);
	CHECK(opened == released, "%d opened, %d released", opened, released);
}

static void
validity(void)
{
	int asked;

	box_expect(box(), "for i in 1 2 3 4 5 6 7 8 9; do [ -e /host/x ]; done", "", 0);
	asked = stats;
	CHECK(asked >= 9, "%d", asked);
	files.valid_ms = 60000;
	box_expect(box(), "for i in 1 2 3 4 5 6 7 8 9; do [ -e /host/x ]; done", "", 0);
	files.valid_ms = 0;
	CHECK(stats < 9, "%d", stats);
}

static void
read_only(void)
{
	struct box *b = box();

	b->mounts[b->c.nmounts - 1].flags = MS_RDONLY;
	box_expect(b,
		"(: >/host/race/x) 2>&1 | tail -c 22; (echo >/host/y) 2>&1 | tail -c 22; cat "
		"/host/y",
		"Read-only file system\nRead-only file system\nbytes\n", 0);
	b = box();
	b->mounts[b->c.nmounts - 1].overlay = true;
	memset(names, 0, sizeof names);
	box_expect(b, "cd /host; echo mine >race/x; echo more >>y; cat race/x y; rm z; cat z",
		"mine\nbytes\nmore\ncat: z: No such file or directory\n", 256);
	CHECK(!racer("x"));
}

static void
bad_config(void)
{
	static const struct moat_files_ops none;
	struct moat_files empty = {.ops = &none};
	struct box *b = box();

	box_args(b, "/bin/true", NULL, NULL);
	b->mounts[b->c.nmounts - 1].files = NULL;
	CHECK(moat_start(&b->c, &b->s, &b->err) == -EINVAL && strstr(b->err.text, "files"));
	b->mounts[b->c.nmounts - 1].files = &empty;
	CHECK(moat_start(&b->c, &b->s, &b->err) == -EINVAL);
	b->mounts[b->c.nmounts - 1].files = &files;
	b->mounts[b->c.nmounts - 1].options = "size=1m";
	CHECK(moat_start(&b->c, &b->s, &b->err) == -EINVAL && strstr(b->err.text, "options"));
	b->mounts[b->c.nmounts - 1].options = NULL;
	for (int i = 0; i < MOAT_FILES_MOUNTS_MAX; i++)
		box_mount(b, MOAT_MOUNT_VIRTUAL, "/host")->files = &files;
	CHECK(moat_start(&b->c, &b->s, &b->err) == -E2BIG, "%s", b->err.text);
	b->c.nmounts--;
	b->args[0] = "/no/such/program";
	CHECK(moat_start(&b->c, &b->s, &b->err) == -ENOENT && b->err.exec);
	b->s = NULL;
	box_free(b);
}

/* The host program's signals are for its own threads. */
static pthread_t main_thread;
static _Atomic int ticks, elsewhere;

static void
tick(int signo)
{
	(void)signo;
	ticks++;
	if (!pthread_equal(pthread_self(), main_thread))
		elsewhere++;
}

static void
signals(void)
{
	struct sigaction sa = {.sa_handler = tick, .sa_flags = SA_RESTART}, old;
	struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};

	main_thread = pthread_self();
	CHECK(sigaction(SIGALRM, &sa, &old) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
	box_expect(box(), "for i in 1 2 3 4 5 6 7 8 9; do cat /host/f >/dev/null; done", "", 0);
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0 && sigaction(SIGALRM, &old, NULL) == 0);
	CHECK(ticks > 5 && elsewhere == 0, "%d, %d", ticks, elsewhere);
}

int
main(void)
{
	struct own before;
	static void (*const tests[])(void) = {nonsense, many, races, programs, copies, killed,
		destroyed_while_blocking, killed_first, kernel_dies, validity, read_only,
		bad_config, signals};

	setvbuf(stdout, NULL, _IONBF, 0);
	before = own_now();
	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		double t = seconds();

		printf("%zu: ", i); /* seen if it does not end */
		tests[i]();
		own_check(before);
		printf("%.1f s\n", seconds() - t);
	}
	return 0;
}
