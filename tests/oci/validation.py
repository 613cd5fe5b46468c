# SPDX-License-Identifier: Apache-2.0
"""What the validation suite of opencontainers/runtime-tools looks at, looked at from outside by the same contract: a
bundle, runc's command line, and a program inside that says what it finds.

usage: validation.py DIFFERENCES NAME=RUNTIME...      [-k WORD]

Runs every check with each runtime and prints a line for each. Of the first one, what fails has to be in DIFFERENCES
(NAME<tab>REASON), and what is there has to fail. A reason that begins with "as crun" or "as runc" is held to it when
that runtime is among the others.
"""
import copy, glob, json, os, re, shutil, subprocess, sys, tempfile, time, traceback
from concurrent.futures import ThreadPoolExecutor

CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
        "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"]
SPEC = {
    "ociVersion": "1.0.2",
    "process": {"args": ["sh"], "env": ["PATH=/bin", "TERM=xterm"], "cwd": "/", "user": {"uid": 0, "gid": 0},
                "capabilities": {k: CAPS for k in ("bounding", "effective", "permitted")},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": True},
    "root": {"path": "rootfs"}, "hostname": "mrsdalloway",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}],
    "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]},
}
APPLETS = """sh echo cat id pwd env ls true false sleep touch readlink mount umount hostname kill ps stat wc grep mkdir rm sed
    mknod tr sort head tail dd chroot unshare nproc uname ln cut awk""".split()
checks = []


class Wrong(Exception):
    pass


def check(program, name):
    """A check of what the suite's program of that name looks at."""
    def add(function):
        checks.append(("%s/%s" % (program, name), function))
        return function
    return add


def want(what, expected, got):
    if expected != got:
        raise Wrong("%s: expected <%s>, got <%s>" % (what, expected, got))


