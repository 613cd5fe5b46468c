#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lua, and LuaJIT with code that it compiles while it runs.
cd /tmp || exit 1
cat >t.lua <<'L'
local t = {}
for i = 1, 200000 do t[i] = (i * 7919) % 10007 end
table.sort(t)
local s = 0
for i = 1, #t do s = (s * 31 + t[i]) % 1000000007 end
print(s)
local f = assert(io.open("/tmp/lua.txt", "w"))
for i = 1, 1000 do f:write(i, "\n") end
f:close()
local n = 0
for l in io.lines("/tmp/lua.txt") do n = n + tonumber(l) end
print(n)
local p = io.popen("echo from a pipe; exit 3")
print(p:read("a") or p:read("*a"))
print(p:close())
print(os.rename("/tmp/lua.txt", "/tmp/lua2.txt"), os.remove("/tmp/lua2.txt"), os.remove("/tmp/lua2.txt"))
print(os.getenv("HOME"), os.time() > 0)
local co = coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i) end end)
print(co(), co(), co())
L
lua5.4 t.lua
luajit t.lua
luajit -e 'local ffi = require("ffi"); ffi.cdef[[int getppid(void); unsigned sleep(unsigned); typedef long time_t; int kill(int,int); int getpid(void);]]
local n = 0; for i = 1, 300000 do if ffi.C.getppid() >= 0 then n = n + 1 end end print(n); print(ffi.C.kill(ffi.C.getpid(), 0))'
