/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat do: run a command with this machine's files. The root is the host's, read-only underneath,
 * and what is written stays in memory; /proc, /sys and /dev are the sandbox's own; the user, the
 * environment and the working directory are the caller's.
 */
#include "moat.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define MAX_VOLUMES	40
#define STANDARD_MOUNTS 8
#define CAP_ALL		((1ULL << 41) - 1)

struct do_opts {
	struct common common;
	const char *rootfs, *workdir, *user, *hostname;
	char *volumes[MAX_VOLUMES];
	unsigned nvolumes;
	struct strings env;
	bool clear_env;
};

static int
help(void)
{
	printf("usage: moat do [OPTIONS] [--] COMMAND [ARGUMENT...]\n\n"
	       "Run COMMAND in a sandbox that shows this machine's files. What it writes stays in "
	       "memory.\n\n"
	       "  --rootfs=DIR              show DIR as the root instead of the host's\n"
	       "  --volume=SRC:DST[:ro]     show the host's SRC at DST; writes reach the host "
	       "unless ro\n"
	       "  --env=NAME=VALUE          set a variable; --clear-env: start from none\n"
	       "  --workdir=DIR             where to start (default: where moat was called)\n"
	       "  --user=UID[:GID]          who to be inside (default: who called moat)\n"
	       "  --hostname=NAME           (default: moat)\n%s",
		common_help);
	return 0;
}

static int
parse_id(const char *s, const char **end, uint32_t *ret)
{
	char *e;
	unsigned long v = strtoul(s, &e, 10);

	if (e == s || *s == '-' || *s == '+' || v >= UINT32_MAX)
		return -1;
	*end = e;
	*ret = (uint32_t)v;
	return 0;
}

static int
apply_user(const struct do_opts *o, struct moat_config *c, gid_t *groups)
{
	int n;

	c->uid = geteuid();
	c->gid = getegid();
	if (o->user) {
		const char *end;

		if (parse_id(o->user, &end, &c->uid) < 0 || (*end && *end != ':') ||
			(*end == ':' && (parse_id(end + 1, &end, &c->gid) < 0 || *end)))
			return complain("--user: \"%s\" is not UID[:GID] in numbers", o->user);
		if (!strchr(o->user, ':'))
			c->gid = c->uid;
	} else {
		n = getgroups(64, groups);
		c->groups = groups;
		c->ngroups = n > 0 ? (size_t)n : 0;
	}
	c->cap_bounding = CAP_ALL;
	if (c->uid == 0)
		c->cap_effective = c->cap_permitted = CAP_ALL;
	return 0;
}

/* SRC:DST[:ro], taken apart in place. */
static int
add_volume(char *spec, struct moat_mount *m)
{
	char *dst = strchr(spec, ':'), *mode;

	if (!dst || dst == spec)
		return complain("--volume: \"%s\" is not SRC:DST[:ro]", spec);
	*dst++ = 0;
	mode = strchr(dst, ':');
	if (mode)
		*mode++ = 0;
	if (dst[0] != '/')
		return complain("--volume: \"%s\" is not an absolute path", dst);
	if (mode && strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)
		return complain("--volume: \"%s\" is neither ro nor rw", mode);
	m->kind = MOAT_MOUNT_HOST;
	m->source = spec;
	m->target = dst;
	m->flags = mode && mode[1] == 'o' ? MS_RDONLY : 0;
	m->shared = true;
	return 0;
}

