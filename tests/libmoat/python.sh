#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Python binding: its structs are those of the headers, and what it can do.
. "$(dirname "$0")/../lib/common.sh"
export PYTHONDONTWRITEBYTECODE=1 MOAT_LIBEXEC=$BUILD MOAT_LIBRARY=$BUILD/libmoat.so.0 PYTHONPATH=tools/python

# A C program that prints the layout which the headers give, of the fields that the binding names.
python3 - >"$work/layout.c" <<'X'
import moat
print('#include <moat/files.h>\n#include <moat/oci.h>\n#include <moat/run.h>\n#include <moat/trace.h>\n#include <stdio.h>\nint main(void)\n{')
for s in moat.STRUCTS:
    n = s._c_name_
    print(f'\tprintf("{n} %zu\\n", sizeof(struct {n}));')
    for f, _ in s._fields_:
        print(f'\tprintf("{n}.{f} %zu %zu\\n", offsetof(struct {n}, {f}), sizeof((struct {n} *)0)->{f});')
print('\treturn 0;\n}')
X
sed -i 's/sizeof((struct \([a-z_]*\) \*)0)->\([a-z_]*\))/sizeof(((struct \1 *)0)->\2))/' "$work/layout.c"
cc -Iinclude -o "$work/layout" "$work/layout.c"
"$work/layout" >"$work/c"
python3 - >"$work/py" <<'X'
import ctypes, moat
for s in moat.STRUCTS:
    print(s._c_name_, ctypes.sizeof(s))
    for f, _ in s._fields_:
        d = getattr(s, f)
        print(f"{s._c_name_}.{f}", d.offset, d.size)
X
diff "$work/c" "$work/py" || die "structs of moat.py differ from the headers (<: the headers)"

cat >"$work/t.py" <<'X'
import concurrent.futures, os, signal, stat, time
import moat
MIB, start_time = 1 << 20, time.monotonic()
r = moat.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"a\0b")
assert (r.verdict, r.status, r.out, r.err) == (moat.Verdict.EXIT_NONZERO, 3, b"a\0b", b"err\n"), r
assert moat.run(["sh", "-c", "kill -KILL $$"]).status == -signal.SIGKILL
r = moat.run(["sh", "-c", "echo out; echo err >&2"], merge=True, env={"A": "b"})
assert r.verdict == moat.Verdict.OK and r.out == b"out\nerr\n" and str(r.verdict) == "OK"
L = moat.Limits
for args, limits, want in (
        (["sh", "-c", "while :; do :; done"], L(cpu_ms=200), "LIMIT_CPU"), (["sleep", "9"], L(wall_ms=200), "LIMIT_WALL"),
        (["python3", "-c", "x = b'x' * (200 << 20)"], L(memory_bytes=64 * MIB), "LIMIT_MEMORY"),
        (["yes"], L(output_bytes=10000), "LIMIT_OUTPUT"),
        (["sh", "-c", "sleep 1 & sleep 1 & sleep 1"], L(processes=2), "LIMIT_PROCESSES"),
        (["sh", "-c", "head -c 9999 /dev/zero >/tmp/x"], L(file_bytes=5000), "LIMIT_FILE")):
    r = moat.run(args, limits=limits)
    assert r.verdict.name == want and r.verdict in r.limits_met, (args, r, r.err)
    assert r.rusage.wall > 0
try:
    moat.run(["/no/such"])
except moat.Error as e:
    assert e.errno == 2 and e.exec, e
else:
    assert False
# Mounts: what is written goes where it shall.
os.mkdir("d")
assert moat.run(["sh", "-c", "echo kept >/d/f; echo gone >/etc/x"],
                mounts=moat.system() + [moat.Host(os.path.abspath("d"), "/d")]).status == 0
assert open("d/f").read() == "kept\n" and not os.path.exists("/etc/x")
assert moat.run(["sh", "-c", "echo no >/d/f"],
                mounts=moat.system() + [moat.Host(os.path.abspath("d"), "/d", readonly=True)]).status != 0
