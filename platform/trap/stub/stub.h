/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the stub share. The stub is freestanding: no libc, general registers only, no
 * data, and it trusts nothing that another thread of its process can write for more than its own
 * process's good.
 */
#ifndef STUB_STUB_H
#define STUB_STUB_H

#include "platform/trap/slot.h"
#include "platform/x86_64/frame.h"
#include "platform/x86_64/stubcalls.h"
#include <asm/unistd.h>
#include <stdbool.h>

#define HID	__attribute__((visibility("hidden")))
#define E_INTR	4
#define E_AGAIN 11
#define E_FAULT 14
#define E_INVAL 22

extern HID char stub_base[], fx_begin[], fx_end[], tx_begin[], tx_end[], tx_kicked[], fu_begin[],
	fu_end[], fu_abort[], quick[], quick_end[], retake_trap[];
struct stub_fixup {
	uint32_t begin, end, to;
};
extern HID const struct stub_fixup stub_fixups[];

/* entry.S */
HID _Noreturn void stub_fast_exit(void);
HID _Noreturn void stub_retake(void);
HID _Noreturn void stub_trap_exit(struct host_ucontext *uc, uint32_t *kicked);
HID long stub_futex(const uint64_t args[6], const uint32_t *kicked, uint32_t nr);
HID long stub_clone_thread(
	long flags, uint64_t stack, uint32_t *ptid, uint32_t *ctid, struct stub_slot *s);
HID uint64_t stub_copy(void *dst, const void *src, uint64_t n);
HID long stub_strcopy(void *dst, const void *src, uint64_t max);
HID long stub_cmpxchg(uint32_t *addr, uint32_t old, uint32_t val);
HID long stub_xsave(void *area, uint64_t mask);
HID long stub_xrstor(const void *area, uint64_t mask);
HID long stub_fxrstor(const void *area);
HID long stub_store32(uint32_t *addr, uint32_t val);

/* serve.c */
HID void stub_serve(struct stub_slot *s, int kind, struct host_ucontext *uc);
HID void stub_syscall(struct stub_slot *s, struct host_ucontext *uc, bool compat);
HID void stub_regs_from_frame(struct stub_slot *s, const struct host_ucontext *uc);
HID void stub_fast_syscall(struct stub_slot *s);
HID void stub_fast_interrupted(struct stub_slot *s);
HID _Noreturn void stub_trap_interrupted(struct host_ucontext *uc);
HID void stub_thread_start(struct stub_slot *s);
HID _Noreturn void stub_boot(const struct stub_boot *b, struct stub_slot *s);

/* ops.c: make the operations of the reply; the index of the one that failed, or -1. *s may be
 * another slot afterwards: in the child of a fork, which also sets *ready. */
HID long stub_sigreturn(struct stub_slot *s, struct host_ucontext *uc);
/* rseq(2), and a note for the end of the thread. */
HID long stub_rseq(struct stub_slot *s, uint64_t addr, uint64_t len, uint64_t flags, uint64_t sig);
HID int stub_ops(struct stub_slot *s, struct host_ucontext *uc, unsigned n, bool *ready);

static inline struct stub_public *
public_page(void)
{
	return (struct stub_public *)(stub_base + STUB_PUBLIC);
}

static inline struct stub_proc *
proc_page(void)
{
	return (struct stub_proc *)(stub_base + STUB_PROC);
}

static inline struct stub_priv *
priv_of(struct stub_slot *s)
{
	return (struct stub_priv *)((char *)s + SLOT_PRIV);
}

static inline struct stub_slot *
slot_at(uint64_t index)
{
	return (struct stub_slot *)(stub_base + STUB_SLOTS + index * STUB_STRIDE);
}

/* The slot of the running thread: all its stacks stand in its stride. */
static inline struct stub_slot *
slot_of_stack(void)
{
	return (struct stub_slot *)((uint64_t)__builtin_frame_address(0) &
				    ~(uint64_t)(STUB_STRIDE - 1));
}

static inline long
sys6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define sys0(nr)	  sys6(nr, 0, 0, 0, 0, 0, 0)
#define sys1(nr, a)	  sys6(nr, (uint64_t)(a), 0, 0, 0, 0, 0)
#define sys2(nr, a, b)	  sys6(nr, (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define sys3(nr, a, b, c) sys6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define sys4(nr, a, b, c, d)                                                                       \
	sys6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)

static inline uint64_t
get_fs_base(void)
{
	uint64_t v = 0;

	if (public_page()->fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(v));
	else
		sys2(__NR_arch_prctl, 0x1003, &v);
	return v;
}

static inline void
set_fs_base(uint64_t v)
{
	if (public_page()->fsgsbase && v < (1ul << 47))
		__asm__ volatile("wrfsbase %0" : : "r"(v));
	else
		sys2(__NR_arch_prctl, 0x1002, v);
}

static inline void
set_gs_base(uint64_t v)
{
	if (public_page()->fsgsbase && v < (1ul << 47))
		__asm__ volatile("wrgsbase %0" : : "r"(v));
	else
		sys2(__NR_arch_prctl, 0x1001, v);
}

static inline _Noreturn void
stub_die(int code)
{
	for (;;)
		sys1(__NR_exit_group, code);
}
#endif
