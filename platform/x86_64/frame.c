/* SPDX-License-Identifier: Apache-2.0 */
/* The host's signal frames. */
#include "platform/x86_64/frame.h"
#include <signal.h>
#include <string.h>

static struct x86_fp_sw own;

static void
look(int sig, siginfo_t *si, void *context)
{
	const struct host_ucontext *uc = context;

	(void)sig;
	(void)si;
	if (uc->mc.fpstate)
		memcpy(&own, (const uint8_t *)uc->mc.fpstate + X86_FP_SW_OFF, sizeof own);
}

bool
x86_frame_learn(int sig, struct x86_fp_sw *ret)
{
	struct sigaction sa = {.sa_sigaction = look, .sa_flags = SA_SIGINFO}, old;

	own = (struct x86_fp_sw){0};
	if (sigaction(sig, &sa, &old) < 0)
		return false;
	raise(sig);
	sigaction(sig, &old, NULL);
	*ret = own;
	return own.magic1 == X86_FP_MAGIC1 && own.extended_size == own.xstate_size + 4 &&
	       own.xstate_size >= X86_XHDR_OFF + 64;
}
