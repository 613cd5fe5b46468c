/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring(7). Rings are memory that the guest may write at any time: what is read from them is
 * read once, and what the kernel has to know for sure (heads, tails, masks) it keeps for itself.
 *
 * A request is tried when it is submitted. What would block goes to a helper (kernel/helper.h), a
 * fiber that waits as the system call would; so does all that follows it in a chain of links.
 *
 * Locks: submit (sleeplock): one submitter at a time, and what is registered. lock (rank EVENT):
 * requests, the completion queue, helpers of requests.
 */
#ifndef SENTRY_SYSCALL_URING_H
#define SENTRY_SYSCALL_URING_H

#include "abi/uring.h"
#include "file_util.h"
#include "internal.h"
#include "sentry/sched/timer.h"
#include "sentry/socket/socket.h"
#include "sentry/usermem/usermem.h"

/* Not tried to the end: a helper has to wait. No errno has this value. */
#define URING_PUNT INT64_MIN

#define URING_MAX_ENTRIES 32768
#define URING_MAX_FILES	  32768
#define URING_MAX_BUFFERS 16384

struct file;

struct uring_overflow {
	struct list node;
	struct lx_uring_cqe cqe;
};

struct uring {
	struct ref ref;	      /* the file, each request, each mapping */
	struct list all_node; /* of all rings */
	struct sleeplock submit;
	struct mutex lock;
	struct waitq wq; /* a completion came */
	uint32_t setup;	 /* LX_URING_SETUP_*; constant */
	bool disabled;	 /* submit */
	int32_t issuer;	 /* submit: tid of the only one, or 0 */
	/* memory */
	int fd;
	uint8_t *rings;		   /* shared with the guest */
	struct lx_uring_sqe *sqes; /* the same */
	size_t rings_len, sqes_len;
	uint32_t sq_entries, cq_entries; /* constant */
	uint32_t sq_head;		 /* submit */
	uint32_t cq_tail;		 /* lock */
	struct list overflow;		 /* lock: struct uring_overflow */
	uint32_t nr_overflow;		 /* lock */
	/* requests; lock */
	struct list reqs; /* struct uring_req by node: all that are not complete */
	uint32_t inflight;
	uint64_t completed; /* so many were */
	struct list
		deferred; /* struct uring_req by defer_node: heads of chains that wait (drain) */
	uint32_t nr_deferred; /* requests in those chains */
	bool draining;	      /* one that asked for it runs */
	bool starting;	      /* somebody starts the deferred ones */
	bool closed;
	/* registered; submit */
	struct file **files;
	uint32_t nfiles;
	struct lx_iovec *buffers;
	uint32_t nbuffers;
	struct file *eventfd; /* lock */
	bool eventfd_async;
};

/* What a message needs beyond the request. */
struct uring_msg {
	struct sock_msg m;
	struct lx_msghdr h;
	struct lx_iovec vec[];
};

/* What is to be opened. */
struct uring_open {
	struct lx_open_how how;
	struct upath path;
};

struct uring_req {
	struct list node, defer_node;
	struct uring *ring;	 /* a reference */
	struct lx_uring_sqe sqe; /* the copy */
	struct uring_req *next;	 /* linked */
	struct task *helper;	 /* lock: who runs it; borrowed */
	struct task *submitter;	 /* a reference */
	struct task *runner; /* of the head of a deferred chain: who is to run it, not started */
	int err;	     /* what is wrong with it from the start, or 0 */
	bool cancelled;	     /* lock */
	bool tried;
	bool wrote;		 /* to the guest's memory */
	bool is_timeout_of_last; /* LX_OP_LINK_TIMEOUT */
	/* what the first try leaves for the second */
	struct file *file; /* a reference */
	struct uio uio;
	struct lx_iovec *iov;
	struct uring_msg *msg;
	struct uring_open *open;
	uint8_t addr[SOCK_ADDR_MAX];
	int64_t deadline_ns;
	uint64_t until; /* timeouts: this many completions */
};

/* --- uring_ring.c --- */
int uring_new(uint32_t sq_entries, uint32_t cq_entries, uint32_t setup, struct uring **ret);
/* References to all rings, in an array to be freed. */
struct uring **uring_all(uint32_t *n);
struct uring *uring_get(struct uring *u);
void uring_put(struct uring *u);
int uring_file(struct uring *u, struct file **ret); /* consumes u */
struct uring *uring_of(struct file *f);		    /* borrowed; NULL: another kind */
void uring_offsets(const struct uring *u, struct lx_uring_params *p);
/* A request is complete: its entry, if post. Wakes who waits. */
void uring_post(struct uring *u, uint64_t user_data, int32_t res, bool post, bool async);
uint32_t uring_ready(struct uring *u); /* entries that the guest has not taken */
/* Entries that found no room go in now. */
void uring_flush_overflow(struct uring *u);
bool uring_crowded(struct uring *u);			       /* there are such */
bool uring_sq_take(struct uring *u, struct lx_uring_sqe *ret); /* submit; false: none */

/* --- uring_run.c --- */
/* Take up to n requests. How many, or -errno. submit is held. */
int64_t uring_submit(struct uring *u, struct task *t, uint32_t n);
/* Cancel those that match: how many were found. all: not only the first. */
uint32_t uring_cancel(struct uring *u, bool (*match)(const struct uring_req *r, const void *arg),
	const void *arg, bool all);
void uring_close(struct uring *u);
bool uring_of_task(const struct uring_req *r, const void *task); /* a match */

/* --- uring_op.c --- */
/* Read what the request points to, but for its data. 0 or -errno. */
int64_t uring_prepare(struct task *t, struct uring_req *r);
/* Carry out a request, as task t: what a CQE says, or URING_PUNT if wait is false. */
int64_t uring_do(struct task *t, struct uring_req *r, bool wait);
bool uring_op_known(uint8_t op);

#endif
