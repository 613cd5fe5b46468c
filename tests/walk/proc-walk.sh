#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the host's /proc and /sys have and a sandbox's have not: each missing entry needs a reason (proc-walk.missing:
# a pattern of paths, a tab, why). usage: proc-walk.sh; SHOW=1 lists what is missing, with its reason.
set -u
moat=$(realpath "${BUILD:-build}/moat")
here=$(dirname "$(realpath "$0")")
dir=$(mktemp -d /tmp/walk.XXXXXX)
trap 'rm -rf "$dir"' EXIT

# Names only; other processes, and what comes and goes with descriptors, threads and interfaces, is left out.
walk='cd /; { find /proc -path "/proc/[0-9]*" -prune -o -print
	find /proc/self/ -path "/proc/self/fd*/*" -prune -o -path "/proc/self/task/*" -prune -o \
		-path "/proc/self/map_files/*" -prune -o -print
	find /proc/self/net/ -print | sed s,/proc/self/net/,/proc/net/,
	find /sys -print; } 2>/dev/null | sed "s,//*,/,g; s,\(.\)/$,\1," | grep -v "^/proc/[0-9]" | sort -u'
# In namespaces of its own: /sys then shows their interfaces only.
unshare -nm --propagation private sh -c "mount -t sysfs none /sys && { $walk; }" | grep -v '^/proc/[0-9]' >"$dir/native"
"$moat" do -- sh -c "$walk" >"$dir/moat" 2>"$dir/err" </dev/null || { cat "$dir/err"; exit 1; }
[ "$(wc -l <"$dir/moat")" -gt 500 ] || { echo "the sandbox shows next to nothing"; cat "$dir/err"; exit 1; }
comm -23 "$dir/native" "$dir/moat" >"$dir/missing"

grep -v '^#' "$here/proc-walk.missing" | cut -f 1 | sed 's/^/^/; s/$/$/' >"$dir/patterns"
grep -v -E -x -f "$dir/patterns" "$dir/missing" >"$dir/unexplained"
if [ "${SHOW:-}" ]; then
	while IFS=$'\t' read -r pattern why; do
		[ "${pattern#\#}" = "$pattern" ] && [ "$pattern" ] || continue
		printf '%6d  %s: %s\n' "$(grep -c -E -x -- "$pattern" "$dir/missing")" "$pattern" "$why"
	done <"$here/proc-walk.missing"
fi
echo "$(wc -l <"$dir/native") natively, $(wc -l <"$dir/moat") in moat, $(wc -l <"$dir/missing") missing"
if [ -s "$dir/unexplained" ]; then
	echo "missing without a reason in proc-walk.missing:"
	head -n 60 "$dir/unexplained"
	exit 1
fi
