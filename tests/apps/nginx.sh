#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
cd /tmp; mkdir -p www; head -c 1000000 /dev/zero >www/big; echo hello >www/index.html
printf 'worker_processes 2;daemon off;pid /tmp/n.pid;error_log /dev/null;user root;events{}http{access_log off;sendfile on;client_body_temp_path /tmp/1;proxy_temp_path /tmp/2;fastcgi_temp_path /tmp/3;uwsgi_temp_path /tmp/4;scgi_temp_path /tmp/5;server{listen 127.0.0.1:7778;root /tmp/www;}}' >n.conf
nginx -c /tmp/n.conf 2>/dev/null & p=$!; sleep 1
python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:7778/").read(), len(u.urlopen("http://127.0.0.1:7778/big").read()))'
wrk -t1 -c10 -d1s http://127.0.0.1:7778/ | grep -c Requests/sec; wrk -t1 -c4 -d1s http://127.0.0.1:7778/big | grep -c 'Socket errors'
kill -QUIT $p; wait $p; echo $?
