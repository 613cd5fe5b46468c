#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
cd /tmp; export GOCACHE=/tmp/gc GOFLAGS=-mod=mod GO111MODULE=off; cat >h.go <<'G'
package main
import ("fmt";"sync";"net/http";"io";"net")
func main(){var w sync.WaitGroup;c:=make(chan int,100);for i:=0;i<100;i++{w.Add(1);go func(i int){defer w.Done();c<-i*i}(i)};w.Wait();close(c);s:=0;for v:=range c{s+=v};fmt.Println(s)
l,_:=net.Listen("tcp","127.0.0.1:0");go http.Serve(l,http.HandlerFunc(func(w http.ResponseWriter,r *http.Request){fmt.Fprint(w,"hi ",r.URL.Path)}));r,e:=http.Get("http://"+l.Addr().String()+"/x");if e!=nil{fmt.Println(e);return};b,_:=io.ReadAll(r.Body);fmt.Println(string(b))}
G
go build -o h h.go && ./h
