/* SPDX-License-Identifier: Apache-2.0 */
/* More of the top of /proc: System V IPC, file locks, terminals, what the kernel was built with. */
#include "abi/stat.h"
#include "internal.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/shm.h"
#include "sentry/vfs/lock.h"
#include <stdlib.h>
#include <string.h>

/* --- sysvipc/: of the reader's namespace, whatever the rights --- */

static int
as_root(const struct pseudo_ctx *x, struct call *ret)
{
	struct cred *root;

	if (!x->c || !x->c->ipc)
		return -ESRCH;
	root = cred_new_root();
	if (!root)
		return -ENOMEM;
	*ret = *x->c;
	ret->cred = root;
	return 0;
}

static void
put_owner(struct sbuf *b, const struct call *c, const struct lx_ipc_perm *p)
{
	const struct user_ns *ns = c->cred->user_ns;

	sbuf_printf(b, " %5u %5u %5u %5u", uid_out(ns, p->uid), gid_out(ns, p->gid),
		uid_out(ns, p->cuid), gid_out(ns, p->cgid));
}

static int
show_shm(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct call k;
	int r = as_root(x, &k);

	if (r)
		return r;
	sbuf_puts(b, "       key      shmid perms                  size  cpid  lpid nattch   uid   "
		     "gid  cuid  cgid      atime      dtime      ctime                   rss      "
		     "            swap\n");
	for (int i = 0; i < SHM_MAX_SEGMENTS; i++) {
		struct lx_shmid_ds d;
		int id;

		if (shm_stat(&k, i, true, &d, &id) < 0)
			continue;
		sbuf_printf(b, "%10d %10d  %4o %21llu %5d %5d  %5llu", d.perm.key, id, d.perm.mode,
			(unsigned long long)d.segsz, pid_nr_out_in(d.cpid, proc_pid_ns(x)),
			pid_nr_out_in(d.lpid, proc_pid_ns(x)), (unsigned long long)d.nattch);
		put_owner(b, x->c, &d.perm);
		sbuf_printf(b, " %10lld %10lld %10lld %21d %21d\n", (long long)d.atime,
			(long long)d.dtime, (long long)d.ctime, 0, 0);
	}
	cred_put(k.cred);
	return 0;
}

static int
show_sem(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct call k;
	int sets, sems, r = as_root(x, &k);

	if (r)
		return r;
	sbuf_puts(b, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime    "
		     "  ctime\n");
	for (int i = 0, last = sem_usage(&k, &sets, &sems); i <= last; i++) {
		struct lx_semid_ds d;
		int id;

		if (sem_stat(&k, i, LX_SEM_STAT_ANY, &d, &id) < 0)
			continue;
		sbuf_printf(b, "%10d %10d  %4o %10llu", d.perm.key, id, d.perm.mode,
			(unsigned long long)d.nsems);
		put_owner(b, x->c, &d.perm);
		sbuf_printf(b, " %10lld %10lld\n", (long long)d.otime, (long long)d.ctime);
	}
	cred_put(k.cred);
	return 0;
}

static int
show_msg(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct call k;
	int queues, messages, bytes, r = as_root(x, &k);

	if (r)
		return r;
	sbuf_puts(b, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  "
		     "cuid  cgid      stime      rtime      ctime\n");
	for (int i = 0, last = msg_usage(&k, &queues, &messages, &bytes); i <= last; i++) {
		struct lx_msqid_ds d;
		int id;

		if (msg_stat(&k, i, LX_MSG_STAT_ANY, &d, &id) < 0)
			continue;
		sbuf_printf(b, "%10d %10d  %4o  %10llu %10llu %5d %5d", d.perm.key, id, d.perm.mode,
			(unsigned long long)d.cbytes, (unsigned long long)d.qnum,
			pid_nr_out_in(d.lspid, proc_pid_ns(x)),
			pid_nr_out_in(d.lrpid, proc_pid_ns(x)));
		put_owner(b, x->c, &d.perm);
		sbuf_printf(b, " %10lld %10lld %10lld\n", (long long)d.stime, (long long)d.rtime,
			(long long)d.ctime);
	}
	cred_put(k.cred);
	return 0;
}

#define FILE_ROW(n, f)                                                                             \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = (f)                                \
	}

const struct pseudo_row proc_sysvipc_rows[] = {FILE_ROW("shm", show_shm), FILE_ROW("sem", show_sem),
	FILE_ROW("msg", show_msg), {.name = NULL}};

/* --- locks --- */

struct lock_rows {
	struct file_lock_info *v;
	size_t n, cap;
	bool failed;
};

/* An inode is locked: what takes other locks comes after. */
static void
keep_lock(const struct file_lock_info *l, void *arg)
{
	struct lock_rows *r = arg;

	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct file_lock_info *v = realloc(r->v, cap * sizeof *v);

		if (!v) {
			r->failed = true;
			return;
		}
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = *l;
}

static void
put_lock(struct sbuf *b, size_t nr, const struct file_lock_info *l, int32_t pid)
{
	static const char *const kinds[] = {"FLOCK ", "POSIX ", "OFDLCK", "LEASE "};
	static const char *const types[] = {"READ", "WRITE", "UNLCK"};
	const char *how = l->kind != LOCK_KIND_LEASE ? "ADVISORY "
			  : l->breaking		     ? "BREAKING "
						     : "ACTIVE   ";

	sbuf_printf(b, "%zu: %s %s %s %d %02x:%02x:%llu %lld ", nr, kinds[l->kind], how,
		types[l->type], pid, l->dev >> 20, l->dev & 0xfffff, (unsigned long long)l->ino,
		(long long)l->start);
	if (l->end == INT64_MAX)
		sbuf_puts(b, "EOF\n");
	else
		sbuf_printf(b, "%lld\n", (long long)l->end);
}

