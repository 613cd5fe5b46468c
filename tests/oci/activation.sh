#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a service manager gives to a container: sockets that listen (LISTEN_FDS), descriptors (--preserve-fds), and a
# socket to say that it is ready (NOTIFY_SOCKET).
. "$(dirname "$0")/../lib/container.sh"
py() { # PROGRAM: this machine's files, read-only, and a /run of its own
	python3 - "$1" >"$work/b/config.json" <<-'P'
		import json, sys
		print(json.dumps({"ociVersion": "1.2.0", "process": {"args": ["python3", "-c", sys.argv[1]], "env": ["PATH=/usr/bin:/bin"], "cwd": "/"},
		  "root": {"path": "/", "readonly": True},
		  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/run", "type": "tmpfs", "source": "tmpfs"}],
		  "linux": {"namespaces": [{"type": t} for t in "pid network ipc uts mount".split()]}}))
	P
}
cat >"$work/activate.py" <<'P'
"""Listen on a unix and a TCP socket, start a container with them as 3 and 4, and talk to it."""
import os, socket, subprocess, sys

work, argv = sys.argv[1], sys.argv[2:]
u = socket.socket(socket.AF_UNIX)
u.bind(work + "/listen.sock")
t = socket.socket()
t.bind(("127.0.0.1", 0))
for s in (u, t):
    s.listen()
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
d.bind(("127.0.0.1", 0))
fds = [u.fileno(), t.fileno(), d.fileno()]
high = [os.dup2(f, 100 + i) for i, f in enumerate(fds)]


def arrange():
    for i, f in enumerate(high):
        os.dup2(f, 3 + i)


env = {**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "unix:tcp"}
p = subprocess.Popen(argv, env=env, preexec_fn=arrange, close_fds=False, stdin=subprocess.DEVNULL,
                     stdout=open(work + "/guest.out", "w"))
for s, family, address in ((u, socket.AF_UNIX, work + "/listen.sock"), (t, socket.AF_INET, t.getsockname())):
    for i in range(2):
        c = socket.socket(family)
        c.settimeout(30)
        c.connect(address)
        c.sendall(b"x" * 100000 + b"\n")
        c.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            more = c.recv(65536)
            if not more:
                break
            got += more
        print(family.name, i, len(got), got[-20:])
q = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
q.settimeout(30)
q.sendto(b"ping", d.getsockname())
print(q.recv(100))
print("status", p.wait())
P
py '
import os, socket, select
print(os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"], os.environ["LISTEN_FDNAMES"], os.getpid(), flush=True)
for fd, blocking in ((3, True), (4, False)):
    s = socket.socket(fileno=fd)
    print(s.family.name, s.type.name, s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), flush=True)
    s.setblocking(blocking)
    for i in range(2):
        if not blocking:
            select.select([s], [], [])
        c, a = s.accept()
        if s.family == socket.AF_INET:
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert c.getpeername()[0] == "127.0.0.1"
        else:
            assert c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12) == bytes(4) + b"\xfe\xff\0\0" * 2
            try:
                socket.send_fds(c, [b"x"], [0])
                print("a descriptor went out")
            except OSError:
                pass
        c.setblocking(True)
        with c, c.makefile("rwb") as f:
            line = f.readline()
            f.write(line + b"bye %d" % len(line))
    s.setblocking(False)
    try:
        s.accept()
        print("what?")
    except BlockingIOError:
        pass
d = socket.socket(fileno=5)
data, a = d.recvfrom(100)
d.sendto(data + b" pong", a)
for s, what in ((socket.socket(socket.AF_INET), "net"), (d, "given")):
    try:
        s.connect(("127.0.0.1", 1))
    except OSError as e:
        print(what, e.errno)
print("end")
'
timeout -s KILL 60 python3 "$work/activate.py" "$work" "$moat" --root "$work/state" run --preserve-fds 1 -b "$work/b" c1 >"$work/out" 2>&1 || { sleep 1; die "sockets that listen: $(cat "$work/out")"; }
same "sockets that listen, outside" "$(
	cat <<'E'
AF_UNIX 0 100011 b'x\nbye 100001'
AF_UNIX 1 100011 b'x\nbye 100001'
AF_INET 0 100011 b'x\nbye 100001'
AF_INET 1 100011 b'x\nbye 100001'
b'ping pong'
status 0
E
)" "$(sed 's/xxxxxxxx*/x/' "$work/out")"
same "sockets that listen, inside" "$(
	cat <<'E'
2 1 unix:tcp 1
AF_UNIX SOCK_STREAM 1
AF_INET SOCK_STREAM 1
net 111
given 13
end
E
)" "$(cat "$work/guest.out")"

# What it says to the service manager: only what tells of itself passes, and MAINPID comes from us.
cat >"$work/manager.py" <<'P'
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(40)
p = subprocess.Popen(sys.argv[3:], env={**os.environ, "NOTIFY_SOCKET": sys.argv[1]}, stdin=subprocess.DEVNULL)
for _ in range(int(sys.argv[2])):
    print(s.recv(5000))
print("status", p.wait())
P
py '
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"MAINPID=1\nFDSTORE=1\nSTATUS=half\x1b way\nREADY=0\n")
r, w = os.pipe()
socket.send_fds(s, [b"BARRIER=1"], [w])
os.close(w)
assert os.read(r, 1) == b""
s.send(b"X=1\nREADY=1\nSTATUS=fine")
# Nobody listens any more after that; a full queue would be EAGAIN.
for i in range(500):
    try:
        s.send(b"READY=1")
    except OSError as e:
        sys.exit(7 if e.errno in (111, 107) else 8)
    time.sleep(0.01)
'
m_create() { NOTIFY_SOCKET="$work/n$1" m create -b "$work/b" "n$1"; }
m_create 1 >/dev/null || die "create: $(cat "$work/err")"
note n1
pid=$(m state n1 | sed -n 's/.*"pid": \([0-9]*\),/\1/p')
timeout -s KILL 60 python3 "$work/manager.py" "$work/n1" 3 "$moat" --root "$work/state" start n1 >"$work/out" 2>&1 || die "start: $(cat "$work/out")"
same "what the manager hears" 'b'\''STATUS=half? way\n'\''
b'\''READY=1\nSTATUS=fine\n'\''
b'\''MAINPID='$pid'\n'\''
status 0' "$(cat "$work/out")"
until_true is n1 stopped
m delete n1
# In front it goes on beside: the manager knows its process already.
timeout -s KILL 60 python3 "$work/manager.py" "$work/n2" 2 "$moat" --root "$work/state" run -b "$work/b" n2 >"$work/out" 2>&1
same "what the manager hears of one in front" 'b'\''STATUS=half? way\n'\''
b'\''READY=1\nSTATUS=fine\n'\''
status 7' "$(cat "$work/out")"
# One that ends without a word does not keep start waiting; and without a manager there is no socket.
py 'import os; print(os.environ.get("NOTIFY_SOCKET"), os.path.exists("/run/notify"), flush=True)'
NOTIFY_SOCKET=$work/n3 m create -b "$work/b" n3 >"$work/n3.out" || die "create: $(cat "$work/err")"
note n3
NOTIFY_SOCKET=$work/n3 m start n3 || die "start: $(cat "$work/err")"
until_true is n3 stopped
m delete n3
same "a socket" "/run/notify/notify.sock True" "$(cat "$work/n3.out")"
same "no manager" "None False" "$(m run -b "$work/b" n4)"
nothing_left
