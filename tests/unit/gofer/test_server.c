/* SPDX-License-Identifier: Apache-2.0 */
/* The gofer as its client sees it: the real program, confined as in a sandbox, over its real
 * socket. */
#include "lib/gofer_process.h"
#include <sys/mman.h>

static struct wire_packet reply;

/* One request; the error, and the reply's message in *ret. */
static int
ask(uint16_t type, const void *req, const ProtobufCMessageDescriptor *d, void *ret)
{
	static uint64_t id;

	ck_assert_int_eq(wire_send_msg(conn, type, ++id, 0, req, NULL, 0, 0), 0);
	if (wire_recv(conn, &reply, 0) != 1) {
		int status = -1;

		keeper_child_wait(keeper, 0, &status);
		ck_abort_msg("no reply to request %u: the gofer ended with %x", type, status);
	}
	ck_assert_uint_eq(reply.head.id, id);
	ck_assert_uint_eq(reply.head.type, type);
	if (reply.head.error == 0 && ret) {
		*(void **)ret = wire_unpack(d, reply.body, reply.head.len);
		ck_assert_ptr_nonnull(*(void **)ret);
	}
	return reply.head.error;
}

static uint64_t
attach(void)
{
	Gofer__AttachReq q = GOFER__ATTACH_REQ__INIT;
	Gofer__NodeRep *a;

	ck_assert_int_eq(ask(GOFER_ATTACH, &q, &gofer__node_rep__descriptor, &a), 0);
	return a->node->id;
}

/* Walk a path of names parted by '/'. */
static Gofer__WalkRep *
walk(uint64_t from, const char *path, int want_error)
{
	Gofer__WalkReq q = GOFER__WALK_REQ__INIT;
	ProtobufCBinaryData names[16];
	Gofer__WalkRep *a = NULL;

	q.dir = from;
	q.names = names;
	for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/')
		names[q.n_names++] = wire_bytes(p, strcspn(p, "/"));
	ck_assert_int_eq(ask(GOFER_WALK, &q, &gofer__walk_rep__descriptor, &a), want_error);
	return a;
}

START_TEST(walks)
{
	Gofer__WalkRep *a;
	uint64_t root;

	gofer_process_start(false);
	root = attach();
	a = walk(root, "a/b/c", 0);
	ck_assert_uint_eq(a->n_nodes, 3);
	ck_assert(S_ISDIR(a->nodes[2]->attr->mode));
	a = walk(root, "a/file", 0);
	ck_assert_uint_eq(a->nodes[1]->attr->size, 6);
	a = walk(root, "a/missing/x", 0);
	ck_assert_uint_eq(a->n_nodes, 1);
	ck_assert_uint_eq(a->stopped, ENOENT);
	a = walk(root, "a/link/x", 0);
	ck_assert_uint_eq(a->n_nodes, 2);
	ck_assert_uint_eq(a->stopped, ELOOP);
	ck_assert_int_eq(a->nodes[1]->link.len, strlen("/etc/passwd"));
	a = walk(root, "a/file/x", 0);
	ck_assert_uint_eq(a->stopped, ENOTDIR);
	gofer_process_stop();
}
END_TEST

START_TEST(refuses_to_leave)
{
	uint64_t root;

	gofer_process_start(false);
	root = attach();
	walk(root, "..", -EINVAL);
	walk(root, ".", -EINVAL);
	ck_assert_uint_eq(walk(root, "a/..", 0)->stopped, EINVAL);
	walk(12345, "a", -EBADF);
	{
		Gofer__WalkReq q = GOFER__WALK_REQ__INIT;
		ProtobufCBinaryData name = wire_bytes("a/b", 3);

		q.dir = root;
		q.names = &name;
		q.n_names = 1;
		ck_assert_int_eq(ask(GOFER_WALK, &q, NULL, NULL), -EINVAL);
		name = wire_bytes("a\0b", 3);
		ck_assert_int_eq(ask(GOFER_WALK, &q, NULL, NULL), -EINVAL);
	}
	gofer_process_stop();
}
END_TEST

