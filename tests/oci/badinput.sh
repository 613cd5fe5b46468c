#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bundles that are not what they should be, disks that are full or read-only, sockets that nobody reads: runc's exit status, one line
# that names the thing, no waiting, and nothing left behind.
# Where something is mounted, nobody else sees it.
[ "$(id -u)" != 0 ] || [ "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=1 exec unshare -m --propagation private bash "$0"
. "$(dirname "$0")/../lib/container.sh"
m() { timeout -s KILL 20 "$moat" --root "${root:-$work/state}" "$@" 2>"$work/err" </dev/null; }
refused() { # WORDS CREATE-OPTIONS...: status 1, one line with these words
	fails 1 "$1" m create "${@:2}" x1
	same "lines about $1" 1 "$(wc -l <"$work/err")"
	[ -z "$(ls -A "$work/state" 2>/dev/null)" ] || die "$1: left: $(ls -R "$work/state")"
}
bundle() { # NAME: the good one again
	rm -rf "$work/x"
	mkdir "$work/x"
	ln -s "$work/b/rootfs" "$work/x/rootfs"
	config "${1:-[\"true\"]}"
	cp "$work/b/config.json" "$work/x"
}
mount_of() { sed -i 's|"mounts":\[|&{"destination":"'"$1"'","source":"'"$2"'","options":["bind"]},|' "$work/x/config.json"; }

# config.json
bundle && rm "$work/x/config.json" && refused 'config.json: No such file' -b "$work/x"
mkfifo "$work/x/config.json" && refused 'config.json: not a regular file' -b "$work/x"
rm "$work/x/config.json" && ln -s /dev/zero "$work/x/config.json" && refused 'config.json: not a regular file' -b "$work/x"
rm "$work/x/config.json" && mkdir "$work/x/config.json" && refused 'config.json: not a regular file' -b "$work/x"
bundle && head -c 9000000 /dev/zero | tr '\0' ' ' >"$work/x/config.json" && refused 'config.json: larger than' -b "$work/x"
bundle && printf '%50000s' | tr ' ' '[' >"$work/x/config.json" && refused 'config.json:1: maximum parsing depth' -b "$work/x"
bundle && printf '{"ociVersion":"1.0.2","ociVersion":"1.0.2"}' >"$work/x/config.json" && refused 'duplicate object key' -b "$work/x"
bundle && sed -i 's/"process"/"pro\x01cess"/' "$work/x/config.json" && refused 'config.json:1:' -b "$work/x"
bundle && sed -i 's/"cwd":"[^"]*"/"cwd":"tmp"/' "$work/x/config.json" && refused 'cwd' -b "$work/x"
bundle && sed -i 's/"args":\[[^]]*\]/"args":[]/' "$work/x/config.json" && refused 'args' -b "$work/x"
bundle && mount_of /there /tmp && sed -i 's|"options":\["bind"\]|"options":["rbind","rshared"]|; s|"process":{|&"capabilities":{"bounding":["CAP_SYS_ADMIN"]},|' "$work/x/config.json" &&
	refused 'mounts.0..options.1.: "rshared" is not supported with CAP_SYS_ADMIN' -b "$work/x"

# More of something than there can be: at once, and by its name.
more() { python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); exec(sys.argv[2]); json.dump(c, open(sys.argv[1], "w"))' "$work/x/config.json" "$1"; }
bundle && more 'c["process"]["args"] += ["x"] * 400000' && refused 'Argument list too long' -b "$work/x"
bundle && more 'c["process"]["args"] += ["x" * 3000000]' && refused 'Argument list too long' -b "$work/x"
bundle && more 'c["process"]["user"] = {"additionalGids": list(range(100000))}' && refused 'process.user.additionalGids: more than 65536' -b "$work/x"
bundle && more 'c["process"]["cwd"] = "/a" * 3000' && refused 'process.cwd: longer' -b "$work/x"
bundle && more 'c["mounts"] += [{"destination": "/" + "x" * 5000, "type": "tmpfs"}]' && refused 'mounts\[3\].destination: longer' -b "$work/x"
bundle && more 'c["mounts"] += [{"destination": "/m%d" % i, "type": "tmpfs"} for i in range(300)]' && refused 'mounts: more than' -b "$work/x"
bundle && more 'c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
	"args": [{"index": 0, "value": i, "op": "SCMP_CMP_EQ"}]} for i in range(20000)]}' && refused 'linux.seccomp.syscalls: more than' -b "$work/x"
