/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A toy kernel for the engine tests: every guest thread has a pthread as its fiber, one more
 * pthread polls. What the guest reports is kept by key.
 */
#ifndef TESTS_PLATFORM_KERN_H
#define TESTS_PLATFORM_KERN_H

#include "platform/platform.h"
#include "tests/platform/guest.h"
#include <pthread.h>

#define NKEYS 16

struct run; /* one guest program: its first space and all that come of it */

extern bool kern_inline_poll;
extern struct plat_thread *kern_from; /* what run_new's spaces are copies of */
void kern_start(const char *engine, const struct plat_config *cfg, bool spin);
void kern_stop(void);
int kern_looks_again(void); /* how often plat_env.look_again was called */

struct run *run_new(long which, long a, long b, long c);
/* Wait until all threads of the run have ended, and forget it. */
void run_join(struct run *r);
/* Wait for a report; false after some seconds. */
bool run_wait(struct run *r, int key);
long run_value(struct run *r, int key);
bool run_has(struct run *r, int key);
/* Does the first thread of the run live, and what one does to it from outside: nothing when it does
 * not. */
bool run_alive(struct run *r);
void run_kick(struct run *r);
void run_kill_host(struct run *r);
int run_peek(struct run *r, void *dst, uint64_t src, size_t len);
int run_poke(struct run *r, uint64_t dst, const void *src, size_t len);
void run_kill(struct run *r);
/* Events other than calls, in order. */
int run_nevents(struct run *r);
const struct plat_event *run_event(struct run *r, int i);
int run_gone(struct run *r);
int run_told(struct run *r);
#endif
