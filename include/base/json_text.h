/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stddef.h>

/* A copy of JSON text (len bytes) for a parser whose integers have 64 bits and a sign: those that
 * are larger (RLIM_INFINITY) have ".0" behind and come as reals. malloc'd, with a NUL behind;
 * *ret_len: its length. NULL: out of memory. What is no JSON comes as it is. */
char *json_text_widen(const char *text, size_t len, size_t *ret_len);

#endif
