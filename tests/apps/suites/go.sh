#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 5400
# The tests of Go's standard library, in their short form: for each package how many there are, and those that do not
# pass. PACKAGES: some of them alone.
cd /usr/lib/go-1.19/src || exit 1
export GOCACHE=/tmp/cache GOTMPDIR=/tmp GOFLAGS=-vet=off GO111MODULE=on GOPROXY=off
export PATH=/usr/lib/go-1.19/bin:$PATH
cat >/tmp/sum.py <<'P'
import json, sys

results, package = {}, "?"
for line in sys.stdin:
    try:
        e = json.loads(line)
    except ValueError:
        continue
    if e.get("Action") in ("pass", "fail", "skip"):
        name = e.get("Test", "")
        if "/" not in name:  # what a test made of parts does is in its own result
            results[name] = e["Action"]
whole = results.pop("", "none")
print(f"{sys.argv[1]}: {whole}, {len(results)} tests")
for name in sorted(results):
    if results[name] != "pass":
        print(f"{sys.argv[1]}: {name}: {results[name]}")
P
packages=${PACKAGES:-os os/exec os/signal os/user net net/http syscall internal/poll runtime runtime/pprof sync time path/filepath
	io io/fs io/ioutil archive/tar archive/zip compress/bzip2 compress/flate compress/gzip compress/lzw compress/zlib database/sql}
for p in $packages; do
	timeout 1200 go test -short -count=1 -json "$p" 2>/dev/null </dev/null | python3 /tmp/sum.py "$p"
done
