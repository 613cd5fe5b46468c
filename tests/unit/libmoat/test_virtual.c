/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of virtual files, asked by somebody who means no good: requests out of order, numbers
 * that it was not given, names that are none, random bytes. The functions of the host program have
 * to see nothing but what moat/files.h promises, and everything has to be given back at the end.
 */
#include "lib/suite.h"
#include "tools/libmoat/virtual.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic int opened, released, bad_paths;
static struct vserver *server;
static int sock;

static void
look(const char *path)
{
	bool ok = path && strlen(path) < 4096 && (path[0] == '/' || !path[0]) &&
		  !strstr(path, "//") && !strstr(path, "/../") && !strstr(path, "/./");
	size_t n = path ? strlen(path) : 0;

	if (n > 1 && (path[n - 1] == '/' || (path[n - 1] == '.' && path[n - 2] == '/') ||
			     (n > 2 && !strcmp(path + n - 3, "/.."))))
		ok = false;
	bad_paths += !ok;
}

static int
u_getattr(void *user, const char *path, void *file, struct moat_file_attr *a)
{
	const char *last = strrchr(path, '/');

	(void)user, (void)file;
	look(path);
	if (!last || last[1] == 'n')
		return -ENOENT;
	a->mode = last[1] == 'l'   ? S_IFLNK | 0777
		  : last[1] == 'f' ? S_IFREG | 0644
				   : S_IFDIR | 0755;
	return 0;
}

static int
u_readdir(void *user, const char *path, struct moat_dir *d)
{
	(void)user;
	look(path);
	return moat_dir_add(d, "f", S_IFREG) ?: moat_dir_add(d, "d", S_IFDIR);
}

static int
u_readlink(void *user, const char *path, char *buf, size_t size)
{
	(void)user;
	look(path);
	memset(buf, 'l', size - 1);
	return 0;
}

static int
u_open(void *user, const char *path, int flags, void **ret)
{
	(void)user, (void)flags;
	look(path);
	*ret = malloc(1);
	opened++;
	return 0;
}

static ssize_t
u_read(void *user, const char *path, void *file, void *buf, size_t len, uint64_t off)
{
	(void)user, (void)off;
	look(path);
	ck_assert_ptr_nonnull(file);
	memset(buf, 'r', len);
	return (ssize_t)len;
}

static ssize_t
u_write(void *user, const char *path, void *file, const void *buf, size_t len, uint64_t off)
{
	(void)user, (void)buf, (void)off;
	look(path);
	ck_assert_ptr_nonnull(file);
	return (ssize_t)len;
}

static void
u_release(void *user, void *file)
{
	(void)user;
	free(file);
	released++;
}

static int
u_truncate(void *user, const char *path, void *file, uint64_t size)
{
	(void)user, (void)file, (void)size;
	look(path);
	return 0;
}

static int
u_make(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	(void)user, (void)uid, (void)gid;
	look(path);
	ck_assert_uint_eq(mode & ~07777u, 0);
	return 0;
}

static int
u_remove(void *user, const char *path)
{
	(void)user;
	look(path);
	return 0;
}

static int
u_rename(void *user, const char *from, const char *to, unsigned flags)
{
	(void)user, (void)flags;
	look(from);
	look(to);
	return 0;
}

static const struct moat_files_ops ops = {.getattr = u_getattr,
	.readdir = u_readdir,
	.readlink = u_readlink,
	.open = u_open,
	.read = u_read,
	.write = u_write,
	.release = u_release,
	.truncate = u_truncate,
	.create = u_make,
	.mkdir = u_make,
	.unlink = u_remove,
	.rmdir = u_remove,
	.rename = u_rename};

static void
start(bool readonly)
{
	const struct moat_files f = {.ops = &ops};

	opened = released = bad_paths = 0;
	ck_assert_int_eq(vserver_start(&f, readonly, &server, &sock), 0);
}

static void
stop(void)
{
	close(sock);
	vserver_stop(server);
	ck_assert_int_eq(opened, released);
	ck_assert_int_eq(bad_paths, 0);
}

/* The error of the answer; the answer in *ret, if that is wanted. */
static int
ask(uint16_t type, const void *msg, const ProtobufCMessageDescriptor *d, void *ret)
{
	static struct wire_packet p;
	void *m;

	ck_assert_int_eq(wire_send_msg(sock, type, 7, 0, msg, NULL, 0, 0), 0);
	ck_assert_int_eq(wire_recv(sock, &p, 0), 1);
	ck_assert_uint_eq(p.head.id, 7);
	ck_assert_uint_eq(p.head.type, type);
	if (p.head.error || !ret)
		return p.head.error;
	m = wire_unpack(d, p.body, p.head.len);
	ck_assert_ptr_nonnull(m);
	*(void **)ret = m;
	return 0;
}

