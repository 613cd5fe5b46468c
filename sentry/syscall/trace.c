/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for each syscall: "pid comm name(arguments) = result". A call that does not return
 * (exit, execve that succeeds) is printed at once. Lines are written whole, so those of different
 * tasks do not mix.
 */
#include "sentry/syscall/trace.h"
#include "platform/host/file.h"
#include "sentry/syscall/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 1024
#define SHOW_BYTES 48 /* of strings and buffers */
#define SHOW_PATH  256

static int trace_fd = -1;

struct line {
	char s[LINE_BYTES];
	size_t n;
};

void
trace_init(int fd)
{
	trace_fd = fd;
}

bool
trace_on(void)
{
	return trace_fd >= 0;
}

static void put(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
put(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->s + l->n, sizeof l->s - l->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->n += (size_t)n;
	if (l->n > sizeof l->s - 2)
		l->n = sizeof l->s - 2;
}

/* What a program chose: no byte of it ends the line, or means something to a terminal. */
static void
put_escaped(struct line *l, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\n')
			put(l, "\\n");
		else if (c == '\t')
			put(l, "\\t");
		else if (c == '"' || c == '\\')
			put(l, "\\%c", c);
		else if (c >= ' ' && c < 127)
			put(l, "%c", c);
		else
			put(l, "\\%o", c);
	}
}

static void
put_bytes(struct line *l, const char *s, size_t len, bool more)
{
	put(l, "\"");
	put_escaped(l, s, len);
	put(l, more ? "\"..." : "\"");
}

static void
put_string(struct line *l, struct task *t, uint64_t addr, size_t max)
{
	char buf[SHOW_PATH + 1];
	ssize_t n;

	if (!addr) {
		put(l, "NULL");
		return;
	}
	n = copy_in_str(&t->mem.um, buf, ua(addr), max + 1);
	if (n == -EFAULT)
		put(l, "%#lx", (unsigned long)addr);
	else
		put_bytes(l, buf, n < 0 ? max : (size_t)n, n < 0);
}

static void
put_buffer(struct line *l, struct task *t, uint64_t addr, uint64_t len)
{
	char buf[SHOW_BYTES];
	size_t n = len < sizeof buf ? len : sizeof buf;

	if (!addr)
		put(l, "NULL");
	else if (copy_in(&t->mem.um, buf, ua(addr), n))
		put(l, "%#lx", (unsigned long)addr);
	else
		put_bytes(l, buf, n, n < len);
}

static void
put_flags(struct line *l, const struct sc_flag *f, uint64_t v)
{
	const char *sep = "";

	if (!v) {
		put(l, "0");
		return;
	}
	for (; f->name; f++) {
		if (f->value && (v & f->value) == f->value) {
			put(l, "%s%s", sep, f->name);
			sep = "|";
			v &= ~f->value;
		}
	}
	if (v)
		put(l, "%s%#lx", sep, (unsigned long)v);
}

static void
put_arg(struct line *l, struct task *t, const struct sc_arg *s, const uint64_t a[6], int i)
{
	uint64_t v = a[i];

	switch (s->kind) {
	case SA_NUM:
	case SA_SIG:
		put(l, "%d", (int)v);
		break;
	case SA_UNUM:
		put(l, "%lu", (unsigned long)v);
		break;
	case SA_FD:
		put(l, "%d", (int)v);
		break;
	case SA_DIRFD:
		if ((int)v == -100)
			put(l, "AT_FDCWD");
		else
			put(l, "%d", (int)v);
		break;
	case SA_OCT:
		put(l, "%#o", (unsigned)v);
		break;
	case SA_PATH:
		put_string(l, t, v, SHOW_PATH);
		break;
	case SA_STR:
		put_string(l, t, v, SHOW_BYTES);
		break;
	case SA_BUF_IN:
		put_buffer(l, t, v, a[s->len]);
		break;
	case SA_FLAGS:
		put_flags(l, s->tab, v);
		break;
	default:
		if (v)
			put(l, "%#lx", (unsigned long)v);
		else
			put(l, s->kind == SA_HEX ? "0" : "NULL");
		break;
	}
}

static void
start(struct line *l, struct task *t, const struct sc_row *row, const uint64_t a[6])
{
	const char *sep = "";

	l->n = 0;
	put(l, "%5d ", t->tid);
	put_escaped(l, t->comm, strnlen(t->comm, sizeof t->comm));
	put(l, " %s(", row->name);
	for (int i = 0; i < row->nargs; i++) {
		if (row->arg[i].kind == SA_SIGFRAME)
			continue;
		put(l, "%s", sep);
		put_arg(l, t, &row->arg[i], a, i);
		sep = ", ";
	}
	put(l, ")");
}

static void
emit(struct line *l)
{
	l->s[l->n++] = '\n';
	(void)host_fd_write(trace_fd, l->s, l->n);
}

static bool
never_returns(uint32_t nr)
{
	return nr == 60 || nr == 231 || nr == 15;
}

void
trace_enter(struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6])
{
	struct line l;

	/* Calls that can replace or end the program are shown before: the memory that their
	 * arguments point to is gone afterwards. */
	if (!never_returns(nr) && nr != 59 && nr != 322)
		return;
	start(&l, t, row, a);
	put(&l, never_returns(nr) ? " = ?" : " ...");
	emit(&l);
}

void
trace_exit(struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6], int64_t r)
{
	struct line l;

	if (never_returns(nr))
		return;
	start(&l, t, row, a);
	if (r < 0 && r > -4096)
		put(&l, " = -1 %s",
			r <= -512 && r >= -516 ? "(to be restarted)" : strerrorname_np((int)-r));
	else if (nr == 9 || nr == 12 || nr == 25)
		put(&l, " = %#lx", (unsigned long)r);
	else
		put(&l, " = %ld", (long)r);
	for (int i = 0; i < row->nargs; i++) {
		if (row->arg[i].kind == SA_BUF_OUT && r > 0 && (uint64_t)r <= a[row->arg[i].len]) {
			put(&l, " ");
			put_buffer(&l, t, a[i], (uint64_t)r);
		}
	}
	emit(&l);
}
