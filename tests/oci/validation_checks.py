# SPDX-License-Identifier: Apache-2.0
"""The checks of validation.py: life cycle, hooks, process, root and mounts, linux. Each is named after the program of the
suite that looks at the same."""
import glob, json, os, subprocess, tempfile, time
from validation import CAPS, Wrong, check, want

NS = "pid network ipc uts mount user".split()
PROC = {"network": "net", "mount": "mnt"}


# ---- life cycle ---------------------------------------------------------------------------------------------------

@check("create", "without an id")
def _(b):
    b.process["args"] = ["true"]
    b.write()
    b.bad("create", "--bundle", b.bundle)


@check("create", "state is created")
def _(b):
    b.create(args=["true"])
    s = b.state()
    want("id", b.id(), s["id"])
    want("status", "created", s["status"])
    want("bundle", b.bundle, s["bundle"])
    want("pid lives", True, os.path.exists("/proc/%d" % s["pid"]))


@check("create", "an id that is taken")
def _(b):
    b.create(args=["true"])
    b.bad("create", "--bundle", b.bundle, b.id())
    want("status", "created", b.state()["status"])


@check("create", "a bundle without configuration")
def _(b):
    b.bad("create", "--bundle", b.bundle, b.id())
    want("state", None, b.state())


@check("config_updates_without_affect", "changes after create")
def _(b):
    r = b.create(args=["echo", "before"])
    b.process["args"] = ["echo", "after"]
    b.write()
    b.start()
    b.until("stopped")
    r.outfile.seek(0)
    want("output", "before", r.outfile.read().strip())


for command in ("start", "state", "kill", "delete"):
    @check(command, "without an id")
    def _(b, command=command):
        b.bad(command)

    @check(command, "an unknown id")
    def _(b, command=command):
        b.bad(command, b.id(), *(["KILL"] if command == "kill" else []))


@check("start", "one that runs")
def _(b):
    b.up()
    b.bad("start", b.id())
    want("status", "running", b.state()["status"])


@check("start", "one that ended")
def _(b):
    b.up(["true"])
    b.until("stopped")
    b.bad("start", b.id())


@check("start", "nothing runs before it")
def _(b):
    b.create(args=["touch", "/tmp/ran"])
    time.sleep(0.3)
    want("ran before start", False, os.path.exists(b.rootfs + "/tmp/ran"))
    b.start()
    b.until("stopped")
    want("ran after start", True, os.path.exists(b.rootfs + "/tmp/ran"))


@check("start", "without a process")
def _(b):
    del b.spec["process"]
    b.write()
    b.made.append(b.id())
    if b.rt("create", "--bundle", b.bundle, b.id()).returncode == 0:
        b.bad("start", b.id())


@check("state", "fields")
def _(b):
    b.spec["annotations"] = {"org.example.a": "b"}
    s = b.up()
    want("ociVersion", True, s["ociVersion"].startswith("1."))
    want("fields", (b.id(), "running", b.bundle, "b"), (s["id"], s["status"], s["bundle"], s["annotations"]["org.example.a"]))
    b.kill()


@check("kill", "one that is created")
def _(b):
    b.create(args=["true"])
    b.kill()


@check("kill", "one that runs")
def _(b):
    b.up()
    b.kill()


@check("kill_no_effect", "one that ended")
def _(b):
    b.up(["true"])
    b.until("stopped")
    b.bad("kill", b.id(), "KILL")
    want("status", "stopped", b.state()["status"])


for number, sig in ((1, "HUP"), (2, "INT"), (15, "TERM"), (10, "USR1"), (12, "USR2"), (28, "WINCH")):
    for text in (sig, "SIG" + sig, str(number)):
        @check("killsig", text)
        def _(b, sig=sig, text=text):
            b.up(["sh", "-c", "trap 'echo got >/tmp/got; exit' %s; echo >/tmp/ready; while :; do sleep 0.1; done" % sig])
            for _ in range(100):
                if os.path.exists(b.rootfs + "/tmp/ready"):
                    break
                time.sleep(0.03)
            b.good("kill", b.id(), text)
            b.until("stopped")
            want("trapped", True, os.path.exists(b.rootfs + "/tmp/got"))


@check("delete", "one that runs")
def _(b):
    b.up()
    b.bad("delete", b.id())
    want("status", "running", b.state()["status"])


@check("delete", "one that is created")
def _(b):
    b.create(args=["true"])
    b.bad("delete", b.id())
    want("status", "created", b.state()["status"])


@check("delete", "one that ended")
def _(b):
    b.up(["true"])
    b.until("stopped")
    b.good("delete", b.id())
    want("state", None, b.state())
    b.bad("delete", b.id())


def group_dirs(path):
    return [d + path for d in glob.glob("/sys/fs/cgroup/*") + ["/sys/fs/cgroup"] if os.path.isdir(d + path)]


def drop_groups(path):
    for d in group_dirs(path):
        for sub, _, _ in os.walk(d, topdown=False):
            try:
                os.rmdir(sub)
            except OSError:
                pass


@check("delete_resources", "its cgroup goes")
def _(b):
    path = b.linux["cgroupsPath"] = "/" + b.tag
    b.clean.append(lambda: drop_groups(path))
    b.linux["resources"] = {"pids": {"limit": 100}}
    b.up()
    want("a cgroup was made", True, group_dirs(path) != [])
    b.kill()
    b.good("delete", b.id())
    want("cgroups left", [], group_dirs(path))


