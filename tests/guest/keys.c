/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and keyrings: add_key(2), request_key(2), keyctl(2). */
#include "guest.h"
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREAD	KEY_SPEC_THREAD_KEYRING
#define PROCESS KEY_SPEC_PROCESS_KEYRING
#define SESSION KEY_SPEC_SESSION_KEYRING
#define USER	KEY_SPEC_USER_KEYRING

static int
add(const char *type, const char *desc, const char *payload, int ring)
{
	return (int)syscall(SYS_add_key, type, desc, payload, payload ? strlen(payload) : 0, ring);
}

static int
request(const char *type, const char *desc, int ring)
{
	return (int)syscall(SYS_request_key, type, desc, NULL, ring);
}

static long
ctl(int op, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, op, a, b, c, d);
}

#define CTL1(op, a)	  ctl(op, (long)(a), 0, 0, 0)
#define CTL2(op, a, b)	  ctl(op, (long)(a), (long)(b), 0, 0)
#define CTL3(op, a, b, c) ctl(op, (long)(a), (long)(b), (long)(c), 0)

static void
description(int id)
{
	char buf[300] = "";
	long n = CTL3(KEYCTL_DESCRIBE, id, buf, sizeof buf);

	printf("  %ld %s %s\n", n, n < 0 ? strerrorname_np(errno) : "", buf);
}

static void
contents(int id)
{
	char buf[64] = "";
	long n = CTL3(KEYCTL_READ, id, buf, sizeof buf - 1);

	printf("  %ld %s '%s'\n", n, n < 0 ? strerrorname_np(errno) : "", n < 0 ? "" : buf);
}

static int
links(int ring)
{
	int v[64];
	long n = CTL3(KEYCTL_READ, ring, v, sizeof v);

	return n < 0 ? -errno : (int)(n / 4);
}

static void
basic(void)
{
	int a, b, r;
	char small[3] = "..";

	printf("- basic\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	description(SESSION);
	WORKS(a = add("user", "one", "hello", SESSION));
	description(a);
	contents(a);
	SHOW(CTL3(KEYCTL_READ, a, small, 2));
	printf("  %s\n", small);
	SHOW(CTL3(KEYCTL_READ, a, NULL, 0));
	SHOW(CTL3(KEYCTL_DESCRIBE, a, small, 2));
	TRUE(add("user", "one", "again", SESSION) == a);
	contents(a);
	SHOW(CTL3(KEYCTL_UPDATE, a, "third", 5));
	contents(a);
	SHOW(CTL3(KEYCTL_UPDATE, a, "", 0));
	SHOW(CTL3(KEYCTL_UPDATE, a, "x", 5000));
	WORKS(b = add("logon", "service:two", "secret", SESSION));
	description(b);
	contents(b);
	SHOW(add("logon", "two", "secret", SESSION));
	SHOW(add("logon", ":two", "secret", SESSION));
	SHOW(add("user", "", "x", SESSION));
	SHOW(add("user", NULL, "x", SESSION));
	SHOW(add("user", "nothing", NULL, SESSION));
	SHOW(add("unknown", "x", "x", SESSION));
	SHOW(add(".user", "x", "x", SESSION));
	SHOW(add("", "x", "x", SESSION));
	SHOW(add("a type whose name is much too long", "x", "x", SESSION));
	SHOW(add("keyring", ".dot", NULL, SESSION));
	SHOW(add("keyring", "with payload", "x", SESSION));
	SHOW(add("user", "x", "x", a));
	SHOW(add("user", "x", "x", 0));
	SHOW(add("user", "x", "x", KEY_SPEC_GROUP_KEYRING));
	SHOW(add("user", "x", "x", KEY_SPEC_REQKEY_AUTH_KEY));
	SHOW((int)syscall(SYS_add_key, "user", "x", "x", 1 << 20, SESSION));
	SHOW((int)syscall(SYS_add_key, "user", "x", (void *)8, 1, SESSION));
	SHOW((int)syscall(SYS_add_key, (void *)8, "x", "x", 1, SESSION));
	SHOW((int)syscall(SYS_add_key, "user", (void *)8, "x", 1, SESSION));
	SHOW((int)syscall(SYS_add_key, "user", "x", calloc(1, 40000), 32768, SESSION));
	WORKS((int)syscall(SYS_add_key, "user", "x", calloc(1, 40000), 32767, SESSION));
	WORKS(r = add("keyring", "ring", NULL, SESSION));
	description(r);
	SHOW(links(SESSION));
	SHOW(links(r));
	WORKS(add("user", "inner", "deep", r));
	TRUE(request("user", "one", 0) == a);
	TRUE(request("user", "inner", 0) > 0);
	SHOW(request("user", "nowhere", 0));
	SHOW(request("unknown", "one", 0));
	TRUE(request("user", "one", r) == a);
	SHOW(links(r));
	SHOW(CTL1(KEYCTL_CLEAR, r));
	SHOW(links(r));
	SHOW(CTL1(KEYCTL_CLEAR, a));
	SHOW(CTL1(99, 0));
	SHOW(CTL1(KEYCTL_CLEAR, 123456789));
	SHOW(CTL3(KEYCTL_GET_SECURITY, a, small, 3) > 0);
}

static void
ids(void)
{
	printf("- ids\n");
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, THREAD, 0));
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, THREAD, 1));
	description(THREAD);
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, PROCESS, 0));
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, PROCESS, 1));
	description(PROCESS);
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, USER, 0));
	description(USER);
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0));
	description(KEY_SPEC_USER_SESSION_KEYRING);
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, KEY_SPEC_GROUP_KEYRING, 0));
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, KEY_SPEC_REQUESTOR_KEYRING, 0));
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, -20, 0));
	SHOW(CTL1(KEYCTL_SET_REQKEY_KEYRING, -1));
	SHOW(CTL1(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_USER_KEYRING));
	SHOW(CTL1(KEYCTL_SET_REQKEY_KEYRING, -1));
	SHOW(CTL1(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_GROUP_KEYRING));
	SHOW(CTL1(KEYCTL_SET_REQKEY_KEYRING, 20));
	SHOW(CTL1(KEYCTL_SET_REQKEY_KEYRING, 0));
	SHOW(CTL1(KEYCTL_ASSUME_AUTHORITY, 0));
	SHOW(CTL1(KEYCTL_ASSUME_AUTHORITY, -1));
	SHOW(CTL3(KEYCTL_INSTANTIATE, 1, "x", 1));
	SHOW(CTL3(KEYCTL_NEGATE, 1, 1, 0));
}

