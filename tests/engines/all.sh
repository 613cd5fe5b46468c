#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real engines, started here in a setting of their own: each operation with runc and with moat, compared; then stopped, and
# the host left as it was. Needs root. usage: all.sh [ENGINE...]      docker ctr cri podman rootless (default: all of them)
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
export BUILD=${BUILD:-build}
moat=$(realpath "$BUILD/moat")
[ "$(id -u)" = 0 ] || { echo "root is needed to start the engines"; exit 1; }
missing=
for p in docker.io containerd podman conmon runc busybox-static iptables slirp4netns uidmap catatonit fuse-overlayfs containernetworking-plugins \
	python3-grpcio python3-protobuf protobuf-compiler; do
	dpkg -s $p >/dev/null 2>&1 || missing="$missing $p"
done
# shellcheck disable=SC2086
[ -z "$missing" ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; } || exit 1
if pgrep -x dockerd >/dev/null || pgrep -x containerd >/dev/null; then
	echo "an engine runs on this host already: its networks and these would disturb each other"
	exit 1
fi
work=$(mktemp -d /tmp/engines-all.XXXXXX)
interfaces() { ip -o link | awk '{print $2, $(NF > 16 ? 17 : NF)}' | sort; ip -o addr | awk '{print $2, $4}' | sort; }
interfaces >"$work/interfaces"
ls /sys/class/net >"$work/links"
iptables-save >"$work/iptables" 2>/dev/null
forward=$(cat /proc/sys/net/ipv4/ip_forward)
tun=$(stat -c %a /dev/net/tun 2>/dev/null)

clean="env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=$work"
docker_pid='' containerd_pid='' made_user=''
stop() {
	[ -z "$docker_pid" ] || { kill "$docker_pid"; wait "$docker_pid"; } 2>/dev/null
	[ -z "$containerd_pid" ] || { kill "$containerd_pid"; wait "$containerd_pid"; } 2>/dev/null
	local m i
	while read -r m; do umount -l "$m"; done < <(awk -v w="$work" 'index($2, w) == 1 {print $2}' /proc/mounts | tac)
	for i in $(ls /sys/class/net); do
		grep -qx "$i" "$work/links" || ip link del "$i"
	done
	# Tables that were not there are emptied, chains and all; then what was there comes back.
	for i in filter nat mangle raw; do iptables -t $i -F && iptables -t $i -X; done 2>/dev/null
	iptables -P FORWARD ACCEPT
	[ ! -s "$work/iptables" ] || iptables-restore <"$work/iptables"
	echo "$forward" >/proc/sys/net/ipv4/ip_forward
	[ -z "$tun" ] || chmod "$tun" /dev/net/tun
	[ -z "$made_user" ] || userdel -r moatengines 2>/dev/null
	find /sys/fs/cgroup -depth -type d \( -path '*/docker' -o -path '*/docker/*' -o -path '*/libpod_parent' -o -path '*/libpod_parent/*' \) \
		-exec rmdir {} + 2>/dev/null
	interfaces | diff "$work/interfaces" - && echo "the host's interfaces are as before"
	rm -rf "$work"
}
trap stop EXIT

# A small image, without a registry.
mkdir -p "$work/bb"/{bin,etc,tmp,root,proc,sys,dev,usr}
chmod 1777 "$work/bb/tmp"
cp "$(command -v busybox)" "$work/bb/bin/busybox"
for a in $(busybox --list); do [ "$a" = busybox ] || ln -sf /bin/busybox "$work/bb/bin/$a"; done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:u:/tmp:/bin/sh\n' >"$work/bb/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\n' >"$work/bb/etc/group"

start_docker() {
	[ -z "$docker_pid" ] || return 0
	export CONTAINERD=$work/containerd.sock DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG_FILE=$work/daemon.json
	printf 'version = 2\nroot = "%s/cd-root"\nstate = "%s/cd-state"\n[grpc]\naddress = "%s"\n' "$work" "$work" "$CONTAINERD" >"$work/containerd.toml"
	printf '{"runtimes":{"moat":{"path":"%s"}}}' "$moat" >"$DOCKER_CONFIG_FILE"
	$clean containerd --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 </dev/null &
	containerd_pid=$!
	for _ in $(seq 100); do ctr --address "$CONTAINERD" version >/dev/null 2>&1 && break; sleep 0.1; done
	$clean dockerd --containerd "$CONTAINERD" --data-root "$work/docker" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
		--config-file "$DOCKER_CONFIG_FILE" -H "$DOCKER_HOST" >"$work/dockerd.log" 2>&1 </dev/null &
	docker_pid=$!
	export DOCKER_PID=$docker_pid
	for _ in $(seq 150); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
	tar -C "$work/bb" -c . | docker import -c 'CMD ["/bin/sh"]' - bb:1 >/dev/null || { tail "$work/dockerd.log"; exit 1; }
	docker save bb:1 -o "$work/bb.tar"
	ctr --address "$CONTAINERD" image import "$work/bb.tar" >/dev/null
}

status=0
for e in "${@:-docker ctr cri podman rootless}"; do for engine in $e; do
	echo "== $engine"
	[ "$engine" = cri ] || start_docker
	case $engine in
	cri) "$here/cri.sh" || status=1 ;;
	docker | ctr) "$here/run.sh" "$engine" "${PATTERN:-}" || status=1 ;;
	podman)
		printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$work" "$work" >"$work/storage.conf"
		export CONTAINERS_STORAGE_CONF=$work/storage.conf
		podman load -q -i "$work/bb.tar" >/dev/null
		"$here/run.sh" podman "${PATTERN:-}" || status=1
		unset CONTAINERS_STORAGE_CONF
		;;
	rootless)
		useradd -m moatengines && made_user=1
		home=$(getent passwd moatengines | cut -d: -f6) uid=$(id -u moatengines)
		mkdir -p "$home/build" "/run/user/$uid" "$home/tests"
		cp "$moat" "$(dirname "$moat")/moat-sentry" "$(dirname "$moat")/moat-gofer" \
			"$(dirname "$moat")/moat-anchor" "$home/build"
		cp -r "$here" "$home/tests/engines"
		cp "$here/../../README.md" "$home"
		cp "$work/bb.tar" "$home"
		chown -R moatengines: "$home" "/run/user/$uid"
		[ -z "$tun" ] || chmod 666 /dev/net/tun
		as=(runuser -u moatengines -- env -i HOME="$home" USER=moatengines PATH="$PATH" XDG_RUNTIME_DIR="/run/user/$uid" BUILD="$home/build" ROOTLESS=1)
		(cd "$home" && "${as[@]}" podman load -q -i bb.tar >/dev/null && "${as[@]}" bash tests/engines/run.sh podman "${PATTERN:-}") || status=1
		(cd "$home" && "${as[@]}" podman system reset -f >/dev/null 2>&1)
		for p in $(ps -o pid= -u moatengines); do kill -9 "$p"; done
		rm -rf "/run/user/$uid"
		;;
	*) echo "no such engine: $engine"; exit 2 ;;
	esac
done; done
exit $status
