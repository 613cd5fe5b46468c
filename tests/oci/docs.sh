#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What make install puts where; man pages and completions have every command and every option; bash's completes.
. "$(dirname "$0")/../lib/common.sh"
make -s BUILD="$BUILD" DESTDIR="$work/to" PREFIX=/usr install >/dev/null 2>&1 || die "make install fails"
for f in bin/moat libexec/moat/moat-sentry libexec/moat/moat-gofer libexec/moat/moat-anchor libexec/moat/moat-systemd include/moat/moat.h share/man/man1/moat.1 \
	share/man/man1/moat-do.1 share/man/man1/moat-run.1 share/man/man3/libmoat.3 share/bash-completion/completions/moat \
	share/zsh/site-functions/_moat share/fish/vendor_completions.d/moat.fish; do
	[ -s "$work/to/usr/$f" ] || die "not installed: $f"
done
same "the installed one" hi "$("$work/to/usr/bin/moat" do -- echo hi)"
same "sentry/syscall/README.md is moat syscalls --markdown" "" "$("$moat" syscalls --markdown | diff sentry/syscall/README.md -)"
doc=$BUILD/doc n=0
for c in $("$moat" --help | awk '/^  [a-z]/ {print $1}'); do
	grep -q "^.SS \"$c\"" "$doc/moat.1" || die "moat.1 has no $c"
	grep -q "'$c:" "$doc/_moat" || die "zsh has no $c"
	grep -q -- "-a $c " "$doc/moat.fish" || die "fish has no $c"
	for o in $("$moat" "$c" --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'); do
		n=$((n + 1))
		sed -n "/^.SS \"$c\"/,/^.S[SH] /p" "$doc/moat.1" | grep -qF -- "\\-\\-${o//-/\\-}" || die "moat.1: $c has no --$o"
		grep "^	$c) opts=" "$doc/moat.bash" | grep -q -- "--$o[ ']" || die "bash: $c has no --$o"
		grep "^	$c) _arguments" "$doc/_moat" | grep -q -- "'--$o[=[]" || die "zsh: $c has no --$o"
		grep "from $c'" "$doc/moat.fish" | grep -q -- "-l $o " || die "fish: $c has no --$o"
	done
done
[ $n -gt 60 ] || die "only $n options"
complete_with() { # WORDS...: what is offered for the last one
	bash -c '. "$1"; shift; COMP_WORDS=(moat "$@"); COMP_CWORD=$#; _moat; echo "${COMPREPLY[*]}"' _ "$doc/moat.bash" "$@"
}
same "a command" "start state" "$(complete_with sta | xargs -n1 | sort -r | sort | xargs)"
same "an option" "--bundle" "$(complete_with run --bu)"
same "no option of another one" "" "$(complete_with kill --bu)"
if command -v man >/dev/null; then
	for f in "$doc"/*.[13]; do
		same "warnings about $f" "" "$(MANWIDTH=120 man --warnings -l "$f" 2>&1 >/dev/null)"
	done
fi
if command -v zsh >/dev/null; then zsh -n "$doc/_moat" || die "zsh cannot read it"; fi
if command -v fish >/dev/null; then fish -n "$doc/moat.fish" || die "fish cannot read it"; fi
bash -n "$doc/moat.bash"
