#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What shell scripts lean on: procps, util-linux, coreutils on processes.
cd /tmp || exit 1
sleep 100 & p=$!
for _ in {1..100}; do ps -o stat=,comm= -p $p | grep -q '^S.* sleep' && break; sleep 0.1; done
ps -o pid=,stat=,comm= -p $p | tr -s ' ' | cut -d' ' -f3-; pgrep -x sleep | wc -l; pidof sleep | wc -w
kill -STOP $p; sleep 0.1; ps -o stat= -p $p; kill -CONT $p; renice -n 5 -p $p >/dev/null; ps -o ni= -p $p | tr -d ' '
taskset -cp 0 $p | tail -n 1 | sed 's/.*: //'; chrt -p $p | sed 's/.*: //;s/pid.*//' | head -n 1; ionice -p $p
timeout 0.2 sleep 5; echo $?; timeout -s KILL 0.2 sleep 5; echo $?
prlimit --pid $p --nofile=100:200; prlimit --pid $p --nofile --noheadings --output SOFT,HARD | tr -s ' '
kill $p; wait $p; echo $?
nohup sh -c 'trap "" HUP; echo nohup' 2>/dev/null; setsid -w sh -c 'exit 3'; echo $?
seq 100000 | xargs -P 4 -n 1000 echo | wc -w; yes | head -n 100000 | wc -l
(ulimit -f 1; head -c 10000 /dev/zero >big) 2>/dev/null; echo $?; (ulimit -t 1; while :; do :; done) 2>/dev/null; echo $?; (ulimit -v 100000; python3 -c 'x = bytearray(200 << 20)') 2>&1 | tail -n 1
mkfifo f; (cat f & echo through >f; wait); exec 5<>f; echo rw >&5; read -r -u 5 l; echo "$l"; exec 5>&-
coproc C { cat; }; echo co >&"${C[1]}"; read -r l <&"${C[0]}"; echo "$l"; kill "$C_PID"
mount -t tmpfs 2>/dev/null | wc -l >/dev/null; df -P /tmp | tail -n 1 | awk '{print $6}'; nproc >/dev/null && lscpu >/dev/null && free >/dev/null && vmstat >/dev/null && uptime >/dev/null && echo figures
top -b -n 1 | head -n 1 | cut -c1-5; lsof -p $$ 2>/dev/null | grep -c cwd; fuser /tmp 2>/dev/null | grep -c "$$"; numactl --show >/dev/null 2>&1; echo $?
ss -ltn | wc -l; ip -o addr show lo | wc -l; hostname; getent hosts localhost | head -n 1 | tr -s ' '; getconf _NPROCESSORS_ONLN >/dev/null && echo conf
lslocks >/dev/null 2>&1; echo $?; ipcmk -Q >/dev/null && ipcs -q | grep -c 0x; ipcrm -a; findmnt -n -o FSTYPE /proc; blkid >/dev/null 2>&1; dmesg >/dev/null 2>&1; echo $?
