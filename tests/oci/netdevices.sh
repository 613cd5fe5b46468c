#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# linux.netDevices: devices of the host that are moved to a container, and back when it does not come to be. What is the
# host's here is a namespace of its own.
if [ "$(id -u)" = 0 ] && [ -z "${ALONE:-}" ]; then
	ALONE=$(readlink /proc/self/ns/net) exec unshare -n bash "$0" "$@"
fi
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make a network namespace"
command -v ip >/dev/null || skip "no ip"
[ "$(readlink /proc/self/ns/net)" != "$ALONE" ] || die "this is the host's own network namespace"
devices() { # NETDEVICES-JSON [ARGS-JSON [MORE linux fields]]
	config "${2:-[\"sleep\",\"1000\"]}" '' '' ",\"netDevices\":$1${3:-}"
}
in_c1() { nsenter -t "$(field c1 pid)" -n "$@"; }
# What there is of a device: its name, whether it is up, its addresses of global scope.
look() { # [COMMAND...]: of ip
	"$@" ip -o link show | sed -n 's/^[0-9]*: \([^@:]*\)[^<]*<\(.*\)>.*/\1 \2/p' | sed 's/ .*\<UP\>.*/ up/; / up$/!s/ .*/ down/'
	"$@" ip -o addr show scope global | awk '{sub(/ scope.*/, ""); print $2, $3, $4 (NF > 4 ? " " $6 : "")}'
}
names() { echo $(look | awk 'NF == 2 {print $1}' | sort); }
ip link set lo up
ip link add v0 type veth peer name v1
ip link add d0 type veth peer name d1
ip addr add 10.77.0.1/24 dev v0
ip addr add 10.77.0.2/24 brd + dev v1
ip addr add 10.77.0.3/24 dev v1
ip addr add 10.78.0.1 peer 10.78.0.2/32 dev v1
ip addr add 169.254.7.7/16 scope link dev v1
ip addr add fd77::2/64 nodad dev v1
ip addr add fd78::2/64 valid_lft 1000 preferred_lft 500 nodad dev v1
ip link set v0 up
ip link set v1 up
before=$(look)
grep -q '^v1 inet 10.77.0.2/24 10.77.0.255' <<<"$before" || die "not as meant: $before"

# Moved, called otherwise, with its lasting addresses, up; a packet goes to and fro.
devices '{"v1":{"name":"eth0"},"d0":{}}'
m run -d -b "$work/b" c1 >/dev/null || die "run: $(cat "$work/err")"
note c1
same "in the container" "d0 up
eth0 up
lo up
eth0 inet 10.77.0.2/24 10.77.0.255
eth0 inet 10.78.0.1 10.78.0.2/32
eth0 inet 10.77.0.3/24
eth0 inet6 fd77::2/64" "$(look in_c1 | { read -r a; read -r b; read -r c; printf '%s\n' "$a" "$b" "$c" | sort; cat; })"
same "what is left" "d1 lo v0" "$(names)"
same "inside" "d0 eth0 lo" "$(echo $(m exec c1 cat /proc/net/dev | sed -n 's/^ *\([^ ]*\):.*/\1/p' | sort))"
busybox nc -l -p 7777 </dev/null >"$work/heard" &
nc=$!
until_true grep -q ":1E61 " /proc/self/net/tcp /proc/self/net/tcp6
m exec c1 /bin/busybox sh -c 'echo from inside | busybox nc -w 5 10.77.0.1 7777' || die "exec: $(cat "$work/err")"
wait $nc
same "what came out" "from inside" "$(cat "$work/heard")"
# With the namespace the kernel removes what is not a piece of hardware.
m delete -f c1
nothing_left
gone_too() { [ "$(names)" = lo ]; }
until_true gone_too

# What does not work, and everything is where it was. One that is down stays so.
ip link add v0 type veth peer name v1
ip link add d0 type veth peer name d1
ip addr add 10.77.0.2/24 brd + dev v1
ip addr add fd77::2/64 nodad dev v1
ip link set v0 up
ip link set v1 up
ip link set v1 alias other
ip link property add dev v1 altname another
ip addr add 10.79.0.1/24 dev d0
before=$(look)
refused() { # NETDEVICES-JSON WORDS [ARGS-JSON [MORE linux fields]]
	devices "$1" "${3:-}" "${4:-}"
	fails 1 "$2" m create -b "$work/b" c1
	same "devices after $1" "$before" "$(look)"
	nothing_left
}
refused '{"nosuch":{}}' 'linux.netDevices.nosuch: there is no such device'
refused '{"another":{}}' 'linux.netDevices.another: there is no such device'
refused '{"v1":{"name":"lo"}}' 'linux.netDevices.v1: the container.s network namespace has a device lo already'
refused '{"lo":{"name":"eth0"}}' 'linux.netDevices.lo: a loopback'
refused '{"v1":{"name":"a b"}}' 'linux.netDevices.v1.name: "a b" is not the name of a device'
refused '{"v1":{"name":"eth%d"}}' 'linux.netDevices.v1.name'
refused '{"v1":{"name":5}}' 'linux.netDevices.v1.name'
refused '{"d0":{},"v1":{"name":"eth0"},"nosuch":{}}' 'linux.netDevices.nosuch: there is no such device'
refused '{"d0":{},"v1":{"name":"eth0"}}' 'executable file not found' '["nosuch"]'
devices '{"v1":{"name":"eth0"},"d0":{}}'
sed -i 's|"hostname"|"hooks":{"createRuntime":[{"path":"/bin/false"}]},&|' "$work/b/config.json"
fails 1 'createRuntime' m create -b "$work/b" c1
same "devices after a hook that failed" "$before" "$(look)"
nothing_left

# Where there is no namespace of the container's own.
devices '{"v1":{}}'
fails 1 'linux.netDevices.v1: the network is inside the sandbox' m create --network=none -b "$work/b" c1
sed -i 's|{"type":"network"},||' "$work/b/config.json"
fails 1 'linux.netDevices.v1: there is no network namespace of the container' m create -b "$work/b" c1
devices '{"v1":{}}'
sed -i 's|"type":"network"|&,"path":"/proc/self/ns/net"|' "$work/b/config.json"
fails 1 'linux.netDevices.v1: there is no network namespace of the container' m create -b "$work/b" c1
same "devices" "$before" "$(look)"

# A namespace that somebody else made, in which the name is taken; then it is not, and the device outlives the container.
unshare -n sleep 1000 &
other=$!
is_apart() { [ "$(readlink "/proc/$other/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
until_true is_apart
nsenter -t "$other" -n ip link add eth0 type veth peer name eth9
for name in eth0 eth1; do
	devices '{"v1":{"name":"'$name'"}}'
	sed -i 's|"type":"network"|&,"path":"/proc/'"$other"'/ns/net"|' "$work/b/config.json"
	[ $name = eth1 ] || fails 1 'has a device eth0 already' m create -b "$work/b" c1
done
same "devices" "$before" "$(look)"
m run -d -b "$work/b" c1 >/dev/null || die "run: $(cat "$work/err")"
note c1
m delete -f c1
same "in the other namespace" "eth1 10.77.0.2/24" "$(nsenter -t "$other" -n ip -o -4 addr show dev eth1 | awk '{print $2, $4}')"
kill $other
wait $other 2>/dev/null || true # its status is that it was killed
"$moat" features | tr -d ' \n' | grep -q '"netDevices":{"enabled":true}' || die "features: $("$moat" features)"
nothing_left
