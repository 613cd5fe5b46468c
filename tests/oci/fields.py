# SPDX-License-Identifier: Apache-2.0
"""Every field of the OCI runtime specification's schema (1.3: config-schema.json, config-linux.json, defs.json,
defs-linux.json), written down here from the specification, against what moat says of it and what it does with it.

Each row: the field; a value; what a program sees of it (a shell command and its output), or None where only the
host does; rows of fields that are refused or passed over have the words instead. A field that moat honours has to
refuse a value of another type by its name.
"""
import copy, json, os, re, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

moat, work, rootfs = sys.argv[1:4]

BASE = {
    "ociVersion": "1.2.0",
    "process": {"args": ["true"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "root": {"path": rootfs},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]},
}

NS = "pid network ipc uts mount".split()
MAP = [{"containerID": 0, "hostID": 0, "size": 65536}]
STATUS = "while read k v; do [ $k = %s: ] && echo $v; done </proc/self/status; true"
STAT = "cut -d \" \" -f %d,%d /proc/self/stat"
with open("/proc/self/status") as f:
    CPUS = re.search("Cpus_allowed_list:\t(.*)", f.read()).group(1)
POLICY = ("python3 -c 'import ctypes; m, n = ctypes.c_int(), (ctypes.c_ulong * 16)(); "
          "ctypes.CDLL(None).syscall(239, ctypes.byref(m), n, 1024, 0, 0); print(m.value, n[0])'")
HOOKS = "prestart createRuntime createContainer startContainer poststart poststop".split()


CALLS = [line.split()[1] for line in subprocess.run([moat, "syscalls"], capture_output=True, text=True).stdout.splitlines()
         if len(line.split()) > 1]


class Sees:
    def __init__(self, command, output, **more):
        self.command, self.output, self.more = command, output, more


class Host:
    """Honoured by what the host does; other tests look at that. more: what has to be beside it."""

    def __init__(self, **more):
        self.more = more


class Fails:
    """An honoured field, whose value is wrong or cannot be had here."""

    def __init__(self, text, **more):
        self.text, self.more = text, more


class Refused:
    def __init__(self, text):
        self.text, self.more = text, {}


class Warned:
    def __init__(self, text):
        self.text, self.more = text, {}


