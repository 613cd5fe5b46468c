/* SPDX-License-Identifier: Apache-2.0 */
/* Registration of everything that can be mounted. The gofer's type registers with its connection.
 */
#include "internal.h"
#include "sentry/fs/dev.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/kernel/tty.h"

int
boot_register_fs(const struct start *s)
{
	static int (*const inits[])(void) = {
		vfs_init, tmpfs_init, pipe_init, dev_init, hostfile_init};

	(void)s;
	tty_kernel_init();
	for (size_t i = 0; i < sizeof inits / sizeof inits[0]; i++) {
		int r = inits[i]();

		if (r < 0)
			return r;
	}
	return 0;
}
