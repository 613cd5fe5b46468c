/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLATFORM_HOST_MEMDIR_H
#define PLATFORM_HOST_MEMDIR_H

/* The directory of a new tmpfs that is mounted nowhere, without limits, in which large files have
 * large pages where the host has such (a memfd has them only where its administrator says so, and a
 * page of 4 KiB costs as much as its contents when it is read or mapped). -errno without the right
 * to mount. */
int host_memory_dir(void);

#endif
