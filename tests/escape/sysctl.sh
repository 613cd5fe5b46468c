#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Values of /proc/sys that the whole sandbox has in common are written, and act. The guest test cannot show it: natively, they
# are the host's.
. "$(dirname "$0")/../lib/common.sh"

want=$(realpath "$(dirname "$0")/sysctl.want")
program=$(realpath "$BUILD/tests/guest/sysctlacts")
cd "$work" || exit 1
for platform in trap ptrace; do
	status=0
	timeout -s KILL 80 "$moat" do --user=0:0 --platform=$platform ${MOAT_FLAGS:-} -- "$program" acts >got || status=$?
	same "status on $platform" 0 $status
	diff "$want" got || die "$platform: not as it has to be"
done
