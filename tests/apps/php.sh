#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
# PHP on the command line, and as FastCGI behind nginx.
cd /tmp || exit 1
php -r 'echo PHP_MAJOR_VERSION, "\n"; $p = proc_open("cat; exit 3", [["pipe","r"],["pipe","w"]], $io); fwrite($io[0], "piped"); fclose($io[0]); echo stream_get_contents($io[1]), " ", proc_close($p), "\n";
$s = stream_socket_server("tcp://127.0.0.1:0", $e, $m); $c = stream_socket_client("tcp://" . stream_socket_get_name($s, false)); $a = stream_socket_accept($s); fwrite($c, "hi\n"); echo fgets($a);
file_put_contents("/tmp/a", str_repeat("x", 100000)); echo filesize("/tmp/a"), " ", md5_file("/tmp/a"), "\n"; $f = fopen("/tmp/a", "r+"); var_dump(flock($f, LOCK_EX | LOCK_NB)); 
$d = new PDO("sqlite:/tmp/p.db"); $d->exec("create table t(a)"); for ($i = 0; $i < 100; $i++) $d->exec("insert into t values($i)"); echo $d->query("select sum(a) from t")->fetchColumn(), "\n"; usleep(1000); echo gethostbyname("localhost"), "\n";'
mkdir -p www fpm; echo '<?php echo "from php ", $_GET["x"] * 2, " ", php_sapi_name();' >www/i.php
cat >fpm.conf <<X
[global]
pid=/tmp/fpm/pid
error_log=/tmp/fpm/log
[www]
user=www-data
group=www-data
listen=/tmp/fpm/sock
listen.owner=www-data
pm=dynamic
pm.max_children=4
pm.start_servers=2
pm.min_spare_servers=1
pm.max_spare_servers=3
X
cat >nginx.conf <<X
pid /tmp/nginx.pid; error_log /tmp/nginx.err; worker_processes 2; events {}
http { access_log off; client_body_temp_path /tmp/n1; proxy_temp_path /tmp/n2; fastcgi_temp_path /tmp/n3; uwsgi_temp_path /tmp/n4; scgi_temp_path /tmp/n5;
server { listen 127.0.0.1:8088; root /tmp/www; location ~ \.php\$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name; fastcgi_pass unix:/tmp/fpm/sock; } } }
X
php-fpm8.2 -y fpm.conf 2>/dev/null; nginx -c /tmp/nginx.conf 2>/dev/null
for i in 1 2 3 4 5 6 7 8; do (exec 3<>/dev/tcp/127.0.0.1/8088; printf 'GET /i.php?x=%d HTTP/1.0\r\n\r\n' $i >&3; tail -n 1 <&3; echo); done
kill "$(cat fpm/pid)" "$(cat nginx.pid)"; for i in $(seq 50); do pgrep -x 'nginx|php-fpm8.2' >/dev/null || break; sleep 0.1; done; pgrep -x 'nginx|php-fpm8.2' | wc -l
