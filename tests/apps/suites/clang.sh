#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 3000
# Bash, Redis and SQLite from Debian's sources by clang, two jobs at once: the programs are the same to the byte, and run.
# (By gcc they are built where their own tests are run.)
export SOURCE_DATE_EPOCH=1700000000 CC=clang CXX=clang++
mkdir /tmp/bash
cp -a /usr/src/bash-*/. /tmp/bash
cd /tmp/bash || exit 1
if ls bash-*.tar.xz >/dev/null 2>&1; then # the archive that the package wraps
	tar xf bash-*.tar.xz
	cd bash-*/ || exit 1
fi
{ ./configure && make -j2; } >/tmp/log 2>&1 || { echo "bash: not built"; tail /tmp/log; }
sha256sum <bash
./bash -c 'echo "$((6 * 7)) ${BASH_VERSION%%(*}"'
cp -a /usr/src/redis-* /tmp/redis
cd /tmp/redis || exit 1
make -j2 MALLOC=libc CC=clang >/tmp/log 2>&1 || { echo "redis: not built"; tail /tmp/log; }
sha256sum <src/redis-server
src/redis-server --port 0 --unixsocket /tmp/redis.sock --save '' --daemonize yes >/dev/null
until src/redis-cli -s /tmp/redis.sock ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
src/redis-cli -s /tmp/redis.sock eval 'return redis.call("incrby", "x", 42)' 0
src/redis-cli -s /tmp/redis.sock shutdown nosave
cp -a /usr/src/sqlite3-* /tmp/sqlite
mkdir /tmp/sqlite/out
cd /tmp/sqlite/out || exit 1
{ ../configure --disable-tcl && make -j2 sqlite3; } >/tmp/log 2>&1 || { echo "sqlite: not built"; tail /tmp/log; }
sha256sum <.libs/sqlite3 || sha256sum <sqlite3
./sqlite3 :memory: 'with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) select sum(i) from n'
