# SPDX-License-Identifier: Apache-2.0
# The process in the pid file: no libc, so that it costs a few pages.
ANCHOR_CFLAGS := -std=gnu17 -O2 -g $(WARN) -ffreestanding -fPIE -fvisibility=hidden -mgeneral-regs-only -nostdlib \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-builtin -Iinclude -I. -I$(BUILD)/gen

$(BUILD)/gen/hostfilter_anchor.h: $(BUILD)/bin/genfilter
	@mkdir -p $(@D)
	$< anchor >$@.tmp && mv $@.tmp $@

$(BUILD)/moat-anchor: platform/anchor/anchor.c $(BUILD)/gen/hostfilter_anchor.h include/platform/host/ns.h include/platform/host/raw.h include/platform/host/socket.h include/platform/host/anchor.h
	$(CC) $(ANCHOR_CFLAGS) -static-pie -Wl,--no-dynamic-linker,--build-id=none,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code \
		-o $@ $<

all: $(BUILD)/moat-anchor
