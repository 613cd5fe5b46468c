#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The process in the pid file: what holds it, what its mount namespace shows, how it ends, what signals to it do.
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "only root can look into another mount namespace"
gcc -O1 -Wall -o "$work/reaper" tests/oci/reaper.c
echo 'int main(void) { *(volatile int *)0 = 1; }' | gcc -x c -static -o "$work/b/rootfs/bin/crash" -
proc_field() { awk -v k="$2:" '$1 == k {print $2}' "/proc/$1/status"; }
ns() { readlink "/proc/$1/ns/$2"; }
in_it() { nsenter -t "$anchor" -m -p "$@"; }

mkdir -p "$work/vol/sub" "$work/ro" "$work/b/rootfs/v" "$work/b/rootfs/r"
echo volume >"$work/vol/f"
echo root >"$work/b/rootfs/etc/f"
ln -s / "$work/b/rootfs/tohost"
touch "$work/vol/resolv"
binds=',{"destination":"/v","source":"'$work/vol'","options":["bind"]},{"destination":"/r","source":"'$work/ro'","options":["bind","ro"]},
{"destination":"/etc/resolv","source":"'$work/vol/resolv'","options":["bind"]},{"destination":"/tohost/esc","source":"'$work/vol'","options":["bind"]}'
config '["sh","-c","trap \"exit 5\" TERM; sleep 1000 & echo box >/tmp/made; while :; do sleep 0.1; done"]'
sed -i 's|"ptmxmode=0666","mode=0620"\]}|&'"$(tr -d '\n' <<<"$binds" | sed 's/[|&]/\\&/g')|" "$work/b/config.json"
m create -b "$work/b" --pid-file "$work/pid" a1 >/dev/null || die "create: $(cat "$work/err")"
anchor=$(cat "$work/pid")
note a1
sentry=$(field a1 sentryPid)
same "name" moat-anchor "$(cat "/proc/$anchor/comm")"
m start a1
until_true test -e "$work/b/rootfs/tmp/made"

for c in CapInh CapPrm CapEff CapBnd CapAmb; do
	same "$c" 0000000000000000 "$(proc_field "$anchor" $c)"
done
same "no_new_privs" 1 "$(proc_field "$anchor" NoNewPrivs)"
same "seccomp filter" 2 "$(proc_field "$anchor" Seccomp)"
same "user" 65534 "$(proc_field "$anchor" Uid)"
same "descriptors" "0 1 2 3 4" "$(echo $(ls "/proc/$anchor/fd"))"
for n in pid net ipc uts; do
	same "$n namespace" "$(ns "$sentry" $n)" "$(ns "$anchor" $n)"
	[ "$(ns self $n)" != "$(ns "$anchor" $n)" ] || die "the $n namespace is the host's"
done
for n in self "$sentry" "$(field a1 goferPid)"; do
	[ "$(ns "$n" mnt)" != "$(ns "$anchor" mnt)" ] || die "the mount namespace is that of $n"
done
pss=$(awk '$1 == "Pss:" {print $2}' "/proc/$anchor/smaps_rollup")
[ "$pss" -lt 100 ] || die "it takes $pss KiB"

# The sentry's and the gofer's roots are empty, as ever.
same "the sentry's root" "" "$(ls -A "/proc/$sentry/root")"
same "the gofer's root" "" "$(ls -A "/proc/$(field a1 goferPid)/root")"
same "the sentry's mounts" "/ /" "$(awk '{print $4, $5}' "/proc/$sentry/mountinfo")"

# What it shows: the root, volumes, processes; what is in the sandbox's memory is covered.
shown=" $(awk '{print $5}' "/proc/$anchor/mountinfo" | xargs) "
for want in / /etc/resolv /v /r /proc /proc/1 /dev; do
	[[ $shown == *" $want "* ]] || die "$want is not shown: $shown"
done
while read -r _ _ _ root at _; do
	case $at in
	/) same "what is at /" "$(stat -c %i "$work/b/rootfs")" "$(in_it stat -c %i /)" ;;
	/etc/resolv | /v | /r | /esc) case $root in */vol | */ro | */vol/resolv) ;; *) die "$at is $root" ;; esac ;;
	/proc | /proc/[0-9]* | /dev) same "what is mounted at $at" / "$root" ;;
	*) die "a mount that nobody asked for: $root at $at" ;;
	esac
