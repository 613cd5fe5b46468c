#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containerd's CRI plugin and a pod of two containers, with runc and with moat, in a network and mount namespace of their own:
# each step compared. usage: cri.sh      (BUILD, and root)
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
	exec unshare -n -m --propagation private "$here/cri.sh" inside
fi
cd "$here/../.." || exit 1
moat=$(realpath "${BUILD:-build}/moat")
work=$(mktemp -d /tmp/engines-cri.XXXXXX)
containerd_pid=
left() { # what is there of these containers outside
	find /sys/fs/cgroup -path '*/moat-cri/*' -type d 2>/dev/null
	grep -l /moat-cri /proc/[0-9]*/cgroup 2>/dev/null
	ls /run/netns 2>/dev/null
	find "$work/state" -name config.json 2>/dev/null
}
stop() {
	[ -z "$containerd_pid" ] || { kill "$containerd_pid"; wait "$containerd_pid"; } 2>/dev/null
	local m
	# What a failed step has left: the containers, and their shims.
	for m in $(cat /sys/fs/cgroup/*/moat-cri/*/cgroup.procs /sys/fs/cgroup/moat-cri/*/cgroup.procs 2>/dev/null | sort -u) \
		$(pgrep -f "containerd-shim-runc-v2 .*$work"); do kill -9 "$m" 2>/dev/null; done
	sleep 0.5
	while read -r m; do umount -l "$m"; done < <(awk -v w="$work" 'index($2, w) == 1 {print $2}' /proc/mounts | tac)
	find /sys/fs/cgroup -depth -type d -path '*/moat-cri*' -exec rmdir {} + 2>/dev/null
	rm -rf "$work"
}
trap stop EXIT
# Names of network namespaces, and what plugins keep, are of this mount namespace only.
mkdir -p /run/netns /var/lib/cni
mount -t tmpfs tmpfs /run/netns && mount -t tmpfs tmpfs /var/lib/cni || exit 1
ip link set lo up
mkdir -p "$work/cni" "$work/logs"
cat >"$work/cni/10-pods.conflist" <<'J'
{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,
"ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
J
cat >"$work/containerd.toml" <<T
version = 2
root = "$work/root"
state = "$work/state"
[grpc]
address = "$work/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$work/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.moat]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.moat.options]
BinaryName = "$moat"
T
protoc -I "$here" --python_out="$work" cri.proto || exit 1
mkdir -p "$work/bb"/{bin,etc,tmp,root,proc,sys,dev,usr}
chmod 1777 "$work/bb/tmp"
cp "$(command -v busybox)" "$work/bb/bin/busybox"
for a in $(busybox --list); do [ "$a" = busybox ] || ln -sf /bin/busybox "$work/bb/bin/$a"; done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:u:/tmp:/bin/sh\n' >"$work/bb/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\n' >"$work/bb/etc/group"
env -i PATH="$PATH" HOME="$work" containerd --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 </dev/null &
containerd_pid=$!
for _ in $(seq 100); do ctr --address "$work/containerd.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
for i in "bb:1 /bin/sh" "pause:1 /bin/sleep 1000000"; do
	# shellcheck disable=SC2086
	/usr/bin/python3 "$here/cri.py" image "$work/image.tar" "$work/bb" "docker.io/library/${i%% *}" ${i#* } || exit 1
	ctr --address "$work/containerd.sock" -n k8s.io image import "$work/image.tar" >/dev/null || { tail "$work/containerd.log"; exit 1; }
done
for r in runc moat; do
	timeout -s KILL 240 /usr/bin/python3 "$here/cri.py" run "$work/containerd.sock" $r docker.io/library/bb:1 "$work" >"$work/$r.out" 2>"$work/$r.err"
	left | sed 's/^/left behind: /' >>"$work/$r.out"
done
good=0 bad=0
while IFS= read -r line; do
	what=${line%%:*}
	if grep -qxF -- "$line" "$work/moat.out"; then
		good=$((good + 1))
		printf '%-34s same\n' "$what"
	else
		bad=$((bad + 1))
		printf '%-34s DIFFERENT\n    runc: %s\n    moat: %s\n' "$what" "${line#*: }" "$(grep "^$what: " "$work/moat.out" | sed 's/^[^:]*: //')"
	fi
done <"$work/runc.out"
grep "^left behind" "$work/moat.out" && bad=$((bad + 1))
[ $bad = 0 ] || for r in runc moat; do tail -n 4 "$work/$r.err" | sed "s/^/    $r stderr: /"; done
[ "${KEEP:-}" ] && cp "$work/containerd.log" "$work"/*.out "$work"/*.err "$KEEP"
echo "cri: $good same as runc, $bad different"
[ $bad = 0 ] && [ $good -gt 20 ]
