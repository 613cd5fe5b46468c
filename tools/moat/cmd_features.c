/* SPDX-License-Identifier: Apache-2.0 */
/* moat features: what this runtime can do, as the OCI specification's features.md has it. */
#include "json.h"
#include "moat.h"
#include "moat/oci.h"
#include <stdio.h>
#include <string.h>

static json_t *
capabilities(void)
{
	json_t *a = json_array();
	const char *name;
	char full[40];

	for (size_t i = 0; (name = moat_oci_capability(i)); i++) {
		snprintf(full, sizeof full, "CAP_%s", name);
		json_array_append_new(a, json_string(full));
	}
	return a;
}

static json_t *
mount_options(void)
{
	json_t *a = json_array();
	const char *name;

	for (size_t i = 0; (name = moat_oci_mount_option(i)); i++)
		if (*name)
			json_array_append_new(a, json_string(name));
	return a;
}

static json_t *
linux_part(void)
{
	static const char *const namespaces[] = {
		"cgroup", "ipc", "mount", "network", "pid", "user", "uts", NULL};
	/* As oci_seccomp.c takes them. */
	static const char *const actions[] = {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO",
		"SCMP_ACT_TRACE", "SCMP_ACT_TRAP", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD",
		"SCMP_ACT_KILL_PROCESS", "SCMP_ACT_NOTIFY", NULL};
	static const char *const operators[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",
		"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL};
	static const char *const archs[] = {"SCMP_ARCH_X86_64", NULL};
	static const char *const flags[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC",
		"SECCOMP_FILTER_FLAG_SPEC_ALLOW", NULL};
	json_t *l = json_object(), *off = json_pack("{sb}", "enabled", 0);

	json_object_set_new(l, "namespaces", json_texts(namespaces));
	json_object_set_new(l, "capabilities", capabilities());
	json_object_set_new(l, "cgroup",
		json_pack("{sb sb sb sb sb}", "v1", 1, "v2", 1, "systemd", 1, "systemdUser", 1,
			"rdma", 1));
	json_object_set_new(l, "seccomp",
		json_pack("{sb so so so so}", "enabled", 1, "actions", json_texts(actions),
			"operators", json_texts(operators), "archs", json_texts(archs),
			"supportedFlags", json_texts(flags)));
	json_object_set(l, "apparmor", off);
	json_object_set(l, "selinux", off);
	json_object_set_new(l, "intelRdt",
		json_pack("{sb sb sb}", "enabled", 1, "schemata", 1, "monitoring", 1));
	json_object_set_new(l, "netDevices", json_pack("{sb}", "enabled", 1));
	json_object_set_new(l, "mountExtensions", json_pack("{s{sb}}", "idmap", "enabled", 1));
	json_decref(off);
	return l;
}

int
cmd_features(int argc, char **argv)
{
	static const char *const hooks[] = {"prestart", "createRuntime", "createContainer",
		"startContainer", "poststart", "poststop", NULL};
	json_t *f;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		printf("usage: moat features\n\nPrint what this runtime can do, as JSON.\n");
		return 0;
	}
	if (argc > 1)
		return complain("features: takes no argument, but got \"%s\"", argv[1]);
	f = json_object();
	json_object_set_new(f, "ociVersionMin", json_string("1.0.0"));
	json_object_set_new(f, "ociVersionMax", json_string("1.3.0"));
	json_object_set_new(f, "hooks", json_texts(hooks));
	json_object_set_new(f, "mountOptions", mount_options());
	json_object_set_new(f, "linux", linux_part());
	json_object_set_new(f, "annotations", json_pack("{ss}", "io.moat.version", moat_version()));
	json_dumpf(f, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(f);
	return 0;
}
