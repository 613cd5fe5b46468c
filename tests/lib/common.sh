# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by test scripts: where moat is, and small helpers. A script fails at the first check that fails.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=${BUILD:-build}
moat=$(realpath "$BUILD/moat")
work=$(mktemp -d /tmp/moat-test.XXXXXX)
# What ends a script without a word of its own is named.
say_end() { # STATUS COMMAND
	set +e
	case $1,$2 in 0,* | *,exit*) ;; *) echo "ended by <$2>, status $1" ;; esac
}
trap 'say_end $? "$BASH_COMMAND"; rm -rf "$work"' EXIT
# With MOAT_FLAGS each sandbox is made with these flags, which come after the command's name.
if [ "${MOAT_FLAGS:-}" ]; then
	cat >"$work/moat" <<-X
		#!/bin/bash
		args=()
		for a; do
			args+=("\$a")
			case \$a in do | run | create) [ "\${made:-}" ] || { made=1; args+=($MOAT_FLAGS); } ;; esac
		done
		exec -a $moat $moat "\${args[@]}"
	X
	chmod +x "$work/moat"
	moat=$work/moat
fi

die() {
	echo "$*"
	exit 1
}
skip() {
	echo "$*"
	exit 77
}
same() { # WHAT EXPECTED GOT
	[ "$2" = "$3" ] || die "$1: expected <$2>, got <$3>"
}
# Start moat in the background; $moat_pid, and once the sandbox runs $sentry_pid and $gofer_pid.
start_moat() {
	"$moat" do "$@" >"$work/out" 2>"$work/err" </dev/null &
	moat_pid=$!
	for _ in $(seq 100); do
		sentry_pid= gofer_pid=
		for p in $(below "$moat_pid"); do
			case $(cat "/proc/$p/comm" 2>/dev/null) in
			moat-sentry) sentry_pid=$p ;;
			moat-gofer) gofer_pid=$p ;;
			esac
		done
		[ "$sentry_pid" ] && [ "$gofer_pid" ] && grep -q ready "$work/out" && return 0
		kill -0 "$moat_pid" 2>/dev/null || break
		sleep 0.05
	done
	cat "$work/err"
	die "the sandbox did not start"
}
# All processes below PID, the stubs included.
below() {
	local p
	for p in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		echo "$p"
		below "$p"
	done
}
gone() { # PID...: have they ended (or are they zombies of somebody else)?
	local p i
	for p; do
		for i in $(seq 100); do
			[ -d "/proc/$p" ] && ! grep -q '^State:.*Z' "/proc/$p/status" 2>/dev/null || continue 2
			sleep 0.05
		done
		die "process $p ($(cat "/proc/$p/comm" 2>/dev/null)) is still there"
	done
}
