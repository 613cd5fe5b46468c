/* SPDX-License-Identifier: Apache-2.0 */
/* A lock that is got when its descriptor has been closed by another thread is given up again. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>

static int fd, result, error;

static struct flock
whole(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

static void *
wait_for_it(void *arg)
{
	struct flock l = whole(F_WRLCK);

	(void)arg;
	result = fcntl(fd, F_SETLKW, &l);
	error = errno;
	return NULL;
}

static void
look(void)
{
	struct flock l = whole(F_WRLCK);

	fd = open("locked", O_RDWR);
	SHOW(fcntl(fd, F_GETLK, &l));
	TRUE(l.l_type == F_UNLCK);
}

int
main(void)
{
	struct flock l = whole(F_WRLCK);
	int held[2], go[2];
	pthread_t t;
	char byte;

	fd = open("locked", O_CREAT | O_RDWR, 0644);
	if (pipe(held) || pipe(go))
		return 2;
	if (fork() == 0) {
		fcntl(fd, F_SETLK, &l);
		write(held[1], "x", 1);
		read(go[0], &byte, 1);
		_exit(0);
	}
	read(held[0], &byte, 1);
	pthread_create(&t, NULL, wait_for_it, NULL);
	sleep_ms(200);
	close(fd);
	write(go[1], "x", 1);
	pthread_join(t, NULL);
	printf("waited: %d %s\n", result, result ? strerrorname_np(error) : "");
	in_child("who looks", look);
	wait(NULL);
	/* Of one that is still open it stays. */
	fd = open("locked", O_RDWR);
	SHOW(fcntl(fd, F_SETLK, &l));
	in_child("who looks then", look);
	return 0;
}
