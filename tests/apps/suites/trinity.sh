#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 4000
# prints: root: alive
# prints: nobody: alive
# Calls with arguments made up at random, as root and as nobody, TRINITY_SECONDS (half an hour) each: whatever becomes of
# the program, the kernel below it goes on. Not in the oracle, whose kernel is the host's.
fuzz() { # USER
	mkdir -p "/tmp/$1"
	chown "$1" "/tmp/$1"
	(
		cd "/tmp/$1" || exit
		ulimit -f 65536 # its files are in memory, and it makes them as large as it can
		end=$((SECONDS + ${TRINITY_SECONDS:-1800}))
		while [ $SECONDS -lt $end ]; do # it ends early when it loses its own processes
			for family in INET NETLINK INET6 PACKET; do # with UNIX it follows a wild pointer of its own
				setpriv --reuid="$1" --clear-groups timeout -s KILL 60 \
					trinity -q -l off -a64 -C 4 -P $family --dangerous >/dev/null 2>&1 </dev/null
			done
		done
	)
	pkill -KILL trinity
	# Told at the end: it finds our output in /proc, too, and truncates it.
	[ "$(echo ok | tr a-z A-Z)" = OK ] && [ "$(find /usr/bin -name env)" = /usr/bin/env ] && alive+=("$1: alive")
}
fuzz root
fuzz nobody
printf '%s\n' "${alive[@]}"
