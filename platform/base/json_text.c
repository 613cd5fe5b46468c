/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_text.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define INT64_DIGITS "9223372036854775807"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_wide(const char *digits, size_t n)
{
	size_t most = sizeof INT64_DIGITS - 1;

	return n > most || (n == most && memcmp(digits, INT64_DIGITS, most) > 0);
}

char *
json_text_widen(const char *text, size_t len, size_t *ret_len)
{
	/* At most two bytes more for each number, of at least 19. */
	char *out = malloc(len + len / 9 + 1), *to = out;
	bool in_string = false;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t n = 0;

		if (in_string) {
			if (text[i] == '\\' && i + 1 < len)
				*to++ = text[i++];
			else if (text[i] == '"')
				in_string = false;
			*to++ = text[i++];
			continue;
		}
		in_string = text[i] == '"';
		while (i + n < len && is_digit(text[i + n]))
			n++;
		if (n == 0) {
			*to++ = text[i++];
			continue;
		}
		memcpy(to, text + i, n);
		to += n;
		/* A fraction or an exponent makes it a real already, and has digits of its own. */
		if (i + n < len && strchr(".eE", text[i + n]) && text[i + n]) {
			i += n;
			while (i < len && (is_digit(text[i]) || strchr(".eE+-", text[i])) &&
				text[i])
				*to++ = text[i++];
			continue;
		}
		if (is_wide(text + i, n)) {
			memcpy(to, ".0", 2);
			to += 2;
		}
		i += n;
	}
	*to = 0;
	*ret_len = (size_t)(to - out);
	return out;
}
