/* SPDX-License-Identifier: Apache-2.0 */
/* What commands do with JSON beside config.json, which is the library's. */
#ifndef TOOLS_MOAT_JSON_H
#define TOOLS_MOAT_JSON_H

#include <jansson.h>

/* The object in a file that an option names, or in a pipe ("-": standard input); a FIFO that nobody
 * writes to is not waited for. 0, or complained. */
int read_json(const char *option, const char *path, json_t **ret);
/* A JSON array of a NULL-terminated list. */
json_t *json_texts(const char *const *strings);
/* Compact; free(). Without memory this program ends. */
char *json_text(const json_t *v);

#endif
