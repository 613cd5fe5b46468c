#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each field of the runtime specification: is it known to moat, and does it become of it what moat's table says?
. "$(dirname "$0")/../lib/container.sh"
ln -s busybox "$work/b/rootfs/bin/mkdir"
ln -s busybox "$work/b/rootfs/bin/uname"
ln -s busybox "$work/b/rootfs/bin/ionice"
ln -s busybox "$work/b/rootfs/bin/cut"
mkdir -p "$work/b/rootfs/there"
python3 "$(dirname "${BASH_SOURCE[0]}")/fields.py" "$moat" "$work" "$work/b/rootfs" || die "see above"
# Only programs that come later are bound.
config '["sleep","1000"]' ',"execCPUAffinity":{"initial":"1","final":"0"}'
m run -d -b "$work/b" c1 >/dev/null || die "run: $(cat "$work/err")"
note c1
same "CPUs of a later program" "Cpus_allowed_list: 0" "$(echo $(m exec c1 grep Cpus_allowed_list /proc/self/status))"
config '["sleep","1000"]' ',"execCPUAffinity":{"final":"1000"}'
m run -d -b "$work/b" c2 >/dev/null || die "run: $(cat "$work/err")"
note c2
fails 255 'none of them is there' m exec c2 true
m delete -f c1 || die "delete: $(cat "$work/err")"
m delete -f c2 || die "delete: $(cat "$work/err")"
nothing_left
