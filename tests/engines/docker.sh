# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How run.sh uses docker.
d() { timeout -s KILL 30 docker "$@"; }
engine_vars() { r="--runtime $runtime"; }
engine_clean() { docker rm -f "$n" >/dev/null 2>&1; }
# Run on a terminal of 30 x 90 and type what stands on standard input; ^C is the key, ^W a change of the size.
onpty() { python3 "$here/onpty.py" "$@"; }
runtime_default() {
	printf '{"default-runtime":"%s","runtimes":{"moat":{"path":"%s"}}}' "$1" "$moat" >"${DOCKER_CONFIG_FILE:-/etc/docker/daemon.json}"
	kill -HUP "${DOCKER_PID:-$(cat /var/run/docker.pid)}"
	sleep 1
}
