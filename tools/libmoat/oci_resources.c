/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: linux.resources; the same object is what `update` takes. */
#include "oci.h"
#include <stdio.h>
#include <string.h>

/* A whole number, which may be negative. *ret stays as it is when the key is missing or null. */
static int
number(struct oci *o, json_t *obj, const char *where, const char *key, int64_t min, int64_t *ret)
{
	json_t *v = json_object_get(obj, key);
	uint64_t u = 0;

	if (!v || json_is_null(v))
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= min) {
		*ret = json_integer_value(v);
		return 0;
	}
	/* "No limit" as some write it: the largest number without a sign. */
	if (json_is_real(v) && oci_uint(o, obj, where, key, UINT64_MAX, &u) == 0) {
		*ret = -1;
		return 0;
	}
	return oci_error(o, "%s.%s: not a number in its range", where, key);
}

/* The same, where 0 says that there is nothing to say. */
static int
limit(struct oci *o, json_t *obj, const char *where, const char *key, int64_t *ret)
{
	int64_t n = 0;

	if (number(o, obj, where, key, -1, &n) < 0)
		return -1;
	if (n != 0)
		*ret = n;
	return 0;
}

static int
part(struct oci *o, json_t *res, const char *where, const char *key, json_t **ret, char *name,
	size_t cap)
{
	if (oci_object(o, res, where, key, ret) < 0)
		return -1;
	snprintf(name, cap, "%s.%s", where, key);
	return 0;
}

static int
memory(struct oci *o, json_t *res, const char *where)
{
	struct moat_resources *r = &o->resources;
	bool hierarchy = false;
	char name[96];
	json_t *m;

	if (part(o, res, where, "memory", &m, name, sizeof name) < 0)
		return -1;
	/* useHierarchy: every kernel since 5.11 does. */
	if (limit(o, m, name, "limit", &r->memory_limit) < 0 ||
		limit(o, m, name, "reservation", &r->memory_reservation) < 0 ||
		limit(o, m, name, "swap", &r->memory_swap) < 0 ||
		limit(o, m, name, "kernel", &r->memory_kernel) < 0 ||
		limit(o, m, name, "kernelTCP", &r->memory_kernel_tcp) < 0 ||
		number(o, m, name, "swappiness", 0, &r->memory_swappiness) < 0 ||
		oci_bool(o, m, name, "disableOOMKiller", &r->memory_disable_oom_killer) < 0 ||
		oci_bool(o, m, name, "useHierarchy", &hierarchy) < 0 ||
		oci_bool(o, m, name, "checkBeforeUpdate", &r->memory_check_before_update) < 0)
		return -1;
	if (r->memory_swappiness != MOAT_UNSET && r->memory_swappiness > 100)
		return oci_error(o, "%s.swappiness: not a number in its range", name);
	if (r->memory_swap > 0 && r->memory_limit == MOAT_UNSET)
		return oci_error(o, "%s.swap: needs limit beside it", name);
	if (r->memory_swap > 0 && r->memory_swap < r->memory_limit)
		return oci_error(o, "%s.swap: below limit", name);
	return 0;
}

static int
cpu(struct oci *o, json_t *res, const char *where)
{
	struct moat_resources *r = &o->resources;
	char name[96];
	json_t *c;

	if (part(o, res, where, "cpu", &c, name, sizeof name) < 0)
		return -1;
	if (limit(o, c, name, "shares", &r->cpu_shares) < 0 ||
		limit(o, c, name, "quota", &r->cpu_quota) < 0 ||
		number(o, c, name, "burst", 0, &r->cpu_burst) < 0 ||
		limit(o, c, name, "period", &r->cpu_period) < 0 ||
		limit(o, c, name, "realtimeRuntime", &r->cpu_rt_runtime) < 0 ||
		limit(o, c, name, "realtimePeriod", &r->cpu_rt_period) < 0 ||
		number(o, c, name, "idle", 0, &r->cpu_idle) < 0 ||
		oci_string(o, c, name, "cpus", &r->cpus) < 0 ||
		oci_string(o, c, name, "mems", &r->mems) < 0)
		return -1;
	if (r->cpus && !*r->cpus)
		r->cpus = NULL;
	if (r->mems && !*r->mems)
		r->mems = NULL;
	return 0;
}

static int
pids(struct oci *o, json_t *res, const char *where)
{
	char name[96];
	json_t *p;

	return part(o, res, where, "pids", &p, name, sizeof name) < 0
		       ? -1
		       : number(o, p, name, "limit", -1, &o->resources.pids_limit);
}

/* One of blockIO's lists of devices. */
static int
io_rules(struct oci *o, json_t *io, const char *where, const char *key, const char *value,
	enum moat_io_limit what)
{
	json_t *list, *v;
	char name[128];
	size_t i;

