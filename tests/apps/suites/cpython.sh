#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 9000
# CPython's own suite, a module at a time: how many tests there are, and those that do not pass. Of its resources those
# are used that a sandbox without a network has. MODULES: some of them alone.
cd /tmp || exit 1
cat >suite.py <<'P'
import os, subprocess, sys, xml.etree.ElementTree as ET

def names():
    given = os.environ.get("MODULES")
    if given:
        return given.split()
    out = subprocess.run([sys.executable, "-m", "test", "--list-tests"], capture_output=True, text=True).stdout
    return out.split()

def run(name):
    if os.path.exists("r.xml"):
        os.unlink("r.xml")
    cmd = [sys.executable, "-m", "test", "-u", "all,-network,-urlfetch,-gui,-audio,-largefile",
           "--junit-xml", "/tmp/r.xml", "--timeout", "500", name]
    try:
        p = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=600)
        status = p.returncode
    except subprocess.TimeoutExpired:
        return [f"{name}: no end"]
    lines, count = [], 0
    try:
        cases = ET.parse("r.xml").getroot().iter("testcase")
    except (OSError, ET.ParseError):
        cases = []
    for c in cases:
        count += 1
        for kind in ("error", "failure", "skipped"):
            if c.find(kind) is not None:
                lines.append(f"{name}: {c.get('name')}: {kind}")
    return [f"{name}: status {status}, {count} tests"] + sorted(lines)

for n in names():
    print("\n".join(run(n)), flush=True)
P
exec python3 suite.py
