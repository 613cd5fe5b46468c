#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SCMP_ACT_NOTIFY: an agent of the host answers for calls of the container (seccomp_agent.c, notified.c).
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] && [ -c /dev/fuse ] || skip "not root, or no /dev/fuse"
gcc -O1 -Wall -pthread -o "$work/seccomp_agent" tests/oci/seccomp_agent.c
gcc -O1 -Wall -static -pthread -o "$work/b/rootfs/bin/notified" tests/oci/notified.c
sock=$work/agent.sock
agents='' user=''
listen() { # FOLDER [COMMAND...]: an agent, by that command; what of it comes into the folder
	[ ! "$agents" ] || kill $agents
	rm -f "$sock"
	mkdir -p "$work/$1"
	"${@:2}" "$work/seccomp_agent" "$sock" "$work/$1" &
	agents=$!
	until_true test -S "$sock"
}
trap 'say_end $? "$BASH_COMMAND"; [ ! "$agents$user" ] || kill $agents $user 2>/dev/null; remove_all' EXIT
# ARGS-JSON [MORE linux.seccomp fields] [RULES]
notify_config() {
	local rules='[{"names":["mkdir","open","readlink"],"action":"SCMP_ACT_NOTIFY"}]'
	config "$1" "" ',"annotations":{"org.example":"x"}' ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",
\"syscalls\":${3:-$rules}${2-,\"listenerPath\":\"$sock\",\"listenerMetadata\":\"some data\"}}"
}
# The bridges of this test's containers.
bridges() { # [STATE FOLDER]
	local p
	for p in $(grep -lx moat-bridge /proc/[0-9]*/comm 2>/dev/null); do
		{ tr '\0' '\n' <"${p%/comm}/cmdline"; } 2>/dev/null | grep -qx "${1:-$work/state}" && basename "${p%/comm}"
	done
	true
}
no_bridge() { [ -z "$(bridges "$@")" ]; }
state_of() { # FILE KEYS: what is there, as Python has it
	python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."):
    v = v[k]
print(v)' "$1" "$2"
}
calls='error value text errors interrupted file send set thread socket pipe own-thread other alarm kill'
args() { printf '["notified"'; printf ',"%s"' "$@"; printf ']'; }

# All that an agent does, the same as with crun, whose listener is the host's.
# shellcheck disable=SC2086
notify_config "$(args $calls)"
listen one
m run -b "$work/b" one >"$work/out" || die "run: $(cat "$work/err")"
until_true grep -q '^poll' "$work/one/agent.1"
until_true no_bridge
same "it went on" yes "$([ -d "$work/b/rootfs/tmp/other" ] && echo yes)"
rmdir "$work/b/rootfs/tmp/other"
for k in ociVersion:1.0.2 fds:"['seccompFd']" metadata:"some data" state.id:one state.status:creating \
	state.bundle:"$work/b" state.annotations:"{'org.example': 'x'}" state.ociVersion:1.0.2; do
	same "${k%%:*} of the state" "${k#*:}" "$(state_of "$work/one/state.1" "${k%%:*}")"
done
if command -v crun >/dev/null; then
	listen crun
	# It refuses a host with both kinds of cgroups.
	unshare -m --propagation private bash -c '! umount -R /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup; exec "$@"' _ \
		timeout -k 2 60 crun --root "$work/crun-state" --cgroup-manager=disabled run -b "$work/b" "n$$" >"$work/out.crun" \
		2>"$work/err" </dev/null || die "crun: $(cat "$work/err")"
	rmdir "$work/b/rootfs/tmp/other"
	until_true grep -q '^poll' "$work/crun/agent.1"
	diff "$work/out.crun" "$work/out" || die "the program saw something else than with crun"
	diff "$work/crun/agent.1" "$work/one/agent.1" || die "the agent saw something else than with crun"
fi

