/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json by the library: sandboxes that are made of it, errors that begin with the field's
 * name, no memory that is left, and no end of this program when there is no memory: each allocation
 * that is made on the way fails once.
 */
#include "config.h"
#include <link.h>
#include <moat/oci.h>
#include <moat/run.h>
#include <pthread.h>
#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 0 /* the sanitizer has malloc for itself */
#else
#define COUNTS_MEMORY 1
#endif

/* --- an allocator that counts, and fails --- */

static _Thread_local long fail_at; /* this one from now on; 0: none */
static _Thread_local long live, made;

/* libseccomp does not get over it: it loops, or leaves memory. That is not what is tested here. */
static uintptr_t seccomp_from, seccomp_to;

static int
find_libseccomp(struct dl_phdr_info *i, size_t size, void *arg)
{
	(void)size, (void)arg;
	if (!strstr(i->dlpi_name, "libseccomp"))
		return 0;
	seccomp_from = i->dlpi_addr;
	for (int k = 0; k < i->dlpi_phnum; k++)
		if (i->dlpi_phdr[k].p_type == PT_LOAD)
			seccomp_to =
				i->dlpi_addr + i->dlpi_phdr[k].p_vaddr + i->dlpi_phdr[k].p_memsz;
	return 1;
}

#if COUNTS_MEMORY
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static bool
of_libseccomp(void *caller)
{
	return (uintptr_t)caller >= seccomp_from && (uintptr_t)caller < seccomp_to;
}

static bool
fails(void *caller)
{
	if (of_libseccomp(caller))
		return false;
	made++;
	if (fail_at == 0 || --fail_at > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t n)
{
	void *p = fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);

	live += p != NULL;
	return p;
}

void *
calloc(size_t n, size_t size)
{
	void *p = fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);

	live += p != NULL;
	return p;
}

void *
realloc(void *old, size_t n)
{
	void *p = fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, n);

	live += p && !old;
	return p;
}

void
free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}
#endif

/* --- texts, with ' for each " --- */

#define NAMESPACES                                                                                 \
	"'namespaces':[{'type':'pid'},{'type':'ipc'},{'type':'uts'},{'type':'mount'},"             \
	"{'type':'network'}]"
#define VERSION "'ociVersion':'1.0.2'"
#define ROOT	"'root':{'path':'/','readonly':true}"
#define PROCESS "'process':{'args':['true'],'cwd':'/'}"
#define LINUX	"'linux':{" NAMESPACES "}"
#define MINIMAL "{" VERSION "," ROOT "," PROCESS "," LINUX "}"
#define SECCOMP                                                                                    \
	",'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','flags':['SECCOMP_FILTER_FLAG_LOG'],"        \
	"'syscalls':[{'names':['mkdir','openat'],'action':'SCMP_ACT_ERRNO',"                       \
	"'args':[{'index':1,'value':2,'op':'SCMP_CMP_EQ'}]}]}"
/* That asks an agent. */
#define AGENT                                                                                      \
	"{" VERSION "," ROOT "," PROCESS ",'linux':{" NAMESPACES                                   \
	",'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/a','listenerMetadata':"     \
	"'m','syscalls':[{'names':['mkdir'],'action':'SCMP_ACT_NOTIFY'}]}}}"
