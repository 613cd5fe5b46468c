/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/maps.h"
#include "platform/host/err.h"
#include <fcntl.h>

static int kept = -1;

void
host_maps_keep(void)
{
	kept = HOST(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
}

FILE *
host_maps_open(void)
{
	FILE *f = kept >= 0 ? fdopen(kept, "r") : fopen("/proc/self/maps", "re");

	kept = -1;
	return f;
}
