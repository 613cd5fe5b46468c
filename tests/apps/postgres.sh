#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
export PATH=/usr/lib/postgresql/15/bin:$PATH; mkdir /tmp/pg; chown postgres /tmp/pg; S="su postgres -s /bin/sh -c"; cd /tmp
$S 'initdb -D /tmp/pg/d -A trust' 2>&1 | tail -1 | wc -l; $S "pg_ctl -D /tmp/pg/d -w -l /tmp/pg/log -o '-p 7779 -k /tmp/pg' start" | tail -1
$S 'psql -h /tmp/pg -p 7779 -c "select sum(x) from generate_series(1,1000) x" postgres' | sed -n 3p; $S 'createdb -h 127.0.0.1 -p 7779 b'; $S 'pgbench -h /tmp/pg -p 7779 -q -i -s 1 b' 2>&1 | tail -1 | cut -c1-4
$S 'pgbench -h 127.0.0.1 -p 7779 -c 4 -t 50 b' 2>/dev/null | grep -E 'actually processed|failed'; $S 'pg_ctl -D /tmp/pg/d -m fast stop' | tail -1
