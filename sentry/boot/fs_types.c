/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that can be mounted, opened or made. The gofer's type registers with its connection.
 */
#include "internal.h"
#include "sentry/event/event.h"
#include "sentry/fs/cgroup.h"
#include "sentry/fs/dev.h"
#include "sentry/fs/devpts.h"
#include "sentry/fs/fuse.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/overlayfs.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/proc.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/fs/tty.h"
#include "sentry/ipc/mqueue.h"
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/nsfs.h"
#include "sentry/kernel/tty.h"
#include "sentry/keys/keys.h"
#include "sentry/net/link.h"
#include "sentry/socket/socket.h"
#include "sentry/socket/wire.h"

int
boot_register_fs(const struct start *s)
{
	static int (*const inits[])(void) = {vfs_init, tmpfs_init, pipe_init, hostfile_init,
		dev_init, devpts_init, proc_init, sysfs_init, mqueue_init, cgroupfs_init, fuse_init,
		overlayfs_init};
	int r;

	for (size_t i = 0; i < sizeof inits / sizeof inits[0]; i++) {
		r = inits[i]();
		if (r < 0)
			return r;
	}
	event_init();
	keys_init();
	r = unix_init();
	if (r < 0)
		return r;
	net_ns_first_init();
	inet_init();
	packet_init();
	if (boot_network_is_host(s)) {
		net_ns_first_is_host(s->m->low_ports);
		hostsock_init();
	}
	netlink_init();
	tun_init();
	tty_kernel_init();
	fuse_file_of_fd = task_call_file;
	net_ns_of_fd = nsfs_net_of_fd;
	net_ns_of_pid = nsfs_net_of_pid;
	return 0;
}
