#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that jumps into the stub's code clones processes of which the sentry knows nothing. They end with the process that
# made them, and a sandbox with limits that has some is killed.
. "$(dirname "$0")/../lib/common.sh"
hostile=$(realpath "$BUILD/tests/escape/guests/hostile")
start_moat --platform=trap -- "$hostile" unasked
for _ in $(seq 600); do ! grep -q "look now" "$work/out" || break; sleep 0.05; done
grep -q "look now" "$work/out" || die "it did not come so far"
# The first one, the bystanders, and the one that cloned; each leads a group, which is what the others end with.
ps -o pid=,pgid=,comm= --ppid "$sentry_pid" >"$work/children"
same "processes that are left" 6 "$(grep -c hostile "$work/children")"
same "leaders of a group" 6 "$(awk '$3 == "hostile" && $1 == $2' "$work/children" | wc -l)"
wait "$moat_pid" || status=$?
same "the bystanders" 33 "${status:-0}"

export PYTHONDONTWRITEBYTECODE=1 MOAT_LIBEXEC=$BUILD MOAT_LIBRARY=$BUILD/libmoat.so.0 PYTHONPATH=tools/python
timeout 140 python3 - "$hostile" <<-'X' >"$work/out" 2>&1 || die "with a limit: $(tail -n 3 "$work/out")"
	import sys
	import moat
	r = moat.run(["/hostile", "unasked-long"], limits=moat.Limits(cpu_ms=60000),
	             mounts=moat.system() + [moat.Host(sys.argv[1], "/hostile", readonly=True)])
	assert r.verdict == moat.Verdict.LIMIT_PROCESSES, (r, r.out, r.err)
X
