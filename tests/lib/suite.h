/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SUITE_H
#define TESTS_LIB_SUITE_H

#include <check.h>

/* Run t, which it frees: what main returns. */
static inline int
suite_run(const char *name, TCase *t)
{
	Suite *s = suite_create(name);
	SRunner *r;
	int failed;

	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

#endif
