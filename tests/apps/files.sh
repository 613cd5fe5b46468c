#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rsync, tar with extended attributes, sparse files, links, ACLs, capabilities of files, locks.
cd /tmp || exit 1
mkdir -p a/b/c; echo x >a/f; ln a/f a/hard; ln -s f a/sym; mkfifo a/fifo; truncate -s 10M a/sparse; echo end >>a/sparse; touch -d '2001-02-03 04:05:06.789' a/old; chmod 2755 a/b; chmod 4711 a/f; chown 1234:567 a/old
show() { (cd "$1" && find . -printf '%P %M %U %G %n %s %TY-%Tm-%Td %l\n' | grep -v ' d' | sed 's/ 20[2-9][0-9]-[0-9-]*/ now/' | sort); }
show a
rsync -aHS a/ r/ && diff <(show a) <(show r) && echo rsync
tar -C a --xattrs -cSf t.tar . && mkdir t && tar -C t --xattrs -xpf t.tar && diff <(show a) <(show t) && echo tar
stat -c %h a/f r/f t/f; [ "$(stat -c %b r/sparse)" -lt 1000 ] && echo sparse
cp -a a cp && diff <(show a) <(show cp) && echo cp
setfattr -n user.note -v 'a value' a/f 2>&1; getfattr --only-values -n user.note a/f 2>&1; echo
(cd a && find . -type f | sort | cpio -o 2>/dev/null | md5sum >/dev/null && echo cpio)
flock a/f -c 'flock -n a/f true || echo locked'
dd if=/dev/urandom of=d bs=1M count=3 2>/dev/null; split -b 500k d d.; cat d.?? | cmp - d && echo split
find a -newer a/old -type f | sort; find a -links +1 -type f | sort; du -s --apparent-size a/sparse
mv a/sym a/sym2; readlink a/sym2; rmdir a 2>&1; rm -rf a cp r t; ls -d a 2>&1
mkdir q; for i in $(seq 3000); do : >q/$i; done; find q -type f | wc -l; rm -r q
