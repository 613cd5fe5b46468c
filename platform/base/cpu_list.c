/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_list.h"
#include <stdlib.h>
#include <string.h>

bool
cpu_list_parse(const char *list, uint8_t *mask, size_t cap)
{
	memset(mask, 0, cap);
	for (const char *p = list; *p; p += *p == ',') {
		unsigned long from, to;
		char *end;

		if (*p < '0' || *p > '9')
			return false;
		from = to = strtoul(p, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			to = strtoul(end + 1, &end, 10);
		if (to < from || to >= cap * 8 || (*end && *end != ',') || (*end && !end[1]))
			return false;
		for (; from <= to; from++)
			mask[from / 8] |= (uint8_t)(1u << from % 8);
		p = end;
	}
	return true;
}
