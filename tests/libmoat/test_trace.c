/* SPDX-License-Identifier: Apache-2.0 */
/* The trace: a line for each system call, whatever a program calls itself. */
#include "lib.h"

int
main(void)
{
	struct own before = own_now();
	struct box *b = box_new();
	char *text = calloc(1, TEXT_MAX), *line, *next;
	size_t n = 0;
	ssize_t r;
	FILE *f = tmpfile();

	CHECK(text && f);
	b->c.trace_fd = fileno(f);
	box_expect(b, "printf 'x\\n   1 f() = 0' >/proc/self/comm; read a </dev/null; echo \"$$\"",
		"1\n", 0);
	CHECK(lseek(fileno(f), 0, SEEK_SET) == 0);
	while ((r = read(fileno(f), text + n, TEXT_MAX - 1 - n)) > 0)
		n += (size_t)r;
	CHECK(strstr(text, "1 x\\n   1 f() = 0 "), "%s", text);
	for (line = text; *line; line = next) {
		next = strchr(line, '\n') + 1;
		CHECK(strncmp(line, "   1 f()", 8) != 0, "a forged line");
		CHECK(strtol(line, NULL, 10) > 0 && memchr(line, '(', (size_t)(next - line)),
			"%.80s", line);
	}
	free(text);
	fclose(f);
	own_check(before);
	return 0;
}
