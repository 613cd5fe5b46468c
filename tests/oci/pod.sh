#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several containers in one sandbox: those of a pod, and those that share a pid, ipc or uts namespace of another one.
. "$(dirname "$0")/../lib/container.sh"

caps='["CAP_SYS_ADMIN"]'
ns() { echo "{\"type\":\"$1\"${2:+,\"path\":\"/proc/$2/ns/${1/network/net}\"}}"; } # KIND [PID]
# A config whose namespaces are as given, in a bundle of its own.
joined() { # BUNDLE ARGS-JSON PID IPC UTS NET [MORE top-level fields]
	config "$2" ",\"capabilities\":{\"bounding\":$caps,\"effective\":$caps,\"permitted\":$caps}" "${7:-}"
	mkdir -p "$work/$1"
	[ -d "$work/$1/rootfs" ] || cp -a "$work/b/rootfs" "$work/$1/rootfs"
	sed "s|\"namespaces\":\[.*\]|\"namespaces\":[$(ns pid "$3"),$(ns ipc "$4"),$(ns uts "$5"),$(ns network "$6"),$(ns mount)]|" \
		"$work/b/config.json" >"$work/$1/config.json"
}
pid_of() { m state "$1" | sed -n 's/.*"pid": \([0-9]*\),/\1/p'; }
ex() { timeout -s KILL 60 "$moat" --root "$work/state" exec "$@" </dev/null; }

config '["sleep","1000"]'
m run -d -b "$work/b" one >/dev/null || die "run: $(cat "$work/err")"
note one
p=$(pid_of one)
sentry=$(field one sentryPid)

# The namespace of processes is shared, nothing else is.
joined two '["sh","-c","ps; exec sleep 1001"]' "$p" "" "" ""
echo of one >"$work/b/rootfs/tmp/file"
m run -d -b "$work/two" two >"$work/two.out" || die "run in the pid namespace: $(cat "$work/err")"
note two
same "one sandbox" "$sentry" "$(field two sentryPid)"
until_true grep -q 'sleep 1000' "$work/two.out"
same "what one sees" "sleep 1000:sleep 1001" "$(ex one ps | grep -o 'sleep 100.' | paste -sd:)"
same "what two sees" "sleep 1000:sleep 1001" "$(ex two ps | grep -o 'sleep 100.' | paste -sd:)"
same "a root of its own" "no file" "$(ex two sh -c 'cat /tmp/file 2>/dev/null || echo no file')"
same "the other root" "of one" "$(ex one cat /tmp/file)"
same "namespaces" "pid" "$(for k in pid ipc uts net mnt; do
	[ "$(ex one readlink /proc/self/ns/$k)" != "$(ex two readlink /proc/self/ns/$k)" ] || echo $k; done)"
ex two hostname other
same "names" "box other" "$(ex one hostname) $(ex two hostname)"

# Each is listed, paused and signalled for itself.
same "list" "one running:two running" "$(m list | awk 'NR > 1 {print $1, $3}' | paste -sd:)"
same "processes of one" 1 "$(m ps -f json one | tr ',' '\n' | wc -l)"
same "processes of two" "sleep" "$(cat "/proc/$(m ps -f json two | tr -d '[]')/comm")"
m pause two || die "pause: $(cat "$work/err")"
same "states" "running paused" "$(status_of one) $(status_of two)"
same "one goes on" yes "$(ex one echo yes)"
m resume two || die "resume: $(cat "$work/err")"
same "two goes on" yes "$(ex two echo yes)"

