#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The two servers of functions, in C and in Python: what each way to end is answered with, and many requests at once.
. "$(dirname "$0")/../lib/common.sh"
export PYTHONDONTWRITEBYTECODE=1 MOAT_LIBEXEC=$BUILD MOAT_LIBRARY=$BUILD/libmoat.so.0
functions=$work/functions
mkdir "$functions"
function_() { cat >"$functions/$1"; chmod +x "$functions/$1"; }
function_ hello <<'X'
#!/bin/sh
echo "hello, $REQUEST_METHOD $QUERY_STRING"
X
function_ count <<'X'
#!/bin/sh
wc -c
X
function_ upper <<'X'
#!/usr/bin/python3
import sys
sys.stdout.buffer.write(sys.stdin.buffer.read().upper())
X
function_ fails <<'X'
#!/bin/sh
echo partly; exit 3
X
function_ spins <<'X'
#!/bin/sh
while :; do :; done
X
function_ sleeps <<'X'
#!/bin/sh
sleep 100
X
function_ hogs <<'X'
#!/usr/bin/python3
x = b"x" * (200 << 20)
X
function_ talks <<'X'
#!/bin/sh
yes
X
function_ writes <<'X'
#!/bin/sh
echo gone >>/tmp/file; cat /tmp/file; echo no >/functions/hello
X
echo "not executable" >"$functions/data"

cat >"$work/ask.py" <<'X'
import concurrent.futures, http.client, sys
port = int(sys.argv[1])
def ask(path, method="GET", body=None, headers={}):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=50)
    c.request(method, path, body, headers)
    r = c.getresponse()
    return r.status, r.read()
def want(got, status, body=None):
    assert got[0] == status and body in (None, got[1]), (got, status, body)
want(ask("/hello?x=1&y"), 200, b"hello, GET x=1&y\n")
want(ask("/count", "POST", b"x" * 300000), 200, b"300000\n")
want(ask("/upper", "POST", b"abc"), 200, b"ABC")
for path in ("/", "/missing", "/data", "/../etc/passwd", "/%2e%2e", "/.hidden", "/hello/x"):
    want(ask(path), 404)
want(ask("/fails"), 500)
want(ask("/spins"), 504)
want(ask("/sleeps"), 504)
want(ask("/hogs"), 507)
want(ask("/talks"), 502)
want(ask("/writes"), 500)
want(ask("/hello"), 200, b"hello, GET \n")
want(ask("/count", "POST", b"x", {"Content-Length": "2000000"}), 413)
# What is refused is answered, too, where the body has come and was not read.
for _ in range(50):
    want(ask("/count", "POST", b"x" * 5000, {"Content-Length": "-1"}), 400)
    want(ask("/count", "POST", b"x" * 5000, {"Content-Length": "2000000"}), 413)
assert ask("/hello", "DELETE")[0] in (405, 501)
# Side by side, each with its own files, while others use up their limits.
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    slow = [pool.submit(ask, p) for p in ("/sleeps", "/spins")]
    jobs = [(i, pool.submit(ask, "/upper", "POST", b"body %d" % i)) for i in range(30)]
    for i, j in jobs:
        want(j.result(), 200, b"BODY %d" % i)
    for s in slow:
        want(s.result(), 504)
X

for server in "$BUILD/examples/funcd" "python3 tools/python/examples/funcd.py"; do
	# Time enough on a busy machine.
	$server -p 0 -t 5000 "$functions" >"$work/out" 2>"$work/log" &
	pid=$!
	for _ in $(seq 100); do
		grep -q listening "$work/out" && break
		sleep 0.1
	done
	port=$(sed -n 's|.*:\([0-9]*\)/$|\1|p' "$work/out")
	[ "$port" ] || die "$server does not listen: $(cat "$work/log")"
	fds=$(ls "/proc/$pid/fd" | wc -l)
	timeout 140 python3 "$work/ask.py" "$port" || die "$server: $(tail -n 20 "$work/log")"
	if command -v curl >/dev/null; then
		same "curl" "hello, POST q" "$(curl -s --data x "http://127.0.0.1:$port/hello?q")"
	fi
	sleep 0.3
	same "descriptors of $server" "$fds" "$(ls "/proc/$pid/fd" | wc -l)"
	same "processes of $server" "" "$(cat "/proc/$pid/task/"*/children)"
	kill $pid
	wait $pid 2>/dev/null || true
done