/* One with something of most that there is. */
#define LARGE_WITH(seccomp)                                                                        \
	"{" VERSION ",'hostname':'h','annotations':{'a':'b'}," ROOT ","                            \
	"'process':{'args':['a','b'],'env':['A=b'],'cwd':'/','apparmorProfile':'x',"               \
	"'user':{'uid':1,'gid':2,'additionalGids':[3,4]},"                                         \
	"'capabilities':{'bounding':['CAP_KILL']},"                                                \
	"'rlimits':[{'type':'RLIMIT_NOFILE','soft':1,'hard':2}],"                                  \
	"'scheduler':{'policy':'SCHED_OTHER','flags':['SCHED_FLAG_RESET_ON_FORK']}},"              \
	"'mounts':[{'destination':'proc','type':'proc'},"                                          \
	"{'destination':'/tmp','type':'tmpfs','options':['nosuid','size=1m','mode=1777']},"        \
	"{'destination':'/b','type':'bind','source':'rel'}],"                                      \
	"'linux':{" NAMESPACES ",'uidMappings':[{'containerID':0,'hostID':1,'size':1}],"           \
	"'sysctl':{'net.ipv4.ip_forward':'1'},'maskedPaths':['/proc/kcore'],'cgroupsPath':'/c',"   \
	"'netDevices':{'e1':{'name':'eth0'}},"                                                     \
	"'intelRdt':{'closID':'c','l3CacheSchema':'L3:0=f','schemata':['L2:0=3']},"                \
	"'devices':[{'type':'c','path':'/dev/null','major':1,'minor':3}],"                         \
	"'resources':{'memory':{'limit':1000000},"                                                 \
	"'blockIO':{'weightDevice':[{'major':1,'minor':2,'weight':3}]},"                           \
	"'hugepageLimits':[{'pageSize':'2MB','limit':1}],"                                         \
	"'network':{'priorities':[{'name':'e','priority':1}]},"                                    \
	"'devices':[{'allow':false}],'rdma':{'m':{'hcaHandles':1}},"                               \
	"'unified':{'memory.high':'1'}}" seccomp "},"                                              \
	"'hooks':{'poststop':[{'path':'/x','args':['x']}]},'unknown':1}"
#define LARGE LARGE_WITH(SECCOMP)

#define ALL                                                                                        \
	(MOAT_OCI_HOOKS | MOAT_OCI_CGROUP | MOAT_OCI_TERMINAL | MOAT_OCI_NAMESPACES |              \
		MOAT_OCI_SYSCTL | MOAT_OCI_SECCOMP_AGENT | MOAT_OCI_NET_DEVICES |                  \
		MOAT_OCI_INTEL_RDT)

/* As JSON; two of a thread live at once. */
static const char *
json(const char *text)
{
	static _Thread_local char kept[2][8192];
	static _Thread_local unsigned turn;
	char *to = kept[turn++ % 2], *at = to;

	CHECK(strlen(text) < sizeof kept[0]);
	strcpy(to, text);
	while ((at = strchr(at, '\'')))
		*at = '"';
	return to;
}

static int
parse(const char *text, unsigned care, struct moat_oci **ret, struct moat_error *err)
{
	text = json(text);
	return moat_oci_parse(text, strlen(text), "/bundle", care, ret, err);
}

static void
refuses(const char *text, unsigned care, const char *message)
{
	struct moat_oci *o;
	struct moat_error err;
	int r = parse(text, care, &o, &err);

	CHECK(r == -EINVAL && err.code == EINVAL, "%d for %s", r, text);
	CHECK(strncmp(err.text, message, strlen(message)) == 0, "%s\ninstead of\n%s\nfor %s",
		err.text, message, text);
	CHECK(!strchr(err.text, '\n'), "%s", err.text);
}

/* --- */

