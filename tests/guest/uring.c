/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring by its system calls: what each operation answers, links, drain, timeouts, cancelling,
 * registered things, rings that lie. */
#include "guest.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

struct ring {
	int fd;
	struct io_uring_params p;
	char *sq;
	struct io_uring_sqe *sqes;
	unsigned tail;
};

static struct ring R;

static int
setup(struct ring *r, unsigned entries, unsigned flags, unsigned cq)
{
	size_t n, m;

	memset(&r->p, 0, sizeof r->p);
	r->p.flags = flags;
	r->p.cq_entries = cq;
	r->fd = (int)syscall(SYS_io_uring_setup, entries, &r->p);
	if (r->fd < 0)
		return -1;
	n = r->p.sq_off.array + r->p.sq_entries * 4;
	m = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, n > m ? n : m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	r->tail = 0;
	return r->sq == MAP_FAILED || r->sqes == MAP_FAILED ? -1 : 0;
}

#define WORD(r, off) (*(_Atomic unsigned *)((r)->sq + (off)))

static struct io_uring_sqe *
sqe(struct ring *r, int op, int fd, const void *addr, unsigned len, uint64_t off, uint64_t data)
{
	unsigned i = r->tail & (r->p.sq_entries - 1);
	struct io_uring_sqe *s = &r->sqes[i];

	memset(s, 0, sizeof *s);
	s->opcode = (uint8_t)op;
	s->fd = fd;
	s->addr = (uintptr_t)addr;
	s->len = len;
	s->off = off;
	s->user_data = data;
	WORD(r, r->p.sq_off.array + 4 * i) = i;
	r->tail++;
	WORD(r, r->p.sq_off.tail) = r->tail;
	return s;
}