static uint64_t
attach(void)
{
	Gofer__AttachReq q = GOFER__ATTACH_REQ__INIT;
	Gofer__NodeRep *a;
	uint64_t id;

	ck_assert_int_eq(ask(GOFER_ATTACH, &q, &gofer__node_rep__descriptor, &a), 0);
	id = a->node->id;
	gofer__node_rep__free_unpacked(a, NULL);
	return id;
}

static int
walk(uint64_t dir, const char *name, size_t len, uint64_t *ret)
{
	Gofer__WalkReq q = GOFER__WALK_REQ__INIT;
	ProtobufCBinaryData b = wire_bytes(name, len);
	Gofer__WalkRep *a;
	int r;

	q.dir = dir;
	q.names = &b;
	q.n_names = 1;
	r = ask(GOFER_WALK, &q, &gofer__walk_rep__descriptor, &a);
	if (r < 0)
		return r;
	r = -(int)a->stopped;
	if (r == 0 && ret)
		*ret = a->nodes[0]->id;
	gofer__walk_rep__free_unpacked(a, NULL);
	return r;
}

START_TEST(names)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "../x"};
	char longest[300];
	uint64_t root, f;

	start(false);
	root = attach();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_int_eq(walk(root, bad[i], strlen(bad[i]), NULL), -EINVAL);
	ck_assert_int_eq(walk(root, "a\0b", 3, NULL), -EINVAL);
	memset(longest, 'd', sizeof longest);
	ck_assert_int_eq(walk(root, longest, 256, NULL), -EINVAL);
	ck_assert_int_eq(walk(root, "n", 1, NULL), -ENOENT);
	ck_assert_int_eq(walk(root, "f", 1, &f), 0);
	ck_assert_int_eq(walk(f, "f", 1, NULL), -ENOTDIR);
	ck_assert_int_eq(walk(12345, "f", 1, NULL), -EBADF);
	ck_assert_int_eq(walk(0, "f", 1, NULL), -EBADF);
	/* Deeper than a path can be. */
	for (int i = 0, r = 0; i < 20; i++) {
		r = walk(root, longest, 255, &f);
		ck_assert_int_eq(r, i < 15 ? 0 : -ENAMETOOLONG);
		root = r ? root : f;
	}
	stop();
}
END_TEST

START_TEST(files)
{
	Gofer__OpenReq o = GOFER__OPEN_REQ__INIT;
	Gofer__FileReadReq rd = GOFER__FILE_READ_REQ__INIT;
	Gofer__FileWriteReq wr = GOFER__FILE_WRITE_REQ__INIT;
	Gofer__FileReq cl = GOFER__FILE_REQ__INIT;
	Gofer__FileRep *a;
	uint64_t root;

	start(false);
	root = attach();
	ck_assert_int_eq(walk(root, "f", 1, &o.node), 0);
	for (o.access = 0; o.access < 40; o.access++) {
		int r = ask(GOFER_FILE_OPEN, &o, &gofer__file_rep__descriptor, &a);

		if (!(o.access & 3) || (o.access & ~11u)) {
			ck_assert_int_eq(r, -EINVAL);
			continue;
		}
		ck_assert_int_eq(r, 0);
		rd.file = wr.file = a->file;
		rd.len = 100;
		gofer__file_rep__free_unpacked(a, NULL);
		ck_assert_int_eq(ask(GOFER_FILE_READ, &rd, NULL, NULL), o.access & 1 ? 0 : -EBADF);
		ck_assert_int_eq(ask(GOFER_FILE_WRITE, &wr, NULL, NULL), o.access & 2 ? 0 : -EBADF);
	}
	o.access = 3;
	ck_assert_int_eq(ask(GOFER_FILE_OPEN, &o, &gofer__file_rep__descriptor, &a), 0);
	rd.file = wr.file = cl.file = a->file;
	gofer__file_rep__free_unpacked(a, NULL);
	rd.len = UINT32_MAX;
	ck_assert_int_eq(ask(GOFER_FILE_READ, &rd, NULL, NULL), -EINVAL);
	rd.len = 10;
	rd.offset = UINT64_MAX;
	ck_assert_int_eq(ask(GOFER_FILE_READ, &rd, NULL, NULL), -EINVAL);
	wr.offset = INT64_MAX;
	wr.data = wire_bytes("x", 1);
	ck_assert_int_eq(ask(GOFER_FILE_WRITE, &wr, NULL, NULL), -EFBIG);
	/* Closed twice, used after that. */
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			wire_send_msg(sock, GOFER_FILE_CLOSE, 0, 0, &cl.base, NULL, 0, 0), 0);
	rd.offset = 0;
	ck_assert_int_eq(ask(GOFER_FILE_READ, &rd, NULL, NULL), -EBADF);
	o.node = root;
	ck_assert_int_eq(ask(GOFER_FILE_OPEN, &o, NULL, NULL), -EISDIR);
	stop();
}
END_TEST

