#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The example with virtual files: scripts talk to the host program by /host, and reach nothing else.
. tests/lib/common.sh
export MOAT_LIBEXEC=$BUILD
one='#!/bin/sh
cat /host/config.json /host/config.json
echo "from one: $(cat /host/config.json)" >>/host/log
echo 41 >/host/store/answer
printf "%s" "$(seq 1000)" >/host/store/long
printf "\033[31mred" >>/host/log'
two='#!/bin/sh
n=$(cat /host/store/answer)
echo $((n + 1)) >/host/store/answer
rm /host/store/long
ls -R /host >>/host/log
(echo x >/host/other) 2>/dev/null && echo made >>/host/log
(echo x >/host/log) 2>/dev/null && echo overwritten >>/host/log
(echo x >/plugin/script) 2>/dev/null && echo changed >>/host/log
cat /host/log 2>/dev/null && echo read >>/host/log
[ -e '"$work"' ] && echo escaped >>/host/log
exit 0'
three='#!/bin/sh
exec cat /dev/zero'
for p in one two three; do printf '%s\n' "${!p}" >"$work/$p"; done
for MOAT_PLATFORM in trap ptrace; do
	export MOAT_PLATFORM
	status=0
	"$BUILD/examples/plugins" -n colour=blue "$work/one" "$work/two" "$work/three" >"$work/got" 2>&1 || status=$?
	cat >"$work/want" <<-'X'
		[one] from one: {"plugin": "one", "reads": 3, "colour": "blue"}
		[one] \033[31mred
		one: OK
		[two] /host:
		[two] config.json
		[two] log
		[two] store
		[two] 
		[two] /host/store:
		[two] answer
		two: OK
		three: output
		answer = 3 bytes: 42
	X
	diff -u "$work/want" "$work/got" || die "$MOAT_PLATFORM: the example printed something else"
	same "$MOAT_PLATFORM: status" 1 $status
done