static int
enter(struct ring *r, unsigned n, unsigned min)
{
	return (int)syscall(
		SYS_io_uring_enter, r->fd, n, min, min ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

/* All entries that are there, in order of their user_data; those that run at once may end in any.
 */
static void
reap(struct ring *r, const char *what)
{
	struct io_uring_cqe *c = (void *)(r->sq + r->p.cq_off.cqes), all[64];
	unsigned head = WORD(r, r->p.cq_off.head), n = 0;

	while (head != WORD(r, r->p.cq_off.tail) && n < 64)
		all[n++] = c[head++ & (r->p.cq_entries - 1)];
	WORD(r, r->p.cq_off.head) = head;
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = i + 1; k < n; k++)
			if (all[k].user_data < all[i].user_data) {
				struct io_uring_cqe x = all[i];

				all[i] = all[k];
				all[k] = x;
			}
	printf("%s:", what);
	for (unsigned i = 0; i < n; i++) {
		if (all[i].res < 0)
			printf(" %llu=%s", (unsigned long long)all[i].user_data,
				strerrorname_np(-all[i].res));
		else
			printf(" %llu=%d", (unsigned long long)all[i].user_data, all[i].res);
		if (all[i].flags & ~(unsigned)IORING_CQE_F_SOCK_NONEMPTY)
			printf("(%x)", all[i].flags);
	}
	printf("\n");
}

static void
go(struct ring *r, unsigned n, unsigned min, const char *what)
{
	int got = enter(r, n, min);

	if (got != (int)n)
		printf("%s: entered %d %s\n", what, got, got < 0 ? strerrorname_np(errno) : "");
	reap(r, what);
}

static struct __kernel_timespec
ms(int n)
{
	return (struct __kernel_timespec){n / 1000, n % 1000 * 1000000LL};
}

static char buf[4096], buf2[4096];

static void
setups(void)
{
	struct io_uring_params p = {0};
	struct ring r;

	SHOW(syscall(SYS_io_uring_setup, 0, &p));
	SHOW(syscall(SYS_io_uring_setup, 8, NULL));
	p.flags = 1u << 31;
	SHOW(syscall(SYS_io_uring_setup, 8, &p));
	p = (struct io_uring_params){.resv = {1}};
	SHOW(syscall(SYS_io_uring_setup, 8, &p));
	p = (struct io_uring_params){0};
	SHOW(syscall(SYS_io_uring_setup, 40000, &p));
	p = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = 4};
	SHOW(syscall(SYS_io_uring_setup, 8, &p));
	SHOW(setup(&r, 5, 0, 0));
	printf("sq %u cq %u\n", r.p.sq_entries, r.p.cq_entries);
	TRUE(r.p.features & IORING_FEAT_SINGLE_MMAP);
	TRUE(r.p.features & IORING_FEAT_NODROP);
	close(r.fd);
	SHOW(setup(&r, 5, IORING_SETUP_CQSIZE, 100));
	printf("sq %u cq %u\n", r.p.sq_entries, r.p.cq_entries);
	SHOW(fcntl(r.fd, F_GETFD));
	SHOW(syscall(SYS_io_uring_enter, r.fd, 0, 0, 0x8000, NULL, 0));
	SHOW(syscall(SYS_io_uring_enter, 0, 1, 0, 0, NULL, 0));
	SHOW(syscall(SYS_io_uring_enter, -1, 1, 0, 0, NULL, 0));
	SHOW(syscall(SYS_io_uring_register, r.fd, 9999, NULL, 0));
	close(r.fd);
	SHOW(setup(&r, 4, IORING_SETUP_R_DISABLED, 0));
	sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1);
	SHOW(enter(&r, 1, 0));
	SHOW(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	SHOW(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	go(&r, 1, 1, "enabled");
	close(r.fd);
}

static void
files(void)
{
	struct iovec v[2] = {{buf, 3}, {buf2, 100}};
	struct io_uring_sqe *s;
	struct stat st;
	char line[64];
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 1);
	sqe(&R, IORING_OP_WRITE, fd, "hello world", 11, 0, 2);
	go(&R, 2, 2, "nop, write");
	sqe(&R, IORING_OP_READV, fd, v, 2, 0, 3);
	go(&R, 1, 1, "readv");
	printf("%.3s|%.8s\n", buf, buf2);
	v[0].iov_base = "ABC";
	v[1] = (struct iovec){"DEF", 3};
	sqe(&R, IORING_OP_WRITEV, fd, v, 2, 2, 4);
	go(&R, 1, 1, "writev");
	sqe(&R, IORING_OP_READ, fd, buf, 100, (uint64_t)-1, 5);
	go(&R, 1, 1, "read at the position");
	printf("%.11s, then %ld\n", buf, (long)lseek(fd, 0, SEEK_CUR));
	sqe(&R, IORING_OP_READ, fd, buf, 100, 11, 6);
	sqe(&R, IORING_OP_READ, 99, buf, 100, 0, 7);
	sqe(&R, IORING_OP_READ, fd, (void *)8, 100, 0, 8);
	sqe(&R, IORING_OP_FSYNC, fd, NULL, 0, 0, 9);
	s = sqe(&R, IORING_OP_FSYNC, fd, NULL, 0, 0, 10);
	s->fsync_flags = IORING_FSYNC_DATASYNC;
	s = sqe(&R, IORING_OP_READ, fd, buf, 1, 0, 11);
	s->rw_flags = 0x4000;
	go(&R, 6, 6, "ends, errors, fsync");
	s = sqe(&R, IORING_OP_OPENAT, AT_FDCWD, "new", 0640, 0, 12);
	s->open_flags = O_CREAT | O_RDWR;
	SHOW(enter(&R, 1, 1));
	{
		struct io_uring_cqe *c = (void *)(R.sq + R.p.cq_off.cqes);
		unsigned head = WORD(&R, R.p.cq_off.head);
		int got = c[head & (R.p.cq_entries - 1)].res;

		WORD(&R, R.p.cq_off.head) = head + 1;
		snprintf(line, sizeof line, "/proc/self/fd/%d", got);
		TRUE(stat(line, &st) == 0 && (st.st_mode & 0777) == 0640);
		sqe(&R, IORING_OP_CLOSE, got, NULL, 0, 0, 13);
		sqe(&R, IORING_OP_CLOSE, 77, NULL, 0, 0, 14);
		go(&R, 2, 2, "close");
		TRUE(fcntl(got, F_GETFD) < 0);
	}
	{
		struct statx x = {0};

		s = sqe(&R, IORING_OP_STATX, AT_FDCWD, "file", STATX_SIZE, (uintptr_t)&x, 15);
		go(&R, 1, 1, "statx");
		printf("size %llu\n", (unsigned long long)x.stx_size);
	}
	s = sqe(&R, IORING_OP_OPENAT, AT_FDCWD, "nosuch", 0, 0, 16);
	sqe(&R, IORING_OP_UNLINKAT, AT_FDCWD, "new", 0, 0, 17);
	sqe(&R, IORING_OP_MKDIRAT, AT_FDCWD, "dir", 0700, 0, 18);
	go(&R, 3, 3, "names");
	s = sqe(&R, IORING_OP_UNLINKAT, AT_FDCWD, "dir", 0, 0, 19);
	s->unlink_flags = AT_REMOVEDIR;
	s->flags = 0;
	go(&R, 1, 1, "a directory");
	unlink("file");
	close(fd);
}

