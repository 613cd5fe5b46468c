#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 9000
# Each stressor of stress-ng by itself, checking what it does: 0 is well done, 3 not implemented, 4 no resources.
# STRESS_SECONDS: for how long; STRESSORS: some of them alone. One that is told to stop may go on for a while: mmapfork, whose
# 32 children touch all memory that is free, takes three quarters of a minute for ten seconds beside a load of 30, natively.
cd /tmp || exit 1
for s in ${STRESSORS:-$(stress-ng --stressors)}; do
	case $s in
	resources) continue ;; # it kills by numbers from an array that it has not filled
	esac
	out=$(timeout -k 5 $((${STRESS_SECONDS:-10} * 3 + 150)) \
		stress-ng --"$s" 1 --timeout "${STRESS_SECONDS:-10}s" --verify --temp-path /tmp --oom-avoid 2>&1 </dev/null)
	r=$?
	echo "$s $r"
	[ $r = 0 ] || grep -Ei "fail|skip|error" <<<"$out" | head -n 3 | sed "s/^/# $s: /"
done