@check("delete_only_create_resources", "a cgroup of others stays")
def _(b):
    path = b.linux["cgroupsPath"] = "/%s/inner" % b.tag
    b.clean.append(lambda: drop_groups("/" + b.tag))
    tops = glob.glob("/sys/fs/cgroup/pids/") or ["/sys/fs/cgroup/"]
    other = [d + b.tag + "/other" for d in tops]
    for d in other:
        os.makedirs(d)
    b.up(["true"])
    b.until("stopped")
    b.good("delete", b.id())
    want("left", other, [d for d in other if os.path.isdir(d)])


@check("pidfile", "pid of state")
def _(b):
    b.create("--pid-file", b.dir + "/pid", args=["true"])
    with open(b.dir + "/pid") as f:
        want("pid", str(b.state()["pid"]), f.read())


# ---- hooks --------------------------------------------------------------------------------------------------------

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def hook(b, script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], **more}


def note(b, word):
    return hook(b, "echo %s >>%s/notes" % (word, b.dir))


def notes(b):
    try:
        with open(b.dir + "/notes") as f:
            return f.read().split()
    except FileNotFoundError:
        return []


@check("hooks", "order")
def _(b):
    b.spec["hooks"] = {k: [note(b, k + "1"), note(b, k + "2")] for k in ("prestart", "poststart", "poststop")}
    b.create(args=["true"])
    want("after create", ["prestart1", "prestart2"], notes(b))
    b.start()
    b.until("stopped")
    want("after start", ["prestart1", "prestart2", "poststart1", "poststart2"], notes(b))
    b.good("delete", b.id())
    want("after delete", ["prestart1", "prestart2", "poststart1", "poststart2", "poststop1", "poststop2"], notes(b))


@check("hooks", "all kinds")
def _(b):
    b.spec["hooks"] = {k: [note(b, k)] for k in KINDS if k != "startContainer"}
    b.spec["hooks"]["startContainer"] = [hook(b, "echo started >/tmp/hook")]
    b.sees("true")
    want("notes", ["prestart", "createRuntime", "createContainer", "poststart", "poststop"], notes(b))
    want("the one inside", True, os.path.exists(b.rootfs + "/tmp/hook"))


@check("hooks_stdin", "state on stdin")
def _(b):
    kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    b.spec["annotations"] = {"hook-test": "a"}
    b.spec["hooks"] = {k: [hook(b, "cat >%s/stdin.%s" % (b.dir, k))] for k in kinds}
    b.create(args=["sleep", "1000"])
    pid = b.state()["pid"]
    b.start()
    b.kill()
    b.good("delete", b.id())
    for k in kinds:
        with open("%s/stdin.%s" % (b.dir, k)) as f:
            s = json.load(f)
        want("%s: id, bundle, annotation" % k, (b.id(), b.bundle, "a"), (s["id"], s["bundle"], s["annotations"]["hook-test"]))
        want("%s: ociVersion" % k, True, s["ociVersion"].startswith("1."))
        if k != "poststop":
            want("%s: pid" % k, pid, s["pid"])
        want("%s: status" % k, True, s["status"] in {"poststart": ["running"], "poststop": ["stopped"]}.get(k, ["creating", "created"]))


@check("hooks", "environment, arguments, timeout")
def _(b):
    b.spec["hooks"] = {"prestart": [hook(b, "echo $0.$1.$X >>%s/notes" % b.dir)]}
    h = b.spec["hooks"]["prestart"][0]
    h["args"] += ["zero", "one"]
    h["env"].append("X=y")
    b.create(args=["true"])
    want("notes", ["zero.one.y"], notes(b))
    b.spec["hooks"] = {"prestart": [hook(b, "sleep 100; echo late >>%s/notes" % b.dir, timeout=1)]}
    b.create(n=1, good=False)
    want("it waits no longer than the timeout", ["zero.one.y"], notes(b))


for kind in ("prestart", "createRuntime", "createContainer"):
    @check("prestart_fail" if kind == "prestart" else kind + "_fail", "create fails, nothing stays")
    def _(b, kind=kind):
        b.spec["hooks"] = {kind: [hook(b, "exit 1"), note(b, "second")], "poststart": [note(b, "poststart")]}
        r = b.create(args=["touch", "/tmp/ran"], good=False)
        want("words", True, bool(r.err.strip()))
        want("state", None, b.state())
        want("later hooks", [], notes(b))
        want("program ran", False, os.path.exists(b.rootfs + "/tmp/ran"))


@check("startContainer_fail", "start fails, the program does not run")
def _(b):
    b.spec["hooks"] = {"startContainer": [hook(b, "exit 1")]}
    b.create(args=["touch", "/tmp/ran"])
    b.bad("start", b.id())
    b.until("stopped")
    want("program ran", False, os.path.exists(b.rootfs + "/tmp/ran"))


@check("poststart", "runs after the program began")
def _(b):
    b.spec["hooks"] = {"poststart": [hook(b, "i=0; while [ ! -e %s/tmp/ran ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done; "
                                             "[ -e %s/tmp/ran ] && echo yes >>%s/notes" % (b.rootfs, b.rootfs, b.dir))]}
    b.up(["sh", "-c", "touch /tmp/ran; sleep 1000"])
    want("notes", ["yes"], notes(b))


@check("poststart_fail", "the container goes on")
def _(b):
    b.spec["hooks"] = {"poststart": [hook(b, "exit 1"), note(b, "second")]}
    b.create(args=["sleep", "1000"])
    b.rt("start", b.id())
    want("status", "running", b.state()["status"])
    want("later hooks", ["second"], notes(b))


