/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the host ends first when memory runs out (proc(5), oom_score_adj). What the guest uses is
 * its programs' to answer for, as without a sandbox: the host is to end one of them, and not the
 * sandbox's own processes, of which the kernel often is the largest of all. Who may not give those
 * less than others (CAP_SYS_RESOURCE) gives the programs more.
 */
#ifndef PLATFORM_HOST_OOM_H
#define PLATFORM_HOST_OOM_H

/* This process's own. */
int host_oom_own(void);
/* 0 or -errno. */
int host_oom_set(int pid, int score);
/* What programs are to have that asked for a score, in a sandbox of which pid is a process. That
 * one's is lost. */
int host_oom_of_programs(int pid, int asked);
/* pid is no program: after all others that asked for as much. */
void host_oom_spare(int pid, int asked);

#endif
