/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_LIBMOAT_INTERNAL_H
#define TOOLS_LIBMOAT_INTERNAL_H

#include "control.pb-c.h"
#include "gofer.pb-c.h"
#include "gofer/wire.h"
#include "moat/files.h"
#include "moat/moat.h"
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct keeper;
struct streams;
struct tracer;

/* What an EXIT message said. */
struct end {
	bool known;
	int status;
	struct moat_rusage usage;
	uint32_t limit, limits_met;
};

/* Children of the sandbox's keeper. */
enum part { SENTRY, GOFER, ANCHOR, PARTS };

struct moat_sandbox {
	struct keeper *keeper;	     /* NULL: attached, or released */
	int parts[PARTS];	     /* as the keeper counts them; -1: none */
	pid_t pids[PARTS];	     /* 0: none */
	int reports[PARTS];	     /* where it tells of a failed start; -1: closed */
	pid_t joined_pid;	     /* of a container in another's sandbox: that one's sentry */
	unsigned container;	     /* its number in that; 0: not known */
	int host_pid;		     /* its first process, as that one's pid namespace has it, */
	int zygote_pid;		     /* and that of which its processes are copies; 0: none */
	int sentry_sock, gofer_sock; /* control; -1: none */
	unsigned namespaces;	     /* CLONE_NEW*: those of the sentry that are not the caller's */
	uint32_t weaker;
	struct vserver *virtual[MOAT_FILES_MOUNTS_MAX]; /* in the order of the mounts */
	bool attached;					/* a client of somebody else's sandbox */
	bool asked;					/* to be told of its end */
	unsigned owed; /* attached: answers to come, to questions that nobody waits with any more */
	struct tracer *tracer;	 /* who hears of events, or NULL */
	bool metered;		 /* the keeper tells the sentry how much memory is used */
	struct streams *streams; /* that are buffers, or NULL */
	struct end end;
};

/* Say what failed; returns r. */
int error_set(struct moat_error *e, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A descriptor of the gofer's for what m, of kind MOAT_MOUNT_HOST, is to show; -errno. */
int source_open(const struct moat_mount *m, struct moat_error *err);

/* config.c: what the two programs are told */
int config_check(const struct moat_config *c, struct moat_error *err);
/* What the configuration says, or what this process has. */
int asked_oom_score(const struct moat_config *c);
int config_send_gofer(int sock, const struct moat_config *c, int conn, struct moat_error *err);
/* The sentry's ends of its connections, -1: none. */
struct peers {
	int gofer, anchor, meter, events, maker;
	int virtual[MOAT_FILES_MOUNTS_MAX]; /* to who serves virtual files, for each such mount */
};
int config_send_sentry(
	int sock, const struct moat_config *c, const struct peers *p, struct moat_error *err);

/* Ask for another container, c->join. */
int config_send_join(
	int sock, const struct moat_config *c, const struct peers *p, struct moat_error *err);

/* client.c: a new connection, given to the sentry. */
int sandbox_connect(struct moat_sandbox *s, int *ret, struct moat_error *err);

/* Is it beside others, with a network namespace of its own? */
bool own_network_beside(const struct moat_config *c);
/* sandbox.c: a child of the keeper is that part */
void part_started(struct moat_sandbox *s, enum part part, int child);
/* Before it makes others, which get the same: what programs have when memory runs out */
void part_score(const struct moat_config *c, int pid);
/* A name in the folder of moat's own programs */
const char *program_path(const struct moat_config *c, const char *name, char *buf, size_t cap);
/* Who the sentry and the anchor run as, when root starts them and their user namespace has that
 * user. */
#define SENTRY_ID 65534
bool sentry_id_is_mapped(void);

/* anchor.c: begin, when sentry and gofer are there; a is to be released in any case. control: the
 * anchor's end; maker: of what its own network is asked for by, -1: it has the sentry's. */
struct anchor;
int anchor_start(struct moat_sandbox *s, const struct moat_config *c, int control, int maker,
	struct anchor *a, struct moat_error *err);

/* The process part of a message; release frees what fill made. fds: three streams (closed ones are
 * stood in for by *ret_closed, to be closed by the caller, or -1) and the extra ones. */
#define PROCESS_FDS_MAX 40
struct process_message {
	Control__Process p;
	Control__Rlimit limits[RLIM_NLIMITS], *limit_list[RLIM_NLIMITS];
	int fds[PROCESS_FDS_MAX];
	uint32_t nfds;
	int closed;
};
int process_message_fill(struct process_message *m, const struct moat_config *c);
void process_message_release(struct process_message *m);

/* The other end is gone: how it ended, when it is the keeper's. */
int peer_died(struct moat_sandbox *s, enum part part, const char *name, struct moat_error *err);
/* Say why an answer is not what was asked for; m is freed. r is what wire_control_recv gave. */
int answer_bad(struct wire_control *m, int r, const char *name, struct moat_error *err);

/* streams.c: as io says; sets c->stdio. -errno. */
struct moat_io;
int streams_open(const struct moat_io *io, struct moat_config *c, struct streams **ret);
void streams_given(struct streams *s); /* the program has its ends */
void streams_free(struct streams *s);
/* Take what the program writes until sock becomes readable (0). s may be NULL. -ETIMEDOUT. */
int streams_pump(struct streams *s, int sock, int timeout_ms);
int streams_output(const struct streams *s, int stream, const char **ret, size_t *ret_bytes);
/* The caller's from now on; never NULL. -ENOMEM. */
int streams_take(struct streams *s, int stream, char **ret, size_t *ret_bytes);

#endif