static void
waiting(void)
{
	int p[2], efd = eventfd(0, 0), nb[2];
	uint64_t v = 0;
	struct io_uring_sqe *s;

	if (pipe(p) || pipe2(nb, O_NONBLOCK))
		return;
	sqe(&R, IORING_OP_READ, p[0], buf, 100, 0, 1);
	s = sqe(&R, IORING_OP_POLL_ADD, p[0], NULL, 0, 0, 2);
	s->poll32_events = POLLIN;
	sqe(&R, IORING_OP_READ, efd, &v, 8, 0, 3);
	sqe(&R, IORING_OP_READ, nb[0], buf, 100, 0, 4);
	s = sqe(&R, IORING_OP_POLL_ADD, p[1], NULL, 0, 0, 5);
	s->poll32_events = POLLOUT;
	go(&R, 5, 1, "those that do not wait");
	write(nb[1], "n", 1);
	go(&R, 0, 1, "O_NONBLOCK waits too");
	write(efd, (uint64_t[]){5}, 8);
	go(&R, 0, 1, "eventfd");
	printf("value %llu\n", (unsigned long long)v);
	write(p[1], "xyz", 3);
	sleep_ms(20);
	/* the reader takes it, or the poll sees it first */
	int n = enter(&R, 0, 1);
	printf("%d %.3s\n", n, buf);
	write(p[1], "abc", 3);
	for (int i = 0; i < 100 && WORD(&R, R.p.cq_off.tail) - WORD(&R, R.p.cq_off.head) < 2; i++)
		sleep_ms(2);
	reap(&R, "pipe");
	close(p[1]);
	read(p[0], buf, 100);
	sqe(&R, IORING_OP_READ, p[0], buf, 100, 0, 6);
	go(&R, 1, 1, "end");
	close(p[0]);
	close(nb[0]);
	close(nb[1]);
	close(efd);
}

/* The descriptor that the next entry has, which is the only one. */
static int
opened(struct ring *r, const char *what)
{
	struct io_uring_cqe *c = (void *)(r->sq + r->p.cq_off.cqes);
	unsigned head = WORD(r, r->p.cq_off.head);
	int res;

	SHOW(enter(r, 0, 1));
	res = c[head & (r->p.cq_entries - 1)].res;
	WORD(r, r->p.cq_off.head) = head + 1;
	if (res < 0)
		printf("%s: %s\n", what, strerrorname_np(-res));
	else
		printf("%s: flags %x\n", what, fcntl(res, F_GETFL));
	return res;
}

static void
open_one(const char *path, int flags, int how)
{
	struct io_uring_sqe *s = sqe(&R, IORING_OP_OPENAT, AT_FDCWD, path, 0600, 0, 1);

	s->open_flags = (unsigned)flags;
	s->flags = (uint8_t)how;
	SHOW(enter(&R, 1, 0));
}

