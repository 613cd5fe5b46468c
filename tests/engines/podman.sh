# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How run.sh uses podman. In the operations of docker.ops bb:1 is the image's name there.
# The defaults ask for more than a host without CAP_SYS_RESOURCE gives.
export CONTAINERS_CONF=$work/containers.conf
printf '[containers]\ndefault_ulimits = ["nofile=%s:%s","nproc=32768:32768"]\n' "$(ulimit -Hn)" "$(ulimit -Hn)" >"$CONTAINERS_CONF"
d() { timeout -s KILL 40 podman --runtime "$runtime_path" "${@//#bb:1/localhost/bb:1}"; }
engine_vars() {
	r=""
	runtime_path=$runtime
	[ "$runtime" != moat ] || runtime_path=$moat
}
engine_clean() { timeout -s KILL 20 podman rm -f -t 0 "$n" >/dev/null 2>&1; }
onpty() { python3 "$here/onpty.py" timeout -s KILL 40 podman --runtime "$runtime_path" "${@:2}"; }
