/* SPDX-License-Identifier: Apache-2.0 */
/* See agent.h; what it is sent is the "container process state" of the OCI runtime specification.
 */
#include "agent.h"
#include "bridge.h"
#include "create.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* In runc's words, which its users look for. */
static const char option[] = "linux.seccomp.listenerPath: failed to connect with seccomp agent "
			     "specified in the seccomp profile";

int
agent_start(struct agent *a, const struct moat_oci *o, struct moat_config *c)
{
	char err[256];

	*a = (struct agent){o->listener_path, o->listener_metadata, -1, -1, -1};
	if (!a->path)
		return 0;
	if (bridge_start(&a->mount, &a->listener, err, sizeof err) < 0)
		return complain("linux.seccomp.listenerPath: %s", err);
	c->seccomp_listener = a->listener;
	return 0;
}

/* FUSE lets nobody in from outside of the user namespace that it was mounted in. */
static bool
is_outside(int sock)
{
	struct stat own, theirs;
	struct ucred peer;
	socklen_t len = sizeof peer;
	char path[64];

	if (!rootless())
		return false;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return true;
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)peer.pid);
	return stat("/proc/self/ns/user", &own) < 0 || stat(path, &theirs) < 0 ||
	       own.st_dev != theirs.st_dev || own.st_ino != theirs.st_ino;
}

int
agent_connect(struct agent *a)
{
	if (!a->path || a->sock >= 0)
		return 0;
	a->sock = socket_connect(option, a->path);
	if (a->sock < 0)
		return exit_failure;
	return is_outside(a->sock)
		       ? complain("linux.seccomp.listenerPath: the agent at %s is in another user "
				  "namespace, and could not use a file of FUSE of this one",
				 a->path)
		       : 0;
}

int
agent_send(struct agent *a, struct container *c, enum container_status s, pid_t pid)
{
	json_t *state, *j;
	char *text;
	int fd, r;

	if (!a->path)
		return 0;
	r = agent_connect(a);
	if (r)
		return r;
	fd = bridge_open(a->mount);
	if (fd < 0)
		return complain("linux.seccomp.listenerPath: the agent's file cannot be opened: %s",
			strerror(-fd));
	state = container_oci_state(c, s);
	j = json_pack("{sO? s[s] si ss* so}", "ociVersion", json_object_get(state, "ociVersion"),
		"fds", "seccompFd", "pid", (int)pid, "metadata", a->metadata, "state", state);
	text = json_text(check_memory(j));
	r = socket_send(option, a->path, a->sock, fd, text);
	free(text);
	json_decref(j);
	close(fd);
	return r;
}

void
agent_release(struct agent *a)
{
	int fds[] = {a->mount, a->sock, a->listener};

	for (size_t i = 0; a->path && i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
