#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# OCaml: both compilers, processes, threads and sockets by its Unix library.
cd /tmp || exit 1
cat >t.ml <<'O'
let () =
  let r, w = Unix.pipe () in
  (match Unix.fork () with
   | 0 -> Unix.close r; ignore (Unix.write_substring w "from the child" 0 14); Unix._exit 5
   | pid -> Unix.close w; let b = Bytes.create 100 in let n = Unix.read r b 0 100 in
     print_endline (Bytes.sub_string b 0 n);
     (match Unix.waitpid [] pid with _, Unix.WEXITED c -> Printf.printf "exit %d\n" c | _ -> print_endline "?"));
  let s = Unix.socket PF_INET SOCK_STREAM 0 in
  Unix.bind s (ADDR_INET (Unix.inet_addr_loopback, 0)); Unix.listen s 5;
  let t = Thread.create (fun () -> let c, _ = Unix.accept s in let b = Bytes.create 10 in let n = Unix.read c b 0 10 in
    ignore (Unix.write c b 0 n); Unix.close c) () in
  let c = Unix.socket PF_INET SOCK_STREAM 0 in
  Unix.connect c (Unix.getsockname s); ignore (Unix.write_substring c "echo" 0 4);
  let b = Bytes.create 10 in let n = Unix.read c b 0 10 in print_endline (Bytes.sub_string b 0 n); Thread.join t;
  let h = Hashtbl.create 10 in for i = 1 to 300000 do Hashtbl.replace h (i mod 1000) (string_of_int i) done;
  Gc.full_major (); Printf.printf "%d %s\n" (Hashtbl.length h) (Hashtbl.find h 999);
  Printf.printf "%b\n" (Unix.gettimeofday () > 0.);
  (try ignore (Unix.openfile "/nonexistent" [O_RDONLY] 0) with Unix.Unix_error (e, _, _) -> print_endline (Unix.error_message e))
O
ocamlopt -I +unix -I +threads unix.cmxa threads.cmxa t.ml -o t.opt 2>/dev/null && ./t.opt
ocamlc -I +unix -I +threads unix.cma threads.cma t.ml -o t.byte 2>/dev/null && ./t.byte
