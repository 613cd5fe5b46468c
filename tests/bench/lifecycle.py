# SPDX-License-Identifier: Apache-2.0
"""How long create, start and delete of a program that does nothing take, in turns with other runtimes of the host.

usage: lifecycle.py ROUNDS NAME=RUNTIME...      moat=build/moat crun=/usr/bin/crun runc=/usr/sbin/runc

Prints medians. Fails if the first one takes more than three times as long as crun, or longer than runc. crun refuses a host with
both versions of cgroups that have controllers: run it where /sys/fs/cgroup/unified is not mounted (unshare -m).
"""
import json, os, shutil, statistics, subprocess, sys, tempfile, time

MOUNTS = [{"destination": "/proc", "type": "proc", "source": "proc"},
          {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}]


def bundle(at):
    os.makedirs(at + "/rootfs/proc")
    os.makedirs(at + "/rootfs/dev")
    subprocess.run(["gcc", "-static", "-O2", "-x", "c", "-o", at + "/rootfs/true", "-"], input=b"int main(void) { return 0; }", check=True)
    with open(at + "/config.json", "w") as f:
        json.dump({"ociVersion": "1.0.2", "process": {"args": ["/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": []},
                   "root": {"path": "rootfs"}, "mounts": MOUNTS,
                   "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]}}, f)


def once(work, title, path, i):
    run = [path, "--root", work + "/state-" + title]
    at = [time.perf_counter()]
    for args in (["create", "--bundle", work + "/b"], ["start"], ["delete"]):
        # delete says no until the program has ended.
        while subprocess.run(run + args + ["%s-%d" % (title, i)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL).returncode:
            if args[0] != "delete" or time.perf_counter() - at[0] > 30:
                sys.exit("%s: %s failed" % (title, args[0]))
        at.append(time.perf_counter())
    return [b - a for a, b in zip(at, at[1:])]


def main():
    runtimes = [a.split("=", 1) for a in sys.argv[2:]]
    work = tempfile.mkdtemp(prefix="lifecycle.")
    times = {t: [] for t, _ in runtimes}
    try:
        bundle(work + "/b")
        for i in range(int(sys.argv[1])):
            for title, path in runtimes:
                times[title].append(once(work, title, os.path.realpath(path), i))
    finally:
        shutil.rmtree(work)
    total = {}
    for t, rows in times.items():
        total[t] = statistics.median(sum(r) for r in rows) * 1000
        parts = [statistics.median(r[k] for r in rows) * 1000 for k in range(3)]
        print("%-8s %7.1f ms: create %.1f, start %.1f, delete %.1f" % (t, total[t], *parts))
    ours = total[runtimes[0][0]]
    return ours > 3 * total.get("crun", ours) or ours > total.get("runc", ours)


sys.exit(main())
