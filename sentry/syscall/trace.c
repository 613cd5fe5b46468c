/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of what a task did: "name(arguments) = result". As a line, "pid comm " stands before it;
 * a call that does not return (exit, execve that succeeds) is printed at once. Lines are written
 * whole, so those of different tasks do not mix. The same text is in an event.
 */
#include "sentry/syscall/trace.h"
#include "gofer/wire.h"
#include "platform/host/file.h"
#include "sentry/loader/loader.h"
#include "sentry/syscall/internal.h"
#include "sentry/syscall/trace_priv.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/path.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024
#define SHOW_BYTES 48 /* of strings and buffers */
#define SHOW_PATH  256

#define ARGV_BYTES 8192 /* of what a program is given, in an event */

static struct trace_config config = {.text_fd = -1, .events = -1};
bool trace_is_on;

struct line {
	char s[LINE_BYTES];
	size_t n;
};

int
trace_init(const struct trace_config *c)
{
	bool any = c->all_calls;

	config = *c;
	if (config.events < 0)
		config.kinds = 0;
	for (int i = 0; i < TRACE_CALLS_WORDS; i++)
		any = any || c->calls[i];
	if (!any)
		config.kinds &= ~(1u << MOAT_EVENT_CALL | 1u << MOAT_EVENT_RETURN);
	trace_is_on = config.text_fd >= 0 ||
		      config.kinds & (1u << MOAT_EVENT_CALL | 1u << MOAT_EVENT_RETURN);
	return trace_event_init(config.events);
}

static bool
is_listed(uint32_t nr)
{
	return config.all_calls || (nr < SC_MAX && config.calls[nr / 64] >> nr % 64 & 1);
}

bool
trace_watches(void)
{
	/* What an engine may answer without the sentry; more are asked for than it needs to be. */
	static const uint16_t answered[] = {
		15, 24, 39, 102, 104, 107, 108, 110, 111, 121, 186, 202, 228, 449, 454, 455, 456};

	if (config.text_fd >= 0)
		return true;
	for (size_t i = 0; trace_is_on && i < sizeof answered / sizeof answered[0]; i++)
		if (is_listed(answered[i]))
			return true;
	return false;
}

static bool
wants(enum moat_event_kind kind, uint32_t nr)
{
	return config.kinds >> kind & 1 && is_listed(nr);
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
	for (size_t i = 0; i < len && l->n < sizeof l->s - 2; i++) {
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
put_call(struct line *l, struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6],
	bool decode)
{
	static const struct sc_arg raw = {.kind = SA_HEX};
	const char *sep = "";

	if (!row) {
		put(l, "syscall_%u(", nr);
		for (int i = 0; i < 6; i++) {
			put(l, "%s", i ? ", " : "");
			put_arg(l, t, &raw, a, i);
		}
		put(l, ")");
		return;
	}
	put(l, "%s(", row->name);
	for (int i = 0; i < row->nargs; i++) {
		if (row->arg[i].kind == SA_SIGFRAME)
			continue;
		put(l, "%s", sep);
		put_arg(l, t, decode ? &row->arg[i] : &raw, a, i);
		sep = ", ";
	}
	put(l, ")");
}

static void
put_result(struct line *l, struct task *t, const struct sc_row *row, uint32_t nr,
	const uint64_t a[6], int64_t r)
{
	if (r < 0 && r > -4096)
		put(l, " = -1 %s",
			r <= -512 && r >= -516 ? "(to be restarted)" : strerrorname_np((int)-r));
	else if (nr == 9 || nr == 12 || nr == 25)
		put(l, " = %#lx", (unsigned long)r);
	else
		put(l, " = %ld", (long)r);
	for (int i = 0; row && i < row->nargs; i++) {
		if (row->arg[i].kind == SA_BUF_OUT && r > 0 && (uint64_t)r <= a[row->arg[i].len]) {
			put(l, " ");
			put_buffer(l, t, a[i], (uint64_t)r);
		}
	}
}

/* The text of what there is to say, as a line. */
static void
emit_line(struct task *t, const struct line *text)
{
	struct line l = {.n = 0};

	put(&l, "%5d ", t->tid);
	put_escaped(&l, t->comm, strnlen(t->comm, sizeof t->comm));
	put(&l, " %.*s", (int)text->n, text->s);
	l.s[l.n++] = '\n';
	(void)host_fd_write(config.text_fd, l.s, l.n);
}

static void
send_call(struct task *t, enum moat_event_kind kind, const struct sc_row *row, uint32_t nr,
	const uint64_t a[6], int64_t r, const struct line *text)
{
	uint64_t args[6];
	Control__Event e;

	trace_event_fill(&e, kind, t);
	memcpy(args, a, sizeof args);
	e.nr = nr;
	e.call = wire_bytes(row ? row->name : "", row ? strlen(row->name) : 0);
	e.args = args;
	e.n_args = row ? row->nargs : 6;
	if (row && e.n_args && row->arg[e.n_args - 1].kind == SA_SIGFRAME)
		e.n_args--;
	e.result = r;
	e.text = wire_bytes(text->s, text->n);
	trace_event_send(&e);
}

static bool
never_returns(uint32_t nr)
{
	return nr == 60 || nr == 231 || nr == 15;
}

static bool
is_exec(uint32_t nr)
{
	return nr == 59 || nr == 322;
}

void
trace_enter(struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6])
{
	/* Calls that can replace or end the program are shown before: the memory that their
	 * arguments point to is gone afterwards. */
	bool line = config.text_fd >= 0 && (never_returns(nr) || is_exec(nr));
	bool event = wants(MOAT_EVENT_CALL, nr);
	struct line l = {.n = 0};

	if (!line && !event)
		return;
	put_call(&l, t, row, nr, a, true);
	if (event)
		send_call(t, MOAT_EVENT_CALL, row, nr, a, 0, &l);
	put(&l, never_returns(nr) ? " = ?" : " ...");
	if (line)
		emit_line(t, &l);
}

