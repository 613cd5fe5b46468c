# SPDX-License-Identifier: Apache-2.0
# Everything is built below $(BUILD). Folders are discovered: a new .c file needs no line here.
BUILD    ?= build
CC       ?= gcc
OPT      ?= -O2
SAN      ?=
DEB_PKGS := gcc clang make pkg-config libseccomp-dev libcap-dev check \
	libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libjansson-dev libzydis-dev uthash-dev libbsd-dev libsystemd-dev busybox-static iproute2 procps python3 \
	dbus-daemon python3-dbus python3-gi crun

WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wconversion \
	-Wno-sign-conversion -Werror
# gcc sees ghosts in code that sanitizers instrument.
WARN     += $(if $(SAN),-Wno-maybe-uninitialized) $(if $(findstring thread,$(SAN)),-Wno-tsan)
HARDEN   := -fPIE -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS_ALL  = -std=gnu17 -D_GNU_SOURCE -g $(OPT) $(WARN) $(HARDEN) $(SAN) -pthread \
	-Iinclude -I. -I$(BUILD)/gen $(CFLAGS)
# moat's own processes start in a millisecond because nothing is left to the dynamic linker. Sanitizers need it.
LDFLAGS_PROG = $(if $(SAN),$(LDFLAGS_ALL),-static-pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS))
LIB_PROTO = $(if $(SAN),-lprotobuf-c,-l:libprotobuf-c.a)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -pthread $(SAN) $(LDFLAGS)

.SECONDEXPANSION:
.PHONY: all deps run test test-unit test-guest test-lib bench asan tsan format lint install clean
all:

deps:
	@missing=$$(for p in $(DEB_PKGS); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update -qq && apt-get install -y --no-install-recommends $$missing; }

clean:
	rm -rf $(BUILD)

# Install what is missing, build, and run a real program in a sandbox.
run: deps
	$(MAKE) -s -j$$(nproc) all
	$(BUILD)/moat do -- /bin/bash -c 'echo "hello from inside, as $$(id -un) on $$(uname -sr)"; ls /'

SAN_FLAGS := -fno-omit-frame-pointer -fno-sanitize-recover=all
asan:
	$(MAKE) BUILD=$(BUILD)/asan SAN="-fsanitize=address,undefined $(SAN_FLAGS) -DDEBUG_LOCKS" OPT=-O1 TEST_SECONDS=300 test-san
tsan:
	$(MAKE) BUILD=$(BUILD)/tsan SAN="-fsanitize=thread $(SAN_FLAGS)" OPT=-O1 TEST_SECONDS=300 test-san

bench: all
	BUILD=$(abspath $(BUILD)) tests/bench/run $(BENCH)

lint:
	tools/dev/lint

format:
	git ls-files '*.c' '*.h' | grep -v '^tests/bench/guestbench.c' | xargs clang-format -i

install: all
	install -D -m 755 $(BUILD)/moat $(DESTDIR)$(PREFIX)/bin/moat
	install -D -m 755 -t $(DESTDIR)$(MOAT_LIBEXEC) $(BUILD)/moat-sentry $(BUILD)/moat-gofer $(BUILD)/moat-anchor $(BUILD)/moat-systemd
	install -D -m 644 $(BUILD)/libmoat.a $(DESTDIR)$(PREFIX)/lib/libmoat.a
	install -D -m 755 $(BUILD)/libmoat.so.0 $(DESTDIR)$(PREFIX)/lib/libmoat.so.0
	ln -sf libmoat.so.0 $(DESTDIR)$(PREFIX)/lib/libmoat.so
	install -D -m 644 $(BUILD)/libmoat.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/libmoat.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/moat $(PUBLIC_HEADERS)
	install -D -m 644 tools/python/moat.py $(DESTDIR)$(PREFIX)/share/moat/python/moat.py
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(BUILD)/doc/moat.1 $(BUILD)/doc/moat-do.1 $(BUILD)/doc/moat-run.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man3 $(BUILD)/doc/libmoat.3
	install -D -m 644 $(BUILD)/doc/moat.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/moat
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(BUILD)/doc/_moat
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(BUILD)/doc/moat.fish

# --- generic rules -----------------------------------------------------------------------------------
$(BUILD)/obj/%.o: %.c | $$(GEN_HDRS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Each module adds its own objects, generated files and programs.
include $(wildcard */module.mk) $(wildcard */*/module.mk)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
