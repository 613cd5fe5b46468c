/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the sentry and the gofer are shut in. The launcher clones them into namespaces of their own
 * (ns.h); each then does the rest to itself, once, at start: an empty root, capabilities away,
 * no_new_privs; and, when it has everything it will ever need, the filter on its host calls. A step
 * that fails is fatal, with one line that says which and why; a step that the user gave up
 * (--weaker-isolation) is left out.
 */
#ifndef PLATFORM_HOST_CONFINE_H
#define PLATFORM_HOST_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can be given up. WEAKER(NAME, name, what it costs) */
enum weaker_bits {
#define WEAKER(NAME, name, cost) WEAKER_BIT_##NAME,
#include "platform/host/weaker.def"
#undef WEAKER
	WEAKER_COUNT
};

enum weaker {
#define WEAKER(NAME, name, cost) WEAKER_##NAME = 1u << WEAKER_BIT_##NAME,
#include "platform/host/weaker.def"
#undef WEAKER
};

/* A comma-separated list of names. -EINVAL: *bad points to a name that is none (inside list). */
int weaker_parse(const char *list, uint32_t *ret, const char **bad);
const char *weaker_name(unsigned bit);
const char *weaker_cost(unsigned bit);

/* Errors of all below: -errno, and err says what failed (a sentence without the name of the
 * program). */

/* Replace the root by an empty, read-only directory. keep_cwd: the working directory is left as it
 * is. */
int confine_empty_root(bool keep_cwd, char *err, size_t cap);
/* Make the working directory a detached mount of this process's own descriptor directory: "N" names
 * descriptor N, and nothing else can be reached from there. Before confine_empty_root. */
int confine_cwd_to_fds(char *err, size_t cap);
/* Keep only these capabilities (bit numbers of linux/capability.h), in every set; and no_new_privs.
 */
int confine_caps(uint64_t keep, char *err, size_t cap);
/* No new privileges; the process may be looked at by its own kind (process_vm_*). */
int confine_no_new_privs(char *err, size_t cap);

enum confine_filter {
	CONFINE_BRIDGE,
	CONFINE_GOFER,
	CONFINE_SENTRY_TRAP,
	CONFINE_SENTRY_PTRACE,
	CONFINE_SENTRY_TRAP_HOSTNET,
	CONFINE_SENTRY_PTRACE_HOSTNET,
};

/* Let all threads make only the calls of hostcalls.def from now on. Another one does not happen, is
 * logged with its number, and ends the process. */
int confine_seal(enum confine_filter which, char *err, size_t cap);

#endif
