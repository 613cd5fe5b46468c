/* SPDX-License-Identifier: Apache-2.0 */
/* From a control.Process message to a process of the kernel. */
#ifndef SENTRY_CONTROL_PROCESS_H
#define SENTRY_CONTROL_PROCESS_H

#include "control.pb-c.h"
#include "sentry/kernel/init.h"
#include "sentry/vfs/mount.h"

/* Is the message well-formed? Sizes, no NUL inside texts, an absolute cwd. */
bool process_ok(const Control__Process *p);
/* Are n descriptors beside the three streams as many as it needs? */
bool process_fds_ok(const Control__Process *p, uint32_t n);

/* No NUL inside; of a list, each, and not too many. */
bool control_text_ok(const ProtobufCBinaryData *b);
bool control_texts_ok(const ProtobufCBinaryData *b, size_t n);
#define CONTROL_LIST_MAX 1000000 /* entries of any list of a message */

/* A text of a message as a string; NULL when it is empty, or out of memory. Freed by the caller. */
char *control_text(const ProtobufCBinaryData *b);

/* Make path (absolute) a directory, with all above it; or an empty file. What is there stays. */
int control_make_path(const struct call *c, const char *path, bool file);

struct tty;

struct process_fail {
	int err; /* positive errno */
	char text[300];
};

/* Start p in the world of fs (consumed) as user of the kernel's root. fds: stdin, stdout, stderr
 * (-1: closed), then nmore others that become 3, 4, ..., but for the last one if p has a
 * seccomp_listener (process_fds_ok); all are consumed. kp comes with on_start,
 * on_exit, arg; the rest is filled in. In a fiber. 0, or -errno with why. *ret_tty: the terminal
 * that is its standard input (a reference) or NULL. */
int process_start(const Control__Process *p, struct fs_ctx *fs, const int *fds, int nmore,
	struct kernel_process *kp, int32_t *ret_pid, struct tty **ret_tty,
	struct process_fail *why);

#endif
