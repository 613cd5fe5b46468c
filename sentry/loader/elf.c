/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF images: reading the headers, every field of which is hostile, and mapping the segments. Linux
 * counterpart: fs/binfmt_elf.c, whose errors are kept.
 */
#include "abi/fs.h"
#include "abi/mman.h"
#include "sentry/loader/internal.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
loader_read(struct file *f, const struct call *c, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	if (!f->ops->read)
		return -ENOEXEC;
	while (done < len) {
		struct uio u;
		int64_t pos;
		ssize_t n;

		if (__builtin_add_overflow(off, done, &pos) || pos < 0)
			return -ENOEXEC;
		uio_init_kernel(&u, (char *)buf + done, len - done);
		n = f->ops->read(f, c, &u, &pos, 0);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENOEXEC;
		done += (size_t)n;
	}
	return 0;
}

static int
check_header(const struct lx_elf64_ehdr *h)
{
	static const uint8_t ident[] = {
		0x7f, 'E', 'L', 'F', 2 /* 64 bit */, 1 /* little endian */, 1};

	if (memcmp(h->ident, ident, sizeof ident) ||
		(h->type != LX_ET_EXEC && h->type != LX_ET_DYN) || h->machine != LX_EM_X86_64 ||
		h->phentsize != sizeof(struct lx_elf64_phdr) || h->phnum < 1 ||
		h->phnum > LOADER_MAX_PHDRS)
		return -ENOEXEC;
	return 0;
}

static int
check_segment(const struct lx_elf64_phdr *p, uint64_t top)
{
	uint64_t end, file_end;

	if (p->filesz > p->memsz || __builtin_add_overflow(p->vaddr, p->memsz, &end) || end > top ||
		__builtin_add_overflow(p->offset, p->filesz, &file_end) || (int64_t)file_end < 0)
		return -EINVAL;
	if ((p->vaddr ^ p->offset) & (LX_PAGE_SIZE - 1))
		return -EINVAL;
	return 0;
}

int
elf_parse(struct elf_image *img, const struct call *c, bool is_interp, char **interp_path,
	bool *exec_stack)
{
	bool have_load = false;
	int err = loader_read(img->file, c, &img->eh, sizeof img->eh, 0);

	if (!err)
		err = check_header(&img->eh);
	if (err)
		return is_interp && err == -ENOEXEC ? -ELIBBAD : err;
	img->ph = malloc(img->eh.phnum * sizeof *img->ph);
	if (!img->ph)
		return -ENOMEM;
	err = loader_read(img->file, c, img->ph, img->eh.phnum * sizeof *img->ph, img->eh.phoff);
	if (err)
		return is_interp ? -ELIBBAD : err;
	for (int i = 0; i < img->eh.phnum; i++) {
		const struct lx_elf64_phdr *p = &img->ph[i];

		if (p->type == LX_PT_INTERP && !is_interp && !*interp_path) {
			if (p->filesz < 2 || p->filesz > LX_PATH_MAX)
				return -ENOEXEC;
			*interp_path = malloc(p->filesz);
			if (!*interp_path)
				return -ENOMEM;
			err = loader_read(img->file, c, *interp_path, p->filesz, p->offset);
			if (err)
				return err;
			if ((*interp_path)[p->filesz - 1])
				return -ENOEXEC;
		} else if (p->type == LX_PT_GNU_STACK && !is_interp) {
			*exec_stack = p->flags & LX_PF_X;
		} else if (p->type == LX_PT_LOAD && p->memsz) {
			uint64_t s = p->vaddr & ~(LX_PAGE_SIZE - 1);
			uint64_t e = (p->vaddr + p->memsz + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1);

			err = check_segment(p, plat->guest_top());
			if (err)
				return err;
			/* Segments ascend (System V ABI). */
			if (have_load && s < img->span_start)
				return -EINVAL;
			if (!have_load)
				img->span_start = s;
			if (e > img->span_end)
				img->span_end = e;
			have_load = true;
		}
	}
	return have_load ? 0 : -ENOEXEC;
}

void
elf_free(struct elf_image *img)
{
	free(img->ph);
	if (img->file)
		file_put(img->file);
	*img = (struct elf_image){0};
}

static int
prot_of(uint32_t pf)
{
	return (pf & LX_PF_R ? LX_PROT_READ : 0) | (pf & LX_PF_W ? LX_PROT_WRITE : 0) |
	       (pf & LX_PF_X ? LX_PROT_EXEC : 0);
}

static int
zero_tail(const struct mm_call *mc, uint64_t from, uint64_t to)
{
	static const char zeros[LX_PAGE_SIZE];
	int err;

	if (from >= to)
		return 0;
	err = plat->flush(mc->pt);
	return err ? err : plat->poke(mc->pt, from, zeros, to - from);
}

int
elf_map(struct elf_image *img, const struct mm_call *mc, const struct call *c, uint64_t where,
	bool is_exe, uint64_t *ret_bias)
{
	const int may = LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC;
	uint64_t span = img->span_end - img->span_start, bias = 0;
	struct mappable *map = NULL;
	int64_t a;
	int err;

	if (!img->file->ops->mappable)
		return -ENOEXEC;
	err = img->file->ops->mappable(img->file, c, LX_PROT_READ | LX_PROT_EXEC, false, &map);
	if (err)
		return err;
	if (img->eh.type == LX_ET_DYN) {
		uint64_t base = mm_find_place(mc->mm, where, span);

		err = -ENOMEM;
		if (!base)
			goto out;
		bias = base - img->span_start;
		err = 0;
	}
	for (int i = 0; i < img->eh.phnum && !err; i++) {
		const struct lx_elf64_phdr *p = &img->ph[i];
		uint64_t start = (p->vaddr & ~(LX_PAGE_SIZE - 1)) + bias,
			 head = p->vaddr & (LX_PAGE_SIZE - 1);
		uint64_t file_end = p->vaddr + bias + p->filesz;
		uint64_t file_pages = (head + p->filesz + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1);
		uint64_t all_pages = (head + p->memsz + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1);
		int prot = prot_of(p->flags);

		if (p->type != LX_PT_LOAD || !p->memsz)
			continue;
		if (!p->filesz)
			file_pages = 0;
		if (file_pages) {
			a = mm_mmap(mc, start, file_pages, prot, LX_MAP_PRIVATE | LX_MAP_FIXED, map,
				p->offset - head, may, 0);
			if (a < 0)
				err = (int)a;
			if (!err && p->memsz > p->filesz && (prot & LX_PROT_WRITE))
				/* The whole page: ld.so's first malloc takes what follows its bss to be zero. */
				err = zero_tail(mc, file_end, start + file_pages);
		}
		if (!err && all_pages > file_pages) {
			a = mm_mmap(mc, start + file_pages, all_pages - file_pages, prot,
				LX_MAP_PRIVATE | LX_MAP_FIXED | LX_MAP_ANONYMOUS, NULL, 0, may, 0);
			if (a < 0)
				err = (int)a;
		}
		if (is_exe) {
			struct mm *mm = mc->mm;

			if (p->flags & LX_PF_X) {
				if (!mm->start_code || p->vaddr + bias < mm->start_code)
					mm->start_code = p->vaddr + bias;
				if (file_end > mm->end_code)
					mm->end_code = file_end;
			}
			if (p->vaddr + bias > mm->start_data)
				mm->start_data = p->vaddr + bias;
			if (file_end > mm->end_data)
				mm->end_data = file_end;
		}
	}
	*ret_bias = bias;
out:
	if (ref_put(&map->ref))
		map->ops->release(map);
	return err;
}
