#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
python3 - <<'P'
import threading, multiprocessing, subprocess, asyncio, sqlite3, ssl, json, os, socket, tempfile, time, hashlib
r=[]; l=threading.Lock()
def f(i):
    for _ in range(1000):
        with l: r.append(i)
t=[threading.Thread(target=f,args=(i,)) for i in range(4)]; [x.start() for x in t]; [x.join() for x in t]; print(len(r))
def sq(x): return x*x
with multiprocessing.Pool(3) as p: print(sum(p.map(sq,range(100))))
print(subprocess.run(['sh','-c','cat; exit 4'],input=b'in',capture_output=True))
async def main():
    async def h(rd,wr): wr.write((await rd.readline()).upper()); await wr.drain(); wr.close()
    s=await asyncio.start_server(h,'127.0.0.1',0); port=s.sockets[0].getsockname()[1]
    rd,wr=await asyncio.open_connection('127.0.0.1',port); wr.write(b'hello\n'); print(await rd.read()); wr.close(); s.close()
    print(await asyncio.gather(*[asyncio.sleep(0.01,i) for i in range(5)]))
asyncio.run(main())
c=sqlite3.connect('/tmp/x.db'); c.execute('create table t(a,b)'); c.executemany('insert into t values(?,?)',[(i,str(i)) for i in range(1000)]); c.commit(); print(c.execute('select sum(a),count(b) from t').fetchone())
print(ssl.create_default_context().verify_mode, hashlib.sha256(b'x').hexdigest()[:8])
a,b=socket.socketpair(); a.sendall(b'ping'); print(b.recv(10))
q=multiprocessing.Queue(); p=multiprocessing.Process(target=lambda: q.put(os.getpid()>1)); p.start(); print(q.get()); p.join(); print(p.exitcode)
P
