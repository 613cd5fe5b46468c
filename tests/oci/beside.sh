#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers in one sandbox, each in a network namespace of its own that somebody else made (or fills, by a hook).
# What is the host's here is a namespace of its own, too; and names of namespaces are mounts, which go with the test.
if [ "$(id -u)" = 0 ] && [ -z "${ALONE:-}" ]; then
	ALONE=1 exec unshare -n -m bash "$0" "$@"
fi
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make network namespaces"
command -v ip >/dev/null || skip "no ip"
for a in nc ip ping; do ln -s busybox "$work/b/rootfs/bin/$a"; done
made=
trap 'say_end $? "$BASH_COMMAND"; remove_all; for n in $made; do ip netns del "$n" 2>/dev/null; done' EXIT
network() { # NAME NUMBER: 10.78.NUMBER.1 is here, .2 there
	ip netns add "$1"
	made="$made $1"
	ip link add "v$2" type veth peer name eth0 netns "$1"
	ip addr add "10.78.$2.1/24" dev "v$2"
	ip link set "v$2" up
	ip -n "$1" addr add "10.78.$2.2/24" dev eth0
	ip -n "$1" link set eth0 up
}
ip link set lo up
a=moat-a-$$ b=moat-b-$$
network "$a" 1
network "$b" 2

# In a bundle of its own, with the namespaces of pids and of the network that are named.
caps='["CAP_NET_RAW","CAP_SYS_ADMIN","CAP_KILL"]'
bundle() { # NAME ARGS-JSON PID-PATH NET-PATH [MORE top-level fields]
	config "$2" ",\"capabilities\":{\"bounding\":$caps,\"effective\":$caps,\"permitted\":$caps}" "${5:-}"
	mkdir -p "$work/$1"
	[ -d "$work/$1/rootfs" ] || cp -a "$work/b/rootfs" "$work/$1/rootfs"
	sed "s|\"type\":\"pid\"|&${3:+,\"path\":\"$3\"}|; s|\"type\":\"network\"|&${4:+,\"path\":\"$4\"}|" "$work/b/config.json" >"$work/$1/config.json"
}
ex() { timeout -s KILL 60 "$moat" --root "$work/state" exec "$@" </dev/null; }
up() { # ID
	m run -d -b "$work/$1" "$1" >"$work/$1.out" || die "run: $(cat "$work/err")"
	note "$1"
}
serve='["sh","-c","while :; do echo this is $NAME | nc -l -p 8000 -w 5; done"]'
answers() { # FROM WHERE WHAT
	local i said
	for i in $(seq 50); do
		said=$($1 busybox nc -w 2 "$2" 8000 </dev/null 2>/dev/null) || true
		[ "$said" != "$3" ] || return 0
		sleep 0.1
	done
	die "from <$1> $2 said <$said>, expected <$3>"
}

bundle one "${serve/\$NAME/one}" "" "/run/netns/$a"
up one
sentry=$(field one sentryPid)
bundle two "${serve/\$NAME/two}" "/proc/$(field one pid)/ns/pid" "/run/netns/$b"
up two
same "one sandbox" "$sentry" "$(field two sentryPid)"
same "one namespace of pids" "$(ex one readlink /proc/self/ns/pid)" "$(ex two readlink /proc/self/ns/pid)"
[ "$(ex one readlink /proc/self/ns/net)" != "$(ex two readlink /proc/self/ns/net)" ] || die "they have one network namespace"
same "the anchors' namespaces" "$(for n in "$a" "$b"; do ip netns exec "$n" readlink /proc/self/ns/net; done)" \
	"$(for c in one two; do readlink "/proc/$(field $c pid)/ns/net"; done)"
