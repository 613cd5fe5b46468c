/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: options. A backslash keeps a comma, and a colon in lowerdir, from cutting. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that are taken with the value that asks for nothing more than there is. */
static const struct {
	const char *name, *values; /* separated by blanks; NULL: has none */
} fixed[] = {
	{"default_permissions", NULL},
	{"redirect_dir", "off nofollow"},
	{"index", "off"},
	{"metacopy", "off"},
	{"nfs_export", "off"},
	{"verity", "off"},
	{"xino", "off auto on"},
	{"uuid", "off null auto on"},
	{"volatile", NULL},
	{"userxattr", NULL},
};

static bool
is_word(const char *words, const char *w)
{
	const size_t len = strlen(w);

	while (*words) {
		size_t n = strcspn(words, " ");

		if (n == len && !memcmp(words, w, n))
			return true;
		words += n + strspn(words + n, " ");
	}
	return false;
}

int
ovl_options_check(const char *name, const char *val)
{
	static const char *const dirs[] = {"lowerdir", "lowerdir+", "upperdir", "workdir"};

	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
		if (!strcmp(name, dirs[i]))
			return val && *val ? 0 : -EINVAL;
	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		if (!strcmp(name, fixed[i].name))
			return !fixed[i].values == !val && (!val || is_word(fixed[i].values, val))
				       ? 0
				       : -EINVAL;
	return -EINVAL;
}

/* Cut at the next `at` that has no backslash before it. */
static char *
cut(char **rest, char at)
{
	char *s = *rest, *p = s;

	if (!s)
		return NULL;
	while (*p && *p != at)
		p += p[0] == '\\' && p[1] ? 2 : 1;
	*rest = *p ? p + 1 : NULL;
	*p = 0;
	return s;
}

static void
unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1])
			s++;
		*to++ = *s;
	}
	*to = 0;
}

static int
add_lower(struct ovl_options *o, char *dir)
{
	char **l;

	if (!*dir || o->nlower == OVL_LAYERS_MAX)
		return -EINVAL;
	l = realloc(o->lower, (o->nlower + 1) * sizeof *l);
	if (!l)
		return -ENOMEM;
	o->lower = l;
	l[o->nlower++] = dir;
	return 0;
}

static int
set_lower(struct ovl_options *o, char *dirs)
{
	char *dir;
	int r = 0;

	o->nlower = 0;
	o->one_by_one = false;
	while (!r && (dir = cut(&dirs, ':'))) {
		unescape(dir);
		r = add_lower(o, dir);
	}
	return r;
}

int
ovl_options_parse(char *text, struct ovl_options *o)
{
	char *s;
	int r = 0;

	memset(o, 0, sizeof *o);
	while (!r && (s = cut(&text, ','))) {
		char *val = strchr(s, '=');

		if (!*s)
			continue;
		if (val)
			*val++ = 0;
		r = ovl_options_check(s, val);
		if (r)
			break;
		if (!strcmp(s, "lowerdir")) {
			r = set_lower(o, val);
		} else if (!strcmp(s, "lowerdir+")) {
			r = add_lower(o, val);
			o->one_by_one = true;
		} else if (!strcmp(s, "upperdir")) {
			unescape(val);
			o->upper = val;
		} else if (!strcmp(s, "workdir")) {
			unescape(val);
			o->work = val;
		} else if (!strcmp(s, "userxattr")) {
			o->user_xattr = true;
		} else if (!strcmp(s, "volatile")) {
			o->is_volatile = true;
		} else if (!strcmp(s, "default_permissions")) {
			o->default_permissions = true;
		} else if (!strcmp(s, "uuid")) {
			o->uuid = val;
		} else if (!strcmp(s, "redirect_dir")) {
			o->no_follow = !strcmp(val, "nofollow");
		}
	}
	if (r)
		ovl_options_free(o);
	return r;
}

void
ovl_options_free(struct ovl_options *o)
{
	free(o->lower);
	o->lower = NULL;
}

static void
put_escaped(FILE *f, const char *s, const char *special)
{
	for (; *s; s++) {
		if (strchr(special, *s))
			fprintf(f, "\\%03o", (unsigned char)*s);
		else
			fputc(*s, f);
	}
}

char *
ovl_options_show(const struct ovl_options *o)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (uint32_t i = 0; i < o->nlower; i++) {
		fputs(o->one_by_one ? ",lowerdir+=" : i ? ":" : ",lowerdir=", f);
		put_escaped(f, o->lower[i], ",= \t\n\\:");
	}
	if (o->upper) {
		fputs(",upperdir=", f);
		put_escaped(f, o->upper, ",= \t\n\\");
		fputs(",workdir=", f);
		put_escaped(f, o->work, ",= \t\n\\");
	}
	if (o->default_permissions)
		fputs(",default_permissions", f);
	if (o->no_follow)
		fputs(",redirect_dir=nofollow", f);
	if (o->upper)
		fprintf(f, ",uuid=%s", o->uuid && strcmp(o->uuid, "auto") != 0 ? o->uuid : "on");
	if (o->is_volatile)
		fputs(",volatile", f);
	if (o->user_xattr)
		fputs(",userxattr", f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
