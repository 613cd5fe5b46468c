#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
cd /tmp; cat >H.java <<'J'
import java.util.*;import java.util.stream.*;
public class H{public static void main(String[] a)throws Exception{System.out.println("hello "+IntStream.range(0,1000).parallel().sum());Thread[] t=new Thread[4];int[] n={0};for(int i=0;i<4;i++){t[i]=new Thread(()->{for(int k=0;k<1000;k++)synchronized(n){n[0]++;}});t[i].start();}for(Thread x:t)x.join();System.out.println(n[0]);System.gc();}}
J
javac H.java && java -cp . H
