/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What users have of things that user namespaces limit (/proc/sys/user, namespaces(7)): counted in
 * the namespace of who makes it, for that user, and in each namespace above for the user who made
 * the one below. Linux counterpart: kernel/ucount.c.
 */
#ifndef SENTRY_CRED_UCOUNT_H
#define SENTRY_CRED_UCOUNT_H

#include "sentry/cred/user_ns.h"

#define UCOUNT_NOBODY UINT32_MAX /* who made it is not counted: the sandbox itself */

/* Another one. Who takes keeps ns until it gives. -ENOSPC: some namespace's limit is reached;
 * -ENOMEM. */
int ucount_take(struct user_ns *ns, uint32_t uid, enum ucount what);
void ucount_give(struct user_ns *ns, uint32_t uid, enum ucount what);

#endif
