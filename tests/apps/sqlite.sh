#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sqlite3: WAL with two writers and a reader, rollback journal, locks, integrity after kill -9.
cd /tmp || exit 1
sqlite3 w.db 'pragma journal_mode=wal; create table t(w, i); create index x on t(w)'
writer() { for i in $(seq 100); do echo ".timeout 20000
begin immediate; insert into t values($1,$i); commit;"; done | sqlite3 w.db; }
writer 1 & a=$!; writer 2 & b=$!
for i in $(seq 20); do sqlite3 w.db 'select count(*) >= 0 from t'; done | sort -u
wait $a $b
sqlite3 w.db 'select w, count(*), sum(i) from t group by w; pragma integrity_check; pragma wal_checkpoint(truncate)'
(echo 'pragma journal_mode=delete; create table b(x);'; for i in $(seq 100000); do echo "begin; insert into b values(randomblob(1000)); commit;"; done) | sqlite3 k.db >/dev/null & p=$!
sleep 1; kill -9 $p; wait $p 2>/dev/null; sqlite3 k.db 'pragma integrity_check; select count(*) > 0 from b'
mkfifo end; (echo '.timeout 20000'; echo 'begin exclusive;'; cat end) | sqlite3 w.db &
while sqlite3 w.db 'begin immediate; rollback' 2>/dev/null; do sleep 0.05; done
sqlite3 w.db 'insert into t values(9,9)' 2>&1; : >end; wait
