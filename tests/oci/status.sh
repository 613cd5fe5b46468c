#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an engine's shim sees: create comes back, its process is reparented, and ends as the program does; the same for exec.
. "$(dirname "$0")/../lib/container.sh"
gcc -O1 -Wall -o "$work/reaper" tests/oci/reaper.c
shim() { "$work/reaper" "$work/pid" "$moat" --root "$work/state" "$@" --pid-file "$work/pid" 2>"$work/err"; }
# create with a shim that waits; the program starts meanwhile.
shim_create() {
	rm -f "$work/pid"
	"$work/reaper" "$work/pid" "$moat" --root "$work/state" create -b "$work/b" --pid-file "$work/pid" "$1" \
		>"$work/shim" 2>"$work/err" </dev/null &
	until_true test -s "$work/pid"
}

config '["sh","-c","exit 7"]'
shim_create s1
m start s1
wait
same "status" "command 0 ended 7" "$(tr '\n' ' ' <"$work/shim" | sed 's/ $//')"
m delete s1

config '["sh","-c","sleep 1000"]'
shim_create s2
m start s2
rm "$work/pid"
m exec -d --pid-file "$work/xpid" s2 true
same "state after an exec" running "$(status_of s2)"
# exec --detach: the number in its pid file ends as the program
"$work/reaper" "$work/x.pid" "$moat" --root "$work/state" exec -d --pid-file "$work/x.pid" s2 sh -c 'exit 9' >"$work/x" </dev/null
same "status of exec" "command 0 ended 9" "$(tr '\n' ' ' <"$work/x" | sed 's/ $//')"
"$work/reaper" "$work/x.pid" "$moat" --root "$work/state" exec -d --pid-file "$work/x.pid" s2 sh -c 'kill -9 $$' >"$work/x" </dev/null
same "status of a killed exec" "command 0 ended 137" "$(tr '\n' ' ' <"$work/x" | sed 's/ $//')"
# a signal to that process is for the program
"$work/reaper" "$work/y.pid" "$moat" --root "$work/state" exec -d --pid-file "$work/y.pid" s2 \
	sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done' >"$work/y" </dev/null &
y=$!
until_true test -s "$work/y.pid"
sleep 0.5
kill "$(cat "$work/y.pid")"
wait $y
same "a signal to the waiting process" "command 0 ended 5" "$(tr '\n' ' ' <"$work/y" | sed 's/ $//')"
# killing it kills the program
m exec -d --pid-file "$work/z.pid" s2 sleep 7777
m exec s2 ps | grep -q 'sleep 7777' || die "exec'd program does not run"
kill -9 "$(cat "$work/z.pid")"
no_sleep() { ! m exec s2 ps | grep -q 'sleep 7777'; }
until_true no_sleep
m kill s2 KILL
wait
grep -q 'killed 9' "$work/shim" || die "the sandbox's end: $(cat "$work/shim")"
m delete s2

# exec in the foreground: streams, status, user, directory.
config '["sleep","1000"]'
m run -d -b "$work/b" s3 >/dev/null
same "exec's output" "in b" "$(m exec s3 sh -c 'echo in $A')"
same "exec's options" "5 6 /etc 1" "$(echo $(m exec -u 5:6 --cwd /etc -e B=1 s3 sh -c 'id -u; id -g; pwd; echo $B'))"
m exec s3 sh -c 'exit 9' && die 'the status of exec is lost' || same 'status of exec' 9 $?
fails 255 'executable file not found in $PATH' m exec s3 nosuch
fails 255 'chdir to cwd' m exec --cwd /nosuch s3 true
printf 'a\nb\n' | timeout -s KILL 20 "$moat" --root "$work/state" exec s3 wc -l >"$work/out"
same "exec's input" 2 "$(cat "$work/out")"
# nobody else holds the streams: the reader sees the end when the program ends
out=$(timeout -s KILL 20 "$moat" --root "$work/state" exec s3 sh -c 'sleep 0.1; echo end')
same "streams are closed" end "$out"
echo '{"args":["sh","-c","echo $C; id -u"],"env":["PATH=/bin","C=see"],"cwd":"/","user":{"uid":3,"gid":3}}' >"$work/process"
same "exec --process" "see 3" "$(echo $(m exec --process "$work/process" s3))"
# descriptors that are passed on
same "--preserve-fds" passed "$(exec 3<<<passed; timeout -s KILL 20 "$moat" --root "$work/state" exec --preserve-fds 1 s3 sh -c 'cat <&3')"
# What cannot be told of does not run, and nothing is left of the file.
mkdir "$work/taken"
for o in "exec -d" exec; do
	m exec s3 ps >"$work/before"
	for f in "$work/taken" /nosuch/pid; do
		# shellcheck disable=SC2086
		fails 255 "^moat: --pid-file: cannot write $f: " m $o --pid-file "$f" s3 sleep 8888
		same "lines of that" 1 "$(wc -l <"$work/err")"
		no_such() { ! m exec s3 ps | grep -q 'sleep 8888'; }
		until_true no_such
	done
done
same "what is left of the file" taken "$(cd "$work" && echo taken*)"
m delete --force s3
nothing_left
