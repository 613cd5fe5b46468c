#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# MariaDB: install, two writers, a server that is killed and recovers.
cd /tmp || exit 1
mkdir -p my; chown mysql my
mariadb-install-db --user=mysql --datadir=/tmp/my/d --skip-test-db >/dev/null 2>&1; echo "install $?"
start() {
	mariadbd --no-defaults --user=mysql --datadir=/tmp/my/d --socket=/tmp/my/s --port=7788 --bind-address=127.0.0.1 --pid-file=/tmp/my/pid >my/log 2>&1 &
	for i in $(seq 300); do mariadb-admin --no-defaults -S /tmp/my/s ping >/dev/null 2>&1 && return; sleep 0.1; done
	echo "no server"; tail -n 5 my/log
}
q() { mariadb --no-defaults -S /tmp/my/s -N -e "$1" "${2:-mysql}"; }
start
q 'create database b; create table b.t(id int auto_increment primary key, w int, s varchar(20), key(w)) engine=innodb'
w() { for i in $(seq 50); do echo "insert into t(w,s) values($1,'row $i');"; done | mariadb --no-defaults -S /tmp/my/s b; }
w 1 & w 2 & wait %2 %3
q 'select w, count(*) from t group by w; select sum(id) from t' b
q "start transaction; insert into t(w,s) values(3,'gone'); select count(*) from t" b
kill -9 "$(cat my/pid)"; wait %1 2>/dev/null
start
q 'select count(*) from t; check table t' b
q 'select benchmark(100000, md5("x"))'
mariadb-admin --no-defaults -S /tmp/my/s shutdown; wait; echo "shutdown $?"