# The same port of both, from outside and from the other one.
answers "" 10.78.1.2 "this is one"
answers "" 10.78.2.2 "this is two"
answers "ex one" 10.78.1.2 "this is one"
answers "ex two" 127.0.0.1 "this is two"
same "addresses" "10.78.1.2/24 10.78.2.2/24" "$(echo $(for c in one two; do ex $c ip -o addr show dev eth0 | grep -o '10[^ ]*/24'; done))"
same "no way from one to the other" "failed" "$(ex one busybox nc -w 2 10.78.2.2 8000 </dev/null 2>/dev/null || echo failed)"
same "routes" "10.78.2.0/24" "$(ex two ip route | grep -o '^[^ ]*')"
same "interfaces" "eth0: lo:" "$(echo $(ex two grep -o '[a-z0-9]*:' /proc/net/dev | sort))"
ex two ping -c 1 -W 5 10.78.2.1 >/dev/null || die "no ping"
# Who enters another's namespace is there.
cat >"$work/two/rootfs/enter" <<'S'
for p in $(ps -o pid,args | grep 'this is one' | grep -v grep | { read -r p rest; echo $p; }); do
	exec busybox nsenter -t $p -n ip -o addr show dev eth0
done
S
same "entered" "10.78.1.2/24" "$(ex two sh /enter | grep -o '10[^ ]*/24')"

# While nobody makes sockets there are none, and nothing else suffers.
kill -STOP "$(field two pid)"
same "stopped" "failed" "$(ex two busybox nc -w 5 10.78.2.1 9 </dev/null 2>/dev/null || echo failed)"
answers "" 10.78.1.2 "this is one"
same "a word" "word" "$(ex two echo word)"
kill -CONT "$(field two pid)"
answers "ex two" 10.78.2.2 "this is two"

# Its end leaves the other one, and nothing in its namespace.
m kill two KILL || die "kill: $(cat "$work/err")"
is_over() { is two stopped; }
until_true is_over
m delete two || die "delete: $(cat "$work/err")"
answers "" 10.78.1.2 "this is one"
of_b=$(ip netns exec "$b" readlink /proc/self/ns/net)
free() { ! ls -l /proc/[0-9]*/ns/net 2>/dev/null | grep -qF "$of_b"; }
until_true free

# As docker has it: a new namespace, which a hook fills.
cat >"$work/hook" <<'S'
#!/bin/bash
pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || exit 5
ip link add v3 type veth peer name eth0 netns "$pid" && ip addr add 10.78.3.1/24 dev v3 && ip link set v3 up &&
	nsenter -t "$pid" -n ip addr add 10.78.3.2/24 dev eth0 && nsenter -t "$pid" -n ip link set eth0 up
S
chmod 755 "$work/hook"
bundle two "${serve/\$NAME/three}" "/proc/$(field one pid)/ns/pid" "" ",\"hooks\":{\"createRuntime\":[{\"path\":\"$work/hook\",\"env\":[\"PATH=$PATH\"]}]}"
sed -i 's|"linux":{|&"sysctl":{"net.ipv4.ip_default_ttl":"77"},|' "$work/two/config.json"
up two
same "one sandbox" "$sentry" "$(field two sentryPid)"
answers "" 10.78.3.2 "this is three"
answers "" 10.78.1.2 "this is one"
same "its own setting" "77" "$(nsenter -t "$(field two pid)" -n cat /proc/sys/net/ipv4/ip_default_ttl)"
# It ends with the first process of its namespace of pids.
m kill one KILL || die "kill: $(cat "$work/err")"
until_true is_over
m delete --force one || die "delete: $(cat "$work/err")"
m delete two || die "delete: $(cat "$work/err")"
nothing_left

# A sandbox without a network gets none.
bundle one '["sleep","1000"]' "" ""
up one
bundle two '["true"]' "/proc/$(field one pid)/ns/pid" "/run/netns/$b"
fails 1 'begun without a network' m create -b "$work/two" two
bundle two '["true"]' "/proc/$(field one pid)/ns/pid" "/proc/self/ns/net"
fails 1 'the network of the host' m create -b "$work/two" two
m delete --force one || die "delete: $(cat "$work/err")"
nothing_left
