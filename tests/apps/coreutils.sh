#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
cd /tmp; mkdir -p d/e; for i in $(seq 50); do echo "line $i" >d/e/$i; done
find d -type f | wc -l; find d -name '1*' | sort | head -3; tar czf t.tgz d && tar tzf t.tgz | wc -l
mkdir x && tar xzf t.tgz -C x && diff -r d x/d && echo same
sed -i 's/line/row/' d/e/7; cat d/e/7; awk '{s += $2} END {print s}' d/e/*; gzip -k d/e/1; zcat d/e/1.gz
cp -a d d2; mv d2 d3; ln -s d3 l; readlink l; ls l/e | wc -l; chmod 640 d/e/2; stat -c '%a %s %F' d/e/2
touch -d '2001-02-03 04:05:06 UTC' d/e/3; stat -c %Y d/e/3; du -s --apparent-size d/e >/dev/null && echo du
sort -R <(seq 100) | sort -n | tail -1; md5sum d/e/1; dd if=/dev/zero of=z bs=4k count=100 2>/dev/null; stat -c %s z; truncate -s 5 z; wc -c z
grep -rl Copyright /usr 2>/dev/null | wc -l; split -l 10 <(seq 35) s.; ls s.* | wc -l; id -u; rm -rf d x; ls
