/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of an OCI bundle, as a struct moat_config. */
#ifndef TOOLS_MOAT_OCI_H
#define TOOLS_MOAT_OCI_H

#include "moat.h"
#include "moat/cgroup.h"
#include <jansson.h>

/* The lists of a struct moat_resources. */
struct oci_lists {
	struct moat_io_rule *io;
	struct moat_hugepage_limit *hugepages;
	struct moat_net_priority *net_priorities;
	struct moat_device_rule *devices;
	struct moat_rdma_limit *rdma;
	struct moat_unified *unified;
};

struct oci {
	json_t *json; /* owns most strings */
	const char *bundle;
	char err[400]; /* why it is refused: starts with the name of the field */
	struct strings args, env, masked, readonly;
	struct moat_mount *mounts;
	size_t nmounts;
	struct moat_rlimit *rlimits;
	uint32_t *groups;
	struct moat_device *devices;
	unsigned long memory_nodes[16]; /* what c->memory_nodes points to */
	bool own_time;			/* there is a time namespace */
	bool has_cpus;			/* execCPUAffinity, for programs that come later: */
	uint8_t cpus[128];		/* as c->cpus has it */
	struct moat_idmap *uid_map, *gid_map;
	struct strings warnings; /* what is passed over, and why; each begins with the field */
	char *owned[256];	 /* strings that were made */
	size_t nowned;
	struct moat_resources resources; /* its lists are the resources' */
	const char *cgroups_path;	 /* NULL: none was named */
	json_t *hooks;			 /* of json, checked; NULL: none */
	struct oci_lists lists;
	bool host_network;	  /* no network namespace of its own was asked for */
	const char *network_path; /* the one to join; NULL: a new one */
	/* of another container, whose sandbox this one joins; NULL: its own */
	const char *pid_path, *ipc_path, *uts_path;
	json_t *sysctl; /* names and values, or NULL */
	void *seccomp;	/* what c->seccomp points to */
	bool terminal;
	uint16_t rows, columns;
};

/* Read bundle/config.json and fill c as far as it says. 0, or -1 with err. */
int oci_load(struct oci *o, const char *bundle, struct moat_config *c);
/* The object in a file that an option names, or in a pipe ("-": standard input); a FIFO that nobody
 * writes to is not waited for. 0, or complained. */
int read_json(const char *option, const char *path, json_t **ret);
/* Say in the log what is passed over. */
void oci_warn(const struct oci *o);
void oci_free(struct oci *o);

/* What becomes of a field (oci_fields.def). */
enum oci_outcome { OCI_DONE, OCI_REFUSED, OCI_WARNED };
/* The i-th field's path, NULL at the end. */
const char *oci_field(size_t i, enum oci_outcome *outcome, const char **why);
/* Look at all that is in v, the value of the field path ("": the whole file), called where in
 * messages. 0, or -1 with err for one that is refused; others are noted in o->warnings. */
int oci_fields(struct oci *o, json_t *v, const char *path, const char *where);

/* The i-th capability (without CAP_), NULL at the end. */
const char *oci_capability_name(size_t i);
/* The i-th mount option, "" if it is one that is refused, NULL at the end. */
const char *oci_mount_option(size_t i);

/* A JSON array of a NULL-terminated list. */
json_t *oci_list(const char *const *strings);

/* --- among the oci_*.c files --- */

/* Note why the configuration is refused; returns -1. */
int oci_error(struct oci *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* obj[key] of that type into *ret; untouched when it is missing. */
int oci_string(struct oci *o, json_t *obj, const char *where, const char *key, const char **ret);
int oci_bool(struct oci *o, json_t *obj, const char *where, const char *key, bool *ret);
int oci_uint(struct oci *o, json_t *obj, const char *where, const char *key, uint64_t max,
	uint64_t *ret);
int oci_strings(
	struct oci *o, json_t *obj, const char *where, const char *key, struct strings *ret);
/* obj[key] has to be an array or object (*ret NULL when missing). */
int oci_array(struct oci *o, json_t *obj, const char *where, const char *key, json_t **ret);
int oci_object(struct oci *o, json_t *obj, const char *where, const char *key, json_t **ret);
/* p, which is not NULL: without memory this program ends. */
void *oci_memory(void *p);
/* A list as "0-3,7" as a mask of cap bytes. */
int oci_cpus(struct oci *o, const char *where, const char *list, uint8_t *mask, size_t cap);
/* A made string that lives as long as o. */
const char *oci_own(struct oci *o, char *s);

int oci_process(struct oci *o, json_t *p, struct moat_config *c);
int oci_mounts(struct oci *o, json_t *root, struct moat_config *c);
int oci_linux(struct oci *o, json_t *l, struct moat_config *c);

/* linux.resources (res; also what `update` reads) as o->resources. A limit of 0 leaves things as
 * they are, as engines mean it. where: its name in errors. */
int oci_resources(struct oci *o, json_t *res, const char *where);
/* Is there anything in them but rules about devices? */
bool oci_has_limits(const struct oci *o);

#endif
