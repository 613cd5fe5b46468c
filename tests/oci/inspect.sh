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
m delete -f c1
fails 1 'does not exist' m debug c1
same "top of none" 1 "$(m top -n 1 | wc -l)"
nothing_left