/* Opens that wait: for a FIFO's other end, for who has a lease. */
static void
opens(void)
{
	struct open_how how = {.flags = O_RDONLY};
	char path[16] = "fifo";
	int fd, other;

	SHOW(mkfifo("fifo", 0600));
	open_one("fifo", O_RDONLY, 0);
	close(opened(&R, "to be read, at once"));
	open_one("fifo", O_WRONLY, 0);
	opened(&R, "to be written, at once");
	open_one(path, O_RDONLY, IOSQE_ASYNC);
	/* where the name was may be used for other things now */
	strcpy(path, "nosuch");
	SHOW(enter(&R, 0, 0));
	sleep_ms(20);
	other = open("fifo", O_WRONLY);
	fd = opened(&R, "a reader that waited");
	SHOW(write(other, "abc", 3));
	SHOW(read(fd, buf, 100));
	close(other);
	close(fd);
	open_one("fifo", O_WRONLY | O_CREAT, 0);
	sleep_ms(20);
	other = open("fifo", O_RDONLY);
	close(opened(&R, "a writer that waited"));
	close(other);
	unlink("fifo");

	close(open("leased", O_CREAT | O_RDWR, 0600));
	fd = open("leased", O_RDONLY);
	signal(SIGIO, SIG_IGN);
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	open_one("leased", O_RDONLY, 0);
	reap(&R, "not yet");
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(opened(&R, "leased before"));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	open_one("leased", O_RDONLY | O_NONBLOCK, 0);
	opened(&R, "leased, does not wait");
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(fd);
	sqe(&R, IORING_OP_OPENAT2, AT_FDCWD, "leased", sizeof how, (uintptr_t)&how, 3);
	SHOW(enter(&R, 1, 0));
	close(opened(&R, "openat2"));
	sqe(&R, IORING_OP_OPENAT2, AT_FDCWD, "leased", sizeof how, 8, 4);
	sqe(&R, IORING_OP_OPENAT2, AT_FDCWD, "leased", 8, (uintptr_t)&how, 5);
	how.resolve = 1 << 30;
	sqe(&R, IORING_OP_OPENAT2, AT_FDCWD, "leased", sizeof how, (uintptr_t)&how, 6);
	for (int i = 0; i < 3; i++)
		go(&R, 1, 1, "openat2, refused");
	open_one((void *)8, O_RDONLY, 0);
	opened(&R, "no name");
	open_one("", O_RDONLY, 0);
	opened(&R, "an empty name");
	sqe(&R, IORING_OP_OPENAT, 99, "leased", 0, 0, 7);
	go(&R, 1, 1, "no directory");
	unlink("leased");
	open_one("leased", O_RDWR | O_CREAT, 0);
	close(opened(&R, "new"));
	unlink("leased");
}

static void
sockets(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   from;
	socklen_t len = sizeof in, from_len = sizeof from;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
	    c = socket(AF_INET, SOCK_STREAM, 0);
	struct iovec v = {buf, 100}, w = {"by msg", 6};
	struct msghdr in_msg = {.msg_iov = &v, .msg_iovlen = 1},
		      out_msg = {.msg_iov = &w, .msg_iovlen = 1};
	struct io_uring_sqe *s;
	int got = -1;

	bind(l, (struct sockaddr *)&in, sizeof in);
	listen(l, 5);
	getsockname(l, (struct sockaddr *)&in, &len);
	s = sqe(&R, IORING_OP_ACCEPT, l, &from, 0, (uintptr_t)&from_len, 1);
	s->accept_flags = SOCK_CLOEXEC;
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_CONNECT, c, &in, 0, sizeof in, 2);
	SHOW(enter(&R, 1, 2));
	{
		struct io_uring_cqe *q = (void *)(R.sq + R.p.cq_off.cqes);
		unsigned head = WORD(&R, R.p.cq_off.head);

		for (; head != WORD(&R, R.p.cq_off.tail); head++) {
			struct io_uring_cqe *e = &q[head & (R.p.cq_entries - 1)];

			if (e->user_data == 1)
				got = e->res;
			else
				printf("connect %d\n", e->res);
		}
		WORD(&R, R.p.cq_off.head) = head;
	}
	TRUE(got >= 0 && fcntl(got, F_GETFD) == FD_CLOEXEC);
	printf("from family %d, %u bytes\n", from.sin_family, from_len);
	sqe(&R, IORING_OP_RECV, got, buf, 100, 0, 3);
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_SEND, c, "message", 7, 0, 4);
	go(&R, 1, 2, "send, recv");
	printf("%.7s\n", buf);
	sqe(&R, IORING_OP_RECVMSG, c, &in_msg, 1, 0, 5);
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_SENDMSG, got, &out_msg, 1, 0, 6);
	go(&R, 1, 2, "sendmsg, recvmsg");
	printf("%.6s\n", buf);
	out_msg.msg_controllen = 24;
	sqe(&R, IORING_OP_SENDMSG, got, &out_msg, 1, 0, 6);
	go(&R, 1, 1, "ancillary data from nowhere");
	s = sqe(&R, IORING_OP_RECV, got, buf, 100, 0, 7);
	s->msg_flags = MSG_DONTWAIT;
	sqe(&R, IORING_OP_RECV, 0, buf, 100, 0, 8);
	sqe(&R, IORING_OP_SHUTDOWN, c, NULL, SHUT_WR, 0, 9);
	go(&R, 3, 3, "not now, no socket, shutdown");
	sqe(&R, IORING_OP_RECV, got, buf, 100, 0, 10);
	go(&R, 1, 1, "end");
	close(c);
	sqe(&R, IORING_OP_SEND, got, "x", 1, 0, 11);
	go(&R, 1, 1, "first send");
	sqe(&R, IORING_OP_SEND, got, "x", 1, 0, 12);
	go(&R, 1, 1, "no SIGPIPE");
	in.sin_port = htons(1);
	c = socket(AF_INET, SOCK_STREAM, 0);
	sqe(&R, IORING_OP_CONNECT, c, &in, 0, sizeof in, 13);
	go(&R, 1, 1, "refused");
	close(c);
	close(l);
	close(got);
}

