#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 5400
# Redis from Debian's source: built, and its own tests.
set -e
cp -a /usr/src/redis-* /tmp/src
cd /tmp/src
make -j2 MALLOC=libc >/tmp/log 2>&1 || { echo "not built"; tail /tmp/log; }
set +e
# How many rounds of integration/psync2 there are, and what they do, is by chance and time. A test of
# integration/replication sets an option to what it cannot be, and that ends the whole run.
./runtest --clients 2 --skipunit integration/replication >/tmp/log 2>&1 </dev/null
echo "status $?"
sed 's/\x1b\[[0-9;]*m//g' /tmp/log | grep -E '^\[(ok|err|exception|ignore)\]' | sed -E 's/ \([0-9]+ ms\)//; s/ in tests\/.*//' | grep -vE 'PSYNC2: (---|Set #|\[NEW|cluster is|generate|total)|PSYNC2 #3899 .*: kill' | sort
