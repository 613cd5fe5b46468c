/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of those sections of sysctl.def that are chosen; included many times, by sysctl.c. */
#define SYSCTL_VALUE(...) VALUE_ROW(__VA_ARGS__),
#define SYSCTL_TEXT(...)  TEXT_ROW(__VA_ARGS__),
#define SYSCTL_CONST(...) CONST(__VA_ARGS__),
#include "sentry/sysctl/sysctl.def"
#undef SYSCTL_VALUE
#undef SYSCTL_TEXT
#undef SYSCTL_CONST
