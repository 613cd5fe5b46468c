#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A tiny server of functions, as ../../examples/funcd.c: funcd.py [-p PORT] [-t CPU-MS] DIRECTORY"""
import argparse
import http.server
import os
import pathlib
import re
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import moat  # noqa: E402

MIB = 1 << 20
BODY_MAX = MIB
STATUS = {moat.Verdict.OK: 200, moat.Verdict.LIMIT_CPU: 504, moat.Verdict.LIMIT_WALL: 504,
          moat.Verdict.LIMIT_MEMORY: 507, moat.Verdict.LIMIT_FILE: 507, moat.Verdict.LIMIT_OUTPUT: 502}


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def mounts(self):
        return [moat.tmpfs("/"), moat.Mount("proc", "/proc"), moat.Mount("dev", "/dev"), moat.tmpfs("/tmp"),
                moat.Host(self.server.directory, "/functions", readonly=True, shared=True)] + \
            [moat.Host(d, readonly=True) for d in ("/usr", "/bin", "/lib", "/lib64", "/etc/alternatives")
             if os.path.exists(d)]

    def do_GET(self):
        name, _, query = self.path[1:].partition("?")
        path = os.path.join(self.server.directory, name)
        if not re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9_.]*", name) or not os.path.isfile(path) or \
                not os.access(path, os.X_OK):
            return self.send_error(404)
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,9}", length):
            return self.send_error(400)
        if int(length) > BODY_MAX:
            return self.send_error(413)
        try:
            r = moat.run([f"/functions/{name}"], mounts=self.mounts(), cwd="/tmp", limits=self.server.limits,
                         input=self.rfile.read(int(length)),
                         env={"PATH": "/usr/bin:/bin", "REQUEST_METHOD": self.command, "QUERY_STRING": query})
        except moat.Error as e:
            self.log_error("%s", e)
            return self.send_error(500 if e.exec else 503)
        status = STATUS.get(r.verdict, 500)
        if status != 200:
            return self.send_error(status)
        self.send_response(200)
        self.send_header("Content-Length", str(len(r.out)))
        self.end_headers()
        self.wfile.write(r.out)

    do_POST = do_GET


class Server(http.server.ThreadingHTTPServer):
    def shutdown_request(self, request):
        """What came and was not read would reset the connection, and the answer be lost (RFC 9112, 9.6)."""
        try:
            request.shutdown(socket.SHUT_WR)
            request.settimeout(1)
            until = time.monotonic() + 2
            while request.recv(4096) and time.monotonic() < until:
                pass
        except OSError:
            pass
        self.close_request(request)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-p", type=int, default=8080, metavar="PORT")
    p.add_argument("-t", type=int, default=1000, metavar="CPU-MS")
    p.add_argument("directory")
    a = p.parse_args()
    server = Server(("127.0.0.1", a.p), Handler)
    server.directory = os.path.realpath(a.directory)
    server.limits = moat.Limits(cpu_ms=a.t, wall_ms=2 * a.t, memory_bytes=64 * MIB, processes=32, output_bytes=4 * MIB,
                                file_bytes=16 * MIB)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