static void
times(void)
{
	struct __kernel_timespec t = ms(20), far = ms(60000), bad = {0, -1};
	struct io_uring_sqe *s;
	long long from = now_ms();
	int p[2];

	if (pipe(p))
		return;
	sqe(&R, IORING_OP_TIMEOUT, -1, &t, 1, 0, 1);
	go(&R, 1, 1, "timeout");
	TRUE(now_ms() - from >= 19);
	sqe(&R, IORING_OP_TIMEOUT, -1, &bad, 1, 0, 2);
	go(&R, 1, 1, "bad time");
	sqe(&R, IORING_OP_TIMEOUT, -1, &far, 1, 2, 3);
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 4);
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 5);
	go(&R, 2, 3, "by count");
	sqe(&R, IORING_OP_TIMEOUT, -1, &far, 1, 0, 6);
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_TIMEOUT_REMOVE, -1, (void *)6, 0, 0, 7);
	go(&R, 1, 2, "removed");
	sqe(&R, IORING_OP_TIMEOUT_REMOVE, -1, (void *)6, 0, 0, 8);
	go(&R, 1, 1, "not there");
	/* with a link */
	s = sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 9);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_LINK_TIMEOUT, -1, &t, 1, 0, 10);
	go(&R, 2, 2, "too late");
	s = sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 11);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_LINK_TIMEOUT, -1, &far, 1, 0, 12);
	go(&R, 2, 2, "in time");
	sqe(&R, IORING_OP_LINK_TIMEOUT, -1, &far, 1, 0, 13);
	go(&R, 1, 1, "of nothing");
	s = sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 14);
	s->flags = IOSQE_IO_LINK;
	s = sqe(&R, IORING_OP_LINK_TIMEOUT, -1, &t, 1, 0, 15);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_LINK_TIMEOUT, -1, &t, 1, 0, 16);
	go(&R, 3, 3, "of another");
	close(p[0]);
	close(p[1]);
}

