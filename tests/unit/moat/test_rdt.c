/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of resctrl, over a folder that looks like one. What the kernel does by itself (files in a
 * new group, the end of a group with all that is in it) is done here by hand. */
#include "lib/suite.h"
#include "tools/moat/moat.h"
#include "tools/moat/rdt.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* main.c's, which is not linked in. */
int
complain(const char *fmt, ...)
{
	ck_abort_msg("complains: %s", fmt);
	return EXIT_SANDBOX;
}

#define ROOT_SCHEMA "    MB:0= 100;1= 100\n    L3:0=7ff;1=7ff\n"

static char top[] = "/tmp/moat-rdt.XXXXXX";
static struct moat_error err;
static struct rdt r;

static void
put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", top, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static const char *
content(const char *name)
{
	static char buf[4096];
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", top, name);
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
	buf[fread(buf, 1, sizeof buf - 1, f)] = 0;
	fclose(f);
	return buf;
}

static void
folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", top, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static bool
there(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", top, name);
	return access(path, F_OK) == 0;
}

static void
drop(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", top, name);
	ck_assert_int_eq(unlink(path), 0);
}

static void
setup(void)
{
	strcpy(top + strlen(top) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	folder("info");
	folder("info/L3");
	folder("info/MB");
	folder("info/L3_MON");
	put("schemata", ROOT_SCHEMA);
	put("info/last_cmd_status", "ok\n");
	put("info/L3/cbm_mask", "7ff\n");
	put("info/L3/min_cbm_bits", "1\n");
	put("info/L3/num_closids", "16\n");
	put("info/MB/bandwidth_gran", "10\n");
	put("info/MB/delay_linear", "1\n");
	put("info/MB/min_bandwidth", "10\n");
	put("info/MB/num_closids", "8\n");
	put("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n");
}

static int
remove_it(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void
teardown(void)
{
	rdt_release(&r);
	nftw(top, remove_it, 16, FTW_DEPTH | FTW_PHYS);
}

static struct moat_intel_rdt
want(const char *clos, const char *l3, const char *mb)
{
	return (struct moat_intel_rdt){.clos_id = clos, .l3_cache_schema = l3, .mem_bw_schema = mb};
}

/* Both steps. */
static int
make(const struct moat_intel_rdt *w)
{
	int e;

	rdt_release(&r);
	e = rdt_name(&r, top, w, "c1", &err);
	return e < 0 ? e : rdt_make(&r, &err);
}

#define OK(e) ck_assert_msg((e) == 0, "%s", err.text)
#define FAILS(e, c, words)                                                                         \
	do {                                                                                       \
		ck_assert_int_eq(e, c);                                                            \
		ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);                    \
	} while (0)

START_TEST(own_group)
{
	struct moat_intel_rdt w = want("", "L3:0=f;1=f0\nMB:0=50", "MB:0=20;1=70");
	static const char *const more[] = {"L2:0=3", "L2:1=1"};

	w.schemata = more;
	w.nschemata = 2;
	OK(make(&w));
	ck_assert(r.own && r.made);
	/* The line about bandwidth among those of the cache is not written beside the other one. */
	ck_assert_str_eq(content("c1/schemata"), "L3:0=f;1=f0\nMB:0=20;1=70\nL2:0=3\nL2:1=1\n");
	OK(rdt_enter(&r, 4711, &err));
	ck_assert_str_eq(content("c1/tasks"), "4711");
	drop("c1/schemata");
	drop("c1/tasks");
	rdt_undo(&r);
	ck_assert(!there("c1"));
	/* Without any schema none is written. */
	w = want("", "", "");
	OK(make(&w));
	ck_assert(there("c1") && !there("c1/schemata"));
	rdt_undo(&r);
	/* One that was left over is used again. */
	folder("c1");
	w = want("", "L3:0=3", "");
	OK(make(&w));
	ck_assert(!r.made);
	ck_assert_str_eq(content("c1/schemata"), "L3:0=3\n");
}
END_TEST

START_TEST(named_group)
{
	struct moat_intel_rdt w = want("gold", "", "");

	FAILS(make(&w), -ENOENT, "linux.intelRdt.closID: there is no group");
	ck_assert(!there("gold"));
	w = want("gold", "L3:0=0f;1=f", "");
	OK(make(&w));
	ck_assert(r.made && !r.own);
	ck_assert_str_eq(content("gold/schemata"), "L3:0=0f;1=f\n");
	/* As the kernel writes it then: in another order, with other zeros and spaces. */
	put("gold/schemata", "    MB:0=  50;1= 100\n    L3:0=00f;1=00f\n");
	OK(make(&w));
	ck_assert(!r.made);
	w = want("gold", "L3:1=F", "MB:1=100;0=50");
	OK(make(&w));
	w = want("gold", "", "");
	OK(make(&w));
	w = want("gold", "L3:0=ff;1=f", "");
	FAILS(make(&w), -EINVAL, "has other shares");
	w = want("gold", "L3:0=f;2=f", "");
	FAILS(make(&w), -EINVAL, "has other shares");
	w = want("gold", "L2:0=f", "");
	FAILS(make(&w), -EINVAL, "has other shares");
	w = want("gold", "nonsense", "");
	FAILS(make(&w), -EINVAL, "has other shares");
	w = want("gold", "", "MB:0=5");
	FAILS(make(&w), -EINVAL, "has other shares");
	ck_assert_str_eq(content("gold/schemata"), "    MB:0=  50;1= 100\n    L3:0=00f;1=00f\n");
	rdt_undo(&r);
	ck_assert(there("gold"));
	/* That of everybody. */
	w = want("/", "L3:0=7ff", "");
	OK(make(&w));
	OK(rdt_enter(&r, 12, &err));
	ck_assert_str_eq(content("tasks"), "12");
	ck_assert_str_eq(content("schemata"), ROOT_SCHEMA);
}
END_TEST

START_TEST(hosts)
{
	struct moat_intel_rdt w = want("", "L3:0=f", "");

	FAILS(rdt_name(&r, NULL, &w, "c1", &err), -ENOTSUP,
		"intelRdt is not supported by this host");
	FAILS(rdt_name(&r, top, &w, "info", &err), -EINVAL, "resctrl's own");
	put("info/L3_MON/mon_features", "mbm_total_bytes\n");
	w = want("", "", "");
	w.cmt = true;
	FAILS(make(&w), -ENOTSUP, "linux.intelRdt.enableCMT: not supported");
	w.cmt = false;
	w.mbm = true;
	OK(make(&w));
	drop("info/L3_MON/mon_features");
	FAILS(make(&w), -ENOTSUP, "linux.intelRdt.enableMBM: not supported");
	w.mbm = false;
	w.monitoring = true;
	FAILS(make(&w), -ENOTSUP, "linux.intelRdt.enableMonitoring: not supported");
}
END_TEST

START_TEST(monitoring)
{
	struct moat_intel_rdt w = want("gold", "", "");
	char group[300], monitor[300], *text;
	json_t *j;

	folder("gold");
	folder("gold/mon_groups");
	put("gold/schemata", ROOT_SCHEMA);
	w.monitoring = true;
	OK(make(&w));
	ck_assert(there("gold/mon_groups/c1") && r.made_monitor);
	OK(rdt_enter(&r, 5, &err));
	ck_assert_str_eq(content("gold/tasks"), "5");
	ck_assert_str_eq(content("gold/mon_groups/c1/tasks"), "5");
	folder("gold/mon_groups/c1/mon_data");
	folder("gold/mon_groups/c1/mon_data/mon_L3_01");
	folder("gold/mon_groups/c1/mon_data/mon_L3_00");
	put("gold/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy", "4096\n");
	put("gold/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes", "20\n");
	put("gold/mon_groups/c1/mon_data/mon_L3_00/mbm_local_bytes", "10\n");
	put("gold/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy", "Unavailable\n");
	put("gold/mon_groups/c1/mon_data/mon_L3_01/mbm_total_bytes", "30\n");
	snprintf(group, sizeof group, "%s/gold", top);
	snprintf(monitor, sizeof monitor, "%s/gold/mon_groups/c1", top);
	j = rdt_stats(top, group, monitor);
	text = json_dumps(j, JSON_COMPACT);
	ck_assert_str_eq(text,
		"{\"l3_cache_info\":{\"cbm_mask\":\"7ff\",\"min_cbm_bits\":1,\"num_closids\":16},"
		"\"l3_cache_schema_root\":\"L3:0=7ff;1=7ff\",\"l3_cache_schema\":\"L3:0=7ff;1="
		"7ff\","
		"\"mem_bw_info\":{\"bandwidth_gran\":10,\"delay_linear\":1,\"min_bandwidth\":10,"
		"\"num_closids\":8},\"mem_bw_schema_root\":\"MB:0= 100;1= 100\","
		"\"mem_bw_schema\":\"MB:0= 100;1= 100\","
		"\"mbm_stats\":[{\"mbm_total_bytes\":20,\"mbm_local_bytes\":10},"
		"{\"mbm_total_bytes\":30}],\"cmt_stats\":[{\"llc_occupancy\":4096}]}");
	free(text);
	json_decref(j);
}
END_TEST

START_TEST(update)
{
	char group[300];

	folder("c1");
	snprintf(group, sizeof group, "%s/c1", top);
	OK(rdt_set(top, group, "L3:0=1", NULL, &err));
	ck_assert_str_eq(content("c1/schemata"), "L3:0=1\n");
	OK(rdt_set(top, group, "L3:0=1", "MB:0=10", &err));
	ck_assert_str_eq(content("c1/schemata"), "L3:0=1\nMB:0=10\n");
	/* What the kernel says of a write that it refuses goes with the error. */
	put("info/last_cmd_status", "Mask f0f has non-consecutive 1-bits\n");
	snprintf(group, sizeof group, "%s/none", top);
	FAILS(rdt_set(top, group, "L3:0=f0f", NULL, &err), -ENOENT, "non-consecutive");
}
END_TEST

int
main(void)
{
	TCase *c = tcase_create("all");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, own_group);
	tcase_add_test(c, named_group);
	tcase_add_test(c, hosts);
	tcase_add_test(c, monitoring);
	tcase_add_test(c, update);
	return suite_run("groups of resctrl", c);
}
