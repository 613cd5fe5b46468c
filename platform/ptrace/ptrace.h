/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PTRACE_PTRACE_H
#define PTRACE_PTRACE_H

#include "platform/platform.h"

extern const struct plat_ops ptrace_ops;

#endif
