/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host descriptors that are watched. What epoll is given is a place in a table and how often the
 * place was taken, not an address: the poller may hold an event of a watch that another worker has
 * just ended and freed.
 */
#include "platform/host/file.h"
#include "sentry/sched/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct place {
	struct hostfd_watch *w; /* NULL: free */
	uint32_t taken;
	uint32_t next_free;
};

#define NO_PLACE UINT32_MAX

static struct mutex lock = MUTEX_INIT(EVENT);
static struct place *places;
static uint32_t nplaces, first_free = NO_PLACE;

static bool
grow_locked(void)
{
	uint32_t n = nplaces ? nplaces * 2 : 64;
	struct place *p;

	/* As many as there can be descriptors; so no id is one of the two that are reserved. */
	if (n > 1u << 30)
		return false;
	p = realloc(places, n * sizeof *p);
	if (!p)
		return false;
	places = p;
	for (uint32_t i = n; i-- > nplaces;) {
		places[i] = (struct place){.next_free = first_free};
		first_free = i;
	}
	nplaces = n;
	return true;
}

static void
leave_locked(struct hostfd_watch *w)
{
	places[w->place].w = NULL;
	places[w->place].next_free = first_free;
	first_free = w->place;
}

int
watch_add(int epoll_fd, struct hostfd_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLET};
	struct place *p;
	int r = 0;

	mutex_lock(&lock);
	if (first_free == NO_PLACE && !grow_locked()) {
		mutex_unlock(&lock);
		return -ENOMEM;
	}
	w->place = first_free;
	p = &places[w->place];
	first_free = p->next_free;
	p->w = w;
	p->taken++;
	ev.data.u64 = (uint64_t)p->taken << 32 | w->place;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fd, &ev)) {
		r = -errno;
		leave_locked(w);
	}
	mutex_unlock(&lock);
	return r;
}

void
watch_remove(int epoll_fd, struct hostfd_watch *w)
{
	mutex_lock(&lock);
	/* Not so if it could not be added. */
	if (w->place < nplaces && places[w->place].w == w) {
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
		leave_locked(w);
	}
	mutex_unlock(&lock);
}

void
watch_tell(uint64_t id, uint32_t events)
{
	uint32_t place = (uint32_t)id;
	struct hostfd_watch *w;

	mutex_lock(&lock);
	w = place < nplaces && places[place].taken == id >> 32 ? places[place].w : NULL;
	if (w && w->fn)
		w->fn(w, events);
	else if (w)
		waitq_notify(w->q, events);
	mutex_unlock(&lock);
}
