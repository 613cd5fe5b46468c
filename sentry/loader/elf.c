/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF images: reading the headers, every field of which is hostile, and mapping the segments. Linux
 * counterpart: fs/binfmt_elf.c, whose errors are kept.
 */
#include "abi/fs.h"
#include "abi/mman.h"
#include "sentry/loader/internal.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
loader_read(struct file *f, const struct call *c, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	if (!f->ops->read)
		return -EINVAL;
	while (done < len) {
		struct uio u;
		int64_t pos;
		ssize_t n;

		if (__builtin_add_overflow(off, done, &pos) || pos < 0)
			return -EINVAL;
		uio_init_kernel(&u, (char *)buf + done, len - done);
		n = vfs_read(f, c, &u, &pos, 0);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Linux looks at the magic number and no other byte of e_ident. */
static bool
header_ok(const struct lx_elf64_ehdr *h, bool is_interp)
{
	static const uint8_t magic[] = {0x7f, 'E', 'L', 'F'};

	return !memcmp(h->ident, magic, sizeof magic) && h->machine == LX_EM_X86_64 &&
	       (is_interp || h->type == LX_ET_EXEC || h->type == LX_ET_DYN) &&
	       h->phentsize == sizeof(struct lx_elf64_phdr) && h->phnum >= 1 &&
	       h->phnum <= LOADER_MAX_PHDRS;
}

static int
read_interp_path(
	struct elf_image *img, const struct call *c, const struct lx_elf64_phdr *p, char **ret)
{
	int err;

	if (p->filesz < 2 || p->filesz > LX_PATH_MAX)
		return -ENOEXEC;
	*ret = malloc(p->filesz);
	if (!*ret)
		return -ENOMEM;
	err = loader_read(img->file, c, *ret, p->filesz, p->offset);
	if (err)
		return err;
	return (*ret)[p->filesz - 1] ? -ENOEXEC : 0;
}

int
elf_parse(struct elf_image *img, const struct call *c, bool is_interp, char **interp_path,
	bool *exec_stack)
{
	const int bad = is_interp ? -ELIBBAD : -ENOEXEC;
	int err = loader_read(img->file, c, &img->eh, sizeof img->eh, 0);

	if (err)
		return is_interp ? err : -ENOEXEC;
	if (!header_ok(&img->eh, is_interp))
		return bad;
	img->ph = malloc(img->eh.phnum * sizeof *img->ph);
	if (!img->ph)
		return -ENOMEM;
	if (loader_read(img->file, c, img->ph, img->eh.phnum * sizeof *img->ph, img->eh.phoff))
		return bad;
	for (int i = 0; i < img->eh.phnum && !is_interp; i++) {
		const struct lx_elf64_phdr *p = &img->ph[i];

		if (p->type == LX_PT_INTERP && !*interp_path) {
			err = read_interp_path(img, c, p, interp_path);
			if (err)
				return err;
		} else if (p->type == LX_PT_GNU_STACK) {
			*exec_stack = p->flags & LX_PF_X;
		}
	}
	return 0;
}

/* Check the segments, and find the range that they fill. */
static int
measure(struct elf_image *img)
{
	const uint64_t top = plat->guest_top();

	if (img->eh.type != LX_ET_EXEC && img->eh.type != LX_ET_DYN)
		return -EINVAL;
	img->span_start = UINT64_MAX;
	img->span_end = 0;
	for (int i = 0; i < img->eh.phnum; i++) {
		const struct lx_elf64_phdr *p = &img->ph[i];
		uint64_t start = p->vaddr & ~(LX_PAGE_SIZE - 1), end, file_end;

		if (p->type != LX_PT_LOAD)
			continue;
		if (p->filesz > p->memsz || __builtin_add_overflow(p->vaddr, p->memsz, &end) ||
			end > top || __builtin_add_overflow(p->offset, p->filesz, &file_end) ||
			(int64_t)file_end < 0)
			return -EINVAL;
		if (p->filesz && ((p->vaddr ^ p->offset) & (LX_PAGE_SIZE - 1)))
			return -EINVAL;
		end = (end + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1);
		if (start < img->span_start)
			img->span_start = start;
		if (end > img->span_end)
			img->span_end = end;
	}
	return img->span_end > img->span_start ? 0 : -EINVAL;
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
	struct mappable *map = NULL;
	uint64_t bias = 0;
	int64_t a;
	int err;

	if (!img->file->ops->mappable)
		return -ENOEXEC;
	err = measure(img);
	if (err)
		return err;
	err = img->file->ops->mappable(img->file, c, LX_PROT_READ | LX_PROT_EXEC, false, &map);
	if (err)
		return err;
	if (img->eh.type == LX_ET_DYN) {
		uint64_t base = mm_find_place(mc->mm, where, img->span_end - img->span_start);

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
				/* The whole page: ld.so's first malloc takes what follows its bss
				 * to be zero. */
				err = zero_tail(mc, file_end, start + file_pages);
		}
		if (!err && all_pages > file_pages) {
			/* As Linux: zeroes can be written, whatever the segment says. */
			a = mm_mmap(mc, start + file_pages, all_pages - file_pages,
				LX_PROT_READ | LX_PROT_WRITE | (prot & LX_PROT_EXEC),
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