	if (oci_array(o, io, where, key, &list) < 0)
		return -1;
	json_array_foreach(list, i, v)
	{
		struct moat_io_rule *rule = &o->lists.io[o->resources.nio];
		uint64_t major = 0, minor = 0;

		snprintf(name, sizeof name, "%s.%s[%zu]", where, key, i);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", name);
		if (oci_uint(o, v, name, "major", UINT32_MAX, &major) < 0 ||
			oci_uint(o, v, name, "minor", UINT32_MAX, &minor) < 0 ||
			oci_uint(o, v, name, value, UINT64_MAX, &rule->value) < 0)
			return -1;
		if (!json_object_get(v, value))
			continue; /* the other of the two weights */
		rule->what = what;
		rule->major = (uint32_t)major;
		rule->minor = (uint32_t)minor;
		o->resources.nio++;
	}
	return 0;
}

static int
block_io(struct oci *o, json_t *res, const char *where)
{
	static const char *const lists[] = {"weightDevice", "throttleReadBpsDevice",
		"throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice"};
	struct moat_resources *r = &o->resources;
	size_t n = 0;
	char name[96];
	json_t *io;

	if (part(o, res, where, "blockIO", &io, name, sizeof name) < 0)
		return -1;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		n += 2 * json_array_size(json_object_get(io, lists[i]));
	if (!(o->lists.io = oci_alloc(o, n + 1, sizeof *o->lists.io)))
		return -1;
	if (limit(o, io, name, "weight", &r->io_weight) < 0 ||
		limit(o, io, name, "leafWeight", &r->io_leaf_weight) < 0 ||
		io_rules(o, io, name, "weightDevice", "weight", MOAT_IO_WEIGHT) < 0 ||
		io_rules(o, io, name, "weightDevice", "leafWeight", MOAT_IO_LEAF_WEIGHT) < 0 ||
		io_rules(o, io, name, "throttleReadBpsDevice", "rate", MOAT_IO_READ_BPS) < 0 ||
		io_rules(o, io, name, "throttleWriteBpsDevice", "rate", MOAT_IO_WRITE_BPS) < 0 ||
		io_rules(o, io, name, "throttleReadIOPSDevice", "rate", MOAT_IO_READ_IOPS) < 0 ||
		io_rules(o, io, name, "throttleWriteIOPSDevice", "rate", MOAT_IO_WRITE_IOPS) < 0)
		return -1;
	r->io = o->lists.io;
	return 0;
}

/* A list of objects, and room for what is read of each; NULL: it is none, or out of memory. */
static void *
records(struct oci *o, json_t *obj, const char *where, const char *key, size_t size, json_t **ret)
{
	json_t *v;
	size_t i;

	if (oci_array(o, obj, where, key, ret) < 0)
		return NULL;
	json_array_foreach(*ret, i, v)
	{
		if (!json_is_object(v)) {
			oci_error(o, "%s.%s[%zu]: not an object", where, key, i);
			return NULL;
		}
	}
	return oci_alloc(o, json_array_size(*ret) + 1, size);
}

static int
hugepages(struct oci *o, json_t *res, const char *where)
{
	json_t *list, *v;
	char name[192];
	size_t i;

	o->lists.hugepages =
		records(o, res, where, "hugepageLimits", sizeof *o->lists.hugepages, &list);
	if (!o->lists.hugepages)
		return -1;
	json_array_foreach(list, i, v)
	{
		struct moat_hugepage_limit *h = &o->lists.hugepages[i];

		snprintf(name, sizeof name, "%s.hugepageLimits[%zu]", where, i);
		if (oci_string(o, v, name, "pageSize", &h->size) < 0 ||
			oci_uint(o, v, name, "limit", UINT64_MAX, &h->bytes) < 0)
			return -1;
		if (!h->size || !*h->size || h->size[strspn(h->size, "0123456789KMGB")] ||
			strlen(h->size) > 12)
			return oci_error(o, "%s.pageSize: not a size as \"2MB\"", name);
	}
	o->resources.hugepages = o->lists.hugepages;
	o->resources.nhugepages = json_array_size(list);
	return 0;
}

static int
network(struct oci *o, json_t *res, const char *where)
{
	json_t *net, *list, *v;
	char name[96], at[192];
	size_t i;

	if (part(o, res, where, "network", &net, name, sizeof name) < 0 ||
		number(o, net, name, "classID", 0, &o->resources.net_class) < 0)
		return -1;
	o->lists.net_priorities =
		records(o, net, name, "priorities", sizeof *o->lists.net_priorities, &list);
	if (!o->lists.net_priorities)
		return -1;
	json_array_foreach(list, i, v)
	{
		struct moat_net_priority *p = &o->lists.net_priorities[i];
		uint64_t priority = 0;

		snprintf(at, sizeof at, "%s.priorities[%zu]", name, i);
		if (oci_string(o, v, at, "name", &p->interface) < 0 ||
			oci_uint(o, v, at, "priority", UINT32_MAX, &priority) < 0)
			return -1;
		if (!p->interface || !*p->interface || strchr(p->interface, ' '))
			return oci_error(o, "%s.name: missing, or not an interface", at);
		p->priority = (uint32_t)priority;
	}
	o->resources.net_priorities = o->lists.net_priorities;
	o->resources.nnet_priorities = json_array_size(list);
	return 0;
}

