#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# An ssh server: keys, commands, a terminal, a copy, a forwarded port.
cd /tmp || exit 1
mkdir -p /run/sshd s; chmod 700 s
ssh-keygen -q -t ed25519 -N '' -f s/host; ssh-keygen -q -t ed25519 -N '' -f s/key; cp s/key.pub s/auth; chmod 600 s/auth; chmod 755 /tmp 2>/dev/null
cat >s/conf <<X
Port 7722
ListenAddress 127.0.0.1
HostKey /tmp/s/host
AuthorizedKeysFile /tmp/s/auth
PidFile /tmp/s/pid
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
X
/usr/sbin/sshd -f /tmp/s/conf -E /tmp/s/log
o="-q -p 7722 -i /tmp/s/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
for i in $(seq 50); do (exec 3<>/dev/tcp/127.0.0.1/7722) 2>/dev/null && break; sleep 0.1; done
ssh $o root@127.0.0.1 'echo in; id -u; exit 5'; echo $?
ssh $o -tt root@127.0.0.1 'tty | sed s/[0-9]*$//; stty size >/dev/null && echo a terminal' </dev/null | tr -d '\r'
head -c 300000 /dev/zero | ssh $o root@127.0.0.1 'wc -c'
scp -q -P 7722 -i /tmp/s/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null s/conf root@127.0.0.1:/tmp/s/copy && cmp s/conf s/copy && echo copied
(echo through the tunnel | socat -u - TCP-LISTEN:7724,bind=127.0.0.1,reuseaddr) & sleep 0.3
ssh $o -f -N -L 7723:127.0.0.1:7724 root@127.0.0.1; sleep 0.3; socat -u TCP:127.0.0.1:7723 -; pkill -f 7723:127; kill "$(cat s/pid)"; wait
