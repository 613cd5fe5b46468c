#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also over: host
perl -e 'use strict; my %h=map {$_=>$_**2} 1..5; print join(",",map {"$_=$h{$_}"} sort keys %h),"\n"; my $p=fork; if(!$p){exit 5} waitpid $p,0; print $?>>8,"\n"; open my $f,"-|","echo from child"; print <$f>; $SIG{ALRM}=sub{print "alarm\n"}; alarm 1; select undef,undef,undef,1.5;'
