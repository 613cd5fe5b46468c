/* SPDX-License-Identifier: Apache-2.0 */
/* Making a container from a bundle: what create, run and exec have in common. */
#ifndef TOOLS_MOAT_CREATE_H
#define TOOLS_MOAT_CREATE_H

#include "container.h"
#include "json.h"
#include "moat/oci.h"

struct create_opts {
	struct common common;
	const char *bundle, *console_socket, *pid_file, *pidfd_socket;
	unsigned preserve_fds;
	bool no_pivot, no_new_keyring; /* taken: there is no root to change, and no keyring */
	bool foreground;	       /* the caller stays, and the sandbox ends with it */
};

/* Up to the loaded, held program. On failure nothing is left; it was said. *ret: when the
 * foreground is wanted; else the sandbox is on its own. */
int container_create(
	struct create_opts *o, const char *id, struct container *c, struct moat_sandbox **ret);
/* Let it run: startContainer hooks, the program, poststart hooks. s: a connection. *ret_notify:
 * where its messages for NOTIFY_SOCKET come, or -1. 0, or complained. */
int container_start(struct container *c, struct moat_sandbox *s, int *ret_notify);
/* Everything that the container has on the host: cgroup, folder; poststop hooks. It has ended. */
int container_delete(struct container *c);

/* --- console.c --- */
/* A new terminal, whose master is sent to the unix socket at path. The slave, or -1 (complained).
 */
int console_new(const char *path, uint16_t rows, uint16_t columns);
/* A connection to the unix socket at path, or -1 (complained); a text and a descriptor on it; both
 * in one, and closed. 0, or complained. option: what asks for it. */
int socket_connect(const char *option, const char *path);
int socket_send(const char *option, const char *path, int s, int fd, const char *text);
int send_descriptor(const char *option, const char *path, int fd, const char *name);

/* --- launch.c --- */
/* Why a program could not be started, as engines expect to read it; returns exit_failure. */
int start_failure(const struct moat_error *e, const char *program);
/* Written under another name first: who waits for the file never sees half a number. */
int write_pid_file(const char *path, int pid);
/* argv for --preserve-fds and LISTEN_FDS: descriptors 3, ... n of them into c. 0, or complained. */
int pass_fds(struct moat_config *c, unsigned n, struct strings *env, int *fds, size_t cap);

/* Pass signals on and wait for a process of a sandbox, or for its first one (p NULL): the exit
 * status of it, 128 + n for a signal. */
void foreground_block(bool terminal);
int foreground_wait(struct moat_sandbox *s, struct moat_process *p);
/* A process of its own, in the background, that ends as p does; its number. It is left with nothing
 * of the caller's open. tty: the program's terminal, or -1. */
int relay_start(struct moat_process *p, int tty);

/* All that this program takes care of when it makes a container. */
#define CREATE_CARE                                                                                \
	(MOAT_OCI_HOOKS | MOAT_OCI_CGROUP | MOAT_OCI_TERMINAL | MOAT_OCI_NAMESPACES |              \
		MOAT_OCI_SYSCTL | MOAT_OCI_SECCOMP_AGENT | MOAT_OCI_NET_DEVICES |                  \
		MOAT_OCI_INTEL_RDT)
/* Say in the log what is passed over. */
void warn_all(const char *where, const struct moat_oci *o);

#endif
