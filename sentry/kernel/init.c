/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of the kernel, processes that come from outside, and the end. */
#include "sentry/kernel/init.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/nsfs.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/sigio.h"
#include "sentry/kernel/tty.h"
#include "sentry/net/link.h"
#include "sentry/sched/sched.h"
#include "sentry/syscall/syscall.h"
#include "sentry/syscall/trace.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t boot_ns;

/* A process that was started from outside: who wants to know of its end. */
struct outside {
	struct list node;
	struct tgroup *g;		    /* borrowed: as long as it lives */
	struct kernel_container *container; /* a reference */
	struct kernel_usage usage;
	void (*on_exit)(void *arg, int status, const struct kernel_usage *u);
	void *arg;
	int status;
	bool ended, is_init;
};

static struct mutex outside_lock = MUTEX_INIT(LEAF);
static struct list outsiders = LIST_INIT(outsiders);

static void
env_park(void)
{
	fiber_park();
}

static void *
env_self(void)
{
	return fiber_self();
}

static void
env_unpark(void *cookie)
{
	fiber_wake(cookie);
}

static void
env_thread_gone(struct plat_thread *pt, void *owner)
{
	struct task *t = owner;

	(void)pt;
	/* In run() it sees PLAT_EV_GONE; parked in a syscall it has to be told. */
	atomic_fetch_or(&t->work, TW_GONE | TW_EXIT);
	task_wake_fiber(t);
}

static uint64_t
env_find_gap(struct plat_thread *pt, void *owner, uint64_t near, uint64_t len)
{
	struct task *t = owner;

	(void)pt;
	return t->mm ? mm_reserve_hidden(t->mm, near, len) : 0;
}

static bool
env_may_patch(void *owner, uint64_t addr, uint64_t len, int *ret_prot)
{
	struct task *t = owner;
	int prot = t->mm ? mm_code_prot(t->mm, addr, len) : -1;

	*ret_prot = prot;
	return prot >= 0;
}

static bool
fiber_is_killed(void *local)
{
	return task_killed(local);
}

static bool
opener_capable(int cap)
{
	struct task *t = task_current();

	return !t || cred_capable(t->cred, cap);
}

int
kernel_init(const struct kernel_config *cfg)
{
	struct sched_config sc = {.workers = cfg->workers, .may_spin = cfg->may_spin};
	struct kernel_container_config kc = {.net = true,
		.hostname = cfg->hostname ? cfg->hostname : "moat",
		.domainname = cfg->domainname ? cfg->domainname : "(none)"};
	static struct plat_env env;
	struct sched_hooks hooks;
	int err;

	boot_ns = sched_now_ns();
	fiber_set_killed(fiber_is_killed);
	task_sched_init();
	err = kernel_container_init(&kc, cfg->own_pid_ns);
	if (err)
		return err;
	err = nsfs_init();
	if (err)
		return err;
	err = plat_select(cfg->platform);
	if (err)
		return err;
	if (plat->one_worker) {
		sc.workers = 1;
		sc.may_spin = false; /* it would keep the guest from its CPU */
	}
	err = sched_init(&sc);
	if (err)
		return err;
	err = trace_init(cfg->trace);
	if (err)
		return err;
	task_watch_syscalls = trace_watches();
	file_opener_capable = opener_capable;
	err = sigio_init();
	if (!err)
		err = aio_poll_init();
	if (err)
		return err;
	env = (struct plat_env){
		.park = env_park,
		.self = env_self,
		.unpark = env_unpark,
		.look_again = sched_poke,
		.thread_gone = env_thread_gone,
		.find_gap = env_find_gap,
		.may_patch = env_may_patch,
		.ncpu = sched_ncpu(),
		.may_spin = cfg->may_spin && sched_ncpu() > 1,
	};
	err = plat->init(&env, &cfg->plat, syscall_plat_desc());
	if (err)
		return err;
	hooks = (struct sched_hooks){
		.poll = plat->poll,
		.crowded = plat->crowded,
		.expects = plat->expects,
		.prepare_sleep = plat->prepare_sleep,
		.woke = plat->woke,
		.doorbell_fd = plat->doorbell_fd(),
	};
	sched_set_hooks(&hooks);
	return exec_init();
}

int64_t
kernel_boot_ns(void)
{
	return boot_ns;
}

void
kernel_set_boot_offset(int64_t ns)
{
	if (ns > 0)
		boot_ns -= ns;
}

static uint16_t first_mem_policy, first_mem_nodes;

void
kernel_set_mem_policy(uint16_t mode, bool nodes)
{
	first_mem_policy = mode;
	first_mem_nodes = nodes;
}

/* --- processes from outside --- */

struct start {
	struct task *t;
	bool bound; /* to t->affinity */
	char *path;
	struct strings args, envs;
	void (*on_start)(void *arg, int err);
	void *arg;
};

static void
start_free(struct start *s)
{
	loader_strings_free(&s->args);
	loader_strings_free(&s->envs);
	free(s->path);
	free(s);
}

