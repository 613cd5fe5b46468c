/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first stack of a program (System V ABI, AMD64 supplement, figure 3.9), from high addresses to
 * low: a null word, the path, environment and argument strings, the platform's name, random bytes,
 * auxv, envp, argv, argc.
 */
#include "abi/mman.h"
#include "platform/host/info.h"
#include "sentry/loader/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define STACK_EXTRA_BYTES (128UL << 10) /* mapped below what is used, as Linux does */

struct image {
	uint8_t *buf; /* what goes to [base, top) */
	uint64_t base, top;
};

static void
put64(struct image *im, uint64_t *at, uint64_t v)
{
	memcpy(im->buf + (*at - im->base), &v, sizeof v);
	*at += sizeof v;
}

static uint64_t
put_pointers(struct image *im, uint64_t at, const struct strings *s, uint64_t strings_at)
{
	const char *p = s->data;

	for (uint32_t i = 0; i < s->count; i++) {
		put64(im, &at, strings_at + (uint64_t)(p - s->data));
		p += strlen(p) + 1;
	}
	put64(im, &at, 0);
	return at;
}

int
stack_build(struct program *p, const struct mm_call *mc, const struct cred *cred, bool secure,
	uint64_t stack_top, uint64_t bias, uint64_t interp_bias, uint64_t *ret_sp)
{
	static const char platform[] = "x86_64";
	size_t path_len = strlen(p->path) + 1;
	uint64_t at = stack_top - 8, path_at, env_at, arg_at, platform_at, random_at, sp, phdr = 0,
		 bytes, size;
	uint64_t rnd[2];
	uint64_t aux[48];
	uint32_t n = 0;
	int prot = LX_PROT_READ | LX_PROT_WRITE | (p->exec_stack ? LX_PROT_EXEC : 0), err;
	int64_t a;
	struct image im;
	struct mm *mm = mc->mm;

	path_at = at -= path_len;
	env_at = at -= p->envs.len;
	arg_at = at -= p->args.len;
	at &= ~15UL;
	platform_at = at -= sizeof platform;
	random_at = at = (at - sizeof rnd) & ~15UL;

	/* Where the program headers are in memory: inside the segment that holds them. */
	for (int i = 0; i < p->exe.eh.phnum; i++) {
		const struct lx_elf64_phdr *h = &p->exe.ph[i];

		if (h->type == LX_PT_LOAD && h->offset <= p->exe.eh.phoff &&
			p->exe.eh.phoff - h->offset < h->filesz)
			phdr = p->exe.eh.phoff - h->offset + h->vaddr + bias;
	}
#define AUX(k, v)                                                                                  \
	do {                                                                                       \
		aux[n++] = (k);                                                                    \
		aux[n++] = (v);                                                                    \
	} while (0)
	if (plat->vdso_ehdr() && !p->no_vdso)
		AUX(LX_AT_SYSINFO_EHDR, plat->vdso_ehdr());
	if (getauxval(AT_MINSIGSTKSZ))
		AUX(LX_AT_MINSIGSTKSZ, getauxval(AT_MINSIGSTKSZ));
	AUX(LX_AT_HWCAP, getauxval(AT_HWCAP));
	AUX(LX_AT_PAGESZ, LX_PAGE_SIZE);
	AUX(LX_AT_CLKTCK, 100);
	AUX(LX_AT_PHDR, phdr);
	AUX(LX_AT_PHENT, sizeof(struct lx_elf64_phdr));
	AUX(LX_AT_PHNUM, p->exe.eh.phnum);
	AUX(LX_AT_BASE, p->interp.file ? interp_bias : 0);
	AUX(LX_AT_FLAGS, 0);
	AUX(LX_AT_ENTRY, p->exe.eh.entry + bias);
	AUX(LX_AT_UID, cred->uid);
	AUX(LX_AT_EUID, cred->euid);
	AUX(LX_AT_GID, cred->gid);
	AUX(LX_AT_EGID, cred->egid);
	AUX(LX_AT_SECURE, secure);
	AUX(LX_AT_RANDOM, random_at);
	AUX(LX_AT_HWCAP2, getauxval(AT_HWCAP2) & (plat->keeps_gs ? ~LX_HWCAP2_FSGSBASE : ~0UL));
	if (getauxval(LX_AT_RSEQ_FEATURE_SIZE)) {
		AUX(LX_AT_RSEQ_FEATURE_SIZE, getauxval(LX_AT_RSEQ_FEATURE_SIZE));
		AUX(LX_AT_RSEQ_ALIGN, getauxval(LX_AT_RSEQ_ALIGN));
	}
	AUX(LX_AT_EXECFN, path_at);
	AUX(LX_AT_PLATFORM, platform_at);
	AUX(LX_AT_NULL, 0);
#undef AUX
	_Static_assert(sizeof aux / sizeof *aux >= 46, "room for every entry");

	bytes = (1 + p->args.count + 1UL + p->envs.count + 1UL + n) * 8;
	sp = (at - bytes) & ~15UL;
	im.base = sp;
	im.top = stack_top;
	im.buf = calloc(1, stack_top - sp);
	if (!im.buf)
		return -ENOMEM;
	memcpy(im.buf + (path_at - sp), p->path, path_len);
	if (p->envs.len)
		memcpy(im.buf + (env_at - sp), p->envs.data, p->envs.len);
	if (p->args.len)
		memcpy(im.buf + (arg_at - sp), p->args.data, p->args.len);
	memcpy(im.buf + (platform_at - sp), platform, sizeof platform);
	host_random(rnd, sizeof rnd);
	memcpy(im.buf + (random_at - sp), rnd, sizeof rnd);
	at = sp;
	put64(&im, &at, p->args.count);
	at = put_pointers(&im, at, &p->args, arg_at);
	at = put_pointers(&im, at, &p->envs, env_at);
	for (uint32_t i = 0; i < n; i++)
		put64(&im, &at, aux[i]);

	size = ((stack_top - sp + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1)) + STACK_EXTRA_BYTES;
	a = mm_mmap(mc, stack_top - size, size, prot,
		LX_MAP_PRIVATE | LX_MAP_FIXED | LX_MAP_ANONYMOUS | LX_MAP_NORESERVE |
			LX_MAP_GROWSDOWN,
		NULL, 0, LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC, VMA_STACK);
	err = a < 0 ? (int)a : plat->flush(mc->pt);
	if (!err)
		err = plat->poke(mc->pt, sp, im.buf, stack_top - sp);
	mm->start_stack = sp;
	mm->arg_start = arg_at;
	mm->arg_end = arg_at + p->args.len;
	mm->env_start = env_at;
	mm->env_end = env_at + p->envs.len;
	memcpy(mm->auxv, aux, n * 8);
	mm->auxv_len = n;
	*ret_sp = sp;
	free(im.buf);
	return err;
}
