/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals: line discipline, modes, signals, sizes, hangup. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int m, s;

static void
show(const char *what, int fd)
{
	char buf[512];
	struct pollfd p = {fd, POLLIN, 0};
	int r = poll(&p, 1, 200);
	ssize_t n = r > 0 ? read(fd, buf, sizeof buf) : -2;

	/* What the host's terminal echoes may come in pieces. */
	while (fd == m && n > 0 && n < (ssize_t)sizeof buf && poll(&p, 1, 30) > 0) {
		ssize_t more = read(fd, buf + n, sizeof buf - (size_t)n);

		if (more <= 0)
			break;
		n += more;
	}

	printf("%s: %zd \"", what, n);
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] >= 32 && buf[i] < 127)
			putchar(buf[i]);
		else
			printf("\\%o", (unsigned char)buf[i]);
	printf("\"%s\n", n == -1 ? strerror(errno) : "");
}

static void
type(const char *t)
{
	if (write(m, t, strlen(t)) != (ssize_t)strlen(t))
		printf("write: %s\n", strerror(errno));
}

static void
on_signal(int n)
{
	(void)n;
}

/* Until the terminal takes output, or does not. The host's kernel looks at what is typed in a
 * worker, in its own time. */
static void
await_room(int s, int room)
{
	struct pollfd p = {s, POLLOUT, 0};

	for (int i = 0; i < 500 && poll(&p, 1, 0) != room; i++)
		usleep(10000);
}

/* The calls that System V had, bits that stay as they are, and CLOCAL by itself. What it changes it
 * puts back. */
static void
old_calls(int fd, const char *name)
{
	struct termios before, fixed = {0}, t;
	struct termio o;
	int v = 7;

	tcgetattr(fd, &before);
	memset(&o, 0xff, sizeof o);
	printf("%s: %d ", name, ioctl(fd, TCGETA, &o));
	printf("%o %o %o %o %d,", o.c_iflag, o.c_oflag, o.c_cflag, o.c_lflag, o.c_line);
	for (int i = 0; i < NCC; i++)
		printf(" %d", o.c_cc[i]);
	o.c_lflag &= (unsigned short)~ECHO;
	o.c_cc[VERASE] = 'e';
	printf("\n%d %d %d ", ioctl(fd, TCSETA, &o), ioctl(fd, TCSETAW, &o),
		ioctl(fd, TCSETAF, &o));
	tcgetattr(fd, &t);
	printf("%o %c %d\n", t.c_lflag, t.c_cc[VERASE], t.c_cc[VEOL2]);
	printf("%d %d ", ioctl(fd, TIOCGLCKTRMIOS, &fixed), fixed.c_lflag | fixed.c_cc[VERASE]);
	fixed.c_lflag = ICANON;
	fixed.c_cc[VERASE] = 1;
	printf("%d ", ioctl(fd, TIOCSLCKTRMIOS, &fixed));
	t.c_lflag &= ~(tcflag_t)ICANON;
	t.c_lflag |= ECHO;
	t.c_cc[VERASE] = 'f';
	printf("%d ", ioctl(fd, TCSETS, &t));
	tcgetattr(fd, &t);
	printf("%o %c\n", t.c_lflag, t.c_cc[VERASE]);
	memset(&fixed, 0, sizeof fixed);
	ioctl(fd, TIOCSLCKTRMIOS, &fixed);
	printf("%d %d ", ioctl(fd, TIOCGSOFTCAR, &v), v);
	v = 1;
	printf("%d ", ioctl(fd, TIOCSSOFTCAR, &v));
	tcgetattr(fd, &t);
	printf("%o\n", t.c_cflag);
	printf("%d %d\n", ioctl(fd, TCGETA, 8), ioctl(fd, TIOCGLCKTRMIOS, 8));
	tcsetattr(fd, TCSANOW, &before);
}