static const char *
env_lookup(const struct strings *envs, const char *name)
{
	const char *e = envs->data;
	size_t n = strlen(name);

	for (uint32_t i = 0; i < envs->count; i++, e += strlen(e) + 1)
		if (strncmp(e, name, n) == 0 && e[n] == '=')
			return e + n + 1;
	return NULL;
}

/* execvp's search; -EACCES wins over -ENOENT as there. */
static int64_t
exec_search(struct start *s)
{
	const char *dirs = env_lookup(&s->envs, "PATH");
	int64_t err = -ENOENT;

	if (!dirs)
		dirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (bool whole = strchr(s->path, '/');; whole = false) {
		struct program p = {.args.limit = SIZE_MAX / 2, .envs.limit = SIZE_MAX / 2};
		size_t n = strcspn(dirs, ":");
		char *full = NULL;
		int64_t r;
		const char *a = s->args.data, *e = s->envs.data;

		r = whole ? (full = strdup(s->path)) ? 0 : -1
			  : asprintf(&full, "%.*s/%s", (int)n, dirs, s->path);
		if (r < 0)
			return -ENOMEM;
		for (uint32_t i = 0; i < s->args.count; i++, a += strlen(a) + 1)
			if (loader_strings_add(&p.args, a, strlen(a)))
				break;
		for (uint32_t i = 0; i < s->envs.count; i++, e += strlen(e) + 1)
			if (loader_strings_add(&p.envs, e, strlen(e)))
				break;
		r = task_exec(s->t, &p, NULL, full, LOOKUP_FOLLOW);
		free(full);
		if (r == 0 || whole)
			return r;
		if (r == -EACCES)
			err = r;
		else if (r != -ENOENT && r != -ENOTDIR)
			return r;
		if (!dirs[n])
			return err;
		dirs += n + 1;
	}
}

static void
first_fiber(void *arg)
{
	struct start *s = arg;
	struct task *t = s->t;
	int64_t err;

	fiber_set_local(t);
	err = exec_search(s);
	if (err == 0 && s->bound) {
		mutex_lock(&t->pt_lock);
		err = plat->set_affinity(t->pt, t->affinity, sizeof t->affinity);
		mutex_unlock(&t->pt_lock);
	}
	if (s->on_start)
		s->on_start(s->arg, (int)err);
	start_free(s);
	if (err) {
		struct outside *o, *tmp;

		mutex_lock(&outside_lock);
		list_for_each_entry_safe (o, tmp, &outsiders, node) {
			if (o->g == t->tgroup) {
				list_del(&o->node);
				kernel_container_put(o->container);
				free(o);
			}
		}
		mutex_unlock(&outside_lock);
		task_exit_group(t, 127 << 8);
		task_do_exit(t);
	}
	t->flags &= ~(uint32_t)TF_NO_RESULT;
	task_main(t);
}

static int
copy_strings(struct strings *s, char *const *v, size_t limit)
{
	s->limit = limit;
	for (; v && *v; v++) {
		int err = loader_strings_add(s, *v, strlen(*v));

		if (err)
			return err;
	}
	return 0;
}

