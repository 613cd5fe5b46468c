#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# moat install, uninstall: what else the engines' files say stays, twice is once, and what is taken back is as it was.
. "$(dirname "$0")/../lib/common.sh"
e=$work/etc
mi() { "$moat" "$@" 2>"$work/err"; }
mkdir -p "$e/docker" "$e/real" "$e/containerd"
cat >"$e/real/daemon.json" <<'J'
{
  "log-driver": "json-file",
  "runtimes": {"other": {"path": "/bin/other", "runtimeArgs": ["--x"]}},
  "default-runtime": "other"
}
J
ln -s ../real/daemon.json "$e/docker/daemon.json"
chmod 640 "$e/real/daemon.json"
cat >"$e/containerd/config.toml" <<'T'
# mine
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:1"
T
cp -a "$e" "$work/before"
mi install --etc "$e" >"$work/out" || die "install: $(cat "$work/err")"
[ -L "$e/docker/daemon.json" ] || die "the link was replaced"
same "mode" 640 "$(stat -c %a "$e/real/daemon.json")"
command -v python3 >/dev/null || skip "no python3 to read JSON with"
q() { python3 -c 'import json,sys; j=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$e/docker/daemon.json" "$1"; }
same "docker" "$moat other /bin/other json-file" "$(q "j['runtimes']['moat']['path'], j['default-runtime'], j['runtimes']['other']['path'], j['log-driver']" | tr -d "(),'")"
same "order" "log-driver runtimes default-runtime" "$(q "' '.join(j)")"
same "podman" "moat = [\"$moat\"]" "$(grep ^moat "$e/containers/containers.conf.d/moat.conf")"
grep -q "BinaryName = \"$moat\"" "$e/containerd/config.toml" || die "containerd: $(cat "$e/containerd/config.toml")"
grep -q '^# mine' "$e/containerd/config.toml" || die "containerd's own: $(cat "$e/containerd/config.toml")"
# Twice is once.
cp -a "$e" "$work/once"
mi install --etc "$e" >"$work/out"
same "a second time" "3 as it was" "$(grep -c 'as it was' "$work/out") as it was"
diff -r "$work/once" "$e" || die "the second time changed something"
same "times of the files" "$(stat -c '%i %Y' "$work/once"/*/* | wc -l)" "$(stat -c '%i %Y' "$e"/*/* | wc -l)"
# Arguments of ours stay, another path is set right.
sed -i "s|\"path\": \"$moat\"|\"path\": \"/old\", \"runtimeArgs\": [\"--platform=ptrace\"]|" "$e/real/daemon.json"
mi install --etc "$e" docker >/dev/null
same "arguments" "$moat --platform=ptrace" "$(q "j['runtimes']['moat']['path'], j['runtimes']['moat']['runtimeArgs'][0]" | tr -d "(),'")"
# Back.
mi uninstall --etc "$e" >/dev/null || die "uninstall: $(cat "$work/err")"
same "docker afterwards" "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1])))' "$work/before/real/daemon.json")" "$(q j)"
[ ! -e "$e/containers/containers.conf.d/moat.conf" ] || die "podman's file is still there"
diff "$work/before/containerd/config.toml" "$e/containerd/config.toml" || die "containerd's file is another one"
mi uninstall --etc "$e" >"$work/out"
same "uninstall again" 3 "$(grep -c 'as it was' "$work/out")"
# From nothing to nothing.
mkdir "$work/none"
mi install --etc "$work/none" >/dev/null && mi uninstall --etc "$work/none" >/dev/null || die "from nothing: $(cat "$work/err")"
same "files from nothing" "" "$(find "$work/none" -type f)"
# What cannot be read is left alone, and named.
refused() { # WORDS ENGINE COMMAND
	mi "${3:-install}" --etc "$e" "$2" >/dev/null && die "$2: not refused"
	same "status of $2" 1 $?
	grep -q "$1" "$work/err" || die "$2: $(cat "$work/err")"
}
echo '{"a": ' >"$e/real/daemon.json"
refused 'daemon.json:2: ' docker
same "a file that is no JSON" '{"a": ' "$(cat "$e/real/daemon.json")"
echo '{"runtimes":{"moat":{"path":"/x"}},"default-runtime":"moat"}' >"$e/real/daemon.json"
refused 'default-runtime is moat' docker uninstall
echo '[plugins]' >"$e/containerd/config.toml"
refused 'not of version 2' containerd
rm "$e/docker/daemon.json" && mkfifo "$e/docker/daemon.json"
refused 'daemon.json: not a text' docker
refused 'nosuch: not an engine' nosuch
# The engines read what was written.
if command -v containerd >/dev/null; then
	mi install --etc "$work/none" containerd >/dev/null
	containerd --config "$work/none/containerd/config.toml" config dump 2>/dev/null | grep -q "BinaryName = \"$moat\"" ||
		die "containerd does not read it"
fi
