/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of an OCI bundle, while it is read. Functions return 0, or -1 with o->err and
 * o->code; whatever was made by then is freed by oci_release.
 */
#ifndef TOOLS_LIBMOAT_OCI_H
#define TOOLS_LIBMOAT_OCI_H

#include "moat/cgroup.h"
#include "moat/oci.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define OCI_NAME_MAX 64 /* bytes of a name in a uts namespace */

/* The lists of a struct moat_resources. */
struct oci_lists {
	struct moat_io_rule *io;
	struct moat_hugepage_limit *hugepages;
	struct moat_net_priority *net_priorities;
	struct moat_device_rule *devices;
	struct moat_rdma_limit *rdma;
	struct moat_unified *unified;
};

/* A growing list, NULL-terminated. */
struct oci_texts {
	const char **v;
	size_t n, cap;
};

struct oci {
	json_t *json; /* owns most strings */
	json_t *more; /* the same, of a container that json is a process of */
	const char *bundle;
	char err[400]; /* why it is refused: starts with the name of the field */
	int code;      /* errno */
	struct oci_texts args, env, masked, readonly;
	struct moat_intel_rdt rdt; /* if has_rdt */
	struct oci_texts schemata; /* what rdt.schemata points to */
	bool has_rdt;
	struct moat_mount *mounts;
	struct moat_rlimit *rlimits;
	uint32_t *groups;
	struct moat_device *devices;
	unsigned long memory_nodes[16]; /* what c->memory_nodes points to */
	bool own_time;			/* there is a time namespace */
	bool has_cpus;			/* execCPUAffinity, for programs that come later: */
	uint8_t cpus[128];		/* as c->cpus has it */
	struct oci_texts warnings; /* what is passed over, and why; each begins with the field */
	struct oci_texts owned;	   /* strings and lists that were made */
	struct moat_resources resources; /* its lists are the resources' */
	const char *cgroups_path;	 /* NULL: none was named */
	json_t *hooks;			 /* of json, checked; NULL: none */
	struct oci_lists lists;
	bool host_network;	  /* no network namespace of its own was asked for */
	const char *network_path; /* the one to join; NULL: a new one */
	/* of another container, whose sandbox this one joins; NULL: its own */
	const char *pid_path, *ipc_path, *uts_path;
	struct moat_oci_value *sysctls, *annotations;
	struct moat_oci_value *net_devices;
	size_t nsysctls, nannotations, nnet_devices;
	void *seccomp;				       /* what c->seccomp points to */
	const char *listener_path, *listener_metadata; /* NULL: nothing is left to others */
	bool may_mount;				       /* the container's capabilities say so */
	bool terminal;
	uint16_t rows, columns;
};

/* json (consumed) is a whole file: fill o and c as far as it says. */
int oci_read(struct oci *o, struct moat_config *c);
void oci_release(struct oci *o);

/* Look at all that is in v, the value of the field path ("": the whole file), called where in
 * messages. -1 for one that is refused; others are noted in o->warnings. */
int oci_fields(struct oci *o, json_t *v, const char *path, const char *where);

/* Note why the configuration is refused; returns -1. */
int oci_error(struct oci *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int oci_no_memory(struct oci *o);
/* obj[key] of that type into *ret; untouched when it is missing. */
int oci_string(struct oci *o, json_t *obj, const char *where, const char *key, const char **ret);
int oci_bool(struct oci *o, json_t *obj, const char *where, const char *key, bool *ret);
int oci_uint(struct oci *o, json_t *obj, const char *where, const char *key, uint64_t max,
	uint64_t *ret);
int oci_strings(
	struct oci *o, json_t *obj, const char *where, const char *key, struct oci_texts *ret);
/* obj[key] has to be an array or object (*ret NULL when missing). */
int oci_array(struct oci *o, json_t *obj, const char *where, const char *key, json_t **ret);
int oci_object(struct oci *o, json_t *obj, const char *where, const char *key, json_t **ret);
/* The mappings of obj[key], which live as long as o; *ret is untouched when there is no such key.
 */
int oci_idmap(struct oci *o, json_t *obj, const char *of, const char *key,
	const struct moat_idmap **ret, size_t *n);
/* All of obj[key], an object of strings; the list is malloc'd. */
int oci_values(struct oci *o, json_t *obj, const char *where, const char *key,
	struct moat_oci_value **ret, size_t *ret_n);
/* Zeroes; NULL: oci_no_memory was called. */
void *oci_alloc(struct oci *o, size_t n, size_t size);
int oci_texts_add(struct oci *o, struct oci_texts *t, const char *s);
void oci_texts_free(struct oci_texts *t);
/* A list as "0-3,7" as a mask of cap bytes. */
int oci_cpus(struct oci *o, const char *where, const char *list, uint8_t *mask, size_t cap);
/* A string that lives as long as o. NULL: oci_no_memory was called. */
char *oci_print(struct oci *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int oci_process(struct oci *o, json_t *p, struct moat_config *c);
int oci_mounts(struct oci *o, json_t *root, struct moat_config *c);
/* Mounts that ask for mappings and name none get the container's, once those are known. */
int oci_mount_idmaps(struct oci *o, const struct moat_config *c);
int oci_linux(struct oci *o, json_t *l, struct moat_config *c);
int oci_rdt(struct oci *o, json_t *l);
int oci_personality(struct oci *o, json_t *l, struct moat_config *c);
/* linux.seccomp compiled into c->seccomp (freed with o). */
int oci_seccomp(struct oci *o, json_t *seccomp, struct moat_config *c);
int oci_hooks(struct oci *o, json_t *hooks);
/* linux.resources as o->resources. A limit of 0 leaves things as they are, as engines mean it.
 * where: its name in errors. */
int oci_resources(struct oci *o, json_t *res, const char *where);
/* Is there anything in them but rules about devices? */
bool oci_has_limits(const struct oci *o);

#endif
