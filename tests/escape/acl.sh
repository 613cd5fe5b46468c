#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# POSIX ACLs of the host's files: what they let whom do inside, and what becomes of them by what is done inside.
. "$(dirname "$0")/../lib/common.sh"

program=$(realpath "$BUILD/tests/guest/acl")
[ "$(id -u)" = 0 ] || skip "needs root"
chmod 755 "$work"
mkdir -m 755 "$work/native" "$work/volume" "$work/tree"
"$program" in "$work/native" >"$work/native.out" || skip "no ACLs here"
grep -q '\[2 ' "$work/native.out" || skip "no ACLs here"
files="f b d d/f d/x d/none d/d d/d2 d/d/f d/exact d/e d/umask s s/f g g2 gd"

# A volume: the host keeps them.
"$moat" do --volume="$work/volume:/mnt" -- "$program" in /mnt >"$work/moat.out" || die "status $?"
diff "$work/native.out" "$work/moat.out" || die "not as natively on a volume"
# shellcheck disable=SC2086
diff <("$program" look "$work/native" $files) <("$program" look "$work/volume" $files) ||
	die "what is left on the volume differs"

# The tree that a sandbox begins with.
# shellcheck disable=SC2086
diff <("$program" look "$work/native" $files) <("$moat" do -- "$program" look "$work/native" $files) ||
	die "the host's files are not as natively"

# One that is set outside, on a directory on the way, is seen at the next look as a chmod is.
mkdir -p "$work/way/a/b" && mkdir -m 777 "$work/way/said" && echo text >"$work/way/a/b/f"
acl() {
	python3 -c 'import os, struct, sys
entries = [(1, 7, -1), (2, 0, 1000), (4, 5, -1), (16, 5, -1), (32, 5, -1)]
os.setxattr(sys.argv[1], "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries))' "$1"
}
timeout 60 "$moat" do --volume="$work/way:/mnt" -- setpriv --reuid=1000 --regid=1000 --clear-groups sh -c 'exec 2>&1
	for i in 1 2 3; do
		cat /mnt/a/b/f
		: >/mnt/said/$i
		until [ -e /mnt/said/$i.done ]; do sleep 0.02; done
	done
	cat /mnt/a/b/f' >"$work/way.out" &
job=$!
said() { until [ -e "$work/way/said/$1" ]; do kill -0 $job || die "it has ended"; sleep 0.02; done; }
said 1
acl "$work/way/a"
: >"$work/way/said/1.done"
said 2
python3 -c 'import os, sys; os.removexattr(sys.argv[1], "system.posix_acl_access")' "$work/way/a"
: >"$work/way/said/2.done"
said 3
acl "$work/way/a/b"
: >"$work/way/said/3.done"
wait $job || [ $? = 1 ] || die "status of the last cat"
printf '%s\n' text 'cat: /mnt/a/b/f: Permission denied' text 'cat: /mnt/a/b/f: Permission denied' | diff - "$work/way.out" ||
	die "an ACL that was set outside is not seen"
