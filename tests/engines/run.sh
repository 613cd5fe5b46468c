#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Operations of one engine with runc and with moat: a table of what each printed the same or not.
# usage: run.sh ENGINE [PATTERN]      the engine runs already
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
engine=$1 pattern=${2:-}
moat=$(realpath "${BUILD:-build}/moat")
work=$(mktemp -d /tmp/engines.XXXXXX)
trap 'rm -rf "$work"' EXIT
. "$here/$engine.sh"
good=0 bad=0
# Run what the README says under a heading, with the image, names and programs of these tests; what installs is
# tests/oci/install.sh's. Numbers that differ each time are left out of what it prints.
readme() { # HEADING SED-SCRIPT
	local lines out
	lines=$(awk -v h="### $1" '$0 == h {here = 1; next} /^##/ {here = 0} here && /^```/ {code = !code; next} here && code' "$here/../../README.md" |
		grep -Ev '^moat install|^ctr image pull' | sed -E "s/\bweb\b/$n/g; $2")
	out=$(eval "$lines" 2>&1 | sed -E "s/$n/web/; s/^ +[0-9]+ //" | grep -vE '^[0-9a-f]{64}$')
	[[ $out == *hello*httpd*ps* ]] || echo "not with $runtime:"
	echo "$out"
}
# One operation with one runtime, in a folder of its own.
one() { # RUNTIME CODE
	runtime=$1 n=t$RANDOM$RANDOM
	engine_vars
	mkdir -p "$work/w"
	(cd "$work/w" && eval "$2") 2>"$work/err.$1" </dev/null
	engine_clean
}
op() { # NAME CODE
	case $1 in *"$pattern"*) ;; *) return ;; esac
	one runc "$2" >"$work/runc"
	one moat "$2" >"$work/moat"
	if cmp -s "$work/runc" "$work/moat" && [ -s "$work/runc" ]; then
		good=$((good + 1))
		printf '%-34s same\n' "$1"
	else
		bad=$((bad + 1))
		printf '%-34s DIFFERENT\n' "$1"
		diff "$work/runc" "$work/moat" | sed 's/^/    /' | head -n 8
		for r in runc moat; do sed -n '1,2p;$p' "$work/err.$r" | sed "s/^/    $r stderr: /"; done
	fi
}
. "$here/$engine.ops"
echo "$engine: $good same as runc, $bad different"
[ $bad = 0 ]