static int
devices(struct oci *o, json_t *res, const char *where)
{
	json_t *list, *v;
	char name[128];
	size_t i;

	o->lists.devices = records(o, res, where, "devices", sizeof *o->lists.devices, &list);
	if (!o->lists.devices)
		return -1;
	json_array_foreach(list, i, v)
	{
		struct moat_device_rule *d = &o->lists.devices[i];
		const char *type = "a", *access = "rwm";

		snprintf(name, sizeof name, "%s.devices[%zu]", where, i);
		d->major = d->minor = -1;
		if (oci_bool(o, v, name, "allow", &d->allow) < 0 ||
			oci_string(o, v, name, "type", &type) < 0 ||
			number(o, v, name, "major", -1, &d->major) < 0 ||
			number(o, v, name, "minor", -1, &d->minor) < 0 ||
			oci_string(o, v, name, "access", &access) < 0)
			return -1;
		if (strcmp(type, "a") != 0 && strcmp(type, "b") != 0 && strcmp(type, "c") != 0)
			return oci_error(o, "%s.type: neither a, b nor c", name);
		if (!*access || strlen(access) > 3 || access[strspn(access, "rwm")])
			return oci_error(o, "%s.access: not of r, w, m", name);
		d->type = type[0];
		strcpy(d->access, access);
	}
	o->resources.devices = o->lists.devices;
	o->resources.ndevices = json_array_size(list);
	return 0;
}

static int
rdma(struct oci *o, json_t *res, const char *where)
{
	const char *device;
	char name[256];
	json_t *all, *v;
	size_t i = 0;

	if (oci_object(o, res, where, "rdma", &all) < 0)
		return -1;
	if (!(o->lists.rdma = oci_alloc(o, json_object_size(all) + 1, sizeof *o->lists.rdma)))
		return -1;
	json_object_foreach(all, device, v)
	{
		struct moat_rdma_limit *l = &o->lists.rdma[i++];

		snprintf(name, sizeof name, "%s.rdma.%.64s", where, device);
		if (!json_is_object(v))
			return oci_error(o, "%s: not an object", name);
		*l = (struct moat_rdma_limit){device, MOAT_UNSET, MOAT_UNSET};
		if (number(o, v, name, "hcaHandles", 0, &l->handles) < 0 ||
			number(o, v, name, "hcaObjects", 0, &l->objects) < 0)
			return -1;
	}
	o->resources.rdma = o->lists.rdma;
	o->resources.nrdma = i;
	return 0;
}

static int
unified(struct oci *o, json_t *res, const char *where)
{
	const char *file;
	json_t *all, *v;
	size_t i = 0;

	if (oci_object(o, res, where, "unified", &all) < 0)
		return -1;
	if (!(o->lists.unified = oci_alloc(o, json_object_size(all) + 1, sizeof *o->lists.unified)))
		return -1;
	json_object_foreach(all, file, v)
	{
		if (!json_is_string(v) || strchr(file, '/'))
			return oci_error(o, "%s.unified.%.64s: not a file and a text", where, file);
		o->lists.unified[i++] = (struct moat_unified){file, json_string_value(v)};
	}
	o->resources.unified = o->lists.unified;
	o->resources.nunified = i;
	return 0;
}

bool
oci_has_limits(const struct oci *o)
{
	const struct moat_resources *r = &o->resources;
	const int64_t numbers[] = {r->memory_limit, r->memory_reservation, r->memory_swap,
		r->memory_swappiness, r->cpu_shares, r->cpu_quota, r->cpu_period, r->cpu_burst,
		r->cpu_rt_runtime, r->cpu_rt_period, r->cpu_idle, r->pids_limit, r->io_weight,
		r->io_leaf_weight, r->net_class};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i] != MOAT_UNSET)
			return true;
	return r->memory_kernel_tcp != MOAT_UNSET || r->memory_disable_oom_killer || r->cpus ||
	       r->mems || r->nio || r->nhugepages || r->nnet_priorities || r->nrdma || r->nunified;
}

int
oci_resources(struct oci *o, json_t *res, const char *where)
{

	moat_resources_init(&o->resources);
	if (!res)
		return 0;
	return memory(o, res, where) < 0 || cpu(o, res, where) < 0 || pids(o, res, where) < 0 ||
			       block_io(o, res, where) < 0 || hugepages(o, res, where) < 0 ||
			       network(o, res, where) < 0 || devices(o, res, where) < 0 ||
			       rdma(o, res, where) < 0 || unified(o, res, where) < 0
		       ? -1
		       : 0;
}
