#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The behaviours that the validation suite of opencontainers/runtime-tools looks at, with moat; VALIDATE="crun runc": with those
# runtimes of the host, too (the reasons among the differences that are theirs are then held to them).
. "$(dirname "$0")/../lib/common.sh"
command -v busybox >/dev/null || skip "no busybox to make a bundle of"
[ "$(id -u)" = 0 ] || skip "needs root, to make cgroups and mounts"
runtimes=("moat=$moat")
for r in ${VALIDATE:-}; do runtimes+=("$r=$(command -v "$r")"); done
# crun refuses a host that has both versions of cgroups with controllers: it does not see the second one. What the checks
# mount is theirs.
unshare -m --propagation private bash -c '[ ! -e /sys/fs/cgroup/unified ] || umount /sys/fs/cgroup/unified
	exec python3 "$@"' - tests/oci/validation.py tests/oci/validation.differences "${runtimes[@]}" ${WORD:+-k "$WORD"} || die "see above"