# The process that the state names is the container's, from create on.
listen two
notify_config "$(args error sleep sleep value)"
m create -b "$work/b" two >/dev/null || die "create: $(cat "$work/err")"
same "pid" "$(field two pid) $(field two pid)" "$(state_of "$work/two/state.1" pid) $(state_of "$work/two/state.1" state.pid)"
[ "$(bridges | wc -l)" = 1 ] || die "bridges: $(bridges)"
# All that it could do for who takes it over: CAP_SYS_PTRACE, three descriptors beside /dev/null, an empty root.
p=$(bridges)
same "what the bridge is left" "CapEff:0000000000080000 NoNewPrivs:1 Seccomp:2 6 0" "$(sed -nE 's/^(CapEff|NoNewPrivs|Seccomp):\t/\1:/p' "/proc/$p/status" |
	paste -sd' ') $(ls "/proc/$p/fd" | wc -l) $(ls "/proc/$p/root" | wc -l)"
m start two || die "start: $(cat "$work/err")"
note two

# A further program has a listener of its own.
out=$(timeout -s KILL 60 "$moat" --root "$work/state" exec two notified value sleep) || die "exec: $out"
same "of a later program" "/tmp/value: 42 made: 0" "$(echo $out)"
same "its state" "running two" "$(state_of "$work/two/state.2" state.status) $(state_of "$work/two/state.2" state.id)"
same "its container" "$(field two pid)" "$(state_of "$work/two/state.2" state.pid)"
until_true grep -q 'poll: HUP' "$work/two/agent.2"
until_true is two stopped
m delete two || die "delete: $(cat "$work/err")"
until_true no_bridge

# Agents that leave: what waits for them fails, and what comes later does.
listen three
for a in leave killed; do
	notify_config "$(args $a sleep value)"
	m run -b "$work/b" three >"$work/out" || die "run: $(cat "$work/err")"
	until_true no_bridge
	same "$a" "$([ $a = leave ] && echo "/tmp/leave: -1 ENOSYS" || echo "/tmp/killed: 0") made: 0 /tmp/value: -1 ENOSYS made: 0" \
		"$(echo $(cat "$work/out"))"
done

# Whoever is killed, nobody stays.
for who in bridge sentry agent; do
	listen "four-$who"
	notify_config "$(args gone)"
	m run -d -b "$work/b" four >/dev/null || die "run: $(cat "$work/err")"
	note four
	until_true grep -q gone "$work/four-$who/agent.1"
	case $who in
	bridge)
		kill -9 "$(bridges)"
		until_true is four stopped # its call has failed
		until_true grep -q '^gone: ENOTCONN' "$work/four-$who/agent.1"
		;;
	sentry)
		kill -9 "$(field four sentryPid)"
		until_true grep -q 'poll: HUP, recv: ENOENT' "$work/four-$who/agent.1"
		;;
	agent)
		kill -9 "$(cat /proc/$agents/task/*/children)"
		until_true is four stopped
		;;
	esac
	until_true no_bridge
	m delete -f four || die "delete: $(cat "$work/err")"
done
nothing_left

# One that is killed while it makes a container.
notify_config "$(args value)"
mkfifo "$work/hold"
sed -i "s|\"hostname\":\"box\"|&,\"hooks\":{\"createRuntime\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"cat $work/hold\"]}]}|" "$work/b/config.json"
"$moat" --root "$work/state" create -b "$work/b" half >/dev/null 2>&1 </dev/null &
half=$!
until_true eval '[ "$(bridges)" ]'
exec 5>"$work/hold" # the hook runs
kill -9 $half
wait $half 2>/dev/null || true
exec 5>&-
until_true no_bridge
m delete -f half || true

