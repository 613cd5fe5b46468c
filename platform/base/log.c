/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_level log_level = LOG_WARN;
static int log_fd = STDERR_FILENO;
static const char *log_tag = "moat";

void
log_to_fd(int fd, const char *tag)
{
	log_fd = fd;
	log_tag = tag;
}

static void
write_line(const char *level, const char *where, int line, const char *fmt, va_list ap)
{
	char buf[1024];
	int n;

	if (log_fd < 0)
		return;
	if (log_level >= LOG_DEBUG) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		n = snprintf(
			buf, sizeof buf, "%lld.%06ld ", (long long)ts.tv_sec, ts.tv_nsec / 1000);
	} else {
		n = 0;
	}
	n += snprintf(buf + n, sizeof buf - (size_t)n, "%s: %s", log_tag, level);
	if (where)
		n += snprintf(buf + n, sizeof buf - (size_t)n, "%s:%d: ", where, line);
	if ((size_t)n < sizeof buf - 1)
		n += vsnprintf(buf + n, sizeof buf - (size_t)n, fmt, ap);
	if ((size_t)n > sizeof buf - 2)
		n = sizeof buf - 2;
	buf[n++] = '\n';
	while (write(log_fd, buf, (size_t)n) < 0)
		break;
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"", "warning: ", "", "debug: "};
	va_list ap;

	va_start(ap, fmt);
	write_line(names[level], NULL, 0, fmt, ap);
	va_end(ap);
}

void
panic_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line("panic: ", file, line, fmt, ap);
	va_end(ap);
	abort();
}
