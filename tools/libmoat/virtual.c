/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a server of virtual files: a packet in, a function by messages.def, a packet out. A
 * peer that breaks the form of the protocol is not spoken to any longer. Nothing here can raise a
 * signal in the host program, or have one of its handlers run on this thread.
 */
#include "virtual.h"
#include "platform/host/err.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* 0, or -EPROTO: the body is no message of its type; or the peer is gone. */
static int
dispatch(struct vserver *s, const struct wire_packet *p)
{
	struct reply r = {.given = -1};
	int sent = -EPROTO;

	switch (p->head.type) {
#define GOFER(NAME, name, Req, req, Rep, rep)                                                      \
	case GOFER_##NAME: {                                                                       \
		Gofer__##Req *q = wire_unpack(&gofer__##req##__descriptor, p->body, p->head.len);  \
		Gofer__##Rep a;                                                                    \
		if (!q)                                                                            \
			return -EPROTO;                                                            \
		gofer__##rep##__init(&a);                                                          \
		int err = v_##name(s, q, &a, &r);                                                  \
		sent = reply_send(s->sock, &p->head, err, &a.base, &r);                            \
		gofer__##req##__free_unpacked(q, NULL);                                            \
		break;                                                                             \
	}
#define VIRTUAL GOFER
#include "gofer/proto/messages.def"
#undef VIRTUAL
#undef GOFER
	default:
		break;
	}
	reply_clear(&r);
	vnodes_reap(s);
	return sent;
}

static void *
serve(void *arg)
{
	struct vserver *s = arg;

	prctl(PR_SET_NAME, "moat-files");
	for (;;) {
		int r = wire_recv(s->sock, &s->packet, WIRE_NO_FDS);

		if (r <= 0 || s->packet.fds_lost || dispatch(s, &s->packet) < 0)
			break;
	}
	/* The other end is told; the number stays taken until the thread was waited for. */
	shutdown(s->sock, SHUT_RDWR);
	for (uint32_t i = 0; i < s->open.cap; i++) {
		struct vfile *f = s->open.slots[i].p;

		if (f && s->files.ops->release)
			s->files.ops->release(s->files.user, f->file);
		free(f);
	}
	ids_release(&s->open);
	atomic_store(&s->ended, true);
	return NULL;
}

static int
start_thread(struct vserver *s)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->thread, NULL, serve, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->running = r == 0;
	return -r;
}

/* Is there nothing that could change anything? */
static bool
changes_nothing(const struct moat_files_ops *o)
{
	return !o->write && !o->truncate && !o->setattr && !o->create && !o->mkdir && !o->symlink &&
	       !o->unlink && !o->rmdir && !o->rename;
}

int
vserver_start(const struct moat_files *files, bool readonly, struct vserver **ret, int *ret_peer)
{
	struct vserver *s = calloc(1, sizeof *s);
	int sv[2], r;

	if (!s)
		return -ENOMEM;
	r = wire_pair(sv);
	if (r < 0) {
		free(s);
		return r;
	}
	s->files = *files;
	s->readonly = readonly || changes_nothing(files->ops);
	s->nodes.max = VNODES_MAX;
	s->open.max = VFILES_MAX;
	if (getrandom(&s->seed, sizeof s->seed, GRND_NONBLOCK) != sizeof s->seed)
		s->seed = (uint64_t)(uintptr_t)s ^ (uint64_t)time(NULL) << 32;
	s->sock = sv[0];
	r = start_thread(s);
	if (r < 0) {
		close(sv[1]);
		vserver_stop(s);
		return r;
	}
	*ret = s;
	*ret_peer = sv[1];
	return 0;
}

void
vserver_stop(struct vserver *s)
{
	if (!s)
		return;
	shutdown(s->sock, SHUT_RDWR);
	if (s->running && !atomic_load(&s->ended) && s->files.ops->stop)
		s->files.ops->stop(s->files.user);
	if (s->running)
		pthread_join(s->thread, NULL);
	close(s->sock);
	vlists_release(s);
	vnodes_release(s);
	free(s);
}
