#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# moat run: status, streams, environment, user, working directory, limits, mounts, as runc has them.
. "$(dirname "$0")/../lib/common.sh"
command -v busybox >/dev/null || skip "no busybox to make a bundle of"

mkdir -p "$work/b/rootfs"/{bin,etc,tmp,proc,dev,sys,root}
cp "$(command -v busybox)" "$work/b/rootfs/bin/busybox"
for a in sh echo cat id pwd env ls true sleep touch readlink ulimit mount hostname kill; do
	ln -s busybox "$work/b/rootfs/bin/$a"
done
config() { # ARGS-JSON [MORE process fields] [MORE top-level fields] [root fields]
	cat >"$work/b/config.json" <<J
{"ociVersion":"1.0.2","process":{"args":$1,"env":["PATH=/bin","A=b"],"cwd":"/tmp"${2:-}},
"root":{"path":"rootfs"${4:-}},"hostname":"box",
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]}${3:-}}
J
}
run() {
	status=0
	out=$("$moat" --root "$work/state" run -b "$work/b" c1 2>"$work/err") || status=$?
}

config '["sh","-c","echo out; echo err >&2; exit 9"]'
run
same "status" 9 $status
same "stdout" out "$out"
same "stderr" err "$(cat "$work/err")"

# The first process of a pid namespace cannot kill itself; its child can.
config '["sh","-c","sh -c '\''kill -9 $$'\''; exit $?"]'
run
same "status of a killed program" 137 $status

config '["sh","-c","echo $A $HOME; pwd; hostname; id -u; id -g"]' ',"user":{"uid":33,"gid":44}'
run
same "environment, cwd, hostname, user" "b / /tmp box 33 44" "$(echo $out)"

config '["nosuchprogram"]'
run
same "status of a missing program" 1 $status
grep -q 'executable file not found in $PATH' "$work/err" || die "message: $(cat "$work/err")"

config '["/etc"]'
run
same "status of a directory as program" 1 $status
grep -qi 'permission denied' "$work/err" || die "message: $(cat "$work/err")"

config '["sh","-c","ulimit -n"]' ',"rlimits":[{"type":"RLIMIT_NOFILE","hard":200,"soft":100}]'
run
same "limit" 100 "$out"

config '["sh","-c","echo x >/root/file; cat /root/file"]'
run
same "writing to the root" "0 x" "$status $out"
same "which reaches the host" x "$(cat "$work/b/rootfs/root/file")"

config '["sh","-c","touch /root/other 2>/dev/null; echo $?"]' '' '' ',"readonly":true'
run
same "writing to a read-only root" 1 "$out"
[ ! -e "$work/b/rootfs/root/other" ] || die "the read-only root was written"

# What cannot be done is refused by name.
refuse() { # FIELD-IN-MESSAGE, then as config
	config "${@:2}"
	run
	same "status when $1 is refused" 1 $status
	grep -q "config.json: $1" "$work/err" || die "$1: $(cat "$work/err")"
}
refuse hooks '["true"]' '' ',"hooks":{"prestart":[{"path":"x"}]}'
refuse 'process.rlimits\[0\].type' '["true"]' ',"rlimits":[{"type":"RLIMIT_X","hard":1,"soft":1}]'

config '["true"]'
sed -i 's/"namespaces":/"devices":[{"path":"\/dev\/x","type":"c","major":1,"minor":1}],&/' "$work/b/config.json"
run
same "status when a device is refused" 1 $status
grep -q 'config.json: linux.devices\[0\]: /dev/x: a sandbox gets no device of the host' "$work/err" || die "device: $(cat "$work/err")"
# Those that it has of its own may be named.
config '["sh","-c","echo x >/dev/null && echo fine"]'
sed -i 's/"namespaces":/"devices":[{"path":"\/dev\/null","type":"c","major":1,"minor":3,"fileMode":438}],&/' "$work/b/config.json"
run
same "status with a device that moat has" 0 $status
same "what it prints" fine "$out"
config '["true"]'
sed -i 's|{"type":"pid"}|{"type":"pid","path":"/proc/'$$'/ns/pid"}|' "$work/b/config.json"
run
same "status when the pid namespace is the host's" 1 $status
grep -q "linux.namespaces: /proc/$$/ns/pid is the pid namespace of the host" "$work/err" || die "pid namespace: $(cat "$work/err")"
config '["true"]'
sed -i 's/"namespaces":/"sysctl":{"kernel.panic":"1"},&/' "$work/b/config.json"
run
same "status when a sysctl is refused" 1 $status
grep -q 'config.json: linux.sysctl.kernel.panic' "$work/err" || die "sysctl: $(cat "$work/err")"

[ -z "$(ls -A "$work/state")" ] || die "the state directory is not empty"
