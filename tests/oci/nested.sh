#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A container engine in the sandbox: crun, as an ordinary user, makes a container in there with namespaces of its own.
. "$(dirname "$0")/../lib/container.sh"
command -v crun >/dev/null || skip "no crun"
[ "$(id -u)" = 0 ] || skip "needs root, to be another user inside"
mkdir -p "$work/share"
chmod 755 "$work" "$work/share"
tar -C "$work/b/rootfs" -cf "$work/share/root.tar" .
cat >"$work/share/nest" <<'S'
set -e
umask 022
mkdir -p /tmp/nest/rootfs /tmp/nest/state
tar -C /tmp/nest/rootfs -xf /mnt/root.tar
cd /tmp/nest
crun spec --rootless
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sh", "-c", "id -u; hostname; echo $$; set -- \/proc\/[0-9]*; echo $#; cat \/proc\/self\/uid_map"/' config.json
export XDG_RUNTIME_DIR=/tmp/nest/state
crun --cgroup-manager=disabled --root=/tmp/nest/state run inner </dev/null
grep -c '^cgroup2 /sys/fs/cgroup \|^mqueue /dev/mqueue ' /proc/mounts
S
for p in ${MOAT_PLATFORM:-trap ptrace}; do
	got=$(timeout -s KILL 60 "$moat" do --platform="$p" --volume="$work/share:/mnt:ro" --user=1234:1234 -- bash /mnt/nest 2>"$work/err" </dev/null) ||
		die "$p: $(cat "$work/err")"
	same "what the inner container prints on $p" "0 crun 1 1 0 1234 1 2" "$(echo $got)"
done
