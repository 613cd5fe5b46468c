#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pipes, subshells, here-documents, job control, traps, arithmetic.
set -m
seq 1000 | grep 7 | sort -rn | head -3
cat <<X | tr a-z A-Z
here $((6 * 7)) document
X
x=$(for i in 1 2 3; do (echo $((i * i))); done); echo $x
sleep 0.2 & wait $!; echo "waited $?"
(exit 3) & wait $!; echo "status $?"
trap 'echo trapped' USR1; kill -USR1 $$; sleep 0.1
sleep 100 & p=$!; kill %1; wait $p 2>/dev/null; echo "killed $?"
diff <(echo a) <(echo b); echo ${BASH_VERSINFO[0]}
mkfifo /tmp/f; (echo through >/tmp/f) & cat /tmp/f; wait
echo a >/tmp/a; echo b >>/tmp/a; wc -l </tmp/a; [[ -s /tmp/a ]] && echo has
ulimit -n >/dev/null && echo limits; type -t ls; printf '%05d %x\n' 42 255
