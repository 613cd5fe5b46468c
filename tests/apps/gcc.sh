#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
cd /tmp; mkdir p && cd p
for i in 1 2 3 4 5 6; do echo "int f$i(void){return $i;}" >f$i.c; done
cat >main.c <<'C'
#include <stdio.h>
int f1(void),f2(void),f3(void),f4(void),f5(void),f6(void);
int main(void){printf("%d\n",f1()+f2()+f3()+f4()+f5()+f6());return 0;}
C
printf 'OBJ=main.o f1.o f2.o f3.o f4.o f5.o f6.o\nprog: $(OBJ)\n\tgcc -o $@ $^\n%%.o: %%.c\n\t@gcc -O2 -c -o $@ $<\n' >Makefile
make -j2 2>&1 | tail -1; ./prog; touch f3.c; make | tail -1; make