bundle && more 'c["annotations"] = {"a": "x" * 2000000}' && { m run -b "$work/x" x1 || die "a large annotation: $(cat "$work/err")"; }
# A path as long as can be is made step by step, not from its beginning each time.
bundle && more 'c["process"]["cwd"] = "/tmp/deep" + "/a" * 1500' && { m run -b "$work/x" x1 || die "a deep working directory: $(cat "$work/err")"; }
rm -rf "$work/b/rootfs/tmp/deep"

# The root: a name that is not there, that goes round, or is no directory.
bundle && rm "$work/x/rootfs" && refused 'rootfs for the root: No such file' -b "$work/x"
ln -s rootfs "$work/x/rootfs" && refused 'rootfs for the root: Too many levels' -b "$work/x"
rm "$work/x/rootfs" && mkfifo "$work/x/rootfs" && refused 'rootfs for the root: Not a directory' -b "$work/x"
rm "$work/x/rootfs" && ln -s /dev/null "$work/x/rootfs" && refused 'rootfs for the root: Not a directory' -b "$work/x"

# Mounts: of what is not there, and onto names that lead out.
bundle && mount_of /tmp/m "$work/nosuch" && refused "$work/nosuch" -b "$work/x"
mkdir -p "$work/victim" "$work/vol"
echo volume >"$work/vol/f"
rm -f "$work/b/rootfs/out"
ln -s "$work/victim" "$work/b/rootfs/out"
mkdir -p "$work/b/rootfs$work/victim" # inside, the link leads here
bundle '["cat","/out/m/f"]' && mount_of /out/m "$work/vol"
same "a mount on a link that leads out" volume "$(m run -b "$work/x" x1)"
bundle '["cat","/tmp/m/f"]' && mount_of "/../../../../../..$work/victim/../tmp/m" "$work/vol"
m run -b "$work/x" x1 >/dev/null || true
same "what is in the folder that it leads to" "" "$(ls -A "$work/victim")"
# FIFOs and devices can be mounted; nobody waits for them.
mkfifo "$work/fifo"
bundle && mount_of /tmp/fifo "$work/fifo" && mount_of /tmp/null /dev/null
m run -b "$work/x" x1 || die "a FIFO as a mount: $(cat "$work/err")"
# Somebody changes the target while containers are made.
(set +e; while :; do
	rm -rf "$work/b/rootfs/race" && mkdir "$work/b/rootfs/race"
	rm -rf "$work/b/rootfs/race" && ln -s "$work/victim" "$work/b/rootfs/race"
done) 2>/dev/null &
racer=$!
bundle '["sleep","1000"]' && mount_of /race/m "$work/vol"
for _ in 1 2 3 4 5 6 7 8; do
	if m create -b "$work/x" x1 >/dev/null; then
		m delete --force x1 || die "delete: $(cat "$work/err")"
	else
		same "lines about a mount that moves" 1 "$(wc -l <"$work/err")"
	fi
done
kill $racer
wait $racer 2>/dev/null || true
same "what is in the folder" "" "$(ls -A "$work/victim")"
same "mounts on the host" "" "$(grep -F "$work" /proc/self/mountinfo)"

