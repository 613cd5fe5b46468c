/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/stat, status, statm: what ps and top read. */
#include "internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include "sentry/mm/resident.h"
#include "sentry/sched/sched.h"
#include <string.h>

char
proc_state(const struct task *t)
{
	const struct tgroup *g = t->tgroup;

	if (t->tracee.stopped)
		return 't';
	if (t->dead)
		return g->state >= TG_DEAD ? 'X' : 'Z';
	if (t->stopped_here || g->stopped)
		return 'T';
	if (t == task_current() || task_computes((struct task *)t))
		return 'R';
	return 'S';
}

struct mem {
	uint64_t size, rss, hiwater_rss, anon, files, shared, stack, data, locked, peak, text;
};

/* What can be resident, where the host does not tell what is. */
static void
guess_resident(struct mem *m)
{
	m->anon = m->data + m->stack < m->size ? m->data + m->stack : m->size;
	if (m->hiwater_rss && m->hiwater_rss < m->anon)
		m->anon = m->hiwater_rss;
}

static void
resident_of(struct task *t, struct mm *mm, struct mem *m)
{
	struct task *me = task_current();
	bool own = me && me->tgroup == t->tgroup;
	struct mm_resident r;
	struct usage u;
	pid_t pid = proc_host_pid(t);

	if (own)
		task_usage(me, &u);
	mutex_lock(&tasklist_lock);
	m->hiwater_rss = own ? t->tgroup->space_used.maxrss_kb << 10 : 0;
	mutex_unlock(&tasklist_lock);
	if (pid > 0 && mm_resident(mm, pid, own, &r) == 0) {
		m->anon = r.anon;
		m->files = r.files;
		m->shared = r.shared;
	} else {
		guess_resident(m);
	}
	m->rss = m->anon + m->files + m->shared;
	if (m->hiwater_rss < m->rss)
		m->hiwater_rss = m->rss;
}

static void
memory_of(const struct pseudo_ctx *x, struct mem *m)
{
	struct mm *mm = proc_mm(proc_task(x));

	*m = (struct mem){0};
	if (!mm)
		return;
	mutex_lock(&mm->lock);
	m->size = mm->total_bytes;
	m->peak = mm->hiwater_bytes;
	m->stack = mm->stack_bytes;
	m->data = mm->data_bytes;
	m->locked = mm->locked_bytes;
	m->text = mm->end_code - mm->start_code;
	mutex_unlock(&mm->lock);
	resident_of(proc_task(x), mm, m);
	mm_put(mm);
}

