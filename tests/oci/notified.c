/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the calls that seccomp_agent.c answers, and prints what comes of them. open is the old
 * call: runtimes themselves do not make it below the filter.
 * usage: notified NAME...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
show(const char *what, long r)
{
	printf("%s: %ld %s\n", what, r, r < 0 ? strerrorname_np(errno) : "");
}

static void
show_file(const char *path)
{
	long fd = syscall(SYS_open, path, O_RDONLY), n;
	char text[200];

	show(path, fd);
	if (fd < 0)
		return;
	printf("close-on-exec: %d\n", fcntl((int)fd, F_GETFD));
	n = read((int)fd, text, sizeof text);
	show("read", n);
	if (n > 0)
		fwrite(text, 1, (size_t)n, stdout);
	close((int)fd);
}

static void
on_alarm(int sig)
{
	(void)sig;
}

static void *
thread(void *arg)
{
	show(arg, syscall(SYS_mkdir, arg, 0700));
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct stat st;
	pthread_t t;
	int status;
	pid_t p;

	setlinebuf(stdout);
	sigaction(SIGALRM, &sa, NULL);
	for (int i = 1; i < argc; i++) {
		char path[100];

		snprintf(path, sizeof path, "/tmp/%s", argv[i]);
		if (strcmp(argv[i], "kill") == 0) {
			p = fork();
			if (p == 0)
				_exit(syscall(SYS_mkdir, "/tmp/gone", 0700) < 0);
			sleep(1); /* it has been read by then */
			kill(p, SIGKILL);
			waitpid(p, &status, 0);
			printf("killed: %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
		} else if (strcmp(argv[i], "alarm") == 0) {
			alarm(1);
			show("/tmp/gone", syscall(SYS_mkdir, "/tmp/gone", 0700));
		} else if (strcmp(argv[i], "own-thread") == 0) {
			pthread_create(&t, NULL, thread, "/tmp/value");
			pthread_join(t, NULL);
		} else if (strcmp(argv[i], "sleep") == 0) {
			sleep(1);
		} else if (strcmp(argv[i], "text") == 0) {
			char text[100] = "";

			show(path, syscall(SYS_readlink, path, text, sizeof text - 1));
			printf("%s\n", text);
		} else if (strcmp(argv[i], "pipe") == 0) {
			int fd = (int)syscall(SYS_open, path, O_WRONLY);

			show(path, fd);
			show("write", write(fd, "from inside\n", 12));
			close(fd);
		} else if (strstr("file send set socket thread", argv[i])) {
			show_file(path);
		} else {
			show(path, syscall(SYS_mkdir, path, 0700));
			printf("made: %d\n", stat(path, &st) == 0);
		}
	}
	return 0;
}