static void
chains(void)
{
	struct io_uring_sqe *s;
	int p[2], fd = open("chain", O_RDWR | O_CREAT, 0600);

	if (pipe(p))
		return;
	s = sqe(&R, IORING_OP_WRITE, fd, "0123456789", 10, 0, 1);
	s->flags = IOSQE_IO_LINK;
	s = sqe(&R, IORING_OP_READ, fd, buf, 10, 0, 2);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_WRITE, p[1], buf, 10, 0, 3);
	go(&R, 3, 3, "a chain");
	printf("%zd %.10s\n", read(p[0], buf2, 100), buf2);
	s = sqe(&R, IORING_OP_READ, fd, buf, 20, 0, 4); /* short */
	s->flags = IOSQE_IO_LINK;
	s = sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 5);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 6);
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 7);
	go(&R, 4, 4, "broken");
	s = sqe(&R, IORING_OP_READ, 99, buf, 20, 0, 8);
	s->flags = IOSQE_IO_HARDLINK;
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 9);
	go(&R, 2, 2, "a hard link");
	/* a chain that waits in its middle */
	s = sqe(&R, IORING_OP_READ, p[0], buf, 4, 0, 10);
	s->flags = IOSQE_IO_LINK;
	s = sqe(&R, IORING_OP_WRITE, fd, buf, 4, 0, 11);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_READ, fd, buf2, 10, 0, 12);
	SHOW(enter(&R, 3, 0));
	write(p[1], "wxyz", 4);
	go(&R, 0, 3, "slow");
	printf("%.10s\n", buf2);
	/* drain: only after all before it, and all after it */
	sqe(&R, IORING_OP_READ, p[0], buf, 3, 0, 13);
	s = sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 14);
	s->flags = IOSQE_IO_DRAIN;
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 15);
	SHOW(enter(&R, 3, 0));
	sleep_ms(20);
	reap(&R, "nothing yet");
	write(p[1], "end", 3);
	go(&R, 0, 3, "drained");
	s = sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 16);
	s->flags = IOSQE_CQE_SKIP_SUCCESS;
	s = sqe(&R, IORING_OP_READ, 99, buf, 1, 0, 17);
	s->flags = IOSQE_CQE_SKIP_SUCCESS;
	s = sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 18);
	s->flags = IOSQE_ASYNC;
	go(&R, 3, 2, "quiet, async");
	unlink("chain");
	close(fd);
	close(p[0]);
	close(p[1]);
}

static void
cancels(void)
{
	struct io_uring_sqe *s;
	int p[2];

	if (pipe(p))
		return;
	sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 1);
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 2);
	go(&R, 1, 2, "cancel");
	sqe(&R, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 3);
	go(&R, 1, 1, "not there");
	s = sqe(&R, IORING_OP_POLL_ADD, p[0], NULL, 0, 0, 4);
	s->poll32_events = POLLIN;
	SHOW(enter(&R, 1, 0));
	sqe(&R, IORING_OP_POLL_REMOVE, -1, (void *)4, 0, 0, 5);
	go(&R, 1, 2, "poll removed");
	for (int i = 0; i < 3; i++)
		sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 6);
	SHOW(enter(&R, 3, 0));
	s = sqe(&R, IORING_OP_ASYNC_CANCEL, -1, (void *)6, 0, 0, 7);
	s->cancel_flags = IORING_ASYNC_CANCEL_ALL;
	go(&R, 1, 4, "all of a name");
	for (int i = 0; i < 2; i++)
		sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 8);
	SHOW(enter(&R, 2, 0));
	s = sqe(&R, IORING_OP_ASYNC_CANCEL, p[0], NULL, 0, 0, 9);
	s->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
	go(&R, 1, 3, "all of a file");
	s = sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 10);
	s->flags = IOSQE_IO_LINK;
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 11);
	SHOW(enter(&R, 2, 0));
	sqe(&R, IORING_OP_ASYNC_CANCEL, -1, (void *)10, 0, 0, 12);
	go(&R, 1, 3, "a chain");
	close(p[0]);
	close(p[1]);
}

static void
registered(void)
{
	struct iovec v[2] = {{buf, sizeof buf}, {buf2, 100}};
	int fds[3] = {open("reg", O_RDWR | O_CREAT, 0600), -1, 0}, efd = eventfd(0, EFD_NONBLOCK);
	struct io_uring_files_update up = {.offset = 1, .fds = (uintptr_t)fds};
	struct io_uring_sqe *s;
	uint64_t n;
	char space[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)] = {0};
	struct io_uring_probe *probe = (void *)space;