static void
put_memory(struct sbuf *b, const struct mem *m)
{
	const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = {{"VmPeak", m->peak}, {"VmSize", m->size}, {"VmLck", m->locked}, {"VmPin", 0},
		{"VmHWM", m->hiwater_rss}, {"VmRSS", m->rss}, {"RssAnon", m->anon},
		{"RssFile", m->files}, {"RssShmem", m->shared}, {"VmData", m->data},
		{"VmStk", m->stack}, {"VmExe", m->text}, {"VmLib", 0}, {"VmPTE", 0}, {"VmSwap", 0},
		{"HugetlbPages", 0}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		sbuf_printf(b, "%s:\t%8llu kB\n", rows[i].name,
			(unsigned long long)rows[i].bytes >> 10);
}

int
proc_show_statm(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct mem m;

	memory_of(x, &m);
	sbuf_printf(b, "%llu %llu %llu %llu 0 %llu 0\n", (unsigned long long)m.size >> 12,
		(unsigned long long)m.rss >> 12, (unsigned long long)(m.files + m.shared) >> 12,
		(unsigned long long)m.text >> 12, (unsigned long long)(m.data + m.stack) >> 12);
	return 0;
}

/* How much the OOM killer would want it (Linux: proc_oom_score): 0 never, 666 with no memory to
 * speak of and no adjustment, 1332 the most. */
int
proc_show_oom_score(const struct pseudo_ctx *x, struct sbuf *b)
{
	int adj = proc_task(x)->tgroup->oom_score_adj;
	struct kernel_meminfo all;
	int64_t thousandths = adj;
	struct mem m;

	memory_of(x, &m);
	kernel_meminfo(&all);
	if (all.total_bytes)
		thousandths += (int64_t)(m.rss / (all.total_bytes / 1000 + 1));
	if (adj == -1000 || !m.size)
		thousandths = -1000;
	sbuf_printf(b, "%d\n", (int)((1000 + thousandths) * 2 / 3));
	return 0;
}

/* Under tasklist_lock: numbers of the process tree. */
struct ids {
	int32_t ppid, pgid, sid, tpgid, tracer;
	uint32_t threads;
	int64_t cutime, cstime, utime, stime;
	struct usage used, child_used;
};

static void
ids_of(const struct pseudo_ctx *x, struct task *t, struct ids *r)
{
	struct tgroup *g = t->tgroup;

	*r = (struct ids){.tpgid = -1};
	mutex_lock(&tasklist_lock);
	r->ppid = g->parent ? proc_nr(x, g->parent->pid[PID_TGID]) : 0;
	r->tracer = t->tracee.tracer ? proc_nr(x, t->tracee.tracer->pid) : 0;
	r->pgid = proc_nr(x, g->pid[PID_PGID]);
	r->sid = proc_nr(x, g->pid[PID_SID]);
	/* The first one is there until it is waited for. */
	r->threads = g->nr_threads + (!g->leader || g->leader->dead);
	r->cutime = g->child_utime_ns;
	r->cstime = g->child_stime_ns;
	r->stime = g->dead_stime_ns;
	tgroup_usage_locked(g, &r->used);
	r->child_used = g->child_used;
	mutex_unlock(&tasklist_lock);
	r->utime = tgroup_cpu_ns(g) - r->stime;
}

struct signals {
	lx_sigset pending, shared, blocked, ignored, caught;
};

static void
signals_of(struct task *t, struct signals *s)
{
	struct sighand *h = t->tgroup->sighand;

	*s = (struct signals){0};
	mutex_lock(&h->lock);
	s->pending = t->pending.set;
	s->shared = t->tgroup->shared_pending.set;
	s->blocked = t->blocked;
	for (int i = 0; i < LX_NSIG; i++) {
		if (h->action[i].handler == LX_SIG_IGN)
			s->ignored |= 1ULL << i;
		else if (h->action[i].handler != LX_SIG_DFL)
			s->caught |= 1ULL << i;
	}
	mutex_unlock(&h->lock);
}

int
proc_show_stat(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *t = proc_task(x);
	struct tgroup *g = t->tgroup;
	struct mm *mm = proc_mm(t);
	struct signals s;
	struct ids id;
	struct mem m;
	struct task_sched sched;
	bool may = proc_may_look(x, 0) == 0;

	mutex_lock(&t->pt_lock);
	sched = t->sched;
	mutex_unlock(&t->pt_lock);
	ids_of(x, t, &id);
	if (x->row->arg) { /* of the one thread */
		id.utime = task_seen_cpu_ns(t);
		id.stime = t->stime_ns;
	}
	signals_of(t, &s);
	memory_of(x, &m);
	sbuf_printf(b,
		"%d (%.15s) %c %d %d %d %d %d %u %llu %llu %llu %llu %lld %lld %lld %lld %d %d %u "
		"0 %lld %llu %llu %llu",
		proc_nr(x, t->pid), t->comm, proc_state(t), id.ppid, id.pgid, id.sid, 0, id.tpgid,
		0x400000u, (unsigned long long)id.used.minflt,
		(unsigned long long)id.child_used.minflt, (unsigned long long)id.used.majflt,
		(unsigned long long)id.child_used.majflt, (long long)id.utime / 10000000,
		(long long)id.stime / 10000000, (long long)id.cutime / 10000000,
		(long long)id.cstime / 10000000,
		sched.priority ? -1 - sched.priority : 20 + sched.nice, sched.nice, id.threads,
		(long long)(t->start_ns - kernel_boot_ns() +
			    time_ns_offset(task_current(), LX_CLOCK_BOOTTIME)) /
			10000000,
		(unsigned long long)m.size, (unsigned long long)m.rss >> 12,
		(unsigned long long)g->rlim.r[LX_RLIMIT_RSS].cur);
	sbuf_printf(b, " %llu %llu %llu 0 0 %llu %llu %llu %llu 0 0 0 %d 0 %d %u 0 0 0",
		(unsigned long long)(mm && may ? mm->start_code : 0),
		(unsigned long long)(mm && may ? mm->end_code : 0),
		(unsigned long long)(mm && may ? mm->start_stack : 0),
		(unsigned long long)s.pending & 0x7fffffff,
		(unsigned long long)s.blocked & 0x7fffffff,
		(unsigned long long)s.ignored & 0x7fffffff,
		(unsigned long long)s.caught & 0x7fffffff, g->exit_signal, sched.priority,
		(unsigned)sched.policy);
	sbuf_printf(b, " %llu %llu %llu %llu %llu %llu %llu %d\n",
		(unsigned long long)(mm && may ? mm->start_data : 0),
		(unsigned long long)(mm && may ? mm->end_data : 0),
		(unsigned long long)(mm && may ? mm->brk_start : 0),
		(unsigned long long)(mm && may ? mm->arg_start : 0),
		(unsigned long long)(mm && may ? mm->arg_end : 0),
		(unsigned long long)(mm && may ? mm->env_start : 0),
		(unsigned long long)(mm && may ? mm->env_end : 0), may ? g->exit_code : 0);
	mm_put(mm);
	return 0;
}

static void
cpu_list(const uint8_t *mask, size_t len, struct sbuf *b)
{
	const char *sep = "";

	for (int i = 0; i < (int)len * 8; i++) {
		int from = i;

		if (!(mask[i / 8] & (1 << (i % 8))))
			continue;
		while (i + 1 < (int)len * 8 && (mask[(i + 1) / 8] & (1 << ((i + 1) % 8))))
			i++;
		if (from == i)
			sbuf_printf(b, "%s%d", sep, i);
		else
			sbuf_printf(b, "%s%d-%d", sep, from, i);
		sep = ",";
	}
	sbuf_puts(b, "\n");
}

/* Its number in each pid namespace, from the mount's down to its own. */
static void
ns_numbers(const struct pseudo_ctx *x, struct sbuf *b, const char *label, enum pid_role role)
{
	int32_t nr[PID_NS_MAX_LEVEL + 1];
	const struct pid_ns *top = proc_pid_ns(x), *ns;
	struct task *t = proc_task(x);
	const struct pid *p;
	int n = 0;

	mutex_lock(&tasklist_lock);
	p = role == PID_TID ? t->pid : t->tgroup->pid[role];
	for (ns = t->pid->ns; p; ns = ns->parent) {
		nr[n++] = pid_nr_in(p, ns);
		if (ns == top || !ns)
			break;
	}
	mutex_unlock(&tasklist_lock);
	sbuf_puts(b, label);
	while (n)
		sbuf_printf(b, "\t%d", nr[--n]);
}

int
proc_show_status(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const struct {
		char c;
		const char *name;
	} states[] = {{'R', "running"}, {'S', "sleeping"}, {'T', "stopped"}, {'t', "tracing stop"},
		{'Z', "zombie"}, {'X', "dead"}};
	struct task *t = proc_task(x);
	const struct cred *c = proc_cred(t);
	struct fdtable *files = task_files_get(t);
	struct fs_ctx *fs = proc_fs(t);
	char st = proc_state(t);
	const char *name = "";
	struct signals s;
	struct ids id;
	struct mem m;
	int fds = 64, last = -1;

	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (states[i].c == st)
			name = states[i].name;
	ids_of(x, t, &id);
	signals_of(t, &s);
	memory_of(x, &m);
	for (int fd = -1; files && (fd = fdtable_next(files, fd + 1)) >= 0;)
		last = fd;
	while (fds <= last)
		fds *= 2;
	fdtable_put(files, NULL);
	sbuf_printf(b, "Name:\t%.15s\n", t->comm);
	if (fs)
		sbuf_printf(b, "Umask:\t%04o\n", atomic_load(&fs->umask));
	fs_ctx_unpeek(fs);
	sbuf_printf(b,
		"State:\t%c (%s)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n", st,
		name, proc_nr(x, t->tgroup->pid[PID_TGID] ? t->tgroup->pid[PID_TGID] : t->pid),
		proc_nr(x, t->pid), id.ppid, id.tracer);
	{
		const struct user_ns *u = x->c ? x->c->cred->user_ns : NULL;

		sbuf_printf(b, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", uid_out(u, c->uid),
			uid_out(u, c->euid), uid_out(u, c->suid), uid_out(u, c->fsuid),
			gid_out(u, c->gid), gid_out(u, c->egid), gid_out(u, c->sgid),
			gid_out(u, c->fsgid));
		sbuf_printf(b, "FDSize:\t%d\nGroups:\t", fds);
		for (uint32_t i = 0; c->groups && i < c->groups->n; i++)
			sbuf_printf(b, "%u ", gid_out(u, c->groups->gid[i]));
	}
	ns_numbers(x, b, "\nNStgid:", PID_TGID);
	ns_numbers(x, b, "\nNSpid:", PID_TID);
	ns_numbers(x, b, "\nNSpgid:", PID_PGID);
	ns_numbers(x, b, "\nNSsid:", PID_SID);
	sbuf_puts(b, "\nKthread:\t0\n");
	if (m.size) {
		put_memory(b, &m);
		sbuf_printf(
			b, "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
	}
	sbuf_printf(b,
		"Threads:\t%u\nSigQ:\t0/"
		"%llu\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n"
		"SigIgn:\t%016llx\nSigCgt:\t%016llx\n",
		id.threads, (unsigned long long)t->tgroup->rlim.r[LX_RLIMIT_SIGPENDING].cur,
		(unsigned long long)s.pending, (unsigned long long)s.shared,
		(unsigned long long)s.blocked, (unsigned long long)s.ignored,
		(unsigned long long)s.caught);
	sbuf_printf(b,
		"CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%"
		"016llx\n"
		"NoNewPrivs:\t%d\nSeccomp:\t%d\nSeccomp_filters:\t%u\nSpeculation_Store_Bypass:"
		"\tvulnerable\n"
		"SpeculationIndirectBranch:\talways enabled\n",
		(unsigned long long)c->cap_inheritable, (unsigned long long)c->cap_permitted,
		(unsigned long long)c->cap_effective, (unsigned long long)c->cap_bounding,
		(unsigned long long)c->cap_ambient, c->no_new_privs || atomic_load(&t->nnp_synced),
		atomic_load(&t->seccomp_mode), seccomp_count(t));
	sbuf_printf(b, "Cpus_allowed:\t%x\nCpus_allowed_list:\t",
		(unsigned)(t->affinity[0] | t->affinity[1] << 8 | t->affinity[2] << 16 |
			   (unsigned)t->affinity[3] << 24));
	cpu_list(t->affinity, sizeof t->affinity, b);
	sbuf_printf(b,
		"Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%llu\n"
		"nonvoluntary_ctxt_switches:\t%llu\n",
		(unsigned long long)t->count[COUNT_WAITS], (unsigned long long)t->nivcsw);
	cred_put(c);
	return 0;
}
