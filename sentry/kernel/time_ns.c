/* SPDX-License-Identifier: Apache-2.0 */
/* Linux counterpart: kernel/time/namespace.c */
#include "sentry/kernel/time_ns.h"
#include "sentry/cred/ucount.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/timers.h"
#include <stdio.h>
#include <stdlib.h>

#define NS 1000000000LL
/* Linux: KTIME_SEC_MAX; of that a clock may reach the half. */
#define SEC_MAX (INT64_MAX / NS)

struct time_ns {
	struct ref ref;		 /* tasks, tasks whose children go there, files */
	struct user_ns *user_ns; /* (C) a reference, or NULL */
	uint32_t counted;	 /* (C) for whom; sentry/cred/ucount.h */
	uint64_t id;		 /* (C) inode number of /proc/PID/ns/time */
	struct mutex lock;	 /* rank LEAF: the following, until it is used */
	bool used;
	struct time_ns_offsets offsets;
};

struct time_ns *
time_ns_new(struct time_ns *from, struct user_ns *owner, uint32_t counted)
{
	struct time_ns *ns = calloc(1, sizeof *ns);

	if (!ns) {
		ucount_give(owner, counted, UCOUNT_TIME);
		return NULL;
	}
	ref_init(&ns->ref);
	mutex_init(&ns->lock, LR_LEAF);
	ns->user_ns = user_ns_get(owner);
	ns->counted = counted;
	ns->id = ns_id_new();
	ns->offsets = time_ns_offsets(from);
	return ns;
}

struct time_ns *
time_ns_get(struct time_ns *ns)
{
	if (ns)
		ref_get(&ns->ref);
	return ns;
}

void
time_ns_put(struct time_ns *ns)
{
	if (!ns || !ref_put(&ns->ref))
		return;
	mutex_destroy(&ns->lock);
	ucount_give(ns->user_ns, ns->counted, UCOUNT_TIME);
	user_ns_put(ns->user_ns);
	free(ns);
}

uint64_t
time_ns_id(const struct time_ns *ns)
{
	return ns->id;
}

struct user_ns *
time_ns_owner(const struct time_ns *ns)
{
	return ns ? ns->user_ns : NULL;
}

void
time_ns_arrive(struct task *t)
{
	struct time_ns *ns = time_ns_get(t->child_time_ns), *old;

	if (ns) {
		mutex_lock(&ns->lock);
		ns->used = true;
		mutex_unlock(&ns->lock);
	}
	mutex_lock(&t->pt_lock);
	old = t->time_ns;
	t->time_ns = ns;
	mutex_unlock(&t->pt_lock);
	time_ns_put(old);
}

struct time_ns_offsets
time_ns_offsets(struct time_ns *ns)
{
	struct time_ns_offsets o = {0};

	if (ns) {
		mutex_lock(&ns->lock);
		o = ns->offsets;
		mutex_unlock(&ns->lock);
	}
	return o;
}

bool
time_ns_shifts(struct time_ns *ns)
{
	struct time_ns_offsets o = time_ns_offsets(ns);

	return o.monotonic_ns || o.boottime_ns;
}

int64_t
time_ns_offset(const struct task *t, int32_t clock)
{
	/* of one that somebody is in they do not change */
	const struct time_ns *ns = t ? t->time_ns : NULL;

	if (!ns)
		return 0;
	switch (clock) {
	case LX_CLOCK_MONOTONIC:
	case LX_CLOCK_MONOTONIC_RAW:
	case LX_CLOCK_MONOTONIC_COARSE:
		return ns->offsets.monotonic_ns;
	case LX_CLOCK_BOOTTIME:
	case LX_CLOCK_BOOTTIME_ALARM:
		return ns->offsets.boottime_ns;
	default:
		return 0;
	}
}

/* --- timens_offsets --- */

struct offset_line {
	int32_t clock;
	int64_t sec;
	uint64_t nsec;
};

/* A clock's name or number, seconds, nanoseconds; what follows does not matter. */
static int
parse_line(const char *line, struct offset_line *ret)
{
	char clock[10];
	long long sec;
	unsigned long long nsec;

	if (sscanf(line, "%9s %lld %llu", clock, &sec, &nsec) != 3 || nsec >= (uint64_t)NS)
		return -EINVAL;
	if (strcmp(clock, "monotonic") == 0 || strcmp(clock, "1") == 0)
		ret->clock = LX_CLOCK_MONOTONIC;
	else if (strcmp(clock, "boottime") == 0 || strcmp(clock, "7") == 0)
		ret->clock = LX_CLOCK_BOOTTIME;
	else
		return -EINVAL;
	ret->sec = sec;
	ret->nsec = nsec;
	return 0;
}

/* The clock must not show a time before 0, nor one that it could run out after. */
static int
check_range(const struct offset_line *o)
{
	int64_t now, shown;

	if (o->sec > SEC_MAX || o->sec < -SEC_MAX || clock_now(NULL, o->clock, &now))
		return -ERANGE;
	shown = o->sec + now / NS + (int64_t)(o->nsec + (uint64_t)(now % NS)) / NS;
	return shown < 0 || shown > SEC_MAX / 2 ? -ERANGE : 0;
}

ssize_t
time_ns_write(struct time_ns *ns, const struct cred *opener, char *text, size_t len)
{
	struct offset_line o[2];
	size_t n = 0;
	char *line = text, *next;
	int err;

	do {
		next = strchr(line, '\n');
		if (next) {
			*next++ = 0;
			if (!*next)
				next = NULL;
		}
		err = parse_line(line, &o[n]);
		if (err)
			return err;
		line = next;
	} while (++n < 2 && line);
	if (!cred_capable_in(opener, time_ns_owner(ns), LX_CAP_SYS_TIME))
		return -EPERM;
	for (size_t i = 0; i < n; i++)
		if ((err = check_range(&o[i])))
			return err;
	if (!ns)
		return -EACCES;
	mutex_lock(&ns->lock);
	err = ns->used ? -EACCES : 0;
	for (size_t i = 0; i < n && !err; i++)
		*(o[i].clock == LX_CLOCK_MONOTONIC ? &ns->offsets.monotonic_ns
						   : &ns->offsets.boottime_ns) =
			o[i].sec * NS + (int64_t)o[i].nsec;
	mutex_unlock(&ns->lock);
	return err ? err : line ? (ssize_t)(line - text) : (ssize_t)len;
}
