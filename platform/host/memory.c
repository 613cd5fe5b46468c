/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/memory.h"
#include "base/lock.h"
#include "platform/host/fdstat.h"

static struct list all = LIST_INIT(all);
static struct mutex lock = MUTEX_INIT(LEAF);

void
host_memory_add(struct host_memory *m, int fd)
{
	m->fd = fd;
	mutex_lock(&lock);
	list_push_back(&all, &m->node);
	mutex_unlock(&lock);
}

void
host_memory_del(struct host_memory *m)
{
	mutex_lock(&lock);
	list_del(&m->node);
	mutex_unlock(&lock);
}

uint64_t
host_memory_bytes(void)
{
	struct host_memory *m;
	struct host_stat st;
	uint64_t blocks = 0;

	mutex_lock(&lock);
	list_for_each_entry (m, &all, node)
		if (host_fd_stat(m->fd, &st) == 0)
			blocks += st.blocks;
	mutex_unlock(&lock);
	return blocks * 512;
}
