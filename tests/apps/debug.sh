#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# strace over processes and threads, attached and not; gdb with breakpoints, threads, a watched variable (while there is one
# thread: gdb steps one thread to watch, and sees by chance what another one writes).
cd /tmp || exit 1
strace -f -e trace=execve,exit_group -o o sh -c 'ls / >/dev/null; (exec true)'
sed -E 's/^[0-9]+ +//; s/si_pid=[0-9]+/si_pid=N/; s/si_utime=.*\}/TIMES}/; s/0x[0-9a-f]+/ADDR/; s/\/\* .* \*\///' o | grep -v '^$' | sort | uniq -c
sleep 5 & p=$!
until [ "$(cat /proc/$p/comm)" = sleep ] && grep -q '^State:.S' /proc/$p/status; do sleep 0.1; done
strace -o o2 -p $p 2>/dev/null & s=$!
until grep -q '^TracerPid:.[1-9]' /proc/$p/status; do sleep 0.1; done
sleep 0.5
kill -INT $s; wait $s; grep -c . o2
kill %1; wait
cat >t.c <<'X'
#include <pthread.h>
#include <stdio.h>
int counter;
__attribute__((noinline)) int work(int n) { counter += n; return counter; }
void *th(void *a) { work((int)(long)a); return NULL; }
int main(void)
{
	pthread_t t[3];

	for (long i = 0; i < 3; i++) {
		pthread_create(&t[i], NULL, th, (void *)(i + 1));
		pthread_join(t[i], NULL);
	}
	work(4);
	printf("counter %d\n", counter);
	return 0;
}
X
gcc -g -O1 -pthread -o t t.c || exit 1
cat >cmd <<'X'
set pagination off
set confirm off
set can-use-hw-watchpoints 0
break work
run
bt 1
print n
continue
print n
print counter
continue
continue
watch counter
continue
delete
finish
set variable counter = 100
continue
X
gdb -q -batch -x cmd ./t 2>&1 | grep -E '^\$|^(Old|New) value|counter|work|exited' | sed -E 's/0x[0-9a-f]+/ADDR/g; s/LWP [0-9]+|process [0-9]+/N/g; s/Thread ADDR/Thread/' | grep -vE 'Switching|Thread .N. exited'
