#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A sandbox in the sandbox: bubblewrap and unshare.
cd /tmp || exit 1
bwrap --ro-bind / / --tmpfs /tmp --proc /proc --dev /dev --unshare-pid sh -c 'echo $$; ls /tmp | wc -l; touch /x' 2>&1
bwrap --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin --unshare-all --hostname inner sh -c 'hostname; ls /; id -u'
unshare -Ur sh -c 'id -u; cat /proc/self/uid_map | tr -s " "'
unshare -Urpf --mount-proc sh -c 'ps -o pid= | wc -l; mount -t tmpfs t /mnt && echo x >/mnt/x && cat /mnt/x'; ls /mnt/x 2>&1
unshare -Urm sh -c 'mount -t tmpfs t /mnt && cd /mnt && mkdir -p l/d u w m && echo low >l/d/f && echo x >l/x &&
	mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w,userxattr m && echo up >m/d/f && rm m/x && mv m/d/f m/g &&
	rmdir m/d && mkdir m/d && cat m/g l/d/f && ls -R m && ls -l u | cut -c1-10'
unshare -Urn sh -c 'ip -o link | wc -l; ip link set lo up && ip -4 -o addr show lo | tr -s " " | cut -d" " -f4'
unshare -Uru sh -c 'hostname other; hostname'; unshare -Uri ipcs -q | wc -l
