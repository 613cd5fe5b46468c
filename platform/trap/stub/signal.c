/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of every signal of the host that a stub can get: the trapped syscall, the guest's CPU
 * exceptions and the sentry's kick. Runs on the thread's signal stack with nothing blocked; a kick
 * can nest.
 */
#include "platform/trap/stub/stub.h"

enum {
	SIG_ILL = 4,
	SIG_TRAP = 5,
	SIG_SYS = 31,
	SIG_KICK = 23,
};

struct stub_siginfo {
	int32_t signo, err, code, pad;
	uint64_t addr; /* si_addr, or si_call_addr */
	int32_t sys_nr;
	uint32_t sys_arch;
	uint8_t rest[96];
};

#define ARCH_X86_64 0xc000003eu

HID void stub_signal(int sig, const struct stub_siginfo *si, struct host_ucontext *uc);

static const uint8_t quick_nr[VEC_COUNT] = {0, __NR_getpid, __NR_gettid, __NR_getppid, __NR_getuid,
	__NR_geteuid, __NR_getgid, __NR_getegid, __NR_getpgrp};

static inline bool
within(uint64_t ip, const char *a, const char *b)
{
	return ip - (uint64_t)a < (uint64_t)(b - a);
}

/* A signal that arrived in the stub itself. True when the frame now shows the guest, between two of
 * its instructions, which is to be interrupted. Returning false resumes the stub. */
static bool
in_stub(struct stub_slot *s, int sig, struct host_ucontext *uc)
{
	uint64_t ip = uc->mc.ip;
	uint32_t off = (uint32_t)(ip - (uint64_t)stub_base);

	if (sig == SIG_KICK) {
		if (within(ip, quick, quick_end)) {
			uint64_t k = (ip - (uint64_t)quick) / 16 + 1;

			uc->mc.ax = k < VEC_COUNT ? quick_nr[k] : 0;
			uc->mc.ip = uc->mc.cx - 2;
			return true;
		}
		if (within(ip, fx_begin, fx_end)) {
			x86_regs_to_sc(&uc->mc, &s->regs);
			return true;
		}
		priv_of(s)->kicked = 1;
		if (within(ip, fu_begin, fu_end))
			uc->mc.ip = (uint64_t)fu_abort;
		else if (within(ip, tx_begin, tx_end))
			uc->mc.ip = (uint64_t)tx_kicked;
		return false;
	}
	for (const struct stub_fixup *f = stub_fixups; f->end; f++)
		if (off >= f->begin && off < f->end) {
			uc->mc.ip = (uint64_t)stub_base + f->to;
			return false;
		}
	stub_die(100 + sig);
}

void
stub_signal(int sig, const struct stub_siginfo *si, struct host_ucontext *uc)
{
	struct stub_slot *s = slot_of_stack();
	struct stub_priv *p = priv_of(s);
	int kind;

	if (sig == SIG_ILL && uc->mc.ip == (uint64_t)retake_trap) {
		x86_regs_to_sc(&uc->mc, &s->regs);
		stub_serve(s, STUB_K_RETAKEN, uc);
		stub_trap_exit(uc, &p->kicked);
	}
	if (uc->mc.ip - (uint64_t)stub_base < STUB_TEXT_MAX && !in_stub(s, sig, uc))
		return;
	stub_regs_from_frame(s, uc);
	if (sig == SIG_SYS) {
		bool compat = si->sys_arch != ARCH_X86_64 || (si->sys_nr & 0x40000000) != 0;

		s->nr = (uint32_t)si->sys_nr;
		s->ncode = (uint32_t)(16 - stub_copy(s->code, (const void *)(uc->mc.ip - 8), 16)) &
			   ~7u;
		stub_syscall(s, uc, compat);
	} else {
		if (sig == SIG_KICK) {
			p->kicked = 0;
			kind = STUB_K_INTERRUPT;
		} else {
			kind = STUB_K_FAULT;
			s->signo = sig;
			s->sigcode = si->code;
			s->fault_addr = si->addr;
			s->fault_err = uc->mc.err;
			s->fault_trapno = uc->mc.trapno;
		}
		stub_serve(s, kind, uc);
	}
	stub_trap_exit(uc, &p->kicked);
}
