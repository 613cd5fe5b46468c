# SPDX-License-Identifier: Apache-2.0
# Everything is built below $(BUILD). Folders are discovered: a new .c file needs no line here.
BUILD    ?= build
CC       ?= gcc
OPT      ?= -O2
SAN      ?=
DEB_PKGS := gcc clang make pkg-config libseccomp-dev libcap-dev libnl-3-dev libnl-route-3-dev check \
	libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libjansson-dev libzydis-dev uthash-dev libbsd-dev

WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wconversion \
	-Wno-sign-conversion -Werror
HARDEN   := -fPIE -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS_ALL  = -std=gnu17 -D_GNU_SOURCE -g $(OPT) $(WARN) $(HARDEN) $(SAN) -pthread \
	-Iinclude -I. -I$(BUILD)/gen $(CFLAGS)
# moat's own processes start in a millisecond because nothing is left to the dynamic linker. Sanitizers need it.
LDFLAGS_PROG = $(if $(SAN),$(LDFLAGS_ALL),-static-pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS))
LIB_PROTO = $(if $(SAN),-lprotobuf-c,-l:libprotobuf-c.a)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -pthread $(SAN) $(LDFLAGS)

.SECONDEXPANSION:
.PHONY: all deps run test test-unit test-guest bench asan tsan format lint install clean
all:

deps:
	@missing=$$(for p in $(DEB_PKGS); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { apt-get update -qq && apt-get install -y --no-install-recommends $$missing; }

clean:
	rm -rf $(BUILD)

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
