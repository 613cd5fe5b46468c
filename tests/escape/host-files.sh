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

# A limit on the size of files holds for what is allocated, too.
status=0
"$moat" do ${MOAT_FLAGS:-} --volume="$work/dir:/mnt/v" -- /bin/bash -c \
	'trap "" XFSZ; ulimit -f 8; fallocate -l 4096 /mnt/v/small && fallocate -l 102400 /mnt/v/big' 2>"$work/err" || status=$?
same "status of allocating beyond the limit" 1 $status
same "sizes" "4096 0" "$(stat -c %s "$work/dir/small" "$work/dir/big" | tr '\n' ' ' | sed 's/ $//')"

# A directory that somebody on the host moves, while a program is in it and gives it its new name.
mkdir "$work/dir/old"
timeout -s KILL 60 "$moat" do ${MOAT_FLAGS:-} --volume="$work/dir:/mnt/v" -- /bin/sh -c \
	'cd /mnt/v/old && touch x && touch /mnt/v/ready && until [ -e /mnt/v/go ]; do sleep 0.1; done
	mv x /mnt/v/moved/y && mv -T /mnt/v/moved ../elsewhere' >"$work/out" 2>&1 &
mover=$!
for _ in $(seq 100); do
	[ ! -e "$work/dir/ready" ] || break
	sleep 0.1
done
mv "$work/dir/old" "$work/dir/moved"
touch "$work/dir/go"
wait $mover || die "a move between two names of one directory: $(cat "$work/out")"
[ -e "$work/dir/elsewhere/y" ] || die "the file is not where it was moved to: $(ls -R "$work/dir")"
