#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# create, start, state, list, ps, kill, delete, pause, resume: what they do, and what they say in the wrong state.
. "$(dirname "$0")/../lib/container.sh"

config '["sh","-c","echo runs; exec sleep 1000"]'
m create -b "$work/b" --pid-file "$work/pid" c1 >"$work/c1.out" || die "create: $(cat "$work/err")"
note c1
same "state" created "$(status_of c1)"
same "pid file" "$(cat "$work/pid")" "$(m state c1 | sed -n 's/.*"pid": \([0-9]*\),/\1/p')"
same "nothing runs yet" "" "$(cat "$work/c1.out")"
same "list" "c1 created" "$(m list | awk 'NR==2{print $1, $3}')"
fails 1 'already exists' m create -b "$work/b" c1
fails 1 'not paused' m resume c1
m start c1 || die "start: $(cat "$work/err")"
until_true grep -q runs "$work/c1.out"
same "state" running "$(status_of c1)"
fails 1 'already running' m start c1
fails 1 'not stopped' m delete c1
p=$(m ps --format json c1 | tr -d '[]')
same "the host's process" sleep "$(cat "/proc/$p/comm")"
m ps c1 | grep -q "$p" || die "ps: $(m ps c1)"

m pause c1 || die "pause: $(cat "$work/err")"
same "state" paused "$(status_of c1)"
fails 1 'not running' m pause c1
fails 255 'paused container' m exec c1 true
m resume c1 || die "resume: $(cat "$work/err")"
same "state" running "$(status_of c1)"

fails 1 'invalid signal' m kill c1 NOSUCH
m kill c1 KILL || die "kill: $(cat "$work/err")"
until_true is c1 stopped
same "pid of a stopped one" 0 "$(m state c1 | sed -n 's/.*"pid": \([0-9]*\),/\1/p')"
fails 1 'container not running' m kill c1 TERM
m kill --all c1 9 || die "kill --all of a stopped one: $(cat "$work/err")"
fails 1 'has stopped' m start c1
fails 255 'stopped container' m exec c1 true
m delete c1 || die "delete: $(cat "$work/err")"
nothing_left

# Unknown ones.
for c in start delete pause resume state; do
	fails 1 'does not exist' m $c nosuch
done
fails 1 'does not exist' m kill nosuch TERM
fails 255 'does not exist' m exec nosuch true
m delete --force nosuch || die "delete --force of an unknown one"
for id in '' . .. a/b 'a b' "$(printf 'x%.0s' $(seq 300))"; do
	fails 1 'invalid container ID format' m create -b "$work/b" "$id"
done
same "list of none" null "$(m list --format json)"

# A created one can be deleted at once, and a running one by force.
m create -b "$work/b" c2 >/dev/null && note c2 && m delete c2 || die "delete of a created one: $(cat "$work/err")"
m run -d -b "$work/b" c3 >/dev/null && note c3 && m delete --force c3 || die "delete --force: $(cat "$work/err")"
# A signal that would end a program ends one that does not run yet.
m create -b "$work/b" c4 >/dev/null && note c4 && m kill c4 TERM || die "kill of a created one: $(cat "$work/err")"
until_true is c4 stopped
m delete c4
nothing_left

# Who waits for one that somebody else has deleted leaves the next one of that name alone.
config '["sleep","1000"]' '' ',"hooks":{"poststop":[{"path":"/bin/sh","args":["sh","-c","echo gone >>'"$work/gone"'"]}]}'
"$moat" --root "$work/state" run -b "$work/b" c6 >/dev/null 2>"$work/err6" </dev/null &
runner=$!
until_true is c6 running
note c6
kill -STOP $runner
m delete --force c6 || die "delete --force of one that is waited for: $(cat "$work/err")"
m create -b "$work/b" c6 >/dev/null || die "create once more: $(cat "$work/err")"
note c6
kill -CONT $runner
status=0
wait $runner || status=$?
same "its status" 137 $status
same "what it says" "moat: moat-sentry was killed by signal 9 (Killed)" "$(tail -n 1 "$work/err6")"
same "hooks that ran" gone "$(cat "$work/gone")"
same "state of the next one" created "$(status_of c6)"
m delete c6
nothing_left

# What fails leaves nothing, and says why as engines look for it.
config '["nosuch"]'
fails 1 'executable file not found in $PATH' m create -b "$work/b" c5
config '["/no/such"]'
fails 1 'no such file or directory' m create -b "$work/b" c5
config '["/etc"]'
fails 1 'permission denied' m create -b "$work/b" c5
config '["true"]'
fails 1 'cannot find the bundle' m create -b "$work/nosuch" c5
fails 1 'pid-file' m create -b "$work/b" --pid-file /nosuch/pid c5
fails 1 'console' m create -b "$work/b" --console-socket "$work/nosock" c5
config '["true"]' ',"terminal":true'
fails 1 'console' m create -b "$work/b" c5
fails 1 'cannot send to' m create -b "$work/b" --console-socket "$work/nosock" c5
nothing_left

# Options as engines give them.
config '["true"]'
for o in --no-pivot --no-new-keyring --preserve-fds=0; do
	m --log "$work/log" --log-format=json create --bundle="$work/b" $o c6 >/dev/null || die "$o: $(cat "$work/err")"
	m delete --force=true c6
done
fails 1 'unknown option' m create --nonsense -b "$work/b" c6
fails 1 'needs a value' m create --bundle
m --log "$work/log" --log-format json start nosuch && die "start of an unknown one"
grep -q '^{"level":"error","msg":"container does not exist: nosuch","time":".*Z"}$' "$work/log" || die "log: $(cat "$work/log")"
nothing_left

# Another runtime's folders in the same place are left alone.
mkdir -p "$work/state/foreign" && echo '{"id":"foreign"}' >"$work/state/foreign/state.json"
same "list beside a foreign one" null "$(m list -f json)"
fails 1 'already exists' m create -b "$work/b" foreign
m delete --force foreign || die "delete --force of a foreign one"
[ -f "$work/state/foreign/state.json" ] || die "the foreign one was deleted"
