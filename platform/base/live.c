/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ref.h"

_Atomic int64_t live_count[LIVE_COUNT];
const char *const live_name[LIVE_COUNT] = {
#define LIVE(name) #name,
#include "base/live.def"
#undef LIVE
};
