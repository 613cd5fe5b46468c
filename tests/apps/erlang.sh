#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# Erlang's scheduler threads, ports, TCP and files.
cd /tmp || exit 1
cat >t.erl <<'X'
-module(t).
-export([main/0]).
main() ->
    P = self(),
    [spawn(fun() -> P ! {I, lists:sum(lists:seq(1, I))} end) || I <- lists:seq(1, 1000)],
    io:format("~p~n", [lists:sum([receive {I, S} -> S end || I <- lists:seq(1, 1000)])]),
    {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127,0,0,1}}, {reuseaddr, true}]),
    {ok, Port} = inet:port(L),
    spawn(fun() -> [begin {ok, S} = gen_tcp:accept(L), {ok, D} = gen_tcp:recv(S, 0), gen_tcp:send(S, [D, D]), gen_tcp:close(S) end || _ <- [1,2,3]] end),
    [begin {ok, S} = gen_tcp:connect({127,0,0,1}, Port, [binary, {active, false}]), gen_tcp:send(S, "ab"), {ok, D} = gen_tcp:recv(S, 4), io:format("~s~n", [D]) end || _ <- [1,2,3]],
    {ok, U} = gen_udp:open(0, [binary, {active, false}, {ip, {127,0,0,1}}]), {ok, UP} = inet:port(U),
    gen_udp:send(U, {127,0,0,1}, UP, "udp"), {ok, {_, _, UD}} = gen_udp:recv(U, 0), io:format("~s~n", [UD]),
    io:format("~s", [os:cmd("echo from a port")]),
    ok = file:write_file("/tmp/erl.txt", lists:duplicate(10000, $x)), {ok, B} = file:read_file("/tmp/erl.txt"), io:format("~p~n", [byte_size(B)]),
    io:format("~p~n", [file:read_file("/nonexistent")]),
    T = ets:new(t, [public]), [ets:insert(T, {I, I}) || I <- lists:seq(1, 100000)], io:format("~p~n", [ets:info(T, size)]),
    erlang:send_after(20, self(), tick), receive tick -> io:format("tick~n") end,
    halt(4).
X
erlc t.erl && erl -noshell -s t main
echo $?