static void
test_malformed(void)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "config.json:1: "},
		{"{", "config.json:1: "},
		{"[]", "config.json: not an object"},
		{"'x'", "config.json:1: "},
		{"{'a':1,'a':2}", "config.json:1: duplicate"},
		{"{'a':'\\u0000'}", "config.json:1: "},
		{"\xff\xfe", "config.json:1: "},
		{"{}", "ociVersion: missing"},
		{"{'ociVersion':2}", "ociVersion: not a string"},
		{"{'ociVersion':'2.0'," ROOT "," PROCESS "," LINUX "}", "ociVersion: "},
		{"{" VERSION "," ROOT "," LINUX "}", "process: missing"},
		{"{" VERSION "," PROCESS "," LINUX "}", "root: missing"},
		{"{" VERSION "," ROOT "," PROCESS "}", "linux: missing"},
		{"{" VERSION "," ROOT ",'process':[]," LINUX "}", "process: not an object"},
		{"{" VERSION "," ROOT ",'process':{'cwd':'/','args':[]}," LINUX "}",
			"process.args: empty"},
		{"{" VERSION "," ROOT ",'process':{'cwd':'/','args':[1]}," LINUX "}",
			"process.args[0]: not a string"},
		{"{" VERSION "," ROOT ",'process':{'cwd':'x','args':['a']}," LINUX "}",
			"process.cwd: "},
		{"{" VERSION "," ROOT ",'process':{'cwd':'/','args':['a'],'user':{'uid':-1}}," LINUX
		 "}",
			"process.user.uid: "},
		{"{" VERSION "," ROOT
		 ",'process':{'cwd':'/','args':['a'],'capabilities':{'bounding':["
		 "'CAP_KILL','CAP_X']}}," LINUX "}",
			"process.capabilities.bounding[1]: "},
		{"{" VERSION "," ROOT ",'process':{'cwd':'/','args':['a'],'rlimits':[{'type':"
		 "'RLIMIT_NOFILE','soft':3,'hard':2}]}," LINUX "}",
			"process.rlimits[0].soft: above hard"},
		{"{" VERSION "," ROOT "," PROCESS "," LINUX
		 ",'mounts':[{'destination':'/x','type':'ext4'}]}",
			"mounts[0].type: \"ext4\""},
		{"{" VERSION "," ROOT "," PROCESS "," LINUX
		 ",'mounts':[{'destination':'/x','type':'tmpfs'},7]}",
			"mounts[1]: not an object"},
		{"{" VERSION "," ROOT "," PROCESS ",'linux':{}}", "linux.namespaces: "},
		{"{" VERSION "," ROOT "," PROCESS ",'linux':{" NAMESPACES
		 ",'devices':[{'type':'b','path':'/dev/sda','major':8,'minor':0}]}}",
			"linux.devices[0]: /dev/sda"},
		{"{" VERSION "," ROOT "," PROCESS ",'linux':{" NAMESPACES
		 ",'seccomp':{'defaultAction':'x'}}}",
			"linux.seccomp.defaultAction: \"x\""},
		{"{" VERSION "," ROOT "," PROCESS ",'linux':{" NAMESPACES
		 ",'resources':{'memory':{'limit':'1'}}}}",
			"linux.resources.memory.limit: "},
		{"{" VERSION "," ROOT "," PROCESS ",'linux':{" NAMESPACES ",'sysctl':{'a':1}}}",
			"linux.sysctl.a: not a string"},
		{"{" VERSION "," ROOT "," PROCESS ",'linux':{" NAMESPACES
		 ",'sysctl':{'kernel.hostname':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}}",
			"linux.sysctl.kernel.hostname: longer than 64"},
		{"{" VERSION "," ROOT "," PROCESS "," LINUX ",'annotations':{'k':1}}",
			"annotations.k: not a string"},
		{"{" VERSION "," ROOT "," PROCESS "," LINUX ",'hooks':{'poststop':[{}]}}",
			"hooks.poststop[0].path: "},
	};
	static char deep[200000];
	char *large;
	struct moat_oci *o;
	struct moat_error err;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		refuses(cases[i].text, ALL, cases[i].message);
	memset(deep, '[', sizeof deep - 1);
	CHECK_INT(moat_oci_parse(deep, sizeof deep - 1, "/", ALL, &o, &err), -EINVAL);
	CHECK(strncmp(err.text, "config.json:1: ", 15) == 0, "%s", err.text);
	large = calloc(1, (8 << 20) + 2);
	memset(large, ' ', (8 << 20) + 1);
	CHECK_INT(moat_oci_parse(large, (8 << 20) + 1, "/", ALL, &o, &err), -EINVAL);
	CHECK(strstr(err.text, "larger than"), "%s", err.text);
	free(large);
	CHECK_INT(moat_oci_parse(MINIMAL, strlen(MINIMAL), "relative", ALL, &o, &err), -EINVAL);
	CHECK(strncmp(err.text, "bundle: ", 8) == 0, "%s", err.text);
	/* Options of a mount are not more than mount(2) takes. */
	large = calloc(1, 10000);
	strcpy(large, "{" VERSION "," ROOT "," PROCESS "," LINUX
		      ",'mounts':[{'destination':'/x','type':'tmpfs','options':['");
	memset(large + strlen(large), 'a', 5000);
	strcat(large, "']}]}");
	refuses(large, ALL, "mounts[0].options: ");
	free(large);
	/* Cut off anywhere it is an error, and nothing else. */
	for (size_t n = 0; n < strlen(LARGE); n += 7)
		CHECK_INT(moat_oci_parse(json(LARGE), n, "/", ALL, &o, &err), -EINVAL);
}

