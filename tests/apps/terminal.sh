#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that live on a terminal: tmux, screen, vim, script.
cd /tmp || exit 1
export TERM=xterm LC_ALL=C.UTF-8
tmux -L t new-session -d -x 80 -y 24 'bash --norc' && sleep 0.5
tmux -L t send-keys 'echo in$((1+1))tmux; tput cols' Enter; sleep 1; tmux -L t capture-pane -p | grep -E '^(in2tmux|80)$'
tmux -L t split-window -h 'sleep 20'; sleep 0.3; tmux -L t list-panes | wc -l; tmux -L t resize-window -x 100 -y 30; sleep 0.2
tmux -L t kill-server; sleep 0.3; tmux -L t ls 2>&1 | grep -c 'no server'
mkdir -p /tmp/sc; chmod 700 /tmp/sc; export SCREENDIR=/tmp/sc
screen -dmS s bash --norc; sleep 0.7; screen -S s -X stuff 'echo in screen >/tmp/sc.out\n'; sleep 1; cat /tmp/sc.out; screen -S s -X quit; sleep 0.3; screen -ls | grep -c Detached
printf 'one\ntwo\nthree\n' >v; vim.tiny -u NONE -es -c '%s/two/2/' -c 'normal Gonew' -c wq v; cat v
script -qec 'stty -echo; stty size; test -t 0 && echo tty' /tmp/typescript </dev/null | tr -d '\r' | tail -n 1
script -qec 'bash --norc -i' /tmp/ts2 >/dev/null <<'K'
sleep 100 &
jobs %1 >/tmp/jobs
kill %1
exit 3
K
echo $?; cut -d' ' -f3- /tmp/jobs