@check("poststart_fail", "start fails")
def _(b):
    b.spec["hooks"] = {"poststart": [hook(b, "exit 1"), note(b, "second")]}
    b.create(args=["sleep", "1000"])
    b.bad("start", b.id())


@check("poststop", "runs after the end, at delete")
def _(b):
    b.spec["hooks"] = {"poststop": [note(b, "poststop")]}
    b.up(["true"])
    b.until("stopped")
    want("before delete", [], notes(b))
    b.good("delete", b.id())
    want("after delete", ["poststop"], notes(b))


@check("poststop_fail", "a warning, later hooks run, it is deleted")
def _(b):
    b.spec["hooks"] = {"poststop": [hook(b, "exit 1"), note(b, "second")]}
    b.up(["true"])
    b.until("stopped")
    b.good("delete", b.id())
    want("later hooks", ["second"], notes(b))
    want("state", None, b.state())


# ---- process ------------------------------------------------------------------------------------------------------

@check("default", "hostname, environment, directory, ids")
def _(b):
    b.says("it", "mrsdalloway /bin xterm / 0 0", 'echo $(hostname) $PATH $TERM $(pwd) $(id -u) $(id -g)')


@check("default", "links and devices of /dev")
def _(b):
    b.says("it", "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx 1:3 1:5 1:7 1:8 1:9 5:0",
           "cd /dev; p=$(readlink ptmx); echo $(for l in fd stdin stdout stderr; do readlink $l; done) ${p#/dev/} "
           "$(stat -c %t:%T null zero full random urandom tty)")


@check("default", "modes of devices")
def _(b):
    b.says("it", "666 666 666 666 666 666", "cd /dev; echo $(stat -c %a null zero full random urandom tty)")


@check("default", "default file systems")
def _(b):
    b.says("it", "proc sysfs devpts tmpfs",
           "echo $(for m in /proc /sys /dev/pts /dev/shm; do awk -v m=$m '$2 == m {print $3}' /proc/mounts | tail -n 1; done)")


@check("hostname", "of the configuration")
def _(b):
    b.spec["hostname"] = "hostname-specific"
    b.says("it", "hostname-specific hostname-specific", "echo $(hostname) $(cat /proc/sys/kernel/hostname)")


@check("process", "arguments, environment, a directory that is made")
def _(b):
    os.mkdir(b.rootfs + "/test")
    b.process.update(cwd="/test", env=["PATH=/bin", "testa=valuea", "testb=123"])
    b.says("it", "/test valuea 123", "echo $(pwd) $testa $testb")


@check("process", "a relative directory")
def _(b):
    b.process["cwd"] = "test"
    b.create(args=["true"], good=False)


@check("process", "no arguments")
def _(b):
    b.create(args=[], good=False)


@check("process_user", "ids, groups, umask")
def _(b):
    b.process["user"] = {"uid": 10, "gid": 11, "additionalGids": [5, 20], "umask": 0o27}
    b.says("it", "10 11 5 20 0027", "echo $(id -u) $(id -g) $(awk '/^Groups/ {$1 = \"\"; print}' /proc/self/status) $(sh -c umask)")


MASK = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
        "CAP_SETPCAP": 8, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18, "CAP_MKNOD": 27, "CAP_AUDIT_WRITE": 29,
        "CAP_SETFCAP": 31}
SHOW_CAPS = "echo $(awk '/^Cap/ {print $2}' /proc/self/status)"


def mask(names):
    return "%016x" % sum(1 << MASK[n] for n in names)


@check("default", "capabilities")
def _(b):
    m = mask(CAPS)
    b.says("inheritable permitted effective bounding ambient", " ".join(["0" * 16, m, m, m, "0" * 16]), SHOW_CAPS)


@check("process_capabilities", "each set")
def _(b):
    b.process["user"]["uid"] = 5
    b.process["capabilities"] = {k: ["CAP_KILL", "CAP_CHOWN"] for k in ("bounding", "permitted", "effective", "inheritable", "ambient")}
    m = mask(["CAP_KILL", "CAP_CHOWN"])
    b.says("inheritable permitted effective bounding ambient", " ".join([m] * 5), SHOW_CAPS)


@check("process_capabilities", "none")
def _(b):
    b.process["capabilities"] = {}
    b.says("sets", " ".join(["0" * 16] * 5), SHOW_CAPS)


@check("process_capabilities_fail", "a name that is none")
def _(b):
    b.process["capabilities"]["bounding"] = CAPS + ["CAP_TEST"]
    b.create(args=["true"], good=False)


@check("process_oom_score_adj", "given")
def _(b):
    b.process["oomScoreAdj"] = 500
    b.says("it", "500", "cat /proc/self/oom_score_adj")


@check("process_oom_score_adj", "not given: the runtime's")
def _(b):
    with open("/proc/self/oom_score_adj") as f:
        b.says("it", f.read().strip(), "cat /proc/self/oom_score_adj")


LIMITS = {"CPU": "cpu time", "FSIZE": "file size", "DATA": "data size", "STACK": "stack size", "CORE": "core file size",
          "RSS": "resident set", "NPROC": "processes", "NOFILE": "open files", "AS": "address space",
          "LOCKS": "file locks", "SIGPENDING": "pending signals", "NICE": "nice priority", "RTPRIO": "realtime priority",
          "RTTIME": "realtime timeout", "MEMLOCK": "locked memory", "MSGQUEUE": "msgqueue size"}