static void
linking(void)
{
	int a, b, c, x, y, last;

	printf("- links\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	a = add("keyring", "a", NULL, SESSION);
	b = add("keyring", "b", NULL, a);
	c = add("keyring", "c", NULL, b);
	x = add("user", "x", "1", c);
	SHOW(CTL2(KEYCTL_LINK, a, c));
	SHOW(CTL2(KEYCTL_LINK, a, a));
	SHOW(CTL2(KEYCTL_LINK, x, a));
	SHOW(CTL2(KEYCTL_LINK, x, a));
	SHOW(links(a));
	SHOW(CTL2(KEYCTL_LINK, a, x));
	SHOW(CTL2(KEYCTL_UNLINK, x, b));
	SHOW(CTL2(KEYCTL_UNLINK, x, a));
	SHOW(CTL2(KEYCTL_UNLINK, x, a));
	SHOW(CTL2(KEYCTL_UNLINK, 123456789, a));
	TRUE(ctl(KEYCTL_SEARCH, a, (long)"user", (long)"x", 0) == x);
	TRUE(ctl(KEYCTL_SEARCH, a, (long)"user", (long)"x", a) == x);
	SHOW(links(a));
	TRUE(ctl(KEYCTL_SEARCH, SESSION, (long)"keyring", (long)"c", 0) == c);
	TRUE(ctl(KEYCTL_SEARCH, a, (long)"keyring", (long)"a", 0) == a);
	SHOW(ctl(KEYCTL_SEARCH, a, (long)"user", (long)"z", 0));
	SHOW(ctl(KEYCTL_SEARCH, x, (long)"user", (long)"x", 0));
	SHOW(ctl(KEYCTL_SEARCH, a, (long)"unknown", (long)"x", 0));
	/* of one type and name there is one */
	y = add("user", "x", "2", b);
	TRUE(x != y);
	SHOW(CTL2(KEYCTL_LINK, y, a));
	SHOW(links(a));
	TRUE(request("user", "x", 0) == y);
	SHOW(ctl(KEYCTL_MOVE, x, c, b, KEYCTL_MOVE_EXCL));
	SHOW(ctl(KEYCTL_MOVE, x, c, b, 0));
	SHOW(ctl(KEYCTL_MOVE, x, c, b, 0));
	SHOW(ctl(KEYCTL_MOVE, x, b, b, 0));
	SHOW(ctl(KEYCTL_MOVE, x, b, c, 2));
	SHOW(links(b));
	SHOW(links(c));
	SHOW(ctl(KEYCTL_RESTRICT_KEYRING, c, 0, 0, 0));
	SHOW(ctl(KEYCTL_RESTRICT_KEYRING, c, 0, 0, 0));
	SHOW(ctl(KEYCTL_RESTRICT_KEYRING, b, (long)"user", (long)"x", 0));
	SHOW(ctl(KEYCTL_RESTRICT_KEYRING, x, 0, 0, 0));
	SHOW(add("user", "q", "1", c));
	SHOW(CTL2(KEYCTL_LINK, x, c));
	/* too deep */
	last = add("keyring", "deep", NULL, SESSION);
	for (int i = 0; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof name, "d%d", i);
		last = add("keyring", name, NULL, last);
	}
	WORKS(last);
	x = add("user", "deepest", "1", last);
	WORKS(x);
	TRUE(request("user", "deepest", 0) > 0);
	WORKS(CTL2(
		KEYCTL_LINK, (int)ctl(KEYCTL_SEARCH, SESSION, (long)"keyring", (long)"d1", 0), b));
	SHOW(CTL2(
		KEYCTL_LINK, (int)ctl(KEYCTL_SEARCH, SESSION, (long)"keyring", (long)"d0", 0), b));
}

