/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat install, uninstall: tell engines of this runtime. What else their files say stays as it is:
 * docker's is JSON, and one key is set in it; podman reads a folder of files, of which one is ours;
 * in containerd's our part stands between two comments. A file is written under another name first,
 * and only when something changes.
 */
#include "moat.h"
#include "options.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1 << 20)
#define BEGIN	 "# moat install begins\n"
#define END	 "# moat install ends\n"

static const char *etc = "/etc";
static char program[PATH_MAX];

/* The whole file, malloc'd; *ret NULL: there is none. 0, or complained. */
static int
read_file(const char *path, char **ret)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;

	*ret = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : complain("cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < FILE_MAX) {
		*ret = xcalloc(1, (size_t)st.st_size + 1);
		n = read(fd, *ret, (size_t)st.st_size);
	}
	close(fd);
	if (n >= 0 && n == st.st_size && !memchr(*ret, 0, (size_t)n))
		return 0;
	free(*ret);
	*ret = NULL;
	return complain("cannot read %s: not a text of less than 1 MiB", path);
}

/* Text NULL: remove it. A link stays, what it names is replaced. */
static int
write_file(const char *path, const char *text)
{
	char real[PATH_MAX], tmp[PATH_MAX + 8], *slash;
	struct stat st = {.st_mode = 0644};
	int fd, r = 0;

	if (!realpath(path, real))
		snprintf(real, sizeof real, "%s", path);
	if (!text) {
		if (unlink(real) < 0 && errno != ENOENT)
			return complain("cannot remove %s: %s", real, strerror(errno));
		return 0;
	}
	for (slash = real; (slash = strchr(slash + 1, '/'));) {
		*slash = 0;
		if (mkdir(real, 0755) < 0 && errno != EEXIST)
			return complain("cannot create %s: %s", real, strerror(errno));
		*slash = '/';
	}
	(void)stat(real, &st);
	snprintf(tmp, sizeof tmp, "%s.moat", real);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, st.st_mode & 07777);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) < 0 ||
		rename(tmp, real) < 0)
		r = complain("cannot write %s: %s", real, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (r)
		(void)unlink(tmp);
	return r;
}

/* Write it if it is another text. */
static int
settle(const char *path, const char *old, const char *new, const char *next)
{
	if ((!old && !new) || (old && new &&strcmp(old, new) == 0)) {
		printf("%s: as it was\n", path);
		return 0;
	}
	if (write_file(path, new))
		return exit_failure;
	printf("%s: %s%s%s\n", path, new ? "written" : "removed", new ? "; " : "", new ? next : "");
	return 0;
}

/* --- docker --- */

/* Where moat is among the runtimes of daemon.json; add: put it there. 0, or complained. */
static int
change_docker(json_t *top, const char *path, bool add)
{
	json_t *runtimes = json_object_get(top, "runtimes"), *own;
	const char *usual = json_string_value(json_object_get(top, "default-runtime"));

	if (runtimes && !json_is_object(runtimes))
		return complain("%s: runtimes: not an object", path);
	if (!add) {
		if (usual && strcmp(usual, "moat") == 0)
			return complain(
				"%s: default-runtime is moat: name another one first", path);
		json_object_del(runtimes, "moat");
		if (runtimes && json_object_size(runtimes) == 0)
			json_object_del(top, "runtimes");
		return 0;
	}
	if (!runtimes) {
		runtimes = json_object();
		json_object_set_new(top, "runtimes", runtimes);
	}
	own = json_object_get(runtimes, "moat");
	if (json_is_object(own)) /* its runtimeArgs stay */
		json_object_set_new(own, "path", json_string(program));
	else
		json_object_set_new(runtimes, "moat", json_pack("{ss}", "path", program));
	return 0;
}

static int
docker(bool add)
{
	char path[PATH_MAX], *old, *new = NULL;
	json_t *top = NULL, *before;
	json_error_t e;
	int r;

	snprintf(path, sizeof path, "%s/docker/daemon.json", etc);
	if ((r = read_file(path, &old)))
		return r;
	top = old && *old ? json_loads(old, JSON_REJECT_DUPLICATES, &e) : json_object();
	if (!json_is_object(top)) {
		r = top ? complain("%s: not an object", path)
			: complain("%s:%d: %s", path, e.line, e.text);
	} else {
		before = json_deep_copy(top);
		r = change_docker(top, path, add);
		if (r == 0 && json_equal(before, top)) {
			printf("%s: as it was\n", path);
		} else if (r == 0) {
			char *text = json_object_size(top) ? json_dumps(top, JSON_INDENT(2)) : NULL;

			if (text && asprintf(&new, "%s\n", text) < 0)
				exit(complain("out of memory"));
			r = settle(path, old, new, "dockerd reads it on SIGHUP");
			free(text);
		}
		json_decref(before);
	}
	json_decref(top);
	free(old);
	free(new);
	return r;
}