START_TEST(read_only)
{
	Gofer__NewReq q = GOFER__NEW_REQ__INIT;
	Gofer__UnlinkReq u = GOFER__UNLINK_REQ__INIT;
	Gofer__RenameReq rn = GOFER__RENAME_REQ__INIT;
	Gofer__SetattrReq s = GOFER__SETATTR_REQ__INIT;
	Gofer__OpenReq o = GOFER__OPEN_REQ__INIT;
	uint64_t root;

	start(true);
	root = attach();
	q.dir = u.dir = rn.old_dir = rn.new_dir = root;
	q.name = u.name = rn.old_name = rn.new_name = wire_bytes("f", 1);
	ck_assert_int_eq(ask(GOFER_CREATE, &q, NULL, NULL), -EROFS);
	ck_assert_int_eq(ask(GOFER_MKDIR, &q, NULL, NULL), -EROFS);
	ck_assert_int_eq(ask(GOFER_SYMLINK, &q, NULL, NULL), -EROFS);
	ck_assert_int_eq(ask(GOFER_UNLINK, &u, NULL, NULL), -EROFS);
	ck_assert_int_eq(ask(GOFER_RENAME, &rn, NULL, NULL), -EROFS);
	ck_assert_int_eq(walk(root, "f", 1, &o.node), 0);
	s.node = o.node;
	s.valid = WIRE_SET_SIZE;
	ck_assert_int_eq(ask(GOFER_SETATTR, &s, NULL, NULL), -EROFS);
	o.access = 2;
	ck_assert_int_eq(ask(GOFER_FILE_OPEN, &o, NULL, NULL), -EROFS);
	stop();
}
END_TEST

/* A file that lost its name, a directory moved below itself, numbers forgotten twice. */
START_TEST(odd)
{
	Gofer__OpenReq o = GOFER__OPEN_REQ__INIT;
	Gofer__UnlinkReq u = GOFER__UNLINK_REQ__INIT;
	Gofer__RenameReq rn = GOFER__RENAME_REQ__INIT;
	Gofer__FileReadReq rd = GOFER__FILE_READ_REQ__INIT;
	Gofer__ForgetReq fg = GOFER__FORGET_REQ__INIT;
	Gofer__NodeReq nq = GOFER__NODE_REQ__INIT;
	Gofer__AttrRep *at;
	Gofer__FileRep *a;
	uint64_t root, d, e;

	start(false);
	root = attach();
	ck_assert_int_eq(walk(root, "d", 1, &d), 0);
	ck_assert_int_eq(walk(d, "f", 1, &o.node), 0);
	o.access = 1;
	ck_assert_int_eq(ask(GOFER_FILE_OPEN, &o, &gofer__file_rep__descriptor, &a), 0);
	rd.file = a->file;
	rd.len = 5;
	gofer__file_rep__free_unpacked(a, NULL);
	u.dir = d;
	u.name = wire_bytes("f", 1);
	ck_assert_int_eq(ask(GOFER_UNLINK, &u, NULL, NULL), 0);
	ck_assert_int_eq(ask(GOFER_FILE_READ, &rd, NULL, NULL), 0);
	ck_assert_int_eq(ask(GOFER_FILE_OPEN, &o, NULL, NULL), -ENOENT);
	nq.node = o.node;
	ck_assert_int_eq(ask(GOFER_GETATTR, &nq, &gofer__attr_rep__descriptor, &at), 0);
	ck_assert_uint_eq(at->attr->nlink, 0);
	gofer__attr_rep__free_unpacked(at, NULL);
	ck_assert_int_eq(walk(d, "e", 1, &e), 0);
	rn.old_dir = root;
	rn.old_name = wire_bytes("d", 1);
	rn.new_dir = e;
	rn.new_name = wire_bytes("x", 1);
	ck_assert_int_eq(ask(GOFER_RENAME, &rn, NULL, NULL), -EINVAL);
	fg.nodes = &d;
	fg.n_nodes = 1;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(wire_send_msg(sock, GOFER_FORGET, 0, 0, &fg.base, NULL, 0, 0), 0);
	/* It still stands above others. */
	ck_assert_int_eq(walk(e, "f", 1, NULL), 0);
	stop();
}
END_TEST

