# SPDX-License-Identifier: Apache-2.0
# Tests. Folders are discovered: tests/unit/**/test_*.c is a libcheck program, tests/guest/*.c a program that runs natively
# and in moat, tests/escape and tests/oci have scripts, tests/libmoat/test_*.c are programs that see of moat its library alone
# (and scripts that run others).
UNIT_SRCS := $(shell find tests/unit -name 'test_*.c' 2>/dev/null | sort)
UNIT_BINS := $(UNIT_SRCS:%.c=$(BUILD)/%)
GUEST_SRCS := $(wildcard tests/guest/*.c)
GUEST_BINS := $(GUEST_SRCS:%.c=$(BUILD)/%)
ESCAPE_BINS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/escape/guests/*.c))
LIB_TEST_SRCS := $(wildcard tests/libmoat/test_*.c)
LIB_TEST_BINS := $(LIB_TEST_SRCS:%.c=$(BUILD)/%)
RESULTS := $(BUILD)/tests/results
PLATFORMS ?= trap ptrace
# Give a test longer where the build is slow.
TEST_SECONDS ?= 60
comma := ,

# All that is not a main program, to be linked into unit tests as far as they need it.
TEST_LIB_OBJS = $(filter-out %/boot/main.o,$(SENTRY_OBJS)) $(PLAT_OBJS) $(HOST_OBJS) $(BASE_OBJS) $(WIRE_OBJS) \
	$(filter-out %/server/main.o,$(GOFER_OBJS)) \
	$(filter-out $(HOST_OBJS),$(LIBMOAT_OBJS)) $(filter-out %/moat/main.o,$(CLI_OBJS))

$(BUILD)/obj/libtest.a: $$(TEST_LIB_OBJS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/obj/libtest.a | $$(GEN_HDRS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Itests -MMD -MP -MF $@.d -o $@ $< $(BUILD)/obj/libtest.a $(LDFLAGS_ALL) \
		-lcheck -lsubunit -lprotobuf-c -ljansson -lseccomp -lrt -lm

$(BUILD)/tests/guest/%: tests/guest/%.c
	@mkdir -p $(@D)
	gcc -std=gnu17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wno-unused-result -static -pthread -MMD -MP -MF $@.d \
		-o $@ $< -lm

$(BUILD)/tests/escape/guests/%: tests/escape/guests/%.c
	@mkdir -p $(@D)
	gcc -std=gnu17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wno-unused-result -Wno-clobbered -Wno-stringop-overread -static -pthread \
		-MMD -MP -MF $@.d -o $@ $<

# As a user's program is built: no header but those that are installed is to be found.
$(BUILD)/include/moat:
	@mkdir -p $(@D)
	@ln -sfn $(abspath include/moat) $@

$(BUILD)/tests/libmoat/%: tests/libmoat/%.c $(BUILD)/libmoat.a | $(BUILD)/include/moat
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -g $(OPT) $(WARN) $(SAN) -pthread -I$(BUILD)/include -MMD -MP -MF $@.d -o $@ $< \
		$(BUILD)/libmoat.a -lprotobuf-c -ljansson -lseccomp

-include $(shell find $(BUILD)/tests -type f -name '*.d' 2>/dev/null)

tab := $(shell printf '\t')
unit_jobs = for t in $(UNIT_BINS); do \
	printf '%s\t%s\t%s\n' "$${t\#$(BUILD)/tests/}" $(TEST_SECONDS) "BUILD=$(BUILD) $$t"; done
guest_jobs = for p in $(PLATFORMS); do for t in $(GUEST_BINS); do \
	printf '%s\t%s\t%s\n' "$$(basename $$t)/$$p" $(TEST_SECONDS) "BUILD=$(BUILD) tests/lib/guest-one $$t --platform=$$p"; done; done
lib_jobs = for p in $(PLATFORMS); do for t in $(LIB_TEST_BINS); do \
	printf '%s\t%s\t%s\n' "libmoat/$$(basename $$t)/$$p" $$(($(TEST_SECONDS) * 5)) "BUILD=$(BUILD) MOAT_PLATFORM=$$p $$t"; done; done; \
	$(call script_jobs,libmoat,$(1))
script_jobs = for t in $(filter-out $(2),$(wildcard tests/$(1)/*.sh)); do \
	printf '%s\t%s\t%s\n' "$${t\#tests/}" $$(($(TEST_SECONDS) * 5)) "BUILD=$(BUILD) bash $$t"; done

.PHONY: test-unit test-guest test-lib test-escape test-oci test-engines test-chaos tests-clear
# docker, containerd, podman (as root, as a user): each operation as with runc. ENGINES="docker podman", PATTERN=exec: a part.
# Many containers side by side, of which processes are killed (a short form of it is in make test).
test-chaos: all
	CHAOS=200 BUILD=$(BUILD) bash tests/oci/chaos.sh

test-engines: all
	BUILD=$(BUILD) tests/engines/all.sh $(ENGINES)

tests-clear:
	@mkdir -p $(BUILD)/tests && rm -rf $(RESULTS) $(RESULTS).logs

test-unit: tests-clear all $(UNIT_BINS)
	@$(unit_jobs) | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

test-guest: tests-clear all $(GUEST_BINS)
	@$(guest_jobs) | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

test-lib: tests-clear all $(LIB_TEST_BINS)
	@{ $(call lib_jobs); } | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

test-escape: tests-clear all $(GUEST_BINS)
	@$(call script_jobs,escape) | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

test-oci: tests-clear all
	@$(call script_jobs,oci) | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

# Some of the programs of test-apps, with what is installed here: in crun and in moat, the same is printed.
FAST_APPS := bash files gcc perl python shells
app_jobs = for p in $(PLATFORMS); do for t in $(FAST_APPS); do \
	printf '%s\t%s\t%s\n' "apps/$$t/$$p" $$(($(TEST_SECONDS) * 5)) \
		"APP_TREE=/ BUILD=$(BUILD) tests/lib/app-one tests/apps/$$t.sh $$p"; done; done

test: tests-clear all $(UNIT_BINS) $(GUEST_BINS) $(ESCAPE_BINS) $(LIB_TEST_BINS) $$(EXTRA_TEST_DEPS)
	@{ $(unit_jobs); $(guest_jobs); $(call lib_jobs); $(call script_jobs,escape); $(call script_jobs,oci); $(app_jobs); $(EXTRA_TEST_JOBS) } \
		| tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

# Sanitizers do not fit the filter on host calls, which programs that are not tests do not switch off (the examples; Python
# cannot load such a library either); the warning about that does not fit those who compare what moat says; memory that
# grows, or that a limit does not leave, is a sanitizer's own. libcheck's limit of 4 s is for programs at their full speed.
NOT_SAN := $(addprefix tests/,escape/confinement.sh escape/leaks.sh escape/unasked.sh libmoat/funcd.sh libmoat/install.sh libmoat/judge.sh \
	libmoat/python.sh oci/activation.sh oci/badinput.sh oci/chaos.sh oci/docs.sh oci/fields.sh \
	oci/inspect.sh oci/install.sh oci/limits.sh oci/network.sh oci/oom.sh oci/run.sh oci/seccomp_notify.sh oci/stdio.sh)
test-san: export MOAT_FLAGS = --weaker-isolation=seccomp
test-san: export MOAT_WEAKER = seccomp
test-san: export ASAN_OPTIONS = detect_leaks=0
test-san: export TSAN_OPTIONS = suppressions=$(abspath tests/lib/tsan.supp)
test-san: export CK_TIMEOUT_MULTIPLIER = 10
test-san: tests-clear all $(UNIT_BINS) $(GUEST_BINS) $(ESCAPE_BINS) $(LIB_TEST_BINS)
	@{ $(unit_jobs); $(guest_jobs); $(call lib_jobs,$(NOT_SAN)); $(call script_jobs,escape,$(NOT_SAN)); $(call script_jobs,oci,$(NOT_SAN)); } | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

# What /proc and /sys of this machine have and a sandbox's have not; on other hardware and kernels there may be more that
# needs a reason, so it is no part of `test`.
.PHONY: test-walk
test-walk: all
	BUILD=$(BUILD) SHOW=1 tests/walk/proc-walk.sh

# As much of each kind of work as README promises to leave nothing behind. REPEAT: then the whole suite so many times.
REPEAT ?= 20
long_jobs = for p in $(PLATFORMS); do \
	for c in "threads 50 1000" "processes 20 500" "execs 20 10000" "files 100 100000" "bytes 1 1024"; do \
		printf '%s\t%s\t%s\n' "long/$${c%% *}/$$p" 1200 \
			"BUILD=$(BUILD) LEAKS_SECONDS=500 MOAT_FLAGS=--platform=$$p bash tests/escape/leaks.sh $$c"; \
	done; done
.PHONY: test-long test-leaks
test-leaks: tests-clear all $(GUEST_BINS)
	@$(long_jobs) | JOBS_AT_ONCE=1 tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)
test-long: test-leaks
	@for i in $$(seq $(REPEAT)); do echo "run $$i of $(REPEAT)"; $(MAKE) --no-print-directory test || exit 1; done

# A Debian tree for the programs that moat has to run: base alone, and with all of them.
APPS := python3 perl gcc g++ clang libc6-dev make git redis-server redis-tools nginx-light wrk postgresql-15 nodejs golang-go \
	openjdk-17-jdk-headless sqlite3 procps file less gawk bzip2 xz-utils ca-certificates strace gdb mariadb-server \
	memcached apache2 apache2-utils php-cli php-fpm php-sqlite3 ruby lua5.4 luajit r-base-core ocaml-nox erlang-base \
	tmux screen vim-tiny openssh-server openssh-client rsync bubblewrap sudo cron iproute2 util-linux acl attr cpio \
	iputils-ping busybox socat netcat-openbsd bc openssl tzdata numactl psmisc lsof stress-ng fio bsdextrautils \
	libpython3.11-testsuite dbench trinity dpkg-dev bison pkg-config tcl-dev zlib1g-dev libreadline-dev
# Those whose own tests are run, from source.
APP_SOURCES := bash redis sqlite3
MIRROR ?= $(shell awk '/^deb /{print $$2; exit} /^URIs:/{print $$2; exit}' /etc/apt/sources.list \
	/etc/apt/sources.list.d/* 2>/dev/null)
rootfs: $(BUILD)/rootfs/.done
$(BUILD)/rootfs/.done:
	@command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap
	rm -rf $(@D)
	debootstrap --variant=minbase bookworm $(@D) $(MIRROR) >$(BUILD)/rootfs.log 2>&1 || { tail $(BUILD)/rootfs.log; exit 1; }
	touch $@
apps-rootfs: $(BUILD)/apps-rootfs/.done
$(BUILD)/apps-rootfs/.done: $(BUILD)/rootfs/.done
	rm -rf $(@D)
	cp -a $(BUILD)/rootfs $(@D)
	rm $@
	SOURCES="$(APP_SOURCES)" tests/lib/apt-in $(abspath $(@D)) $(APPS) >$(BUILD)/apps-rootfs.log 2>&1 || { tail $(BUILD)/apps-rootfs.log; exit 1; }
	touch $@
.PHONY: rootfs apps-rootfs test-apps test-san
# The programs, and the suites of others (hours). PATTERN='python* suites/go*': a part.
PATTERN ?= *.sh suites/*.sh
test-apps: tests-clear all apps-rootfs
	@for t in $(sort $(wildcard $(PATTERN:%=tests/apps/%))); do \
		for p in $(PLATFORMS) $$(grep -q '^# also over: host' $$t && printf '%s@host ' $(PLATFORMS)); do \
		printf '%s\t%s\t%s\n' "$${t#tests/}/$$p" $$((2 * $$(sed -n 's/^# seconds: //p' $$t | grep . || echo 300) + 100)) \
			"BUILD=$(BUILD) tests/lib/app-one $$t $$p"; done; done \
		| VERBOSE=1 JOBS_AT_ONCE=1 tests/lib/runtests $(RESULTS); \
		tests/lib/app-table $(BUILD)/tests/apps tests/apps/differences; tests/lib/summary $(RESULTS)
