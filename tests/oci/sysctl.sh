#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Values of /proc/sys that a container's config.json sets in the container's own namespaces, and those of the whole sandbox,
# which programs inside set.
. "$(dirname "$0")/../lib/container.sh"

# What Kubernetes calls safe, and what it reads back; in the sandbox's own network.
sysctls='"kernel.shm_rmid_forced":"1","net.ipv4.ip_local_port_range":"40000 50000","net.ipv4.tcp_syncookies":"0",
	"net.ipv4.ping_group_range":"5 10","net.ipv4.ip_unprivileged_port_start":"80","net.ipv4.ip_local_reserved_ports":"8080,9148-9150",
	"net.ipv4.tcp_keepalive_time":"600","net.ipv4.tcp_keepalive_intvl":"10","net.ipv4.tcp_keepalive_probes":"3",
	"net.ipv4.tcp_fin_timeout":"20","net.ipv4.tcp_rmem":"4096 8192 16384","net.ipv4.tcp_wmem":"4096 8192 16384",
	"net.core.somaxconn":"1234","net/ipv4/conf/all/rp_filter":"2","net.ipv4.ip_forward":"1"'
config '["sh","-c","cd /proc/sys; cat kernel/shm_rmid_forced net/ipv4/ip_local_port_range net/ipv4/tcp_syncookies net/ipv4/ping_group_range net/ipv4/ip_unprivileged_port_start net/ipv4/ip_local_reserved_ports net/ipv4/tcp_keepalive_time net/ipv4/tcp_keepalive_intvl net/ipv4/tcp_keepalive_probes net/ipv4/tcp_fin_timeout net/ipv4/tcp_rmem net/ipv4/tcp_wmem net/core/somaxconn net/ipv4/conf/all/rp_filter net/ipv4/conf/lo/forwarding"]' \
	'' '' ",\"sysctl\":{$sysctls}"
out=$(m run -b "$work/b" c1) || die "run: $(cat "$work/err")"
[ ! -s "$work/err" ] || die "run says: $(cat "$work/err")"
same "the values" "1 40000 50000 0 5 10 80 8080,9148-9150 600 10 3 20 4096 8192 16384 4096 8192 16384 1234 2 1" "$(echo $out)"

# A bad value, a name that is not there, and one that is not the container's.
bad() { # NAME VALUE WORDS
	config '["true"]' '' '' ",\"sysctl\":{\"$1\":\"$2\"}"
	fails 1 "$3" m run -b "$work/b" c2
}
bad net.core.somaxconn many 'sysctl net.core.somaxconn=many: Invalid argument'
bad net.core.somaxconn -1 'sysctl net.core.somaxconn=-1: Invalid argument'
bad net.ipv4.ip_local_port_range '500 400' 'sysctl net.ipv4.ip_local_port_range=500 400: Invalid argument'
bad net.ipv4.ip_local_reserved_ports '99999' 'sysctl net.ipv4.ip_local_reserved_ports=99999: Invalid argument'
bad net.core.nosuch 1 'sysctl net.core.nosuch=1: No such file'
bad net.core 1 'sysctl net.core=1: No such file'
bad net.ipv4.tcp_mem '1 2 3' 'sysctl net.ipv4.tcp_mem=1 2 3: Operation not permitted'
bad kernel.shm_rmid_forced 2 'sysctl kernel.shm_rmid_forced=2: Invalid argument'
for name in fs.pipe-max-size fs.inotify.max_user_watches kernel.pid_max vm.max_map_count fs.nr_open kernel.panic; do
	bad "$name" 4096 "linux.sysctl.$name: the sandbox's kernel cannot be set so"
done
[ -z "$(ls -A "$work/state" 2>/dev/null)" ] || die "the state directory is not empty"

# A network of its own beside that of the sandbox that it is in has its own; what both have is set for both.
config '["sleep","1000"]'
m run -d -b "$work/b" one >/dev/null || die "run: $(cat "$work/err")"
note one
config '["cat","/proc/sys/net/core/somaxconn"]' '' '' ',"sysctl":{"net.core.somaxconn":"1234"}'
sed -i "s|\"type\":\"ipc\"|&,\"path\":\"/proc/$(field one pid)/ns/ipc\"|" "$work/b/config.json"
out=$(m run -b "$work/b" two) || die "run: $(cat "$work/err")"
same "its own" 1234 "$out"
same "the other's" 4096 "$(m exec one cat /proc/sys/net/core/somaxconn)"
sed -i "s|\"type\":\"network\"|&,\"path\":\"/proc/$(field one pid)/ns/net\"|" "$work/b/config.json"
out=$(m run -b "$work/b" two) || die "run: $(cat "$work/err")"
same "words" "" "$(cat "$work/err")"
same "that of both" "1234 1234" "$out $(m exec one cat /proc/sys/net/core/somaxconn)"
m delete --force one || die "delete: $(cat "$work/err")"
nothing_left

# The host's is not.
config '["cat","/proc/sys/net/core/somaxconn"]' '' '' ',"sysctl":{"net.core.somaxconn":"1234"}'
sed -i 's|{"type":"network"},||' "$work/b/config.json"
before=$(cat /proc/sys/net/core/somaxconn)
m run -b "$work/b" two >/dev/null || die "run: $(cat "$work/err")"
grep -q 'net.core.somaxconn is not set' "$work/err" || die "no warning: $(cat "$work/err")"
same "the host's" "$before" "$(cat /proc/sys/net/core/somaxconn)"
nothing_left