int
kernel_start_process(const struct kernel_process *p, int32_t *ret_pid)
{
	struct start *s = calloc(1, sizeof *s);
	struct outside *o = calloc(1, sizeof *o);
	struct task *t = task_alloc();
	struct tgroup *g = tgroup_alloc();
	size_t limit = exec_arg_limit(&p->rlim);
	struct kernel_container *k = p->container;
	int err = -ENOMEM;

	if (!s || !o || !t || !g)
		goto undo;
	s->t = t;
	s->on_start = p->on_start;
	s->arg = p->arg;
	s->path = strdup(p->path);
	err = s->path ? copy_strings(&s->args, p->argv, limit) : -ENOMEM;
	if (!err)
		err = copy_strings(&s->envs, p->envp, limit);
	if (err)
		goto undo;
	err = -ENOMEM;
	g->sighand = sighand_new();
	t->tgroup = tgroup_get(g);
	t->cred = cred_get(p->cred);
	t->user = user_get(t->cred->uid);
	g->container = kernel_container_get(k);
	t->child_pid_ns = pid_ns_get(k->pid_ns);
	ref_get(&k->uts->ref);
	t->uts = k->uts;
	t->ipc = ipc_ns_get(k->ipc);
	t->net = net_ns_get(k->net);
	t->fs = p->fs;
	memcpy(&g->rlim, &p->rlim, sizeof g->rlim);
	g->oom_score_adj = g->oom_score_adj_min = p->oom_score_adj;
	t->sched = (struct task_sched){.nice = p->nice ? *p->nice : task_sched_first_nice(),
		.priority = p->sched_priority,
		.policy = p->sched_policy,
		.reset = p->sched_reset};
	t->ioprio = p->ioprio;
	t->mem_policy = first_mem_policy;
	t->mem_nodes = first_mem_nodes;
	t->personality = p->personality;
	strncpy(t->comm, p->path, sizeof t->comm - 1);
	if (!g->sighand || !t->user || fdtable_new(&t->files))
		goto undo;
	for (int i = 0; i < 3; i++) {
		struct file *old;

		if (p->stdio[i]) {
			(void)fdtable_install_at(t->files, p->stdio[i], i, false, &old);
			file_put(p->stdio[i]);
		}
	}
	for (int i = 0; i < p->nmore; i++) {
		struct file *old;

		(void)fdtable_install_at(t->files, p->more[i], 3 + i, false, &old);
		file_put(p->more[i]);
	}
	sched_online_cpus(t->affinity, sizeof t->affinity);
	s->bound = p->cpus_bytes > 0;
	for (size_t i = 0; s->bound && i < sizeof t->affinity; i++)
		t->affinity[i] &= i < p->cpus_bytes ? p->cpus[i] : 0;
	err = mm_new(&t->mm);
	if (!err && p->seccomp)
		err = seccomp_start(t, p->seccomp, k);
	if (err)
		goto undo;

	mutex_lock(&tasklist_lock);
	t->pid = pid_alloc_locked(k->pid_ns, 0);
	if (!t->pid) {
		mutex_unlock(&tasklist_lock);
		err = -EAGAIN;
		goto undo;
	}
	ref_get(&t->pid->ref);
	t->pid->task = t;
	t->tid = t->pid->nr;
	g->leader = t;
	/* Not so in a namespace that another container's first process is the first of. */
	if (p->init && (!k->pid_ns || !k->pid_ns->init)) {
		g->unkillable = !p->killable;
		if (k->pid_ns)
			k->pid_ns->init = g;
	}
	list_push_back(&g->threads, &t->tg_node);
	g->nr_threads = 1;
	pid_attach_tgroup_locked(g, PID_TGID, t->pid);
	pid_attach_tgroup_locked(g, PID_PGID, t->pid);
	pid_attach_tgroup_locked(g, PID_SID, t->pid);
	g->session_leader = true;
	if (p->init)
		k->init = g;
	user_add_process(t->user, 1);
	kernel_count_tasks(k, 1);
	*ret_pid = t->tid;
	mutex_unlock(&tasklist_lock);

	o->g = g;
	o->container = kernel_container_get(k);
	o->is_init = p->init;
	o->on_exit = p->on_exit;
	o->arg = p->arg;
	mutex_lock(&outside_lock);
	list_push_back(&outsiders, &o->node);
	mutex_unlock(&outside_lock);
	task_init_call(t);
	if (p->terminal && p->stdio[0])
		tty_set_controlling(t, p->stdio[0]);
	task_get(t); /* one reference is the group's, one the fiber's */
	err = fiber_spawn(first_fiber, s, &t->fiber);
	if (err)
		panic("out of memory for the first fiber");
	return 0;

undo:
	if (s)
		start_free(s);
	free(o);
	if (g && !t)
		tgroup_put(g);
	if (t && t->files)
		fdtable_put(t->files, NULL);
	if (t && t->tgroup) {
		seccomp_exit(t);
		tgroup_put(g);
		task_put(t);
	}
	return err;
}

void
kernel_process_gone(struct tgroup *g, int status)
{
	struct outside *o, *tmp;
	struct kernel_usage u;

	kernel_process_usage(g, &u);
	mutex_lock(&outside_lock);
	list_for_each_entry_safe (o, tmp, &outsiders, node) {
		if (o->g == g) {
			o->ended = true;
			o->usage = u;
			o->status = status;
			o->g = NULL;
		}
	}
	mutex_unlock(&outside_lock);
}

/* A fiber of a task ends. When a container's first process is gone its status is told only after
 * the last of its tasks. */
void
kernel_task_gone(void)
{
	struct outside *o, *tmp;
	struct list done = LIST_INIT(done);

	mutex_lock(&outside_lock);
	list_for_each_entry_safe (o, tmp, &outsiders, node) {
		if (o->ended && (!o->is_init || atomic_load(&o->container->nr_tasks) == 0)) {
			list_del(&o->node);
			list_push_back(&done, &o->node);
		}
	}
	mutex_unlock(&outside_lock);
	list_for_each_entry_safe (o, tmp, &done, node) {
		if (o->on_exit)
			o->on_exit(o->arg, o->status, &o->usage);
		list_del(&o->node);
		kernel_container_put(o->container);
		free(o);
	}
}

int
kernel_signal(int32_t pid, int signo)
{
	struct tgroup *g = tgroup_find_global_get(pid);
	bool cont = false;
	int err;

	if (!g)
		return -ESRCH;
	mutex_lock(&g->sighand->lock);
	err = signal_send_locked(
		g, NULL, signo, NULL, signo == LX_SIGKILL || signo == LX_SIGSTOP, &cont);
	mutex_unlock(&g->sighand->lock);
	if (cont)
		signal_tell_parent_continued(g);
	tgroup_put(g);
	return err;
}

void
kernel_log_live(void)
{
	for (int i = 0; i < LIVE_COUNT; i++)
		log_debug("live %s %lld", live_name[i], (long long)atomic_load(&live_count[i]));
}

void
kernel_shutdown(void)
{
	plat->shutdown();
	kernel_log_live();
}
