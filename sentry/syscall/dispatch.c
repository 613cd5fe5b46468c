/* SPDX-License-Identifier: Apache-2.0 */
/* The syscall table as data, and the dispatcher. Adding a syscall is a row in table.def and its
 * handler. */
#include "platform/platform.h"
#include "sentry/syscall/internal.h"
#include "sentry/syscall/trace.h"

#define FLAG_TABLE(t) static const struct sc_flag flags_##t[] = {
#define FLAG(v, n)    {(v), #n},
#define FLAG_END                                                                                   \
	{                                                                                          \
		0, 0                                                                               \
	}                                                                                          \
	}                                                                                          \
	;
#include "sentry/syscall/flags.def"
#undef FLAG_TABLE
#undef FLAG
#undef FLAG_END

#define FULL	SC_FULL
#define PARTIAL SC_PARTIAL
#define A_NUM                                                                                      \
	{                                                                                          \
		SA_NUM, 0, 0, 0                                                                    \
	}
#define A_UNUM                                                                                     \
	{                                                                                          \
		SA_UNUM, 0, 0, 0                                                                   \
	}
#define A_HEX                                                                                      \
	{                                                                                          \
		SA_HEX, 0, 0, 0                                                                    \
	}
#define A_OCT                                                                                      \
	{                                                                                          \
		SA_OCT, 0, 0, 0                                                                    \
	}
#define A_FD                                                                                       \
	{                                                                                          \
		SA_FD, 0, 0, 0                                                                     \
	}
#define A_DIRFD                                                                                    \
	{                                                                                          \
		SA_DIRFD, 0, 0, 0                                                                  \
	}
#define A_SIG                                                                                      \
	{                                                                                          \
		SA_SIG, 0, 0, 0                                                                    \
	}
#define A_PTR                                                                                      \
	{                                                                                          \
		SA_PTR, 0, 0, 0                                                                    \
	}
#define A_PATH                                                                                     \
	{                                                                                          \
		SA_PATH, 0, 0, 0                                                                   \
	}
#define A_STR                                                                                      \
	{                                                                                          \
		SA_STR, 0, 0, 0                                                                    \
	}
#define A_SIGFRAME                                                                                 \
	{                                                                                          \
		SA_SIGFRAME, 0, 0, 0                                                               \
	}
#define A_BUF_IN(k)                                                                                \
	{                                                                                          \
		SA_BUF_IN, (k), 0, 0                                                               \
	}
#define A_BUF_OUT(k)                                                                               \
	{                                                                                          \
		SA_BUF_OUT, (k), 0, 0                                                              \
	}
#define A_VEC_IN(k)                                                                                \
	{                                                                                          \
		SA_VEC_IN, (k), 0, 0                                                               \
	}
#define A_VEC_OUT(k)                                                                               \
	{                                                                                          \
		SA_VEC_OUT, (k), 0, 0                                                              \
	}
#define A_IN(n)                                                                                    \
	{                                                                                          \
		SA_IN, 0, (n), 0                                                                   \
	}
#define A_OUT(n)                                                                                   \
	{                                                                                          \
		SA_OUT, 0, (n), 0                                                                  \
	}
#define A_FLAGS(t)                                                                                 \
	{                                                                                          \
		SA_FLAGS, 0, 0, flags_##t                                                          \
	}
#define NARGS(...) (sizeof((struct sc_arg[]){__VA_ARGS__}) / sizeof(struct sc_arg))

static const struct sc_row table[SC_MAX] = {
#define SYSCALL(nr, n, st, w, ...)                                                                 \
	[nr] = {.name = #n,                                                                        \
		.fn = sys_##n,                                                                     \
		.status = (st),                                                                    \
		.why = (w),                                                                        \
		.nargs = NARGS(__VA_ARGS__),                                                       \
		.arg = {__VA_ARGS__}},
#define ABSENT(nr, n, e, w, ...)                                                                   \
	[nr] = {.name = #n,                                                                        \
		.status = SC_ABSENT,                                                               \
		.err = (e),                                                                        \
		.why = (w),                                                                        \
		.nargs = NARGS(__VA_ARGS__),                                                       \
		.arg = {__VA_ARGS__}},
#include "sentry/syscall/table.def"
#undef SYSCALL
#undef ABSENT
};

const struct sc_row *
syscall_row(uint32_t nr)
{
	return nr < SC_MAX && table[nr].name ? &table[nr] : NULL;
}

int64_t
syscall_dispatch(struct task *t, uint32_t nr, const uint64_t a[6])
{
	const struct sc_row *row = syscall_row(nr);
	int64_t r;

	task_note_args(t, a);
	if (!row) {
		if (trace_is_on) {
			trace_enter(t, NULL, nr, a);
			trace_exit(t, NULL, nr, a, -ENOSYS);
		}
		return -ENOSYS;
	}
	atomic_store_explicit(&t->in_syscall, true, memory_order_relaxed);
	t->call.serial++;
	/* Nobody else counts: no locked instruction. */
	atomic_store_explicit(&t->nr_calls,
		atomic_load_explicit(&t->nr_calls, memory_order_relaxed) + 1, memory_order_relaxed);
	if (trace_is_on)
		trace_enter(t, row, nr, a);
	r = row->fn ? row->fn(t, a) : -row->err;
	if (trace_is_on)
		trace_exit(t, row, nr, a, r);
	atomic_store_explicit(&t->in_syscall, false, memory_order_relaxed);
	return r;
}

int64_t
syscall_done_elsewhere(struct task *t, uint32_t nr, const uint64_t a[6], int64_t result)
{
	const struct sc_row *row = syscall_row(nr);

	task_note_args(t, a);
	if (trace_is_on) {
		trace_enter(t, row, nr, a);
		trace_exit(t, row, nr, a, result);
	}
	return result;
}

const struct plat_syscall_desc *
syscall_plat_desc(void)
{
	static struct plat_syscall_desc desc[PLAT_NR_SYSCALLS];

	for (uint32_t nr = 0; nr < SC_MAX; nr++) {
		const struct sc_row *row = syscall_row(nr);

		for (int i = 0; row && row->fn && i < row->nargs; i++) {
			const struct sc_arg *s = &row->arg[i];
			struct plat_arg_desc *d = &desc[nr].arg[i];

			d->len = s->len;
			d->size = s->size;
			switch (s->kind) {
			case SA_PATH:
			case SA_STR:
				d->kind = PLAT_ARG_STR;
				break;
			case SA_IN:
				d->kind = PLAT_ARG_IN;
				break;
			case SA_BUF_IN:
				d->kind = PLAT_ARG_BUF_IN;
				break;
			case SA_VEC_IN:
				d->kind = PLAT_ARG_VEC_IN;
				break;
			case SA_VEC_OUT:
				d->kind = PLAT_ARG_VEC;
				break;
			case SA_SIGFRAME:
				d->kind = PLAT_ARG_SIGFRAME;
				break;
			default:
				d->kind = PLAT_ARG_NONE;
				break;
			}
		}
	}
	return desc;
}