# Beside other fields: "more" names are paths with __ for dots.
ROWS = [
    ("ociVersion", "1.3.0", Host()),
    ("ociVersion", "2.0.0", Fails("ociVersion")),
    ("hostname", "here", Sees("hostname", "here")),
    ("domainname", "there", Sees("cat /proc/sys/kernel/domainname", "there")),
    ("annotations.*", "text", Host()),
    ("root.path", rootfs, Sees("ls -d /bin", "/bin")),
    ("root.path", "/no/such", Fails("/no/such")),
    ("root.readonly", True, Sees("touch /x 2>&1 | grep -c Read-only", "1")),
    ("process.terminal", True, Fails("console socket", detach=True)),
    ("process.consoleSize.height", 24, Host()),
    ("process.consoleSize.width", 80, Host()),
    ("process.cwd", "/made/here", Sees("pwd", "/made/here")),
    ("process.env[]", "X=from outside", Sees("echo $X", "from outside")),
    ("process.args[]", None, None),  # what all other rows run
    ("process.commandLine", "x", Warned("Windows")),
    ("process.user.uid", 12, Sees("id -u", "12")),
    ("process.user.gid", 13, Sees("id -g", "13")),
    ("process.user.umask", 0o27, Sees("umask", "0027")),
    ("process.user.additionalGids[]", 77, Sees(STATUS % "Groups", "77")),
    ("process.user.username", "x", Warned("Windows")),
    ("process.capabilities.bounding[]", "CAP_KILL", Sees(STATUS % "CapBnd", "0000000000000020")),
    ("process.capabilities.effective[]", "CAP_KILL",
     Sees(STATUS % "CapEff", "0000000000000020", process__user__uid=5, process__capabilities__inheritable=["CAP_KILL"],
          process__capabilities__bounding=["CAP_KILL"], process__capabilities__permitted=["CAP_KILL"],
          process__capabilities__ambient=["CAP_KILL"])),
    ("process.capabilities.inheritable[]", "CAP_KILL", Sees(STATUS % "CapInh", "0000000000000020")),
    ("process.capabilities.permitted[]", "CAP_KILL",
     Sees(STATUS % "CapPrm", "0000000000000020", process__user__uid=5, process__capabilities__inheritable=["CAP_KILL"],
          process__capabilities__bounding=["CAP_KILL"], process__capabilities__ambient=["CAP_KILL"])),
    ("process.capabilities.ambient[]", "CAP_KILL",
     Sees(STATUS % "CapAmb", "0000000000000020", process__user__uid=5, process__capabilities__inheritable=["CAP_KILL"],
          process__capabilities__bounding=["CAP_KILL"], process__capabilities__permitted=["CAP_KILL"])),
    ("process.capabilities.bounding[]", "CAP_NONSENSE", Fails("CAP_NONSENSE")),
    ("process.rlimits[].type", "RLIMIT_NOFILE", Sees("ulimit -n", "99", process__rlimits=[{"soft": 99, "hard": 100}])),
    ("process.rlimits[].soft", 98, Sees("ulimit -Sn", "98", process__rlimits=[{"type": "RLIMIT_NOFILE", "hard": 100}])),
    ("process.rlimits[].hard", 97, Sees("ulimit -Hn", "97", process__rlimits=[{"type": "RLIMIT_NOFILE", "soft": 9}])),
    ("process.rlimits[].type", "RLIMIT_X", Fails("RLIMIT_X", process__rlimits=[{"soft": 99, "hard": 100}])),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1}], Sees("ulimit -Hc", "unlimited")),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2, Fails("listed twice")),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}], Fails("above")),
    ("process.apparmorProfile", "docker-default", Warned("AppArmor")),
    ("process.selinuxLabel", "system_u:system_r:container_t:s0", Warned("SELinux")),
    ("process.noNewPrivileges", True, Sees(STATUS % "NoNewPrivs", "1")),
    ("process.oomScoreAdj", 123, Sees("cat /proc/self/oom_score_adj", "123")),
    ("process.oomScoreAdj", 1001, Fails("process.oomScoreAdj")),
    ("process.scheduler.policy", "SCHED_RR", Sees(STAT % (40, 41), "5 2", process__scheduler__priority=5)),
    ("process.scheduler.policy", "SCHED_ISO", Fails("SCHED_ISO")),
    ("process.scheduler.policy", "SCHED_DEADLINE", Fails("SCHED_DEADLINE")),
    ("process.scheduler.nice", -3, Sees(STAT % (19, 41), "-3 3", process__scheduler__policy="SCHED_BATCH")),
    ("process.scheduler.nice", 20, Fails("nice", process__scheduler__policy="SCHED_BATCH")),
    ("process.scheduler.priority", 7, Sees(STAT % (40, 41), "7 1", process__scheduler__policy="SCHED_FIFO")),
    ("process.scheduler.priority", 7, Fails("priority", process__scheduler__policy="SCHED_OTHER")),
    ("process.scheduler.flags[]", "SCHED_FLAG_RESET_ON_FORK",
     Sees("sh -c '%s'; true" % STAT % (19, 41), "0 0", process__scheduler__policy="SCHED_FIFO", process__scheduler__priority=7)),
    ("process.scheduler.flags[]", "SCHED_FLAG_RECLAIM", Fails("SCHED_FLAG_RECLAIM", process__scheduler__policy="SCHED_OTHER")),
    ("process.scheduler.runtime", 1000, Refused("SCHED_DEADLINE")),
    ("process.scheduler.deadline", 1000, Refused("SCHED_DEADLINE")),
    ("process.scheduler.period", 1000, Refused("SCHED_DEADLINE")),
    ("process.ioPriority.class", "IOPRIO_CLASS_IDLE", Sees("ionice", "idle")),
    ("process.ioPriority.class", "nonsense", Fails("class")),
    ("process.ioPriority.priority", 6, Sees("ionice", "best-effort: prio 6", process__ioPriority={"class": "IOPRIO_CLASS_BE"})),
    ("process.ioPriority.priority", 8, Fails("priority", process__ioPriority={"class": "IOPRIO_CLASS_BE"})),
    # Of programs that come later: fields.sh looks at that. The first one has all CPUs.
    ("process.execCPUAffinity.initial", "0", Sees(STATUS % "Cpus_allowed_list", CPUS)),
    ("process.execCPUAffinity.final", "0", Sees(STATUS % "Cpus_allowed_list", CPUS)),
    ("process.execCPUAffinity.final", "0-", Fails("final")),
    ("process.execCPUAffinity.final", "3-1", Fails("final")),
    ("mounts[].destination", "/there", Sees("grep -c ' /there tmpfs' /proc/mounts", "1", mounts=[{"type": "tmpfs", "source": "x"}])),
    ("mounts[].type", "tmpfs", Sees("grep -c ' /there tmpfs' /proc/mounts", "1", mounts=[{"destination": "/there"}])),
    ("mounts[].type", "ext9", Fails("ext9", mounts=[{"destination": "/there"}])),
    ("mounts[].source", rootfs + "/bin", Sees("ls /there/sh", "/there/sh", mounts=[{"destination": "/there", "type": "bind", "options": ["bind"]}])),
    ("mounts[].options[]", "ro", Sees("touch /there/x 2>&1 | grep -c Read-only", "1", mounts=[{"destination": "/there", "type": "tmpfs"}])),
    *[(f"mounts[].{a}Mappings[].{key}", value, Sees(f"stat -c %{a[0]} /there", seen, mounts=[
        {"destination": "/there", "type": "bind", "source": rootfs + "/there", "options": ["rbind"], f"{b}Mappings": MAP,
         f"{a}Mappings": [{k: v for k, v in {"containerID": 0, "hostID": 7, "size": 9}.items() if k != key}]}]))
      for a, b in (("uid", "gid"), ("gid", "uid")) for key, value, seen in (("containerID", 0, "7"), ("hostID", 8, "8"), ("size", 1, "7"))],
    ("mounts[].uidMappings", MAP, Fails("gidMappings: missing", mounts=[
        {"destination": "/there", "type": "bind", "source": rootfs + "/there"}])),
    ("mounts[].options[]", "idmap", Fails("neither the mount nor the container", mounts=[
        {"destination": "/there", "type": "bind", "source": rootfs + "/there"}])),
    ("mounts[].options[]", "idmap", Fails("only what is bound", mounts=[{"destination": "/there", "type": "tmpfs"}])),
    ("linux.namespaces[].type", "cgroup", Host()),
    ("linux.namespaces[].type", "nonsense", Fails("nonsense")),
    ("linux.namespaces[].path", "/no/such", Fails("/no/such", linux__namespaces=[{"type": "network"}])),
    ("linux.namespaces", [{"type": t} for t in NS + ["pid"]], Fails("listed twice")),
    ("linux.namespaces", [{"type": t} for t in NS if t != "pid"], Fails('"pid"')),
    ("linux.uidMappings[].containerID", 0, Host(linux__uidMappings=[{"hostID": 0, "size": 1}])),
    ("linux.uidMappings[].hostID", 0, Host(linux__uidMappings=[{"containerID": 0, "size": 1}])),
    ("linux.uidMappings[].size", 1, Host(linux__uidMappings=[{"containerID": 0, "hostID": 0}])),
    ("linux.gidMappings[].containerID", 0, Host(linux__gidMappings=[{"hostID": 0, "size": 1}])),
    ("linux.gidMappings[].hostID", 0, Host(linux__gidMappings=[{"containerID": 0, "size": 1}])),
    ("linux.gidMappings[].size", 0, Fails("size", linux__gidMappings=[{"containerID": 0, "hostID": 0}])),
    ("linux.netDevices.*.name", "eth0", Fails("linux.netDevices.anything: there is no such device")),
    ("linux.netDevices", {"a/b": {}}, Fails("linux.netDevices.a/b: not the name of a device")),
    ("linux.netDevices", {"nosuch0": {"name": "eth%d"}}, Fails("linux.netDevices.nosuch0.name")),
    ("linux.netDevices", {"nosuch0": {"name": "a23456789012345b"}}, Fails("linux.netDevices.nosuch0.name")),
    ("linux.cgroupsPath", "..", Fails("cgroup", linux__resources={"pids": {"limit": 10}})),
    ("linux.sysctl.*", "x", Fails("linux.sysctl.anything")),
    ("linux.sysctl", {"kernel.domainname": "by.sysctl"}, Sees("cat /proc/sys/kernel/domainname", "by.sysctl")),
    ("linux.rootfsPropagation", "slave", Host()),
    ("linux.rootfsPropagation", "unbindable", Sees("grep ' / / ' /proc/self/mountinfo | grep -c unbindable", "1")),
    ("linux.rootfsPropagation", "nonsense", Fails("linux.rootfsPropagation")),
    ("linux.maskedPaths[]", "/proc/version", Sees("cat /proc/version | wc -c", "0", mounts=[{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}])),
    ("linux.readonlyPaths[]", "/tmp", Sees("touch /tmp/x 2>&1 | grep -c Read-only", "1")),
    ("linux.mountLabel", "system_u:object_r:container_file_t:s0", Warned("SELinux")),
    ("linux.intelRdt.closID", "nosuch", Fails("linux.intelRdt")),
    ("linux.intelRdt.l3CacheSchema", "L9:0=f", Fails("linux.intelRdt")),
    ("linux.intelRdt.memBwSchema", "MB:99999=50", Fails("linux.intelRdt")),
    ("linux.intelRdt.schemata[]", "L9:0=f", Fails("linux.intelRdt")),
    ("linux.intelRdt.enableMonitoring", True, Fails("linux.intelRdt", linux__intelRdt={"closID": "nosuch"})),
    ("linux.intelRdt.enableCMT", True, Fails("linux.intelRdt", linux__intelRdt={"closID": "nosuch"})),
    ("linux.intelRdt.enableMBM", True, Fails("linux.intelRdt", linux__intelRdt={"closID": "nosuch"})),
    ("linux.intelRdt.closID", "../x", Fails('linux.intelRdt.closID: "../x" is not the name of a group')),
    ("linux.intelRdt.closID", "info", Fails("linux.intelRdt.closID")),
    ("linux.intelRdt.memBwSchema", "MB:0=5\nL3:0=f", Fails("linux.intelRdt.memBwSchema: more than one line")),
    ("linux.intelRdt", {"schemata": ["L3:0=f", "L3:0=f\nL3:1=f"]}, Fails("linux.intelRdt.schemata[1]")),
    ("linux.memoryPolicy.mode", "MPOL_BIND", Host(linux__memoryPolicy={"nodes": "0"})),
    ("linux.memoryPolicy.mode", "MPOL_BIND", Sees(POLICY, "2 1", linux__memoryPolicy={"nodes": "0"}, host=True)),
    ("linux.memoryPolicy.mode", "MPOL_BIND", Fails("nodes")),
    ("linux.memoryPolicy.mode", "MPOL_NONSENSE", Fails("linux.memoryPolicy.mode")),
    ("linux.memoryPolicy.nodes", "0", Host(linux__memoryPolicy={"mode": "MPOL_INTERLEAVE"})),
    ("linux.memoryPolicy.nodes", "900", Fails("memory policy", linux__memoryPolicy={"mode": "MPOL_BIND"})),
    ("linux.memoryPolicy.flags[]", "MPOL_F_STATIC_NODES", Host(linux__memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"})),
    ("linux.memoryPolicy.flags[]", "MPOL_F_X", Fails("MPOL_F_X", linux__memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"})),
    ("linux.personality.domain", "LINUX", Sees("uname -m", "x86_64")),
    ("linux.personality.domain", "LINUX32", Sees("uname -m", "i686")),
    ("linux.personality.domain", "BSD", Fails("BSD")),
    ("linux.personality.flags", ["x"], Refused("names none")),
    ("linux.timeOffsets.*.secs", 1000, Host(linux__namespaces=[{"type": "time"}])),
    ("linux.timeOffsets.*.nanosecs", 1000, Host(linux__namespaces=[{"type": "time"}])),
    ("linux.timeOffsets", {"boottime": {"secs": 3600 * 24 * 365}}, Sees(
        "read a b </proc/uptime; a=${a%.*}; [ $a -ge 31536000 ] && [ $a -lt 31536900 ] && echo a year", "a year", linux__namespaces=[{"type": "time"}])),
    ("linux.timeOffsets", {"realtime": {"secs": 1}}, Fails("linux.timeOffsets.realtime", linux__namespaces=[{"type": "time"}])),
    ("linux.timeOffsets", {"monotonic": {"secs": 1000000000}, "boottime": {"secs": 2000000000, "nanosecs": 500000000}},
     Sees("python3 -c 'import time; print(int(time.clock_gettime(1) > 1e9), int(time.clock_gettime(1) < 1.9e9), "
          "int(time.clock_gettime(7) > 2e9)); t = time.clock_gettime(1); time.sleep(0.05); print(0.04 < time.clock_gettime(1) - t < 5)'",
          "1 1 1\nTrue", linux__namespaces=[{"type": "time"}], host=True)),
    ("linux.timeOffsets", {"monotonic": {"secs": 5}}, Fails('"time"')),
    ("linux.timeOffsets", {"monotonic": {"nanosecs": 1000000000}}, Fails("nanosecs", linux__namespaces=[{"type": "time"}])),
    ("linux.seccomp.defaultAction", "SCMP_ACT_ALLOW", Sees(STATUS % "Seccomp", "2")),
    ("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY", Fails("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action")),
    ("linux.seccomp.defaultErrnoRet", 28,
     Sees("mkdir /x 2>&1 | grep -c 'No space left'", "1", linux__seccomp={
         "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [n for n in CALLS if n != "mkdir"], "action": "SCMP_ACT_ALLOW"}]})),
    ("linux.seccomp.flags[]", "SECCOMP_FILTER_FLAG_LOG", Host(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW"})),
    ("linux.seccomp.flags[]", "SECCOMP_X", Fails("SECCOMP_X", linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW"})),
    ("linux.seccomp.architectures[]", "SCMP_ARCH_X86", Host(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW"})),
    ("linux.seccomp.listenerPath", "/nowhere", Fails("failed to connect with seccomp agent", linux__seccomp={
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]})),
    ("linux.seccomp.listenerMetadata", "x", Fails("listenerPath is not set", linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW"})),
]

MKDIR = {"action": "SCMP_ACT_ERRNO", "names": ["mkdir"]}


def rule(**kw):
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{**MKDIR, **kw}]}


def rule_without(key):
    r = rule()
    del r["syscalls"][0][key]
    return r


NO = "Operation not permitted"
SAYS = "mkdir /x 2>&1 | grep -c '%s'"
UMASK = {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7}


def umask_rule(**arg):
    # umask(27) is refused, umask(0) is not: the shell ends up with 0 or 27.
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{**UMASK, "args": [{"index": 0, "value": 0o27, "op": "SCMP_CMP_EQ", **arg}]}]}


def umask_without(key):
    r = umask_rule()
    del r["syscalls"][0]["args"][0][key]
    return r


TRY = "umask 0; umask 027; umask"
ROWS += [
    ("linux.seccomp.syscalls[].names[]", "mkdir", Sees(SAYS % NO, "1", linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]})),
    ("linux.seccomp.syscalls[].action", "SCMP_ACT_ERRNO", Sees(SAYS % NO, "1", linux__seccomp=rule_without("action"))),
    ("linux.seccomp.syscalls[].action", "SCMP_ACT_NOTIFY", Fails("listenerPath is not set", linux__seccomp=rule_without("action"))),
    ("linux.seccomp.syscalls[].errnoRet", 28, Sees(SAYS % "No space left", "1", linux__seccomp=rule())),
    ("linux.seccomp.syscalls[].args[].index", 0, Sees(TRY, "0000", linux__seccomp=umask_without("index"))),
    ("linux.seccomp.syscalls[].args[].value", 0o27, Sees(TRY, "0000", linux__seccomp=umask_without("value"))),
    ("linux.seccomp.syscalls[].args[].valueTwo", 0o27, Sees(TRY, "0000", linux__seccomp=umask_rule(op="SCMP_CMP_MASKED_EQ", value=0o777))),
    ("linux.seccomp.syscalls[].args[].op", "SCMP_CMP_EQ", Sees(TRY, "0000", linux__seccomp=umask_without("op"))),
]
for kind in HOOKS:
    ROWS += [
        (f"hooks.{kind}[].path", "/bin/true", Host()),
        (f"hooks.{kind}[].path", "relative", Fails(f"hooks.{kind}")),
        (f"hooks.{kind}[].args[]", "true", Host(**{f"hooks__{kind}": [{"path": "/bin/true"}]})),
        (f"hooks.{kind}[].env[]", "A=b", Host(**{f"hooks__{kind}": [{"path": "/bin/true"}]})),
        (f"hooks.{kind}[].timeout", 5, Host(**{f"hooks__{kind}": [{"path": "/bin/true"}]})),
    ]
NULL = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3}
DEV = [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
for key, value, stat in [("path", "/dev/sub/x", "1,3 666 0 0"), ("type", "c", "1,3 666 0 0"), ("major", 1, "1,3 666 0 0"), ("minor", 3, "1,3 666 0 0"),
                         ("fileMode", 0o640, "1,3 640 0 0"), ("uid", 5, "1,3 666 5 0"), ("gid", 6, "1,3 666 0 6")]:
    at = value if key == "path" else "/dev/null"
    ROWS.append((f"linux.devices[].{key}", value, Sees(f"echo gone >{at} && stat -c '%t,%T %a %u %g' {at}", stat, mounts=DEV,
                                                       linux__devices=[{k: v for k, v in NULL.items() if k != key}])))
ROWS += [("linux.devices", [{**NULL, "path": "/dev/x", "minor": 1}], Fails("no device of the host", mounts=DEV)),
         ("linux.devices", [{**NULL, "path": "/dev/zero"}], Fails("/dev/zero", mounts=DEV)),
         ("linux.devices", [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600}],
          Sees("stat -c '%t,%T %a' /dev/fuse", "a,e5 600", mounts=DEV)),
         ("linux.devices", [{"path": "/dev/p", "type": "p", "fileMode": 0o600}], Sees("stat -c '%F %a' /dev/p", "fifo 600", mounts=DEV))]

# What they do on the host's cgroups is for limits.sh and the unit tests; here they are read, and no cgroup is made.
R = "linux.resources."
for key, value in [
    ("devices[].allow", True), ("devices[].type", "c"), ("devices[].major", 1), ("devices[].minor", 3),
    ("devices[].access", "rwm"), ("memory.kernel", 0), ("memory.useHierarchy", True), ("memory.checkBeforeUpdate", True),
    ("memory.limit", 0), ("memory.reservation", 0), ("memory.swap", 0), ("memory.kernelTCP", 0), ("memory.swappiness", 101),
    ("memory.disableOOMKiller", False), ("cpu.shares", 0), ("cpu.quota", 0), ("cpu.burst", "x"), ("cpu.period", 0),
    ("cpu.realtimeRuntime", 0), ("cpu.realtimePeriod", 0), ("cpu.cpus", ""), ("cpu.mems", ""), ("cpu.idle", "x"),
    ("pids.limit", "x"), ("blockIO.weight", 0), ("blockIO.leafWeight", 0), ("hugepageLimits[].pageSize", "two"),
    ("hugepageLimits[].limit", "x"), ("network.classID", "x"), ("network.priorities[].name", ""),
    ("network.priorities[].priority", "x"), ("rdma.*.hcaHandles", "x"), ("rdma.*.hcaObjects", "x"), ("unified.*", 1),
    *[(f"blockIO.{w}[].{k}", "x") for w in ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice",
                                            "throttleWriteIOPSDevice") for k in ("major", "minor", "rate")],
    *[(f"blockIO.weightDevice[].{k}", "x") for k in ("major", "minor", "weight", "leafWeight")],
]:
    bad = value == "x" or key in ("memory.swappiness", "hugepageLimits[].pageSize", "network.priorities[].name", "unified.*")
    ROWS.append((R + key, value, Fails(R + key.split(".*")[0].split("[]")[0]) if bad else Host()))
for platform in ("windows", "solaris", "vm", "zos", "freebsd"):
    ROWS.append((platform, {"x": {"y": 1}}, Warned("another platform")))

# Things that are no field at all.
ROWS += [("process.nonsense", 1, Warned("process.nonsense: not a field")), ("linux.x\n\u001b[31m", {}, Warned("linux.x??[31m: not a field"))]
NO_FIELD = {"process.nonsense", "linux.x\n\u001b[31m"}


def put(config, path, value):
    """Set what path says; a list gets one entry, * becomes a name."""
    at = config
    parts = path.replace("[]", ".[]").split(".")
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        nxt = None if last else parts[i + 1]
        empty = [] if nxt == "[]" else {}
        if part == "[]":
            # Into an entry that "more" has put there, or a new one.
            if last:
                at.append(value)
            elif at and parts[i - 1] != "namespaces" and (parts[i + 1] not in at[-1] or i + 2 < len(parts)):
                at = at[-1]
            elif at and parts[i - 1] == "namespaces" and parts[i + 1] == "path":
                at = at[-1]
            else:
                at.append({})
                at = at[-1]
            continue
        if part == "*":
            part = "monotonic" if "timeOffsets" in path else "anything"
        if last:
            at[part] = value
        else:
            at = at.setdefault(part, empty)


def make(path, value, more, command):
    c = copy.deepcopy(BASE)
    for k, v in more.items():
        if k in ("detach", "host"):
            continue
        k = k.replace("__", ".")
        v = copy.deepcopy(v)
        if k == "mounts":
            c["mounts"] += v
        elif k == "linux.namespaces":
            # one of the five is replaced, others are added
            c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != v[0]["type"]] + v
        else:
            put(c, k, v)
    if "host" in more:
        # What the little bundle has not: this machine's files.
        c["root"] = {"path": "/", "readonly": True}
        c["process"]["env"] = ["PATH=/usr/bin:/bin"]
    if command:
        c["process"]["args"] = ["sh", "-c", command]
    if path:
        put(c, path, value)
    return c


def run(i, config, detach=False):
    b = tempfile.mkdtemp(dir=work)
    with open(b + "/config.json", "w") as f:
        json.dump(config, f)
    argv = [moat, "--root", work + "/state", "run", "-b", b, f"f{i}"]
    if detach:
        argv.insert(4, "-d")
    p = subprocess.run(["timeout", "-s", "KILL", "50"] + argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return p.returncode, p.stdout.strip(), p.stderr.strip()


def check(job):
    i, path, value, want = job
    if want is None:
        return None
    name = f"{path} = {json.dumps(value)}"
    config = make(path, value, want.more, getattr(want, "command", None))
    status, out, err = run(i, config, "detach" in want.more)
    got = f"{name}: status {status}, output {out!r}, said {err!r}"
    if isinstance(want, Sees):
        return None if (status, out) == (0, want.output) and not err else f"{got}; wanted {want.output!r}"
    if isinstance(want, Host):
        return None if status == 0 and not err else got
    if isinstance(want, Warned):
        return None if status == 0 and want.text in err and err.count("\n") == 0 else f"{got}; wanted a warning of {want.text!r}"
    ok = status == (want.more.get("status", 1)) and want.text in err and err.count("\n") == 0
    return None if ok else f"{got}; wanted status 1 and {want.text!r}"


def wrong_type(job):
    """A value of another type is refused, and the message begins with the field."""
    i, path, value, want = job
    config = make(path, [[1]] if not path.endswith("[]") else {"x": 1}, want.more, None)
    status, out, err = run(i, config)
    field = re.escape(path).replace(r"\[\]", r"\[\d+\]").replace(r"\*", "(anything|monotonic)")
    if status == 1 and re.search(rf"config\.json: {field}\b|config\.json: {field}:", err) and err.count("\n") == 0:
        return None
    return f"{path} of another type: status {status}, said {err!r}"


def main():
    said = {}
    for line in subprocess.run([moat, "spec", "--fields"], capture_output=True, text=True, check=True).stdout.splitlines():
        outcome, path = line.split()[:2]
        said[path.rstrip(":")] = outcome
    bad = []
    rows = {p for p, _, _ in ROWS} - NO_FIELD
    # Rows that set a whole list or object are about fields inside it.
    whole = {p for p in rows if any(q.startswith((p + "[", p + ".")) for q in said)}
    bad += [f"{p}: in the specification, and moat says nothing of it" for p in sorted(rows - whole - set(said))]
    bad += [f"{p}: moat names it, and it is not in the specification" for p in sorted(set(said) - rows)]
    kinds = {Sees: "honoured", Host: "honoured", Fails: "honoured", Refused: "refused", Warned: "warned"}
    for path, _, want in ROWS:
        if want and path in said and said[path] != kinds[type(want)]:
            bad.append(f"{path}: moat says {said[path]}, the test {kinds[type(want)]}")
    jobs = [(i, *r) for i, r in enumerate(ROWS)]
    honoured, seen = [], set()
    for i, (path, value, want) in enumerate(ROWS):
        if path in said and said[path] == "honoured" and want and path not in seen:
            seen.add(path)
            honoured.append((len(ROWS) + i, path, value, want))
    for x in bad:
        print(x)
    # At once: who is stopped for taking too long has said what there was.
    print(f"{len(jobs)} rows, {len(honoured)} fields", flush=True)
    with ThreadPoolExecutor(4) as pool:
        for look, at in (check, jobs), (wrong_type, honoured):
            for x in filter(None, pool.map(look, at)):
                bad.append(x)
                print(x, flush=True)
    print("all of them were looked at", flush=True)
    sys.exit(1 if bad else 0)


main()
