#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three network namespaces in a row by pairs of veth, the middle one passing packets on: iproute2's links that are made, moved
# and removed, ping and its errors, TCP through a smaller packet size.
cd /tmp || exit 1
# A user namespace, so that it may be done without a capability of the container's.
unshare -Ur bash -s <<'S'
set -u
for n in a r b; do
	unshare -n sleep 300 &
	eval "$n=$!"
	while [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
done
in_() { local p=$1; shift; nsenter -n -t "${!p}" "$@"; }
for n in a r b; do
	in_ $n sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up'
done
links() { in_ $1 ip -o link | cut -d: -f2- | sed 's/ link-netnsid.*//; s/ qdisc.*//; s/@if[0-9]*/@/; s/\\.*//'; }
in_ r ip link add to-a type veth peer name up-r
in_ r ip link set up-r netns $a
in_ b ip link add up-r type veth peer name to-b netns $r
echo "# links"; links r; links a; links b
in_ a sh -c 'ip addr add 10.1.0.1/24 dev up-r; ip link set up-r up'
in_ r sh -c 'ip addr add 10.1.0.254/24 dev to-a; ip addr add 10.2.0.254/24 dev to-b; ip link set to-a up; ip link set to-b up'
in_ b sh -c 'ip addr add 10.2.0.1/24 dev up-r; ip link set up-r up'
in_ a ip route add default via 10.1.0.254
in_ b ip route add default via 10.2.0.254
while ! in_ a ping -c 1 -W 1 10.1.0.254 >/dev/null 2>&1; do sleep 0.1; done
while ! in_ b ping -c 1 -W 1 10.2.0.254 >/dev/null 2>&1; do sleep 0.1; done
links r
in_ r ip -o route
say() { sed -E 's/time[= ].*//; s/, pipe.*//; /^(PING|rtt|---|$)/d'; }
echo "not passed on"; in_ a ping -c 1 -W 1 10.2.0.1 2>&1 | say
in_ r sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
echo "passed on"; in_ a ping -c 2 -i 0.2 10.2.0.1 2>&1 | say
echo "too far"; in_ a ping -c 1 -t 1 -W 1 10.2.0.1 2>&1 | say
echo "nobody there"; in_ a ping -c 1 -W 5 10.2.0.77 2>&1 | say
echo "no route"; in_ a ping -c 1 -W 1 10.9.0.1 2>&1 | say
in_ r ip route add blackhole 10.10.0.0/16; in_ r ip route add prohibit 10.11.0.0/16; in_ r ip route add unreachable 10.12.0.0/16
for i in 10 11 12; do in_ a ping -c 1 -W 1 10.$i.0.1 2>&1 | say; done
echo "a smaller packet size"
in_ r ip link set to-b mtu 1000; in_ b ip link set up-r mtu 1000
in_ a ping -c 1 -M do -s 1400 -W 1 10.2.0.1 2>&1 | say
in_ a ping -c 1 -M do -s 1400 -W 1 10.2.0.1 2>&1 | say
in_ a ping -c 1 -s 1400 -W 1 10.2.0.1 2>&1 | say
head -c 3000000 /dev/zero | tr '\0' 'x' >big
in_ b sh -c 'nc -l -p 5000 >got' & e=$!
while ! in_ b ss -ltn | grep -q 5000; do sleep 0.05; done
in_ a nc -q 1 10.2.0.1 5000 <big
wait $e
cmp big got && echo "the same"
in_ b socat TCP-LISTEN:5001 SYSTEM:'cat big & cat >got2; wait' & e=$!
while ! in_ b ss -ltn | grep -q 5001; do sleep 0.05; done
in_ a socat -t 5 - TCP:10.2.0.1:5001 <big >got3
wait $e
cmp big got2 && cmp big got3 && echo "both ways"
echo "where it comes from"
in_ r sh -c 'echo 1 >/proc/sys/net/ipv4/conf/to-a/rp_filter'
in_ a ip addr add 10.77.0.1/32 dev up-r
in_ a ping -c 1 -W 1 -I 10.77.0.1 10.1.0.254 2>&1 | grep -v from | say
in_ r sh -c 'echo 0 >/proc/sys/net/ipv4/conf/to-a/rp_filter'
in_ r ip route add 10.77.0.1/32 via 10.1.0.1
in_ a ping -c 1 -W 1 -I 10.77.0.1 10.1.0.254 2>&1 | grep -v from | say
in_ a ip link del lo 2>&1
echo "one goes with the other"
in_ a ip link set up-r down
# Linux says within a second that there is no carrier (operational state, by linkwatch).
for i in $(seq 100); do links r | grep -q NO-CARRIER && break; sleep 0.1; done
links r
in_ a ip link del up-r
links r
kill $b; wait $b 2>/dev/null
for i in $(seq 100); do links r | grep -q to-b || break; sleep 0.1; done
links r
kill $a $r
wait
S