#define REG(op, arg, n) syscall(SYS_io_uring_register, R.fd, op, arg, n)
	SHOW(REG(IORING_UNREGISTER_BUFFERS, NULL, 0));
	SHOW(REG(IORING_REGISTER_BUFFERS, v, 2));
	SHOW(REG(IORING_REGISTER_BUFFERS, v, 2));
	write(fds[0], "registered", 10);
	s = sqe(&R, IORING_OP_READ_FIXED, fds[0], buf, 10, 0, 1);
	s->buf_index = 0;
	s = sqe(&R, IORING_OP_READ_FIXED, fds[0], buf, 10, 0, 2);
	s->buf_index = 1;
	s = sqe(&R, IORING_OP_READ_FIXED, fds[0], buf, 10, 0, 3);
	s->buf_index = 7;
	s = sqe(&R, IORING_OP_WRITE_FIXED, fds[0], buf2 + 90, 10, 0, 4);
	s->buf_index = 1;
	s = sqe(&R, IORING_OP_WRITE_FIXED, fds[0], buf2 + 95, 10, 0, 5);
	s->buf_index = 1;
	go(&R, 5, 5, "fixed buffers");
	printf("%.10s\n", buf);
	SHOW(REG(IORING_UNREGISTER_BUFFERS, NULL, 0));
	v[0].iov_base = (void *)8;
	SHOW(REG(IORING_REGISTER_BUFFERS, v, 1));

	SHOW(REG(IORING_REGISTER_FILES, fds, 2));
	s = sqe(&R, IORING_OP_WRITE, 0, "fixed", 5, 0, 6);
	s->flags = IOSQE_FIXED_FILE;
	s = sqe(&R, IORING_OP_WRITE, 1, "fixed", 5, 0, 7);
	s->flags = IOSQE_FIXED_FILE;
	s = sqe(&R, IORING_OP_WRITE, 9, "fixed", 5, 0, 8);
	s->flags = IOSQE_FIXED_FILE;
	go(&R, 3, 3, "fixed files");
	SHOW(REG(IORING_REGISTER_FILES_UPDATE, &up, 1));
	s = sqe(&R, IORING_OP_READ, 1, buf, 5, 0, 9);
	s->flags = IOSQE_FIXED_FILE;
	go(&R, 1, 1, "after the update");
	SHOW(REG(IORING_UNREGISTER_FILES, NULL, 0));
	SHOW(REG(IORING_UNREGISTER_FILES, NULL, 0));
	fds[1] = 99;
	SHOW(REG(IORING_REGISTER_FILES, fds + 1, 1));

	SHOW(REG(IORING_REGISTER_EVENTFD, &efd, 1));
	SHOW(REG(IORING_REGISTER_EVENTFD, &efd, 1));
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 10);
	sqe(&R, IORING_OP_NOP, -1, NULL, 0, 0, 11);
	go(&R, 2, 2, "with eventfd");
	TRUE(read(efd, &n, 8) == 8 && n >= 1);
	SHOW(REG(IORING_UNREGISTER_EVENTFD, NULL, 0));
	SHOW(REG(IORING_REGISTER_PROBE, probe, 256));
	TRUE(probe->ops[IORING_OP_READ].flags & IO_URING_OP_SUPPORTED);
	TRUE(probe->ops[IORING_OP_STATX].flags & IO_URING_OP_SUPPORTED);
	unlink("reg");
	close(fds[0]);
	close(efd);
}

static void *
posts(void *arg)
{
	sleep_ms(20);
	write(*(int *)arg, "late", 4);
	return NULL;
}

static void
nothing(int sig)
{
	(void)sig;
}

