#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the sandbox shows of the network: with --network=host the interfaces, addresses and routes of the namespace that
# it stands in, without it lo alone. In a namespace made for the test, never the host's own.
. "$(dirname "$0")/../lib/common.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make a network namespace"
command -v ip >/dev/null || skip "no ip"
ns=moat-test-$$
ip netns add "$ns"
trap 'ip netns del "$ns"; rm -rf "$work"' EXIT
in_ns() { ip netns exec "$ns" "$@"; }
in_ns ip link set lo up
in_ns ip link add v0 type veth peer name v1
in_ns ip addr add 10.77.0.1/24 dev v0
in_ns ip addr add fd77::1/64 dev v0 nodad
in_ns ip link set v0 up
in_ns ip link set v1 up
in_ns ip route add default via 10.77.0.2
for _ in $(seq 100); do # duplicate address detection of the links' own addresses
	[ "$(in_ns ip -o -6 addr show scope link -tentative | wc -l)" = 2 ] && break
	sleep 0.1
done
# Counters and times apart, all has to be the same.
look='ip -o link; ip -o addr; ip route; ip -6 route; ip rule; cat /proc/net/route; sort /proc/net/if_inet6
	for f in address mtu flags operstate ifindex type tx_queue_len; do cat /sys/class/net/v0/$f; done; ls /sys/class/net'
same "the namespace" "$(in_ns sh -c "$look")" "$(in_ns "$moat" do --network=host -- sh -c "$look")"

# Questions only.
in_ns "$moat" do --network=host -- ip link set v0 down 2>/dev/null && die "an interface of the namespace was changed"
in_ns ip link show v0 | grep -q 'state UP' || die "v0 is no longer up"
in_ns "$moat" do --network=host -- ip addr add 10.78.0.1/24 dev v0 2>/dev/null && die "an address was added"

# Sockets of the sandbox, and of nobody else, are in /proc/net/tcp.
same "sockets" "0A 1" "$(in_ns "$moat" do --network=host -- perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 1);
	open(F, "/proc/net/tcp"); @l = <F>; print((split(" ", $l[1]))[3], " ", $#l)')"

# Echo requests by a ping socket, when the namespace lets everybody have one.
in_ns sh -c 'echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range'
same "echo" "0 hello" "$(in_ns "$moat" do --network=host -- perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 1) or die $!;
	send(S, pack("CCnnna*", 8, 0, 0, 0, 1, "hello"), 0, sockaddr_in(0, inet_aton("10.77.0.1"))) or die $!; $SIG{ALRM} = sub { die "no answer" };
	alarm 5; recv(S, $b, 100, 0); @f = unpack("CCnnna*", $b); print "$f[0] $f[5]"')"
# Raw sockets for echoes stand on those; what else one can do with a raw socket is refused.
cat >"$work/raw.py" <<'P'
import socket, struct
def total(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16: s = (s & 0xffff) + (s >> 16)
    return s
def echo(kind, ident, seq, text, v6=False):
    b = struct.pack("!BBHHH", kind, 0, 0, ident, seq) + text
    return b if v6 else b[:2] + struct.pack("!H", 0xffff ^ total(b)) + b[4:]
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
s.settimeout(5)
s.setsockopt(255, 1, struct.pack("I", 0xfffffffe))
s.setsockopt(0, 8, 1)
for seq, ident in enumerate([7, 4321, 65535, 7]):
    s.sendto(echo(8, ident, seq, b"hello there "), ("10.77.0.1", 99 + seq))
    b, control, flags, at = s.recvmsg(200 if seq else 30, 200, socket.MSG_PEEK)
    print(flags, len(b), [c[:2] for c in control])
    b, at = s.recvfrom(200)
    print(len(b), b[0], struct.unpack("!H", b[2:4])[0], b[8], b[9], socket.inet_ntoa(b[12:16]), socket.inet_ntoa(b[16:20]), at[0])
    print(total(b[:20]), total(b[20:]), b[20], struct.unpack("!HH", b[24:28]), b[28:])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
s.settimeout(5)
s.setsockopt(255, 1, struct.pack("I", 0xfffffffe))
s.bind(("10.77.0.1", 0))
s.connect(("10.77.0.1", 0))
s.send(echo(8, 5, 0, b"again "))
print(s.recv(200)[28:])
s.setsockopt(255, 1, struct.pack("I", 0x101))
s.send(echo(8, 5, 0, b"unwanted"))
s.settimeout(0.3)
try: print(s.recv(100, socket.MSG_PEEK)[20])
except OSError as e: print(type(e).__name__)
try: s.listen(1)
except OSError as e: print(e)
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.settimeout(5)
s.setsockopt(58, 1, b"\xff" * 16 + b"\xfd" + b"\xff" * 15)
s.sendto(echo(128, 77, 3, b"six!", True), ("fd77::1", 0))
b, at = s.recvfrom(200)
print(b[0], struct.unpack("!HH", b[4:8]), b[8:], at[0])
P
same "raw echoes" "$(in_ns python3 "$work/raw.py" 2>&1)" "$(in_ns timeout -s KILL 60 "$moat" do --network=host -- python3 "$work/raw.py" 2>&1)"
for what in "AF_INET, 6" "AF_INET6, 17" "AF_INET, 255"; do
	same "a raw socket of $what" "[Errno 1] Operation not permitted" "$(in_ns "$moat" do --network=host -- python3 -c "import socket
try: socket.socket(socket.${what%,*}, socket.SOCK_RAW, ${what#*,})
except OSError as e: print(e)" 2>&1)"
done
same "another message than an echo" "[Errno 1] Operation not permitted" "$(in_ns "$moat" do --network=host -- python3 -c 'import socket
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b"\x05" + bytes(15), ("10.77.0.1", 0))
except OSError as e: print(e)' 2>&1)"
same "errors asked for, as glibc's resolver does" 1 "$(in_ns "$moat" do --network=host -- perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0);
	print setsockopt(S, 0, 11, 1)')"

# What comes beside a packet.
same "where a packet came to" "0 8 10.77.0.1" "$(in_ns timeout 20 "$moat" do --network=host -- python3 -c 'import socket as s
a = s.socket(s.AF_INET, s.SOCK_DGRAM); a.bind(("0.0.0.0", 5353)); a.setsockopt(0, 8, 1)
s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b"x", ("10.77.0.1", 5353)); l, t, d = a.recvmsg(10, 200)[1][0]; print(l, t, s.inet_ntoa(d[8:]))')"

# Without: lo.
same "alone" "lo" "$("$moat" do -- sh -c 'ls /sys/class/net')"
same "alone, addresses" "127.0.0.1/8 ::1/128" "$("$moat" do -- ip -o addr | awk '{printf "%s%s", s, $4; s = " "}')"
same "a second address" "10.1.2.3 bound" "$("$moat" do -- sh -c 'ip addr add 10.1.2.3/32 dev lo &&
	perl -MSocket -e "socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(80, inet_aton(q(10.1.2.3)))) and print q(10.1.2.3 bound)"')"
# What cannot be changed of lo is refused, not passed over.
for change in "name other" "promisc on" "address 00:00:00:00:00:01" "txqueuelen 5"; do
	"$moat" do -- sh -c "ip link set lo $change" 2>/dev/null && die "ip link set lo $change: was answered with success"
done
same "a changed MTU" 1500 "$("$moat" do -- sh -c 'ip link set lo mtu 1500 && cat /sys/class/net/lo/mtu')"