# Of the one that ends, the other one sees nothing but that.
m kill two KILL || die "kill: $(cat "$work/err")"
until_true is two stopped
same "one is still there" "running sleep 1000" "$(status_of one) $(ex one ps | grep -o 'sleep 100.')"
m delete two || die "delete: $(cat "$work/err")"
same "one is still there" "running yes" "$(status_of one) $(ex one echo yes)"
# Engines unmount its root now.
held() { stat -L -c %i "/proc/$sentry/fd"/* 2>/dev/null | grep -cx "$(stat -c %i "$1")"; }
[ "$(held "$work/b/rootfs/bin/busybox")" -gt 0 ] || die "no descriptor of a program that runs is seen"
let_go() { [ "$(held "$work/two/rootfs/bin/busybox")" = 0 ]; }
until_true let_go

# Its own processes, but names and queues are shared; and the status is its own.
joined two '["sh","-c","echo $$; hostname third; readlink /proc/self/ns/ipc; exit 3"]' "" "$p" "$p" ""
r=0
m run -b "$work/two" two >"$work/two.out" || r=$?
same "status" 3 $r
same "its pid, the namespace" "1 $(ex one readlink /proc/self/ns/ipc)" "$(paste -sd' ' "$work/two.out")"
same "the shared name" third "$(ex one hostname)"
joined two '["sh","-c","kill -9 $$"]' "$p" "" "" ""
r=0
m run -b "$work/two" two || r=$?
same "status of one that is killed" 137 $r
joined two '["nosuch"]' "$p" "" "" ""
fails 1 'executable file not found in $PATH' m create -b "$work/two" two
same "one is still there" "running yes" "$(status_of one) $(ex one echo yes)"

# The first one ends, the sandbox does not: it is of the others too.
joined two '["sleep","1001"]' "" "$p" "" ""
m run -d -b "$work/two" two >/dev/null || die "run in the ipc namespace: $(cat "$work/err")"
joined three '["sleep","1002"]' "$(pid_of two)" "" "" ""
m run -d -b "$work/three" three >/dev/null || die "run in the pid namespace of two: $(cat "$work/err")"
note three
same "what three sees" "sleep 1001:sleep 1002" "$(ex three ps | grep -o 'sleep 100.' | paste -sd:)"
m delete --force one || die "delete --force: $(cat "$work/err")"
same "states" "two running:three running" "$(for c in two three; do echo $c "$(status_of $c)"; done | paste -sd:)"
same "they work" "yes yes" "$(ex two echo yes) $(ex three cat /proc/self/stat >/dev/null && echo yes)"
# With the first process of a pid namespace, all in it end.
m kill two KILL
until_true is three stopped
m delete two && m delete three || die "delete: $(cat "$work/err")"
until_true test ! -e "/proc/$sentry"
nothing_left

# A pod by its annotations.
pod() { echo ",\"annotations\":{\"io.kubernetes.cri.container-type\":\"$1\",\"io.kubernetes.cri.sandbox-id\":\"$2\"}"; } # TYPE ID
config '["sleep","1000"]' "" "$(pod sandbox p)"
m run -d -b "$work/b" p >/dev/null || die "run: $(cat "$work/err")"
p=$(pid_of p)
joined two '["sleep","1001"]' "" "$p" "$p" "$p" "$(pod container p)"
joined three '["sh","-c","trap \"exit 4\" TERM; echo ready; while :; do sleep 0.1; done"]' "" "" "" "$p" "$(pod container p)"
m run -d -b "$work/two" two >/dev/null || die "run in the pod: $(cat "$work/err")"
m run -d -b "$work/three" three >"$work/three.out" || die "run in the pod: $(cat "$work/err")"
for c in p two three; do note $c; done
same "one sandbox" "$(field p sentryPid) $(field p sentryPid)" "$(field two sentryPid) $(field three sentryPid)"
until_true grep -q ready "$work/three.out"
m kill three TERM
until_true is three stopped
same "the others" "running running" "$(status_of p) $(status_of two)"
m delete three && m delete --force two && m delete --force p || die "delete: $(cat "$work/err")"
nothing_left

# p, the first container of a pod, and two.
pod_of_two() {
	config '["sleep","1000"]' "" "$(pod sandbox p)"
	m run -d -b "$work/b" p >/dev/null || die "run: $(cat "$work/err")"
	note p
	p=$(pid_of p)
	joined two '["sleep","1001"]' "" "$p" "$p" "$p" "$(pod container p)"
	m run -d -b "$work/two" two >/dev/null || die "run in the pod: $(cat "$work/err")"
	note two
}

# The sentry is killed: all of them have ended, and can be deleted.
pod_of_two
kill -9 "$(field p sentryPid)"
until_true is p stopped
until_true is two stopped
m delete two && m delete p || die "delete: $(cat "$work/err")"
nothing_left
# So it is with the gofer, of one container only.
pod_of_two
kill -9 "$(field two goferPid)"
until_true is two stopped
same "the other" "running yes" "$(status_of p) $(ex p echo yes)"
m delete two && m delete --force p || die "delete: $(cat "$work/err")"
nothing_left

# What one sets of the network is everybody's who has it, as in a namespace of the host's.
config '["sleep","1000"]' "" "$(pod sandbox p)"
m run -d -b "$work/b" p >/dev/null || die "run: $(cat "$work/err")"
note p
p=$(pid_of p)
with_sysctl() { # SYSCTLS-JSON: of two, which has the network of p
	joined two '["sleep","1001"]' "" "$p" "$p" "$p" "$(pod container p)"
	sed -i 's|"linux":{|&"sysctl":'"$1"',|' "$work/two/config.json"
}
with_sysctl '{"net.core.somaxconn":"777","net/ipv4/ip_unprivileged_port_start":"70"}'
m run -d -b "$work/two" two >/dev/null || die "run in the pod: $(cat "$work/err")"
note two
same "words" "" "$(cat "$work/err")"
same "a setting of the pod" "777 70 777 70" "$(echo $(for c in p two; do
	ex $c cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_unprivileged_port_start; done))"
m delete --force two
with_sysctl '{"net.core.nosuch":"777"}'
fails 1 'cannot set the sysctl net.core.nosuch' m create -b "$work/two" two
# Another network has its own.
joined two '["sleep","1001"]' "" "$p" "$p" "" "$(pod container p)"
sed -i 's|"linux":{|&"sysctl":{"net.core.somaxconn":"778"},|' "$work/two/config.json"
m run -d -b "$work/two" two >/dev/null || die "run beside: $(cat "$work/err")"
note two
same "settings" "777 778" "$(echo $(for c in p two; do ex $c cat /proc/sys/net/core/somaxconn; done))"
m delete --force two
# There is one clock.
joined two '["sleep","1001"]' "" "$p" "$p" "$p" "$(pod container p)"
sed -i 's|"namespaces":\[|"timeOffsets":{"boottime":{"secs":5}},&{"type":"time"},|' "$work/two/config.json"
fails 1 'linux.timeOffsets: the containers of a sandbox have one clock' m create -b "$work/two" two
m delete --force p
nothing_left

# What cannot be shared.
joined two '["true"]' $$ "" "" ""
fails 1 'namespace of the host' m create -b "$work/two" two
joined two '["true"]' "" "" "" ""
sed -i 's|"type":"pid"|"type":"pid","path":"/etc/passwd"|' "$work/two/config.json"
fails 1 'is no namespace' m create -b "$work/two" two
joined two '["true"]' "" "" "" "" "$(pod container nosuch)"
fails 1 'no running container nosuch' m create -b "$work/two" two
config '["sleep","1000"]'
m run -d -b "$work/b" p >/dev/null || die "run: $(cat "$work/err")"
m run -d -b "$work/b" q >/dev/null || die "run: $(cat "$work/err")"
note p
note q
joined two '["true"]' "$(pid_of p)" "$(pid_of q)" "" ""
fails 1 'different sandboxes' m create -b "$work/two" two
joined two '["true"]' "" "" "$(pid_of p)" "$(pid_of q)"
fails 1 'begun without a network' m create -b "$work/two" two
m delete --force p && m delete --force q
nothing_left