START_TEST(files)
{
	Gofer__NewReq q = GOFER__NEW_REQ__INIT;
	Gofer__OpenReq o = GOFER__OPEN_REQ__INIT;
	Gofer__SetattrReq s = GOFER__SETATTR_REQ__INIT;
	Gofer__NodeRep *n;
	Gofer__AttrRep *at;
	uint64_t root;
	char buf[16];

	gofer_process_start(false);
	root = attach();
	q.dir = root;
	q.name = wire_bytes("new", 3);
	q.mode = S_IFREG | 0640;
	q.uid = geteuid();
	q.gid = getegid();
	q.access = WIRE_READ | WIRE_WRITE;
	ck_assert_int_eq(ask(GOFER_CREATE, &q, &gofer__node_rep__descriptor, &n), 0);
	ck_assert_uint_eq(reply.nfds, 1);
	ck_assert_int_eq(pwrite(reply.fds[0], "12345", 5, 0), 5);
	close(reply.fds[0]);
	ck_assert_uint_eq(n->node->attr->mode, S_IFREG | 0640);
	ck_assert_int_eq(ask(GOFER_CREATE, &q, NULL, NULL), -EEXIST);
	o.node = n->node->id;
	o.access = WIRE_READ;
	ck_assert_int_eq(ask(GOFER_OPEN, &o, &gofer__attr_rep__descriptor, &at), 0);
	ck_assert_uint_eq(at->attr->size, 5);
	ck_assert_int_eq(read(reply.fds[0], buf, sizeof buf), 5);
	ck_assert_int_eq(write(reply.fds[0], buf, 1), -1);
	close(reply.fds[0]);
	s.node = n->node->id;
	s.valid = WIRE_SET_SIZE | WIRE_SET_MODE | WIRE_SET_MTIME;
	s.size = 3;
	s.mode = 04755;
	s.mtime_s = 1000;
	ck_assert_int_eq(ask(GOFER_SETATTR, &s, &gofer__attr_rep__descriptor, &at), 0);
	ck_assert_uint_eq(at->attr->size, 3);
	ck_assert_uint_eq(at->attr->mode, S_IFREG | 04755);
	ck_assert_int_eq(at->attr->mtime_s, 1000);
	/* directories and FIFOs are not opened */
	o.node = root;
	ck_assert_int_eq(ask(GOFER_OPEN, &o, NULL, NULL), -EISDIR);
	o.node = walk(root, "fifo", 0)->nodes[0]->id;
	ck_assert_int_eq(ask(GOFER_OPEN, &o, NULL, NULL), -ENXIO);
	o.node = walk(root, "a/link", 0)->nodes[1]->id;
	ck_assert_int_eq(ask(GOFER_OPEN, &o, NULL, NULL), -ENXIO);
	gofer_process_stop();
}
END_TEST