static bool
is_shown(int key)
{
	FILE *f = fopen("/proc/keys", "r");
	bool shown = false;
	char line[600];

	while (f && fgets(line, sizeof line, f))
		shown |= strtol(line, NULL, 16) == key;
	fclose(f);
	return shown;
}

/* A thread of the host's collects keys, and takes its time; until then there are the links. */
static void
wait_collected(int key)
{
	for (int i = 0; i < 500 && is_shown(key); i++)
		sleep_ms(20);
}

static void
moved(void)
{
	int p, x, r, other;
	char name[8];

	/* What is moved takes the place of the keyring that it comes from. */
	printf("- moved\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	p = add("keyring", "p", NULL, SESSION);
	x = add("keyring", "same", NULL, p);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "x%d", i);
		add("user", name, "1", x);
	}
	WORKS(r = add("keyring", "same", NULL, x));
	WORKS(add("user", "inside", "1", r));
	SHOW(ctl(KEYCTL_MOVE, r, x, p, KEYCTL_MOVE_EXCL));
	SHOW(ctl(KEYCTL_MOVE, r, x, p, 0));
	SHOW(links(p));
	SHOW(links(r));
	TRUE(ctl(KEYCTL_SEARCH, p, (long)"keyring", (long)"same", 0) == r);
	wait_collected(x);
	SHOW(CTL3(KEYCTL_READ, x, NULL, 0));
	/* A keyring that it is in takes another's place. */
	other = add("keyring", "other", NULL, SESSION);
	x = add("keyring", "same", NULL, other);
	WORKS(add("user", "there", "1", x));
	SHOW(ctl(KEYCTL_MOVE, r, p, other, 0));
	SHOW(links(p));
	SHOW(links(other));
	SHOW(request("user", "there", 0));
	TRUE(request("user", "inside", 0) > 0);
}