with moat.Sandbox(["sleep", "100"]) as s:
    try:
        s.wait(0.05)
    except TimeoutError:
        pass
    else:
        assert False
    with s.spawn(["sh", "-c", "cat; echo $X"], input=b"in ", env={"PATH": "/bin:/usr/bin", "X": "y"}) as p:
        assert p.wait() == 0 and p.output() == b"in y\n" and p.pid > 1 and p.rusage().wall > 0
    p = s.spawn(["sleep", "100"])
    p.signal(signal.SIGTERM)
    assert p.wait(10) == -signal.SIGTERM
    p.close()
    s.signal(signal.SIGKILL)
    assert s.wait() == -signal.SIGKILL and s.verdict() == moat.Verdict.SIGNALED and s.rusage().wall > 0
for f in (p.wait, p.output, p.rusage, lambda: p.signal(9), s.wait, s.output, s.rusage, s.verdict, s.pause, s.resume,
          lambda: s.signal(9), lambda: s.spawn(["true"])):
    try:
        f()
    except ValueError as e:
        assert "closed" in str(e)
    else:
        assert False, f
# Files that functions make: read, written, refused, and an exception of theirs.
class Numbers(moat.Files):
    written = b""
    def getattr(self, path):
        if path == "/":
            return moat.Attr(stat.S_IFDIR | 0o755)
        if path == "/link":
            return moat.Attr(stat.S_IFLNK | 0o777)
        if path == "/broken":
            raise KeyError(path)
        if not path[1:].isdigit():
            raise FileNotFoundError(2, path)
        return moat.Attr(stat.S_IFREG | 0o666, len(path) - 1, mtime=1e9)
    def readdir(self, path):
        return [("1", stat.S_IFREG), ("22", stat.S_IFREG), ("link", stat.S_IFLNK)]
    def readlink(self, path):
        return "22"
    def statfs(self):
        return 10 << 12, 3 << 12, 7, 2
    def read(self, path, size, offset):
        return path[1:].encode()[offset:offset + size]
    def truncate(self, path, size):
        pass
    def write(self, path, data, offset):
        if path == "/13":
            raise PermissionError(13, path)
        self.written += data
        return len(data)
n = Numbers()
r = moat.run(["sh", "-c", "cd /n; ls; cat 4711 link; echo; echo text >1; cat missing; echo no | tee 13; cat broken; mkdir d; "
              "stat -c '%s %Y' 333; stat -f -c '%b %f %c %d' 1"], mounts=moat.system() + [moat.Virtual(n, "/n")])
assert r.out == b"1\n22\nlink\n471122\nno\n3 1000000000\n10 3 7 2\n" and n.written == b"text\n", (r.out, r.err)
for word in (b"missing: No such file", b"Permission denied", b"broken: Input/output error", b"Read-only file system"):
    assert word in r.err, (word, r.err)
assert isinstance(n.failed, KeyError)
# A tree in memory, by two sandboxes one after the other.
t = moat.Tree({"/in/a": b"A" * 100000})
t.mkdir("/out", 0o777)
t.symlink("/out/l", "../in/a")
for i in range(2):
    assert moat.run(["sh", "-c", f"wc -c <l >>n; cat /t/in/a >{i}"], cwd="/t/out",
                    mounts=moat.system() + [moat.Virtual(t, "/t")]).status == 0
assert t.read("/out/n") == b"100000\n100000\n" and t.read("/out/1") == b"A" * 100000
t.remove("/out/1")
try:
    t.read("/out/1")
except FileNotFoundError:
    pass
else:
    assert False
# Events; what a listener throws.
K, events = moat.EventKind, []
trace = moat.Trace(events.append, kinds=[K.EXEC, K.EXIT, K.RETURN], calls=["chdir"])
assert moat.run(["sh", "-c", "cd /dev; /bin/true 'a\nb'; exit 4"], trace=trace).status == 4
assert [e.kind for e in events] == [K.EXEC, K.RETURN, K.EXEC, K.EXIT, K.EXIT], events
assert events[1].call == "chdir" and events[1].result == 0 and events[1].text == 'chdir("/dev") = 0' and len(events[1].args) == 1
assert events[2].argv == [b"/bin/true", b"a\nb"] and events[2].path.endswith(b"/true") and events[2].comm == b"true"
assert (events[3].pid, events[3].status, events[4].pid, events[4].status) == (events[2].pid, 0, 1, 4)
assert start_time <= events[0].time <= events[4].time <= time.monotonic() and trace.failed is None
def wrong(e):
    raise KeyError(e.pid)
