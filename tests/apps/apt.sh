#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# Debian packages: built, put into a repository that is served over HTTP, installed with what they need, upgraded,
# configured, removed. apt fetches as a user of its own; dpkg renames, links and syncs a lot.
cd /tmp || exit 1
export DEBIAN_FRONTEND=noninteractive

package() { # NAME VERSION DEPENDS
	rm -rf "p/$1"
	mkdir -p "p/$1/DEBIAN" "p/$1/etc/$1" "p/$1/usr/bin" "p/$1/usr/share/$1"
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDepends: %s\nDescription: a test\n' \
		"$1" "$2" "$3" | sed '/^Depends: $/d' >"p/$1/DEBIAN/control"
	echo "setting of $2" >"p/$1/etc/$1/settings"
	echo "/etc/$1/settings" >"p/$1/DEBIAN/conffiles"
	printf '#!/bin/sh\necho "%s %s"\n' "$1" "$2" >"p/$1/usr/bin/$1"
	chmod 4755 "p/$1/usr/bin/$1"
	ln "p/$1/usr/bin/$1" "p/$1/usr/bin/$1-too"
	ln -s "$1" "p/$1/usr/bin/$1-link"
	for i in $(seq 200); do echo "$2 $i" >"p/$1/usr/share/$1/file $i"; done
	for s in preinst postinst prerm postrm; do
		printf '#!/bin/sh\necho "%s: %s $*" >>/tmp/scripts\n' "$1" "$s" >"p/$1/DEBIAN/$s"
		chmod 755 "p/$1/DEBIAN/$s"
	done
	dpkg-deb --root-owner-group --build "p/$1" "repo/$1_$2_all.deb" >/dev/null || echo "not built"
}

index() {
	(cd repo && dpkg-scanpackages . 2>/dev/null >Packages && gzip -kf Packages)
}

apt() {
	apt-get -qq -o Dir::Etc::sourcelist=/tmp/sources.list -o Dir::Etc::sourceparts=/dev/null "$@" >log 2>&1 ||
		{ echo "apt-get $*: $?"; cat log; }
}

show() {
	dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n' 'moat-*' 2>/dev/null
	cat scripts
	: >scripts
}

mkdir repo
python3 -m http.server --bind 127.0.0.1 --directory repo 8000 >/dev/null 2>&1 &
server=$!
until (: </dev/tcp/127.0.0.1/8000) 2>/dev/null; do sleep 0.1; done
echo 'deb [trusted=yes] http://127.0.0.1:8000 ./' >sources.list
package moat-base 1.0 ''
package moat-top 1.0 'moat-base (>= 1.0)'
index
apt update
apt install -y moat-top
show
moat-top
moat-base-link
stat -c '%a %U %h %F' /usr/bin/moat-base /usr/bin/moat-base-too /usr/bin/moat-top-link
find /usr/share/moat-top -type f | wc -l
dpkg -S /usr/bin/moat-top-too
dpkg --verify moat-top moat-base && echo "as packed"
echo changed >>/etc/moat-base/settings
echo more >>"/usr/share/moat-base/file 7"
dpkg --verify moat-top moat-base
package moat-base 1.1 ''
sleep 1 # HTTP's times are whole seconds: a list of the same second is not fetched again
index
apt update
apt -o Dpkg::Options::=--force-confold dist-upgrade -y -o Debug::NoLocking=false moat-base
show
moat-base
cat /etc/moat-base/settings
find /etc/moat-base -type f | sort
apt remove -y moat-base
show
apt purge -y moat-base
show
find /etc/moat-base /usr/share/moat-base /usr/bin/moat-top 2>&1
python3 - <<'P'
import fcntl, subprocess
with open("/var/lib/dpkg/lock-frontend", "w") as f:
    fcntl.lockf(f, fcntl.LOCK_EX)
    r = subprocess.run(["apt-get", "-y", "-o", "Dir::Etc::sourcelist=/tmp/sources.list", "install", "moat-top"],
        capture_output=True, text=True)
    print(r.returncode, "Could not get lock" in r.stderr)
P
kill $server
