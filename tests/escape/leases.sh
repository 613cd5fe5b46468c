#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A lease that nobody gives up is taken away after the time that /proc/sys/fs says. The guest test cannot show it: natively,
# that value is the host's.
set -u
moat=$(realpath "${BUILD:-build}/moat")
program=$(realpath "${BUILD:-build}/tests/guest/leases")
[ -x "$program" ] || { echo "no leases program"; exit 77; }
dir=$(mktemp -d /tmp/leases.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
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
fail=0
for p in trap ptrace; do
	"$moat" do ${MOAT_FLAGS:-} --platform=$p -- "$program" expire >got 2>err
	if diff want got; then echo "ok $p"; else cat err; fail=1; fi
done
exit $fail