static uint64_t
rnd(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* Requests that are well-formed and senseless, of few names and small numbers. */
START_TEST(senseless)
{
	static const char *const some[] = {"f", "d", "l", "n", "ff", "dd", "..", "e/"};
	static struct wire_packet p;

	start(false);
	(void)attach();
	for (int i = 0; i < 30000; i++) {
		const char *s = some[rnd() % 8], *t = some[rnd() % 8];
		uint64_t a = rnd() % 24, b = rnd() % 24, list[2] = {rnd() % 24, rnd() % 24};
		ProtobufCBinaryData n[2] = {wire_bytes(s, strlen(s)), wire_bytes(t, strlen(t))};
		Gofer__WalkReq w = {PROTOBUF_C_MESSAGE_INIT(&gofer__walk_req__descriptor), a, 2, n};
		Gofer__ForgetReq f = GOFER__FORGET_REQ__INIT;
		Gofer__RenameReq r = GOFER__RENAME_REQ__INIT;
		Gofer__UnlinkReq u = GOFER__UNLINK_REQ__INIT;
		Gofer__OpenReq o = GOFER__OPEN_REQ__INIT;
		Gofer__FileReq c = GOFER__FILE_REQ__INIT;
		Gofer__FileReadReq rd = GOFER__FILE_READ_REQ__INIT;
		Gofer__ReaddirReq l = GOFER__READDIR_REQ__INIT;
		Gofer__SetattrReq st = GOFER__SETATTR_REQ__INIT;
		struct {
			uint16_t type;
			const ProtobufCMessage *m;
		} all[] = {{GOFER_WALK, &w.base}, {GOFER_FORGET, &f.base}, {GOFER_RENAME, &r.base},
			{GOFER_UNLINK, &u.base}, {GOFER_FILE_OPEN, &o.base},
			{GOFER_FILE_CLOSE, &c.base}, {GOFER_FILE_READ, &rd.base},
			{GOFER_READDIR, &l.base}, {GOFER_SETATTR, &st.base}, {GOFER_WALK, &w.base}};
		unsigned k = (unsigned)(rnd() % 10);

		f.n_nodes = 2;
		f.nodes = list;
		r.old_dir = a;
		r.new_dir = b;
		r.old_name = n[0];
		r.new_name = n[1];
		r.flags = rnd() % 4;
		u.dir = o.node = c.file = rd.file = l.node = st.node = a;
		u.name = n[0];
		o.access = rnd() % 4;
		rd.len = 10;
		l.cookie = (int64_t)(rnd() % 3 ? 0 : rnd());
		st.valid = rnd() % 256;
		ck_assert_int_eq(wire_send_msg(sock, all[k].type, 1, 0, all[k].m, NULL, 0, 0), 0);
		if (all[k].type != GOFER_FORGET && all[k].type != GOFER_FILE_CLOSE)
			ck_assert_int_eq(wire_recv(sock, &p, 0), 1);
	}
	stop();
}
END_TEST

/* Bytes that are no messages, and descriptors: the connection ends, and nothing else. */
START_TEST(malformed)
{
	static uint8_t bytes[WIRE_BODY_MAX];
	static struct wire_packet p;
	struct wire_head h;
	int given = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < 300; i++) {
		start(false);
		for (int k = 0; k < 20; k++) {
			size_t n = rnd() % (i % 2 ? 40 : sizeof bytes);

			for (size_t j = 0; j < n && j < 4096; j++)
				bytes[j] = (uint8_t)(rnd() >> 40);
			h = (struct wire_head){.id = rnd(), .type = (uint16_t)(rnd() % 40)};
			if (wire_send(sock, &h, bytes, n, NULL, 0, MSG_DONTWAIT) < 0)
				break;
		}
		stop();
	}
	start(false);
	h = (struct wire_head){.id = 1, .type = GOFER_REOPEN};
	ck_assert_int_eq(wire_send(sock, &h, NULL, 0, &given, 1, 0), 0);
	ck_assert_int_eq(wire_recv(sock, &p, 0), 0);
	stop();
	start(false);
	ck_assert_int_eq(send(sock, "short", 5, 0), 5);
	ck_assert_int_eq(wire_recv(sock, &p, 0), 0);
	stop();
	close(given);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, names);
	tcase_add_test(t, files);
	tcase_add_test(t, read_only);
	tcase_add_test(t, odd);
	tcase_add_test(t, senseless);
	tcase_add_test(t, malformed);
	return suite_run("virtual files", t);
}
