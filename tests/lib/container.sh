# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the tests of containers: a bundle of busybox, and commands on containers.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# A test that fails in the middle leaves no container behind either.
remove_all() {
	local c
	for c in "$work"/state/*; do
		[ ! -d "$c" ] || "$moat" --root "$work/state" delete --force "$(basename "$c")" >/dev/null 2>&1
	done
	rm -rf "$work"
}
trap 'say_end $? "$BASH_COMMAND"; remove_all' EXIT
command -v busybox >/dev/null || skip "no busybox to make a bundle of"
mkdir -p "$work/b/rootfs"/{bin,etc,tmp,proc,dev,sys,root}
cp "$(command -v busybox)" "$work/b/rootfs/bin/busybox"
for a in sh echo cat id pwd env ls true sleep touch readlink ulimit mount hostname kill ps tty stty stat wc seq grep; do
	ln -s busybox "$work/b/rootfs/bin/$a"
done
config() { # ARGS-JSON [MORE process fields] [MORE top-level fields] [MORE linux fields]
	cat >"$work/b/config.json" <<J
{"ociVersion":"1.0.2","process":{"args":$1,"env":["PATH=/bin","A=b"],"cwd":"/tmp"${2:-}},
"root":{"path":"rootfs"},"hostname":"box",
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]},
{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","ptmxmode=0666","mode=0620"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]${4:-}}${3:-}}
J
}
m() { timeout -s KILL 60 "$moat" --root "$work/state" "$@" 2>"$work/err" </dev/null; }
# A command has to fail with this status and these words.
fails() { # STATUS WORDS COMMAND...
	local status=0
	"${@:3}" >"$work/out" || status=$?
	same "status of ${*:3}" "$1" $status
	grep -q "$2" "$work/err" || die "${*:3}: expected <$2>, got <$(cat "$work/err")>"
}
is() { [ "$(status_of "$1")" = "$2" ]; } # ID STATE
status_of() { m state "$1" | sed -n 's/.*"status": "\(.*\)",/\1/p'; }
until_true() { # COMMAND...: within 10 s
	local i
	for i in $(seq 100); do
		"$@" && return 0
		sleep 0.1
	done
	die "it did not come to: $*"
}
# All processes that belong to a sandbox whose state is in this test's folder.
nothing_left() {
	[ -z "$(ls -A "$work/state" 2>/dev/null)" ] || die "the state directory is not empty: $(ls -R "$work/state")"
	# shellcheck disable=SC2086
	gone $pids
}
pids=
# A number in the state file.
field() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$work/state/$1/state.json"; } # ID KEY
# Note the processes of a container, for nothing_left.
note() {
	local p
	p=$(field "$1" sentryPid)
	pids="$pids $p $(below "$p") $(field "$1" pid) $(field "$1" goferPid)"
}