/* Many in one keyring, in and out in no order: it has what it should have, each by name. */
static void
many(void)
{
	enum { N = 120 };
	int ring[2], key[N], in[2][N] = {0}, n[2] = {0}, wrong = 0;
	unsigned rnd = 4711;
	char name[16];

	printf("- many\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	ring[0] = add("keyring", "many 0", NULL, SESSION);
	ring[1] = add("keyring", "many 1", NULL, SESSION);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "m%d", i / 2);
		key[i] = add(i % 2 ? "keyring" : "user", name, i % 2 ? NULL : "x", PROCESS);
		wrong += key[i] < 0;
	}
	SHOW(wrong);
	for (int step = 0; step < 3000; step++) {
		int i, r, done;

		rnd = rnd * 1103515245 + 12345;
		i = (int)(rnd >> 16) % N;
		r = (int)(rnd >> 9) & 1;
		switch (rnd >> 28) {
		case 0:
			done = ctl(KEYCTL_MOVE, key[i], ring[r], ring[!r], 0) == 0;
			wrong += done != in[r][i];
			if (!done)
				break;
			n[r]--;
			n[!r] += !in[!r][i];
			in[r][i] = 0;
			in[!r][i] = 1;
			break;
		case 1 ... 8:
			wrong += CTL2(KEYCTL_LINK, key[i], ring[r]) != 0;
			n[r] += !in[r][i];
			in[r][i] = 1;
			break;
		default:
			done = CTL2(KEYCTL_UNLINK, key[i], ring[r]) == 0;
			wrong += done != in[r][i];
			n[r] -= in[r][i];
			in[r][i] = 0;
			break;
		}
		i = (int)(rnd >> 4) % N;
		snprintf(name, sizeof name, "m%d", i / 2);
		done = (int)ctl(
			KEYCTL_SEARCH, ring[r], (long)(i % 2 ? "keyring" : "user"), (long)name, 0);
		wrong += done != (in[r][i] ? key[i] : -1);
		if (step % 100 == 0)
			for (r = 0; r < 2; r++)
				wrong += CTL3(KEYCTL_READ, ring[r], NULL, 0) != 4 * n[r];
	}
	SHOW(wrong);
	for (int i = 0; i < N; i += 3)
		wrong += CTL1(KEYCTL_INVALIDATE, key[i]) != 0;
	for (int r = 0; r < 2; r++) {
		for (int i = 0; i < N; i += 3)
			n[r] -= in[r][i];
		/* the host collects in its own time */
		for (int i = 0; i < 500 && CTL3(KEYCTL_READ, ring[r], NULL, 0) > 4 * n[r]; i++)
			sleep_ms(20);
		wrong += CTL3(KEYCTL_READ, ring[r], NULL, 0) != 4 * n[r];
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "m%d", i / 2);
		wrong += ctl(KEYCTL_SEARCH, ring[0], (long)(i % 2 ? "keyring" : "user"), (long)name,
				 0) != (i % 3 && in[0][i] ? key[i] : -1);
	}
	SHOW(CTL1(KEYCTL_CLEAR, ring[0]));
	SHOW(links(ring[0]));
	SHOW(CTL2(KEYCTL_LINK, key[1], ring[0]));
	SHOW(links(ring[0]));
	SHOW(wrong);
}

static void
ends(void)
{
	int a, b, r;

	printf("- ends\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	a = add("user", "a", "1", SESSION);
	SHOW(CTL1(KEYCTL_REVOKE, a));
	contents(a);
	description(a);
	SHOW(request("user", "a", 0));
	SHOW(CTL3(KEYCTL_UPDATE, a, "x", 1));
	SHOW(links(SESSION));
	b = add("user", "a", "2", SESSION);
	TRUE(a != b && b > 0);
	SHOW(links(SESSION));
	SHOW(CTL1(KEYCTL_INVALIDATE, b));
	for (int i = 0; i < 200 && request("user", "a", 0) < 0 && errno == EKEYREVOKED; i++)
		sleep_ms(20);
	wait_collected(b);
	SHOW(request("user", "a", 0));
	contents(b);
	SHOW(links(SESSION));
	a = add("user", "t", "1", SESSION);
	SHOW(CTL2(KEYCTL_SET_TIMEOUT, a, 1));
	contents(a);
	sleep_ms(2200);
	contents(a);
	SHOW(request("user", "t", 0));
	SHOW(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"t", 0));
	description(a);
	SHOW(CTL2(KEYCTL_SET_TIMEOUT, a, 0));
	contents(a);
	r = add("keyring", "r", NULL, SESSION);
	add("user", "in r", "1", r);
	SHOW(CTL1(KEYCTL_REVOKE, r));
	SHOW(links(r));
	SHOW(request("user", "in r", 0));
	SHOW(add("user", "in r", "1", r));
	SHOW(CTL2(KEYCTL_UNLINK, r, SESSION));
	a = add("user", "u", "1", SESSION);
	SHOW(CTL2(KEYCTL_UNLINK, a, SESSION));
	wait_collected(a);
	SHOW(CTL3(KEYCTL_READ, a, NULL, 0));
}

