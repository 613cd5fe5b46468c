/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/trap/internal.h"
void
trap_site_syscall(struct plat_thread *t)
{
	(void)t;
}
void
trap_site_rip(struct plat_thread *t, struct guest_regs *r)
{
	(void)t;
	(void)r;
}
void
trap_sites_unmapped(struct plat_space *sp, uint64_t addr, uint64_t len)
{
	(void)sp;
	(void)addr;
	(void)len;
}
struct trap_sites *
trap_sites_copy(const struct plat_space *sp)
{
	(void)sp;
	return NULL;
}
void
trap_sites_free(struct trap_sites *s)
{
	(void)s;
}
void
trap_sites_disable(struct plat_thread *t)
{
	(void)t;
}
