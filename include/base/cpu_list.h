/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CPU_LIST_H
#define BASE_CPU_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "0-3,7" (cpuset(7), List format; "" too) as a mask of cap bytes. False: it is none, or has a
 * number beyond. */
bool cpu_list_parse(const char *list, uint8_t *mask, size_t cap);

#endif
