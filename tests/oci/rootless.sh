#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A bundle of a user who is not root, as `spec --rootless` makes it: who is root inside is that user.
. "$(dirname "$0")/../lib/container.sh"
[ "$(id -u)" = 0 ] || skip "needs root, to become somebody else"
command -v setpriv >/dev/null || skip "no setpriv"
other=12345
chmod 755 "$work"
mkdir "$work/state" "$work/there"
as=(timeout -s KILL 60 setpriv --reuid $other --regid $other --clear-groups env -i PATH="$PATH" HOME="$work")
"${as[@]}" unshare -U true 2>/dev/null || skip "the host lets only root make user namespaces"
# Where the sources are, that user may not be allowed to walk (/root).
real=$(realpath "$BUILD")
mkdir "$work/bin"
cp "$real"/moat "$real"/moat-sentry "$real"/moat-gofer "$real"/moat-anchor "$work/bin"
chmod -R a+rX "$work/bin"
if [ "${MOAT_FLAGS:-}" ]; then sed -i "s|$real/moat|$work/bin/moat|g" "$moat"; else moat=$work/bin/moat; fi
u() { "${as[@]}" "$moat" --root "$work/state" "$@" 2>"$work/err" </dev/null; }
chown -R $other:$other "$work/b" "$work/state" "$work/there"
u spec --rootless -b "$work/b" || die "spec: $(cat "$work/err")"
cat >"$work/edit" <<'P'
import json, sys
path, code = sys.argv[1:]
with open(path) as f:
    j = json.load(f)
exec(code)
with open(path, "w") as f:
    json.dump(j, f)
P
edit() { python3 "$work/edit" "$work/b/config.json" "$1"; }
edit 'j["process"]["terminal"] = False; j["root"]["readonly"] = False; j["process"]["args"] = ["sh", "-c", "id -u; echo made >/root/f; stat -c %u /root/f"]
j["process"]["env"] = ["PATH=/bin"]'
same "who it is" "0 0" "$(echo $(u run -b "$work/b" c1))"
same "who that is outside" "$other" "$(stat -c %u "$work/b/rootfs/root/f")"
edit 'j["process"]["args"] = ["sleep", "1000"]'
u create -b "$work/b" c2 >"$work/out" || die "create: $(cat "$work/err")"
note c2
u start c2 || die "start: $(cat "$work/err")"
same "a program more" "0 made" "$(echo $(u exec c2 sh -c 'id -u; cat /root/f'))"
p=$(field c2 pid)
same "who the process is" "$other" "$(stat -c %u "/proc/$p")"
same "what it shows" "made" "$(nsenter -m -t "$p" cat /root/f 2>/dev/null || cat "/proc/$p/root/root/f")"
u kill c2 KILL || die "kill: $(cat "$work/err")"
over() { u state c2 | grep -q stopped; }
until_true over
u delete c2 || die "delete: $(cat "$work/err")"
# What only root can have says so.
edit 'j["mounts"].append({"destination": "/tmp", "type": "bind", "source": "'"$work/there"'", "options": ["bind", "idmap"]})'
fails 1 'other owners (idmap): Operation not permitted' u create -b "$work/b" c3
edit 'j["mounts"][-1]["options"].remove("idmap")'
same "without it" "there" "$(touch "$work/there/there"; edit 'j["process"]["args"] = ["ls", "/tmp"]'; u run -b "$work/b" c4)"
nothing_left
