/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: hooks. Programs of the host that run at the turns of a container's life. */
#ifndef TOOLS_MOAT_HOOKS_H
#define TOOLS_MOAT_HOOKS_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Run the hooks of one kind ("prestart", "createRuntime", "createContainer", "poststart",
 * "poststop") in their order, each with state (JSON) on its standard input. netns_pid: the hooks
 * run in that process's network namespace; 0: in the caller's. The first that fails (a status other
 * than 0, a signal, its timeout, or that it cannot be started) ends it: -1 with a line in err that
 * names the hook; after poststop hooks that fail, and are warned of, come the others. hooks may be
 * NULL. startContainer hooks are not run here: they are programs of the container.
 */
int hooks_run(
	json_t *hooks, const char *kind, const char *state, pid_t netns_pid, char *err, size_t cap);

#endif
