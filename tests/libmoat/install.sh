#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The library as others get it: installed below a prefix, found by pkg-config, used by a program of one file, which is the
# README's; and from Python.
. "$(dirname "$0")/../lib/common.sh"
command -v pkg-config >/dev/null || skip "no pkg-config here"
prefix=$work/usr
# The programs are looked for where the build was told that they will be.
make -s BUILD="$BUILD" DESTDIR="$work/dest" PREFIX=/usr/local install >"$work/log" 2>&1 || die "$(cat "$work/log")"
mv "$work/dest/usr/local" "$prefix"
sed -i "s|^prefix=.*|prefix=$prefix|" "$prefix/lib/pkgconfig/libmoat.pc"
for h in include/moat/*.h; do
	cmp -s "$h" "$prefix/include/moat/${h##*/}" || die "$h is not installed"
	# Each one alone, as C and as C++.
	echo "#include <moat/${h##*/}>" >"$work/one.c"
	cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$prefix/include" -c -o "$work/one.o" "$work/one.c"
	if command -v c++ >/dev/null; then
		c++ -x c++ -std=c++17 -Wall -Wextra -Werror -I"$prefix/include" -c -o "$work/one.o" "$work/one.c"
	fi
	[ "$h" = include/moat/cgroup.h ] || grep -q "<moat/${h##*/}>" "$prefix/share/man/man3/libmoat.3" ||
		die "libmoat(3) has nothing of $h"
done
# The README's program, as it stands there.
awk '/^## As a library/ {here = 1} here && /^#include <moat/ {code = 1} code && /^```/ {exit} code' README.md >"$work/run.c"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
pkg-config --exists libmoat || die "pkg-config does not find it"
flags=$(pkg-config --cflags --libs libmoat)
cc -Wall "$work/run.c" -o "$work/run" $flags || die "the program of README.md cannot be compiled"
# Where it would be without a prefix for tests.
sed "s|moat_config_init(&c);|&c.libexec = \"$prefix/libexec/moat\";|" "$work/run.c" >"$work/here.c"
cc -Wall "$work/here.c" -o "$work/run" $flags
same "what it prints" "OK: got it" "$("$work/run" 2>&1)"
! grep -qx mine /etc/motd 2>/dev/null || die "it was no sandbox"
# Linked statically, it needs what libmoat.pc says.
cc "$work/here.c" -o "$work/static" -I"$prefix/include" "$prefix/lib/libmoat.a" \
	$(pkg-config --static --libs-only-l libmoat | sed "s/-lmoat//")
same "linked statically" "OK: got it" "$("$work/static" 2>&1)"
same "from Python" "b'hi\\n'" "$(PYTHONDONTWRITEBYTECODE=1 MOAT_LIBEXEC=$prefix/libexec/moat PYTHONPATH=$prefix/share/moat/python \
	python3 -c 'import moat; print(moat.run(["echo", "hi"]).out)')"
# No name but the API's is to be seen.
same "exported names" "" "$(nm -D --defined-only "$prefix/lib/libmoat.so.0" | awk '{print $3}' | grep -v '^moat_')"
