/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of resctrl. One that the configuration names may be shared, and stays; one that it does
 * not name has the container's name and goes with it. A thread is in one group, and what it makes
 * is in the same: so each process of a sandbox is put there before it runs.
 */
#include "rdt.h"
#include "moat.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 16384 /* bytes of a file that are read */

char *
rdt_top(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	char *top = NULL;

	while (f && !top && (m = getmntent(f)))
		if (strcmp(m->mnt_type, "resctrl") == 0)
			top = print_text("%s", m->mnt_dir);
	if (f)
		endmntent(f);
	return top;
}

/* --- files --- */

/* All of DIR/FILE without the last newline; false: there is none. */
static bool
read_text(const char *dir, const char *file, char *buf, size_t cap)
{
	char *path = print_text("%s/%s", dir, file);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(buf, 1, cap - 1, f) : 0;

	if (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	free(path);
	if (f)
		fclose(f);
	return f != NULL;
}

static int
write_text(const char *dir, const char *file, const char *text)
{
	char *path = print_text("%s/%s", dir, file);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	free(path);
	return r;
}

static bool
exists(const char *dir, const char *file)
{
	char *path = print_text("%s/%s", dir, file);
	bool yes = access(path, F_OK) == 0;

	free(path);
	return yes;
}

/* --- schemata: lines of RESOURCE:DOMAIN=VALUE;... --- */

static const char *
blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static bool
same_value(const char *a, const char *b)
{
	a += strspn(a, " 0");
	b += strspn(b, " 0");
	for (; isalnum((unsigned char)*a) && tolower(*a) == tolower(*b); a++)
		b++;
	return !isalnum((unsigned char)*a) && !isalnum((unsigned char)*b);
}

/* The value that the text has for a domain of the resource whose name has len bytes, or NULL. */
static const char *
find_value(const char *text, const char *resource, size_t len, unsigned long domain)
{
	for (const char *p = text; *p; p += *p == '\n') {
		const char *name = blanks(p), *end = p + strcspn(p, "\n");

		p = end;
		if (strncmp(name, resource, len) != 0 || name[len] != ':')
			continue;
		for (const char *d = name + len + 1; d < end; d += *d == ';') {
			char *is;

			if (strtoul(d, &is, 10) == domain && is != d && *is == '=')
				return is + 1;
			d += strcspn(d, ";\n");
			if (*d == '\n')
				break;
		}
	}
	return NULL;
}

/* Does the text have all that the lines of want ask for? */
static bool
has_all(const char *text, const char *want)
{
	for (const char *p = want; *p; p += *p == '\n') {
		const char *name = blanks(p), *end = p + strcspn(p, "\n"), *d;
		size_t len = strcspn(name, ":\n");

		p = end;
		if (name == end)
			continue;
		if (name[len] != ':')
			return false;
		for (d = name + len + 1; d < end; d += *d == ';') {
			char *is;
			unsigned long domain = strtoul(d, &is, 10);
			const char *value = find_value(text, name, len, domain);

			if (is == d || *is != '=' || !value || !same_value(value, is + 1))
				return false;
			d += strcspn(d, ";\n");
			if (*d == '\n')
				break;
		}
	}
	return true;
}

/* What is to be written (malloc'd). The bandwidth is that of mem_bw, if it says one. */
static char *
combine(const char *l3_cache, const char *mem_bw, const char *const *more, size_t nmore)
{
	size_t cap = strlen(l3_cache) + strlen(mem_bw) + 4, n = 0;
	char *text;

	for (size_t i = 0; i < nmore; i++)
		cap += strlen(more[i]) + 1;
	text = xcalloc(cap, 1);
	for (const char *p = l3_cache, *end; *p; p = end + (*end == '\n')) {
		end = p + strcspn(p, "\n");
		if (end == p || (*mem_bw && strncmp(p, "MB:", 3) == 0))
			continue;
		memcpy(text + n, p, (size_t)(end - p));
		n += (size_t)(end - p);
		text[n++] = '\n';
	}
	if (*mem_bw)
		n += (size_t)sprintf(text + n, "%s\n", mem_bw);
	for (size_t i = 0; i < nmore; i++)
		n += (size_t)sprintf(text + n, "%s\n", more[i]);
	return text;
}

static int
write_schemata(const char *top, const char *group, const char *text, struct moat_error *err)
{
	char why[256];
	int r = write_text(group, "schemata", text);

	if (r == 0)
		return 0;
	if (!read_text(top, "info/last_cmd_status", why, sizeof why) || strcmp(why, "ok") == 0)
		why[0] = 0;
	return refuse(err, -r, "linux.intelRdt: cannot write %s/schemata: %s%s%s", group,
		strerror(-r), *why ? ": " : "", why);
}

/* --- a container's --- */

/* What the processors have is in folders of info. */
static int
check_host(const char *top, const struct moat_intel_rdt *w, struct moat_error *err)
{
	char features[512];

	if (*w->l3_cache_schema && !exists(top, "info/L3") && !exists(top, "info/L3CODE"))
		return refuse(err, ENOTSUP,
			"linux.intelRdt.l3CacheSchema: not supported by this host (CAT)");
	if (*w->mem_bw_schema && !exists(top, "info/MB"))
		return refuse(err, ENOTSUP,
			"linux.intelRdt.memBwSchema: not supported by this host (MBA)");
	if (!read_text(top, "info/L3_MON/mon_features", features, sizeof features))
		features[0] = 0;
	if (w->monitoring && !*features)
		return refuse(err, ENOTSUP,
			"linux.intelRdt.enableMonitoring: not supported by this host");
	if (w->cmt && !strstr(features, "llc_occupancy"))
		return refuse(err, ENOTSUP, "linux.intelRdt.enableCMT: not supported by this host");
	if (w->mbm && !strstr(features, "mbm_"))
		return refuse(err, ENOTSUP, "linux.intelRdt.enableMBM: not supported by this host");
	return 0;
}

int
rdt_name(struct rdt *r, const char *top, const struct moat_intel_rdt *want, const char *id,
	struct moat_error *err)
{
	const char *clos = want->clos_id;
	int e;

	memset(r, 0, sizeof *r);
	if (!top)
		return refuse(err, ENOTSUP,
			"linux.intelRdt: intelRdt is not supported by this host, or resctrl is not "
			"mounted");
	if ((e = check_host(top, want, err)) < 0)
		return e;
	if (!*clos && (strcmp(id, "info") == 0 || strncmp(id, "mon_", 4) == 0))
		return refuse(err, EINVAL,
			"linux.intelRdt: %s is a name of resctrl's own: it needs a closID", id);
	r->want = want;
	r->top = print_text("%s", top);
	r->group = strcmp(clos, "/") == 0 ? print_text("%s", top)
					  : print_text("%s/%s", top, *clos ? clos : id);
	if (*clos && !*want->l3_cache_schema && !*want->mem_bw_schema && !want->nschemata &&
		access(r->group, F_OK) < 0) {
		e = refuse(err, errno,
			"linux.intelRdt.closID: there is no group %s, and no schema to make it "
			"with",
			r->group);
		rdt_release(r);
		return e;
	}
	r->own = !*clos && access(r->group, F_OK) < 0;
	if (want->monitoring)
		r->monitor = print_text("%s/mon_groups/%s", r->group, id);
	return 0;
}

static int
make_folder(const char *path, bool *ret_made, struct moat_error *err)
{
	*ret_made = mkdir(path, 0755) == 0;
	if (*ret_made || errno == EEXIST)
		return 0;
	return refuse(err, errno, "linux.intelRdt: cannot make %s: %s", path,
		errno == ENOSPC ? "the processors have no more groups" : strerror(errno));
}

/* The one that is there already was asked for with these shares. */
static int
check_group(const struct rdt *r, const char *text, struct moat_error *err)
{
	char there[TEXT_MAX];

	if (!read_text(r->group, "schemata", there, sizeof there))
		return refuse(err, errno, "linux.intelRdt: cannot read %s/schemata: %s", r->group,
			strerror(errno));
	return has_all(there, text)
		       ? 0
		       : refuse(err, EINVAL,
				 "linux.intelRdt: the group %s has other shares than are asked for",
				 r->group);
}

int
rdt_make(struct rdt *r, struct moat_error *err)
{
	const struct moat_intel_rdt *w = r->want;
	char *text = combine(w->l3_cache_schema, w->mem_bw_schema, w->schemata, w->nschemata);
	int e = make_folder(r->group, &r->made, err);

	if (e == 0 && *text)
		e = !r->made && *w->clos_id ? check_group(r, text, err)
					    : write_schemata(r->top, r->group, text, err);
	if (e == 0 && r->monitor)
		e = make_folder(r->monitor, &r->made_monitor, err);
	free(text);
	return e;
}

int
rdt_enter(const struct rdt *r, pid_t pid, struct moat_error *err)
{
	const char *const folders[] = {r->group, r->monitor};
	char number[16];

	snprintf(number, sizeof number, "%d", (int)pid);
	for (size_t i = 0; i < 2 && folders[i]; i++) {
		int e = write_text(folders[i], "tasks", number);

		if (e < 0)
			return refuse(err, -e, "linux.intelRdt: cannot enter %s: %s", folders[i],
				strerror(-e));
	}
	return 0;
}

void
rdt_undo(const struct rdt *r)
{
	if (r->made_monitor)
		(void)rmdir(r->monitor);
	if (r->made)
		(void)rmdir(r->group);
}

void
rdt_release(struct rdt *r)
{
	free(r->top);
	free(r->group);
	free(r->monitor);
	memset(r, 0, sizeof *r);
}

int
rdt_set(const char *top, const char *group, const char *l3_cache, const char *mem_bw,
	struct moat_error *err)
{
	const struct moat_intel_rdt w = {.clos_id = "",
		.l3_cache_schema = l3_cache ? l3_cache : "",
		.mem_bw_schema = mem_bw ? mem_bw : ""};
	char *text;
	int r = check_host(top, &w, err);

	if (r < 0)
		return r;
	text = combine(w.l3_cache_schema, w.mem_bw_schema, NULL, 0);
	if (*text)
		r = write_schemata(top, group, text, err);
	free(text);
	return r;
}

/* --- what is used --- */

static void
add_number(json_t *to, const char *key, const char *dir, const char *file)
{
	char text[64], *end;
	uint64_t v;

	if (!read_text(dir, file, text, sizeof text) || !isdigit((unsigned char)*text))
		return; /* "Unavailable" */
	v = strtoull(text, &end, 10);
	json_object_set_new(to, key, json_integer((json_int_t)v));
}

static void
add_text(json_t *to, const char *key, const char *dir, const char *file)
{
	char text[256];

	if (read_text(dir, file, text, sizeof text) && *text)
		json_object_set_new(to, key, json_string(text));
}

static void
add_object(json_t *to, const char *key, json_t *v)
{
	if (json_object_size(v))
		json_object_set(to, key, v);
	json_decref(v);
}

/* The line of a resource. */
static void
add_schema(json_t *to, const char *key, const char *dir, const char *resource)
{
	char text[TEXT_MAX];
	size_t len = strlen(resource);

	if (!read_text(dir, "schemata", text, sizeof text))
		return;
	for (const char *p = text; *p; p += *p == '\n') {
		const char *line = blanks(p);

		p += strcspn(p, "\n");
		if (strncmp(line, resource, len) == 0 && line[len] == ':')
			json_object_set_new(to, key, json_stringn(line, (size_t)(p - line)));
	}
}

static int
is_l3(const struct dirent *e)
{
	return strncmp(e->d_name, "mon_L3_", 7) == 0;
}

/* Of each cache, in the order of their numbers. */
static void
add_counters(json_t *to, const char *dir)
{
	json_t *bandwidth = json_array(), *occupancy = json_array();
	char *data = print_text("%s/mon_data", dir);
	struct dirent **v = NULL;
	int n = scandir(data, &v, is_l3, alphasort);

	for (int i = 0; i < n; i++) {
		char *cache = print_text("%s/%s", data, v[i]->d_name);
		json_t *b = json_object(), *o = json_object();

		add_number(b, "mbm_total_bytes", cache, "mbm_total_bytes");
		add_number(b, "mbm_local_bytes", cache, "mbm_local_bytes");
		add_number(o, "llc_occupancy", cache, "llc_occupancy");
		if (json_object_size(b))
			json_array_append(bandwidth, b);
		if (json_object_size(o))
			json_array_append(occupancy, o);
		json_decref(b);
		json_decref(o);
		free(cache);
		free(v[i]);
	}
	free(v);
	free(data);
	if (json_array_size(bandwidth))
		json_object_set(to, "mbm_stats", bandwidth);
	if (json_array_size(occupancy))
		json_object_set(to, "cmt_stats", occupancy);
	json_decref(bandwidth);
	json_decref(occupancy);
}

json_t *
rdt_stats(const char *top, const char *group, const char *monitor)
{
	json_t *j = json_object(), *cache = json_object(), *bandwidth = json_object();
	char *l3 = print_text("%s/info/L3", top), *mb = print_text("%s/info/MB", top);

	add_text(cache, "cbm_mask", l3, "cbm_mask");
	add_number(cache, "min_cbm_bits", l3, "min_cbm_bits");
	add_number(cache, "num_closids", l3, "num_closids");
	add_object(j, "l3_cache_info", cache);
	add_schema(j, "l3_cache_schema_root", top, "L3");
	add_schema(j, "l3_cache_schema", group, "L3");
	add_number(bandwidth, "bandwidth_gran", mb, "bandwidth_gran");
	add_number(bandwidth, "delay_linear", mb, "delay_linear");
	add_number(bandwidth, "min_bandwidth", mb, "min_bandwidth");
	add_number(bandwidth, "num_closids", mb, "num_closids");
	add_object(j, "mem_bw_info", bandwidth);
	add_schema(j, "mem_bw_schema_root", top, "MB");
	add_schema(j, "mem_bw_schema", group, "MB");
	add_counters(j, monitor);
	free(l3);
	free(mb);
	return j;
}
