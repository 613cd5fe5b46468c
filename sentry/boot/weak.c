/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells terminals, while no file system has any. */
#include "sentry/kernel/tty.h"

__attribute__((weak)) void
tty_session_ended(struct tgroup *leader)
{
	(void)leader;
}

__attribute__((weak)) void
tty_set_controlling(struct task *t, struct file *f)
{
	(void)t, (void)f;
}
