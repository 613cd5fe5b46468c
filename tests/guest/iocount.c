/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has read and written, in /proc/PID/io: of the thread, the process, and the
 * children that it has waited for. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct io {
	long rchar, wchar, syscr, syscw;
};

/* Looking is one read of as many bytes as the text has. */
static struct io
look(const char *path, long *len)
{
	char text[1000];
	struct io io;
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);

	close(fd);
	text[n > 0 ? n : 0] = 0;
	if (sscanf(text, "rchar: %ld wchar: %ld syscr: %ld syscw: %ld read_bytes: %*d", &io.rchar,
		    &io.wchar, &io.syscr, &io.syscw) != 4 ||
		!strstr(text, "write_bytes: ") || !strstr(text, "cancelled_write_bytes: "))
		printf("no such text: %s\n", text);
	*len = n;
	return io;
}

static struct io before;
static long looked;

static void
begin(void)
{
	fflush(stdout);
	before = look("/proc/self/io", &looked);
}

static void
end(const char *what)
{
	long unused;
	struct io now = look("/proc/self/io", &unused);

	printf("%s: read %ld in %ld, written %ld in %ld\n", what, now.rchar - before.rchar - looked,
		now.syscr - before.syscr - 1, now.wchar - before.wchar, now.syscw - before.syscw);
}

static char buf[10000];

static void *
thread(void *arg)
{
	struct io io;
	long len;

	write(*(int *)arg, buf, 3000);
	io = look("/proc/thread-self/io", &len);
	printf("thread alone: written %ld in %ld\n", io.wchar, io.syscw);
	looked += len;
	return NULL;
}

int
main(void)
{
	struct iovec v[2] = {{buf, 100}, {buf, 50}};
	int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0600), fd2, p[2], s[2], w;
	pthread_t t;
	pid_t c;

	begin();
	write(fd, buf, 5000);
	write(fd, buf, 0);
	lseek(fd, 0, SEEK_SET);
	read(fd, buf, 1234);
	read(fd, buf, sizeof buf);
	read(fd, buf, sizeof buf); /* the end */
	end("plain");

	begin();
	pwrite(fd, buf, 10, 0);
	pread(fd, buf, 20, 5);
	writev(fd, v, 2);
	preadv(fd, v, 2, 0);
	pwritev(fd, v, 1, 0);
	end("others");

	begin();
	read(999, buf, 1);
	write(999, buf, 1);
	readv(999, v, 1);
	pread(fd, buf, 1, -1);
	syscall(SYS_write, fd, 1L, 10L);
	fd2 = open("data", O_WRONLY);
	read(fd2, buf, 1);
	readv(fd2, v, 1);
	end("what fails");

	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	begin();
	write(p[1], buf, 77);
	read(p[0], buf, 77);
	write(s[0], buf, 7);
	read(s[1], buf, 7);
	send(s[0], buf, 9, 0);
	recv(s[1], buf, 9, 0);
	end("pipe and socket");

	begin();
	lseek(fd, 0, SEEK_SET);
	sendfile(p[1], fd, NULL, 300);
	read(p[0], buf, 300);
	copy_file_range(fd, &(loff_t){0}, fd2, &(loff_t){4000}, 500, 0);
	end("copies");

	begin();
	pthread_create(&t, NULL, thread, &fd);
	pthread_join(t, NULL);
	fflush(stdout);
	end("with a thread");

	begin();
	c = fork();
	if (!c) {
		write(fd, buf, 2222);
		_exit(0);
	}
	sleep_ms(100);
	end("with a child");
	begin();
	waitpid(c, &w, 0);
	end("waited for");
	return 0;
}
