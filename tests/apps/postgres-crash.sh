#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL: eight clients, a backend and then all of them killed, recovery.
export PATH=/usr/lib/postgresql/15/bin:$PATH; mkdir /tmp/pg; chown postgres /tmp/pg; cd /tmp || exit 1
S="su postgres -s /bin/sh -c"
$S 'initdb -D /tmp/pg/d -A trust' >/dev/null 2>&1; echo "initdb $?"
start() { $S "pg_ctl -D /tmp/pg/d -w -l /tmp/pg/log -o '-p 7779 -k /tmp/pg' start" | tail -n 1; }
q() { $S "psql -h /tmp/pg -p 7779 -Atc \"$1\" ${2:-postgres}" 2>&1; }
start; $S 'createdb -h /tmp/pg -p 7779 b'; $S 'pgbench -h /tmp/pg -p 7779 -q -i -s 1 b' >/dev/null 2>&1
$S 'pgbench -h 127.0.0.1 -p 7779 -c 8 -j 2 -t 20 b' 2>/dev/null | grep -E 'actually processed|failed'
q 'select sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts' b
($S "psql -h /tmp/pg -p 7779 -c 'select pg_sleep(30)' b" 2>&1 | grep -c 'server closed the connection') &
for i in $(seq 100); do p=$(q "select pid from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()"); [ -n "$p" ] && break; sleep 0.1; done
kill -9 $p; wait
for i in $(seq 100); do [ "$(q 'select 1')" = 1 ] && break; sleep 0.1; done
q 'select count(*) from pgbench_history' b
q 'create table k(i int); insert into k select generate_series(1,1000); checkpoint' b; q 'insert into k select generate_series(1,1000)' b
pkill -9 -u postgres; for i in $(seq 100); do pgrep -u postgres >/dev/null || break; sleep 0.1; done; rm -f /tmp/pg/.s.*
start; q 'select count(*), sum(i) from k' b
$S 'pg_ctl -D /tmp/pg/d -m fast stop' | tail -n 1
