#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How a guest's threads are scheduled on the host: their nice values, policies and CPUs are the host's too, but none gets
# ahead of who started the sandbox.
. "$(dirname "$0")/../lib/common.sh"
[ "$(id -u)" = 0 ] || skip "needs root: for others a thread that is nicer stays so"
renice -n "$(($(nice) + 2))" -p $$ >/dev/null
base=$(nice)
cpus=$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)
last=$(grep -o '[0-9]*$' <<<"$cpus")
nicer() { echo $((base + $1 < 19 ? base + $1 : 19)); }
# Of each process of the sandbox that is called sN: nice value, policy (linux/sched.h), CPUs. On ptrace a thread that is not bound
# may be on one CPU for the time being.
on_host() {
	local p name
	for p in $(below "$sentry_pid"); do
		name=$(cat "/proc/$p/comm")
		case $name in s[0-9]) echo "$name $(sed 's/.*) //' "/proc/$p/stat" | cut -d' ' -f 17,39) $(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$p/status")" ;; esac
	done | sort | if [ "$platform" = ptrace ]; then sed "/^s6/!s/ [^ ]*\$/ $cpus/"; else cat; fi
}
for platform in ${PLATFORMS:-trap ptrace}; do
	# shellcheck disable=SC2016
	start_moat --platform="$platform" --env BASE="$base" --env LAST="$last" -- sh -c '
		for i in 1 2 3 4 5 6 7; do ln -s "$(command -v sleep)" /tmp/s$i; done
		cd /tmp
		nice -n 5 ./s1 1000 &
		nice -n 5 sh -c "renice -n $BASE -p \$\$ >/dev/null; exec ./s2 1000" &
		nice -n -9 ./s3 1000 &
		chrt -b 0 ./s4 1000 &
		chrt -i 0 ./s5 1000 &
		taskset -c "$LAST" ./s6 1000 &
		./s7 1000 & renice -n 15 -p $! >/dev/null
		for i in 1 2 3 4 5 6 7; do until pidof s$i >/dev/null; do sleep 0.05; done; done
		for i in 1 2 3 4 5 6 7; do echo s$i $(cut -d" " -f 19,41 /proc/$(pidof s$i)/stat); done
		echo ready
		wait'
	same "$platform: inside" "s1 $(nicer 5) 0
s2 $base 0
s3 $((base - 9)) 0
s4 $base 3
s5 $base 5
s6 $base 0
s7 15 0" "$(grep ^s "$work/out")"
	same "$platform: on the host" "s1 $(nicer 5) 0 $cpus
s2 $base 0 $cpus
s3 $base 0 $cpus
s4 $base 3 $cpus
s5 $base 5 $cpus
s6 $base 0 $last
s7 15 0 $cpus" "$(on_host)"
	kill "$moat_pid"
	status=0
	wait "$moat_pid" || status=$?
	same "$platform: status" 143 $status
done
