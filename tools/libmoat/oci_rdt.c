/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: linux.intelRdt. */
#include "oci.h"
#include <string.h>

/* A group is a folder of resctrl's, of which some have names already. */
static bool
is_group_name(const char *name)
{
	static const char *const taken[] = {".", "..", "info", "mon_groups", "mon_data"};

	if (strcmp(name, "/") == 0)
		return true; /* that of everybody */
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (strcmp(name, taken[i]) == 0)
			return false;
	return strlen(name) < 256 && !strpbrk(name, "/\n");
}

int
oci_rdt(struct oci *o, json_t *l)
{
	struct moat_intel_rdt *r = &o->rdt;
	const char *where = "linux.intelRdt";
	json_t *v;

	if (oci_object(o, l, "linux", "intelRdt", &v) < 0)
		return -1;
	if (!v)
		return 0;
	o->has_rdt = true;
	r->clos_id = r->l3_cache_schema = r->mem_bw_schema = "";
	if (oci_string(o, v, where, "closID", &r->clos_id) < 0 ||
		oci_string(o, v, where, "l3CacheSchema", &r->l3_cache_schema) < 0 ||
		oci_string(o, v, where, "memBwSchema", &r->mem_bw_schema) < 0 ||
		oci_strings(o, v, where, "schemata", &o->schemata) < 0 ||
		oci_bool(o, v, where, "enableMonitoring", &r->monitoring) < 0 ||
		oci_bool(o, v, where, "enableCMT", &r->cmt) < 0 ||
		oci_bool(o, v, where, "enableMBM", &r->mbm) < 0)
		return -1;
	if (!is_group_name(r->clos_id))
		return oci_error(
			o, "%s.closID: \"%.200s\" is not the name of a group", where, r->clos_id);
	if (strchr(r->mem_bw_schema, '\n'))
		return oci_error(o, "%s.memBwSchema: more than one line", where);
	for (size_t i = 0; i < o->schemata.n; i++)
		if (strchr(o->schemata.v[i], '\n'))
			return oci_error(o, "%s.schemata[%zu]: more than one line", where, i);
	r->schemata = o->schemata.v;
	r->nschemata = o->schemata.n;
	return 0;
}
