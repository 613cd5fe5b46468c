/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of a sandbox do, told as it happens: a function of the host program is called
 * for each system call, program, process and end that it asked for.
 *
 *	static void told(void *user, const struct moat_event *e) { puts(e->text); }
 *
 *	struct moat_trace t = {.fn = told, .kinds = 1u << MOAT_EVENT_EXEC};
 *	c.trace = &t;
 */
#ifndef MOAT_TRACE_H
#define MOAT_TRACE_H

#include <moat/moat.h>

#ifdef __cplusplus
extern "C" {
#endif

enum moat_event_kind {
	MOAT_EVENT_CALL = 1, /* a thread makes a system call */
	MOAT_EVENT_RETURN,   /* it has its result; exit, exit_group and rt_sigreturn have none */
	MOAT_EVENT_NEW,	     /* a process begins, or a thread (tid is not pid), by fork or clone */
	MOAT_EVENT_EXEC,     /* a process runs a program; of one that is started or spawned by the
				host program this comes first */
	MOAT_EVENT_EXIT,     /* a process has ended */
};

/*
 * An event. Everything in it can be looked at only until the function returns.
 *
 * comm, path and argv are bytes that programs chose, with a NUL behind: nothing of them is fit for
 * a terminal or a line of a log as it is. text is: printable ASCII, in which no program can end the
 * line or make up another event. It shows what the memory that arguments point to held when the
 * event was made; another thread can have changed it since the call looked at it. What the call
 * really had is args, and of an exec path and argv.
 */
struct moat_event {
	enum moat_event_kind kind;
	uint64_t time_ns; /* CLOCK_MONOTONIC of the host */
	int pid, tid;	  /* as the pid namespace of the container has them, whatever namespaces
			     programs make */
	const char *comm; /* name of the thread: at most 15 bytes */
	const char *text; /* all of it in one line, as strace(1) writes: at most 1023 bytes */

	/* CALL, RETURN */
	unsigned nr;	  /* number of the call */
	const char *call; /* and name; "" when no call has the number */
	unsigned nargs;	  /* how many of args mean something */
	uint64_t args[6];
	int64_t result; /* RETURN: or -errno. -512 to -516: interrupted, to be made again */

	/* NEW: the parent's number; 0: it has none in the container. A thread's is its process. */
	int ppid;

	/* EXEC: the file that runs (of a script: its interpreter), and what it is given. argv is
	 * cut after 8192 bytes; nargv counts what is there. */
	const char *path;
	const char *const *argv; /* nargv of them, and NULL */
	size_t nargv;
	bool argv_cut;

	int status; /* EXIT: as wait(2) has it */
};

/*
 * What is to be told, and to whom.
 *
 * fn is called from a thread of the library, with all signals blocked, one event at a time. Events
 * of one thread come in their order, and so do those of a process between its NEW or first EXEC and
 * its EXIT; between threads the order is that of time_ns but for a little.
 *
 * None is lost, and no program can have one dropped by making many: when fn is slow, the thread
 * that made the event waits for room (some hundred are on their way at most), and only that thread;
 * limits, signals to others and moat_pause go on meanwhile. Calls that were not asked for do not
 * wait, and cost what they do without a trace; but when one of those was asked for that is answered
 * without the sandbox's kernel else (getpid and its kind, clock_gettime, sched_yield, futex,
 * rt_sigreturn), all of them go through it. The vDSO is no system call.
 *
 * When moat_wait has told of the end of the sandbox, its events may still be on their way. When
 * moat_destroy returns fn has been called for all of them, and is not called again. fn must not
 * call moat_destroy, or wait for a program that waits for it. A fn that never returns keeps
 * moat_destroy from returning, and the programs from going on.
 *
 * The structure, and what it points to, is copied by moat_start.
 */
struct moat_trace {
	void (*fn)(void *user, const struct moat_event *e);
	void *user;
	unsigned kinds; /* bit n: events of that kind; 0: of all */
	/* CALL and RETURN only of these, by name, NULL-terminated; NULL: of all. */
	const char *const *calls;
};

#ifdef __cplusplus
}
#endif
#endif