@check("process_rlimits", "all of them")
def _(b):
    small = {"NICE": 0, "RTPRIO": 0}
    big = {"CPU": 900, "NPROC": 3000, "NOFILE": 500, "SIGPENDING": 300, "MEMLOCK": 65536, "MSGQUEUE": 40000, "RTTIME": 5000}
    values = {k: small.get(k, big.get(k, 1 << 30)) for k in LIMITS}
    b.process["rlimits"] = [{"type": "RLIMIT_" + k, "hard": v, "soft": v // 2} for k, v in values.items()]
    out = b.sees("cat /proc/self/limits")
    for k, words in LIMITS.items():
        line = [x for x in out.splitlines() if x.startswith("Max " + words)][0].split("Max " + words)[1].split()
        want(k, (values[k] // 2, values[k]), (int(line[0]), int(line[1])))


@check("process_rlimits", "none given: the runtime's")
def _(b):
    import resource
    b.process["rlimits"] = []
    out = b.sees("cat /proc/self/limits")
    want("files", resource.getrlimit(resource.RLIMIT_NOFILE), tuple(int(x) for x in
         [x for x in out.splitlines() if x.startswith("Max open files")][0].split()[3:5]))


@check("process_rlimits_fail", "a name that is none")
def _(b):
    b.process["rlimits"] = [{"type": "RLIMIT_TEST", "hard": 1024, "soft": 1024}]
    b.create(args=["true"], good=False)


@check("process", "noNewPrivileges")
def _(b):
    b.says("on", "1", "awk '/^NoNewPrivs/ {print $2}' /proc/self/status")
    b.process["noNewPrivileges"] = False
    b.says("off", "0", "awk '/^NoNewPrivs/ {print $2}' /proc/self/status")


@check("misc_props", "an unknown property")
def _(b):
    b.spec["org.example.unknown"] = {"a": 1}
    b.process["unknown"] = True
    b.says("it runs", "fine", "echo fine")


@check("misc_props", "an unknown annotation")
def _(b):
    b.spec["annotations"] = {"org.example.unknown": "a"}
    b.says("it runs", "fine", "echo fine")


@check("misc_props", "another ociVersion")
def _(b):
    b.spec["ociVersion"] = "0.1.0-invalid-v"
    b.create(args=["true"], good=False)


@check("misc_props", "a value of the wrong type")
def _(b):
    b.process["args"] = "true"
    b.create(good=False)


# ---- root and mounts ----------------------------------------------------------------------------------------------

@check("root_readonly_true", "nothing can be written")
def _(b):
    b.spec["root"]["readonly"] = True
    b.says("it", "1", "touch /tmp/x 2>/dev/null; echo $?")
    want("written", False, os.path.exists(b.rootfs + "/tmp/x"))


@check("root_readonly_true", "an absolute path")
def _(b):
    b.spec["root"]["path"] = b.rootfs
    b.says("it", "0", "touch /tmp/x 2>/dev/null; echo $?")


@check("mounts", "options of tmpfs")
def _(b):
    b.spec["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                             "options": ["nosuid", "strictatime", "mode=755", "size=1k", "ro", "noexec", "nodev"]})
    out = b.sees("grep ' /tmp tmpfs ' /proc/mounts; stat -c %a /tmp").split()
    flags = out[3].split(",")
    want("flags", [], [x for x in ("ro", "nosuid", "nodev", "noexec") if x not in flags])
    want("size", True, "size=4k" in flags)
    want("mode", "755", out[-1])


@check("mounts", "order")
def _(b):
    b.spec["mounts"] += [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
                         {"destination": "/tmp/a/b", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}]
    b.says("it", "/tmp /tmp/a/b", "echo $(awk '$2 ~ \"^/tmp\" {print $2}' /proc/mounts)")


@check("mounts", "bind: read-only, of a file, of a folder that is made")
def _(b):
    os.mkdir(b.dir + "/src")
    for n in "f", "g":
        with open("%s/src/%s" % (b.dir, n), "w") as f:
            f.write("data\n")
    b.spec["mounts"] += [
        {"destination": "/made/ro", "type": "bind", "source": b.dir + "/src", "options": ["rbind", "ro"]},
        {"destination": "/made/rw", "type": "none", "source": b.dir + "/src", "options": ["bind", "rw"]},
        {"destination": "/made/file", "type": "bind", "source": b.dir + "/src/g", "options": ["bind"]}]
    b.says("it", "data data 1 0", "echo $(cat /made/ro/f /made/file; touch /made/ro/x 2>/dev/null; echo $?; echo x >/made/rw/new; echo $?)")
    want("on the host", True, os.path.exists(b.dir + "/src/new"))


@check("mounts", "a source that is not there")
def _(b):
    b.spec["mounts"].append({"destination": "/made", "type": "bind", "source": b.dir + "/none", "options": ["bind"]})
    b.create(args=["true"], good=False)


@check("mounts", "a destination that leaves by a symbolic link")
def _(b):
    os.mkdir(b.dir + "/outside")
    os.symlink("../../../../../../" + b.dir + "/outside", b.rootfs + "/link")
    b.spec["mounts"].append({"destination": "/link/x", "type": "tmpfs", "source": "tmpfs"})
    b.write()
    b.made.append(b.id())
    b.rt("create", "--bundle", b.bundle, b.id())
    want("made outside", [], os.listdir(b.dir + "/outside"))


@check("mounts", "bind: what is mounted below comes with rbind only")
def _(b):
    src = b.dir + "/src"
    os.makedirs(src + "/sub")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", src + "/sub"], check=True)
    b.clean.append(lambda: subprocess.run(["umount", "-l", src + "/sub"]))
    with open(src + "/sub/f", "w"):
        pass
    b.spec["mounts"] += [{"destination": "/one", "type": "bind", "source": src, "options": ["bind"]},
                         {"destination": "/all", "type": "bind", "source": src, "options": ["rbind"]}]
    b.says("it", "/all/sub/f", "ls /one/sub/f /all/sub/f 2>/dev/null")


for option, seen in (("rprivate", "1"), ("rslave", "0"), ("rshared", "0")):
    @check("mounts", "bind: what the host mounts below later, " + option)
    def _(b, option=option, seen=seen):
        src = b.dir + "/src"
        os.makedirs(src + "/sub")
        subprocess.run(["mount", "--bind", "--make-shared", src, src], check=True)
        b.clean.append(lambda: subprocess.run(["umount", "-lR", src], stderr=subprocess.DEVNULL))
        b.spec["mounts"].append({"destination": "/there", "type": "bind", "source": src, "options": ["rbind", option]})
        r = b.create(args=["sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done; test -e /there/sub/f; echo $?"])
        b.start()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", src + "/sub"], check=True)
        with open(src + "/sub/f", "w"), open(b.rootfs + "/tmp/go", "w"):
            pass
        b.until("stopped")
        r.outfile.seek(0)
        want("status of a test for it", seen, r.outfile.read().strip())


for option, below in (("idmap", "0"), ("ridmap", "1000")):
    @check("mounts", "bind: other owners, " + option)
    def _(b, option=option, below=below):
        src = b.dir + "/src"
        os.makedirs(src + "/sub")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", src + "/sub"], check=True)
        b.clean.append(lambda: subprocess.run(["umount", "-l", src + "/sub"]))
        with open(src + "/f", "w"):
            os.chown(src + "/f", 5, 6)
        b.spec["mounts"].append({"destination": "/there", "type": "bind", "source": src, "options": ["rbind", option],
                                 **{k: [{"containerID": 0, "hostID": 1000, "size": 100}] for k in ("uidMappings", "gidMappings")}})
        b.says("owners", "1000 1005 1006 " + below, "echo $(stat -c %u /there) $(stat -c '%u %g' /there/f) $(stat -c %u /there/sub)")


# Each on its own line: what a user does in a mount with other owners, and whether that is so.
DEEDS = """cd /there
for deed in 'touch new' 'mkdir d' 'ln -s x s' 'mknod p p' 'ln f hard' 'mv f g' 'mv g f' 'chown %s f' 'chown 500 f' 'chown %s f' \\
    'cat other' 'rm other' 'mv other q' 'echo x >> other' 'touch sg/new'; do
	said=$(sh -c "$deed" 2>&1) && echo $deed: ok || echo $deed: ${said##*: }
done
stat -c '%%n %%u %%g' * sg/*"""
LARGE, DENIED = "Value too large for defined data type", "Permission denied"


def owners_box(b, user, userns, maps):
    """A directory with files of 0 and of 5000, whom none of these mounts has an owner for."""
    b.src = b.dir + "/src"
    os.makedirs(b.src + "/sg")
    for name, owner in ("f", 0), ("other", 5000):
        with open(b.src + "/" + name, "w"):
            os.chown(b.src + "/" + name, owner, owner)
    os.chown(b.src + "/sg", 0, 7)
    os.chmod(b.src, 0o777)
    os.chmod(b.src + "/sg", 0o2777)
    b.process["user"] = {"uid": user, "gid": user}
    if userns:
        b.linux["namespaces"].append({"type": "user"})
        b.linux["uidMappings"] = b.linux["gidMappings"] = userns
        for top, dirs, files in os.walk(b.rootfs):
            for name in [top] + [os.path.join(top, f) for f in dirs + files]:
                os.lchown(name, userns[0]["hostID"], userns[0]["hostID"])
    b.spec["mounts"].append({"destination": "/there", "type": "bind", "source": b.src, "options": ["rbind", "idmap"],
                             **({"uidMappings": maps, "gidMappings": maps} if maps else {})})


TO_1000 = [{"containerID": 0, "hostID": 1000, "size": 100}]
TO_100000 = [{"containerID": 0, "hostID": 100000, "size": 1000}]
SHIFTED = [{"containerID": 0, "hostID": 100005, "size": 50}]

for name, user, userns, maps, zero in (
        ("of the mount", 1000, None, TO_1000, 1000), ("of the container", 0, TO_100000, None, 0),
        ("of the mount in those of the container", 5, TO_100000, SHIFTED, 5)):
    @check("mounts", "bind: new files with owners " + name)
    def _(b, user=user, userns=userns, maps=maps, zero=zero):
        owners_box(b, user, userns, maps)
        said = b.sees(DEEDS % (zero, zero)).splitlines()
        deeds = dict(line.split(": ", 1) for line in said if ": " in line)
        # Who may not give files away hears that, or that there is no such owner: moat says the one, others the other.
        want("chown to nobody of the mount", bool(user), deeds.pop("chown 500 f") != "ok")
        want("what did not go", {"rm other": LARGE, "mv other q": LARGE, "echo x >> other": DENIED},
             {k: v for k, v in deeds.items() if v != "ok"})
        want("owners inside", [f"d {zero} {zero}", f"f {zero} {zero}", f"hard {zero} {zero}", f"new {zero} {zero}", "other 65534 65534",
                               f"p {zero} {zero}", f"s {zero} {zero}", f"sg {zero} {zero + 7}", f"sg/new {zero} {zero + 7}"],
             [line for line in said if ": " not in line])
        want("owners outside", ["d 0 0", "f 0 0", "hard 0 0", "new 0 0", "other 5000 5000", "p 0 0", "s 0 0", "sg 0 7", "sg/new 0 7"],
             subprocess.run("stat -c '%n %u %g' * sg/*", shell=True, cwd=b.src, capture_output=True, text=True).stdout.splitlines())


for name, userns, maps in ("mount", None, TO_1000), ("mount and has its own", TO_100000, SHIFTED):
    @check("mounts", "bind: no new files of whom the mount does not know, " + name)
    def _(b, userns=userns, maps=maps):
        owners_box(b, 0, userns, maps)
        said = b.sees(DEEDS % (5, 5)).splitlines()
        deeds = dict(line.split(": ", 1) for line in said if ": " in line)
        for deed in "chown 500 f", "touch new", "mkdir d", "ln -s x s", "mknod p p", "ln f hard", "mv f g", "touch sg/new", "rm other", "mv other q":
            want(deed, LARGE, deeds[deed])
        want("echo x >> other", DENIED, deeds["echo x >> other"])
        want("files outside", ["f", "other", "sg"], sorted(os.listdir(b.src)))


# What is set with "r" is so of what is mounted below, too.
for option, probe, expected in (
        ("rro", "touch /there/sub/x 2>/dev/null; echo $?", "1"), ("ro", "touch /there/sub/x 2>/dev/null; echo $?", "0"),
        ("rnoexec", "/there/sub/busybox true 2>/dev/null; echo $?", "126"), ("noexec", "/there/sub/busybox true 2>/dev/null; echo $?", "0"),
        ("rnodev", "echo x 2>/dev/null >/there/sub/null; echo $?", "1"), ("rnosuid", "/there/sub/busybox id -u", "5"),
        ("rnosymfollow", "cat /there/sub/link 2>/dev/null | head -c 1 | wc -c", "0")):
    @check("mounts_recursive", option)
    def _(b, option=option, probe=probe, expected=expected):
        src = b.dir + "/src"
        os.makedirs(src + "/sub")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", src + "/sub"], check=True)
        b.clean.append(lambda: subprocess.run(["umount", "-l", src + "/sub"]))
        subprocess.run(["cp", b.rootfs + "/bin/busybox", src + "/sub"], check=True)
        os.chmod(src + "/sub/busybox", 0o4755)
        os.mknod(src + "/sub/null", 0o20666, os.makedev(1, 3))
        os.symlink("busybox", src + "/sub/link")
        if option == "rnosuid":
            b.process["user"]["uid"] = 5
            b.process["noNewPrivileges"] = False
        b.spec["mounts"].append({"destination": "/there", "type": "bind", "source": src, "options": ["rbind", option]})
        b.says(option, expected, probe)


# ---- linux --------------------------------------------------------------------------------------------------------

def path_cases(b, key):
    os.makedirs(b.rootfs + "/d")
    for n in "f", "d/f":
        with open("%s/%s" % (b.rootfs, n), "w") as f:
            f.write("secret\n")
    os.symlink("f", b.rootfs + "/l")
    b.linux[key] = {"maskedPaths": ["/f", "/d", "/none", "/proc/kcore"], "readonlyPaths": ["/f", "/d", "/none", "/proc/sys"]}[key]


@check("linux_masked_paths", "file, folder, nothing there")
def _(b):
    path_cases(b, "maskedPaths")
    b.says("it", "0 0", "echo $(cat /f | wc -c) $(ls /d | wc -l)")


@check("linux_masked_paths", "a symbolic link")
def _(b):
    path_cases(b, "maskedPaths")
    b.linux["maskedPaths"] = ["/l"]
    b.says("it", "0", "cat /f | wc -c")


@check("linux_readonly_paths", "file, folder, nothing there")
def _(b):
    path_cases(b, "readonlyPaths")
    b.says("it", "1 1 secret", "for f in /f /d/new; do sh -c \"echo x >>$f\" 2>/dev/null; echo $?; done | tr '\\n' ' '; cat /f")


@check("linux_sysctl", "net.ipv4.ip_forward")
def _(b):
    b.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    b.says("it", "1", "cat /proc/sys/net/ipv4/ip_forward")


@check("linux_sysctl", "kernel.msgmax, fs.mqueue.msg_max")
def _(b):
    b.linux["sysctl"] = {"kernel.msgmax": "4096", "fs.mqueue.msg_max": "20"}
    b.says("it", "4096 20", "echo $(cat /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max)")


@check("linux_sysctl", "one that is the host's")
def _(b):
    b.linux["sysctl"] = {"kernel.panic": "7"}
    b.create(args=["true"], good=False)


@check("linux_seccomp", "getcwd refused")
def _(b):
    b.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd", "chdir"], "action": "SCMP_ACT_ERRNO"}]}
    b.says("it", "1", "cd /tmp 2>/dev/null && cd /bin 2>/dev/null; [ $? = 0 ]; echo $?")


@check("linux_devices", "a fifo with mode and owner")
def _(b):
    b.linux["devices"] = [{"path": "/dev/test3", "type": "p", "fileMode": 0o640, "uid": 3, "gid": 4}]
    b.says("it", "fifo 640 3 4", "stat -c '%F %a %u %g' /dev/test3")


for kind, show in (("c", "character special file"), ("b", "block special file")):
    @check("linux_devices", "%s with numbers, mode and owner" % show)
    def _(b, kind=kind, show=show):
        b.linux["devices"] = [{"path": "/dev/test1", "type": kind, "major": 10, "minor": 666, "fileMode": 0o666, "uid": 3, "gid": 4}]
        b.says("it", show + " a 29a 666 3 4", "stat -c '%F %t %T %a %u %g' /dev/test1")


@check("linux_devices", "a device without its numbers")
def _(b):
    b.linux["devices"] = [{"path": "/dev/x", "type": "nonsense", "major": 1, "minor": 3}]
    b.create(args=["true"], good=False)


@check("linux_uid_mappings", "of the user namespace")
def _(b):
    b.linux["namespaces"].append({"type": "user"})
    b.linux["uidMappings"] = b.linux["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 2000}]
    for d, _, files in os.walk(b.bundle):
        for n in [d] + [os.path.join(d, f) for f in files]:
            os.chown(n, 1000, 1000, follow_symlinks=False)
    os.chmod(b.dir, 0o755)
    b.says("it", "0 1000 2000 0 1000 2000", "echo $(cat /proc/self/uid_map /proc/self/gid_map)")


@check("linux_uid_mappings", "and what it makes on the host")
def _(b):
    b.linux["namespaces"].append({"type": "user"})
    b.linux["uidMappings"] = b.linux["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 2000}]
    for d, _, files in os.walk(b.bundle):
        for n in [d] + [os.path.join(d, f) for f in files]:
            os.chown(n, 1000, 1000, follow_symlinks=False)
    b.says("it", "0 7", "echo x >/tmp/a; echo x >/tmp/b; chown 7:7 /tmp/b 2>/dev/null || busybox chown 7:7 /tmp/b; stat -c %u /tmp/a /tmp/b | tr '\\n' ' '")
    want("on the host", (1000, 1007), (os.stat(b.rootfs + "/tmp/a").st_uid, os.stat(b.rootfs + "/tmp/b").st_uid))


for kind, seen in (("shared", "yes"), ("slave", "no"), ("private", "no")):
    @check("linux_rootfs_propagation", kind)
    def _(b, kind=kind, seen=seen):
        b.process["capabilities"] = {k: CAPS + ["CAP_SYS_ADMIN"] for k in ("bounding", "effective", "permitted")}
        b.linux["rootfsPropagation"] = kind
        b.says("a mount below / seen in a copy of /", seen,
               "mkdir -p /t /m /s && touch /s/f && mount -o rbind / /t && mount -o bind /s /m && { [ -e /t/m/f ] && echo yes || echo no; }")


@check("linux_rootfs_propagation", "unbindable")
def _(b):
    b.process["capabilities"] = {k: CAPS + ["CAP_SYS_ADMIN"] for k in ("bounding", "effective", "permitted")}
    b.linux["rootfsPropagation"] = "unbindable"
    b.says("it", "refused", "mkdir -p /t; mount -o bind / /t 2>/dev/null && echo done || echo refused")


def ns_of(pid, kind):
    return os.readlink("/proc/%s/ns/%s" % (pid, PROC.get(kind, kind)))


for kind in NS:
    @check("linux_ns_nopath", kind)
    def _(b, kind=kind):
        if kind == "user":
            b.linux["namespaces"].append({"type": "user"})
            b.linux["uidMappings"] = b.linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
        s = b.up()
        want("another namespace than the host's", True, ns_of(s["pid"], kind) != ns_of("self", kind))

    @check("linux_ns_itype", kind)
    def _(b, kind=kind):
        b.linux["namespaces"] = [n for n in b.linux["namespaces"] if n["type"] != kind]
        if kind == "uts":
            del b.spec["hostname"]
        if kind == "mount":
            b.spec["mounts"] = []
        s = b.up()
        want("the host's namespace", ns_of("self", kind), ns_of(s["pid"], kind))

    @check("linux_ns_path", kind)
    def _(b, kind=kind):
        flags = {"pid": ["--pid", "--fork"], "network": ["--net"], "user": ["--user", "--map-root-user"]}.get(kind, ["--" + kind])
        p = subprocess.Popen(["unshare", *flags, "sleep", "1000"])
        b.clean.append(lambda: (kids(p.pid, "kill"), p.kill(), p.wait()))
        for _ in range(100):
            time.sleep(0.03)
            target = (kids(p.pid) or [p.pid])[0] if kind == "pid" else p.pid
            if ns_of(target, kind) != ns_of("self", kind):
                break
        entries = [n for n in b.linux["namespaces"] if n["type"] != kind]
        b.linux["namespaces"] = [{"type": kind, "path": "/proc/%d/ns/%s" % (target, PROC.get(kind, kind))}] + entries
        if kind == "uts":
            del b.spec["hostname"]
        s = b.up()
        want("the namespace of the path", ns_of(target, kind), ns_of(s["pid"], kind))

    @check("linux_ns_path_type", kind)
    def _(b, kind=kind):
        other = "network" if kind != "network" else "ipc"
        b.linux["namespaces"] = [n for n in b.linux["namespaces"] if n["type"] != kind] + [
            {"type": kind, "path": "/proc/self/ns/" + PROC.get(other, other)}]
        b.create(args=["true"], good=False)


def kids(pid, do=None):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            found = [int(x) for x in f.read().split()]
    except OSError:
        return []
    if do:
        for k in found:
            os.kill(k, 9)
    return found


@check("linux_ns_path", "one that is not there")
def _(b):
    b.linux["namespaces"][1]["path"] = "/proc/none"
    b.create(args=["true"], good=False)


@check("linux_process_apparmor_profile", "a profile that engines name")
def _(b):
    if os.path.exists("/sys/kernel/security/apparmor"):
        b.process["apparmorProfile"] = "unconfined"
    b.says("it", "fine", "echo fine")


@check("linux_mount_label", "a label")
def _(b):
    if os.path.exists("/sys/fs/selinux/enforce"):
        b.linux["mountLabel"] = "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811"
    b.says("it", "fine", "echo fine")


# ---- cgroups: what the host's say -----------------------------------------------------------------------------------

def groups_of(pid):
    """Controller to path, "" for version 2."""
    found = {}
    with open("/proc/%d/cgroup" % pid) as f:
        for line in f:
            _, names, path = line.strip().split(":", 2)
            found.update({n: path for n in names.split(",")})
    return found


def group(program, what, resources, *files):
    """Each of files: a controller of version 1, its file, what is to be in it."""
    for form in ("", "relative_"):
        @check(program.replace("linux_cgroups_", "linux_cgroups_" + form), what)
        def _(b, form=form):
            path = b.linux["cgroupsPath"] = ("" if form else "/") + b.tag
            b.linux["resources"] = resources
            if not all(os.path.isdir("/sys/fs/cgroup/" + f[0]) for f in files):
                # What the host has no controller for is an error, not passed over.
                b.create(args=["true"], good=False)
                b.clean.append(lambda: drop_groups("/" + b.tag))
                return

            def look(s):
                at = groups_of(s["pid"])
                b.clean.append(lambda: [drop_groups(p) for p in set(at.values()) if p.endswith(b.tag)])
                for controller, name, expected in files:
                    p = at[controller]
                    want("the group's end", True, p.endswith(b.tag))
                    if not form:
                        want("the group", path, p)
                    with open("/sys/fs/cgroup/%s%s/%s" % (controller, p, name)) as f:
                        got = f.read().strip()
                    if callable(expected):
                        expected(name, got)
                    else:
                        want(name, expected, got)
            b.sees("true", look)


def at_least(n, more):
    """The host's limit has room for the sandbox itself; the guest's is exact and looked at inside."""
    def look(name, got):
        want("%s (%s) in its range" % (name, got), True, n <= int(got) <= n + more)
    return look


group("linux_cgroups_memory", "limit, reservation, swap, swappiness",
      {"memory": {"limit": 50593792, "reservation": 50593792, "swap": 50593792, "swappiness": 10}},
      ("memory", "memory.limit_in_bytes", at_least(50593792, 64 << 20)), ("memory", "memory.soft_limit_in_bytes", at_least(50593792, 64 << 20)),
      ("memory", "memory.swappiness", "10"))
group("linux_cgroups_cpus", "shares, quota, period, cpus, mems",
      {"cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"}},
      ("cpu", "cpu.shares", "1024"), ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu", "cpu.cfs_period_us", "100000"),
      ("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0"))
group("linux_cgroups_pids", "limit", {"pids": {"limit": 1000}}, ("pids", "pids.max", at_least(1000, 256)))


def allowed(name, got):
    want("c 10:229 and b 8:20 in it", True, "c 10:229 rwm" in got and "b 8:20 r" in got)


group("linux_cgroups_devices", "allowed devices",
      {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
                   {"allow": True, "type": "b", "major": 8, "minor": 20, "access": "r"}]},
      ("devices", "devices.list", allowed))
group("linux_cgroups_blkio", "throttling",
      {"blockIO": {"throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": 102400}],
                   "throttleWriteIOPSDevice": [{"major": 7, "minor": 0, "rate": 100}]}},
      ("blkio", "blkio.throttle.read_bps_device", "7:0 102400"), ("blkio", "blkio.throttle.write_iops_device", "7:0 100"))
group("linux_cgroups_network", "class and priority", {"network": {"classID": 255, "priorities": [{"name": "lo", "priority": 10}]}},
      ("net_cls", "net_cls.classid", "255"))
group("linux_cgroups_hugetlb", "a limit", {"hugepageLimits": [{"pageSize": "2MB", "limit": 56892210544640}]},
      ("hugetlb", "hugetlb.2MB.limit_in_bytes", "9223372036854771712"))


@check("linux_cgroups_hugetlb", "a page size that there is not")
def _(b):
    b.linux["cgroupsPath"] = "/" + b.tag
    b.clean.append(lambda: drop_groups("/" + b.tag))
    b.linux["resources"] = {"hugepageLimits": [{"pageSize": "3MB", "limit": 100}]}
    b.create(args=["true"], good=False)


@check("linux_cgroups_pids", "and the program's are counted")
def _(b):
    b.linux["cgroupsPath"] = "/" + b.tag
    b.clean.append(lambda: drop_groups("/" + b.tag))
    b.linux["resources"] = {"pids": {"limit": 4}}
    b.says("more than the limit", "refused",
           "(for i in 1 2 3 4 5 6 7; do sleep 1 & done; wait) 2>/tmp/err; grep -qi 'unavailable\\|fork' /tmp/err && echo refused")
