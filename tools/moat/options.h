/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the commands that engines call, as runc takes them: "--name value", "--name=value",
 * "-n value", "-n=value", flags also as "--name=false"; one dash before a long name will do; all of
 * them before the first argument. */
#ifndef TOOLS_MOAT_OPTIONS_H
#define TOOLS_MOAT_OPTIONS_H

#include "moat.h"

enum option_kind {
	OPTION_END,
	OPTION_FLAG,   /* bool */
	OPTION_TEXT,   /* const char * */
	OPTION_NUMBER, /* unsigned */
	OPTION_LIST,   /* struct strings */
};

struct option_row {
	enum option_kind kind;
	const char *name;
	char letter; /* 0: none */
	void *to;
	const char *help; /* NULL: taken because engines pass it, and said so in help of the rest */
};

/* The index of the first argument; -1: wrong, which was said; -2: --help was answered. common may
 * be NULL. min, max: how many arguments there have to be (max < 0: any number). */
int options_parse(const char *usage, const struct option_row *rows, struct common *common, int argc,
	char **argv, int min, int max);

#endif