int
main(void)
{
	alarm(20);
	struct termios t;
	struct winsize ws = {24, 80, 0, 0};
	int st, n, on = 1;
	pid_t pid;

	m = posix_openpt(O_RDWR | O_NOCTTY);
	printf("open %d grant %d\n", m >= 0, grantpt(m));
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	printf("locked: %s\n", s < 0 ? strerror(errno) : "no");
	printf("unlock %d\n", unlockpt(m));
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	printf("slave %d tty %d %d\n", s >= 0, isatty(s), isatty(m));
	tcgetattr(s, &t);
	printf("%o %o %o %o\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
	old_calls(s, "slave");
	old_calls(m, "master");

	type("hello\n");
	show("line", s);
	show("echo", m);
	type("abc\177\177x\tq\177w\n");
	show("erase", s);
	show("echo", m);
	type("one two  three\027four\n");
	show("werase", s);
	show("echo", m);
	type("junk\025good\n");
	show("kill", s);
	show("echo", m);
	type("par\004tial\n");
	show("eof in line", s);
	show("rest", s);
	show("echo", m);
	type("\004");
	show("eof", s);
	type("\026\003lit\n");
	show("lnext", s);
	show("echo", m);
	type("cr\r");
	show("icrnl", s);
	show("echo", m);
	write(s, "a\nb\tc\n", 6);
	show("opost", m);
	type("two\nlines\n");
	usleep(100000);
	ioctl(s, FIONREAD, &n);
	printf("fionread %d\n", n);
	show("first", s);
	show("second", s);
	show("echo", m);

	t.c_lflag &= ~(ICANON | ECHO);
	t.c_cc[VMIN] = 3;
	t.c_cc[VTIME] = 0;
	tcsetattr(s, TCSANOW, &t);
	type("ab");
	show("min 3, two there", s);
	type("c");
	show("three", s);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 2;
	tcsetattr(s, TCSANOW, &t);
	n = (int)read(s, &st, 1);
	printf("vtime %d\n", n);
	t.c_cc[VTIME] = 0;
	tcsetattr(s, TCSANOW, &t);
	printf("poll 0: %zd\n", read(s, &st, 1));
	t.c_oflag &= ~OPOST;
	tcsetattr(s, TCSANOW, &t);
	write(s, "raw\n", 4);
	show("no opost", m);
	t.c_oflag |= OPOST;
	t.c_lflag |= ICANON | ECHO;
	t.c_cc[VMIN] = 1;
	tcsetattr(s, TCSAFLUSH, &t);

	ioctl(m, TIOCSWINSZ, &ws);
	memset(&ws, 0, sizeof ws);
	ioctl(s, TIOCGWINSZ, &ws);
	printf("size %d %d\n", ws.ws_row, ws.ws_col);
	ioctl(m, TIOCPKT, &on);
	write(s, "pkt", 3);
	show("packet", m);
	tcflush(s, TCIFLUSH);
	show("packet flush", m);
	on = 0;
	ioctl(m, TIOCPKT, &on);

	/* flow */
	type("\023");
	await_room(s, 0);
	n = fcntl(s, F_GETFL);
	fcntl(s, F_SETFL, n | O_NONBLOCK);
	st = (int)write(s, "x", 1);
	printf("stopped write %d %s\n", st, strerror(errno));
	type("\021");
	await_room(s, 1);
	printf("started write %zd\n", write(s, "x", 1));
	show("flow", m);
	n = (int)read(s, &st, 1);
	printf("empty read %d %s\n", n, strerror(errno));
	n = 0;
	fcntl(s, F_SETFL, O_RDWR);

	/* signals to the foreground group of a session of its own */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		sigset_t set;
		int sig;

		signal(SIGINT, on_signal);
		sigemptyset(&set);
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGWINCH);
		sigaddset(&set, SIGHUP);
		sigprocmask(SIG_BLOCK, &set, NULL);
		setsid();
		close(m);
		printf("ctty %d\n", ioctl(s, TIOCSCTTY, 0));
		printf("pgrp ok %d sid ok %d\n", tcgetpgrp(s) == getpgrp(),
			tcgetsid(s) == getsid(0));
		n = open("/dev/tty", O_RDWR);
		printf("/dev/tty %d\n", n >= 0);
		write(n, "via tty", 7);
		fflush(stdout);
		sigwait(&set, &sig);
		printf("signal %d\n", sig == SIGINT);
		sigwait(&set, &sig);
		printf("signal %d\n", sig == SIGWINCH);
		fflush(stdout);
		write(s, "!", 1);
		sigwait(&set, &sig);
		printf("signal %d\n", sig == SIGHUP);
		n = (int)read(s, &st, 1);
		st = (int)write(s, "x", 1);
		printf("after hangup: read %d, write %d %s\n", n, st, strerror(errno));
		fflush(stdout);
		_exit(7);
	}
	show("tty", m);
	type("typed\003");
	show("echo ^C", m);
	usleep(100000);
	ws.ws_col = 132;
	ioctl(m, TIOCSWINSZ, &ws);
	show("mark", m);
	close(s);
	close(m);
	waitpid(pid, &st, 0);
	printf("status %x\n", st);

	/* What came while somebody else did the editing is a line when nobody does. */
	m = posix_openpt(O_RDWR | O_NOCTTY);
	unlockpt(m);
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	tcgetattr(s, &t);
	t.c_lflag = (t.c_lflag | EXTPROC) & ~(tcflag_t)ECHO;
	tcsetattr(s, TCSANOW, &t);
	type("abc");
	usleep(100000);
	t.c_lflag &= ~(tcflag_t)EXTPROC;
	tcsetattr(s, TCSANOW, &t);
	show("without EXTPROC", s);
	type("de\n");
	show("next line", s);
	close(s);
	close(m);

	m = posix_openpt(O_RDWR | O_NOCTTY);
	unlockpt(m);
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	write(s, "last", 4);
	close(s);
	show("before eio", m);
	show("eio", m);
	return 0;
}
