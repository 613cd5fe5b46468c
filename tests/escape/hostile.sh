#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hostile guests: only they suffer. The first process ends with 33 when its bystanders were undisturbed.
. "$(dirname "$0")/../lib/common.sh"

hostile=$(realpath "$BUILD/tests/escape/guests/hostile")
for platform in ${PLATFORMS:-trap ptrace}; do
	for c in code argv names sockets forks sigreturn bases old-calls unmap readonly scribble states sequences; do
		status=0
		timeout -s KILL 150 "$moat" do --platform="$platform" -- "$hostile" "$c" >"$work/out" 2>&1 </dev/null || status=$?
		[ $status = 33 ] || die "$platform $c: status $status: $(tail -n 5 "$work/out")"
	done
done
status=0
timeout -s KILL 150 "$moat" do -- "$hostile" jump >"$work/out" 2>&1 </dev/null || status=$?
same "jumps into the stub" 33 $status
