/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of /proc/sys that the whole sandbox has in common: the rows of sentry/sysctl/sysctl.def.
 * The containers of a sandbox share them, so it is not enough to be root: who writes has to have
 * CAP_SYS_ADMIN in the first user namespace. Linux counterpart: kernel/sysctl.c.
 */
#include "base/lock.h"
#include "sentry/cred/user_ns.h"
#include "sysctl.h"
#include <string.h>

static const struct spec {
	uint8_t kind, n;
	int64_t low, high;
} specs[SYSCTL_SLOTS] = {
#define SYSCTL_ALL
#define SYSCTL_TEXT(...)
#define SYSCTL_CONST(...)
#define SPEC(which, name, mode, kind, low, high, n, ...)                                           \
	[SYSCTL_##which] = {SYSCTL_KIND_##kind, (n), (low), (high)},
#define SYSCTL_VALUE(...) SPEC(__VA_ARGS__)
#include "sentry/sysctl/sysctl.def"
#undef SYSCTL_ALL
};

/* Who writes: two at once leave the values of one. */
static struct mutex lock = MUTEX_INIT(LEAF);

int
proc_sysctl_show_value(const struct pseudo_ctx *x, struct sbuf *b)
{
	enum sysctl which = (enum sysctl)x->row->arg;

	for (unsigned i = 0; i < specs[which].n; i++)
		sbuf_printf(b, "%s%lld", i ? "\t" : "", (long long)sysctl_get(which + i));
	sbuf_puts(b, "\n");
	return 0;
}

static bool
fits(enum sysctl which, int64_t v)
{
	const struct spec *s = &specs[which];
	int64_t runtime = which == SYSCTL_SCHED_RT_RUNTIME_US
				  ? v
				  : sysctl_get(SYSCTL_SCHED_RT_RUNTIME_US),
		period = which == SYSCTL_SCHED_RT_PERIOD_US ? v
							    : sysctl_get(SYSCTL_SCHED_RT_PERIOD_US);

	if (v < s->low || v > s->high)
		return false;
	if (which == SYSCTL_SCHED_RT_RUNTIME_US || which == SYSCTL_SCHED_RT_PERIOD_US)
		return runtime <= period; /* sched_rt_global_validate() */
	if (which == SYSCTL_PERCPU_PAGELIST_HIGH_FRACTION)
		return v == 0 || v >= 8;
	return true;
}

/* What Linux's own handlers of a few make of a value. */
static int64_t
rounded(enum sysctl which, int64_t v)
{
	int64_t size = 4096;

	if (which == SYSCTL_SCHED_RR_TIMESLICE_MS && v <= 0)
		return 100;
	if (which != SYSCTL_PIPE_MAX_SIZE)
		return v;
	while (size < v)
		size *= 2;
	return size;
}

/* Of some, only one counts: the other is 0. */
static void
changed_locked(enum sysctl which)
{
	static const enum sysctl pairs[][2] = {
		{SYSCTL_DIRTY_BYTES, SYSCTL_DIRTY_RATIO},
		{SYSCTL_DIRTY_BACKGROUND_BYTES, SYSCTL_DIRTY_BACKGROUND_RATIO},
		{SYSCTL_OVERCOMMIT_KBYTES, SYSCTL_OVERCOMMIT_RATIO},
	};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		for (int k = 0; k < 2; k++)
			if (pairs[i][k] == which)
				sysctl_set(pairs[i][!k], 0);
}

/* Numbers before one that is wrong are set, as on Linux. */
static int
set_locked(enum sysctl which, const int64_t *v, unsigned n)
{
	if (which == SYSCTL_UNPRIVILEGED_BPF_DISABLED && sysctl_get(which) == 1 && v[0] != 1)
		return -EPERM;
	for (unsigned i = 0; i < n; i++) {
		if (!fits(which, v[i]))
			return -EINVAL;
		if (specs[which].kind != SYSCTL_KIND_SINK && sysctl_get(which + i) != v[i]) {
			sysctl_set(which + i, rounded(which, v[i]));
			changed_locked(which);
		}
	}
	return 0;
}

bool
proc_sysctl_counts(int64_t pos)
{
	return pos == 0 || sysctl_get(SYSCTL_SYSCTL_WRITES_STRICT) < 1;
}

int
proc_sysctl_may(const struct pseudo_ctx *x, int64_t pos)
{
	if (!cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	return proc_sysctl_counts(pos);
}

ssize_t
proc_sysctl_write_value(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	enum sysctl which = (enum sysctl)x->row->arg;
	bool alone = specs[which].kind == SYSCTL_KIND_UINT;
	int64_t v[PROC_SYSCTL_NUMBERS];
	size_t used;
	int r = proc_sysctl_may(x, pos), n;

	if (r <= 0)
		return r < 0 ? r : (ssize_t)len;
	if (which == SYSCTL_MMAP_MIN_ADDR && !cred_capable(x->c->cred, LX_CAP_SYS_RAWIO))
		return -EPERM;
	if (!len)
		return 0;
	n = proc_sysctl_numbers(buf, len, v, specs[which].n, &used);
	if (n <= 0)
		return -EINVAL;
	mutex_lock(&lock);
	r = set_locked(which, v, (unsigned)n);
	mutex_unlock(&lock);
	return r < 0 ? r : (ssize_t)(alone ? len : used);
}

/* --- texts --- */

ssize_t
proc_sysctl_put_text(char *text, size_t cap, const char *buf, size_t len, int64_t pos)
{
	size_t at = 0, n;

	if (sysctl_get(SYSCTL_SYSCTL_WRITES_STRICT) == 1) {
		at = strlen(text);
		if (pos > (int64_t)at)
			return (ssize_t)len;
		at = (size_t)pos;
	}
	n = strcspn(buf, "\n");
	if (n > len)
		n = len;
	if (n > cap - 1 - at)
		n = cap - 1 - at;
	memcpy(text + at, buf, n);
	memset(text + at + n, 0, cap - at - n);
	return (ssize_t)len;
}

int
proc_sysctl_show_text(const struct pseudo_ctx *x, struct sbuf *b)
{
	const struct proc_sysctl_text *t = (const struct proc_sysctl_text *)x->row->arg;

	mutex_lock(&lock);
	sbuf_printf(b, "%s\n", t->p);
	mutex_unlock(&lock);
	return 0;
}

ssize_t
proc_sysctl_write_text(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	const struct proc_sysctl_text *t = (const struct proc_sysctl_text *)x->row->arg;
	ssize_t r;

	if (!cred_capable(x->c->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	mutex_lock(&lock);
	r = proc_sysctl_put_text(t->p, t->cap, buf, len, pos);
	mutex_unlock(&lock);
	return r;
}

/* --- kernel.seccomp.actions_logged: nothing is logged, the choice is kept --- */

static const char *const actions[] = {
	"kill_process", "kill_thread", "trap", "errno", "user_notif", "trace", "log", "allow"};
#define ACTIONS	     ((int)(sizeof actions / sizeof *actions))
#define ACTION_ALLOW (1u << (ACTIONS - 1))

static _Atomic uint32_t logged = ACTION_ALLOW - 1;

int
proc_sysctl_show_logged(const struct pseudo_ctx *x, struct sbuf *b)
{
	uint32_t set = atomic_load(&logged);
	bool more = false;

	(void)x;
	for (int i = 0; i < ACTIONS; i++) {
		if (!(set >> i & 1))
			continue;
		sbuf_printf(b, "%s%s", more ? " " : "", actions[i]);
		more = true;
	}
	sbuf_puts(b, "\n");
	return 0;
}

/* Names with a blank between. */
ssize_t
proc_sysctl_write_logged(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	const char *p = buf, *end = buf + strcspn(buf, "\n");
	uint32_t set = 0;
	int r = proc_sysctl_may(x, pos);

	if (r <= 0)
		return r < 0 ? r : (ssize_t)len;
	while (p < end && *p != ' ') {
		size_t n = strcspn(p, " \n");
		int i = 0;

		while (i < ACTIONS && (strlen(actions[i]) != n || memcmp(actions[i], p, n) != 0))
			i++;
		if (i == ACTIONS)
			return -EINVAL;
		set |= 1u << i;
		p += n + (p[n] == ' ');
	}
	if (set & ACTION_ALLOW)
		return -EINVAL;
	atomic_store(&logged, set);
	return (ssize_t)len;
}
