/* SPDX-License-Identifier: Apache-2.0 */
/* This process's own memory map, also after its root has become empty. */
#ifndef PLATFORM_HOST_MAPS_H
#define PLATFORM_HOST_MAPS_H

#include <stdio.h>

/* Open /proc/self/maps now, for host_maps_open later. */
void host_maps_keep(void);
/* A stream at its start, or NULL; the caller closes it. Once after each host_maps_keep, and as
 * often as wanted while /proc is there. */
FILE *host_maps_open(void);

#endif
