/* SPDX-License-Identifier: Apache-2.0 */
/* Classic BPF as seccomp(2) has it: check a program, run it. Knows no tasks. */
#ifndef SENTRY_BPF_SECCOMP_H
#define SENTRY_BPF_SECCOMP_H

#include "abi/seccomp.h"
#include <stdbool.h>
#include <stddef.h>

/* 0: may be run; -EINVAL. reads_ip: does it look at the instruction pointer? */
int bpf_check(const struct lx_sock_filter *p, size_t len, bool *reads_ip);
/* The value that it returns; p has been checked. */
uint32_t bpf_run(const struct lx_sock_filter *p, const struct lx_seccomp_data *d);
/* What a checked program counts for against the limit of a chain: the instructions that Linux makes
 * of it. */
uint32_t bpf_weight(const struct lx_sock_filter *p, size_t len);
/* Does it return RET_ALLOW for this number, whatever the arguments are? False in any doubt. */
bool bpf_always_allows(const struct lx_sock_filter *p, size_t len, int32_t nr);

#endif
