/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the host program makes: a mount whose tree is served by functions of it (struct
 * moat_files), and a tree that is kept in memory (struct moat_tree) and served by functions of the
 * library.
 *
 *	static const struct moat_files_ops ops = {.getattr = ..., .readdir = ..., .read = ...};
 *	struct moat_files files = {.ops = &ops, .user = ...};
 *	struct moat_mount m = {.kind = MOAT_MOUNT_VIRTUAL, .target = "/host", .files = &files};
 */
#ifndef MOAT_FILES_H
#define MOAT_FILES_H

#include <moat/moat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a file is. mode has the type (S_IFREG, S_IFDIR or S_IFLNK) and the permissions, which the
 * sandbox's kernel checks for the user and group inside.
 */
struct moat_file_attr {
	uint32_t mode;
	uint32_t uid, gid; /* as seen inside */
	uint64_t size;	   /* bytes; a file may have more or fewer when it is read */
	int64_t mtime_s;   /* of CLOCK_REALTIME; there is no time of access */
	uint32_t mtime_ns;
};

/* What setattr is to change. */
#define MOAT_SET_MODE  1u /* permissions */
#define MOAT_SET_UID   2u
#define MOAT_SET_GID   4u
#define MOAT_SET_MTIME 8u

struct moat_dir; /* a list of entries that is being made */

/* What there is room for (statfs(2)). */
struct moat_space {
	uint64_t bytes, free_bytes; /* contents can have together; and more */
	uint64_t files, free_files; /* there can be; and more */
};

/*
 * The functions. Each gets `user` of struct moat_files, and returns 0 (read and write: a count) or
 * a negative errno; anything else becomes EIO inside. Those that are NULL answer as it says here.
 *
 * path is that in the mount: "/" or "/a/b", of at most 4095 bytes, with no empty part, "." or "..":
 * whatever the sandbox asks for, it cannot be more than that. It need not name anything that
 * exists. `file` is what open gave, NULL where there is none. Of a file that is open but has no
 * name any longer path is "". Whether a user inside may do what it asks for has been checked by
 * mode, uid and gid: by the sandbox's kernel, which a program may have taken over. What must not
 * happen in any case is for these functions to refuse (or for MS_RDONLY, which the library sees
 * to).
 *
 * They are called from a thread of the library, with all signals blocked, for one mount one at a
 * time; those of two mounts or two sandboxes at the same time. They may block: the program inside
 * that asked waits, others that ask this mount after it too, and can be killed meanwhile; what it
 * asked for then still is carried out, and the answer forgotten. They must not call moat_destroy,
 * or wait for something of the same sandbox that waits for the mount.
 *
 * Nothing that they say is believed without being asked again, unless valid_ms says so.
 */
struct moat_files_ops {
	/* Describe what path (or file) is. -ENOENT: there is nothing. Must be there, and "/" a
	 * directory. */
	int (*getattr)(void *user, const char *path, void *file, struct moat_file_attr *ret);
	/* Call moat_dir_add for each entry. NULL: directories are empty. */
	int (*readdir)(void *user, const char *path, struct moat_dir *list);
	/* The text of a link, with a NUL, 1 to 4095 bytes. NULL: EINVAL. */
	int (*readlink)(void *user, const char *path, char *buf, size_t size);

	/* flags: O_RDONLY, O_WRONLY or O_RDWR, with O_APPEND. Each success is followed by one
	 * release. NULL: any file opens, with file being NULL; for writing only if there is
	 * write. */
	int (*open)(void *user, const char *path, int flags, void **ret_file);
	/* Up to len (at most 61440) bytes from offset; less: the end is near; 0: it is reached.
	 * path: what it is called now. NULL: EINVAL. */
	ssize_t (*read)(
		void *user, const char *path, void *file, void *buf, size_t len, uint64_t offset);
	/* O_APPEND: offset is the size that getattr told. Less than len is a short write. NULL:
	 * EROFS. */
	ssize_t (*write)(void *user, const char *path, void *file, const void *buf, size_t len,
		uint64_t offset);
	/* Nobody has it open any longer. NULL: nothing to do. */
	void (*release)(void *user, void *file);

	/* Set the size. NULL: EPERM. */
	int (*truncate)(void *user, const char *path, void *file, uint64_t size);
	/* Change what `which` (MOAT_SET_*) says; of attr nothing else is set. NULL: EPERM. */
	int (*setattr)(void *user, const char *path, void *file, unsigned which,
		const struct moat_file_attr *attr);

