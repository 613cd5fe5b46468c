#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A name that is given up and taken at the same time: nobody takes away what is another's, and it stays usable.
. "$(dirname "$0")/../lib/container.sh"
gcc -O1 -Wall -o "$work/meanwhile" tests/oci/meanwhile.c
rmdir=84 flock=73 faccessat2=439
between() { # NUMBER SHELL-COMMAND ARGUMENT...
	timeout -s KILL 60 "$work/meanwhile" "$1" "$2" "$moat" --root "$work/state" "${@:3}" 2>"$work/err" </dev/null
}
free() { # ID
	[ ! -e "$work/state/$1" ] || die "$1 is still there: $(ls -A "$work/state/$1")"
	m create -b "$work/b" "$1" >/dev/null || die "the name $1 is not free: $(cat "$work/err")"
	m delete "$1" || die "delete $1: $(cat "$work/err")"
}
config '["sleep","1000"]'
quiet() { [ ! -s "$work/err" ] || die "$1: $(cat "$work/err")"; }

# Who removes one finds that somebody has noted in it that he shares its sandbox.
m create -b "$work/b" a >/dev/null
between $rmdir "touch $work/state/a/shared" delete a || die "delete: $(cat "$work/err")"
quiet delete
free a
# The same name has become another's.
m create -b "$work/b" a >/dev/null
between $rmdir "rmdir $work/state/a && mkdir $work/state/a && touch $work/state/a/lock" delete a || die "delete: $(cat "$work/err")"
quiet delete
[ -e "$work/state/a/lock" ] || die "another's folder was removed"
m create -b "$work/b" a >/dev/null || die "create in a folder that nobody holds: $(cat "$work/err")"
m delete a
# Who makes one has it removed.
between $flock "rm -r $work/state/a" create -b "$work/b" a >/dev/null || die "create: $(cat "$work/err")"
m delete a
free a
# Who would share a sandbox notes so in a folder that is being removed.
m create -b "$work/b" a >/dev/null
pid=$(field a pid)
mkdir "$work/state/a.away"
sed "s|\"type\":\"pid\"|&,\"path\":\"/proc/$pid/ns/pid\"|" "$work/b/config.json" >"$work/joined"
mv "$work/joined" "$work/b/config.json"
fails 1 'container not running: a' between $faccessat2 "mv $work/state/a/lock $work/state/a.away" create -b "$work/b" b
[ ! -e "$work/state/a/shared" ] || die "a note is left in the folder of a"
mv "$work/state/a.away/lock" "$work/state/a"
rmdir "$work/state/a.away"
m delete --force a || die "delete: $(cat "$work/err")"
config '["sleep","1000"]'
free a
free b
nothing_left
