#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# moat debug and top: threads with what they wait in, descriptors, mounts, sockets; what a container uses.
. "$(dirname "$0")/../lib/container.sh"
config '["sh","-c","cd /root; exec 5>/tmp/open; mkfifo /tmp/q; sleep 1000 & read x </tmp/q"]'
ln -s busybox "$work/b/rootfs/bin/mkfifo"
m run -d -b "$work/b" c1 >/dev/null || die "run: $(cat "$work/err")"
note c1
until_true test -p "$work/b/rootfs/tmp/q"
sleep 0.3
m debug c1 >"$work/out" || die "debug: $(cat "$work/err")"
has() { grep -q -- "$1" "$work/out" || die "debug does not say <$1>: $(cat "$work/out")"; }
has '^container c1: started; kernel [1-9]'
has '^process 1, parent 0, uid 0, on the host [1-9]'
has ' sleep  *S (sleeping)  *clock_nanosleep('
has ' sh  *S (sleeping)  *openat('
has 'descriptor 5: /tmp/open$'
has ' / gofer rw'
has '^unix sockets'
# A name that would move the cursor is written out.
m exec -d c1 sh -c 'printf "\033[2Jevil\n" >/proc/self/comm; exec 7</proc/self/comm; read x </tmp/q'
sleep 0.5
m debug c1 | LC_ALL=C grep -q "$(printf '\033')" && die "an escape sequence came through"
m debug c1 >"$work/out"
has '\\033\[2Jevil'
m pause c1
m debug c1 >"$work/out"
has '^container c1: started, paused;'
m resume c1
fails 1 'does not exist' m debug nosuch
m exec -d c1 sh -c 'while :; do :; done'
m top -i 1 >"$work/out" || die "top: $(cat "$work/err")"
same "top's container" "c1 running 4" "$(awk '$1 == "c1" {print $1, $2, $3}' "$work/out")"
awk '$1 == "c1" && $4 > 5 && $5 > 500 {ok = 1} END {exit !ok}' "$work/out" || die "top: $(cat "$work/out")"
# Calls that reach the sandbox's kernel are counted: about so many as it makes in a second, and none of one that sleeps.
m exec -d c1 sh -c 'while :; do read x </etc/nosuch; done 2>/dev/null'
m top -i 1 >"$work/out"
awk '$1 == "c1" && $6 > 500 {ok = 1} END {exit !ok}' "$work/out" || die "top: $(cat "$work/out")"
m delete -f c1
fails 1 'does not exist' m debug c1
config '["sleep","1000"]'
m run -d -b "$work/b" c1 >/dev/null || die "run: $(cat "$work/err")"
note c1
m top -i 1 >"$work/out"
same "calls of one that sleeps" 0 "$(awk '$1 == "c1" {print $6}' "$work/out")"
fails 1 'events: names no container' m events
"$moat" --root "$work/state" events --follow >"$work/events" 2>&1 &
events=$!
until_true grep -q '^{"type":"running","id":"c1"' "$work/events"
m pause c1
until_true grep -q '^{"type":"paused","id":"c1","time":"20' "$work/events"
m resume c1
again() { [ "$(grep -c '^{"type":"running","id":"c1"' "$work/events")" = 2 ]; }
until_true again
m kill c1 KILL
until_true grep -q '^{"type":"stopped","id":"c1"' "$work/events"
m delete c1
until_true grep -q '^{"type":"deleted","id":"c1"' "$work/events"
m create -b "$work/b" c2 >/dev/null
note c2
until_true grep -q '^{"type":"created","id":"c2"' "$work/events"
kill $events
m delete -f c2

# What it wrote is kept where that went to a file.
config '["sh","-c","echo to out; echo to err >&2; read x; echo later; sleep 1000"]'
mkfifo "$work/in"
"$moat" --root "$work/state" run -d --debug-log="$work/debug.log" -b "$work/b" c3 >"$work/c3.out" 2>"$work/c3.err" <>"$work/in" || die "run: $(cat "$work/c3.err")"
note c3
until_true grep -q out "$work/c3.out"
same "logs" "to out" "$(m logs c3)"
same "logs of the other stream" "to err" "$(m logs --stderr c3)"
m logs --debug c3 >"$work/out" || die "logs --debug: $(cat "$work/err")"
cmp -s "$work/out" "$work/debug.log" || die "another debug log"
"$moat" --root "$work/state" logs -f c3 >"$work/follow" &
logs=$!
echo x >"$work/in"
until_true grep -q later "$work/follow"
m kill c3 KILL
wait $logs || die "logs -f failed"
same "logs that follow" "to out later" "$(echo $(cat "$work/follow"))"
m delete c3
m run -d -b "$work/b" c4 > >(cat >/dev/null)
note c4
fails 1 'no log is kept of container c4' m logs c4
fails 1 'without --debug-log' m logs --debug c4
m delete -f c4
fails 1 'does not exist' m logs c4
same "top of none" 1 "$(m top -n 1 | wc -l)"
nothing_left
