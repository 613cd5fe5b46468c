# SPDX-License-Identifier: Apache-2.0
"""Run a command on a terminal of 30 x 90, type what comes on standard input once it
has said "ready", print what it says."""
import fcntl, os, pty, select, struct, sys, termios, time

typed = sys.stdin.read()
functions = {"d": ["docker"], "p": ["podman"]}
argv = sys.argv[1:]
argv = functions.get(argv[0], [argv[0]]) + argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
said, start, sent = b"", time.time(), False
while time.time() - start < 25:
    readable, _, _ = select.select([fd], [], [], 0.1)
    if readable:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        said += data
    if not sent and b"ready" in said:
        sent = True
        if typed == "^C\n":
            os.write(fd, b"\x03")
        elif typed == "^W\n":
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        else:
            os.write(fd, typed.encode())
sys.stdout.write(said.decode(errors="replace").replace("\r", ""))
