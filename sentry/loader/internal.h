/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_LOADER_INTERNAL_H
#define SENTRY_LOADER_INTERNAL_H

#include "sentry/loader/loader.h"

/* Exactly len bytes at off; -EIO when the file is shorter, -EINVAL for what is no offset. */
int loader_read(struct file *f, const struct call *c, void *buf, size_t len, uint64_t off);
/* Read and check the headers of img->file. *interp_path: malloc'd, NULL if it has none. */
int elf_parse(struct elf_image *img, const struct call *c, bool is_interp, char **interp_path,
	bool *exec_stack);
void elf_free(struct elf_image *img);
/* Map img; *bias is what was added to its addresses. where: 0 for a place of the kernel's choice.
 */
int elf_map(struct elf_image *img, const struct mm_call *mc, const struct call *c, uint64_t where,
	bool is_exe, uint64_t *ret_bias);
int stack_build(struct program *p, const struct mm_call *mc, const struct cred *cred, bool secure,
	uint64_t stack_top, uint64_t bias, uint64_t interp_bias, uint64_t *ret_sp);

#endif
