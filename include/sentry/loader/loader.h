/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading programs: #! scripts, ELF images, the first stack. In two steps, as execve needs it:
 * loader_open finds out whether this can be run, and may fail; loader_load fills a fresh address
 * space, and a failure there kills.
 */
#ifndef SENTRY_LOADER_LOADER_H
#define SENTRY_LOADER_LOADER_H

#include "abi/elf.h"
#include "sentry/cred/cred.h"
#include "sentry/mm/mm.h"

struct file;
struct path;

#define LOADER_MAX_STRLEN (32 * LX_PAGE_SIZE) /* one argument, as Linux's MAX_ARG_STRLEN */
#define LOADER_MAX_PHDRS  (65536 / sizeof(struct lx_elf64_phdr))

/* Strings one after another, each with its NUL. */
struct strings {
	char *data;
	size_t len, cap;
	uint32_t count;
	size_t limit; /* most bytes, pointers included; -E2BIG above */
};

/* Append s (len bytes, without the NUL). -E2BIG, -ENOMEM. */
int loader_strings_add(struct strings *s, const char *str, size_t len);
void loader_strings_free(struct strings *s);

struct elf_image {
	struct file *file; /* a reference */
	struct lx_elf64_ehdr eh;
	struct lx_elf64_phdr *ph;
	uint64_t span_start, span_end; /* of PT_LOADs, page aligned */
};

struct program {
	struct file *file;   /* what runs, a reference: the script's interpreter, not the script */
	struct file *script; /* the first file, if it was a script */
	char *path;	     /* AT_EXECFN: as it was given */
	struct strings args, envs;
	struct elf_image exe, interp; /* interp.file NULL: static */
	bool exec_stack;
	bool no_vdso; /* to be told of none */
	char comm[16];
};

/* Open and understand: fills all but envs. path and base as for vfs_open; args holds the arguments
 * as given and is rewritten for scripts. On failure (ENOENT, EACCES, ENOEXEC, ELIBBAD, ELOOP, E2BIG
 * ...) program_free is still to be called. */
int loader_open(struct program *p, const struct call *c, const struct path *base, const char *path,
	uint32_t lookup_flags);
void program_free(struct program *p);

struct loaded {
	uint64_t entry, sp;
};

/* Fill the fresh space of mc with p. new_cred: for AT_UID and the like; secure: AT_SECURE;
 * randomize: as kernel.randomize_va_space. */
int loader_load(struct program *p, const struct mm_call *mc, const struct call *c,
	const struct cred *new_cred, bool secure, int randomize, struct loaded *ret);

#endif
