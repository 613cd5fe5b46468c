#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An online judge, as ../../examples/judge.c: judge.py [-t CPU-MS] [-m MEMORY-MIB] SUBMISSION.c TESTS"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import moat  # noqa: E402

MIB = 1 << 20
COMPILER = moat.Limits(cpu_ms=10000, wall_ms=30000, memory_bytes=512 * MIB, processes=64, output_bytes=MIB,
                       file_bytes=64 * MIB)
VERDICTS = {moat.Verdict.LIMIT_CPU: "TLE", moat.Verdict.LIMIT_WALL: "TLE", moat.Verdict.LIMIT_MEMORY: "MLE",
            moat.Verdict.LIMIT_OUTPUT: "OLE"}


def sees(work, compile):
    """The machine's tools while it is compiled, nothing but itself while it runs; the tests never."""
    mounts = [moat.tmpfs("/"), moat.Mount("dev", "/dev"), moat.tmpfs("/tmp"),
              moat.Host(work, "/box", readonly=not compile)]
    if compile:
        mounts += [moat.Host(d, readonly=True) for d in ("/usr", "/bin", "/lib", "/lib64") if os.path.exists(d)]
    return mounts


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-t", type=int, default=1000, metavar="CPU-MS")
    p.add_argument("-m", type=int, default=64, metavar="MEMORY-MIB")
    p.add_argument("submission", type=pathlib.Path)
    p.add_argument("tests", type=pathlib.Path)
    a = p.parse_args()
    limits = moat.Limits(cpu_ms=a.t, wall_ms=3 * a.t, memory_bytes=a.m * MIB, processes=16, output_bytes=4 * MIB,
                         file_bytes=16 * MIB)
    verdict = "OK"
    with tempfile.TemporaryDirectory(prefix="judge.") as work:
        shutil.copy(a.submission, f"{work}/program.c")
        r = moat.run(["gcc", "-O2", "-std=gnu17", "-static", "-o", "/box/program", "/box/program.c", "-lm"],
                     mounts=sees(work, True), cwd="/box", limits=COMPILER, merge=True)
        if r.verdict != moat.Verdict.OK:
            sys.stderr.write(r.out[:4096].decode(errors="replace"))
            print("verdict: CE")
            return 1
        for test in sorted(a.tests.glob("*.in")):
            r = moat.run(["/box/program"], mounts=sees(work, False), cwd="/box", limits=limits,
                         input=test.read_bytes())
            if r.verdict == moat.Verdict.OK:
                v = "OK" if r.out.split() == test.with_suffix(".out").read_bytes().split() else "WA"
            else:
                v = VERDICTS.get(r.verdict, "RE")
            print(f"{test.stem}: {v}, {(r.rusage.user + r.rusage.system) * 1000:.0f} ms, "
                  f"{r.rusage.memory_peak // 1024} KiB ({r.verdict})")
            verdict = v if verdict == "OK" else verdict
    print(f"verdict: {verdict}")
    return int(verdict != "OK")


if __name__ == "__main__":
    sys.exit(main())