int
proc_show_locks(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct lock_rows r = {0};
	int err = file_locks_each(keep_lock, &r);

	if (r.failed)
		err = -ENOMEM;
	for (size_t i = 0; err == 0 && i < r.n; i++) {
		int32_t pid =
			r.v[i].pid > 0 ? pid_nr_out_in(r.v[i].pid, proc_pid_ns(x)) : r.v[i].pid;

		/* Not those of processes that this mount does not show. */
		if (pid || !r.v[i].pid)
			put_lock(b, i + 1, &r.v[i], pid);
	}
	free(r.v);
	return err;
}

/* --- keys --- */

static void
key_line(void *arg, const char *text)
{
	sbuf_puts(arg, text);
}

int
proc_show_keys(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct task *me = task_current();

	if (!me)
		return -ESRCH;
	return (x->row->arg ? keys_show_users : keys_show)(
		&(struct key_caller){me->cred, &me->keys}, key_line, b);
}

/* --- config.gz --- */

/* What of a kernel's configuration holds for this one: what programs look for before they use it.
 */
static const char config[] =
	"#\n# What holds for this kernel, in the terms of Linux.\n#\n"
	"CONFIG_64BIT=y\nCONFIG_X86_64=y\nCONFIG_SMP=y\n# CONFIG_SWAP is not "
	"set\nCONFIG_SYSVIPC=y\n"
	"CONFIG_SYSVIPC_SYSCTL=y\nCONFIG_POSIX_MQUEUE=y\nCONFIG_POSIX_MQUEUE_SYSCTL=y\n"
	"CONFIG_CROSS_MEMORY_ATTACH=y\nCONFIG_IKCONFIG=y\nCONFIG_IKCONFIG_PROC=y\n"
	"CONFIG_NAMESPACES=y\nCONFIG_UTS_NS=y\nCONFIG_IPC_NS=y\nCONFIG_USER_NS=y\n"
	"CONFIG_PID_NS=y\nCONFIG_NET_NS=y\n# CONFIG_TIME_NS is not set\nCONFIG_MULTIUSER=y\n"
	"CONFIG_POSIX_TIMERS=y\nCONFIG_PRINTK=y\nCONFIG_ELF_CORE=y\nCONFIG_FUTEX=y\n"
	"CONFIG_FUTEX_PI=y\nCONFIG_EPOLL=y\nCONFIG_SIGNALFD=y\nCONFIG_TIMERFD=y\n"
	"CONFIG_EVENTFD=y\nCONFIG_SHMEM=y\nCONFIG_AIO=y\nCONFIG_IO_URING=y\n"
	"CONFIG_ADVISE_SYSCALLS=y\nCONFIG_MEMBARRIER=y\nCONFIG_KCMP=y\n"
	"# CONFIG_RSEQ is not set\n# CONFIG_USERFAULTFD is not set\n"
	"# CONFIG_BPF_SYSCALL is not set\n# CONFIG_PERF_EVENTS is not set\n"
	"# CONFIG_MODULES is not set\n# CONFIG_KEXEC is not set\nCONFIG_BINFMT_ELF=y\n"
	"CONFIG_BINFMT_SCRIPT=y\n# CONFIG_BINFMT_MISC is not set\nCONFIG_SECCOMP=y\n"
	"CONFIG_SECCOMP_FILTER=y\n# CONFIG_KEYS is not set\n# CONFIG_SECURITY is not set\n"
	"CONFIG_NET=y\nCONFIG_UNIX=y\nCONFIG_UNIX_DIAG=y\nCONFIG_INET=y\nCONFIG_INET_DIAG=y\n"
	"CONFIG_INET_TCP_DIAG=y\nCONFIG_INET_UDP_DIAG=y\nCONFIG_IPV6=y\n"
	"# CONFIG_NETFILTER is not set\n# CONFIG_BRIDGE is not set\n# CONFIG_VETH is not set\n"
	"CONFIG_FILE_LOCKING=y\nCONFIG_INOTIFY_USER=y\nCONFIG_FANOTIFY=y\nCONFIG_FANOTIFY_ACCESS_"
	"PERMISSIONS=y\n"
	"# CONFIG_QUOTA is not set\nCONFIG_PROC_FS=y\nCONFIG_PROC_SYSCTL=y\nCONFIG_SYSFS=y\n"
	"CONFIG_FUSE_FS=y\nCONFIG_TMPFS=y\nCONFIG_TMPFS_XATTR=y\nCONFIG_MEMFD_CREATE=y\n"
	"# CONFIG_HUGETLBFS is not set\nCONFIG_TTY=y\nCONFIG_UNIX98_PTYS=y\n"
	"CONFIG_DEVTMPFS=y\n";

static uint32_t
crc32(const uint8_t *p, size_t n)
{
	uint32_t c = ~0u;

	while (n--) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
	}
	return ~c;
}

/* gzip's form (RFC 1952) without compressing: one stored block of deflate (RFC 1951). */
int
proc_show_config(const struct pseudo_ctx *x, struct sbuf *b)
{
	static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	const uint32_t n = sizeof config - 1;
	uint8_t block[5] = {1, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n, (uint8_t)(~n >> 8)};
	uint32_t tail[2] = {crc32((const uint8_t *)config, n), n};

	_Static_assert(sizeof config < 65536, "one block");
	(void)x;
	sbuf_add(b, head, sizeof head);
	sbuf_add(b, block, sizeof block);
	sbuf_add(b, config, n);
	sbuf_add(b, tail, sizeof tail);
	return 0;
}
