#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An overlay whose layers are the host's files: what is below stays, what changes is in Linux's format. Attributes that are root's
# alone are not to be had there, so that no directory can take the place of one that was removed unless it is to use others.
. "$(dirname "$0")/../lib/common.sh"
[ "$(id -u)" = 0 ] || skip "not root"
cat >"$work/script" <<'S'
cd /data && mount -t overlay o -o "lowerdir=l,upperdir=u,workdir=w$1" m && cd m || exit
rm x; mv y z; mv v x; cat x; echo new >d/f; mv d/f d/g; cat d/g; rm d/g; rmdir d
mkdir d 2>/dev/null; echo "mkdir $?"
mkdir one; touch one/in; mkdir two; mv one two; rmdir two/one 2>/dev/null || echo "not empty"
mv e e2; ls e2/f; find . | sort
S
for p in ${PLATFORMS:-trap ptrace}; do
	for how in "" ,userxattr; do
		rm -rf "$work/data"
		mkdir -p "$work/data"/{l/d,l/e/f,u,w,m}
		for f in d/f x y v; do echo "low $f" >"$work/data/l/$f"; done
		before=$(cd "$work/data/l" && find . -type f -exec cat {} + -o -print | sort)
		got=$(timeout 60 "$moat" do --platform="$p" --volume="$work/data:/data" --volume="$work/script:/script:ro" -- \
			bash /script "$how" 2>"$work/err" </dev/null) || die "$p, $how: $(cat "$work/err")"
		made=0 list=$'./d\n'
		[ "$how" ] || made=1 list=
		same "$p, <$how>" "low v
new
mkdir $made
not empty
.
${list}./e2
./e2/f
./two
./two/one
./two/one/in
./x
./z" "$got"
		same "the lower tree" "$before" "$(cd "$work/data/l" && find . -type f -exec cat {} + -o -print | sort)"
		same "whiteouts" "e v y" "$(cd "$work/data/u" && for f in e v y d; do [ ! -c $f ] || stat -c '%n %t:%T' $f; done | grep ' 0:0$' |
			cut -d' ' -f1 | grep -v '^d$' | xargs)"
	done
done
