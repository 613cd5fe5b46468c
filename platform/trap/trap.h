/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRAP_TRAP_H
#define TRAP_TRAP_H

#include "platform/platform.h"

extern const struct plat_ops trap_ops;

#endif
