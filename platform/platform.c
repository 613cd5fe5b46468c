/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the engine. */
#include "platform/platform.h"
#include "platform/ptrace/ptrace.h"
#include "platform/trap/trap.h"
#include <errno.h>
#include <string.h>

const struct plat_ops *plat;

int
plat_select(const char *name)
{
	static const struct plat_ops *const engines[] = {&trap_ops, &ptrace_ops};

	for (unsigned i = 0; i < sizeof engines / sizeof engines[0]; i++)
		if (strcmp(engines[i]->name, name) == 0) {
			plat = engines[i];
			return 0;
		}
	return -EINVAL;
}
