/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the process that stands for a container towards its engine (platform/anchor/anchor.c):
 * in the sentry's namespaces (but for that of the network at times), but with a mount namespace of
 * its own, in which the container's root is the root.
 */
#ifndef PLATFORM_HOST_ANCHOR_H
#define PLATFORM_HOST_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum anchor_show {
	ANCHOR_FILES, /* what is at `source` on the host */
	ANCHOR_PROC,  /* the host's view of the sandbox's processes */
	ANCHOR_COVER, /* an empty directory that cannot be written: what is there only the sentry
			 knows */
};

struct anchor_mount {
	enum anchor_show show;
	const char *source, *target; /* the first one's target is the root */
	bool readonly, alone;
};

struct keeper;

struct anchor_spawn {
	struct keeper *keeper; /* whose child it becomes */
	const char *path;      /* the program */
	int sentry, gofer;     /* descriptors of processes; borrowed */
	unsigned namespaces;   /* CLONE_NEW*: those of the sentry that are not the caller's */
	/* Whose user namespace it lives in: by default the caller's. */
	bool sentry_user, gofer_user;
	bool set_ids; /* become uid and gid before the program starts */
	uint32_t uid, gid;
	int control; /* its end of the socket to the sentry; stays the caller's */
	/* It is in another network namespace than the sentry: the keeper's, or a new one. Who asks
	 * at the other end of this socket, which stays the caller's, gets sockets in it; -1: not.
	 */
	int maker;
	bool new_network;
	const struct anchor_mount *mounts;
	size_t nmounts; /* at most ANCHOR_MOUNTS_MAX are shown */
};

#define ANCHOR_MOUNTS_MAX 128
#define ANCHOR_MAKER_FD	  5 /* of the program; one more than that of signals */

struct anchor {
	int child;	/* the keeper's index of it; -1: none */
	int go, report; /* -1: closed */
};

/* Begin: the process is there, in all namespaces but still with the host's mounts, and does
 * nothing. -errno, with the failing step in err. */
int anchor_begin(const struct anchor_spawn *s, struct anchor *ret, char *err, size_t cap);
/* Show it the container's files (directories that mounts stand on have to exist by now) and start
 * the program. */
int anchor_finish(struct anchor *a, char *err, size_t cap);
/* The sandbox has ended while it was made: was it the anchor, and why? -errno of that; 0: no. */
int anchor_why(struct anchor *a, char *err, size_t cap);
/* Close what is open. The process ends when anchor_finish was not called. */
void anchor_release(struct anchor *a);

#endif