START_TEST(names)
{
	Gofer__NewReq q = GOFER__NEW_REQ__INIT;
	Gofer__LinkReq l = GOFER__LINK_REQ__INIT;
	Gofer__RenameReq m = GOFER__RENAME_REQ__INIT;
	Gofer__UnlinkReq u = GOFER__UNLINK_REQ__INIT;
	Gofer__ReaddirReq d = GOFER__READDIR_REQ__INIT;
	Gofer__ForgetReq fg = GOFER__FORGET_REQ__INIT;
	Gofer__ReaddirRep *list;
	Gofer__AttrRep *at;
	Gofer__NodeRep *n;
	uint64_t root, file;

	gofer_process_start(false);
	root = attach();
	q.dir = root;
	q.name = wire_bytes("dir", 3);
	q.mode = S_IFDIR | 02755;
	q.uid = geteuid();
	q.gid = getegid();
	ck_assert_int_eq(ask(GOFER_MKDIR, &q, &gofer__node_rep__descriptor, &n), 0);
	ck_assert_uint_eq(n->node->attr->mode, S_IFDIR | 02755);
	q.name = wire_bytes("sym", 3);
	q.target = wire_bytes("nowhere", 7);
	ck_assert_int_eq(ask(GOFER_SYMLINK, &q, &gofer__node_rep__descriptor, &n), 0);
	ck_assert_uint_eq(n->node->link.len, 7);
	q.name = wire_bytes("pipe", 4);
	q.target = (ProtobufCBinaryData){0};
	q.mode = S_IFIFO | 0600;
	ck_assert_int_eq(ask(GOFER_MKNOD, &q, &gofer__node_rep__descriptor, &n), 0);
	file = walk(root, "a/file", 0)->nodes[1]->id;
	l.node = file;
	l.dir = root;
	l.name = wire_bytes("hard", 4);
	ck_assert_int_eq(ask(GOFER_LINK, &l, &gofer__attr_rep__descriptor, &at), 0);
	ck_assert_uint_eq(at->attr->nlink, 2);
	m.old_dir = m.new_dir = root;
	m.old_name = wire_bytes("hard", 4);
	m.new_name = wire_bytes("moved", 5);
	ck_assert_int_eq(ask(GOFER_RENAME, &m, NULL, NULL), 0);
	m.flags = WIRE_RENAME_NOREPLACE;
	m.old_name = wire_bytes("moved", 5);
	m.new_name = wire_bytes("dir", 3);
	ck_assert_int_eq(ask(GOFER_RENAME, &m, NULL, NULL), -EEXIST);
	d.node = root;
	d.nodes = true;
	ck_assert_int_eq(ask(GOFER_READDIR, &d, &gofer__readdir_rep__descriptor, &list), 0);
	ck_assert_uint_eq(list->n_entries, 6);
	ck_assert(list->end);
	for (size_t i = 0; i < list->n_entries; i++) {
		const Gofer__Entry *e = list->entries[i];

		ck_assert_int_eq(e->node != NULL, e->type == 4 /* DT_DIR */);
		if (e->node)
			ck_assert_uint_eq(e->node->attr->ino, e->ino);
	}
	u.dir = root;
	u.name = wire_bytes("dir", 3);
	ck_assert_int_eq(ask(GOFER_UNLINK, &u, NULL, NULL), -EISDIR);
	u.rmdir = true;
	ck_assert_int_eq(ask(GOFER_UNLINK, &u, NULL, NULL), 0);
	fg.nodes = &file;
	fg.n_nodes = 1;
	ck_assert_int_eq(wire_send_msg(conn, GOFER_FORGET, 0, 0, &fg.base, NULL, 0, 0), 0);
	usleep(20000);
	l.name = wire_bytes("again", 5);
	ck_assert_int_eq(ask(GOFER_LINK, &l, NULL, NULL), -EBADF);
	gofer_process_stop();
}
END_TEST

