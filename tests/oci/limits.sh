#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits of a container: in the host's cgroup, as the sandbox shows them, changed while it runs; what it uses; memory
# that runs out.
. "$(dirname "$0")/../lib/container.sh"
group=/moat-test/oci-$$
[ "$(id -u)" = 0 ] || skip "needs root, to make cgroups"
awk '$3 == "cgroup" || $3 == "cgroup2"' /proc/mounts | grep -q . || skip "no cgroups here"
limits() { # JSON of linux.resources
	config '["sleep","1000"]' '' '' ",\"cgroupsPath\":\"$group\",\"resources\":$1"
	sed -i 's|"mounts":\[|&{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup"},|' "$work/b/config.json"
}
host() { # V1-CONTROLLER V1-FILE V2-FILE
	cat "/sys/fs/cgroup/$1$group/$2" 2>/dev/null || cat "/sys/fs/cgroup$group/$3"
}
shown() { m exec c1 sh -c 'while read a b c; do [ "$a" = MemTotal: ] && echo $b; done </proc/meminfo'; }
limits '{"memory":{"limit":134217728},"pids":{"limit":20},"cpu":{"quota":50000,"period":100000}}'
m create -b "$work/b" c1 || die "create: $(cat "$work/err")"
note c1
m start c1
same "MemTotal" 131072 "$(shown)"
same "memory of the host's group, with room" 142606336 "$(host memory memory.limit_in_bytes memory.max)"
same "pids of the host's group, with room" 148 "$(host pids pids.max pids.max)"
group_file() { m exec c1 cat "/sys/fs/cgroup/$1"; }
same "the group that the program sees" "134217728 20 50000 100000" "$(echo $(group_file memory.max) $(group_file pids.max) $(group_file cpu.max))"
same "processes in it" 1 "$(group_file cgroup.procs | head -n 1)"
m update --memory 200m --pids-limit 7 c1 || die "update: $(cat "$work/err")"
same "MemTotal after update" 204800 "$(shown)"
same "memory of the host's group" 218103808 "$(host memory memory.limit_in_bytes memory.max)"
fails 2 "Resource temporarily unavailable" m exec c1 sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'
same "the group after update" "209715200 7" "$(echo $(group_file memory.max) $(group_file pids.max))"
m update --cpu-quota 20000 --cpu-period 50000 c1
same "its share of the CPU after update" "20000 50000" "$(group_file cpu.max)"
m update --cpu-quota -1 c1
same "its share of the CPU without a limit" "max 50000" "$(group_file cpu.max)"
# As an engine sends it: 0 leaves things alone, and so do rules about devices.
devices=$(host devices devices.list none 2>/dev/null)
echo '{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":67108864,"swap":0,"kernel":0},"cpu":{"shares":0,"quota":0,"period":0},"blockIO":{"weight":0}}' \
	>"$work/r.json"
m update --resources "$work/r.json" c1 || die "update: $(cat "$work/err")"
same "MemTotal after update by a file" 65536 "$(shown)"
same "devices after it" "$devices" "$(host devices devices.list none 2>/dev/null)"
fails 1 'not a size' m update --memory 1x c1
fails 1 'cpuset.cpus' m update --cpuset-cpus 9999 c1
fails 1 'container c1 is in no group of resctrl' m update --l3-cache-schema L3:0=f c1
m update --resources <(echo '{"cpu":{"nonsense":1}}') c1 || die "update: $(cat "$work/err")"
grep -q 'resources.cpu.nonsense: not a field' "$work/err" || die "update: $(cat "$work/err")"
fails 1 'does not exist' m update --memory 64m c2
m events --stats c1 >"$work/stats" || die "events: $(cat "$work/err")"
grep -q '"type":"stats","id":"c1","data":{"cpu":{"usage":{"total":[1-9]' "$work/stats" || die "$(cat "$work/stats")"
grep -q '"pids":{"current":[1-9][0-9]*,"limit":135}' "$work/stats" || die "$(cat "$work/stats")"
fails 1 'not a duration' m events --interval never c1
m delete -f c1
fails 1 'does not exist' m events --stats c1

# Without a name for its group it gets one.
config '["sleep","1000"]' '' '' ',"resources":{"memory":{"limit":134217728},"pids":{"limit":20}}'
m create -b "$work/b" "c1-$$" || die "create: $(cat "$work/err")"
note "c1-$$"
group=/moat-c1-$$
same "memory of the group that moat named" 142606336 "$(host memory memory.limit_in_bytes memory.max)"
m delete -f "c1-$$"
[ ! -e "/sys/fs/cgroup/memory$group" ] && [ ! -e "/sys/fs/cgroup$group" ] || die "the cgroup is still there"
group=/moat-test/oci-$$

# The program that asks for too much is killed, and nobody else.
limits '{"memory":{"limit":33554432,"swap":33554432}}'
m create -b "$work/b" c1 || die "create: $(cat "$work/err")"
note c1
m start c1
timeout 60 "$moat" --root "$work/state" events --interval 1h c1 >"$work/events" 2>&1 &
events=$!
status=0
m exec c1 sh -c 'x=0123456789abcdef; while :; do x=$x$x; done' || status=$?
same "status of a program that asked for too much" 137 $status
same "the container" running "$(status_of c1)"
until_true grep -q '{"type":"oom","id":"c1"}' "$work/events"
# Many small ones: each is smaller than the sandbox's own processes, which are not ended for them.
m exec c1 sh -c 'for i in $(seq 80); do
	(x=0123456789abcdef; for j in $(seq 15); do x=$x$x; done; sleep 2; :) &
done; wait' || true
same "the container after many small programs" running "$(status_of c1)"
same "a program in it" alive "$(m exec c1 echo alive)"
m delete -f c1
wait $events || true
nothing_left
[ ! -e "/sys/fs/cgroup/memory$group" ] || die "the cgroup is still there"
rmdir /sys/fs/cgroup/*/moat-test 2>/dev/null || true
