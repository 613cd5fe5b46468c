#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# apache2 with its event workers, CGI and ab.
cd /tmp || exit 1
mkdir -p a/www; seq 1000 >a/www/f.txt
cat >a/c <<'X'
ServerRoot /etc/apache2
ServerName localhost
PidFile /tmp/a/pid
Listen 127.0.0.1:8090
User www-data
Group www-data
ErrorLog /tmp/a/err
DocumentRoot /tmp/a/www
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
ScriptSock /tmp/a/cgisock
ScriptAlias /cgi /tmp/a/cgi.sh
<Directory /tmp/a>
Require all granted
Options +ExecCGI
</Directory>
X
printf '#!/bin/sh\necho "Content-Type: text/plain"; echo; echo "cgi says $QUERY_STRING"\n' >a/cgi.sh; chmod 755 a a/cgi.sh
apache2 -f /tmp/a/c -k start; echo $?
for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/8090) 2>/dev/null && break; sleep 0.1; done
ab -q -n 500 -c 8 http://127.0.0.1:8090/f.txt 2>/dev/null | grep -E 'Complete|Failed|Document Length'
ab -q -k -n 500 -c 4 http://127.0.0.1:8090/f.txt 2>/dev/null | grep -E 'Complete|Failed'
get() { exec 3<>/dev/tcp/127.0.0.1/8090; printf "GET $1 HTTP/1.0\r\n\r\n" >&3; cat <&3 | sed -n "$2"; exec 3>&-; }
get '/cgi?x=1' '$p'; get /none 1p
apache2 -f /tmp/a/c -k graceful; sleep 0.5; get /f.txt '$p'
apache2 -f /tmp/a/c -k stop; for i in $(seq 50); do [ -e a/pid ] || break; sleep 0.1; done; [ -e a/pid ] || echo stopped