START_TEST(many_at_once)
{
	Gofer__LookupsReq q = GOFER__LOOKUPS_REQ__INIT;
	Gofer__ReaddirReq d = GOFER__READDIR_REQ__INIT;
	ProtobufCBinaryData n[WIRE_LOOKUPS_MAX + 1];
	Gofer__LookupsRep *a;
	Gofer__ReaddirRep *list;
	uint64_t root, also[WIRE_ALSO_MAX + 1] = {0};
	char buf[16];

	gofer_process_start(false);
	root = attach();
	q.dir = walk(root, "a", 0)->nodes[0]->id;
	q.names = n;
	q.open = true;
	n[0] = wire_bytes("b", 1);
	n[1] = wire_bytes("missing", 7);
	n[2] = wire_bytes("..", 2);
	n[3] = wire_bytes("file", 4);
	n[4] = wire_bytes("link", 4);
	q.n_names = 5;
	ck_assert_int_eq(ask(GOFER_LOOKUPS, &q, &gofer__lookups_rep__descriptor, &a), 0);
	ck_assert_uint_eq(a->n_found, 5);
	ck_assert(S_ISDIR(a->found[0]->node->attr->mode) && !a->found[0]->fd);
	ck_assert(!a->found[1]->node && a->found[1]->err == ENOENT);
	ck_assert(!a->found[2]->node && a->found[2]->err == EINVAL);
	ck_assert_uint_eq(a->found[3]->node->attr->size, 6);
	ck_assert(a->found[3]->fd && !a->found[4]->fd);
	ck_assert_uint_eq(reply.nfds, 1);
	ck_assert_int_eq(read(reply.fds[0], buf, sizeof buf), 6);
	ck_assert_int_eq(write(reply.fds[0], buf, 1), -1);
	close(reply.fds[0]);
	d.node = root;
	d.also = also;
	d.n_also = 3;
	also[0] = q.dir;
	also[1] = 12345;		 /* none */
	also[2] = a->found[3]->node->id; /* no directory */
	ck_assert_int_eq(ask(GOFER_READDIR, &d, &gofer__readdir_rep__descriptor, &list), 0);
	ck_assert_uint_eq(list->n_also, 2);
	ck_assert(list->also[0]->end && list->also[0]->n_entries >= 3);
	ck_assert_uint_eq(list->also[0]->of, also[0]);
	ck_assert_uint_eq(list->also[1]->of, also[2]);
	ck_assert(!list->also[1]->end && !list->also[1]->n_entries);
	ck_assert(!list->n_entries || !list->entries[0]->node);
	d.nodes = d.deep = d.open = true;
	d.n_also = 0;
	ck_assert_int_eq(ask(GOFER_READDIR, &d, &gofer__readdir_rep__descriptor, &list), 0);
	ck_assert_uint_eq(list->n_also, 3); /* a, a/b, a/b/c */
	for (size_t i = 0; i < list->n_also; i++) {
		const Gofer__ReaddirRep *of = i ? list->also[i - 1] : list;
		const Gofer__Entry *e = NULL;

		for (size_t k = 0; k < of->n_entries; k++)
			if (of->entries[k]->node && of->entries[k]->node->id == list->also[i]->of)
				e = of->entries[k];
		ck_assert_ptr_nonnull(e);
		ck_assert_uint_eq(e->name.data[0], "abc"[i]);
		ck_assert(list->also[i]->end);
	}
	ck_assert_uint_eq(reply.nfds, 1); /* a/file */
	ck_assert_int_eq(read(reply.fds[0], buf, sizeof buf), 6);
	close(reply.fds[0]);
	d.n_also = WIRE_ALSO_MAX + 1;
	ck_assert_int_eq(ask(GOFER_READDIR, &d, NULL, NULL), -EINVAL);
	for (size_t i = 0; i <= WIRE_LOOKUPS_MAX; i++)
		n[i] = wire_bytes("b", 1);
	q.n_names = WIRE_LOOKUPS_MAX + 1;
	ck_assert_int_eq(ask(GOFER_LOOKUPS, &q, NULL, NULL), -EINVAL);
	gofer_process_stop();
}
END_TEST

START_TEST(readonly_export)
{
	Gofer__NewReq q = GOFER__NEW_REQ__INIT;
	Gofer__OpenReq o = GOFER__OPEN_REQ__INIT;
	Gofer__SetattrReq s = GOFER__SETATTR_REQ__INIT;
	uint64_t root;

	gofer_process_start(true);
	root = attach();
	q.dir = root;
	q.name = wire_bytes("x", 1);
	q.mode = S_IFREG | 0644;
	ck_assert_int_eq(ask(GOFER_CREATE, &q, NULL, NULL), -EROFS);
	o.node = s.node = walk(root, "a/file", 0)->nodes[1]->id;
	o.access = WIRE_WRITE;
	ck_assert_int_eq(ask(GOFER_OPEN, &o, NULL, NULL), -EROFS);
	o.access = WIRE_READ | WIRE_TRUNC;
	ck_assert_int_eq(ask(GOFER_OPEN, &o, NULL, NULL), -EINVAL);
	s.valid = WIRE_SET_MODE;
	ck_assert_int_eq(ask(GOFER_SETATTR, &s, NULL, NULL), -EROFS);
	gofer_process_stop();
}
END_TEST

