/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that make their own configurations: this machine's files, what is written stays in
 * memory, and the test itself is TEST_SELF; and checks that print what they got. */
#ifndef TESTS_LIBMOAT_CONFIG_H
#define TESTS_LIBMOAT_CONFIG_H

#include "lib.h"

#define MIB	      (1024ULL * 1024)
#define ARGS(...)     ((const char *const[]){__VA_ARGS__, NULL})
#define SHELL(script) ARGS("/bin/sh", "-c", script)

#define CHECK_INT(got, want)                                                                       \
	do {                                                                                       \
		long long got_ = (got), want_ = (want);                                            \
		CHECK(got_ == want_, "it is %lld, not %lld", got_, want_);                         \
	} while (0)
#define CHECK_MOAT(call, err)                                                                      \
	do {                                                                                       \
		int r_ = (call);                                                                   \
		CHECK(r_ == 0, #call ": %s (%d)", (err).text, r_);                                 \
	} while (0)

#define TEST_SELF "/tmp/self" /* wherever it is outside, which may be below the host's /tmp */

static inline void
config_for(struct moat_config *c, const char *const *args)
{
	static char self[PATH_MAX];
	static struct box *b;

	if (!b) {
		CHECK(realpath("/proc/self/exe", self));
		b = box_new();
		b->c.die_with_parent = false;
		*box_mount(b, MOAT_MOUNT_TMPFS, "/tmp") = (struct moat_mount){
			.kind = MOAT_MOUNT_TMPFS, .target = "/tmp", .options = "mode=1777"};
		*box_mount(b, MOAT_MOUNT_HOST, TEST_SELF) = (struct moat_mount){
			.kind = MOAT_MOUNT_HOST, .source = self, .target = TEST_SELF};
	}
	*c = b->c;
	c->args = args;
}

#endif
