/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/x86_64/first.h"
#include "base/log.h"
#include "platform/host/maps.h"
#include "platform/host/raw.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct region {
	uint64_t start, end;
};

static void
note_mapping(
	struct x86_layout *l, struct region *vdso, const char *name, uint64_t start, uint64_t end)
{
	if (strncmp(name, "[vvar", 5) != 0 && strcmp(name, "[vdso]") != 0)
		return;
	if (strcmp(name, "[vdso]") == 0)
		*vdso = (struct region){start, end};
	if (l->nmove == 8 || (l->nmove && start != l->keep_end))
		return;
	if (!l->nmove)
		l->keep_start = start;
	l->keep_end = end;
	l->move[l->nmove].from = start;
	l->move[l->nmove].len = end - start;
	l->nmove++;
}

/* All that is mapped: where the region can stand, which the stack and the libraries move about, and
 * where vvar and vdso are. */
static int
read_maps(struct x86_layout *l, struct region *vdso)
{
	char buf[512], name[128];
	unsigned long long s, e;
	uint64_t base = 0x7fff00000000ull;
	FILE *f = host_maps_open();
	bool clash;

	if (!f) {
		log_error("/proc/self/maps cannot be read: it is needed to start the engine");
		return -ENOSYS;
	}
	do {
		clash = false;
		memset(l, 0, sizeof *l);
		memset(vdso, 0, sizeof *vdso);
		rewind(f);
		while (fgets(buf, sizeof buf, f)) {
			name[0] = 0;
			if (sscanf(buf, "%llx-%llx %*s %*s %*s %*s %127s", &s, &e, name) < 2)
				continue;
			if (s < base + X86_REGION_BYTES && e > base && s < X86_USER_TOP)
				clash = true;
			note_mapping(l, vdso, name, s, e);
		}
		l->base = base;
		base -= X86_REGION_BYTES;
	} while (clash && base > 0x700000000000ull);
	fclose(f);
	if (vdso->start < l->keep_start || vdso->end > l->keep_end)
		*vdso = (struct region){0, 0};
	if (clash)
		log_error("no room for the stub in the address space");
	return clash ? -ENOSYS : 0;
}

int
x86_layout_find(struct x86_layout *l, uint64_t vdso_off, uint64_t vdso_max, bool move)
{
	struct region vdso;
	int r = read_maps(l, &vdso);

	if (r < 0)
		return r;
	if (l->keep_end - l->keep_start > vdso_max || !vdso.end) {
		/* Without: the guest uses system calls. */
		l->keep_start = l->keep_end = l->nmove = 0;
		return 0;
	}
	l->vdso_len = l->keep_end - l->keep_start;
	l->vdso = move ? l->base + vdso_off : l->keep_start;
	l->vdso_ehdr = l->vdso + (vdso.start - l->keep_start);
	if (!move)
		l->nmove = 0;
	for (uint32_t i = 0; i < l->nmove; i++)
		l->move[i].to = l->base + vdso_off + (l->move[i].from - l->keep_start);
	return 0;
}

/* The kernel writes to the rseq area when a thread is preempted, and kills it when that has gone.
 * glibc does not say with which length it has registered. */
static void
unregister_rseq(void)
{
	extern const ptrdiff_t __rseq_offset __attribute__((weak));
	static const unsigned lens[] = {32, 64, 96, 128, 256, 28, 20};

	if (!&__rseq_offset)
		return;
	for (unsigned i = 0; i < sizeof lens / sizeof lens[0]; i++)
		if (host_call4(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
			    lens[i], 1, 0x53053053) == 0)
			return;
}

void
x86_first_forget_libc(void)
{
	const uint64_t none[4] = {0};

	unregister_rseq();
	host_call2(SYS_set_robust_list, NULL, 24);
	for (int i = 1; i <= 64; i++)
		host_call4(SYS_rt_sigaction, i, none, NULL, 8);
}

long
x86_first_drop_rights(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};
	struct rlimit none = {0, 0};

	host_call2(SYS_setrlimit, RLIMIT_CORE, &none);
	host_call2(SYS_capset, &h, d);
	host_call2(SYS_prctl, PR_SET_NAME, "moat-stub");
	/* Its children inherit that: the sentry can make them pass a barrier, host_membarrier(). */
	host_call3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
	return host_call5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
