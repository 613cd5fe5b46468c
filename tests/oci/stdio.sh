#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Standard streams that are opened again by name (/dev/stdout, /proc/self/fd/N), as logs in containers are: with files and
# pipes of the host a program does the same in moat as outside.
. "$(dirname "$0")/../lib/common.sh"

run() { # NAME COMMAND...: with standard streams of every kind; what there is afterwards goes to $work/out-NAME
	local dir=$work/out-$1
	shift
	mkdir "$dir"
	printf 'line one\nline two\n' >"$dir/in"
	for n in "${!scripts[@]}"; do
		s=${scripts[$n]}
		printf 'old text that is longer\n' >"$dir/$n.append"
		timeout 20 "$@" sh -c "$s" <"$dir/in" >"$dir/$n.file" 2>"$dir/$n.file.err" || echo "status $?" >>"$dir/$n.status"
		timeout 20 "$@" sh -c "$s" <"$dir/in" >>"$dir/$n.append" 2>&1 || echo "status $?" >>"$dir/$n.status"
		{ printf 'a\nb\nc\n' | timeout 20 "$@" sh -c "$s" 2>"$dir/$n.pipe.err" || echo "status $?" >>"$dir/$n.status"; } | cat >"$dir/$n.pipe"
		timeout 20 "$@" sh -c "$s" </dev/null 2>&1 | cat >"$dir/$n.both"
	done
}
scripts=(
	'echo hi >/dev/stdout'
	'echo one; echo two >>/dev/stdout; echo three >/dev/stderr'
	'echo 1; echo 2 >/proc/self/fd/1; echo 3 >/proc/self/fd/2; echo 4'
	'cat /dev/stdin'
	'cat /proc/self/fd/0; cat'
	'read a; echo "<$a>"; cat /dev/stdin'
	'head -c 3 /dev/stdin; echo; head -c 4'
	'exec 5</dev/stdin; read a <&5; read b <&5; echo "$a,$b"; exec 5<&-; cat'
	'exec 5>/dev/stdout; echo five >&5; exec 1>&-; echo more >&5'
	'echo a b c | tee /dev/stderr /dev/stdout >/dev/null'
	': >/dev/stdout; echo after'
	'echo before; exec 3>>/dev/stdout; echo x >&3; exec 3>&-; exec 3>>/dev/stderr; echo y >&3'
	'i=0; while [ $i -lt 50 ]; do echo $i >>/dev/stdout; i=$((i+1)); done'
	'[ -w /dev/stdout ] && [ -e /dev/stdin ] && echo yes'
)
run native env
run moat "$moat" do --
diff -r "$work/out-native" "$work/out-moat" >"$work/diff" || {
	cat "$work/diff"
	die "standard streams differ"
}

# A descriptor of a file is not given more than it was made for: no reading of what was to be written, and the other way.
echo secret >"$work/out"
"$moat" do -- sh -c 'cat /proc/self/fd/1 2>/dev/stderr' >>"$work/out" 2>"$work/err" </dev/null && die "a file for writing was read"
grep -q 'Permission denied' "$work/err" || die "$(cat "$work/err")"
same "the file" secret "$(cat "$work/out")"
echo data >"$work/in"
"$moat" do -- sh -c 'echo gone >/proc/self/fd/0' <"$work/in" 2>/dev/null && die "a file for reading was written"
same "the file that was read" data "$(cat "$work/in")"

# Whoever runs may open them, and nobody else may.
same "another user" hi "$("$moat" do --user=1234 -- sh -c 'echo hi >/dev/stdout' | cat)"
same "another user, a file" ok "$("$moat" do --user=1234 -- sh -c 'echo ok >/dev/stdout' >"$work/theirs" && cat "$work/theirs")"

# Its size.
echo 'too long' >"$work/out"
"$moat" do -- python3 -c 'import os; os.ftruncate(1, 3)' >>"$work/out"
same "what is left" too "$(cat "$work/out")"
