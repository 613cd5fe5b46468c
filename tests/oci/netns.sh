#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A container in a network namespace that somebody else made: its settings, and nothing of the host's changed.
# What is the host's here is a namespace of its own, where nobody else changes anything meanwhile.
if [ "$(id -u)" = 0 ] && [ -z "${ALONE:-}" ]; then
	ALONE=1 exec unshare -n bash "$0" "$@"
fi
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make a network namespace"
command -v ip >/dev/null || skip "no ip"
ns=moat-netns-$$
ip netns add "$ns"
trap 'remove_all; ip netns del "$ns"' EXIT
host() { cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_default_ttl /proc/sys/net/ipv4/ip_unprivileged_port_start; ip -o link show up dev lo; }
before=$(host)
ip netns exec "$ns" ip link add v0 type veth peer name v1
ip netns exec "$ns" ip addr add 10.77.0.1/24 dev v0
ip netns exec "$ns" ip link set v0 up
ip netns exec "$ns" ip link set v1 up
config '["sleep","1000"]' ',"capabilities":{"bounding":[],"effective":[],"permitted":[],"inheritable":[]}' '' ',"sysctl":{"net.core.somaxconn":"1234","net/ipv4/ip_default_ttl":"77"}'
sed -i 's|"type":"network"|&,"path":"/run/netns/'"$ns"'"|' "$work/b/config.json"
m run -d -b "$work/b" c1 >/dev/null || die "run: $(cat "$work/err")"
note c1
same "settings inside" "1234 77" "$(echo $(m exec c1 cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_default_ttl))"
same "settings of the namespace" "1234 77" "$(echo $(ip netns exec "$ns" cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_default_ttl))"
same "the anchor's namespace" "$(ip netns exec "$ns" readlink /proc/self/ns/net)" "$(readlink "/proc/$(field c1 pid)/ns/net")"
# One that joins it in its sandbox sets the same, for both; ports are low by what the sandbox is told.
cp -a "$work/b" "$work/two"
sed -i 's|"sysctl":{.*"}|"sysctl":{"net.core.somaxconn":"1235","net.ipv4.ip_unprivileged_port_start":"70"}|
	s|{"type":"pid"|&,"path":"/proc/'"$(field c1 pid)"'/ns/pid"|' "$work/two/config.json"
ports() { # ID: may somebody and root use 60 and 80?
	local user p cap=
	for user in 1000 0; do
		for p in 60 80; do
			[ $user != 0 ] || p=$((p + 1)) cap=--cap=CAP_NET_BIND_SERVICE
			m exec --user $user $cap "$1" /bin/busybox sh -c 'busybox timeout 0.5 busybox nc -l -p '"$p"' 2>&1 | grep -c denied || true'
		done
	done
}
same "what is refused at 1024" "1 1 0 0" "$(echo $(ports c1))"
m run -d -b "$work/two" c2 >/dev/null || die "run: $(cat "$work/err")"
note c2
same "settings inside" "1235 77 70 1235 77 70" "$(echo $(for c in c1 c2; do
	m exec $c cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_default_ttl /proc/sys/net/ipv4/ip_unprivileged_port_start; done))"
same "settings of the namespace" "1235 77 0" "$(echo $(ip netns exec "$ns" cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_default_ttl \
	/proc/sys/net/ipv4/ip_unprivileged_port_start))"
same "what is refused at 70" "1 0 0 0" "$(echo $(ports c2))"
m delete -f c2
m delete -f c1
nothing_left
# What the namespace does not have is refused.
sed -i 's|net.core.somaxconn|net.core.nosuch|' "$work/b/config.json"
fails 1 'net.core.nosuch\|net/core/nosuch' m create -b "$work/b" c2
nothing_left
# A name that would lead out of the namespace's own, to a setting of the host's (which has this value).
same_value=$(cat /proc/sys/kernel/printk_ratelimit)
for name in net.ipv4.//.//.kernel.printk_ratelimit net/ipv4/../../kernel/printk_ratelimit net.ipv4..ip_default_ttl net/; do
	config '["true"]' '' '' ',"sysctl":{"'"$name"'":"'"$same_value"'"}'
	sed -i 's|"type":"network"|&,"path":"/run/netns/'"$ns"'"|' "$work/b/config.json"
	fails 1 "linux.sysctl.$name: not the name of one" m create -b "$work/b" c3
done
nothing_left
same "the host's own" "$before" "$(host)"
