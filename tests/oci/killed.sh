#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of each process at each stage: nothing runs on, and the name can be used again.
. "$(dirname "$0")/../lib/container.sh"
config '["sh","-c","sleep 1000 & sleep 1000"]'
m create -b "$work/b" probe >/dev/null && m delete probe

# The sandbox's kernel, or its file server, is killed.
for stage in created running; do
	for who in pid sentryPid goferPid; do
		id=k-$stage-$who
		m create -b "$work/b" $id >/dev/null
		[ $stage = created ] || m start $id
		note $id
		kill -9 "$(field $id $who)"
		until_true is $id stopped
		m delete $id || die "delete after kill -9 of $who: $(cat "$work/err")"
		nothing_left
	done
done

# The command is killed, at any moment of it; then the name is free after delete --force.
for i in $(seq 1 12); do
	timeout -s KILL "$(printf 0.%03d $((i * 2)))" "$moat" --root "$work/state" create -b "$work/b" k >/dev/null 2>&1 </dev/null || true
	m delete --force k || die "delete --force after kill -9 of create: $(cat "$work/err")"
	m create -b "$work/b" k >/dev/null || die "create after kill -9 of create: $(cat "$work/err")"
	note k
	m delete k
done
nothing_left
for i in 1 2 3 4 5; do
	m create -b "$work/b" k >/dev/null
	note k
	timeout -s KILL "0.00$i" "$moat" --root "$work/state" start k >/dev/null 2>&1 </dev/null || true
	timeout -s KILL "0.00$i" "$moat" --root "$work/state" exec -d k sleep 5 >/dev/null 2>&1 </dev/null || true
	timeout -s KILL "0.00$i" "$moat" --root "$work/state" delete --force k >/dev/null 2>&1 </dev/null || true
	m delete --force k || die "delete --force: $(cat "$work/err")"
done
nothing_left

# A kernel that hangs is ended all the same, and what stands for the container with it.
m run -d -b "$work/b" k >/dev/null
note k
kill -STOP "$(field k sentryPid)"
kill -STOP "$(field k pid)"
m kill k KILL || die "kill of one that hangs: $(cat "$work/err")"
until_true is k stopped
m delete k
nothing_left

# Twenty at once.
batch() {
	local i=$1
	"$moat" --root "$work/state" create -b "$work/b" p$i &&
		"$moat" --root "$work/state" start p$i &&
		"$moat" --root "$work/state" exec p$i true &&
		"$moat" --root "$work/state" kill p$i KILL &&
		"$moat" --root "$work/state" delete --force p$i
}
for i in $(seq 20); do
	batch $i >"$work/p$i" 2>&1 </dev/null &
	jobs="${jobs:-} $!"
done
for j in $jobs; do
	wait "$j" || die "one of twenty at once failed: $(cat "$work"/p*)"
done
nothing_left
