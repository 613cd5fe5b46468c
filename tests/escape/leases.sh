#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A lease that nobody gives up is taken away after the time that /proc/sys/fs says. The guest test cannot show it: natively,
# that value is the host's.
. "$(dirname "$0")/../lib/common.sh"

program=$(realpath "$BUILD/tests/guest/leases")
cd "$work" || exit 1
cat >want <<'E'
break time 45
set_break_time("nonsense"): -1 EINVAL
set_break_time("1"): 0
fcntl(fd, F_SETLEASE, F_RDLCK): 0
writer: done
after a second or so
fcntl(fd, F_GETLEASE): 2
fcntl(fd, F_SETLEASE, F_UNLCK): -1 EAGAIN
fcntl(fd, F_SETLEASE, F_WRLCK): 0
reader: done
fcntl(fd, F_GETLEASE): 0
E
for platform in trap ptrace; do
	status=0
	timeout -s KILL 60 "$moat" do --platform=$platform ${MOAT_FLAGS:-} -- "$program" expire >got || status=$?
	same "status on $platform" 0 $status
	diff want got || die "$platform: not as it has to be"
done
