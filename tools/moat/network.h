/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces of the host: whose they are, and what a new one needs. */
#ifndef TOOLS_MOAT_NETWORK_H
#define TOOLS_MOAT_NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Open the namespace at path for a sandbox. The descriptor; < 0: complained. *ret_own: it is this
 * process's own, the host's, where nothing may be changed (docker asks so for --network host). */
int network_open(const char *path, bool *ret_own);
/* The namespace of pid is no host's: loopback up; every user may use low ports and ping, because
 * the sandbox decides itself who may, and its kernel has no rights on the host; and those of sysctl
 * (NULL: none) that belong to the network. 0, or complained. */
bool network_sysctl(const char *key); /* is it one of a network namespace? */
/* Its file. -1: it is none of those, or would lead elsewhere. */
int network_sysctl_path(const char *key, char *path, size_t cap);
int network_prepare(pid_t pid, json_t *sysctl);

#endif
