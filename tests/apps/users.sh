#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Accounts: useradd, passwd, su, sudo, login shells, cron.
cd /tmp || exit 1
useradd -m -s /bin/bash alice && echo 'alice:secret' | chpasswd && id alice
su - alice -c 'id -un; pwd; umask; ulimit -n >/dev/null && echo limits'
echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice; chmod 440 /etc/sudoers.d/alice
su - alice -c 'sudo -n id -un; sudo -n -u nobody id -un; sudo -n sh -c "exit 9"; echo $?' 2>&1
su - alice -c 'echo wrong | su -c id root' 2>&1 | tail -n 1
groupadd team; usermod -aG team alice; su - alice -c 'id -Gn'; chage -l alice | grep -c never
su - alice -c 'touch mine; ls -l mine | cut -d" " -f3,4; cat /etc/shadow' 2>&1
runuser -u alice -- id -u; setpriv --reuid alice --regid alice --init-groups id -un
cron; echo '* * * * * root true' >/etc/cron.d/x; sleep 0.3; pgrep -x cron | wc -l; pkill -x cron
userdel -r alice 2>/dev/null; id alice 2>&1; ls -d /home/alice 2>&1