START_TEST(xattrs)
{
	Gofer__XattrReq x = GOFER__XATTR_REQ__INIT;
	Gofer__NodeReq q = GOFER__NODE_REQ__INIT;
	Gofer__XattrRep *v;
	int r;

	gofer_process_start(false);
	q.node = x.node = walk(attach(), "a/file", 0)->nodes[1]->id;
	x.name = wire_bytes("user.k", 6);
	x.value = wire_bytes("val", 3);
	r = ask(GOFER_SETXATTR, &x, NULL, NULL);
	if (r != -EOPNOTSUPP) { /* old tmpfs has no user.* */
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(ask(GOFER_GETXATTR, &x, &gofer__xattr_rep__descriptor, &v), 0);
		ck_assert_uint_eq(v->value.len, 3);
		ck_assert_int_eq(ask(GOFER_LISTXATTR, &q, &gofer__xattr_rep__descriptor, &v), 0);
		ck_assert_uint_eq(v->value.len, 7);
		ck_assert_int_eq(ask(GOFER_REMOVEXATTR, &x, NULL, NULL), 0);
		ck_assert_int_eq(ask(GOFER_GETXATTR, &x, NULL, NULL), -ENODATA);
	}
	x.name = wire_bytes("bogus", 5);
	ck_assert_int_eq(ask(GOFER_GETXATTR, &x, NULL, NULL), -EOPNOTSUPP);
	gofer_process_stop();
}
END_TEST

/* A memory file of the sentry's comes back to be read only; no other file does. */
START_TEST(reopens)
{
	Gofer__Empty q = GOFER__EMPTY__INIT;
	int fd = memfd_create("m", 0), other = memfd_create("n", 0), status;
	char path[160];

	gofer_process_start(false);
	attach();
	ck_assert_int_eq(pwrite(fd, "x", 1, 0), 1);
	ck_assert_int_eq(wire_send_msg(conn, GOFER_REOPEN, 77, 0, &q.base, &fd, 1, 0), 0);
	ck_assert_int_eq(wire_recv(conn, &reply, 0), 1);
	ck_assert_int_eq(reply.head.error, 0);
	ck_assert_uint_eq(reply.nfds, 1);
	ck_assert_int_eq(fcntl(reply.fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(pread(reply.fds[0], path, 8, 0), 1);
	ck_assert_int_eq(path[0], 'x');
	ck_assert_ptr_eq(
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reply.fds[0], 0), MAP_FAILED);
	snprintf(path, sizeof path, "%s/a/file", dir);
	dup2(open(path, O_WRONLY), other);
	ck_assert_int_eq(wire_send_msg(conn, GOFER_REOPEN, 78, 0, &q.base, &other, 1, 0), 0);
	ck_assert_int_eq(wire_recv(conn, &reply, 0), 1);
	ck_assert_int_eq(reply.head.error, -EINVAL);
	ck_assert_uint_eq(reply.nfds, 0);
	/* With any other request a descriptor is no message. */
	ck_assert_int_eq(wire_send_msg(conn, GOFER_GETATTR, 79, 0, &q.base, &fd, 1, 0), 0);
	ck_assert_int_eq(wire_recv(conn, &reply, 0), 0);
	ck_assert_int_eq(keeper_child_wait(keeper, 0, &status), 0);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(conn);
	snprintf(path, sizeof path, "rm -rf %s", dir);
	ck_assert_int_eq(system(path), 0);
}
END_TEST

/* A peer that breaks the protocol is dropped; nothing else happens. */
START_TEST(garbage)
{
	struct wire_head h = {.id = 1, .type = GOFER_WALK};
	uint8_t junk[160];
	int status;

	gofer_process_start(false);
	memset(junk, 0xff, 64);
	ck_assert_int_eq(wire_send(conn, &h, junk, 64, NULL, 0, 0), 0);
	ck_assert_int_eq(wire_recv(conn, &reply, 0), 0);
	ck_assert_int_eq(keeper_child_wait(keeper, 0, &status), 0);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(conn);
	snprintf((char *)junk, sizeof junk, "rm -rf %s", dir);
	ck_assert_int_eq(system((char *)junk), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("requests");

	tcase_add_test(t, walks);
	tcase_add_test(t, refuses_to_leave);
	tcase_add_test(t, files);
	tcase_add_test(t, names);
	tcase_add_test(t, readonly_export);
	tcase_add_test(t, xattrs);
	tcase_add_test(t, many_at_once);
	tcase_add_test(t, reopens);
	tcase_add_test(t, garbage);
	return suite_run("gofer server", t);
}
