/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/memdir.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
set(int fs, const char *key, const char *value)
{
	return HOST((int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0));
}

int
host_memory_dir(void)
{
	int fs = HOST((int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)), r, fd;

	if (fs < 0)
		return fs;
	(void)set(fs, "huge", "within_size"); /* refused by a host without */
	r = set(fs, "size", "0");
	if (r == 0)
		r = set(fs, "nr_inodes", "0");
	if (r == 0)
		r = HOST((int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	fd = r < 0 ? r
		   : HOST((int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
	close(fs);
	return fd;
}
