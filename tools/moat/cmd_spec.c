/* SPDX-License-Identifier: Apache-2.0 */
/* moat spec: a config.json to begin with: a shell in rootfs/, confined as engines do. */
#include "json.h"
#include "moat.h"
#include "moat/oci.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* options: by commas. */
static void
add_mount(json_t *mounts, const char *target, const char *type, const char *source,
	const char *options)
{
	json_t *a = json_array();

	for (const char *p = options; *p; p += strspn(p, ",")) {
		size_t n = strcspn(p, ",");

		json_array_append_new(a, json_stringn(p, n));
		p += n;
	}
	json_array_append_new(mounts, json_pack("{ss ss ss so}", "destination", target, "type",
					      type, "source", source, "options", a));
}

static json_t *
mounts(bool rootless)
{
	json_t *a = json_array();

	add_mount(a, "/proc", "proc", "proc", "");
	add_mount(a, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
	add_mount(a, "/dev/pts", "devpts", "devpts",
		rootless ? "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"
			 : "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
	add_mount(a, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k");
	add_mount(a, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
	add_mount(a, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
	add_mount(a, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro");
	return a;
}

static json_t *
process(void)
{
	static const char *const args[] = {"sh", NULL};
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
		NULL};
	static const char *const caps[] = {
		"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", NULL};
	json_t *p = json_pack("{sb s{si si}}", "terminal", 1, "user", "uid", 0, "gid", 0);

	json_object_set_new(p, "args", json_texts(args));
	json_object_set_new(p, "env", json_texts(env));
	json_object_set_new(p, "cwd", json_string("/"));
	json_object_set_new(p, "capabilities",
		json_pack("{so so so}", "bounding", json_texts(caps), "effective", json_texts(caps),
			"permitted", json_texts(caps)));
	json_object_set_new(p, "rlimits",
		json_pack("[{ss si si}]", "type", "RLIMIT_NOFILE", "hard", 1024, "soft", 1024));
	json_object_set_new(p, "noNewPrivileges", json_true());
	return p;
}

static json_t *
linux_part(bool rootless)
{
	static const char *const masked[] = {"/proc/acpi", "/proc/asound", "/proc/kcore",
		"/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
		"/proc/sched_debug", "/sys/firmware", "/proc/scsi", NULL};
	static const char *const readonly[] = {
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};
	static const char *const namespaces[] = {
		"pid", "network", "ipc", "uts", "mount", "cgroup", NULL};
	json_t *l = json_object(), *ns = json_array();

	if (rootless) {
		json_object_set_new(l, "uidMappings",
			json_pack("[{si si si}]", "containerID", 0, "hostID", (int)geteuid(),
				"size", 1));
		json_object_set_new(l, "gidMappings",
			json_pack("[{si si si}]", "containerID", 0, "hostID", (int)getegid(),
				"size", 1));
	} else {
		json_object_set_new(l, "resources",
			json_pack("{s[{sb ss}]}", "devices", "allow", 0, "access", "rwm"));
	}
	for (size_t i = 0; namespaces[i]; i++)
		json_array_append_new(ns, json_pack("{ss}", "type", namespaces[i]));
	if (rootless)
		json_array_append_new(ns, json_pack("{ss}", "type", "user"));
	json_object_set_new(l, "namespaces", ns);
	json_object_set_new(l, "maskedPaths", json_texts(masked));
	json_object_set_new(l, "readonlyPaths", json_texts(readonly));
	return l;
}

static int
write_spec(const char *bundle, bool rootless)
{
	json_t *spec = json_pack("{ss so s{ss sb} ss so so}", "ociVersion", "1.0.2", "process",
		process(), "root", "path", "rootfs", "readonly", 1, "hostname", "moat", "mounts",
		mounts(rootless), "linux", linux_part(rootless));
	char path[4200];
	FILE *f;
	int fd, r = 0;

	snprintf(path, sizeof path, "%s/config.json", bundle);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		r = complain("spec: cannot make %s: %s", path, strerror(errno));
	else if (json_dumpf(spec, f, JSON_INDENT(8)) < 0 || fputc('\n', f) < 0 || fclose(f) != 0)
		r = complain("spec: cannot write %s: %s", path, strerror(errno));
	json_decref(spec);
	return r;
}

static int
print_fields(void)
{
	static const char *const outcomes[] = {"honoured", "refused", "warned"};
	enum moat_oci_outcome outcome;
	const char *path, *why;

	for (size_t i = 0; (path = moat_oci_field(i, &outcome, &why)); i++)
		printf("%-9s %s%s%s\n", outcomes[outcome], path, *why ? ": " : "", why);
	return 0;
}

int
cmd_spec(int argc, char **argv)
{
	const char *bundle = ".", *v;
	bool rootless = false, bad = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			printf("usage: moat spec [OPTIONS]\n\nWrite a config.json to begin "
			       "with.\n\n"
			       "  -b, --bundle=DIR   where (default: the working directory)\n"
			       "  --rootless         for a user who is not root\n"
			       "  --fields           print instead what becomes of each field\n");
			return 0;
		}
		if ((v = option_value("--bundle", argc, argv, &i, &bad)) ||
			(v = option_value("-b", argc, argv, &i, &bad)))
			bundle = v;
		else if (strcmp(argv[i], "--fields") == 0)
			return print_fields();
		else if (strcmp(argv[i], "--rootless") == 0)
			rootless = true;
		else
			return complain(
				"spec: unknown argument %s (see moat spec --help)", argv[i]);
		if (bad)
			return EXIT_SANDBOX;
	}
	return write_spec(bundle, rootless);
}
