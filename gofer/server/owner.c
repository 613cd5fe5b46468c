/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes a file. Mostly this process does, and gives it to its owner then. In a mount with other
 * owners (MOUNT_ATTR_IDMAP) the host refuses a new name to whom the mount knows no owner for, be it
 * root: there the thread is the guest's user for that one call (fsuid and fsgid, which are of a
 * thread). What it may do stays the same: its capabilities do not follow its ids.
 */
#include "internal.h"
#include "platform/host/err.h"
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

static uid_t home_uid;
static gid_t home_gid;

int
owner_init(void)
{
	home_uid = geteuid();
	home_gid = getegid();
	return HOST(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED,
		0, 0, 0));
}

int
owner_begin(const struct node *dir, uint32_t uid, uint32_t gid)
{
	if (!dir->idmapped)
		return 0;
	/* Neither tells of a failure: what is set is asked for by an id that there is not. */
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	if ((uint32_t)setfsuid((uid_t)-1) == uid && (uint32_t)setfsgid((gid_t)-1) == gid)
		return 0;
	owner_end(dir);
	return -EOVERFLOW;
}

void
owner_end(const struct node *dir)
{
	if (!dir->idmapped)
		return;
	(void)setfsuid(home_uid);
	(void)setfsgid(home_gid);
}
