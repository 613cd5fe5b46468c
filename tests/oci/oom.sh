#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whom the host ends when memory runs out, for those who have no container: moat do, and programs with the library. The
# sandbox's own processes have another oom_score_adj(5) than its programs'; in a group with a limit these are ended.
. "$(dirname "$0")/../lib/common.sh"
group=
end() {
	say_end "$1" "$2"
	[ ! "${moat_pid:-}" ] || kill -9 "$moat_pid" 2>/dev/null || true
	[ ! "$group" ] || { gone $(cat "$group/cgroup.procs"); rmdir "$group"; }
	rm -rf "$work"
}
trap 'end $? "$BASH_COMMAND"' EXIT
score() { cat "/proc/$1/oom_score_adj"; }
# The scores of what a shell with the score of its own has started, and of a program in it: "SENTRY GOFER PROGRAM".
scores() { # [COMMAND...]: in front of moat
	local p sentry= gofer= programs=
	: >"$work/out"
	"$@" "$moat" do -- sh -c 'echo ready; cat /proc/self/oom_score_adj; exec sleep 1000' >"$work/out" 2>"$work/err" </dev/null &
	moat_pid=$!
	for _ in $(seq 200); do
		[ "$(wc -l <"$work/out")" = 2 ] && break
		sleep 0.05
	done
	for p in $(below "$moat_pid"); do
		case $(cat "/proc/$p/comm" 2>/dev/null) in
		moat-sentry) sentry=$p ;;
		moat-gofer) gofer=$p ;;
		esac
	done
	[ "$sentry" ] || die "no sentry: $(cat "$work/err")"
	programs=$(for p in $(below "$sentry"); do score "$p"; done | sort -u | paste -sd,)
	echo "$(score "$sentry") $(score "$gofer") $programs, inside $(tail -n 1 "$work/out")"
	kill -9 "$moat_pid"
	wait "$moat_pid" 2>/dev/null || true
	moat_pid=
}
own=$(score self)
if echo -999 2>/dev/null >"/proc/$BASHPID/oom_score_adj"; then
	echo "$own" >"/proc/$BASHPID/oom_score_adj"
	same "scores" "-999 -999 $own, inside $own" "$(scores)"
	same "scores of who has 200" "-999 -999 200, inside 200" "$(scores choom -n 200 --)"
	less="setpriv --reuid 1234 --regid 1234 --clear-groups --bounding-set=-sys_resource --inh-caps=-all"
else
	less=
fi
# Who may give nobody less than he has gives programs more.
# shellcheck disable=SC2086
same "scores of who has no rights" "100 100 400, inside 100" "$(scores choom -n 100 -- $less)"

# Many small programs, which are less than the sentry each.
[ "$(id -u)" = 0 ] || exit 0
for top in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	[ ! -e "$top/memory.limit_in_bytes" ] || { limit=memory.limit_in_bytes; break; }
	! grep -qw memory "$top/cgroup.subtree_control" 2>/dev/null || { limit=memory.max; break; }
done
[ "${limit:-}" ] || skip "the scores are right; no cgroup to have a limit in"
group=$top/moat-oom-$$
mkdir "$group"
echo 40M >"$group/$limit"
[ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"
[ ! -e "$group/memory.memsw.limit_in_bytes" ] || echo 40M >"$group/memory.memsw.limit_in_bytes"
r=0
(
	echo $BASHPID >"$group/cgroup.procs"
	exec timeout 120 "$moat" do -- bash -c 'for i in $(seq 160); do
		(x=0123456789abcdef; for j in $(seq 16); do x=$x$x; done; sleep 3; :) &
	done
	ended=0
	for p in $(jobs -p); do wait $p || ended=$((ended + 1)); done
	echo $ended'
) >"$work/out" 2>"$work/err" || r=$?
! grep "^moat:" "$work/err" || die "status $r"
# The shell itself may have been the largest.
[ $r = 137 ] || same "status" 0 $r
[ $r = 137 ] || [ "$(tail -n 1 "$work/out")" -gt 0 ] || die "memory has not run out: <$(cat "$work/out")>"

# One call that takes more than there is ends who makes it; the sandbox goes on, and has its memory back.
for p in trap ptrace; do
	r=0
	(
		echo $BASHPID >"$group/cgroup.procs"
		exec timeout 60 "$moat" do --platform=$p -- sh -c 'fallocate -l 1G /dev/shm/file; echo "$?, then $(ls -s /dev/shm/file)"'
	) >"$work/out" 2>"$work/err" || r=$?
	! grep "^moat:" "$work/err" || die "fallocate on $p: status $r"
	[ $r = 137 ] || same "fallocate on $p" "0 137, then 0 /dev/shm/file" "$r $(cat "$work/out")" # 137: or the shell was taken first
done