static void
permissions(void)
{
	int a, r;

	printf("- permissions\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	a = add("user", "p", "1", SESSION);
	SHOW(CTL2(KEYCTL_SETPERM, a, 0x7f000000));
	SHOW(CTL2(KEYCTL_SETPERM, a, 0x3d000000));
	description(a);
	contents(a); /* it can be found */
	SHOW(CTL2(KEYCTL_SETPERM, a, 0x37000000));
	contents(a);
	SHOW(request("user", "p", 0));
	SHOW(CTL2(KEYCTL_SETPERM, a, 0x3f000000));
	a = add("user", "q", "1", SESSION);
	SHOW(CTL2(KEYCTL_SETPERM, a, 0x28000000));
	description(a);
	contents(a);
	SHOW(CTL3(KEYCTL_UPDATE, a, "2", 1));
	SHOW(add("user", "q", "2", SESSION));
	SHOW(CTL2(KEYCTL_LINK, a, PROCESS));
	SHOW(CTL1(KEYCTL_REVOKE, a));
	r = add("keyring", "r", NULL, SESSION);
	add("user", "hidden", "1", r);
	SHOW(CTL2(KEYCTL_SETPERM, r, 0x37000000));
	SHOW(request("user", "hidden", 0));
	SHOW(CTL3(KEYCTL_CHOWN, a, -1, -1));
	SHOW(CTL3(KEYCTL_CHOWN, 123456789, 1, -1));
	a = add("user", "o", "1", SESSION);
	if (geteuid() == 0) {
		SHOW(CTL3(KEYCTL_CHOWN, a, 4244, 4245));
		description(a);
		SHOW(CTL2(KEYCTL_SETPERM, a, 0x3f010000));
		if (setresgid(4246, 4246, 4246) || setresuid(4246, 4246, 4246))
			printf("who: %d\n", errno);
		SHOW(CTL2(KEYCTL_SETPERM, a, 0x3f3f0000));
		SHOW(CTL3(KEYCTL_CHOWN, a, 4246, -1));
		description(a);
		contents(a);
	}
}

/* What a key of another user's lets do, when nothing is possessed. */
static void
others(void)
{
	int a, pipes[2];
	pid_t pid;

	printf("- others\n");
	fflush(stdout);
	if (geteuid())
		return;
	pipe(pipes);
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	a = add("user", "p", "1", SESSION);
	for (unsigned perm = 0; perm < 4; perm++) {
		static const unsigned perms[] = {0x3f000000, 0x3f000001, 0x3f000003, 0x3f00020b};

		SHOW(CTL3(KEYCTL_CHOWN, a, -1, 4247));
		SHOW(CTL2(KEYCTL_SETPERM, a, perms[perm]));
		fflush(stdout);
		pid = fork();
		if (!pid) {
			if (setresgid(4247, 4247, 4247) || setresuid(4247, 4247, 4247))
				printf("who: %d\n", errno);
			CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL);
			description(a);
			contents(a);
			SHOW(CTL3(KEYCTL_UPDATE, a, "2", 1));
			SHOW(CTL2(KEYCTL_LINK, a, SESSION));
			SHOW(CTL1(KEYCTL_INVALIDATE, a) == 0 && perm < 3);
			fflush(stdout);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void *
in_thread(void *arg)
{
	(void)arg;
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, THREAD, 0));
	description(THREAD);
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, PROCESS, 0));
	TRUE(request("user", "of session", 0) > 0);
	TRUE(request("user", "of process", 0) > 0);
	SHOW(request("user", "of thread", 0));
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	SHOW(request("user", "of session", 0));
	return NULL;
}

