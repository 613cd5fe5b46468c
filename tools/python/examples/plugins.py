#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host of plugins: plugins.py DIRECTORY

Each executable file of the directory is run in a sandbox and talks to this program by files that exist only there:

    /host/settings      what the host tells all plugins, made when it is read
    /host/events        one line for each event, written by any plugin, seen by the host as it is written
    /host/plugins/NAME  the state of a plugin: "running", "ended 0", ...
    /out/plugin         a tree in memory, where it starts: the file `result` is its result

Prints the events, then how each plugin ended and its result.
"""
import concurrent.futures
import errno
import os
import pathlib
import stat
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import moat  # noqa: E402

LIMITS = moat.Limits(cpu_ms=1000, wall_ms=20000, memory_bytes=64 << 20, processes=32, output_bytes=1 << 20)
TREE_BYTES = 1 << 20


class Host:
    """What all plugins see."""

    def __init__(self, names):
        self.lock, self.states, self.events = threading.Lock(), {n: "waiting" for n in names}, []


class HostFiles(moat.Files):
    """/host, as one plugin sees it."""

    def __init__(self, host, plugin):
        self.host, self.plugin, self.line = host, plugin, b""

    def content(self, path):
        if path == "/settings":
            return f"plugin={self.plugin}\nplugins={len(self.host.states)}\n".encode()
        if path == "/events":
            return b""
        name = path.removeprefix("/plugins/")
        with self.host.lock:
            if name == path or name not in self.host.states:
                raise OSError(errno.ENOENT, path)
            return self.host.states[name].encode() + b"\n"

    def getattr(self, path):
        if path in ("/", "/plugins"):
            return moat.Attr(stat.S_IFDIR | 0o555)
        return moat.Attr(stat.S_IFREG | (0o222 if path == "/events" else 0o444), len(self.content(path)))

    def readdir(self, path):
        if path == "/plugins":
            return [(n, stat.S_IFREG) for n in self.host.states]
        return [("settings", stat.S_IFREG), ("events", stat.S_IFREG), ("plugins", stat.S_IFDIR)]

    def read(self, path, size, offset):
        return self.content(path)[offset:offset + size]

    def truncate(self, path, size):
        if path != "/events":
            raise OSError(errno.EACCES, path)

    def write(self, path, data, offset):
        if path != "/events":
            raise OSError(errno.EACCES, path)
        *lines, self.line = (self.line + data).split(b"\n")
        if len(self.line) > 4096:
            raise OSError(errno.EFBIG, path)
        with self.host.lock:
            self.host.events += [(self.plugin, line.decode(errors="replace")) for line in lines]
        return len(data)


def run(host, directory, name):
    out = moat.Tree(max_bytes=TREE_BYTES)
    out.mkdir("/plugin", 0o777)
    mounts = [moat.tmpfs("/"), moat.Mount("proc", "/proc"), moat.Mount("dev", "/dev"), moat.tmpfs("/tmp"),
              moat.Host(directory, "/plugins", readonly=True), moat.Virtual(HostFiles(host, name), "/host"),
              moat.Virtual(out, "/out")]
    mounts += [moat.Host(d, readonly=True) for d in ("/usr", "/bin", "/lib", "/lib64") if os.path.exists(d)]
    with host.lock:
        host.states[name] = "running"
    try:
        r = moat.run([f"/plugins/{name}"], mounts=mounts, cwd="/out/plugin", limits=LIMITS)
        state = f"ended {r.status}" if r.verdict in (moat.Verdict.OK, moat.Verdict.EXIT_NONZERO) else f"killed: {r.verdict}"
    except moat.Error as e:
        state = f"not started: {e.strerror}"
    with host.lock:
        host.states[name] = state
    try:
        return name, state, out.read("/plugin/result")
    except FileNotFoundError:
        return name, state, b""


def main():
    directory = os.path.realpath(sys.argv[1])
    names = sorted(n for n in os.listdir(directory) if os.access(os.path.join(directory, n), os.X_OK))
    host = Host(names)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: run(host, directory, n), names))
    for plugin, line in host.events:
        print(f"event of {plugin}: {line}")
    for name, state, result in results:
        print(f"{name}: {state}; {result.decode(errors='replace').strip()}")


if __name__ == "__main__":
    main()
