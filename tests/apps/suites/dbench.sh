#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 300
# A file server's load by several clients: every answer is the one that was recorded.
mkdir /tmp/d && cd /tmp/d || exit 1
timeout 120 dbench -t 20 -c /usr/share/dbench/client.txt 4 >/tmp/out 2>&1
echo "dbench $?"
grep -ciE "failed|error" /tmp/out