static void
lives(void)
{
	pthread_t th;
	pid_t pid;
	int st, s;

	printf("- lives\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	WORKS(add("user", "of session", "1", SESSION));
	WORKS(add("user", "of process", "1", PROCESS));
	WORKS(add("user", "of thread", "1", THREAD));
	TRUE(request("user", "of thread", 0) > 0);
	pthread_create(&th, NULL, in_thread, NULL);
	pthread_join(th, NULL);
	TRUE(request("user", "of session", 0) > 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		TRUE(request("user", "of session", 0) > 0);
		SHOW(request("user", "of process", 0));
		SHOW(request("user", "of thread", 0));
		WORKS(add("user", "by child", "1", SESSION));
		fflush(stdout);
		WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
		add("user", "for parent", "1", SESSION);
		SHOW(CTL1(KEYCTL_SESSION_TO_PARENT, 0));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	TRUE(request("user", "for parent", 0) > 0);
	SHOW(request("user", "by child", 0));
	/* by name */
	WORKS(s = CTL1(KEYCTL_JOIN_SESSION_KEYRING, "moat guest test"));
	description(SESSION);
	SHOW(CTL2(KEYCTL_SETPERM, SESSION, 0x3f1b0000));
	WORKS(add("user", "named", "1", SESSION));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
		SHOW(request("user", "named", 0));
		TRUE(CTL1(KEYCTL_JOIN_SESSION_KEYRING, "moat guest test") == s);
		TRUE(request("user", "named", 0) > 0);
		SHOW(CTL1(KEYCTL_JOIN_SESSION_KEYRING, ".dot"));
		SHOW(CTL1(KEYCTL_JOIN_SESSION_KEYRING, (void *)8));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &st, 0);
}

/* A thread's keyring follows its file system ids, each by itself. */
static void
followed(void)
{
	printf("- followed\n");
	if (geteuid())
		return;
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, THREAD, 1));
	WORKS(CTL2(KEYCTL_GET_KEYRING_ID, PROCESS, 1));
	setfsgid(4251);
	description(THREAD);
	setfsuid(4250);
	description(THREAD);
	setfsuid(0);
	description(THREAD);
	SHOW(CTL3(KEYCTL_CHOWN, THREAD, -1, 4252));
	setfsuid(4250);
	description(THREAD);
	setfsgid(0);
	description(THREAD);
	/* it has counted for this one all the time */
	SHOW(CTL3(KEYCTL_CHOWN, THREAD, 0, -1));
	description(THREAD);
	SHOW(CTL3(KEYCTL_CHOWN, THREAD, 4254, -1));
	description(THREAD);
	if (setresgid(4253, 4253, 4253))
		printf("who: %d\n", errno);
	description(THREAD);
	description(PROCESS);
}

/* A user's keyring is there without being asked for, and the same everywhere. */
static void
users(void)
{
	int k, p;

	printf("- users\n");
	if (geteuid() == 0 && (setresgid(4248, 4248, 4248) || setresuid(4248, 4248, 4248)))
		printf("who: %d\n", errno);
	WORKS(k = add("user", "mine", "1", USER));
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	SHOW(request("user", "mine", 0));
	SHOW(CTL2(KEYCTL_LINK, USER, SESSION));
	TRUE(request("user", "mine", 0) == k);
	SHOW(CTL1(KEYCTL_CLEAR, USER));
	WORKS(p = CTL2(KEYCTL_GET_PERSISTENT, -1, SESSION));
	if (geteuid() == 4248)
		description(p);
	TRUE(CTL2(KEYCTL_GET_PERSISTENT, geteuid(), SESSION) == p);
	SHOW(CTL2(KEYCTL_GET_PERSISTENT, 1, SESSION));
}

/* How many count for a user's quota. */
static unsigned
keys_of(unsigned uid)
{
	FILE *f = fopen("/proc/key-users", "r");
	unsigned who, counted, n = 0;
	char line[200];

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%u: %*u %*u/%*u %u/", &who, &counted) == 2 && who == uid)
			n = counted;
	fclose(f);
	return n;
}

/* Until there is no room for another key of this user's. */
static void
fill(int ring)
{
	char name[32];
	int n = 0;

	do
		snprintf(name, sizeof name, "fill %d", n);
	while (add("user", name, "x", ring) > 0 && ++n < 1000);
	printf("%s\n", strerrorname_np(errno));
}

/* The keyrings of a user, after one of them has ended, where there is no session; first with no
 * room for another. */
