/* SPDX-License-Identifier: Apache-2.0 */
/* Exact clone(2) flags that a stub may use: the filter pins them. */
#ifndef TRAP_CALLS_H
#define TRAP_CALLS_H

/* VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | PARENT_SETTID | CHILD_CLEARTID */
#define STUB_CLONE_THREAD 0x00350f00ul
/* PARENT | SIGCHLD: every process is a child of the sentry */
#define STUB_CLONE_PROCESS 0x00008011ul
#endif
