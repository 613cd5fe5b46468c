#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers created, started, exec'd, killed and deleted side by side, while now and then a command, a kernel, a file server or an anchor
# is killed: whatever happens, delete --force gives the name back, and at the end nothing is left.
# CHAOS=N: how many containers (20); SEED=N: the same decisions again.
. "$(dirname "$0")/../lib/container.sh"
n=${CHAOS:-20} side_by_side=20
RANDOM=${SEED:-$$}
seed=${SEED:-$$}
# Programs of this test alone, so that what is left can be told from what others run.
mkdir "$work/bin"
for p in moat moat-sentry moat-gofer moat-anchor; do cp "$BUILD/$p" "$work/bin"; done
moat=$work/bin/moat
group=
[ "$(id -u)" != 0 ] || group=/moat-chaos-$$
remove_groups() { [ -z "$group" ] || find /sys/fs/cgroup -depth -type d -path "*$group*" -exec rmdir {} + 2>/dev/null || true; }
trap 'remove_all; remove_groups' EXIT
config '["sh","-c","sleep 1000 & sleep 1000"]' '' '' "${group:+,\"cgroupsPath\":\"$group/NAME\"}"
# In a while, or never.
maybe_kill() { # COMMAND...: killed in one of three cases
	case $((RANDOM % 3)) in
	0) timeout -s KILL "0.0$((RANDOM % 40 + 10))" "$@" ;;
	*) timeout -s KILL 60 "$@" ;;
	esac
}
strike() { # ID: one of its processes, in one of two cases
	local who=(pid sentryPid goferPid) p
	[ $((RANDOM % 2)) = 0 ] || return 0
	p=$(field "$1" "${who[RANDOM % 3]}" 2>/dev/null) || return 0
	[ -z "$p" ] || [ "$(readlink "/proc/$p/exe" | cut -d/ -f-4)" != "$work/bin" ] || kill -9 "$p" 2>/dev/null || true
}
life() { # ID
	local id=$1 b=$work/b-$1
	mkdir "$b"
	cp -a "$work/b/rootfs" "$b"
	sed "s/NAME/$id/" "$work/b/config.json" >"$b/config.json"
	maybe_kill "$moat" --root "$work/state" create -b "$b" "$id"
	[ $((RANDOM % 4)) != 0 ] || strike "$id"
	maybe_kill "$moat" --root "$work/state" start "$id"
	[ $((RANDOM % 4)) != 0 ] || strike "$id"
	maybe_kill "$moat" --root "$work/state" exec "$id" true
	maybe_kill "$moat" --root "$work/state" exec -d "$id" sleep 1000
	strike "$id"
	maybe_kill "$moat" --root "$work/state" pause "$id"
	maybe_kill "$moat" --root "$work/state" kill "$id" KILL
	maybe_kill "$moat" --root "$work/state" delete --force "$id"
	return 0
}
for ((i = 0; i < n; i += side_by_side)); do
	jobs=
	for ((k = i; k < n && k < i + side_by_side; k++)); do
		# A number of its own: subshells would all go on with the same.
		(
			set +e
			RANDOM=$((seed + k))
			life "c$k"
		) >"$work/log.$k" 2>&1 </dev/null &
		jobs="$jobs $!"
	done
	for j in $jobs; do wait "$j" 2>/dev/null || true; done
	# Whatever was left of each: its name is free after one command, and can be used.
	for ((k = i; k < n && k < i + side_by_side; k++)); do
		m delete --force "c$k" || die "seed $seed, c$k: delete --force: $(cat "$work/err"); $(cat "$work/log.$k")"
		[ -z "$group" ] || same "seed $seed, c$k: groups" "" "$(find /sys/fs/cgroup -type d -path "*$group/c$k" 2>/dev/null)"
		m create -b "$work/b-c$k" "c$k" >/dev/null || die "seed $seed, c$k: the name is stuck: $(cat "$work/err"); $(cat "$work/log.$k")"
		m delete "c$k" || die "seed $seed, c$k: delete: $(cat "$work/err")"
		rm -rf "$work/b-c$k"
	done
done
ours() {
	local e
	for e in /proc/[0-9]*/exe; do
		[[ $(readlink "$e" 2>/dev/null) != "$work/bin/"* ]] || echo "${e//[!0-9]/} $(cat "${e%exe}comm" 2>/dev/null)"
	done
}
none_of_ours() { [ -z "$(ours)" ]; }
until_true none_of_ours || die "seed $seed: processes are left: $(ours)"
same "seed $seed: what is in the state directory" "" "$(ls -A "$work/state" 2>/dev/null)"
[ -z "$group" ] || same "seed $seed: groups" "" "$(find /sys/fs/cgroup -mindepth 3 -type d -path "*$group/*" 2>/dev/null)"
same "seed $seed: mounts" "" "$(grep -F "$work" /proc/self/mountinfo)"
