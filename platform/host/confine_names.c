/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the parts of the isolation, from weaker.def; for the launcher as well as for those who
 * shut themselves in. */
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include <string.h>

static const struct {
	const char *name, *cost;
} weaker[] = {
#define WEAKER(NAME, name, cost) {#name, cost},
#include "platform/host/weaker.def"
#undef WEAKER
};

const char *
weaker_name(unsigned bit)
{
	return weaker[bit].name;
}

const char *
weaker_cost(unsigned bit)
{
	return weaker[bit].cost;
}

int
weaker_parse(const char *list, uint32_t *ret, const char **bad)
{
	uint32_t bits = 0;

	while (*list) {
		size_t n = strcspn(list, ",");
		unsigned i;

		for (i = 0; i < WEAKER_COUNT; i++)
			if (strlen(weaker[i].name) == n && memcmp(weaker[i].name, list, n) == 0)
				break;
		if (i == WEAKER_COUNT) {
			*bad = list;
			return -EINVAL;
		}
		bits |= 1u << i;
		list += n + (list[n] == ',');
	}
	*ret = bits;
	return 0;
}
