/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat logs: what a container has written, where that went to a file; or what moat itself has said
 * of its sandbox (--debug-log). What went to a pipe or a terminal, whoever is at its other end has.
 */
#include "container.h"
#include "options.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 100000000

/* What has come since the last time. 0, 1: something, or complained. */
static int
copy(int fd, const char *path, bool *more)
{
	char buf[65536];
	ssize_t n;

	*more = false;
	while ((n = read(fd, buf, sizeof buf)) > 0) {
		*more = true;
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)
			return complain("cannot write: %s", strerror(errno));
	}
	return n < 0 ? complain("cannot read %s: %s", path, strerror(errno)) : 0;
}

static int
show(struct container *c, const char *path, bool follow)
{
	/* Only a file: one that was replaced by a FIFO would not end. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
	struct stat st;
	bool more;

	if (fd < 0)
		return complain("cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return complain("%s: not a file any more", path);
	}
	for (;;) {
		struct timespec t = {0, STEP_NS};
		bool runs = container_pid(c) != 0;

		r = copy(fd, path, &more);
		if (r || !follow || (!runs && !more))
			break;
		nanosleep(&t, NULL);
	}
	close(fd);
	return r;
}

int
cmd_logs(int argc, char **argv)
{
	bool follow = false, debug = false, errors = false;
	const struct option_row rows[] = {
		{OPTION_FLAG, "follow", 'f', &follow, "go on until the container has ended"},
		{OPTION_FLAG, "stderr", 0, &errors,
			"the other stream, where it has a file of its own"},
		{OPTION_FLAG, "debug", 0, &debug, "what moat itself has said (create --debug-log)"},
		{0}};
	int i = options_parse("logs [OPTIONS] ID", rows, NULL, argc, argv, 1, 1), r;
	const char *path;
	struct container c;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if ((r = container_open(&c, argv[i], false)))
		return r;
	path = container_text(&c, debug ? "debugLog" : errors ? "stderr" : "stdout");
	if (*path)
		r = show(&c, path, follow);
	else if (debug)
		r = complain("container %s was made without --debug-log", argv[i]);
	else
		r = complain(
			"no log is kept of container %s: what it writes goes to who started it "
			"(ask that: docker logs, podman logs), or start it with its output in a "
			"file",
			argv[i]);
	container_close(&c);
	return r;
}
