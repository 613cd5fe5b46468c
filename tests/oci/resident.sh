#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What /proc says of resident memory is what is resident: of the reader's own, of another process, of large areas that are
# hardly used, of smaps.
. "$(dirname "$0")/../lib/common.sh"

python3 -c '
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(libc.syscall(279, 0, 0, None, None, None, 0) != 0)' ||
	skip "the host's kernel has no memory nodes (CONFIG_NUMA), and does not tell"
cat >"$work/resident.py" <<'E'
import mmap, os, re

def resident(pid="self"):
    """In MiB, of each file that tells."""
    with open(f"/proc/{pid}/status") as f:
        status = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024
    with open(f"/proc/{pid}/statm") as f:
        statm = int(f.read().split()[1]) / 256
    with open(f"/proc/{pid}/stat") as f:
        stat = int(f.read().rsplit(")", 1)[1].split()[21]) / 256
    with open(f"/proc/{pid}/smaps_rollup") as f:
        rollup = int(re.search(r"Rss:\s+(\d+)", f.read())[1]) / 1024
    with open(f"/proc/{pid}/smaps") as f:
        smaps = sum(int(n) for n in re.findall(r"^Rss:\s+(\d+)", f.read(), re.M)) / 1024
    return status, statm, stat, rollup, smaps

def expect(what, mib, got):
    for g in got:
        assert abs(g - mib) < 4 + mib * 0.05, f"{what}: {mib} MiB expected, {got}"

base = resident()[0]
assert 2 < base < 40, base
x = bytearray(100 << 20)
expect("100 MiB more", base + 100, resident())
del x
expect("given back", base, resident())
m = mmap.mmap(-1, 4 << 30, mmap.MAP_PRIVATE)
expect("only mapped", base, resident())
m[:50 << 20] = b"y" * (50 << 20)
expect("50 MiB of 4 GiB", base + 50, resident())
r, w = os.pipe()
p = os.fork()
if not p:
    os.close(w)
    os.read(r, 1)
    os._exit(0)
expect("a child of fork", base + 50, resident(p))
s = mmap.mmap(-1, 64 << 20)
s[:] = b"z" * (64 << 20)
expect("shared", base + 50 + 64, resident())
E
for platform in ${PLATFORMS:-trap ptrace}; do
	timeout 60 "$moat" do --platform="$platform" -- python3 - <"$work/resident.py" >"$work/out" 2>&1 ||
		die "$platform: $(tail -n 3 "$work/out")"
done
