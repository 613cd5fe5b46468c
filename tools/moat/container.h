/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container on the host: the folder ROOT/ID. In it are
 *	state.json    what is known of it; written under another name first, so that it is whole
 *	config.json   the configuration as it was when the container was created
 *	control.sock  where its sentry listens
 *	lock          held by whoever changes its state
 * Whether it runs is never written down: the number of the process that stands for it with its
 * start time, and what the sentry itself says, tell.
 */
#ifndef TOOLS_MOAT_CONTAINER_H
#define TOOLS_MOAT_CONTAINER_H

#include "moat.h"
#include <jansson.h>
#include <sys/types.h>

enum container_status {
	CONTAINER_CREATING,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPED,
};

struct container {
	const char *id;
	char dir[4096];
	int dir_fd, lock_fd; /* -1: none */
	json_t *state;	     /* state.json; NULL: none yet */
};

/* The folder of all containers, made if it is missing. 0, or complained. */
int container_root(char *buf, size_t cap);

/* Take the name for a new container. c->state: what a launcher left that was killed; its cgroup may
 * be there. 0, or complained. */
/* Is it more than that? */
bool container_is_whole(const struct container *c);
int container_claim(struct container *c, const char *id);
/* One that exists. lock: nobody else changes it meanwhile. 0, or -ENOENT (nothing said), or
 * -EINVAL (said). */
int container_find(struct container *c, const char *id, bool lock);
/* The same; what is wrong is said. */
int container_open(struct container *c, const char *id, bool lock);
void container_close(struct container *c); /* unlocks */
void container_unlock(struct container *c);
/* Lock it once more. -ENOENT: it was deleted meanwhile. */
int container_relock(struct container *c);
int container_save(struct container *c);
/* Forget it: its folder goes. */
void container_remove(struct container *c);

enum container_status container_status(struct container *c);
const char *container_status_name(enum container_status s);
/* Its processes: the one that stands for it (moat_pid), its kernel, its file server. */
enum container_process {
	CONTAINER_INIT,
	CONTAINER_SENTRY,
	CONTAINER_GOFER,
};
void container_note(struct container *c, enum container_process which, pid_t pid);
/* The number of one, 0 when it has ended. The container has when its first one has. */
pid_t container_process(const struct container *c, enum container_process which);
pid_t container_pid(const struct container *c);
/* Ask its sentry: -errno with err filled in; or 0, or complained. */
int container_connect(struct container *c, struct moat_sandbox **ret, struct moat_error *err);
int container_attach(struct container *c, struct moat_sandbox **ret);
/* SIGKILL to the sentry, and wait until nothing of the sandbox is left. -ETIMEDOUT. */
int container_kill(struct container *c);
void container_kill_quick(struct container *c); /* without waiting */

/* A listening socket at control.sock. fd, or -errno. */
int container_listen(struct container *c);

/* The state as the OCI specification has it, for hooks and `state`. */
json_t *container_oci_state(struct container *c, enum container_status s);
/* The state with what runc adds. */
json_t *container_full_state(struct container *c, enum container_status s);

const char *container_text(const struct container *c, const char *key); /* "" if missing */

/* Start time of a process in clock ticks since boot; 0: it is gone, or a zombie. */
uint64_t process_start_time(pid_t pid);

#endif
