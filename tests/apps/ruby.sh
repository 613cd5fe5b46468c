#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# Threads, processes, pipes, sockets, files and signals from Ruby.
cd /tmp || exit 1
ruby -rsocket -rtempfile -retc <<'R'
puts RUBY_VERSION
q = Queue.new
t = 4.times.map { |i| Thread.new { 100.times { |k| q << i * k } } }
t.each(&:join)
puts q.size
r, w = IO.pipe
pid = fork { r.close; w.puts "child #{Process.ppid == Process.ppid}"; exit!(7) }
w.close
puts r.read, Process.wait2(pid)[1].exitstatus
s = TCPServer.new('127.0.0.1', 0)
th = Thread.new { 5.times { c = s.accept; c.puts c.gets.upcase; c.close } }
5.times { |i| c = TCPSocket.new('127.0.0.1', s.addr[1]); c.puts "hello #{i}"; puts c.gets; c.close }
th.join
u = UNIXServer.new('/tmp/ruby.sock')
th = Thread.new { c = u.accept; c.write c.recv(100).reverse; c.close }
c = UNIXSocket.new('/tmp/ruby.sock'); c.write 'abc'; puts c.read; th.join
Signal.trap('USR1') { puts 'usr1' }
Process.kill('USR1', Process.pid); sleep 0.1
Tempfile.create('x') { |f| f.write 'data' * 1000; f.flush; puts File.size(f.path); f.flock(File::LOCK_EX); puts File.stat(f.path).mode.to_s(8) }
puts `echo out; exit 3`, $?.exitstatus
puts Etc.getpwuid.name, Etc.nprocessors > 0
a = UDPSocket.new; a.bind('127.0.0.1', 0); b = UDPSocket.new; b.send('udp', 0, '127.0.0.1', a.addr[1]); puts a.recvfrom(10)[0]
begin; Process.kill(0, 999_999); rescue => e; puts e.class; end
puts IO.select([r = IO.pipe[0]], nil, nil, 0.05).inspect
Process.setproctitle('x'); puts Process.clock_gettime(Process::CLOCK_MONOTONIC) > 0
GC.stress = false; 20.times { 'x' * 1_000_000 }; GC.start; puts GC.count > 0
R