static int
start(struct do_opts *o, char **args)
{
	struct moat_mount mounts[STANDARD_MOUNTS + MAX_VOLUMES] = {
		{.kind = MOAT_MOUNT_HOST,
			.source = o->rootfs ? o->rootfs : "/",
			.target = "/",
			.overlay = true},
		{.kind = MOAT_MOUNT_PROC,
			.target = "/proc",
			.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{.kind = MOAT_MOUNT_SYSFS,
			.target = "/sys",
			.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY},
		{.kind = MOAT_MOUNT_DEV, .target = "/dev", .flags = MS_NOSUID},
		{.kind = MOAT_MOUNT_DEVPTS,
			.target = "/dev/pts",
			.flags = MS_NOSUID | MS_NOEXEC,
			.options = "mode=620,ptmxmode=666"},
		{.kind = MOAT_MOUNT_TMPFS,
			.target = "/dev/shm",
			.flags = MS_NOSUID | MS_NODEV,
			.options = "mode=1777"},
		{.kind = MOAT_MOUNT_MQUEUE,
			.target = "/dev/mqueue",
			.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{.kind = MOAT_MOUNT_CGROUP,
			.target = "/sys/fs/cgroup",
			.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY},
	};
	struct moat_config c;
	gid_t groups[64];
	char cwd[4096];
	size_t n = STANDARD_MOUNTS;
	int r;

	moat_config_init(&c);
	o->common.config = &c;
	if ((r = common_apply(&o->common)) || (r = apply_user(o, &c, groups)))
		return r;
	if (o->common.overlay && strcmp(o->common.overlay, "none") == 0) {
		mounts[0].overlay = false;
		mounts[0].shared = true;
	}
	for (unsigned i = 0; i < o->nvolumes; i++)
		if ((r = add_volume(o->volumes[i], &mounts[n++])))
			return r;
	if (o->workdir) {
		c.cwd = o->workdir;
		c.make_cwd = true;
	} else if (o->rootfs) {
		c.cwd = "/";
	} else {
		if (!getcwd(cwd, sizeof cwd))
			return complain("cannot find the working directory: %s", strerror(errno));
		c.cwd = cwd;
	}
	c.args = (const char *const *)args;
	c.env = o->env.v;
	c.hostname = o->hostname;
	c.mounts = mounts;
	c.nmounts = n;
	c.killable = true; /* a command, no init */
	c.die_with_parent = true;
	c.terminal = isatty(0);
	return run_foreground(&c);
}

int
cmd_do(int argc, char **argv)
{
	struct do_opts o = {.common = global_common};
	const char *v;
	int i, r;

	for (char **e = environ; *e; e++)
		strings_add(&o.env, *e);
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		bool bad = false;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return help();
		if ((r = common_option(&o.common, argc, argv, &i)) < 0)
			return EXIT_SANDBOX;
		if (r > 0)
			continue;
		if ((v = option_value("--rootfs", argc, argv, &i, &bad)))
			o.rootfs = v;
		else if ((v = option_value("--workdir", argc, argv, &i, &bad)))
			o.workdir = v;
		else if ((v = option_value("--user", argc, argv, &i, &bad)))
			o.user = v;
		else if ((v = option_value("--hostname", argc, argv, &i, &bad)))
			o.hostname = v;
		else if ((v = option_value("--env", argc, argv, &i, &bad))) {
			if (!bad && (v[0] == '=' || !strchr(v, '=')))
				return complain("--env: \"%s\" is not NAME=VALUE", v);
			strings_set_env(&o.env, v);
		} else if ((v = option_value("--volume", argc, argv, &i, &bad))) {
			if (o.nvolumes == MAX_VOLUMES)
				return complain("--volume: more than %d of them", MAX_VOLUMES);
			if (!(o.volumes[o.nvolumes++] = strdup(v)))
				return complain("out of memory");
		} else if (strcmp(argv[i], "--clear-env") == 0) {
			strings_free(&o.env);
			strings_add(&o.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/"
					    "bin:/sbin:/bin");
		} else
			return complain("do: unknown option %s (see moat do --help)", argv[i]);
		if (bad)
			return EXIT_SANDBOX;
	}
	if (i >= argc)
		return complain("do: no command given (see moat do --help)");
	r = start(&o, argv + i);
	strings_free(&o.env);
	for (unsigned k = 0; k < o.nvolumes; k++)
		free(o.volumes[k]);
	return r;
}
