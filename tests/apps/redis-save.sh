#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# Redis: append-only file and its rewrite, a fork that saves under load, kill -9, what is left.
cd /tmp || exit 1
start() {
	redis-server --port 7778 --appendonly yes --appendfsync everysec --save '' --dir /tmp --logfile /tmp/log --daemonize no >/dev/null 2>&1 & p=$!
	for i in $(seq 200); do [ "$(redis-cli -p 7778 ping 2>/dev/null)" = PONG ] && return; sleep 0.1; done
}
start
seq 2000 | awk '{ printf "set k%d %0100d\n", $1, $1 }' | redis-cli -p 7778 --pipe | tail -n 1
(redis-benchmark -p 7778 -q -n 20000 -c 10 -r 100000 -t set,lpush >/dev/null 2>&1) & b=$!
redis-cli -p 7778 bgrewriteaof; sleep 0.5; redis-cli -p 7778 bgsave >/dev/null
wait $b
for i in $(seq 100); do redis-cli -p 7778 info persistence | grep -q '_in_progress:1' || break; sleep 0.1; done
redis-cli -p 7778 info persistence | tr -d '\r' | grep -E 'rewrite_status|bgsave_status'
n=$(redis-cli -p 7778 dbsize); kill -9 $p; wait $p 2>/dev/null; start
[ "$n" = "$(redis-cli -p 7778 dbsize)" ] && echo "all keys back"; redis-cli -p 7778 get k77 | tail -c 5
redis-cli -p 7778 config set maxmemory 1mb; redis-cli -p 7778 shutdown nosave; wait $p; echo $?