/* --- podman --- */

static int
podman(bool add)
{
	char path[PATH_MAX], *old, *new = NULL;
	int r;

	snprintf(path, sizeof path, "%s/containers/containers.conf.d/moat.conf", etc);
	if ((r = read_file(path, &old)))
		return r;
	if (add && asprintf(&new, BEGIN "[engine.runtimes]\nmoat = [\"%s\"]\n" END, program) < 0)
		exit(complain("out of memory"));
	if (!add && old && !strstr(old, BEGIN))
		r = complain("%s: not written by moat install", path);
	else
		r = settle(path, old, new, "podman --runtime moat");
	free(old);
	free(new);
	return r;
}

/* --- containerd --- */

static int
containerd(bool add)
{
	static const char fresh[] = "version = 2\n";
	char path[PATH_MAX], *old, *new = NULL, *from, *to, *rest;
	int r;

	snprintf(path, sizeof path, "%s/containerd/config.toml", etc);
	if ((r = read_file(path, &old)))
		return r;
	rest = old ? strdup(old) : add ? strdup(fresh) : NULL;
	from = rest ? strstr(rest, BEGIN) : NULL;
	to = from ? strstr(from, END) : NULL;
	if (from && !to) {
		r = complain("%s: \"%.20s\" has no end", path, BEGIN);
	} else {
		if (to)
			memmove(from, to + strlen(END), strlen(to + strlen(END)) + 1);
		if (rest && add && !strstr(rest, "version = 2") && !strstr(rest, "version = 3"))
			r = complain("%s: not of version 2 (containerd config default)", path);
		else if (rest && add && strstr(rest, "runtimes.moat"))
			r = complain(
				"%s: has a runtime moat that moat install did not write", path);
	}
	if (r == 0 && add) {
		size_t n = strlen(rest);

		if (asprintf(&new,
			    "%s%s" BEGIN
			    "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.moat]\n"
			    "  runtime_type = \"io.containerd.runc.v2\"\n"
			    "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.moat."
			    "options]\n"
			    "  BinaryName = \"%s\"\n" END,
			    rest, n && rest[n - 1] != '\n' ? "\n" : "", program) < 0)
			exit(complain("out of memory"));
	} else if (r == 0 && rest && strcmp(rest, fresh) != 0) {
		new = strdup(rest);
	}
	if (r == 0)
		r = settle(path, old, new, "restart containerd");
	free(old);
	free(rest);
	free(new);
	return r;
}

/* --- the commands --- */

static const struct {
	const char *name;
	int (*change)(bool add);
} engines[] = {{"docker", docker}, {"podman", podman}, {"containerd", containerd}};

#define NENGINES (sizeof engines / sizeof engines[0])

static int
change(int argc, char **argv, bool add)
{
	const struct option_row rows[] = {
		{OPTION_TEXT, "etc", 0, &etc, "where the engines' files are (default: /etc)"}, {0}};
	int i = options_parse(add ? "install [OPTIONS] [docker|podman|containerd]..."
				  : "uninstall [OPTIONS] [docker|podman|containerd]...",
		    rows, NULL, argc, argv, 0, (int)NENGINES),
	    r = 0;
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	size_t k;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (n < 0 || etc[0] != '/' || strlen(etc) > PATH_MAX / 2)
		return n < 0 ? complain("cannot find this program's own path: %s", strerror(errno))
			     : complain("--etc: not an absolute path");
	if (strpbrk(program, "\"\\\n"))
		return complain("%s: a path with quotes or backslashes", program);
	for (int a = i; a < argc; a++) {
		for (k = 0; k < NENGINES && strcmp(engines[k].name, argv[a]) != 0; k++)
			;
		if (k == NENGINES)
			return complain("%s: not an engine that is known", argv[a]);
	}
	/* One that fails does not keep the others from it. */
	for (k = 0; k < NENGINES; k++) {
		bool wanted = i == argc;

		for (int a = i; a < argc; a++)
			wanted = wanted || strcmp(engines[k].name, argv[a]) == 0;
		if (wanted && engines[k].change(add))
			r = exit_failure;
	}
	return r;
}

int
cmd_install(int argc, char **argv)
{
	return change(argc, argv, true);
}

int
cmd_uninstall(int argc, char **argv)
{
	return change(argc, argv, false);
}