done <"/proc/$anchor/mountinfo"
same "a file of the root" root "$(in_it cat /etc/f)"
same "a file of the program" box "$(in_it cat /tmp/made)"
same "a file of a volume" volume "$(in_it cat /v/f)"
same "a target through a link" volume "$(in_it cat /esc/f)"
in_it sh -c 'echo in >/etc/in; echo in >/v/in'
same "what is written there, inside" "in in" "$(echo $(m exec a1 cat /etc/in /v/in))"
same "what is written there, on the host" "in in" "$(echo $(cat "$work/b/rootfs/etc/in" "$work/vol/in"))"
in_it sh -c 'echo x >/r/x' 2>/dev/null && die "a read-only volume was written"
in_it sh -c 'echo x >/dev/x' 2>/dev/null && die "a file was put where nobody would see it"
[ ! -e "$work/b/rootfs/dev/x" ] || die "a file is beneath /dev"
seen() { [ "$(in_it sh -c 'cat /proc/[0-9]*/comm' 2>/dev/null | grep '^s' | grep -v '^sh$' | xargs)" = "$1" ]; }
until_true seen "sleep sleep" # once the shell has started both
# As podman's top looks at them.
arguments() { in_it sh -c 'cat /proc/[0-9]*/cmdline' 2>/dev/null | tr '\0' ' ' | grep -o 'sleep [0-9]*' | sort -u | xargs; }
same "arguments" "sleep 0 sleep 1000" "$(arguments)"
in_it grep -q '^btime ' /proc/stat || die "no btime in /proc/stat"
in_it sh -c 'cat /proc/[0-9]*/comm' 2>/dev/null | grep -E 'moat-(sentry|anchor)' && die "the sandbox's own processes are seen"
same "mounts on the host" "" "$(grep -F "$work" /proc/self/mountinfo)"

# A signal to it is for the program.
kill -TERM "$anchor"
until_true is a1 stopped
m delete a1
nothing_left

# It ends as the program does.
ends() { # ARGS WHAT THE SHIM SEES
	config "$1"
	rm -f "$work/pid"
	"$work/reaper" "$work/pid" "$moat" --root "$work/state" create -b "$work/b" --pid-file "$work/pid" e >"$work/shim" 2>"$work/err" </dev/null &
	until_true test -s "$work/pid"
	until_true is e created
	note e
	m start e
	[ -z "${3:-}" ] || {
		sleep 0.3
		eval "$3"
	}
	wait $!
	same "the end of $1" "command 0 $2" "$(tr '\n' ' ' <"$work/shim" | sed 's/ $//')"
	m delete e || die "delete: $(cat "$work/err")"
	nothing_left
}
ends '["true"]' 'ended 0'
ends '["sh","-c","exit 130"]' 'ended 130'
ends '["crash"]' 'killed 11'
ends '["sleep","1000"]' 'killed 9' 'm kill e KILL'
ends '["sleep","1000"]' 'killed 9' 'kill -9 "$(field e sentryPid)"'
ends '["sleep","1000"]' 'killed 9' 'kill -9 "$(field e pid)"'
ends '["sleep","1000"]' 'killed 9' 'kill -9 "$(field e goferPid)"'
ends '["sh","-c","trap \"exit 6\" USR1; while :; do sleep 0.1; done"]' 'ended 6' 'kill -USR1 "$(field e pid)"'

# Users that are mapped: it is one of them.
config '["sleep","1000"]' '' '' ',"uidMappings":[{"containerID":0,"hostID":200000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":200000,"size":65536}]'
sed -i 's/"namespaces":\[/&{"type":"user"},/' "$work/b/config.json"
chmod 711 "$work" "$work/b"
chown -R 200000:200000 "$work/b/rootfs"
m run -d -b "$work/b" --pid-file "$work/pid" u >/dev/null || die "run with mapped users: $(cat "$work/err")"
anchor=$(cat "$work/pid")
note u
same "user of a mapped one" "200000 0000000000000000" "$(proc_field "$anchor" Uid) $(proc_field "$anchor" CapEff)"
same "map of a mapped one" "0 200000 65536" "$(echo $(cat "/proc/$anchor/uid_map"))"
same "processes of a mapped one" sleep "$(in_it sh -c 'cat /proc/[0-9]*/comm' 2>/dev/null | grep sleep)"
m delete --force u
nothing_left