# A container that joins another one's sandbox.
listen five
config '["sleep","1000"]'
m run -d -b "$work/b" five >/dev/null || die "run: $(cat "$work/err")"
note five
notify_config "$(args value file)"
sed -i "s|{\"type\":\"pid\"}|{\"type\":\"pid\",\"path\":\"/proc/$(field five pid)/ns/pid\"}|" "$work/b/config.json"
m run -b "$work/b" six >"$work/out" || die "run: $(cat "$work/err")"
same "beside another" "/tmp/value: 42 made: 0 /tmp/file: 3 close-on-exec: 0 read: 19 a file of the host" "$(echo $(cat "$work/out"))"
until_true grep -q 'poll: HUP, recv: ENOENT' "$work/five/agent.1"
until_true no_bridge
m delete -f five || die "delete: $(cat "$work/err")"

# What is refused.
bad() { # WORDS [MORE linux.seccomp fields] [RULES]
	notify_config '["true"]' "${@:2}"
	fails 1 "$1" m run -b "$work/b" bad
	until_true no_bridge
}
bad 'listenerPath is not set' ''
bad 'listenerMetadata: listenerPath is not set' ',"listenerMetadata":"x"'
bad 'SCMP_ACT_NOTIFY cannot be used for the write syscall' ",\"listenerPath\":\"$sock\"" '[{"names":["mkdir","write"],"action":"SCMP_ACT_NOTIFY"}]'
bad 'failed to connect with seccomp agent specified in the seccomp profile' ',"listenerPath":"/nowhere/agent.sock"'
bad 'the path is too long' ",\"listenerPath\":\"/$(printf %0200d 0)\""
notify_config '["true"]' ",\"listenerPath\":\"$sock\""
sed -i 's/"defaultAction":"SCMP_ACT_ALLOW"/"defaultAction":"SCMP_ACT_NOTIFY"/' "$work/b/config.json"
fails 1 'SCMP_ACT_NOTIFY cannot be used as default action' m run -b "$work/b" bad
# Nobody is asked for what no rule says.
notify_config '["true"]' ',"listenerPath":"/nowhere/agent.sock"' '[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]'
m run -b "$work/b" unused || die "a path that is not needed: $(cat "$work/err")"
# exec's fails, too, when its agent is not there any more.
listen seven
notify_config '["sleep","1000"]'
m run -d -b "$work/b" seven >/dev/null || die "run: $(cat "$work/err")"
note seven
rm "$sock"
fails 255 'failed to connect with seccomp agent' m exec seven true
m delete -f seven || die "delete: $(cat "$work/err")"
until_true no_bridge

# Where FUSE cannot be had.
notify_config '["true"]' ",\"listenerPath\":\"$sock\""
unshare -m --propagation private bash -c 'mount --bind /dev/null /dev/fuse && mount -o remount,bind,nodev /dev/fuse && exec "$@"' _ \
	timeout -s KILL 60 "$moat" --root "$work/state" run -b "$work/b" bad >"$work/out" 2>"$work/err" </dev/null && die "without FUSE it works"
grep -q 'linux.seccomp.listenerPath: /dev/fuse cannot be opened: Permission denied' "$work/err" || die "without FUSE: $(cat "$work/err")"
nothing_left

# In a user namespace it works for agents that are in it.
chmod 755 "$work"
unshare -Um sleep 100 &
user=$!
inside=(nsenter -t $user -U -m --setuid 0 --setgid 0)
until_true eval '[ "$(readlink /proc/$user/ns/user)" != "$(readlink /proc/self/ns/user)" ]'
echo "0 0 65536" >"/proc/$user/uid_map"
echo "0 0 65536" >"/proc/$user/gid_map"
mkdir -p "$work/inner"
notify_config "$(args value)"
mu() { timeout -s KILL 60 "${inside[@]}" "$moat" --root "$work/inner" "$@" 2>"$work/err" </dev/null; }
listen outside
fails 1 'is in another user namespace' mu run -b "$work/b" user
listen inside "${inside[@]}"
same "in a user namespace" "/tmp/value: 42 made: 0" "$(echo $(mu run -b "$work/b" user; cat "$work/err"))"
kill $user
wait $user 2>/dev/null || true
user=
until_true no_bridge "$work/inner"
