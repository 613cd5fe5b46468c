/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire between the sentry and the bridge of a seccomp agent (tools/moat/bridge.c): the bridge
 * asks what the agent asks of it with the ioctls of seccomp_unotify(2), one question at a time, and
 * the sentry answers. Packets are those of gofer/wire.h. Both ends treat what comes as hostile.
 *
 * A question has a number in head.id, which its answer repeats; head.error of the answer is the
 * ioctl's result or -errno. In between the sentry tells of events.
 */
#ifndef GOFER_BRIDGE_H
#define GOFER_BRIDGE_H

enum bridge_type {
	BRIDGE_NONE,
	/* The oldest call that nobody has read. Answer: a struct lx_seccomp_notif whose pid is 0,
	 * and a pidfd of the host process that has the caller's memory, or none. -EAGAIN: there is
	 * no such call now, and LX_POLLIN is told of when there is. */
	BRIDGE_RECV,
	BRIDGE_PUT_BACK, /* uint64_t id, of one that could not be handed on */
	BRIDGE_SEND,	 /* struct lx_seccomp_notif_resp */
	BRIDGE_ID_VALID, /* uint64_t id */
	/* struct lx_seccomp_notif_addfd, srcfd being nothing, and the descriptor; without one
	 * head.error is why (-errno). */
	BRIDGE_ADDFD,
	BRIDGE_ANSWER,
	BRIDGE_EVENTS, /* of the sentry, head.id: LX_POLL* as they are now, when they change */
};

#endif
