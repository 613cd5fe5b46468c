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
