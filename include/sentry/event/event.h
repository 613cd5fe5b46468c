/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are events: epoll(7), eventfd(2), timerfd_create(2). */
#ifndef SENTRY_EVENT_EVENT_H
#define SENTRY_EVENT_EVENT_H

#include "sentry/vfs/file.h"
#include <stdint.h>

void event_init(void);

/* --- eventfd --- */
#define LX_EFD_SEMAPHORE 1
/* oflags: LX_O_NONBLOCK or 0. */
int eventfd_new(uint64_t count, bool semaphore, uint32_t oflags, struct file **ret);

bool eventfd_is(const struct file *f);
void eventfd_add(struct file *f, uint64_t n); /* up to its largest value */

/* --- timerfd --- */
struct timerfd_value {
	int64_t interval_ns, value_ns;
};
/* to_monotonic turns an absolute value of the clock into the host's CLOCK_MONOTONIC. */
int timerfd_new(int32_t clock, int64_t (*to_monotonic)(int32_t clock, int64_t abs_ns),
	uint32_t oflags, struct file **ret);
/* -EINVAL when f is no timerfd. */
int timerfd_set(struct file *f, bool absolute, const struct timerfd_value *v,
	struct timerfd_value *ret_old);
int timerfd_get(struct file *f, struct timerfd_value *ret);

/* --- inotify --- */
/* c: whose limit of instances it counts against, -EMFILE. */
int inotify_new(const struct cred *c, uint32_t oflags, struct file **ret);
bool inotify_is(const struct file *f);
int inotify_check_mask(uint32_t mask); /* of inotify_add_watch(2): 0 or -EINVAL */
/* Watch p's inode, or change the watch that f has on it; f is an inotify file. The watch's number,
 * -EEXIST (IN_MASK_CREATE), -ENOSPC, -ENOMEM. */
int inotify_add(struct file *f, const struct path *p, uint32_t mask);
int inotify_rm(struct file *f, int32_t wd); /* -EINVAL: no such watch */

/* --- epoll --- */
struct lx_epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

#define LX_EPOLL_CTL_ADD  1
#define LX_EPOLL_CTL_DEL  2
#define LX_EPOLL_CTL_MOD  3
#define LX_EPOLLEXCLUSIVE (1u << 28)
#define LX_EPOLLWAKEUP	  (1u << 29)
#define LX_EPOLLONESHOT	  (1u << 30)
#define LX_EPOLLET	  (1u << 31)

int epoll_new(struct file **ret);
/* epoll_ctl(2) on target, which is descriptor fd of the caller. -EINVAL: ep is no epoll file; and
 * the rest. */
int epoll_ctl_file(
	struct file *ep, int op, struct file *target, int fd, const struct lx_epoll_event *ev);
/* Events that are ready now, at most max; 0: none. -EINVAL: ep is no epoll file. */
int epoll_collect(struct file *ep, struct lx_epoll_event *ev, int max);
/* Who called epoll_wait goes, with what it has collected: if there is more, another that waits
 * looks. Its own waiter is out of the queue. */
void epoll_pass_on(struct file *ep);
/* How many files it watches now. */
int epoll_nitems(struct file *ep);
/* The queue that is notified when something becomes ready. NULL: no epoll file. */
struct waitq *epoll_queue(struct file *ep);

#endif
