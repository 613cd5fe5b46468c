#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Files: what is written in moat do stays there; a read-only volume stays as it is; names do not lead out.
. "$(dirname "$0")/../lib/common.sh"

mkdir "$work/dir" "$work/ro" "$work/tree" "$work/tree/etc"
echo before >"$work/dir/file"
"$moat" do -- /bin/sh -c "echo after >$work/dir/file; echo new >$work/dir/new; rm -rf $work/ro; cat $work/dir/file $work/dir/new" >"$work/out"
same "inside" "after new" "$(tr '\n' ' ' <"$work/out" | sed 's/ $//')"
same "the file outside" before "$(cat "$work/dir/file")"
[ ! -e "$work/dir/new" ] || die "a new file reached the host"
[ -d "$work/ro" ] || die "a removal reached the host"

# Volumes do reach the host, unless they are read-only.
"$moat" do --volume="$work/dir:/mnt/v" --volume="$work/ro:/mnt/ro:ro" -- /bin/sh -c \
	'echo through >/mnt/v/file; echo x >/mnt/ro/x 2>/dev/null && echo written; exit 0' >"$work/out"
same "the volume" through "$(cat "$work/dir/file")"
same "writing to the read-only volume" "" "$(cat "$work/out")"
[ ! -e "$work/ro/x" ] || die "the read-only volume was written"

# Links of a tree are resolved inside it.
secret=$work/secret
echo secret >"$secret"
ln -s "$secret" "$work/dir/abs"
ln -s ../secret "$work/dir/rel"
ln -s ../../../../../../../../etc/passwd "$work/dir/up"
got=$("$moat" do --volume="$work/dir:/mnt/v" --rootfs=/ -- /bin/sh -c \
	'cd /mnt/v; cat rel 2>/dev/null; ls /mnt/v/../secret 2>/dev/null; readlink abs' || true)
same "relative link out of a volume" "$secret" "$got"
