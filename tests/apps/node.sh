#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
node --version
node -e '
const http=require("http"),fs=require("fs"),cp=require("child_process");
const s=http.createServer((q,r)=>{r.end("got "+q.url)}).listen(0,"127.0.0.1",()=>{let n=0;for(let i=0;i<20;i++)http.get({port:s.address().port,path:"/"+i},r=>{let d="";r.on("data",c=>d+=c);r.on("end",()=>{if(i==7)console.log(d);if(++n==20){s.close();
fs.promises.writeFile("/tmp/x","data").then(()=>fs.promises.readFile("/tmp/x","utf8")).then(d=>{console.log(d);console.log(cp.execSync("echo sub").toString().trim());const {Worker}=require("worker_threads");new Worker("require(\"worker_threads\").parentPort.postMessage(6*7)",{eval:true}).on("message",m=>console.log(m))})}})})});'
