/* SPDX-License-Identifier: Apache-2.0 */
/* System V semaphores and message queues. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static int id;

static int
op1(int num, int n, int flags)
{
	struct sembuf b = {(unsigned short)num, (short)n, (short)flags};

	return semop(id, &b, 1);
}

static int
ctl(int num, int cmd, int val)
{
	return semctl(id, num, cmd, (union semun){.val = val});
}

static void
no_handler(int s)
{
	(void)s;
}

static void
sem_basics(void)
{
	struct semid_ds ds;
	unsigned short all[4] = {1, 2, 3, 40000};
	int key = 0x4d4f4154, other;

	SHOW(semget(key, 3, 0600));
	SHOW(semget(key, 0, IPC_CREAT | 0600));
	SHOW(semget(key, -1, IPC_CREAT | 0600));
	SHOW(semget(key, 32001, IPC_CREAT | 0600));
	TRUE((id = semget(key, 3, IPC_CREAT | 0640)) >= 0);
	SHOW(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600));
	TRUE(semget(key, 2, 0) == id);
	SHOW(semget(key, 4, 0));
	other = semget(IPC_PRIVATE, 1, 0600);
	TRUE(other >= 0 && other != id);
	SHOW(semctl(other, 0, IPC_RMID));
	SHOW(semctl(other, 0, IPC_RMID));
	SHOW(semctl(-1, 0, IPC_RMID));
	SHOW(ctl(0, 99, 0));
	SHOW(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}));
	printf("mode %o nsems %lu otime %ld key %x uid %u\n", ds.sem_perm.mode, (long)ds.sem_nsems,
		(long)ds.sem_otime, ds.sem_perm.__key, ds.sem_perm.uid);
	ds.sem_perm.mode = 0666;
	SHOW(semctl(id, 0, IPC_SET, (union semun){.buf = &ds}));
	semctl(id, 0, IPC_STAT, (union semun){.buf = &ds});
	printf("mode %o\n", ds.sem_perm.mode);
	SHOW(ctl(0, SETVAL, 5));
	SHOW(ctl(0, GETVAL, 0));
	SHOW(ctl(0, SETVAL, -1));
	SHOW(ctl(0, SETVAL, 32768));
	SHOW(ctl(3, SETVAL, 1));
	SHOW(ctl(-1, GETVAL, 0));
	SHOW(semctl(id, 0, SETALL, (union semun){.array = all}));
	SHOW(ctl(2, GETVAL, 0));
	all[0] = 50000;
	SHOW(semctl(id, 0, SETALL, (union semun){.array = all}));
	SHOW(semctl(id, 0, GETALL, (union semun){.array = all}));
	printf("%d %d %d\n", all[0], all[1], all[2]);
	TRUE(ctl(0, GETPID, 0) == getpid());
	SHOW(op1(0, -1, 0));
	SHOW(ctl(0, GETVAL, 0));
	SHOW(op1(0, -1, IPC_NOWAIT));
	SHOW(op1(0, 0, IPC_NOWAIT));
	SHOW(op1(1, 0, IPC_NOWAIT));
	SHOW(op1(1, 32767, 0));
	SHOW(op1(7, 1, 0));
	SHOW(semop(id, NULL, 0));
	SHOW(semop(id, NULL, 1));
	SHOW(semop(id, (void *)8, 501));
	SHOW(semop(-1, (void *)8, 1));
	SHOW(semop(id + 1, &(struct sembuf){0}, 1));
	struct sembuf many[3] = {{0, 1, 0}, {0, -1, 0}, {1, -5, IPC_NOWAIT}};
	SHOW(semop(id, many, 3));
	SHOW(ctl(0, GETVAL, 0));
	struct sembuf fine[4] = {{0, 3, 0}, {0, -2, 0}, {0, -1, 0}, {0, 0, 0}};
	SHOW(semop(id, fine, 4));
	SHOW(ctl(0, GETVAL, 0));
	struct timespec ts = {0, 50000000}, bad = {0, -1};
	SHOW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &ts));
	SHOW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &bad));
}

/* A child waits for semaphore n. */
static void
until_waits(int n, int what)
{
	while (ctl(n, what, 0) != 1)
		sleep_ms(1);
}

