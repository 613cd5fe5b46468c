#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
cd /tmp; redis-server --port 7777 --save '' --daemonize no --dir /tmp >/dev/null 2>&1 & p=$!
for i in $(seq 100); do redis-cli -p 7777 ping >/dev/null 2>&1 && break; sleep 0.1; done
redis-cli -p 7777 set k v; redis-cli -p 7777 get k; redis-cli -p 7777 incr n; redis-cli -p 7777 eval 'return redis.call("get",KEYS[1])' 1 k
redis-benchmark -p 7777 -q -n 10000 -c 10 -t get,set --csv 2>/dev/null | cut -d, -f1 | tail -2; redis-cli -p 7777 dbsize
redis-cli -p 7777 bgsave; sleep 1; ls -l dump.rdb >/dev/null && echo saved; kill $p; wait $p; echo $?
