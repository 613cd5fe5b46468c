#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The two judges, in C and in Python: a submission for each verdict.
. "$(dirname "$0")/../lib/common.sh"
command -v gcc >/dev/null || skip "no gcc here"
export PYTHONDONTWRITEBYTECODE=1 MOAT_LIBEXEC=$BUILD MOAT_LIBRARY=$BUILD/libmoat.so.0
mkdir "$work/tests"
echo "1 2" >"$work/tests/a.in"; echo 3 >"$work/tests/a.out"
echo "40 2" >"$work/tests/b.in"; echo 42 >"$work/tests/b.out"
mkdir "$work/one"
cp "$work/tests/a".* "$work/one"
tests=$work/tests

submission() { cat >"$work/s.c"; }
judges=("$BUILD/examples/judge" "python3 tools/python/examples/judge.py")
verdict() { # WHAT WANT: of submission s.c, by each judge that is asked for
	# A busy machine takes its time; only who is to run out of it has little.
	local j got ms=5000
	[ "$2" != TLE ] || ms=300
	for j in "${judges[@]}"; do
		got=$(timeout -s KILL 90 $j -t $ms -m 48 "$work/s.c" "$tests" 2>"$work/err" | tail -n 1)
		same "$1 ($j): $(cat "$work/err")" "verdict: $2" "$got"
	done
}

submission <<'X'
#include <stdio.h>
int main(void) { int a, b; if (scanf("%d %d", &a, &b) != 2) return 1; printf("%d\n", a + b); return 0; }
X
verdict "right" OK
submission <<'X'
#include <stdio.h>
int main(void) { puts("3"); return 0; }
X
verdict "right once" WA
tests=$work/one
submission <<'X'
int main(void) { for (;;) ; }
X
verdict "endless" TLE
submission <<'X'
#include <stdlib.h>
#include <string.h>
int main(void) { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }
X
verdict "memory hog" MLE
submission <<'X'
#include <stdio.h>
int main(void) { for (;;) puts("again and again and again and again and again and again and again"); }
X
verdict "endless output" OLE
submission <<'X'
int main(void) { return no such thing; }
X
verdict "no C" CE

# What else there is, by the first judge.
judges=("$BUILD/examples/judge")
submission <<'X'
int main(void) { return *(volatile int *)8; }
X
verdict "null pointer" RE
submission <<'X'
#include <unistd.h>
int main(void) { sleep(1000); return 0; }
X
verdict "sleeper" TLE
submission <<'X'
#include <unistd.h>
int main(void) { for (;;) fork(); }
X
verdict "fork bomb" TLE
submission <<'X'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) { for (int i = 0; i < 6; i++) fork() || (setsid(), memset(malloc(12 << 20), 1, 12 << 20), sleep(99)); sleep(99); }
X
verdict "memory hog that forks" MLE
submission <<'X'
#include <stdlib.h>
int main(void) { abort(); }
X
verdict "abort" RE
submission <<'X'
#include <stdio.h>
#include <unistd.h>
int main(void) { close(1); return puts("3") < 0; }
X
verdict "closed output" WA
submission <<'X'
#include <signal.h>
#include <unistd.h>
int main(void) { for (int i = 1; i < 32; i++) signal(i, SIG_IGN); if (fork()) _exit(0); setsid(); for (;;) ; }
X
verdict "leaves a child behind" WA
submission <<'X'
#include <stdio.h>
#include <sys/resource.h>
int main(void)
{
	struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};
	static char block[1 << 20];
	FILE *f = fopen("/tmp/x", "w");
	setrlimit(RLIMIT_FSIZE, &l);
	for (int i = 0; i < 20; i++)
		fwrite(block, sizeof block, 1, f);
	return fclose(f) != 0;
}
X
verdict "a file that is too large" RE
# The answers are seen neither while it is compiled nor while it runs.
submission <<X
#include <stdio.h>
int answer =
#include "$work/one/a.out"
;
int main(void) { printf("%d\n", answer); return 0; }
X
verdict "includes the answers" CE
submission <<X
#include <stdio.h>
int main(void) { char s[99] = ""; FILE *f = fopen("$work/one/a.out", "r"); if (f) fgets(s, 99, f); puts(s); return 0; }
X
verdict "reads the answers" WA
same "left over" "" "$(ls -d /tmp/judge.?????? 2>/dev/null)"
