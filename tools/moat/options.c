/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
help(const char *usage, const struct option_row *rows, bool common)
{
	printf("usage: moat [--root DIR] [--log FILE] [--log-format text|json] %s\n", usage);
	for (; rows->kind; rows++) {
		char left[64];

		if (!rows->help)
			continue;
		snprintf(left, sizeof left, "--%s%s%s%c", rows->name,
			rows->kind == OPTION_FLAG ? "" : "=VALUE", rows->letter ? ", -" : "",
			rows->letter);
		printf("  %-26s %s\n", left, rows->help);
	}
	if (common)
		fputs(common_help, stdout);
	fputs("Taken, and without effect in a sandbox:", stdout);
	(void)rows;
	puts(" --no-pivot --no-new-keyring --no-subreaper --process-label --apparmor");
}

static const struct option_row *
find(const struct option_row *rows, const char *name, size_t len)
{
	for (; rows->kind; rows++)
		if ((strlen(rows->name) == len && memcmp(rows->name, name, len) == 0) ||
			(len == 1 && rows->letter == *name))
			return rows;
	return NULL;
}

static int
take(const struct option_row *o, const char *value)
{
	char *end;

	switch (o->kind) {
	case OPTION_TEXT:
		*(const char **)o->to = value;
		return 0;
	case OPTION_LIST:
		strings_add(o->to, value);
		return 0;
	case OPTION_NUMBER:
		*(unsigned *)o->to = (unsigned)strtoul(value, &end, 10);
		if (*value && *value != '-' && !*end)
			return 0;
		complain("--%s: \"%s\" is not a number", o->name, value);
		return -1;
	default:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
			complain("--%s: \"%s\" is neither true nor false", o->name, value);
			return -1;
		}
		*(bool *)o->to = value[0] == 't';
		return 0;
	}
}

/* One option at argv[*i]. -1: wrong. */
static int
one(const struct option_row *rows, struct common *common, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 1 + (argv[*i][1] == '-');
	size_t len = strcspn(name, "=");
	const struct option_row *o = find(rows, name, len);
	int r;

	if (!o && common) {
		r = common_option(common, argc, argv, i);
		if (r)
			return r < 0 ? -1 : 0;
	}
	if (!o) {
		complain("unknown option %s", argv[*i]);
		return -1;
	}
	if (name[len] == '=')
		return take(o, name + len + 1);
	if (o->kind == OPTION_FLAG) {
		*(bool *)o->to = true;
		return 0;
	}
	if (*i + 1 >= argc) {
		complain("--%s needs a value", o->name);
		return -1;
	}
	return take(o, argv[++*i]);
}

int
options_parse(const char *usage, const struct option_row *rows, struct common *common, int argc,
	char **argv, int min, int max)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			help(usage, rows, common != NULL);
			return -2;
		}
		if (one(rows, common, argc, argv, &i) < 0)
			return -1;
	}
	if (argc - i < min || (max >= 0 && argc - i > max)) {
		complain("%s: wrong number of arguments; usage: moat %s", argv[0], usage);
		return -1;
	}
	return i;
}
