#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# Loopback by programs: ping, socat, netcat, UDP, multicast, IPv6, unix sockets.
cd /tmp || exit 1
ping -c 2 -i 0.2 -q 127.0.0.1 | grep -o '2 received'; ping -6 -c 1 -q ::1 2>&1 | grep -o '1 received'; busybox ping -c 1 127.0.0.1 2>&1 | grep -o '1 packets received'
socat -u TCP6-LISTEN:7801,reuseaddr,fork OPEN:/tmp/o,creat,append & p=$!; sleep 0.3; echo six | socat -u - 'TCP6:[::1]:7801'; echo mapped | socat -u - TCP4:127.0.0.1:7801 2>&1 | sed 's/.*: //'; sleep 0.3; cat o; kill $p; wait $p 2>/dev/null
socat -u UDP-RECV:7802 OPEN:/tmp/u,creat,append & p=$!; sleep 0.3; echo udp | socat -u - UDP-SENDTO:127.0.0.1:7802; sleep 0.3; cat u; kill $p; wait $p 2>/dev/null
socat UNIX-LISTEN:/tmp/s,fork SYSTEM:'cat; echo done' & p=$!; sleep 0.3; echo unix | socat - UNIX-CONNECT:/tmp/s; kill $p; wait $p 2>/dev/null
python3 - <<'P'
import socket, struct
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); a.bind(('', 7803))
a.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('127.0.0.1'))
b.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1); b.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
b.sendto(b'to the group', ('239.1.2.3', 7803)); a.settimeout(2); print(a.recv(100))
a.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))
b.sendto(b'nobody', ('239.1.2.3', 7803)); a.settimeout(0.2)
try: print(a.recv(100))
except TimeoutError: print('nothing')
try: a.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))
except OSError as e: print(e.errno)
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); d = s.accept()[0]; c.send(b'oob', socket.MSG_OOB); print(d.recv(10, socket.MSG_OOB)); print(len(d.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)) > 100)
P
