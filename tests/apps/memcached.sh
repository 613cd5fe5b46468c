#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# memcached: its text protocol by several clients.
cd /tmp || exit 1
memcached -u nobody -l 127.0.0.1 -p 7799 -t 4 -m 32 & p=$!
for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/7799) 2>/dev/null && break; sleep 0.1; done
talk() { exec 3<>/dev/tcp/127.0.0.1/7799; printf "$1quit\r\n" >&3; cat <&3; exec 3>&-; }
talk 'set a 0 0 5\r\nhello\r\nget a\r\nappend a 0 0 1\r\n!\r\nget a\r\ndelete a\r\nget a\r\nset n 0 0 1\r\n1\r\nincr n 41\r\n'
for c in 1 2 3 4; do (for i in $(seq 50); do printf 'set k%d_%d 0 0 3\r\nabc\r\n' $c $i; done; printf 'quit\r\n') | (exec 3<>/dev/tcp/127.0.0.1/7799; cat >&3; cat <&3 | grep -c STORED) & done
wait %2 %3 %4 %5
talk 'stats\r\n' | grep -E 'curr_items|cmd_set|threads'
kill $p; wait $p; echo $?