/* What the caller does not take care of. */
static void
test_care(void)
{
	struct moat_oci *o;
	struct moat_error err;

	CHECK_MOAT(parse(LARGE, ALL, &o, &err), err);
	CHECK_INT(o->resources.memory_limit, 1000000);
	CHECK(o->has_limits && strcmp(o->cgroups_path, "/c") == 0 && !o->host_network);
	CHECK_INT(o->nsysctls, 1);
	CHECK(strcmp(o->sysctls[0].name, "net.ipv4.ip_forward") == 0 &&
		strcmp(o->sysctls[0].value, "1") == 0);
	CHECK_INT(o->nnet_devices, 1);
	CHECK(strcmp(o->net_devices[0].name, "e1") == 0 &&
		strcmp(o->net_devices[0].value, "eth0") == 0);
	CHECK(o->intel_rdt && strcmp(o->intel_rdt->clos_id, "c") == 0 && !o->intel_rdt->cmt);
	CHECK(strcmp(o->intel_rdt->l3_cache_schema, "L3:0=f") == 0 &&
		!*o->intel_rdt->mem_bw_schema);
	CHECK_INT(o->intel_rdt->nschemata, 1);
	CHECK(strcmp(o->intel_rdt->schemata[0], "L2:0=3") == 0);
	CHECK_INT(o->nannotations, 1);
	CHECK(strcmp(o->annotations[0].value, "b") == 0);
	CHECK_INT(o->nwarnings, 2);
	CHECK(strncmp(o->warnings[0], "process.apparmorProfile: ", 25) == 0 &&
			strncmp(o->warnings[1], "unknown: ", 9) == 0 && !o->warnings[2],
		"%s; %s", o->warnings[0], o->warnings[1]);
	CHECK(strcmp(o->text, json(LARGE)) == 0 && o->text_bytes == strlen(LARGE));
	CHECK_INT(o->config.nmounts, 4);
	CHECK(strcmp(o->config.mounts[1].target, "/proc") == 0 &&
		strcmp(o->config.mounts[2].options, "size=1m,mode=1777") == 0 &&
		strcmp(o->config.mounts[3].source, "/bundle/rel") == 0);
	CHECK_INT(o->config.ngroups, 2);
	CHECK(o->config.seccomp_bytes > 0 && o->config.seccomp_log);
	moat_oci_free(o);
	moat_oci_free(NULL);

	refuses(LARGE, ALL & ~(unsigned)MOAT_OCI_HOOKS, "hooks.poststop: ");
	refuses(LARGE, ALL & ~(unsigned)MOAT_OCI_CGROUP, "linux.resources: ");
	refuses(LARGE, ALL & ~(unsigned)MOAT_OCI_SYSCTL, "linux.sysctl.net.ipv4.ip_forward: ");
	refuses(LARGE, ALL & ~(unsigned)MOAT_OCI_NET_DEVICES, "linux.netDevices.e1: ");
	refuses(LARGE, ALL & ~(unsigned)MOAT_OCI_INTEL_RDT, "linux.intelRdt: ");
	refuses("{" VERSION "," ROOT "," PROCESS
		",'linux':{'resources':{'memory':{'kernelTCP':1}}," NAMESPACES "}}",
		ALL & ~(unsigned)MOAT_OCI_CGROUP, "linux.resources: ");
	refuses("{" VERSION "," ROOT "," PROCESS
		",'linux':{'resources':{'memory':{'disableOOMKiller':true}}," NAMESPACES "}}",
		ALL & ~(unsigned)MOAT_OCI_CGROUP, "linux.resources: ");
	refuses("{" VERSION "," ROOT ",'process':{'terminal':true,'args':['a'],'cwd':'/'}," LINUX
		"}",
		ALL & ~(unsigned)MOAT_OCI_TERMINAL, "process.terminal: ");
	refuses("{" VERSION "," ROOT "," PROCESS
		",'linux':{'namespaces':[{'type':'pid'},{'type':'ipc'},{'type':"
		"'uts','path':'/proc/1/ns/uts'},{'type':'mount'}]}}",
		ALL & ~(unsigned)MOAT_OCI_NAMESPACES, "linux.namespaces: ");
	CHECK_MOAT(parse("{" VERSION "," ROOT "," PROCESS
			 ",'linux':{'cgroupsPath':'/x','resources':{'devices':[{'allow':"
			 "false}]},'sysctl':{'kernel.domainname':'d'}," NAMESPACES "}}",
			   0, &o, &err),
		err);
	CHECK(strcmp(o->config.network, "none") == 0 && strcmp(o->config.domainname, "d") == 0);
	moat_oci_free(o);
	refuses(AGENT, ALL & ~(unsigned)MOAT_OCI_SECCOMP_AGENT, "linux.seccomp.listenerPath: ");
	CHECK_MOAT(parse(AGENT, ALL, &o, &err), err);
	CHECK(strcmp(o->listener_path, "/a") == 0 && strcmp(o->listener_metadata, "m") == 0);
	CHECK_INT(o->config.seccomp_listener, -1);
	moat_oci_free(o);
}

