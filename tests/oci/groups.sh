#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers that share a sandbox have cgroups of their own on the host: what begins in one of them is in its group.
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make cgroups"
awk '$3 == "cgroup" || $3 == "cgroup2"' /proc/mounts | grep -q . || skip "no cgroups here"
base=/moat-test/groups-$$
remove_groups() { find /sys/fs/cgroup -depth -type d \( -path "*$base" -o -path "*$base/*" -o -name moat-test \) -exec rmdir {} + 2>/dev/null; }
trap 'say_end $? "$BASH_COMMAND"; remove_all; remove_groups' EXIT

# The commands of the processes in the group of a container, guests' alone, in order.
commands() { # NAME
	for p in $(cat "/sys/fs/cgroup/memory$base/$1/cgroup.procs" 2>/dev/null || cat "/sys/fs/cgroup$base/$1/cgroup.procs"); do
		tr '\0' '\n' <"/proc/$p/comm"
	done | grep -v '^moat-' | sort | paste -sd' '
}
groups() { find /sys/fs/cgroup -mindepth 2 -type d -path "*$base/*" -printf '%f\n' | sort -u | paste -sd' '; }
for platform in ${PLATFORMS:-trap ptrace}; do
	config '["sleep","1000"]' '' '' ",\"cgroupsPath\":\"$base/one\""
	m --platform="$platform" run -d -b "$work/b" one >/dev/null || die "run: $(cat "$work/err")"
	note one
	# What is forked, what is forked and executes, what vfork begins (busybox time).
	config '["sh","-c","busybox mkfifo /tmp/fifo; sleep 1001 & (read x </tmp/fifo; true) & busybox time sleep 1002"]' '' '' ",\"cgroupsPath\":\"$base/two\""
	rm -rf "$work/two"
	mkdir "$work/two"
	cp -a "$work/b/rootfs" "$work/two/rootfs"
	pid=$(m state one | sed -n 's/.*"pid": \([0-9]*\),/\1/p')
	sed "s|{\"type\":\"pid\"}|{\"type\":\"pid\",\"path\":\"/proc/$pid/ns/pid\"}|" "$work/b/config.json" >"$work/two/config.json"
	m run -d -b "$work/two" two >/dev/null || die "run: $(cat "$work/err")"
	note two
	same "one sandbox" "$(field one sentryPid)" "$(field two sentryPid)"
	m exec -d two sh -c 'sleep 1003 & exec sleep 1004' </dev/null || die "exec: $(cat "$work/err")"
	m exec -d one sleep 1005 </dev/null || die "exec: $(cat "$work/err")"
	all_there() { [ "$(commands two | wc -w)" = 6 ]; }
	until_true all_there
	same "$platform: in the group of two" "busybox sh sleep sleep sleep sleep" "$(commands two)"
	same "$platform: in the group of one" "sleep sleep" "$(commands one)"
	m kill two KILL || die "kill: $(cat "$work/err")"
	until_true is two stopped
	m delete -f two || die "delete: $(cat "$work/err")"
	same "$platform: groups" "one" "$(groups)"
	m delete -f one || die "delete: $(cat "$work/err")"
	same "$platform: groups" "" "$(groups)"
done
