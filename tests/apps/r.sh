#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R: linear algebra, forked workers, sockets between its own processes.
cd /tmp || exit 1
Rscript -e 'set.seed(1); m <- matrix(runif(250000), 500); print(dim(solve(m))); print(summary(lm(dist ~ speed, cars))$r.squared)' \
	-e 'library(parallel); print(sum(unlist(mclapply(1:20, function(i) i * i, mc.cores = 3))))' \
	-e 'cl <- makeCluster(2); print(parSapply(cl, 1:6, function(x) x + 1)); stopCluster(cl)' \
	-e 'f <- tempfile(); saveRDS(iris, f); print(nrow(readRDS(f))); print(system("exit 3")); print(nchar(paste(rep("x", 1e6), collapse = "")))'