/* Numbers that 64 bits with a sign cannot have, and names that only look like parts. */
static void
test_odd(void)
{
	static const char unlimited[] =
		"{" VERSION "," ROOT ",'process':{'args':['id'],'cwd':'/','env':['A=\\"
		"\\18446744073709551615'],'rlimits':[{'type':'RLIMIT_CORE','soft':"
		"9223372036854775807,'hard':18446744073709551615}]}," LINUX "}";
	static const char process[] =
		"{'args':['id'],'cwd':'/','rlimits':[{'type':'RLIMIT_CORE','soft':"
		"18446744073709551615,'hard':18446744073709551615}]}";
	struct moat_oci *o, *another;
	struct moat_error err;

	CHECK_MOAT(parse(unlimited, ALL, &o, &err), err);
	CHECK(o->config.rlimits[0].cur == INT64_MAX && o->config.rlimits[0].max == UINT64_MAX);
	CHECK(strcmp(o->config.env[0], "A=\\18446744073709551615") == 0, "%s", o->config.env[0]);
	CHECK_MOAT(moat_oci_parse_process(json(process), strlen(process), o->text, o->text_bytes, 0,
			   &another, &err),
		err);
	CHECK(another->config.rlimits[0].cur == UINT64_MAX);
	moat_oci_free(another);
	moat_oci_free(o);
	refuses("{" VERSION "," ROOT ",'process':{'args':['a'],'cwd':'/','user':{'uid':"
		"18446744073709551615}}," LINUX "}",
		ALL, "process.user.uid: ");

	CHECK_MOAT(parse("{" VERSION "," ROOT "," PROCESS "," LINUX
			 ",'process.user':{'uid':7},'annotations':{'a.b[]':'c'}}",
			   ALL, &o, &err),
		err);
	CHECK_INT(o->nwarnings, 1);
	CHECK(strncmp(o->warnings[0], "process.user: not a field", 25) == 0, "%s", o->warnings[0]);
	moat_oci_free(o);
}

