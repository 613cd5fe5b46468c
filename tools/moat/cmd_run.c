/* SPDX-License-Identifier: Apache-2.0 */
/* moat run: create a container from an OCI bundle, run it in the foreground, and remove it. */
#include "oci.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct run_opts {
	struct common common;
	const char *bundle, *root, *console_socket, *pid_file, *id;
};

static int
help(void)
{
	printf("usage: moat [--root DIR] run [OPTIONS] ID\n\n"
	       "Run the OCI bundle in the current directory (or --bundle) and wait for its end.\n\n"
	       "  --bundle=DIR, -b DIR      where config.json is\n"
	       "  --root=DIR                where running containers are noted (default: "
	       "/run/moat, or\n"
	       "                            $XDG_RUNTIME_DIR/moat)\n"
	       "  --console-socket=PATH     send the terminal's master to this socket "
	       "(process.terminal)\n"
	       "  --pid-file=FILE           write the sandbox's process number to FILE\n%s",
		common_help);
	return 0;
}

static bool
id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

	return n > 0 && !id[n] && n < 200 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

/* The container's folder in the root, and a lock in it that says that the name is taken: one whose
 * owner was killed is free. */
static int
claim_id(const struct run_opts *o, char *dir, size_t cap)
{
	const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
	char root[3000], lock[3400];
	int fd;

	if (o->root)
		snprintf(root, sizeof root, "%s", o->root);
	else if (geteuid() != 0 && runtime_dir && *runtime_dir)
		snprintf(root, sizeof root, "%s/moat", runtime_dir);
	else
		snprintf(root, sizeof root, "/run/moat");
	for (char *p = root + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		(void)mkdir(root, 0711);
		*p = '/';
	}
	if (mkdir(root, 0700) < 0 && errno != EEXIST)
		return complain("cannot create %s: %s", root, strerror(errno));
	snprintf(dir, cap, "%s/%s", root, o->id);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return complain("cannot create %s: %s", dir, strerror(errno));
	snprintf(lock, sizeof lock, "%s/lock", dir);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain("cannot create %s: %s", lock, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return complain("container with id %s already exists (%s)", o->id, dir);
	}
	return 0; /* held until this process ends */
}

static void
release_id(const char *dir)
{
	char lock[3400];

	snprintf(lock, sizeof lock, "%s/lock", dir);
	if (unlink(lock) < 0 || rmdir(dir) < 0)
		complain("cannot remove %s: %s", dir, strerror(errno));
}

static int
send_master(const char *path, int master)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	char name[] = "/dev/ptmx";
	struct iovec iov = {name, sizeof name - 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof ctl.buf};
	int s, r = 0;

	if (strlen(path) >= sizeof a.sun_path)
		return complain("--console-socket: the path is too long");
	strcpy(a.sun_path, path);
	ctl.h.cmsg_level = SOL_SOCKET;
	ctl.h.cmsg_type = SCM_RIGHTS;
	ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.h), &master, sizeof master);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0 ||
		sendmsg(s, &m, MSG_NOSIGNAL) < 0)
		r = complain("--console-socket: cannot send the terminal to %s: %s", path,
			strerror(errno));
	if (s >= 0)
		close(s);
	return r;
}

/* process.terminal: a new terminal whose master goes to the console socket, or the one that we were
 * started on. */
static int
set_terminal(const struct run_opts *o, const struct oci *oci, struct moat_config *c)
{
	struct winsize ws = {.ws_row = oci->rows, .ws_col = oci->columns};
	int master, slave, r;

	if (!oci->terminal)
		return o->console_socket ? complain("--console-socket: process.terminal is not set")
					 : 0;
	c->terminal = true;
	if (!o->console_socket) {
		if (!isatty(0))
			return complain("process.terminal: standard input is no terminal, and "
					"there is no --console-socket");
		if (ws.ws_row && ws.ws_col)
			(void)ioctl(0, TIOCSWINSZ, &ws);
		return 0;
	}
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || unlockpt(master) < 0)
		return complain("cannot make a terminal: %s", strerror(errno));
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return complain("cannot open the terminal: %s", strerror(errno));
	if (ws.ws_row && ws.ws_col)
		(void)ioctl(master, TIOCSWINSZ, &ws);
	r = send_master(o->console_socket, master);
	close(master);
	c->stdio[0] = c->stdio[1] = c->stdio[2] = slave;
	return r;
}

static int
run(struct run_opts *o)
{
	char bundle[4096], dir[3300];
	struct moat_config c;
	struct oci oci;
	int r;

	if (!id_ok(o->id))
		return complain("run: \"%s\" is not a name for a container", o->id);
	if (!realpath(o->bundle ? o->bundle : ".", bundle))
		return complain("run: cannot find the bundle %s: %s", o->bundle, strerror(errno));
	moat_config_init(&c);
	o->common.config = &c;
	if ((r = common_apply(&o->common)))
		return r;
	if (oci_load(&oci, bundle, &c) < 0) {
		r = complain("config.json: %s", oci.err);
		oci_free(&oci);
		return r;
	}
	if (!c.network && oci.host_network)
		c.network = "host";
	if (o->common.overlay && strcmp(o->common.overlay, "root:memory") == 0)
		oci.mounts[0].overlay = true;
	r = set_terminal(o, &oci, &c);
	if (r == 0 && (r = claim_id(o, dir, sizeof dir)) == 0) {
		r = run_foreground(&c, o->pid_file);
		release_id(dir);
	}
	oci_free(&oci);
	return r;
}

int
cmd_run(int argc, char **argv)
{
	struct run_opts o = {.root = global_root};
	const char *v;
	int i, r;

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
		if ((v = option_value("--bundle", argc, argv, &i, &bad)) ||
			(v = option_value("-b", argc, argv, &i, &bad)))
			o.bundle = v;
		else if ((v = option_value("--root", argc, argv, &i, &bad)))
			o.root = v;
		else if ((v = option_value("--console-socket", argc, argv, &i, &bad)))
			o.console_socket = v;
		else if ((v = option_value("--pid-file", argc, argv, &i, &bad)))
			o.pid_file = v;
		else
			return complain("run: unknown option %s (see moat run --help)", argv[i]);
		if (bad)
			return EXIT_SANDBOX;
	}
	if (argc - i != 1)
		return complain(
			"run: needs exactly one name for the container (see moat run --help)");
	o.id = argv[i];
	return run(&o);
}