	/* A new, empty file or directory with these permissions. -EEXIST. NULL: EROFS. */
	int (*create)(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid);
	int (*mkdir)(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid);
	int (*symlink)(
		void *user, const char *path, const char *target, uint32_t uid, uint32_t gid);
	/* Take a name away; a file that is open can still be used through `file`. NULL: EROFS. */
	int (*unlink)(void *user, const char *path);
	int (*rmdir)(void *user, const char *path);
	/* flags: 0, RENAME_NOREPLACE or RENAME_EXCHANGE of renameat2(2). NULL: EROFS. */
	int (*rename)(void *user, const char *from, const char *to, unsigned flags);

	/* The sandbox is gone, and moat_destroy (which calls this, on its thread) is about to wait
	 * for the one of these functions that may be running: time to make it return. NULL: it
	 * returns by itself. */
	void (*stop)(void *user);

	/* How much room there is: *ret is all 0. What is free is at most all there is. NULL: 0 of
	 * everything, as if it were not known. */
	int (*statfs)(void *user, struct moat_space *ret);
};

/*
 * Borrowed by moat_start until moat_destroy has returned, after which no function is called. For
 * each file that is still open then release is called before. When the sandbox outlives
 * moat_destroy (moat_release), or the program that made it, the mount's files answer EIO.
 *
 * In a sandbox there can be MOAT_FILES_MOUNTS_MAX such mounts, and of each 65536 files can be open.
 * Such a file can be read, written, executed and mapped; what is mapped is a copy as it was when
 * the open file was first mapped (ENODEV: shared and writable; EFBIG: more than 1 GiB). One
 * that has lost its name can be used by who has it open, but not be opened again. There are no hard
 * links, devices, FIFOs, locks beyond the sandbox or extended attributes. With `overlay` of struct
 * moat_mount, what is written stays in the sandbox's memory, and functions that change something
 * are not called; the tree should then not change while the sandbox runs.
 */
#define MOAT_FILES_MOUNTS_MAX 8

struct moat_files {
	const struct moat_files_ops *ops;
	void *user;
	/* For how long names and attributes that were told may be believed; 0: they are asked for
	 * at each use. */
	unsigned valid_ms;
};

/* In readdir: an entry, mode as in struct moat_file_attr (only the type counts). -EINVAL: no name
 * that can stand in a directory (1 to 255 bytes, no '/', not "." or ".."); -ENOMEM. The list is
 * told to nobody when readdir fails. */
MOAT_API int moat_dir_add(struct moat_dir *list, const char *name, uint32_t mode);

/*
 * A tree in memory. Its functions can be called from any thread, before, while and after it is
 * mounted, in any number of sandboxes; it has to outlive them. Paths are as above; directories on
 * the way are made as they are missing, of mode 0755 and root's. What is there already is replaced,
 * but for a directory that is not empty (-ENOTEMPTY). Errors: -EINVAL (path), -ENOTDIR, -ENOMEM,
 * -ENOSPC (max_bytes).
 *
 *	struct moat_mount m = {.kind = MOAT_MOUNT_VIRTUAL, .target = "/work"};
 *	m.files = moat_tree_files(tree);
 *
 * What programs write is in the tree, and can be read after they have ended. With MS_RDONLY they
 * cannot; with `overlay` it stays in the sandbox's memory.
 */
struct moat_tree;

/* max_bytes: what contents, names and the like may take together, by the host program or by the
 * sandbox; 0: 64 MiB. NULL: out of memory. */
MOAT_API struct moat_tree *moat_tree_new(uint64_t max_bytes);
/* It is not mounted. NULL is fine. */
MOAT_API void moat_tree_free(struct moat_tree *t);
/* For struct moat_mount; borrowed from the tree. */
MOAT_API const struct moat_files *moat_tree_files(struct moat_tree *t);

/* A file of these permissions, of which root is the owner. The bytes are copied; with _borrow they
 * are not, have to stay as they are as long as the tree, and are copied when the file is written.
 */
MOAT_API int moat_tree_add(
	struct moat_tree *t, const char *path, uint32_t mode, const void *data, size_t len);
MOAT_API int moat_tree_borrow(
	struct moat_tree *t, const char *path, uint32_t mode, const void *data, size_t len);
MOAT_API int moat_tree_mkdir(struct moat_tree *t, const char *path, uint32_t mode);
MOAT_API int moat_tree_symlink(struct moat_tree *t, const char *path, const char *target);
MOAT_API int moat_tree_chown(struct moat_tree *t, const char *path, uint32_t uid, uint32_t gid);
/* A name, with all below it. -ENOENT. */
MOAT_API int moat_tree_remove(struct moat_tree *t, const char *path);

/* What a file holds now, in *ret (free()), with a NUL behind it; links are not followed. -ENOENT,
 * -EISDIR, -EINVAL (a link). */
MOAT_API int moat_tree_read(struct moat_tree *t, const char *path, void **ret, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif
