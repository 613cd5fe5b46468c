#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whichever process dies, the rest of the sandbox goes with it, somebody says so, and nothing stays behind.
# In a mount namespace of its own, where nobody else mounts meanwhile.
if [ "$(id -u)" = 0 ] && [ -z "${ALONE:-}" ]; then
	ALONE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
. "$(dirname "$0")/../lib/common.sh"

program='echo ready; while :; do sleep 1; done'
mounts() { cut -d' ' -f2- /proc/self/mountinfo | sort; }
mounts >"$work/mounts"

# A signal to the command goes to the program.
start_moat -- /bin/sh -c 'trap "exit 7" TERM; '"$program"
all="$sentry_pid $gofer_pid $(below "$sentry_pid")"
kill -TERM "$moat_pid"
status=0; wait "$moat_pid" || status=$?
same "status after SIGTERM and exit 7" 7 $status
gone $all

# The command is killed.
start_moat -- /bin/sh -c "$program"
all="$sentry_pid $gofer_pid $(below "$sentry_pid")"
kill -KILL "$moat_pid"
wait "$moat_pid" 2>/dev/null || true
gone $all

# The gofer is killed.
start_moat -- /bin/sh -c "$program"
all="$sentry_pid $gofer_pid $(below "$sentry_pid")"
kill -KILL "$gofer_pid"
status=0; wait "$moat_pid" || status=$?
same "status after the gofer's death" 137 $status
grep -q 'the gofer died' "$work/err" || die "nothing was said about the gofer: $(cat "$work/err")"
gone $all

# The sentry is killed.
start_moat -- /bin/sh -c "$program"
all="$sentry_pid $gofer_pid $(below "$sentry_pid")"
kill -KILL "$sentry_pid"
status=0; wait "$moat_pid" || status=$?
same "status after the sentry's death" 137 $status
grep -q 'killed by signal 9' "$work/err" || die "nothing was said about the sentry: $(cat "$work/err")"
gone $all

# Some may be gone, when somebody removed what they stood on.
same "new mounts" "" "$(comm -13 "$work/mounts" <(mounts))"