trace = moat.Trace(wrong, kinds=[K.EXIT])
assert moat.run(["true"], trace=trace).status == 0 and isinstance(trace.failed, KeyError)
seen = []
with moat.Sandbox(["sleep", "9"], trace=seen.append) as s:
    assert s.spawn(["true"]).wait() == 0
assert any(e.kind == K.EXEC and e.argv == [b"true"] for e in seen)
try:
    moat.run(["true"], trace=moat.Trace(print, calls=["no_such"]))
except moat.Error as e:
    assert "no_such" in str(e), e
else:
    assert False
# config.json.
import json
conf = {"ociVersion": "1.0.2", "root": {"path": "/", "readonly": True}, "annotations": {"a": "b"}, "what": 1,
        "process": {"args": ["/bin/sh", "-c", "echo $A; read x; echo $x"], "cwd": "/", "env": ["A=b", "PATH=/bin"],
                    "user": {"uid": os.geteuid(), "gid": os.getegid()}},
        "mounts": [{"destination": "/proc", "type": "proc"}],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "network")]}}
with open("d/config.json", "w") as f:
    json.dump(conf, f)
for oci in moat.Oci("d"), moat.Oci("/", json.dumps(conf)):
    assert oci.warnings == ["what: not a field of the specification"] and oci.annotations == {"a": "b"}, oci.warnings
    r = moat.run(oci, input=b"line\n", limits=L(wall_ms=9000))
    assert (r.status, r.out) == (0, b"b\nline\n"), (r, r.out, r.err)
with moat.Sandbox(oci, input=b"l\n") as s:
    assert s.wait() == 0 and s.output() == b"b\nl\n"
for key, value, name in (("hooks", {"poststop": [{"path": "/x"}]}, "hooks.poststop: "), ("process", 7, "process: ")):
    try:
        moat.Oci("/", json.dumps({**conf, key: value}))
    except moat.Error as e:
        assert e.errno == 22 and e.strerror.startswith(name), e
    else:
        assert False
# Threads run side by side: four programs that wait for each other.
os.mkdir("together")
meet = ["sh", "-c", "echo >/together/$1; until [ $(ls /together | wc -l) = 4 ]; do sleep 0.05; done", "sh"]
mounts = moat.system() + [moat.Host(os.path.abspath("together"), "/together", shared=True)]
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert [r.status for r in pool.map(lambda i: moat.run(meet + [str(i)], mounts=mounts), range(4))] == [0] * 4
before = len(os.listdir("/proc/self/fd"))
for _ in range(3):
    moat.run(["true"])
assert len(os.listdir("/proc/self/fd")) == before
X
here=$PWD
cd "$work" && PYTHONPATH=$here/tools/python MOAT_LIBEXEC=$(realpath "$here/$BUILD" 2>/dev/null || realpath "$BUILD") \
	MOAT_LIBRARY=$(realpath "$here/$BUILD/libmoat.so.0" 2>/dev/null || realpath "$BUILD/libmoat.so.0") timeout 120 python3 t.py

# The host of plugins.
cd "$here"
mkdir "$work/plugins"
cat >"$work/plugins/greet" <<'X'
#!/bin/sh
. /host/settings
echo "hello from $plugin of $plugins" >>/host/events
cat /host/plugins/greet >result
X
cat >"$work/plugins/hostile" <<'X'
#!/bin/sh
echo x >/host/settings || echo refused >>/host/events
echo x >/plugins/greet || echo refused >>/host/events
while :; do :; done
X
cat >"$work/plugins/large" <<'X'
#!/bin/sh
head -c 3000000 /dev/zero >big || echo "no room" >/host/events
rm big; ls /host /host/plugins | tr '\n' ' ' >result
exit 4
X
chmod +x "$work/plugins"/*
export PYTHONPATH=$here/tools/python
timeout 120 python3 tools/python/examples/plugins.py "$work/plugins" | sort >"$work/out"
same "what the plugins did" "event of greet: hello from greet of 3
event of hostile: refused
event of hostile: refused
event of large: no room
greet: ended 0; running
hostile: killed: CPU time;
large: ended 4; /host: events plugins settings  /host/plugins: greet hostile large" "$(sed 's/ *$//' "$work/out")"
