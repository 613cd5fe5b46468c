/* SPDX-License-Identifier: Apache-2.0 */
/* What can be set of a process by a file: oom_score_adj, coredump_filter, timerslack_ns (proc(5);
 * Linux: fs/proc/base.c). Nothing here writes cores: that filter is kept, inherited and shown. */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>

#define FILTER_MASK 0x1ffu /* Linux: MMF_DUMP_FILTER_MASK */

int
proc_parse_u64(const char *buf, int base, uint64_t max, uint64_t *ret)
{
	char *end;
	unsigned long long v;

	if (*buf == '+')
		buf++;
	if (*buf < '0' || *buf > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(buf, &end, base);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end == '\n')
		end++;
	if (*end)
		return -EINVAL;
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int
proc_show_oom_score_adj(const struct pseudo_ctx *x, struct sbuf *b)
{
	sbuf_printf(b, "%d\n", proc_task(x)->tgroup->oom_score_adj);
	return 0;
}

ssize_t
proc_write_oom_score_adj(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct tgroup *g = proc_task(x)->tgroup;
	char *end;
	long v = strtol(buf, &end, 10);

	(void)pos;
	if (end == buf || (*end && *end != '\n') || v < -1000 || v > 1000)
		return -EINVAL;
	if (cred_capable(x->c->cred, LX_CAP_SYS_RESOURCE))
		g->oom_score_adj_min = (int)v;
	else if (v < g->oom_score_adj_min)
		return -EACCES;
	g->oom_score_adj = (int)v;
	return (ssize_t)len;
}

int
proc_show_coredump_filter(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct mm *mm = proc_mm(proc_task(x));

	if (!mm)
		return 0;
	sbuf_printf(b, "%08x\n", (unsigned)atomic_load(&mm->dump_filter));
	mm_put(mm);
	return 0;
}

ssize_t
proc_write_coredump_filter(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct mm *mm;
	uint64_t v;
	int r = proc_parse_u64(buf, 0, UINT32_MAX, &v);

	(void)pos;
	if (r)
		return r;
	mm = proc_mm(proc_task(x));
	if (!mm)
		return -ESRCH;
	atomic_store(&mm->dump_filter, (uint16_t)(v & FILTER_MASK));
	mm_put(mm);
	return (ssize_t)len;
}

static bool
may_adjust_slack(const struct pseudo_ctx *x)
{
	struct task *t = proc_task(x);
	const struct cred *cr;
	bool may;

	if (t == task_current())
		return true;
	cr = proc_cred(t);
	may = cred_capable_in(x->c->cred, cr->user_ns, LX_CAP_SYS_NICE);
	cred_put(cr);
	return may;
}

int
proc_show_slack(const struct pseudo_ctx *x, struct sbuf *b)
{
	if (!may_adjust_slack(x))
		return -EPERM;
	sbuf_printf(b, "%llu\n", (unsigned long long)proc_task(x)->timer_slack_ns);
	return 0;
}

ssize_t
proc_write_slack(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	struct task *t = proc_task(x);
	uint64_t v;
	int r = proc_parse_u64(buf, 10, UINT64_MAX, &v);

	(void)pos;
	if (r)
		return r;
	if (!may_adjust_slack(x))
		return -EPERM;
	t->timer_slack_ns = v ? v : t->default_slack_ns;
	return (ssize_t)len;
}
