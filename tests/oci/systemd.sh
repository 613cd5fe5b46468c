#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --systemd-cgroup: what systemd is asked for, on a bus of this test's own where a stand-in answers.
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to make cgroups"
/usr/bin/python3 -c 'import dbus, gi' 2>/dev/null && command -v dbus-daemon >/dev/null || skip "no python3-dbus, python3-gi or dbus-daemon"
[ -d /sys/fs/cgroup ] && awk '$3 == "cgroup" || $3 == "cgroup2"' /proc/mounts | grep -q . || skip "no cgroups here"
slice=moattest$$.slice
end() {
	remove_all
	for p in ${daemon:-} ${systemd:-}; do kill "$p" 2>/dev/null; done
	find /sys/fs/cgroup -depth -type d -path "*/$slice*" -exec rmdir {} + 2>/dev/null
}
trap end EXIT
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/bus
resources='{"memory":{"limit":134217728},"pids":{"limit":20},"cpu":{"shares":512,"quota":50000,"period":100000}}'
config '["sleep","1000"]' '' ',"annotations":{"org.systemd.property.TimeoutStopUSec":"uint64 5000000","org.systemd.property.CollectMode":"'\''inactive'\''","other":"x"}' \
	",\"cgroupsPath\":\"$slice:pre:c1\",\"resources\":$resources"
# Where nobody answers.
fails 1 'systemd: cannot reach systemd' m --systemd-cgroup create -b "$work/b" c1
nothing_left

cat >"$work/bus.conf" <<X
<busconfig><listen>$DBUS_SYSTEM_BUS_ADDRESS</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
X
dbus-daemon --config-file="$work/bus.conf" --nofork >"$work/daemon.out" 2>&1 &
daemon=$!
until_true test -S "$work/bus"
/usr/bin/python3 "$(dirname "${BASH_SOURCE[0]}")/systemd.py" "$DBUS_SYSTEM_BUS_ADDRESS" "$work/log" pre-c2.scope >"$work/systemd.out" 2>&1 &
systemd=$!
until_true test -s "$work/log"

m --systemd-cgroup create -b "$work/b" c1 >/dev/null || die "create: $(cat "$work/err") $(cat "$work/systemd.out")"
note c1
group=$(cut -d: -f3 "/proc/$(field c1 sentryPid)/cgroup" | grep pre-c1 | sort -u)
same "the group" "/$slice/pre-c1.scope" "$group"
v2=
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || v2=1
memory=MemoryLimit shares=CPUShares=UInt64:512 period=
[ -z "$v2" ] || memory=MemoryMax shares=CPUWeight=UInt64:20 period="CPUQuotaPeriodUSec=UInt64:100000 "
same "what systemd is asked" "start pre-c1.scope fail CPUAccounting=Boolean:1 ${period}CPUQuotaPerSecUSec=UInt64:500000 $shares CollectMode=String:inactive \
DefaultDependencies=Boolean:0 Delegate=Boolean:1 Description=String:moat container c1 MemoryAccounting=Boolean:1 $memory=UInt64:142606336 Slice=String:$slice \
TasksAccounting=Boolean:1 TasksMax=UInt64:148 TimeoutStopUSec=UInt64:5000000" "$(sed -n 2p "$work/log")"
for p in $(below "$(field c1 sentryPid)") $(field c1 goferPid) $(field c1 pid); do
	grep -q "$group" "/proc/$p/cgroup" || die "process $p is not in the group: $(cat /proc/$p/cgroup)"
done
same "its files" 142606336 "$(cat "/sys/fs/cgroup/memory$group/memory.limit_in_bytes" 2>/dev/null || cat "/sys/fs/cgroup$group/memory.max")"
m start c1 || die "start: $(cat "$work/err")"
m --systemd-cgroup update --memory 200m --pids-limit 7 c1 || die "update: $(cat "$work/err")"
same "an update" "set pre-c1.scope 1 $memory=UInt64:218103808 TasksMax=UInt64:135" "$(sed -n 3p "$work/log")"
same "its files after the update" 218103808 "$(cat "/sys/fs/cgroup/memory$group/memory.limit_in_bytes" 2>/dev/null || cat "/sys/fs/cgroup$group/memory.max")"
m --systemd-cgroup delete -f c1 || die "delete: $(cat "$work/err")"
same "the end" "stop pre-c1.scope replace:reset pre-c1.scope" "$(sed -n 4,5p "$work/log" | paste -sd:)"
[ ! -e "/sys/fs/cgroup/memory$group" ] && [ ! -e "/sys/fs/cgroup$group" ] || die "the group is still there"

# What cannot be made leaves nothing.
sed -i 's/:pre:c1/:pre:c2/' "$work/b/config.json"
fails 1 'systemd: systemd could not make pre-c2.scope: failed' m --systemd-cgroup create -b "$work/b" c2
for path in /a/b a:b a:b:c:d "$slice::../x" "x.slice:p:" "a--b.slice:p:n" "$slice:p:n.slice"; do
	sed -i "s|\"cgroupsPath\":\"[^\"]*\"|\"cgroupsPath\":\"$path\"|" "$work/b/config.json"
	fails 1 'linux.cgroupsPath' m --systemd-cgroup create -b "$work/b" c3
done
# Without a path there is one all the same.
config '["true"]'
sed -i 's/^ready$//' "$work/log"
slices() { find /sys/fs/cgroup -depth -type d -path "*/system.slice" | sort; }
had=$(slices)
m --systemd-cgroup run -b "$work/b" "c4-$$" || die "run: $(cat "$work/err")"
grep -q "^start moat-c4-$$.scope fail .*Slice=String:system.slice" "$work/log" || die "without a path: $(cat "$work/log")"
same "groups that are left of it" "" "$(find /sys/fs/cgroup -name "moat-c4-$$.scope")"
# The groups above it that were not there before; what somebody else has in one meanwhile stays.
comm -13 <(echo "$had") <(slices) | xargs -r rmdir --ignore-fail-on-non-empty
nothing_left