static void
test_parts(void)
{
	static const char process[] = "{'args':['id'],'cwd':'/x','execCPUAffinity':{"
				      "'final':'0'}}",
			  limits[] = "{'pids':{'limit':7},'x':1}", bad[] = "{'pids':3}",
			  wrong[] = "{'args':['id'],'cwd':'/','terminal':true}";
	enum moat_oci_outcome outcome;
	struct moat_oci *o;
	struct moat_error err;
	const char *why;
	size_t n = 0;

	CHECK_MOAT(moat_oci_parse_process(
			   json(process), strlen(process), json(LARGE), strlen(LARGE), 0, &o, &err),
		err);
	CHECK(strcmp(o->config.cwd, "/x") == 0 && !o->config.make_cwd);
	CHECK_INT(o->config.nrlimits, 1);
	CHECK(o->config.seccomp_bytes > 0 && o->exec_cpus_bytes > 0);
	CHECK_INT(*(const uint8_t *)o->exec_cpus, 1);
	CHECK(o->config.cpus == o->exec_cpus);
	moat_oci_free(o);
	CHECK_INT(moat_oci_parse_process(
			  json(wrong), strlen(wrong), json(MINIMAL), strlen(MINIMAL), 0, &o, &err),
		-EINVAL);
	CHECK(strncmp(err.text, "process.terminal: ", 18) == 0, "%s", err.text);
	CHECK_INT(moat_oci_parse_process(json(process), strlen(process), "{", 1, 0, &o, &err),
		-EINVAL);
	CHECK(strncmp(err.text, "config.json:1: ", 15) == 0, "%s", err.text);

	CHECK_MOAT(moat_oci_parse_resources(json(limits), strlen(limits), &o, &err), err);
	CHECK_INT(o->resources.pids_limit, 7);
	CHECK(o->has_limits && o->nwarnings == 1);
	moat_oci_free(o);
	CHECK_INT(moat_oci_parse_resources(json(bad), strlen(bad), &o, &err), -EINVAL);
	CHECK(strncmp(err.text, "resources.pids: ", 16) == 0, "%s", err.text);

	while (moat_oci_field(n, &outcome, &why))
		n++;
	CHECK(n > 100, "%zu", n);
	CHECK(moat_oci_capability(0) && !moat_oci_capability(100));
	CHECK(moat_oci_mount_option(0) && !moat_oci_mount_option(1000));
}

/* --- a bundle --- */

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void
test_bundle(void)
{
	char dir[] = "/tmp/moat-oci.XXXXXX", path[64], text[2000], script[100];
	struct box *b = box_new();
	struct moat_result res;
	struct moat_oci *o;
	struct moat_error err;

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/config.json", dir);
	CHECK_INT(moat_oci_load(dir, 0, &o, &err), -ENOENT);
	CHECK(strstr(err.text, path), "%s", err.text);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK_INT(moat_oci_load(dir, 0, &o, &err), -EINVAL);
	CHECK(unlink(path) == 0 && symlink("/dev/zero", path) == 0);
	CHECK_INT(moat_oci_load(dir, 0, &o, &err), -EINVAL);
	CHECK(strstr(err.text, "not a regular file"), "%s", err.text);
	CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
	CHECK(moat_oci_load(dir, 0, &o, &err) < 0);
	CHECK(rmdir(path) == 0);

	snprintf(script, sizeof script, "echo $A; pwd; hostname; umask; mkdir /tmp/x; echo $?");
	snprintf(text, sizeof text,
		"{" VERSION ",'hostname':'inside'," ROOT
		",'process':{'args':['/bin/sh','-c','%s'],'env':['A=b "
		"c','PATH=/usr/bin:/bin'],'cwd':'/usr','user':{'uid':%u,'gid':%u,"
		"'umask':63}},'mounts':[{'destination':'/proc','type':'proc'},{"
		"'destination':'/tmp','type':'tmpfs'}],'linux':{" NAMESPACES
		",'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':["
		"'mkdir','mkdirat'],'action':'SCMP_ACT_ERRNO','errnoRet':1}]}}}",
		script, geteuid(), getegid());
	write_file(path, json(text));
	for (int i = 0; i < 2; i++) {
		CHECK_MOAT(i ? moat_oci_parse(json(text), strlen(text), dir, 0, &o, &err)
			     : moat_oci_load(dir, 0, &o, &err),
			err);
		o->config.libexec = b->c.libexec;
		o->config.platform = b->c.platform;
		o->config.weaker = b->c.weaker;
		CHECK_MOAT(moat_run(&o->config, NULL, NULL, &res, &err), err);
		moat_oci_free(o);
		CHECK(strcmp(res.out, "b c\n/usr\ninside\n0077\n1\n") == 0, "%s%s", res.out,
			res.err);
		CHECK(strstr(res.err, "Operation not permitted"), "%s", res.err);
		moat_result_free(&res);
	}
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
	box_free(b);
}

