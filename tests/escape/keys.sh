#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Keys that end are collected, and what they held with them: with the waiting times of a sandbox of their own.
. "$(dirname "$0")/../lib/common.sh"

[ "$(id -u)" = 0 ] || skip "needs root"
program=$(realpath "$BUILD/tests/guest/keys")
"$moat" do -- "$program" collected >"$work/out" || die "status $?: $(cat "$work/out")"
diff - "$work/out" <<X || die "not everything was collected"
links(ring): 40
rows_of_users(FROM): 100
rows_of_users(FROM): 0
links(ring): 26
wrong: 0
X
