#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each field of the runtime specification: is it known to moat, and does it become of it what moat's table says?
. "$(dirname "$0")/../lib/container.sh"
ln -s busybox "$work/b/rootfs/bin/mkdir"
ln -s busybox "$work/b/rootfs/bin/uname"
ln -s busybox "$work/b/rootfs/bin/nice"
mkdir -p "$work/b/rootfs/there"
python3 "$(dirname "${BASH_SOURCE[0]}")/fields.py" "$moat" "$work" "$work/b/rootfs"
nothing_left
