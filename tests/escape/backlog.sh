#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many who wait for room at a TCP listener, of whom some go, turn to another or are let in at the same time: nobody is lost, and
# nothing of who went is left. (tests/guest/backlog is compared with Linux in all else.)
. "$(dirname "$0")/../lib/common.sh"

program=$(realpath "$BUILD/tests/guest/backlog")
for platform in trap ptrace; do
	status=0
	timeout -s KILL 100 "$moat" do --platform=$platform ${MOAT_FLAGS:-} -- "$program" together >"$work/out" 2>"$work/err" || status=$?
	same "status on $platform" 0 $status
	same "on $platform" "bad: 0" "$(cat "$work/out")"
done