static void
sem_waits(void)
{
	int *step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t p;
	int st;

	fflush(stdout);
	ctl(0, SETVAL, 0);
	ctl(1, SETVAL, 2);
	p = fork();
	if (!p) {
		op1(0, -2, 0);
		_exit(op1(1, 0, 0) ? 1 : 7);
	}
	until_waits(0, GETNCNT);
	SHOW(ctl(0, GETNCNT, 0));
	op1(0, 1, 0);
	sleep_ms(50);
	SHOW(ctl(0, GETNCNT, 0));
	op1(0, 1, 0);
	until_waits(1, GETZCNT);
	SHOW(ctl(0, GETNCNT, 0));
	SHOW(ctl(1, GETZCNT, 0));
	op1(1, -2, 0);
	waitpid(p, &st, 0);
	printf("child %x\n", st);
	SHOW(ctl(1, GETZCNT, 0));
	fflush(stdout);
	p = fork();
	if (!p) {
		struct sigaction sa = {.sa_handler = no_handler, .sa_flags = SA_RESTART};

		sigaction(SIGUSR1, &sa, NULL);
		SHOW(op1(0, -1, 0));
		*step = 1;
		SHOW(op1(0, -1, 0));
		fflush(stdout);
		_exit(0);
	}
	until_waits(0, GETNCNT);
	kill(p, SIGUSR1);
	while (!*(volatile int *)step)
		sleep_ms(1);
	until_waits(0, GETNCNT);
	SHOW(semctl(id, 0, IPC_RMID));
	waitpid(p, &st, 0);
}

/* What a waiter waits for is done by who makes it possible: nothing comes between, neither another
 * operation nor the end of the set. */
static void
handed_over(void)
{
	int st, passed = 0;
	pid_t p;

	id = semget(IPC_PRIVATE, 2, 0600);
	fflush(stdout);
	p = fork();
	if (!p)
		_exit(op1(0, -1, 0) ? 1 : 7);
	until_waits(0, GETNCNT);
	op1(0, 1, 0);
	SHOW(ctl(0, GETVAL, 0));
	SHOW(ctl(0, GETNCNT, 0));
	TRUE(ctl(0, GETPID, 0) == p);
	SHOW(semop(id, &(struct sembuf){0, -1, IPC_NOWAIT}, 1));
	waitpid(p, &st, 0);
	printf("child %x\n", st);
	/* One that wants more than there is lets others pass. */
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		static const struct sembuf ops[3] = {{0, -5, 0}, {0, -1, 0}, {0, -2, 0}};

		if (!fork()) {
			semop(id, (struct sembuf *)&ops[i], 1);
			_exit(0);
		}
		while (ctl(0, GETNCNT, 0) != i + 1)
			sleep_ms(1);
	}
	op1(0, 2, 0);
	SHOW(ctl(0, GETVAL, 0));
	SHOW(ctl(0, GETNCNT, 0));
	op1(0, 2, 0);
	SHOW(ctl(0, GETVAL, 0));
	SHOW(ctl(0, GETNCNT, 0));
	op1(0, 4, 0);
	SHOW(ctl(0, GETVAL, 0));
	while (wait(NULL) > 0)
		;
	semctl(id, 0, IPC_RMID);
	for (int round = 0; round < 40; round++) {
		id = semget(IPC_PRIVATE, 1, 0600);
		ctl(0, SETVAL, 1);
		for (int i = 0; i < 4; i++)
			if (!fork())
				_exit(op1(0, 0, 0) ? 1 : 7);
		while (ctl(0, GETZCNT, 0) != 4)
			sleep_ms(1);
		op1(0, -1, 0);
		semctl(id, 0, IPC_RMID);
		while (wait(&st) > 0)
			passed += WIFEXITED(st) && WEXITSTATUS(st) == 7;
	}
	printf("passed %d\n", passed);
}

static void *
undo_thread(void *arg)
{
	(void)arg;
	op1(0, 5, SEM_UNDO);
	return NULL;
}