static void
hostile(void)
{
	struct io_uring_getevents_arg x = {0};
	struct __kernel_timespec t = ms(20);
	struct sigaction sa = {.sa_handler = nothing};
	struct ring r;
	struct io_uring_sqe *s;
	struct pollfd pf;
	pthread_t th;
	int p[2];

	if (pipe(p) || setup(&r, 4, 0, 0))
		return;
	/* an index that is none, entries that are none */
	sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1);
	WORD(&r, r.p.sq_off.array) = 1000;
	SHOW(enter(&r, 1, 0));
	printf("dropped %u\n", WORD(&r, r.p.sq_off.dropped));
	sqe(&r, 200, -1, NULL, 0, 0, 2);
	go(&r, 1, 1, "no such operation");
	s = sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
	s->flags = 0x80;
	go(&r, 1, 1, "no such flag");
	s = sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0, 4);
	s->personality = 5;
	go(&r, 1, 1, "nobody");
	SHOW(enter(&r, 5, 0));
	/* more completions than there is room for */
	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < 4; i++)
			sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0, (uint64_t)(10 + 4 * k + i));
		SHOW(enter(&r, 4, 0));
	}
	printf("flags %x\n", WORD(&r, r.p.sq_off.flags));
	reap(&r, "those that fit");
	SHOW(syscall(SYS_io_uring_enter, r.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
	reap(&r, "the others");
	printf("flags %x\n", WORD(&r, r.p.sq_off.flags));
	/* heads and tails that lie */
	WORD(&r, r.p.cq_off.head) = 12345;
	sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0, 30);
	WORKS(enter(&r, 1, 0));
	close(r.fd);

	x.ts = (uintptr_t)&t;
	SHOW(syscall(SYS_io_uring_enter, R.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		&x, sizeof x));
	SHOW(syscall(SYS_io_uring_enter, R.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		&x, 3));
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 0);
	SHOW(enter(&R, 0, 1));
	pf = (struct pollfd){R.fd, POLLIN | POLLOUT, 0};
	SHOW(poll(&pf, 1, 0));
	printf("revents %x\n", pf.revents);
	sqe(&R, IORING_OP_READ, p[0], buf, 10, 0, 31);
	SHOW(enter(&R, 1, 0));
	pthread_create(&th, NULL, posts, &p[1]);
	pf.events = POLLIN;
	SHOW(poll(&pf, 1, 2000));
	pthread_join(th, NULL);
	reap(&R, "polled");
	/* a child that goes with a request under way, and one that execs */
	fflush(stdout);
	pid_t c = fork();
	if (!c) {
		struct ring own;

		if (setup(&own, 4, 0, 0))
			_exit(1);
		sqe(&own, IORING_OP_READ, p[0], buf, 10, 0, 1);
		_exit(enter(&own, 1, 0) == 1 ? 7 : 1);
	}
	int st;
	waitpid(c, &st, 0);
	printf("status %x\n", st);
	write(p[1], "still here", 10);
	memset(buf, 0, 16);
	SHOW(read(p[0], buf, 16));
	printf("%s\n", buf);
	close(p[0]);
	close(p[1]);
}

/* The rings under each of their names, as programs without IORING_FEAT_SINGLE_MMAP map them. */
static void
two_names(void)
{
	size_t len = R.p.cq_off.cqes + R.p.cq_entries * sizeof(struct io_uring_cqe);
	char *cq = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, R.fd, IORING_OFF_CQ_RING);

	printf("--- two names\n");
	TRUE(cq != MAP_FAILED);
	TRUE(*(_Atomic unsigned *)(cq + R.p.cq_off.tail) == WORD(&R, R.p.cq_off.tail));
	TRUE(*(_Atomic unsigned *)(cq + R.p.cq_off.tail) != 0);
	TRUE(*(_Atomic unsigned *)(cq + R.p.cq_off.ring_entries) == R.p.cq_entries);
	munmap(cq, len);
	TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, R.fd, 0x4000000) == MAP_FAILED);
}

static _Atomic bool enough;

static void *
asks(void *arg)
{
	while (!enough)
		fcntl(R.fd, F_GETFD);
	return arg;
}

/* An operation that waits while there are threads for all CPUs. */
static void
crowd(void)
{
	pthread_t th[4], late;
	int p[2];

	if (pipe(p))
		return;
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, asks, NULL);
	for (int i = 0; i < 10; i++) {
		sqe(&R, IORING_OP_READ, p[0], buf, 4, 0, 40);
		WORKS(enter(&R, 1, 0));
		pthread_create(&late, NULL, posts, &p[1]);
		WORKS(enter(&R, 0, 1));
		pthread_join(late, NULL);
		reap(&R, "in a crowd");
	}
	enough = true;
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	setups();
	if (setup(&R, 64, 0, 0)) {
		printf("no io_uring here\n");
		return 77;
	}
	files();
	waiting();
	opens();
	sockets();
	times();
	chains();
	cancels();
	registered();
	two_names();
	hostile();
	crowd();
	return 0;
}