/* --- memory --- */

static void
test_leaks(void)
{
	long before = 0;

	for (int i = 0; i < 1100; i++) {
		struct moat_oci *o;
		struct moat_error err;

		if (i == 100)
			before = live;
		CHECK_MOAT(parse(LARGE, ALL, &o, &err), err);
		moat_oci_free(o);
		CHECK_INT(parse(LARGE, 0, &o, &err), -EINVAL);
		CHECK_INT(parse("{" VERSION "," ROOT "}", 0, &o, &err), -EINVAL);
	}
	CHECK_INT(live, before);
}

static int
do_all(const char *text, struct moat_error *err)
{
	static const char process[] = "{'args':['id'],'cwd':'/x','apparmorProfile':'y'}",
			  limits[] = "{'pids':{'limit':7},'x':1}";
	struct moat_oci *o;
	int r = parse(text, ALL, &o, err);

	if (r < 0)
		return r;
	moat_oci_free(o);
	r = moat_oci_parse_process(
		json(process), strlen(process), json(text), strlen(text), 0, &o, err);
	if (r < 0)
		return r;
	moat_oci_free(o);
	r = moat_oci_parse_resources(json(limits), strlen(limits), &o, err);
	if (r == 0)
		moat_oci_free(o);
	return r;
}

/* Each allocation fails once: an error, nothing left, and the next one works. */
static void
test_no_memory(const char *text)
{
	struct moat_error err;
	long n = 0, refused = 0, before, total;

	CHECK_MOAT(do_all(text, &err), err);
	before = live;
	total = made;
	CHECK_MOAT(do_all(text, &err), err);
	total = made - total;
	CHECK_INT(live, before);
	if (!COUNTS_MEMORY)
		return;
	CHECK(total > 500, "%ld", total);
	for (n = 1; n <= total; n++) {
		int r;

		before = live;
		fail_at = n;
		r = do_all(text, &err);
		fail_at = 0;
		CHECK(r == 0 || r == -ENOMEM, "allocation %ld of %ld: %d %s", n, total, r,
			err.text);
		CHECK(r == 0 || strcmp(err.text, "out of memory") == 0, "%s", err.text);
		CHECK(live == before, "allocation %ld of %ld: %ld left", n, total, live - before);
		refused += r < 0;
	}
	CHECK(refused > total / 2, "%ld of %ld", refused, total);
	CHECK_MOAT(do_all(text, &err), err);
}

static void *
many(void *arg)
{
	struct moat_error err;

	for (int i = 0; i < 50; i++)
		CHECK_MOAT(do_all(LARGE, &err), err);
	return arg;
}

int
main(void)
{
	struct own before = own_now();
	pthread_t t[4];

	CHECK(!COUNTS_MEMORY || dl_iterate_phdr(find_libseccomp, NULL) == 1);
	test_malformed();
	test_care();
	test_odd();
	test_parts();
	test_bundle();
	test_leaks();
	test_no_memory(LARGE_WITH(""));
	test_no_memory(LARGE);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, many, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	own_check(before);
	return 0;
}