void
trace_exit(struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6], int64_t r)
{
	bool event = wants(MOAT_EVENT_RETURN, nr);
	struct line l = {.n = 0};

	if (never_returns(nr) || (config.text_fd < 0 && !event))
		return;
	/* The memory that it had is gone, and what stands there now the new program chose. */
	put_call(&l, t, row, nr, a, !is_exec(nr) || r < 0);
	put_result(&l, t, row, nr, a, r);
	if (event)
		send_call(t, MOAT_EVENT_RETURN, row, nr, a, r, &l);
	if (config.text_fd >= 0)
		emit_line(t, &l);
}

void
trace_new(struct task *t)
{
	struct line l = {.n = 0};
	Control__Event e;

	if (!(config.kinds >> MOAT_EVENT_NEW & 1))
		return;
	trace_event_fill(&e, MOAT_EVENT_NEW, t);
	if (e.pid != e.tid)
		put(&l, "thread %d of %d", e.tid, e.pid);
	else
		put(&l, "process %d of %d", e.pid, e.ppid);
	e.text = wire_bytes(l.s, l.n);
	trace_event_send(&e);
}

void
trace_exec(struct task *t, const struct program *p)
{
	size_t len = p->args.len < ARGV_BYTES ? p->args.len : ARGV_BYTES;
	char *buf, *path = NULL, *argv;
	struct line l = {.n = 0};
	Control__Event e;
	struct path root;
	int err = 0;

	if (!(config.kinds >> MOAT_EVENT_EXEC & 1))
		return;
	while (!(buf = malloc(LX_PATH_MAX + ARGV_BYTES + 1)))
		(void)fiber_park_until(sched_now_ns() + 1000000);
	fs_ctx_root(t->fs, &root);
	path = vfs_d_path(&p->file->path, &root, buf, LX_PATH_MAX, &err);
	path_put(&root);
	if (!path)
		path = p->path; /* too long to be told: as it was given */
	argv = buf + LX_PATH_MAX;
	memcpy(argv, p->args.data, len);
	trace_event_fill(&e, MOAT_EVENT_EXEC, t);
	e.argv_cut = len < p->args.len;
	if (e.argv_cut)
		argv[len++] = 0; /* the last one ends here */
	e.path = wire_bytes(path, strnlen(path, LX_PATH_MAX - 1));
	e.argv = wire_bytes(argv, len);
	put(&l, "exec ");
	put_bytes(&l, path, e.path.len, false);
	put(&l, " [");
	for (size_t at = 0; at < len && l.n < sizeof l.s - 2; at += strlen(argv + at) + 1) {
		put(&l, "%s", at ? ", " : "");
		put_bytes(&l, argv + at, strlen(argv + at), false);
	}
	put(&l, e.argv_cut ? ", ...]" : "]");
	e.text = wire_bytes(l.s, l.n);
	trace_event_send(&e);
	free(buf);
}

void
trace_end(struct task *t, int status)
{
	struct line l = {.n = 0};
	Control__Event e;

	if (!(config.kinds >> MOAT_EVENT_EXIT & 1))
		return;
	trace_event_fill(&e, MOAT_EVENT_EXIT, t);
	e.tid = e.pid; /* the last thread has given its own back */
	e.status = status;
	if (status & 0x7f)
		put(&l, "killed by signal %d", status & 0x7f);
	else
		put(&l, "exited %d", status >> 8 & 0xff);
	e.text = wire_bytes(l.s, l.n);
	trace_event_send(&e);
}
