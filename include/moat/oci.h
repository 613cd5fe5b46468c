/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config.json of an OCI bundle (OCI runtime specification) as a configuration of a sandbox:
 *
 *	struct moat_oci *o;
 *
 *	if (moat_oci_load("/bundle", 0, &o, &error) == 0) {
 *		moat_start(&o->config, &sandbox, &error);
 *		moat_oci_free(o);
 *	}
 *
 * Nothing in it is passed over in silence: a field is honoured, or refused by an error that begins
 * with its name, or named in `warnings` because engines send it whatever the runtime is
 * (moat_oci_field tells which). What the library itself does not do is in the hands of the caller,
 * who says of what it takes care (MOAT_OCI_*): the rest of that is refused too.
 *
 * Any thread can call these functions, and nothing is kept between calls. Running out of memory is
 * an error (-ENOMEM) as any other; but libseccomp, which compiles linux.seccomp, may leave some, or
 * not come back, when that happens in it (2.5).
 */
#ifndef MOAT_OCI_H
#define MOAT_OCI_H

#include <moat/cgroup.h>
#include <moat/moat.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the caller takes care of. */
enum {
	/* hooks: they are checked; to be run by what `text` says of them. */
	MOAT_OCI_HOOKS = 1,
	/* linux.cgroupsPath and linux.resources, with moat/cgroup.h: `cgroups_path`, `resources`.
	 * Without it limits are refused; a path alone, and rules about devices, of which a
	 * sandbox has none, are harmless. */
	MOAT_OCI_CGROUP = 2,
	/* process.terminal: config.stdio become a terminal, config.terminal true. */
	MOAT_OCI_TERMINAL = 4,
	/* Namespaces that are joined: `network_path`, `pid_path`, `ipc_path`, `uts_path`; and
	 * config.network. Without it the network is "none", or "host" where there is no network
	 * namespace of its own. */
	MOAT_OCI_NAMESPACES = 8,
	/* linux.sysctl: `sysctls`; without kernel.hostname and kernel.domainname, which config has
	 * in any case. */
	MOAT_OCI_SYSCTL = 16,
	/* linux.seccomp.listenerPath: `listener_path`, `listener_metadata`, and
	 * config.seccomp_listener. */
	MOAT_OCI_SECCOMP_AGENT = 32,
	/* linux.netDevices: `net_devices`, to be moved when the network namespace is there. */
	MOAT_OCI_NET_DEVICES = 64,
	/* linux.intelRdt: `intel_rdt`. */
	MOAT_OCI_INTEL_RDT = 128,
};

struct moat_oci_value {
	const char *name, *value;
};

/* A group of the host's resctrl file system. Strings are "" where nothing was said. */
struct moat_intel_rdt {
	const char *clos_id; /* its name, or "/" */
	const char *l3_cache_schema, *mem_bw_schema;
	const char *const *schemata; /* more lines */
	size_t nschemata;
	bool monitoring, cmt, mbm; /* enableMonitoring, enableCMT, enableMBM */
};

struct moat_oci_parts;

/* What was read. Everything is the object's; config may be changed, and its pointers replaced. */
struct moat_oci {
	/* As far as the file says; the rest as moat_config_init leaves it. */
	struct moat_config config;
	/* What is passed over, and why, each beginning with the field's name. NULL-terminated. */
	const char *const *warnings;
	size_t nwarnings;
	/* What was read, with a NUL behind; integers above INT64_MAX have ".0" behind in it, so
	 * that any parser takes them. */
	const char *text;
	size_t text_bytes;

	bool terminal;
	uint16_t rows, columns;	  /* of consoleSize; 0: not said */
	const char *cgroups_path; /* NULL: not said */
	struct moat_resources resources;
	bool has_limits;   /* there is more in them than rules about devices */
	bool host_network; /* no network namespace of its own is asked for */
	const char *network_path, *pid_path, *ipc_path, *uts_path; /* to join; NULL: not said */
	/* who is to be sent a descriptor for what the filter leaves to others; NULL: it leaves
	 * nothing. NULL: no metadata */
	const char *listener_path, *listener_metadata;
	const struct moat_oci_value *sysctls, *annotations;
	size_t nsysctls, nannotations;
	/* Names on the host, each with the one inside, "": the same. Both could be a device's. */
	const struct moat_oci_value *net_devices;
	size_t nnet_devices;
	const struct moat_intel_rdt *intel_rdt; /* NULL: not said */
	const void *exec_cpus; /* of execCPUAffinity, as config.cpus has them; NULL: not said */
	size_t exec_cpus_bytes;

	struct moat_oci_parts *parts; /* the library's */
};

/*
 * Read bundle/config.json (at most 8 MiB, a regular file), or len bytes of text, whose relative
 * paths begin at bundle (an absolute path; copied). care: MOAT_OCI_*. *ret is freed with
 * moat_oci_free, after the last use of its config: moat_start and moat_spawn copy what they need,
 * so that it may be as soon as they return. -EINVAL: it is malformed, or a field is refused (that
 * one is named); -ENOENT and others: the file cannot be read; -ENOMEM. Nobody but a struct
 * moat_error has to be freed or looked at then.
 */
MOAT_API int moat_oci_load(
	const char *bundle, unsigned care, struct moat_oci **ret, struct moat_error *err);
MOAT_API int moat_oci_parse(const char *text, size_t len, const char *bundle, unsigned care,
	struct moat_oci **ret, struct moat_error *err);

/* A process for moat_spawn, in a container that was made of container_text (its config.json; what
 * holds for all its processes is taken from it: rlimits that text leaves out, seccomp). text: an
 * object as config.json's process. Of *ret, config (what moat_spawn looks at), warnings, terminal,
 * rows, columns, listener_path, listener_metadata and exec_cpus are filled. care: TERMINAL,
 * SECCOMP_AGENT. */
MOAT_API int moat_oci_parse_process(const char *text, size_t len, const char *container_text,
	size_t container_len, unsigned care, struct moat_oci **ret, struct moat_error *err);

/* Limits, an object as config.json's linux.resources: `resources`, has_limits and warnings. A field
 * is called resources.NAME in errors. */
MOAT_API int moat_oci_parse_resources(
	const char *text, size_t len, struct moat_oci **ret, struct moat_error *err);

MOAT_API void moat_oci_free(struct moat_oci *o); /* NULL is fine */

/* --- what there is --- */

enum moat_oci_outcome {
	MOAT_OCI_HONOURED,
	MOAT_OCI_REFUSED, /* when it says something: not "", 0, false, null, [] or {} */
	MOAT_OCI_WARNED,
};
/* The i-th field that there can be ("process.user.uid", "mounts[].options[]", "annotations.*"),
 * with what becomes of it, and why; NULL at the end. Constants. */
MOAT_API const char *moat_oci_field(
	size_t i, enum moat_oci_outcome *ret_outcome, const char **ret_why);
/* The i-th capability, without CAP_; the i-th option of a mount, "" for one that is refused. NULL
 * at the end. */
MOAT_API const char *moat_oci_capability(size_t i);
MOAT_API const char *moat_oci_mount_option(size_t i);

#ifdef __cplusplus
}
#endif
#endif
