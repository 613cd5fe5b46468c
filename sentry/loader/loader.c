/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: which file runs (scripts), and putting image, interpreter, heap and stack into a space.
 */
#include "abi/fs.h"
#include "abi/mman.h"
#include "platform/host/info.h"
#include "sentry/loader/internal.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_BYTES  256 /* BINPRM_BUF_SIZE */
#define SCRIPT_DEPTH  5
#define DYN_BASE(top) ((top) / 3 * 2) /* where a PIE goes, ELF_ET_DYN_BASE */

int
loader_strings_add(struct strings *s, const char *str, size_t len)
{
	if (len + 1 > LOADER_MAX_STRLEN || s->count == UINT32_MAX)
		return -E2BIG;
	if (s->len + len + 1 + (s->count + 1UL) * 8 > s->limit)
		return -E2BIG;
	if (s->len + len + 1 > s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 1024;
		char *p;

		while (cap < s->len + len + 1)
			cap *= 2;
		p = realloc(s->data, cap);
		if (!p)
			return -ENOMEM;
		s->data = p;
		s->cap = cap;
	}
	memcpy(s->data + s->len, str, len);
	s->data[s->len + len] = 0;
	s->len += len + 1;
	s->count++;
	return 0;
}

void
loader_strings_free(struct strings *s)
{
	free(s->data);
	*s = (struct strings){0};
}

/* Replace args by: interpreter, its optional argument, path of the script, args without the first.
 */
static int
script_args(struct program *p, const char *interp, const char *arg, const char *path)
{
	struct strings n = {.limit = p->args.limit};
	const char *rest = p->args.data;
	int err = loader_strings_add(&n, interp, strlen(interp));

	if (!err && arg)
		err = loader_strings_add(&n, arg, strlen(arg));
	if (!err)
		err = loader_strings_add(&n, path, strlen(path));
	for (uint32_t i = 0; i < p->args.count && !err; i++) {
		if (i)
			err = loader_strings_add(&n, rest, strlen(rest));
		rest += strlen(rest) + 1;
	}
	if (err) {
		loader_strings_free(&n);
		return err;
	}
	loader_strings_free(&p->args);
	p->args = n;
	return 0;
}

static bool
blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

/* The first byte of [s, last] that is not blank; NULL if there is none. */
static char *
skip_blanks(char *s, const char *last)
{
	for (; s <= last; s++)
		if (!blank(*s))
			return s;
	return NULL;
}

/* The first byte of [s, last] that ends a word; NULL if there is none. */
static char *
word_end(char *s, const char *last)
{
	for (; s <= last; s++)
		if (blank(*s) || !*s)
			return s;
	return NULL;
}

/* buf starts with #! and has zeroes behind what was read: cut out the interpreter and its argument
 * (fs/binfmt_script.c). A name that begins with a zero is an empty one, and that is for the open to
 * refuse. */
static int
script_parse(char buf[SCRIPT_BYTES + 1], char **interp, char **arg)
{
	char *last = buf + SCRIPT_BYTES - 1, *end = memchr(buf, '\n', SCRIPT_BYTES), *e;

	if (!end) {
		/* The line is longer than the buffer: the interpreter's name at least must be
		 * whole. */
		e = skip_blanks(buf + 2, last);
		if (!e || !word_end(e, last))
			return -ENOEXEC;
		end = last;
	}
	while (end > buf + 2 && blank(end[-1]))
		end--;
	*end = 0;
	*interp = skip_blanks(buf + 2, end);
	if (*interp == end)
		return -ENOEXEC;
	e = word_end(*interp, end);
	*arg = *e ? skip_blanks(e, end) : NULL;
	*e = 0;
	return 0;
}

static void
set_comm(struct program *p, const char *path)
{
	const char *slash = strrchr(path, '/');

	strncpy(p->comm, slash ? slash + 1 : path, sizeof p->comm - 1);
	p->comm[sizeof p->comm - 1] = 0;
}

/* The first bytes of a file, up to cap - 1: how many, with zeroes behind them. */
static ssize_t
read_head(struct file *f, const struct call *c, char *buf, size_t cap)
{
	struct uio u;
	int64_t pos = 0;
	ssize_t n;

	if (!f->ops->read)
		return -EACCES;
	memset(buf, 0, cap);
	uio_init_kernel(&u, buf, cap - 1);
	n = vfs_read(f, c, &u, &pos, 0);
	return n;
}

