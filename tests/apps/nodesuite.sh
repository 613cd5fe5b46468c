#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# Node: fs, net, http, child_process, worker_threads, cluster, dgram, dns, tls, timers, signals.
cd /tmp || exit 1
openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=localhost 2>/dev/null
cat >t.js <<'J'
const fs = require('fs'), net = require('net'), cp = require('child_process'), os = require('os'), dgram = require('dgram');
const dns = require('dns'), tls = require('tls'), assert = require('assert'), path = require('path');
const { Worker } = require('worker_threads'), { once } = require('events'), http = require('http'), zlib = require('zlib');
const tests = {
  async fsBasics() {
    await fs.promises.mkdir('d/e/f', { recursive: true });
    await Promise.all([...Array(200).keys()].map(i => fs.promises.writeFile(`d/e/f/${i}`, 'x'.repeat(i))));
    const names = await fs.promises.readdir('d/e/f');
    let sum = 0;
    for (const n of names) sum += (await fs.promises.stat(path.join('d/e/f', n))).size;
    await fs.promises.rename('d/e/f/0', 'd/zero'); await fs.promises.symlink('zero', 'd/link');
    const link = await fs.promises.readlink('d/link'); await fs.promises.copyFile('d/e/f/199', 'd/copy');
    await fs.promises.rm('d', { recursive: true });
    return [names.length, sum, link, fs.existsSync('d')];
  },
  async fsWatch() {
    fs.writeFileSync('w', ''); const seen = []; const w = fs.watch('.', (e, n) => { if (n === 'w') seen.push(e); });
    await new Promise(r => setTimeout(r, 100)); fs.appendFileSync('w', 'x'); await new Promise(r => setTimeout(r, 200)); w.close();
    return seen.includes('change');
  },
  async fsStreams() {
    const r = require('stream').Readable.from([Buffer.alloc(1 << 20, 'a'), Buffer.alloc(1 << 20, 'b')]);
    await require('stream/promises').pipeline(r, zlib.createGzip(), fs.createWriteStream('z.gz'));
    let n = 0; for await (const c of fs.createReadStream('z.gz').pipe(zlib.createGunzip())) n += c.length;
    return n;
  },
  async netEcho() {
    const s = net.createServer(c => c.pipe(c)).listen(0, '127.0.0.1'); await once(s, 'listening');
    const r = await Promise.all([...Array(30).keys()].map(i => new Promise((ok, no) => {
      let d = ''; const c = net.connect(s.address().port, '127.0.0.1', () => c.end('m' + i)); c.on('data', x => d += x); c.on('end', () => ok(d)); c.on('error', no); })));
    s.close(); return r.join(',');
  },
  async netErrors() {
    const code = (o) => new Promise(ok => net.connect(o).on('error', e => ok(e.code)));
    const s = net.createServer().listen(0, '127.0.0.1'); await once(s, 'listening');
    const again = await new Promise(ok => net.createServer().on('error', e => ok(e.code)).listen(s.address().port, '127.0.0.1')); s.close();
    return [await code({ port: 1, host: '127.0.0.1' }), await code({ path: '/nonexistent.sock' }), again];
  },
  async unixAndPipe() {
    const s = net.createServer(c => c.end('unix')).listen('/tmp/n.sock'); await once(s, 'listening');
    let d = ''; for await (const x of net.connect('/tmp/n.sock')) d += x; s.close(); return d;
  },
  async httpKeepAlive() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const s = http.createServer((q, r) => { let n = 0; q.on('data', c => n += c.length); q.on('end', () => { r.setHeader('x', 'y'); r.end(String(n)); }); }).listen(0, '127.0.0.1');
    await once(s, 'listening');
    const post = n => new Promise((ok, no) => { const q = http.request({ port: s.address().port, host: '127.0.0.1', method: 'POST', agent }, r => { let d = ''; r.on('data', c => d += c); r.on('end', () => ok(+d)); }); q.on('error', no); q.end(Buffer.alloc(n)); });
    const r = (await Promise.all([...Array(40).keys()].map(i => post(i * 5000)))).reduce((a, b) => a + b); agent.destroy(); s.close(); return r;
  },
  async children() {
    const r = cp.spawnSync('sh', ['-c', 'cat; echo err >&2; exit 4'], { input: 'in' });
    const k = cp.spawn('sleep', ['100']); setTimeout(() => k.kill('SIGTERM'), 50); const [c, sig] = await once(k, 'exit');
    const f = cp.fork('/tmp/child.js', [], { silent: true }); f.send({ n: 20 }); const [m] = await once(f, 'message'); f.disconnect(); await once(f, 'exit');
    const e = await new Promise(ok => cp.execFile('/nonexistent', e => ok(e.code))); const t = cp.spawnSync('sleep', ['9'], { timeout: 100 });
    return [r.status, r.stdout + '', (r.stderr + '').trim(), c, sig, m, e, t.signal];
  },
  async workers() {
    const sab = new SharedArrayBuffer(8), a = new Int32Array(sab);
    const code = 'const {workerData,parentPort}=require("worker_threads");const a=new Int32Array(workerData);for(let i=0;i<10000;i++)Atomics.add(a,0,1);Atomics.add(a,1,1);Atomics.notify(a,1);parentPort.postMessage(1)';
    await Promise.all([1, 2, 3, 4].map(() => new Promise((ok, no) => { const w = new Worker(code, { eval: true, workerData: sab }); w.on('exit', ok); w.on('error', no); })));
    return [...a];
  },
  async dgrams() {
    const a = dgram.createSocket('udp4'); a.bind(0, '127.0.0.1'); await once(a, 'listening');
    const b = dgram.createSocket('udp4'); b.send('hello', a.address().port, '127.0.0.1'); const [m, r] = await once(a, 'message'); b.close(); a.close();
    const c = dgram.createSocket({ type: 'udp4', reuseAddr: true }); c.bind(7855); await once(c, 'listening'); c.addMembership('239.5.5.5', '127.0.0.1'); c.setMulticastInterface('127.0.0.1'); c.setMulticastTTL(1); c.setMulticastLoopback(true);
    c.send('many', 7855, '239.5.5.5'); const [n] = await once(c, 'message'); c.dropMembership('239.5.5.5', '127.0.0.1'); c.close();
    return [m + '', r.size, n + ''];
  },
  async names() { const l = await dns.promises.lookup('localhost', { family: 4 }); return [l.address, await dns.promises.lookup('nonexistent.invalid').catch(e => ['ENOTFOUND', 'EAI_AGAIN'].includes(e.code))]; },
  async tlsEcho() {
    const s = tls.createServer({ key: fs.readFileSync('k.pem'), cert: fs.readFileSync('c.pem') }, c => c.pipe(c)).listen(0, '127.0.0.1'); await once(s, 'listening');
    const c = tls.connect({ port: s.address().port, host: '127.0.0.1', ca: fs.readFileSync('c.pem'), servername: 'localhost' }); await once(c, 'secureConnect'); c.write('secret'); const [d] = await once(c, 'data'); c.end(); s.close(); return [d + '', c.authorized];
  },
  async signals() { setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 20); const [s] = await once(process, 'SIGUSR2'); return s; },
  async timers() { const t = Date.now(); await new Promise(r => setTimeout(r, 50)); let n = 0; const i = setInterval(() => n++, 5); await new Promise(r => setTimeout(r, 100)); clearInterval(i); return [Date.now() - t >= 149, n > 2]; },
  async crypto() { const c = require('crypto'); return [c.randomBytes(16).length, c.createHash('sha256').update('x').digest('hex').slice(0, 8), (await require('util').promisify(c.scrypt)('p', 's', 16)).toString('hex')]; },
  async system() { return [os.cpus().length > 0, os.totalmem() > 1e6, os.userInfo().username, os.platform(), os.loadavg().length, process.memoryUsage().rss > 1e6, os.networkInterfaces().lo[0].address, process.getuid(), process.umask().toString(8)]; },
  async heap() { let k = []; for (let r = 0; r < 20; r++) { k = []; for (let i = 0; i < 50000; i++) k.push({ i, s: 'v' + i }); } return k.length; },
};
fs.writeFileSync('/tmp/child.js', 'process.on("message", m => { process.send({ sq: m.n * m.n }); })');
(async () => { for (const [n, f] of Object.entries(tests)) { try { console.log(n, JSON.stringify(await Promise.race([f(), new Promise((_, no) => setTimeout(() => no(new Error('too long')), 20000).unref())]))); } catch (e) { console.log(n, 'failed:', e.message); } } process.exit(0); })();
J
node t.js
cat >cl.js <<'J'
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) {
  let up = 0, got = new Set(), n = 0, gone = 0;
  for (let i = 0; i < 3; i++) cluster.fork();
  cluster.on('listening', () => { if (++up === 3) for (let i = 0; i < 30; i++) http.get({ port: 8123, host: '127.0.0.1', agent: false }, r => { let d = ''; r.on('data', c => d += c); r.on('end', () => { got.add(d); if (++n === 30) { console.log('served', n, 'by', got.size); for (const w of Object.values(cluster.workers)) w.kill(); } }); }); });
  cluster.on('exit', (w, c, s) => { if (++gone === 3) { console.log('last', s || c); process.exit(0); } });
} else http.createServer((q, r) => r.end(String(process.pid))).listen(8123, '127.0.0.1');
J
timeout 60 node cl.js
