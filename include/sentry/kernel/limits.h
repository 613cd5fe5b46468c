/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container may use, all of its programs together, and what it has used. Whoever goes beyond
 * is killed, with the whole container; but a process more is refused, and so is a byte more of a
 * file. The first limit that killed, and all that were met, are kept for its launcher.
 */
#ifndef SENTRY_KERNEL_LIMITS_H
#define SENTRY_KERNEL_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct kernel_container;
struct task;
struct tgroup;

enum kernel_limit { /* as Control.Exit.limit has them */
	KERNEL_LIMIT_NONE,
	KERNEL_LIMIT_CPU,
	KERNEL_LIMIT_WALL,
	KERNEL_LIMIT_MEMORY,
	KERNEL_LIMIT_OUTPUT,
	KERNEL_LIMIT_PROCESSES,
	KERNEL_LIMIT_FILE,
};

struct kernel_limits {
	int64_t cpu_ns, wall_ns;			 /* 0: none */
	uint64_t memory_bytes, output_bytes, file_bytes; /* 0: none */
	/* A socket to whoever can tell how much memory processes have (the keeper), or -1; owned.
	 */
	int meter;
};

struct kernel_usage {
	/* The programs' own, and what this process did for them (not its waiting for them). */
	int64_t user_ns, system_ns;
	int64_t wall_ns;
	uint64_t memory_peak_bytes; /* 0: not measured */
	enum kernel_limit limit;    /* that killed it */
	uint32_t limits_met;	    /* bit n: kernel_limit n */
};

/* Before its first process; in a fiber. -errno: memory cannot be measured, as is asked for. */
int kernel_limits_set(struct kernel_container *k, const struct kernel_limits *l);
/* Its first process runs now. */
void kernel_limits_start(struct kernel_container *k);
/* Nothing is watched any more; what is used is as it was. */
void kernel_limits_end(struct kernel_container *k);
/* Before t leaves its memory, by its end or by execve, and nobody else stays there: a look at it.
 * In t's fiber. */
void kernel_limits_memory_ends(struct task *t);

/* So many of `want` bytes may go to the host's descriptors; 0: none, the container is killed. What
 * was not written is given back. */
uint64_t kernel_output_take(uint64_t want);
void kernel_output_give_back(uint64_t bytes);

/* No file may become larger; 0: no limit. It is RLIMIT_FSIZE of each process, which nobody can
 * raise. */
uint64_t kernel_file_limit(const struct kernel_container *k);
/* The calling task was told that its file would be too large. */
void kernel_file_too_large(void);
void kernel_limit_met(struct kernel_container *k, enum kernel_limit which);

/* Of a container. */
void kernel_container_usage(struct kernel_container *k, struct kernel_usage *ret);
/* Of a process that has ended, and of its children that were waited for. */
void kernel_process_usage(struct tgroup *g, struct kernel_usage *ret);

#endif
