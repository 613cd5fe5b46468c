#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets of the host (--network=host) behave as they do natively: what every option answers, control messages, urgent
# data, resets. In a namespace made for the test, never the host's own.
if [ "$(id -u)" = 0 ] && [ -z "${ALONE:-}" ]; then
	ALONE=1 exec unshare -n bash "$0" "$@"
fi
. "$(dirname "$0")/../lib/common.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make a network namespace"
command -v ip >/dev/null || skip "no ip"
ip link set lo up
trap 'rm -rf "$work"' EXIT

gcc -O1 -Wall -D_GNU_SOURCE -static -o "$work/sockopts" tests/oci/sockopts.c
# Without a right over the namespace, which nobody in the sandbox has.
weak=(setpriv --bounding-set -net_admin,-net_raw,-sys_admin --inh-caps -net_admin,-net_raw,-sys_admin)
# sentry/socket/host/options.def says why these are not there. Beside them: values that are another one's each time
# (cookies, clocks, ports), and refusals of rights that are told by another name (EPERM natively).
refused='socket (26|46|49|50|51|52|57|59|60|61|62|66|67|68|69|70|71|72|73|75|76|77|80|82|83)
ip (3|4|5|9|16|17|18|22|52|64|65|66|67|83|96|97|98|99)
ipv6 (1|6|22|30|32|34|35|54|55|57|59|64|65|68|69)
tcp (14|19|20|21|22|24|29|31|32|33|35|42|45|46)
udp (10|11|100)'
left() { grep -vE "^[a-z0-9]+ ($(paste -sd'|' <<<"$refused")):" "$1"; }
timeout 60 "${weak[@]}" "$work/sockopts" >"$work/native"
for p in trap ptrace; do
	timeout 60 "$moat" do --network=host --platform=$p --volume="$work:/s" -- "${weak[@]}" /s/sockopts >"$work/moat"
	diff <(left "$work/native") <(left "$work/moat") >"$work/diff" || die "$p, options (< natively): $(head -n 20 "$work/diff" | cut -c1-150)"
	[ "$(left "$work/moat" | grep -c '|1 ok')" -gt 400 ] || die "$p: hardly any option can be set"
	for t in cmsg urgent resets sockets ends; do
		tests/lib/guest-one "$(dirname "$moat")/tests/guest/$t" --platform=$p --network=host >"$work/out" || die "$p, $t: $(head -n 30 "$work/out")"
	done
done