class Box:
    """A bundle, and containers made of it by one runtime; all of it is removed at the end."""

    def __init__(self, runtime, name):
        self.runtime, self.made, self.clean = runtime, [], []
        self.dir = tempfile.mkdtemp(prefix="validation.")
        os.chmod(self.dir, 0o755)
        self.bundle, self.rootfs = self.dir + "/b", self.dir + "/b/rootfs"
        self.tag = "v%d-%s" % (os.getpid(), os.path.basename(self.dir).split(".")[1].replace("_", "x"))
        for d in "bin etc tmp proc dev sys root".split():
            os.makedirs("%s/%s" % (self.rootfs, d))
        shutil.copy(shutil.which("busybox"), self.rootfs + "/bin/busybox")
        for a in APPLETS:
            os.symlink("busybox", "%s/bin/%s" % (self.rootfs, a))
        self.spec = copy.deepcopy(SPEC)

    @property
    def linux(self):
        return self.spec["linux"]

    @property
    def process(self):
        return self.spec["process"]

    def rt(self, *args, **kw):
        """The runtime's command: status and words. Its streams are files: a container keeps them."""
        out, err = tempfile.TemporaryFile("a+", errors="replace"), tempfile.TemporaryFile("a+", errors="replace")
        kw.setdefault("cwd", self.bundle)
        try:
            r = subprocess.run([self.runtime, "--root", self.dir + "/state", *args], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                               timeout=60, **kw)
        except subprocess.TimeoutExpired:
            raise Wrong("%s does not end" % " ".join(args))
        for f in out, err:
            f.seek(0)
        r.out, r.err, r.outfile = out.read(), err.read(), out
        return r

    def good(self, *args, **kw):
        r = self.rt(*args, **kw)
        if r.returncode != 0:
            raise Wrong("%s: status %d: %s" % (args[0], r.returncode, (r.err + r.out).strip()[-300:]))
        return r

    def bad(self, *args, **kw):
        r = self.rt(*args, **kw)
        if r.returncode == 0:
            raise Wrong("%s: no error" % " ".join(args))
        return r

    def write(self):
        with open(self.bundle + "/config.json", "w") as f:
            json.dump(self.spec, f)

    def id(self, n=0):
        return "%s-%d" % (self.tag, n)

    def create(self, *more, n=0, args=None, good=True):
        if args is not None:
            self.process["args"] = args
        self.write()
        self.made.append(self.id(n))
        return (self.good if good else self.bad)("create", "--bundle", self.bundle, *more, self.id(n))

    def start(self, n=0):
        return self.good("start", self.id(n))

    def state(self, n=0):
        r = self.rt("state", self.id(n))
        return json.loads(r.out) if r.returncode == 0 else None

    def until(self, status, n=0):
        s = None
        for _ in range(200):
            s = self.state(n)
            if (s and s["status"]) == status:
                return s
            time.sleep(0.03)
        raise Wrong("expected status %s, got %s" % (status, s and s["status"]))

    def kill(self):
        self.good("kill", self.id(), "KILL")
        self.until("stopped")

    def up(self, args=("sleep", "1000"), **kw):
        self.create(args=list(args), **kw)
        self.start(kw.get("n", 0))
        return self.state(kw.get("n", 0))

    def sees(self, script, inspect=None):
        """What a script inside says; inspect looks from outside before it starts."""
        r = self.create(args=["sh", "-c", script])
        if inspect:
            inspect(self.state())
        self.start()
        self.until("stopped")
        r.outfile.seek(0)
        said = r.outfile.read()
        self.good("delete", self.id())
        return said.strip()

    def says(self, what, expected, script):
        want(what, expected, self.sees(script))

    def end(self):
        for i in self.made:
            self.rt("delete", "--force", i)
        for f in reversed(self.clean):
            f()
        # A runtime that failed may leave the cgroups that it names after the container.
        for d in [d + "/" + i for d in glob.glob("/sys/fs/cgroup/*") + ["/sys/fs/cgroup"] for i in self.made]:
            if os.path.isdir(d):
                subprocess.run(["find", d, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)


def one(runtime, name, function):
    box = Box(runtime, name)
    try:
        function(box)
        return None
    except Wrong as e:
        return str(e).replace("\n", " | ")[:400]
    except Exception:
        return traceback.format_exc(limit=-2).replace("\n", " | ")
    finally:
        box.end()


def main(argv):
    word = argv[argv.index("-k") + 1] if "-k" in argv else ""
    listed = {}
    with open(argv[0]) as f:
        for line in f:
            if line.strip() and line[0] != "#":
                name, reason = line.rstrip("\n").split("\t", 1)
                listed[name] = reason
    runtimes = [a.split("=", 1) for a in argv[1:] if "=" in a]
    import validation_checks  # noqa: F401  (they put themselves on the list)
    chosen = [c for c in checks if word in c[0]]
    wrong = []
    results = {}
    for title, path in runtimes:
        with ThreadPoolExecutor(2) as pool:
            results[title] = list(pool.map(lambda c: one(path, *c), chosen))
    print("%-58s %s" % ("", " ".join("%-5s" % t for t, _ in runtimes)))
    for i, (name, _) in enumerate(chosen):
        print("%-58s %s" % (name, " ".join("%-5s" % ("ok" if results[t][i] is None else "no") for t, _ in runtimes)))
        for t, _ in runtimes:
            if results[t][i]:
                print("      %s: %s" % (t, results[t][i]))
        ours = results[runtimes[0][0]][i]
        if ours and name not in listed:
            wrong.append("%s fails: %s" % (name, ours))
        if not ours and name in listed:
            wrong.append("%s is among the differences, and passes" % name)
        for t, _ in runtimes[1:]:
            reason = listed.get(name, "")
            if reason.startswith("as ") and t in re.findall(r"\w+", re.split("[:,]", reason)[0]) and results[t][i] is None:
                wrong.append("%s: the reason is that %s fails too, which it does not" % (name, t))
    for name in listed:
        if not word and name not in [c[0] for c in chosen]:
            wrong.append("%s is among the differences, and no check" % name)
    for t, _ in runtimes:
        print("%s: %d of %d" % (t, sum(r is None for r in results[t]), len(chosen)))
    for w in wrong:
        print("WRONG", w)
    return bool(wrong)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.modules["validation"] = sys.modules["__main__"]
    sys.exit(main(sys.argv[1:]))
