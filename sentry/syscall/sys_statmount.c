/* SPDX-License-Identifier: Apache-2.0 */
/* statmount, listmount. */
#include "file_util.h"
#include <stdlib.h>
#include <string.h>

/* What a newer program knows beyond us has to be zero. */
static int
request_in(struct task *t, uint64_t addr, struct lx_mnt_id_req *rq)
{
	unsigned char buf[LX_PAGE_SIZE];
	uint32_t size;

	if (copy_in(t->call.um, &size, ua(addr), sizeof size))
		return -EFAULT;
	if (size > LX_PAGE_SIZE)
		return -E2BIG;
	if (size < LX_MNT_ID_REQ_SIZE_VER0)
		return -EINVAL;
	if (copy_in(t->call.um, buf, ua(addr), size))
		return -EFAULT;
	for (uint32_t i = sizeof *rq; i < size; i++)
		if (buf[i])
			return -E2BIG;
	memset(rq, 0, sizeof *rq);
	memcpy(rq, buf, size < sizeof *rq ? size : sizeof *rq);
	if (rq->spare || rq->mnt_id <= MNT_UNIQUE_OFFSET)
		return -EINVAL;
	return 0;
}

int64_t
sys_statmount(struct task *t, const uint64_t a[6])
{
	uint64_t room = a[2], buf = a[1];
	struct lx_mnt_id_req rq;
	struct lx_statmount st;
	char *strings = NULL;
	size_t len = 0;
	int r;

	if ((uint32_t)a[3])
		return -EINVAL;
	r = request_in(t, a[0], &rq);
	if (!r)
		r = mnt_stat(
			&t->call, rq.mnt_ns_id, rq.mnt_id, rq.param, room, &st, &strings, &len);
	if (!r && len)
		r = copy_out(t->call.um, ua(buf + sizeof st), strings, len);
	if (!r)
		r = copy_out(t->call.um, ua(buf), &st, room < sizeof st ? room : sizeof st);
	free(strings);
	return r;
}

int64_t
sys_listmount(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[3];
	struct lx_mnt_id_req rq;
	uint64_t *ids = NULL;
	ssize_t n;
	int r;

	if (flags & ~LX_LISTMOUNT_REVERSE)
		return -EINVAL;
	if (a[2] > LX_LISTMOUNT_MAX)
		return -EOVERFLOW;
	r = request_in(t, a[0], &rq);
	if (r)
		return r;
	/* where a list goes on: the id of a mount, which need not be there any more */
	if (rq.param && rq.param <= MNT_UNIQUE_OFFSET)
		return -EINVAL;
	n = mnt_list(&t->call, rq.mnt_ns_id, rq.mnt_id, rq.param, flags & LX_LISTMOUNT_REVERSE,
		a[2], &ids);
	if (n > 0 && copy_out(t->call.um, ua(a[1]), ids, (size_t)n * sizeof *ids))
		n = -EFAULT;
	free(ids);
	return n;
}
