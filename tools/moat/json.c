/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and making JSON; see json.h. */
#include "json.h"
#include "base/json_text.h"
#include "moat.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JSON_MAX (8 << 20)

int
read_json(const char *option, const char *path, json_t **ret)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO
					: open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	json_error_t e;
	char *text, *wide;
	size_t n, len;
	FILE *f;

	*ret = NULL;
	if (fd > 0)
		(void)fcntl(fd, F_SETFL, 0);
	f = fd > 0 ? fdopen(fd, "r") : fd == 0 ? stdin : NULL;
	if (!f)
		return complain("%s: cannot open %s: %s", option, path, strerror(errno));
	text = xcalloc(1, JSON_MAX + 1);
	n = fread(text, 1, JSON_MAX + 1, f);
	if (f != stdin)
		fclose(f);
	if (n <= JSON_MAX) {
		wide = check_memory(json_text_widen(text, n, &len));
		*ret = json_loadb(wide, len, JSON_REJECT_DUPLICATES, &e);
		free(wide);
	}
	free(text);
	if (n > JSON_MAX)
		return complain("%s: %s: larger than %d bytes", option, path, JSON_MAX);
	if (!*ret)
		return complain("%s: %s:%d: %s", option, path, e.line, e.text);
	if (!json_is_object(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return complain("%s: %s: not an object", option, path);
	}
	return 0;
}

json_t *
json_texts(const char *const *strings)
{
	json_t *a = json_array();

	for (; *strings; strings++)
		json_array_append_new(a, json_string(*strings));
	return a;
}

char *
json_text(const json_t *v)
{
	return check_memory(json_dumps(v, JSON_COMPACT));
}
