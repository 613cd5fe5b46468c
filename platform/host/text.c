/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/text.h"
#include <link.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that cannot be written hold what the file holds, and nothing else: there are no
 * relocations in them. */
static int
drop(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_W))
			continue;
		from &= -page;
		to = (to + page - 1) & -page;
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 1; /* the program comes first */
}

void
host_text_drop(void)
{
	dl_iterate_phdr(drop, NULL);
}
