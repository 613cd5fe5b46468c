/* SPDX-License-Identifier: Apache-2.0 */
/* Start a sandbox from a host directory, run, wait, destroy: what comes out, and nothing is left.
 */
#include "lib.h"

static void
runs_and_ends(void)
{
	box_expect(box_new(), "echo hello; exit 7", "hello\n", 7 << 8);
	box_expect(box_new(), "kill -9 $$", "", 9);
}

/* What is written to a host directory is there; a read-only one refuses. */
static void
host_directories(void)
{
	char dir[] = "/tmp/libmoat.XXXXXX", file[64];
	struct box *b = box_new();
	struct moat_mount *m;

	CHECK(mkdtemp(dir));
	m = box_mount(b, MOAT_MOUNT_HOST, "/mnt");
	m->source = dir;
	m->shared = true;
	box_expect(b, "echo written >/mnt/f && cat /mnt/f", "written\n", 0);
	snprintf(file, sizeof file, "%s/f", dir);
	CHECK(access(file, F_OK) == 0);
	b = box_new();
	m = box_mount(b, MOAT_MOUNT_HOST, "/mnt");
	m->source = dir;
	m->flags = MS_RDONLY;
	box_expect(b, "cat /mnt/f; rm /mnt/f 2>/dev/null || echo no", "written\nno\n", 0);
	CHECK(unlink(file) == 0 && rmdir(dir) == 0);
}

static void
errors(void)
{
	struct box *b = box_new();

	box_args(b, "/no/such/program", NULL, NULL);
	CHECK(moat_start(&b->c, &b->s, &b->err) == -ENOENT && b->err.exec);
	CHECK(b->err.code == ENOENT && b->err.text[0] && !strchr(b->err.text, '\n'));
	box_args(b, "/bin/true", NULL, NULL);
	b->mounts[0].source = "/no/such/directory";
	CHECK(moat_start(&b->c, &b->s, &b->err) == -ENOENT && !b->err.exec);
	CHECK(strstr(b->err.text, "/no/such/directory"), "%s", b->err.text);
	b->s = NULL;
	box_free(b);
}

int
main(void)
{
	struct own before = own_now();

	runs_and_ends();
	host_directories();
	errors();
	own_check(before);
	return 0;
}