static void
users_end(int uid, int op, long arg, bool session)
{
	int u, s, old;

	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	printf("- a keyring of a user ends\n");
	if (geteuid() == 0 && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		printf("who: %d\n", errno);
	WORKS(u = CTL2(KEYCTL_GET_KEYRING_ID, USER, 0));
	WORKS(s = CTL2(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0));
	old = session ? s : u;
	SHOW(CTL2(op, old, arg));
	if (op == KEYCTL_INVALIDATE)
		wait_collected(old);
	else if (op == KEYCTL_SET_TIMEOUT)
		sleep_ms(2200);
	fill(PROCESS);
	SHOW(CTL3(KEYCTL_DESCRIBE, u, NULL, 0));
	SHOW(CTL3(KEYCTL_DESCRIBE, s, NULL, 0));
	SHOW(CTL2(KEYCTL_LINK, u, PROCESS));
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, USER, 0));
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0));
	SHOW(CTL2(KEYCTL_GET_KEYRING_ID, SESSION, 0));
	SHOW(add("user", "x", "x", SESSION));
	SHOW(request("user", "x", 0));
	SHOW(CTL3(KEYCTL_DESCRIBE, u, NULL, 0));
	SHOW(CTL1(KEYCTL_CLEAR, PROCESS));
	for (int i = 0; i < 500 && keys_of((unsigned)getuid()) > 20; i++)
		sleep_ms(20);
	TRUE(CTL2(KEYCTL_GET_KEYRING_ID, USER, 0) == u);
	TRUE(CTL2(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0) == s);
	TRUE(CTL2(KEYCTL_GET_KEYRING_ID, USER, 0) > 0);
	SHOW(CTL3(KEYCTL_DESCRIBE, u, NULL, 0));
	SHOW(CTL3(KEYCTL_DESCRIBE, s, NULL, 0));
	fflush(stdout);
	_exit(0);
}

static void
users_ends(void)
{
	/* others than in the run before: what has ended stays for minutes */
	int uid = 100000 + (int)(now_ms() & 0xffff) * 8;

	if (geteuid())
		return;
	for (int session = 0; session < 2; session++) {
		users_end(uid++, KEYCTL_REVOKE, 0, session);
		users_end(uid++, KEYCTL_INVALIDATE, 0, session);
		users_end(uid++, KEYCTL_SET_TIMEOUT, 1, session);
	}
}

static void
quota(void)
{
	int n = 0, ring, id;
	char name[32], big[20000];

	printf("- quota\n");
	if (geteuid() == 0 && (setresgid(4249, 4249, 4249) || setresuid(4249, 4249, 4249)))
		printf("who: %d\n", errno);
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL));
	memset(big, 'b', sizeof big);
	SHOW((int)syscall(SYS_add_key, "user", "big", big, sizeof big, SESSION));
	WORKS(id = (int)syscall(SYS_add_key, "user", "big", big, sizeof big - 1000, SESSION));
	SHOW((int)syscall(SYS_add_key, "user", "more", big, 1000, SESSION));
	SHOW(CTL3(KEYCTL_UPDATE, id, "small", 5));
	WORKS((int)syscall(SYS_add_key, "user", "more", big, 1000, SESSION));
	WORKS(ring = add("keyring", "many", NULL, SESSION));
	do
		snprintf(name, sizeof name, "key %d", n);
	while (add("user", name, "x", ring) > 0 && ++n < 1000);
	printf("%s\n", strerrorname_np(errno));
	TRUE(n > 150 && n < 200);
	SHOW(CTL1(KEYCTL_CLEAR, ring));
	for (int i = 0; i < 50 && add("user", "after", "x", ring) < 0; i++)
		sleep_ms(20);
	WORKS(add("user", "after", "x", ring));
}

/* The line of a key in /proc/keys, without the count of references. */
static void
shown(void)
{
	char line[600], type[32], flags[16], time[16], perm[16], desc[300];
	char rows[3][600] = {"", "", ""};
	unsigned serial, refs, last = 0;
	int uid, gid, a, r, b;
	FILE *f;

	printf("- shown\n");
	WORKS(CTL1(KEYCTL_JOIN_SESSION_KEYRING, "moat shown"));
	a = add("user", "shown user", "12345", SESSION);
	r = add("keyring", "shown ring", NULL, SESSION);
	b = add("logon", "shown:logon", "123", r);
	CTL2(KEYCTL_SET_TIMEOUT, b, 3600 * 5 + 100);
	f = fopen("/proc/keys", "r");
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%x %15s %u %15s %15s %d %d %31s %299[^\n]", &serial, flags, &refs,
			    time, perm, &uid, &gid, type, desc) != 9 ||
			strncmp(desc, "shown", 5))
			continue;
		snprintf(rows[serial == (unsigned)a	 ? 0
				 : serial == (unsigned)b ? 1
							 : 2],
			sizeof rows[0], "%s %s %s %d %d %s %s %d", flags, time, perm, uid, gid,
			type, desc, serial > last);
		last = serial;
	}
	for (int i = 0; i < 3; i++)
		printf("  %s\n", rows[i]);
	fclose(f);
	f = fopen("/proc/key-users", "r");
	TRUE(f != NULL);
	while (fgets(line, sizeof line, f)) {
		unsigned who, usage, keys, ikeys, qkeys, maxkeys, qbytes, maxbytes;

		if (sscanf(line, "%u: %u %u/%u %u/%u %u/%u", &who, &usage, &keys, &ikeys, &qkeys,
			    &maxkeys, &qbytes, &maxbytes) == 8 &&
			who == getuid())
			printf("  there: %d %d %u %u\n", keys >= 4 && keys == ikeys,
				qkeys >= 4 && qbytes > 40, maxkeys, maxbytes);
	}
	fclose(f);
}