static void
undo(void)
{
	pid_t p;
	pthread_t th;

	id = semget(IPC_PRIVATE, 2, 0600);
	ctl(0, SETVAL, 10);
	fflush(stdout);
	p = fork();
	if (!p) {
		op1(0, -3, SEM_UNDO);
		op1(0, -1, SEM_UNDO);
		op1(0, -1, 0);
		op1(1, 2, SEM_UNDO);
		printf("in between %d %d\n", ctl(0, GETVAL, 0), ctl(1, GETVAL, 0));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	printf("after %d %d\n", ctl(0, GETVAL, 0), ctl(1, GETVAL, 0));
	TRUE(ctl(0, GETPID, 0) == p);
	p = fork();
	if (!p) {
		op1(0, -3, SEM_UNDO);
		ctl(0, SETVAL, 20);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	printf("SETVAL forgets: %d\n", ctl(0, GETVAL, 0));
	fflush(stdout);
	/* what others owe too */
	p = fork();
	if (!p) {
		op1(0, -3, SEM_UNDO);
		op1(1, 1, SEM_UNDO);
		op1(1, -100, 0);
	}
	while (ctl(1, GETNCNT, 0) != 1)
		sleep_ms(1);
	ctl(0, SETVAL, 20);
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
	printf("of others too: %d %d\n", ctl(0, GETVAL, 0), ctl(1, GETVAL, 0));
	fflush(stdout);
	/* a set that is no more owes nothing */
	for (int keep = id, i = 0; i < 3; i++) {
		id = semget(IPC_PRIVATE, 1, 0600);
		op1(0, 1, SEM_UNDO);
		semctl(id, 0, IPC_RMID);
		id = keep;
		op1(1, 1, SEM_UNDO);
	}
	printf("another %d\n", ctl(1, GETVAL, 0));
	fflush(stdout);
	p = fork();
	if (!p) {
		pthread_create(&th, NULL, undo_thread, NULL);
		pthread_join(th, NULL);
		sleep_ms(100);
		printf("the thread's stays: %d\n", ctl(0, GETVAL, 0));
		SHOW(op1(0, -32767, SEM_UNDO | IPC_NOWAIT));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	printf("until the end of the process: %d\n", ctl(0, GETVAL, 0));
	semctl(id, 0, IPC_RMID);
}

static void
say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (write(fd, text, strlen(text)) < 0)
		printf("%s: no\n", path);
	close(fd);
}

/* Owners as a user namespace knows them. */
static void
owners(void)
{
	struct semid_ds s;
	struct shmid_ds m;
	struct msqid_ds q;
	union semun u = {.buf = &s};
	int shm, msg;

	fflush(stdout);
	if (!fork()) {
		if (unshare(CLONE_NEWUSER))
			_exit(1);
		say("/proc/self/setgroups", "deny");
		say("/proc/self/uid_map", "5 0 1");
		say("/proc/self/gid_map", "6 0 1");
		id = semget(IPC_PRIVATE, 1, 0600);
		shm = shmget(IPC_PRIVATE, 4096, 0600);
		msg = msgget(IPC_PRIVATE, 0600);
		semctl(id, 0, IPC_STAT, u);
		shmctl(shm, IPC_STAT, &m);
		msgctl(msg, IPC_STAT, &q);
		printf("%d %d %d %d, ", s.sem_perm.uid, s.sem_perm.gid, s.sem_perm.cuid,
			s.sem_perm.cgid);
		printf("%d %d %d, ", m.shm_perm.uid, m.shm_perm.cgid, m.shm_cpid == getpid());
		printf("%d %d\n", q.msg_perm.uid, q.msg_perm.cgid);
		SHOW(semctl(id, 0, IPC_SET, u));
		SHOW(shmctl(shm, IPC_SET, &m));
		SHOW(msgctl(msg, IPC_SET, &q));
		s.sem_perm.uid = m.shm_perm.gid = q.msg_perm.uid = 0;
		SHOW(semctl(id, 0, IPC_SET, u));
		SHOW(shmctl(shm, IPC_SET, &m));
		SHOW(msgctl(msg, IPC_SET, &q));
		SHOW(semctl(id, 0, IPC_RMID));
		SHOW(shmctl(shm, IPC_RMID, NULL));
		SHOW(msgctl(msg, IPC_RMID, NULL));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

/* Many processes with one lock. */
static void
mutual(void)
{
	int shm = shmget(IPC_PRIVATE, 4096, 0600);
	volatile int *n = shmat(shm, NULL, 0);

	id = semget(IPC_PRIVATE, 1, 0600);
	ctl(0, SETVAL, 1);
	for (int i = 0; i < 4; i++) {
		if (!fork()) {
			for (int k = 0; k < 300; k++) {
				op1(0, -1, SEM_UNDO);
				int v = *n;
				if (k % 50 == 0)
					sched_yield();
				*n = v + 1;
				op1(0, 1, SEM_UNDO);
			}
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	printf("counted %d\n", *n);
	semctl(id, 0, IPC_RMID);
	shmctl(shm, IPC_RMID, NULL);
}

struct text {
	long type;
	char s[10000];
};

static struct text m;

static long
snd(int q, long type, const char *s, int flags)
{
	m.type = type;
	strcpy(m.s, s);
	return msgsnd(q, &m, strlen(s) + 1, flags);
}

static void
rcv(int q, size_t max, long type, int flags)
{
	memset(&m, 0, sizeof m);
	ssize_t n = msgrcv(q, &m, max, type, flags);

	if (n < 0)
		printf("msgrcv(%zu, %ld, %x): %s\n", max, type, flags, strerrorname_np(errno));
	else
		printf("msgrcv(%zu, %ld, %x): %zd type %ld %s\n", max, type, flags, n, m.type, m.s);
}

/* By /proc/PID/stat. */
static void
until_sleeps(pid_t p)
{
	char path[64], line[512], state = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", p);
	while (state != 'S') {
		FILE *f = fopen(path, "r");

		sleep_ms(1);
		if (f && fgets(line, sizeof line, f) && strrchr(line, ')'))
			state = strrchr(line, ')')[2];
		if (f)
			fclose(f);
	}
}

/* Who waits for a message has it when it is sent. */
static void
message_handed_over(void)
{
	struct msqid_ds ds;
	int st, got = 0, fds[2];
	char c;

	fflush(stdout);
	for (int round = 0; round < 30; round++) {
		int q = msgget(IPC_PRIVATE, 0600);
		pid_t p;

		if (pipe(fds) < 0)
			return;
		p = fork();
		if (!p) {
			close(fds[1]); /* tells that the rest is msgrcv */
			close(fds[0]);
			_exit(msgrcv(q, &m, sizeof m.s, 2, 0) == 6 && m.type == 2 ? 7 : 1);
		}
		close(fds[1]);
		if (read(fds[0], &c, 1) != 0)
			printf("not the end\n");
		close(fds[0]);
		until_sleeps(p);
		snd(q, 1, "other", 0);
		snd(q, 2, "taken", 0);
		msgctl(q, IPC_STAT, &ds);
		if (round == 0)
			printf("%lu messages, %lu bytes, taken by the child: %s\n", ds.msg_qnum,
				ds.__msg_cbytes, ds.msg_lrpid == p ? "true" : "false");
		msgctl(q, IPC_RMID, NULL);
		waitpid(p, &st, 0);
		got += WIFEXITED(st) && WEXITSTATUS(st) == 7;
	}
	printf("got %d\n", got);
}

static void
messages(void)
{
	struct msqid_ds ds;
	int q, st;
	pid_t p;

	SHOW(msgget(0x1234abcd, 0600));
	TRUE((q = msgget(0x1234abcd, IPC_CREAT | 0600)) >= 0);
	SHOW(msgget(0x1234abcd, IPC_CREAT | IPC_EXCL | 0600));
	SHOW(snd(q, 0, "x", 0));
	SHOW(snd(q, -5, "x", 0));
	SHOW(msgsnd(q, &m, 8193, 0));
	SHOW(msgsnd(-1, &m, 1, 0));
	SHOW(msgsnd(q, NULL, 1, 0));
	rcv(q, 100, 0, IPC_NOWAIT);
	SHOW(snd(q, 3, "three", 0));
	SHOW(snd(q, 1, "one", 0));
	SHOW(snd(q, 2, "two", 0));
	SHOW(snd(q, 3, "three again", 0));
	SHOW(snd(q, 5, "five", 0));
	SHOW(msgctl(q, IPC_STAT, &ds));
	printf("%lu messages, %lu bytes, limit %lu, sender is me: %d\n", (long)ds.msg_qnum,
		(long)ds.__msg_cbytes, (long)ds.msg_qbytes, ds.msg_lspid == getpid());
	for (long at = -1; at <= 5; at++)
		rcv(q, 100, at, MSG_COPY | IPC_NOWAIT);
	rcv(q, 3, 0, MSG_COPY | IPC_NOWAIT);
	rcv(q, 3, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR);
	rcv(q, 100, 0, MSG_COPY);
	rcv(q, 100, 0, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT);
	SHOW(msgctl(q, IPC_STAT, &ds));
	printf("%lu messages still\n", (long)ds.msg_qnum);
	rcv(q, 100, 2, 0);
	rcv(q, 100, -2, 0);
	rcv(q, 3, 3, 0);
	rcv(q, 3, 3, MSG_NOERROR);
	rcv(q, 100, 3, MSG_EXCEPT);
	rcv(q, 100, 0, 0);
	rcv(q, 100, 7, IPC_NOWAIT);
	rcv(q, (size_t)-1, 0, 0);
	memset(m.s, 'a', sizeof m.s);
	m.type = 1;
	SHOW(msgsnd(q, &m, 8192, IPC_NOWAIT));
	SHOW(msgsnd(q, &m, 8192, IPC_NOWAIT));
	SHOW(msgsnd(q, &m, 8192, IPC_NOWAIT));
	fflush(stdout);
	p = fork();
	if (!p) {
		m.type = 9;
		_exit(msgsnd(q, &m, 10, 0) ? 1 : 0);
	}
	sleep_ms(100);
	SHOW(waitpid(p, &st, WNOHANG));
	rcv(q, 0, 1, MSG_NOERROR);
	waitpid(p, &st, 0);
	printf("sender %x\n", st);
	rcv(q, 0, 9, MSG_NOERROR);
	fflush(stdout);
	p = fork();
	if (!p) {
		rcv(q, 100, 44, 0);
		rcv(q, 100, 45, 0);
		fflush(stdout);
		_exit(0);
	}
	sleep_ms(100);
	snd(q, 43, "not this", 0);
	snd(q, 44, "this", 0);
	sleep_ms(100);
	ds.msg_qbytes = 100;
	SHOW(msgctl(q, IPC_SET, &ds));
	SHOW(snd(q, 1, "over", IPC_NOWAIT));
	SHOW(msgctl(q, IPC_RMID, NULL));
	waitpid(p, &st, 0);
	rcv(q, 1, 0, 0);
}

static void
rights(void)
{
	int q = msgget(IPC_PRIVATE, 0600);

	id = semget(IPC_PRIVATE, 1, 0644);
	fflush(stdout);
	if (!fork()) {
		setgid(65534);
		setuid(65534);
		SHOW(ctl(0, GETVAL, 0));
		SHOW(ctl(0, SETVAL, 1));
		SHOW(op1(0, 1, 0));
		SHOW(op1(0, 0, IPC_NOWAIT));
		SHOW(semctl(id, 0, IPC_RMID));
		SHOW(snd(q, 1, "x", 0));
		rcv(q, 1, 0, IPC_NOWAIT);
		SHOW(msgctl(q, IPC_STAT, &(struct msqid_ds){0}));
		SHOW(msgctl(q, IPC_RMID, NULL));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	semctl(id, 0, IPC_RMID);
	msgctl(q, IPC_RMID, NULL);
}

static void
namespaces(void)
{
	int q = msgget(0x7777, IPC_CREAT | 0600);

	id = semget(0x7777, 1, IPC_CREAT | 0600);
	fflush(stdout);
	if (!fork()) {
		SHOW(unshare(CLONE_NEWIPC));
		SHOW(msgget(0x7777, 0));
		SHOW(semget(0x7777, 1, 0));
		SHOW(semget(0x7777, 1, IPC_CREAT | 0600));
		SHOW(shmget(0x7777, 1, IPC_CREAT | 0600));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	TRUE(msgget(0x7777, 0) == q);
	semctl(id, 0, IPC_RMID);
	msgctl(q, IPC_RMID, NULL);
}

static void
set(const char *name, const char *text)
{
	char path[64], now[100];
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
	fd = open(path, O_RDWR);
	n = write(fd, text, strlen(text));
	printf("%s = %s: %zd errno %d; ", name, text, n, n < 0 ? errno : 0);
	lseek(fd, 0, SEEK_SET);
	n = read(fd, now, sizeof now - 1);
	printf("%.*s", (int)(n > 0 ? n : 0), now);
	close(fd);
}

/* Of a namespace of its own, which its limits end with. */
static void
limits(void)
{
	struct sembuf ops[3] = {{0, 1, 0}, {0, 1, 0}, {0, 1, 0}};
	struct shminfo shm;
	struct msginfo msg;
	struct seminfo sem;
	int q, i;

	fflush(stdout);
	if (fork() == 0) {
		SHOW(unshare(CLONE_NEWIPC));
		set("shmmax", "8192\n");
		set("shmmax", "x");
		set("shmall", "3");
		set("shmmni", "2");
		i = shmget(1, 8192, IPC_CREAT | 0600);
		SHOW(shmget(2, 8193, IPC_CREAT | 0600) < 0);
		SHOW(shmget(2, 8192, IPC_CREAT | 0600) < 0);
		SHOW(shmget(2, 4096, IPC_CREAT | 0600) >= 0);
		set("shmall", "100");
		SHOW(shmget(3, 4096, IPC_CREAT | 0600) < 0);
		shmctl(i, IPC_RMID, NULL);
		SHOW(shmget(3, 4096, IPC_CREAT | 0600) >= 0);
		shmctl(0, IPC_INFO, (struct shmid_ds *)&shm);
		printf("shm %lu %lu %lu\n", shm.shmmax, shm.shmmni, shm.shmall);
		set("msgmax", "10");
		set("msgmnb", "15");
		set("msgmni", "1");
		q = msgget(1, IPC_CREAT | 0600);
		SHOW(msgget(2, IPC_CREAT | 0600) < 0);
		m.type = 1;
		SHOW(msgsnd(q, &m, 11, IPC_NOWAIT));
		SHOW(msgsnd(q, &m, 10, IPC_NOWAIT));
		SHOW(msgsnd(q, &m, 6, IPC_NOWAIT));
		SHOW(msgsnd(q, &m, 5, IPC_NOWAIT));
		msgctl(0, IPC_INFO, (struct msqid_ds *)&msg);
		printf("msg %d %d %d\n", msg.msgmax, msg.msgmnb, msg.msgmni);
		set("sem", "3 4 2 2");
		set("sem", "5");
		SHOW(semget(1, 6, IPC_CREAT | 0600) < 0);
		q = semget(1, 3, IPC_CREAT | 0600);
		SHOW(semget(2, 2, IPC_CREAT | 0600) < 0);
		SHOW(semget(2, 1, IPC_CREAT | 0600) >= 0);
		SHOW(semop(q, ops, 3));
		SHOW(semop(q, ops, 2));
		set("sem", "5 100 2 2");
		SHOW(semget(3, 1, IPC_CREAT | 0600) < 0);
		semctl(q, 0, IPC_RMID);
		SHOW(semget(3, 1, IPC_CREAT | 0600) >= 0);
		semctl(0, 0, IPC_INFO, &sem);
		printf("sem %d %d %d\n", sem.semmsl, sem.semmns, sem.semmni);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int
main(void)
{
	/* Natively the host's are everybody's, also those of another run of this. */
	(void)unshare(CLONE_NEWIPC);
	setvbuf(stdout, NULL, _IOFBF, 65536);
	sem_basics();
	sem_waits();
	handed_over();
	undo();
	owners();
	mutual();
	messages();
	message_handed_over();
	rights();
	namespaces();
	limits();
	return 0;
}
