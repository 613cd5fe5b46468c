/* SPDX-License-Identifier: Apache-2.0 */
/* What the anchor shows, and where it lives; see platform/host/anchor.h. */
#include "platform/host/anchor.h"
#include "internal.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "platform/host/keeper.h"
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define NS_OF_SENTRY (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static void
what_is_shown(const struct moat_config *c, struct anchor_mount *list, size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nmounts && n < ANCHOR_MOUNTS_MAX; i++) {
		const struct moat_mount *m = &c->mounts[i];

		list[n++] = (struct anchor_mount){
			/* What is written to an overlay only the sentry knows: one that is not the
			   root is covered, and so are other owners' files. */
			.show = m->kind == MOAT_MOUNT_HOST && (i == 0 || !m->overlay) &&
						!m->nuid_map
					? ANCHOR_FILES
				: m->kind == MOAT_MOUNT_PROC ? ANCHOR_PROC
							     : ANCHOR_COVER,
			.source = m->source,
			.target = m->target,
			.readonly = m->overlay || (m->flags & MS_RDONLY) ||
				    (i == 0 && c->root_readonly),
			.alone = m->alone,
		};
	}
	*ret_n = n;
}

int
anchor_start(struct moat_sandbox *s, const struct moat_config *c, int control, int maker,
	struct anchor *a, struct moat_error *err)
{
	struct anchor_mount shown[ANCHOR_MOUNTS_MAX];
	char path[4096];
	struct anchor_spawn n = {
		.path = program_path(c, "moat-anchor", path, sizeof path),
		.keeper = s->keeper,
		.gofer = keeper_child_pidfd(s->keeper, s->parts[GOFER]),
		.namespaces = s->namespaces & NS_OF_SENTRY & ~(maker >= 0 ? CLONE_NEWNET : 0u),
		.maker = maker,
		.new_network = maker >= 0 && c->net_fd < 0,
		.control = control,
		.mounts = shown,
	};
	bool maps = c->nuid_map || c->ngid_map, userns = s->namespaces & CLONE_NEWUSER;
	int joined = -1, r = 0;

	what_is_shown(c, shown, &n.nmounts);
	/* Maps: who the container's users are on the host. Else root stays in its own user
	 * namespace. Everybody else can enter the sentry's others only from the sentry's, which is
	 * of the same user, and from there no other one. */
	n.gofer_user = maps && userns && geteuid() == 0;
	n.sentry_user = userns && geteuid() != 0;
	if (geteuid() == 0) {
		n.set_ids = true;
		n.uid = n.gid = !n.gofer_user && sentry_id_is_mapped() ? SENTRY_ID : 0;
	}
	if (s->parts[SENTRY] >= 0)
		n.sentry = keeper_child_pidfd(s->keeper, s->parts[SENTRY]);
	else
		r = n.sentry = joined = HOST(pidfd_open(s->joined_pid, 0));
	if (r < 0)
		return error_set(err, r, "cannot hold the sandbox's process: %s", strerror(-r));
	r = anchor_begin(&n, a, err->text, sizeof err->text);
	if (joined >= 0)
		close(joined);
	if (r < 0) {
		err->code = -r;
		err->exec = false;
		return r;
	}
	part_started(s, ANCHOR, a->child);
	part_score(c, s->pids[ANCHOR]);
	if (c->place && (r = c->place(c->arg, s->pids[ANCHOR], err)) < 0)
		return r;
	return 0;
}
