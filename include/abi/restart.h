/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results of handlers that a signal cut short. They never reach the guest: the signal code turns
 * them into EINTR or into another try (Linux, include/linux/errno.h).
 */
#ifndef ABI_RESTART_H
#define ABI_RESTART_H

#define ERESTARTSYS    512 /* try again if the handler has SA_RESTART */
#define ERESTARTNOINTR 513 /* always try again */
#define ERESTARTNOHAND 514 /* try again only if no handler ran */
#define ERESTART_RESTARTBLOCK                                                                      \
	516 /* as NOHAND, by restart_syscall(2) with what the task remembers */

#endif
