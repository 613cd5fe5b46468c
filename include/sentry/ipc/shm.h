/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V shared memory segments (shmget(2)). A segment is a nameless tmpfs file; an attachment is
 * a mapping of it, whose mappable tells the segment when the last area that uses it goes.
 */
#ifndef SENTRY_IPC_SHM_H
#define SENTRY_IPC_SHM_H

#include "abi/ipc.h"
#include "sentry/cred/cred.h"
#include "sentry/mm/mappable.h"

#define SHM_MAX_SEGMENTS 4096

/* The id of the segment with key, made if flags say so. */
int shm_get(const struct call *c, int32_t key, uint64_t size, int flags);
/* What to map for an attachment, a new reference, and its size. write: SHM_RDONLY was not given. */
int shm_attach(const struct call *c, int id, bool write, struct mappable **ret, uint64_t *ret_size);
/* Is m an attachment (shmdt asks)? */
bool shm_is(const struct mappable *m);
int shm_stat(const struct call *c, int id, bool by_index, struct lx_shmid_ds *ret, int *ret_id);
int shm_set(const struct call *c, int id, const struct lx_shmid_ds *ds);
int shm_remove(const struct call *c, int id);
/* The task c, which made segments in ns, goes, or goes from ns (exit_shm of Linux). */
void shm_task_gone(struct ipc_ns *ns, const struct call *c);
/* Highest used index, segments, pages: for SHM_INFO. */
int shm_usage(const struct call *c, int *segments, uint64_t *pages);

#endif
