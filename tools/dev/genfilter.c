/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build tool: makes platform/host/hostcalls.def into BPF programs, one for each process and mode,
 * through libseccomp, and prints them as C. The processes then need neither libseccomp nor time for
 * it.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

enum who {
	GOFER = 1,
	SENTRY = 2,
	PTRACE = 4,
	HOSTNET = 8,
	ANCHOR = 16,
	BRIDGE = 32,
};

struct row {
	enum who who;
	const char *call;
	int refuse; /* errno, or 0: allowed */
	struct scmp_arg_cmp check[3];
};

#define EQ(arg, value)                                                                             \
	{                                                                                          \
		(arg), SCMP_CMP_MASKED_EQ, 0xffffffffU, (value)                                    \
	}
#define BITS(arg, mask, value)                                                                     \
	{                                                                                          \
		(arg), SCMP_CMP_MASKED_EQ, (mask), (value)                                         \
	}
#define ALLOW(who, call, reason, ...)  {who, #call, 0, {__VA_ARGS__}},
#define REFUSE(who, call, err, reason) {who, #call, err, {}},

static const struct row rows[] = {
#include "platform/host/hostcalls.def"
};

static void
check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "genfilter: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static void
emit(const char *name, unsigned who)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);
	struct sock_filter insn[4096];
	FILE *tmp = tmpfile();
	size_t n;

	if (!f || !tmp)
		check(-ENOMEM, name);
	check(seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
	check(seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
		"bad architecture");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		unsigned nchecks = 0;
		int nr = seccomp_syscall_resolve_name(r->call);

		if (!(r->who & who))
			continue;
		if (nr == __NR_SCMP_ERROR)
			check(-ENOSYS, r->call);
		while (nchecks < 3 && r->check[nchecks].op != 0)
			nchecks++;
		check(seccomp_rule_add_array(f,
			      r->refuse ? SCMP_ACT_ERRNO(r->refuse) : SCMP_ACT_ALLOW, nr, nchecks,
			      r->check),
			r->call);
	}
	check(seccomp_export_bpf(f, fileno(tmp)), "export");
	rewind(tmp);
	n = fread(insn, sizeof insn[0], 4096, tmp);
	if (n == 0 || n == 4096)
		check(-E2BIG, name);
	printf("static const struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < n; i++)
		printf("\t{0x%x, %u, %u, 0x%x},\n", insn[i].code, insn[i].jt, insn[i].jf,
			insn[i].k);
	printf("};\n");
	fclose(tmp);
	seccomp_release(f);
}

/* usage: genfilter [anchor]	the anchor's has a header of its own: it has no room for others */
int
main(int argc, char **argv)
{
	printf("/* Made from platform/host/hostcalls.def. */\n");
	if (argc > 1 && strcmp(argv[1], "anchor") == 0) {
		emit("filter_anchor", ANCHOR);
		return 0;
	}
	emit("filter_bridge", BRIDGE);
	emit("filter_gofer", GOFER);
	emit("filter_sentry_trap", SENTRY);
	emit("filter_sentry_ptrace", SENTRY | PTRACE);
	emit("filter_sentry_trap_hostnet", SENTRY | HOSTNET);
	emit("filter_sentry_ptrace_hostnet", SENTRY | PTRACE | HOSTNET);
	return 0;
}
