/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers: start and stop, the hooks by which the platform is polled, host descriptors to
 * watch, and the pool for host calls that can block.
 */
#ifndef SENTRY_SCHED_SCHED_H
#define SENTRY_SCHED_SCHED_H

#include "sentry/sched/waitq.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a worker with nothing to run finds out about guests (filled from plat_ops; all may be NULL).
 */
struct sched_hooks {
	bool (*poll)(void);
	bool (*crowded)(void);
	int64_t (*expects)(void);
	bool (*prepare_sleep)(int64_t *until_ns);
	void (*woke)(void);
	int doorbell_fd; /* -1: none */
};

struct sched_config {
	int workers;   /* 0: min(host CPUs, 4) */
	bool may_spin; /* false: never poll in a loop */
};

int sched_init(const struct sched_config *cfg); /* makes epoll, timers; no thread yet */
void sched_set_hooks(const struct sched_hooks *h);
int sched_start(void); /* makes the workers; before the process is sealed */
void sched_stop(void); /* workers end; from outside of them; then sched_run returns */
void sched_run(void);  /* the calling thread becomes a worker until sched_stop */
void sched_poke(void); /* a worker that sleeps looks again; from any thread */
int sched_ncpu(void);
int64_t sched_spun_ns(void); /* CPU time that was spent looking for work in vain */
/* The CPUs that the sandbox may use, as a mask of len bytes. */
void sched_online_cpus(uint8_t *mask, size_t len);

/* A host descriptor whose readiness is passed on to a wait queue as LX_POLL events (edge triggered:
 * whoever is told tries until EAGAIN). fd is borrowed and non-blocking. */
struct hostfd_watch {
	int fd;
	struct waitq *q;
	void (*fn)(struct hostfd_watch *w, uint32_t events); /* instead of q, if not NULL */
	uint32_t place;					     /* of the scheduler */
};

/* How many fibers wait for an answer that comes soon by a host descriptor: while there are any, a
 * worker without work does not spin for guests, which it would notice no answer by, but sleeps at
 * once. */
extern _Atomic uint32_t sched_host_waits;

int sched_watch(struct hostfd_watch *w, uint32_t events);
void sched_unwatch(struct hostfd_watch *w); /* after it, w is no longer used by any worker */

/* Call fn(arg) in a thread of the pool and park until it is done: for host calls that may block for
 * long. */
int64_t sched_blocking(int64_t (*fn)(void *arg), void *arg);

#endif
