/* SPDX-License-Identifier: Apache-2.0 */
/* What the sentry asks the keeper about memory: one byte, and its answer, on a SOCK_SEQPACKET
 * socket. */
#ifndef PLATFORM_HOST_METER_H
#define PLATFORM_HOST_METER_H

#include <stdint.h>

enum meter_question {
	METER_START, /* can it be told? own_bytes only */
	METER_SUM, /* of what each process privately has; pages that several share count in each */
	METER_EXACT, /* the same, but such pages count once; slow */
	METER_PEAK,  /* the most that a process of those that live has had */
};

struct meter_answer {
	int64_t bytes;	   /* of the sentry's children; -errno */
	int64_t own_bytes; /* what the sentry privately has */
	uint32_t children; /* that have memory */
};

#endif
