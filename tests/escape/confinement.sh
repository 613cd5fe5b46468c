#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What holds the sandbox's processes, as the host's /proc shows it.
. "$(dirname "$0")/../lib/common.sh"

field() { awk -v k="$2:" '$1 == k {print $2}' "/proc/$1/status"; }
confined() { # PID NAME CAPABILITIES
	same "$2: no_new_privs" 1 "$(field "$1" NoNewPrivs)"
	same "$2: seccomp filter" 2 "$(field "$1" Seccomp)"
	same "$2: permitted capabilities" "$3" "$(field "$1" CapPrm)"
	same "$2: effective capabilities" "$3" "$(field "$1" CapEff)"
	same "$2: inheritable capabilities" 0000000000000000 "$(field "$1" CapInh)"
	same "$2: ambient capabilities" 0000000000000000 "$(field "$1" CapAmb)"
	same "$2: files in its root" "" "$(ls -A "/proc/$1/root" 2>/dev/null)"
	local ns
	for ns in mnt pid net ipc uts; do
		[ "$(readlink "/proc/$1/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ] || die "$2: shares the $ns namespace"
	done
}

# A process that stays: one that ends while it is looked at has nothing to show.
start_moat -- /bin/sh -c 'mkfifo /tmp/confinement && echo ready && read x </tmp/confinement'
gofer_caps=0000000000000000
# CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID MKNOD SETFCAP
[ "$(id -u)" != 0 ] || gofer_caps=000000008800001f
confined "$sentry_pid" moat-sentry 0000000000000000
confined "$gofer_pid" moat-gofer $gofer_caps
[ "$(readlink "/proc/$sentry_pid/ns/user")" != "$(readlink /proc/self/ns/user)" ] || die "moat-sentry: shares the user namespace"
[ "$(id -u)" != 0 ] || same "moat-sentry: user" 65534 "$(field "$sentry_pid" Uid)"
stubs=$(below "$sentry_pid")
[ "$stubs" ] || die "no stub processes"
for p in $stubs; do
	confined "$p" "stub $p" 0000000000000000
	# Nothing that a stub holds opens a path or reaches another process.
	for fd in "/proc/$p/fd"/*; do
		case $(readlink "$fd") in
		pipe:* | socket:* | /memfd:* | /dev/null | anon_inode:* | '') ;;
		*) die "stub $p holds $(readlink "$fd")" ;;
		esac
	done
done
kill "$moat_pid"
wait "$moat_pid" || true
gone "$sentry_pid" "$gofer_pid" $stubs
