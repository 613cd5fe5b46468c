# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How run.sh uses podman. In the operations of docker.ops bb:1 is the image's name there.
d() { timeout -s KILL 40 podman --runtime "$runtime_path" "${@//#bb:1/localhost/bb:1}"; }
engine_vars() {
	r=""
	runtime_path=$runtime
	[ "$runtime" != moat ] || runtime_path=$moat
}
engine_clean() { timeout -s KILL 20 podman rm -f -t 0 "$n" >/dev/null 2>&1; }
onpty() { python3 "$here/onpty.py" timeout -s KILL 40 podman --runtime "$runtime_path" "${@:2}"; }