# Sockets and files that engines name.
bundle && sed -i 's/"process":{/&"terminal":true,/' "$work/x/config.json"
refused 'console-socket: cannot send' -b "$work/x" --console-socket "$work/fifo"
refused 'console-socket: the path is too long' -b "$work/x" --console-socket "$work/$(printf 'x%.0s' $(seq 200))"
if command -v perl >/dev/null; then
	# One whose queue is full, and nobody takes anything off it.
	perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0])); listen(S, 0); for (1..2) { socket($c[$_], PF_UNIX,
		SOCK_STREAM | 2048, 0); connect($c[$_], sockaddr_un($ARGV[0])) } open(F, ">$ARGV[0].up"); sleep 60' "$work/full" &
	full=$!
	until_true test -e "$work/full.up"
	refused 'console-socket: cannot send to' -b "$work/x" --console-socket "$work/full"
	kill $full
	wait $full 2>/dev/null || true
fi
bundle
refused 'pid-file' -b "$work/x" --pid-file "$work/vol"
mkfifo "$work/log"
m --log "$work/log" create -b "$work/x" x1 || die "a log that nobody reads: $(cat "$work/err")"
m delete x1
nothing_left

# A program to run, from a file that is none.
bundle '["sleep","1000"]'
m run -d -b "$work/x" x2 >/dev/null || die "run: $(cat "$work/err")"
note x2
fails 255 'not a JSON object\|end of file' m exec --process "$work/fifo" x2
fails 255 'end of file\|Is a directory' m exec --process "$work" x2
head -c 20000000 /dev/zero | tr '\0' ' ' >"$work/large"
fails 255 'larger than' m exec --process "$work/large" x2
m exec --process <(echo '{"args":["true"],"cwd":"/"}') x2 || die "exec of a process from a pipe: $(cat "$work/err")"
fails 1 'end of file' m update --resources "$work/fifo" x2
m delete -f x2

[ "$(id -u)" = 0 ] || exit 0
# A state directory that cannot be written, and one that is full at every step of a creation.
mkdir "$work/disk"
trap 'umount -l "$work/disk" 2>/dev/null || true; remove_all' EXIT
mount -t tmpfs -o ro none "$work/disk"
root=$work/disk/state
refused "cannot create $work/disk/state: Read-only file system" -b "$work/x"
umount "$work/disk"
made=0 failed=0
for inodes in 2 3 4 5 6 7 8 9; do
	mount -t tmpfs -o nr_inodes=$inodes none "$work/disk"
	if m create -b "$work/x" x1; then
		made=$((made + 1))
		m delete --force x1 || die "delete with $inodes inodes: $(cat "$work/err")"
	else
		same "status with $inodes inodes" 1 $?
		same "lines with $inodes inodes" 1 "$(wc -l <"$work/err")"
		grep -q 'No space left' "$work/err" || die "with $inodes inodes: $(cat "$work/err")"
		failed=$((failed + 1))
	fi
	same "left with $inodes inodes" "" "$(ls -A "$work/disk/state" 2>/dev/null)"
	umount "$work/disk"
done
[ $made -gt 0 ] && [ $failed -gt 2 ] || die "$made made, $failed failed"
mount -t tmpfs -o size=64k none "$work/disk"
mkdir "$work/disk/state"
dd if=/dev/zero of="$work/disk/fill" 2>/dev/null || true
refused 'state.json: No space left' -b "$work/x"
same "left on a full disk" "" "$(ls -A "$work/disk/state")"
root=
refused 'pid-file.*No space left' -b "$work/x" --pid-file "$work/disk/pid"
# A root on a full disk: what mounts stand on cannot be made.
rm "$work/disk/fill"
mkdir "$work/disk/rootfs"
cp "$work/b/rootfs/bin/true" "$work/disk/rootfs/true" 2>/dev/null || true
dd if=/dev/zero of="$work/disk/fill" bs=1 2>/dev/null || true
rm "$work/x/rootfs"
ln -s "$work/disk/rootfs" "$work/x/rootfs"
umount "$work/disk"
mount -t tmpfs -o nr_inodes=3 none "$work/disk"
mkdir "$work/disk/rootfs"
touch "$work/disk/last" 2>/dev/null || true
refused 'cannot mount .*No space left' -b "$work/x"
umount "$work/disk"
nothing_left
