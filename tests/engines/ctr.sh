# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How run.sh uses containerd's own client.
d() { timeout -s KILL 30 ctr --address "${CONTAINERD:-/run/containerd/containerd.sock}" "$@"; }
engine_vars() {
	local binary=$moat
	[ "$runtime" = moat ] || binary=$(command -v "$runtime")
	r="--runtime io.containerd.runc.v2 --runc-binary $binary"
	i=docker.io/library/bb:1
}
engine_clean() { { d task kill -s KILL "$n"; sleep 0.3; d task rm "$n"; d container rm "$n"; } >/dev/null 2>&1; }
onpty() { python3 "$here/onpty.py" timeout -s KILL 30 ctr --address "${CONTAINERD:-/run/containerd/containerd.sock}" "${@:2}"; }
