#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is left in the sandbox's kernel does not depend on how much was done: its live objects, its descriptors, and
# roughly its memory, after a little of each kind of work and after much of it.
# usage: leaks.sh [CASE LITTLE MUCH]
set -u
moat=$(realpath "${BUILD:-build}/moat")
program=$(realpath "${BUILD:-build}/tests/guest/stress")
[ -x "$program" ] || { echo "no stress program"; exit 77; }
dir=$(mktemp -d /tmp/leaks.XXXXXX)
trap 'rm -rf "$dir"' EXIT
fail=0

# measure CASE N: prints "KIND N" lines
measure() {
	local pid sentry i
	rm -f "$dir"/{in,out,log}
	mkfifo "$dir/in"
	"$moat" do ${MOAT_FLAGS:-} --debug-log="$dir/log" -- "$program" "$1" "$2" <"$dir/in" >"$dir/out" 2>&1 &
	pid=$!
	exec 9>"$dir/in"
	for ((i = 0; i < 10 * ${LEAKS_SECONDS:-60}; i++)); do
		grep -q "^$1 $2$" "$dir/out" 2>/dev/null && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	sleep 0.3
	sentry=$(pgrep -x moat-sentry -P "$(pgrep -d, -P $pid)")
	if ! grep -q "^$1 $2$" "$dir/out" || [ -z "$sentry" ]; then
		echo "$1 $2: did not get done: $(tail -n 3 "$dir/out")" >&2
		kill -KILL $pid
		exec 9>&-
		return 1
	fi
	echo "descriptors $(ls "/proc/$sentry/fd" | wc -l)"
	# In steps of 8 MiB: what the allocator keeps is no leak.
	echo "memory $(($(awk '/^VmRSS/{print $2}' "/proc/$sentry/status") >> 13))" >"$dir/memory"
	exec 9>&-
	wait $pid
	# The processes that have just ended are still being buried.
	sed -n 's/.*live \([A-Z_]* [0-9-]*\)$/\1/p' "$dir/log" | grep -v '^PLAT_SPACE '
}

while read -r name little much; do
	a=$(measure "$name" "$little") && ma=$(cut -d' ' -f2 "$dir/memory") &&
		b=$(measure "$name" "$much") && mb=$(cut -d' ' -f2 "$dir/memory") || { fail=1; continue; }
	grep -q TASK <<<"$a" || { echo "$name: no counters"; fail=1; }
	if [ "$a" != "$b" ]; then
		echo "$name $little, $name $much:"
		diff <(echo "$a") <(echo "$b")
		fail=1
	elif ((mb > ma + 2)); then
		echo "$name: memory grew from $((ma * 8)) to $((mb * 8)) MiB"
		fail=1
	else
		echo "ok $name $little $much"; [ -z "${VERBOSE:-}" ] || paste -sd" " <<<"$b"
	fi
done < <(if [ $# = 3 ]; then echo "$@"; else cat <<'L'; fi
threads 50 1000
processes 20 300
execs 20 500
files 100 20000
bytes 1 512
sockets 20 1000
circles 20 1000
keys 20 1000
polls 20 1000
maps 50 5000
L
)
exit $fail