/* Open what an image or a script names. The empty name is the working directory to Linux here. */
static int
open_named(const struct call *c, const char *path, struct file **ret)
{
	return *path ? vfs_open_exec(c, NULL, path, LOOKUP_FOLLOW, ret) : -EACCES;
}

static int
open_interp(struct program *p, const struct call *c, const char *path)
{
	int err = open_named(c, path, &p->interp.file);
	bool ignored = false;
	char *none = NULL;

	if (!err)
		err = elf_parse(&p->interp, c, true, &none, &ignored);
	return err;
}

int
loader_open(struct program *p, const struct call *c, const struct path *base, const char *path,
	uint32_t lookup_flags)
{
	char buf[SCRIPT_BYTES + 1], *interp_path = NULL;
	int err = vfs_open_exec(c, base, path, lookup_flags, &p->file);

	if (err)
		return err;
	p->path = strdup(path);
	if (!p->path)
		return -ENOMEM;
	set_comm(p, path);
	for (int depth = 0;; depth++) {
		ssize_t n = read_head(p->file, c, buf, sizeof buf);
		char *interp, *arg;
		struct file *next;
		const char *name;

		if (n < 0)
			return (int)n;
		if (n < 2 || buf[0] != '#' || buf[1] != '!')
			break;
		if (depth == SCRIPT_DEPTH)
			return -ELOOP;
		err = script_parse(buf, &interp, &arg);
		if (err)
			return err;
		name = depth == 0 ? path : p->args.data;
		err = script_args(p, interp, arg, name);
		if (err)
			return err;
		err = open_named(c, interp, &next);
		if (err)
			return err;
		if (depth == 0)
			p->script = p->file;
		else
			file_put(p->file);
		p->file = next;
	}
	p->exe.file = file_get(p->file);
	err = elf_parse(&p->exe, c, false, &interp_path, &p->exec_stack);
	if (!err && interp_path)
		err = open_interp(p, c, interp_path);
	free(interp_path);
	return err;
}

void
program_free(struct program *p)
{
	elf_free(&p->exe);
	elf_free(&p->interp);
	if (p->file)
		file_put(p->file);
	if (p->script)
		file_put(p->script);
	free(p->path);
	loader_strings_free(&p->args);
	loader_strings_free(&p->envs);
	*p = (struct program){0};
}

static uint64_t
random_pages(bool randomize, unsigned bits)
{
	uint64_t r = 0;

	if (randomize)
		host_random(&r, sizeof r);
	return (r & ((1ULL << bits) - 1)) << LX_PAGE_SHIFT;
}

int
loader_load(struct program *p, const struct mm_call *mc, const struct call *c,
	const struct cred *new_cred, bool secure, int randomize, struct loaded *ret)
{
	struct mm *mm = mc->mm;
	uint64_t stack_top, bias = 0, interp_bias = 0, where = 0, brk;
	int err = mm_layout(mm, mc->rlim, randomize != 0, &stack_top);

	if (err)
		return err;
	if (p->exe.eh.type == LX_ET_DYN && p->interp.file)
		where = (DYN_BASE(plat->guest_top()) & ~(LX_PAGE_SIZE - 1)) +
			random_pages(randomize, (unsigned)sysctl_get(SYSCTL_MMAP_RND_BITS));
	err = elf_map(&p->exe, mc, c, where, true, &bias);
	if (err)
		return err;
	/* The heap starts behind the image; for a static PIE, far from the mmap area (Linux,
	 * binfmt_elf.c). */
	brk = p->exe.span_end + bias;
	if (p->exe.eh.type == LX_ET_DYN && !p->interp.file)
		brk = DYN_BASE(plat->guest_top()) & ~(LX_PAGE_SIZE - 1);
	brk += random_pages(randomize > 1, 13);
	mm->brk_start = mm->brk = brk;
	if (p->interp.file) {
		err = elf_map(&p->interp, mc, c, 0, false, &interp_bias);
		if (err)
			return err;
	}
	err = stack_build(p, mc, new_cred, secure, stack_top, bias, interp_bias, &ret->sp);
	if (err)
		return err;
	ret->entry = p->interp.file ? p->interp.eh.entry + interp_bias : p->exe.eh.entry + bias;
	if (ret->entry >= plat->guest_top())
		return -EFAULT; /* not even an address to fault at */
	return plat->flush(mc->pt);
}
