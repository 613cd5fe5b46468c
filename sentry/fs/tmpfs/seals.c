/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs: seals of a file, fcntl(2) F_ADD_SEALS and F_GET_SEALS. What they forbid is refused in
 * data.c. */
#include "internal.h"

int
tmpfs_seals_get(struct file *f)
{
	if (f->ops != &tmpfs_reg_fops)
		return -EINVAL;
	return (int)tnode_of(f->inode)->seals;
}

void
tmpfs_seals_init(struct file *f, uint32_t seals)
{
	tnode_of(f->inode)->seals = seals;
}

int
tmpfs_seals_add(struct file *f, uint32_t seals)
{
	struct tnode *n;
	int r = 0;

	if (!(f->mode & LX_FMODE_WRITE))
		return -EPERM;
	if (seals & ~(uint32_t)LX_F_ALL_SEALS)
		return -EINVAL;
	if (f->ops != &tmpfs_reg_fops)
		return -EINVAL;
	n = tnode_of(f->inode);
	sleeplock_lock(&f->inode->dir_lock);
	if (n->seals & LX_F_SEAL_SEAL)
		r = -EPERM;
	else if ((seals & LX_F_SEAL_WRITE) && !(n->seals & LX_F_SEAL_WRITE) &&
		 atomic_load(&n->writable_maps))
		r = -EBUSY;
	if (!r) {
		/* an executable file whose mode is sealed must not change either */
		if ((seals & LX_F_SEAL_EXEC) && (inode_mode(&n->i) & 0111u))
			seals |= LX_F_SEAL_SHRINK | LX_F_SEAL_GROW | LX_F_SEAL_WRITE |
				 LX_F_SEAL_FUTURE_WRITE;
		n->seals |= seals;
	}
	sleeplock_unlock(&f->inode->dir_lock);
	return r;
}
