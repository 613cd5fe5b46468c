#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 900
# fio with each of its engines that works on files: what was written is read again and has to be that.
cd /tmp || exit 1
for e in sync psync vsync pvsync pvsync2 posixaio libaio io_uring mmap splice; do
	for rw in write randwrite rw randrw; do
		out=$(timeout -k 5 60 fio --name=j --filename=/tmp/data --size=8m --bs=4k --ioengine=$e --iodepth=8 --rw=$rw \
			--verify=crc32c --verify_fatal=1 --do_verify=1 --fallocate=none --thread --output-format=terse 2>&1)
		r=$?
		echo "$e $rw: status $r, error $(grep '^3;' <<<"$out" | cut -d';' -f5)"
		[ $r = 0 ] || head -n 2 <<<"$out" | sed 's/^/# /'
	done
done
for e in falloc ftruncate; do
	timeout 60 fio --name=j --filename=/tmp/data --size=8m --bs=4k --ioengine=$e --rw=write --output-format=terse >/dev/null 2>&1
	echo "$e: status $?"
done
rm -f data
