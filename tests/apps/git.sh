#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
cd /tmp; git init -q r 2>/dev/null; cd r; git config user.email a@b; git config user.name n
for i in $(seq 200); do echo $i >f$i; done; git add -A; GIT_AUTHOR_DATE='2000-01-01T00:00:00Z' GIT_COMMITTER_DATE='2000-01-01T00:00:00Z' git commit -qm one; git rev-parse HEAD
echo more >>f1; git status --short; git diff --stat; git stash -q; git stash pop -q; git checkout -q -b b; git commit -qam two; git log --oneline | wc -l
git clone -q . ../c 2>&1; ls ../c | wc -l; git -C ../c fsck 2>&1 | grep -c error; git gc -q; git count-objects | cut -d, -f1; git grep -c more
