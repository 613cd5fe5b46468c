/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of the sentry, the gofer and the tools: one line a message, to the descriptor of
 * --debug-log, or to stderr for what a user has to see. Thread-safe. panic() is for broken
 * invariants of ours only: guest, image, peer and configuration can never cause one.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

extern enum log_level log_level; /* messages above it are dropped; default LOG_WARN */

/* fd: where to write, -1 for nowhere; owned by the log from then on. tag: prefix of each line,
 * static. */
void log_to_fd(int fd, const char *tag);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void panic_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if ((level) <= log_level)                                                          \
			log_write((level), __VA_ARGS__);                                           \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define panic(...)     panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define assert_that(c) ((c) ? (void)0 : panic("broken invariant: %s", #c))

#endif
