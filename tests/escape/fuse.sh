#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who waits for a FUSE server can be killed, also the server itself, where Linux lets them wait; and what was on its way is
# given back. (tests/guest/fuse is compared with Linux in all else.)
. "$(dirname "$0")/../lib/common.sh"

program=$(realpath "$BUILD/tests/guest/fuse")
cat >"$work/want" <<'END'
mount("source", "mnt", type, MS_NOSUID, o): 0
9
stat("mnt/none", &st): -1 ENOENT
order("forgotten"): 0
order("late"): 0
order("late"): 2
order("forgotten"): 1
write(fd, "text", 4): 4
lseek(fd, 0, SEEK_SET): 0
9
9
9
unlink("mnt/hang-read"): 0
umount2("mnt", 0): 0
server ends: 0
deadlock: self-stat
mount("source", "mnt", type, MS_NOSUID, o): 0
stat("mnt/hang-on", &st): -1 ECONNABORTED
0
umount2("mnt", 0): 0
deadlock: self-set
mount("source", "mnt", type, MS_NOSUID, o): 0
stat("mnt/hang-on", &st): -1 ECONNABORTED
0
umount2("mnt", 0): 0
deadlock: self-rename
mount("source", "mnt", type, MS_NOSUID, o): 0
stat("mnt/hang-on", &st): -1 ECONNABORTED
0
umount2("mnt", 0): 0
END
for platform in trap ptrace; do
	status=0
	timeout -s KILL 60 "$moat" do --platform=$platform ${MOAT_FLAGS:-} -- "$program" killed >"$work/got" 2>"$work/said" || status=$?
	same "status on $platform" 0 $status
	same "what moat says on $platform" "" "$(grep -v 'weaker isolation' "$work/said")"
	diff -u "$work/want" "$work/got" || die "$platform: not as it has to be"
	# A server that answers at random: all come to an end, and the sandbox says nothing of its own.
	for seed in 1 2 3; do
		status=0
		timeout -s KILL 60 "$moat" do --platform=$platform ${MOAT_FLAGS:-} -- "$program" fuzz $seed >"$work/got" 2>"$work/said" || status=$?
		same "status of random answers $seed on $platform" 0 $status
		same "what moat says of random answers $seed on $platform" "" "$(grep -v 'weaker isolation' "$work/said")"
		same "output of random answers $seed on $platform" \
			'mount("source", "mnt", type, MS_NOSUID, o): 0|umount2("mnt", MNT_DETACH): 0|' "$(tr '\n' '|' <"$work/got")"
	done
done
