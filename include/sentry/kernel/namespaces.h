/* SPDX-License-Identifier: Apache-2.0 */
/* Making and entering namespaces. */
#ifndef SENTRY_KERNEL_NAMESPACES_H
#define SENTRY_KERNEL_NAMESPACES_H

#include "abi/sched.h"
#include "sentry/kernel/nsfs.h"

#define NS_FLAGS                                                                                   \
	(LX_CLONE_NEWNS | LX_CLONE_NEWUTS | LX_CLONE_NEWIPC | LX_CLONE_NEWUSER | LX_CLONE_NEWPID | \
		LX_CLONE_NEWNET | LX_CLONE_NEWCGROUP | LX_CLONE_NEWTIME)

/* May t make the namespaces that flags (LX_CLONE_NEW*) name? 0, -EINVAL, -EPERM. */
int ns_check(const struct task *t, uint64_t flags);
bool ns_chrooted(const struct task *t);
/* Credentials in a new child of old's user namespace: a new reference. */
int ns_new_user(const struct cred *old, const struct cred **ret);
/* setns(2) for one namespace; t is the caller. */
int ns_enter(struct task *t, const struct ns_ref *r);

#endif
