#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A virtual private network of two network namespaces: socat at both ends of a tun, ping, transfers by TCP and UDP, iproute2's
# tuntap, a packet's way as `ip route get` tells it.
mkdir -p /dev/net && [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
cd /tmp || exit 1
# Between the two a socket of packets: socat keeps their bounds. A user namespace, so that it may be done without a capability of the container's.
unshare -Ur bash -s <<'S'
set -u
unshare -n sleep 300 & a=$!
unshare -n sleep 300 & b=$!
for p in $a $b; do while [ "$(readlink /proc/$p/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done; done
in_a() { nsenter -n -t $a "$@"; }
in_b() { nsenter -n -t $b "$@"; }
for p in $a $b; do
	nsenter -n -t $p sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up'
done
in_a socat TUN:10.9.0.1/24,tun-name=vpn,up UNIX-LISTEN:/tmp/wire,socktype=5 & c=$!
while ! [ -S /tmp/wire ]; do sleep 0.05; done
in_b socat TUN:10.9.0.2/24,tun-name=vpn,up UNIX-CONNECT:/tmp/wire,socktype=5 & d=$!
while ! in_b ip link show vpn 2>/dev/null | grep -q LOWER_UP; do sleep 0.05; done
while ! in_a ping -c 1 -W 1 10.9.0.2 >/dev/null 2>&1; do sleep 0.05; done
in_a ip -o addr show vpn | sed 's/  */ /g; s/\\.*//'
in_a ip -o route
in_a ip route get 10.9.0.2 | head -n 1 | sed 's/ uid.*//'
in_a ip route get 10.9.0.1 | head -n 1 | sed 's/ uid.*//'
in_a ping -c 3 -i 0.2 10.9.0.2 | grep -E 'transmitted|^64' | sed 's/time.*//'
in_a ping -c 1 -W 1 10.9.0.7 | grep transmitted | sed 's/time.*//'
in_a ping -c 1 -s 4000 10.9.0.2 | grep transmitted | sed 's/time.*//'
echo "# tcp"
head -c 3000000 /dev/zero | tr '\0' 'x' >big
in_b sh -c 'nc -l -p 5000 >got' & e=$!
while ! in_b ss -ltn | grep -q 5000; do sleep 0.05; done
in_a nc -q 1 10.9.0.2 5000 <big
wait $e
cmp big got && echo "the same"
in_b socat TCP-LISTEN:5001 SYSTEM:'cat big & cat >got2; wait' & e=$!
while ! in_b ss -ltn | grep -q 5001; do sleep 0.05; done
in_a socat -t 5 - TCP:10.9.0.2:5001 <big >got3
wait $e
cmp big got2 && cmp big got3 && echo "both ways"
in_a nc -w 2 10.9.0.2 5999 </dev/null || echo "refused: $?"
in_b socat -u UDP-RECV:6000 OPEN:udp,creat &
e=$!
while ! in_b ss -lun | grep -q 6000; do sleep 0.05; done
echo "a message" | in_a socat - UDP:10.9.0.2:6000
while ! [ -s udp ]; do sleep 0.05; done
cat udp
kill $e
# one that is there without anybody who has it open
in_a ip tuntap add dev keep mode tap user 0
in_a ip -d link show keep | grep -o 'tun type.*persist on' | sed 's/ pi .*//'
in_a ip link set keep address 02:00:00:00:00:07 mtu 1400 up
in_a ip -o link show keep | grep -oE 'mtu [0-9]*|link/ether [0-9a-f:]*'
in_a ip addr add 10.8.0.1/16 dev keep
in_a ip route add 10.7.0.0/16 via 10.8.3.3
in_a ip -o route | sort | sed 's/ linkdown//; s/ *$//'
in_a ip neigh add 10.8.0.9 lladdr 02:00:00:00:00:09 dev keep
in_a ip neigh show dev keep
in_a ip tuntap del dev keep mode tap
in_a ip -o link | cut -d: -f2 | sort
kill $a $b $c $d
wait
S