static void
apart(void (*fn)(void))
{
	fflush(stdout);
	if (fork() == 0) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void
tune(const char *name, const char *value)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/sys/kernel/keys/%s", name);
	f = fopen(path, "w");
	if (!f || fputs(value, f) < 0 || fclose(f))
		printf("%s: %s\n", path, strerrorname_np(errno));
}

static int
rows_of_users(unsigned from)
{
	FILE *f = fopen("/proc/key-users", "r");
	char line[200];
	unsigned uid;
	int n = 0;

	while (f && fgets(line, sizeof line, f))
		n += sscanf(line, "%u:", &uid) == 1 && uid >= from;
	fclose(f);
	return n;
}

/* What has ended leaves nothing, and is not in the hands of who uses it at that moment. */
static void
collected(void)
{
	enum { FROM = 200000, USERS = 100, N = 40 };
	int key[N], ring, a, b, wrong = 0;
	long p, begun;
	char name[16];

	tune("gc_delay", "0");
	CTL1(KEYCTL_JOIN_SESSION_KEYRING, NULL);
	ring = add("keyring", "ring", NULL, SESSION);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "c%d", i / 2);
		key[i] = add(i % 2 ? "keyring" : "user", name, i % 2 ? NULL : "x", ring);
	}
	SHOW(links(ring));
	for (int i = 0; i < USERS; i++)
		wrong += CTL2(KEYCTL_GET_PERSISTENT, FROM + i, PROCESS) < 0;
	CTL1(KEYCTL_CLEAR, PROCESS);
	SHOW(rows_of_users(FROM));
	/* Only now can anything end, however slow the machine is. */
	tune("persistent_keyring_expiry", "1");
	for (int i = 0; i < N; i += 3)
		wrong += CTL2(KEYCTL_SET_TIMEOUT, key[i], 1) != 0;
	for (int i = 0; i < USERS; i++)
		wrong += CTL2(KEYCTL_GET_PERSISTENT, FROM + i, PROCESS) < 0;
	CTL1(KEYCTL_CLEAR, PROCESS);
	begun = now_ms();
	/* They end between one look and the next of one call, some of the time. */
	p = CTL2(KEYCTL_GET_PERSISTENT, 0, PROCESS);
	a = add("keyring", "a", NULL, PROCESS);
	b = add("keyring", "b", NULL, PROCESS);
	while (now_ms() - begun < 3500) {
		int moved = add("user", "moved", "x", a);

		CTL2(KEYCTL_SET_TIMEOUT, a, 1);
		CTL2(KEYCTL_SET_TIMEOUT, b, 1);
		while (ctl(KEYCTL_MOVE, moved, a, b, 0) == 0 &&
			ctl(KEYCTL_MOVE, moved, b, a, 0) == 0)
			if (CTL2(KEYCTL_GET_PERSISTENT, 0, p) >= 0 || errno != EDEADLK)
				p = CTL2(KEYCTL_GET_PERSISTENT, 0, PROCESS);
		a = add("keyring", "a", NULL, PROCESS);
		b = add("keyring", "b", NULL, PROCESS);
	}
	SHOW(rows_of_users(FROM));
	SHOW(links(ring));
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "c%d", i / 2);
		wrong += ctl(KEYCTL_SEARCH, ring, (long)(i % 2 ? "keyring" : "user"), (long)name,
				 0) != (i % 3 ? key[i] : -1);
	}
	SHOW(wrong);
}

/* With an argument: what of a kernel's can be tuned is, for tests/escape/keys.sh. */
int
main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		collected();
		return 0;
	}
	apart(basic);
	apart(ids);
	apart(linking);
	apart(moved);
	apart(many);
	apart(ends);
	apart(permissions);
	apart(others);
	apart(lives);
	apart(followed);
	apart(users);
	apart(users_ends);
	apart(quota);
	apart(shown);
	return 0;
}
