# SPDX-License-Identifier: Apache-2.0
# Tests of the engines: `make test-platform`. Each runs in a pid namespace of its own where that is allowed, so
# that nothing is left behind by a test that crashes.
PT_DIR    := $(BUILD)/tests/platform
PT_CFLAGS := -std=gnu17 -O2 -g $(WARN) -ffreestanding -fpic -nostdlib -fno-stack-protector \
	-fcf-protection=none -fno-jump-tables -fno-asynchronous-unwind-tables -fno-builtin -mno-red-zone -Iinclude -I.
PT_OBJS   := $(BUILD)/obj/tests/platform/kern.o $(BUILD)/obj/tests/platform/image.o
PT_RUN    := timeout 300
PT_ENGINES ?= trap ptrace

$(PT_DIR)/guest.bin: tests/platform/guest.c tests/platform/guest.h tests/platform/guest.lds
	@mkdir -p $(@D)
	$(CC) $(PT_CFLAGS) -c -o $(PT_DIR)/guest.o tests/platform/guest.c
	$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-T,tests/platform/guest.lds -o $(PT_DIR)/guest.elf $(PT_DIR)/guest.o
	objcopy -O binary -j .text $(PT_DIR)/guest.elf $@

$(BUILD)/obj/tests/platform/image.o: $(PT_DIR)/guest.bin
$(BUILD)/obj/tests/platform/image.o: CFLAGS_ALL += -DGUEST_IMAGE='"$(PT_DIR)/guest.bin"'

$(PT_DIR)/engine_test: $(BUILD)/obj/tests/platform/engine_test.o $(PT_OBJS) $(PLAT_OBJS) $(HOST_OBJS) $(BASE_OBJS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^

$(PT_DIR)/platbench: $(BUILD)/obj/tests/bench/platbench.o $(PT_OBJS) $(PLAT_OBJS) $(HOST_OBJS) $(BASE_OBJS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^

.PHONY: test-platform
test-platform: $(PT_DIR)/engine_test
	@bad=0; for e in $(PT_ENGINES); do \
		for c in all no-rewrite no-answers no-spin no-marshal; do \
			$(PT_RUN) $(PT_DIR)/engine_test $$e $$c || bad=1; done; \
		echo "# one CPU"; taskset -c 0 $(PT_RUN) $(PT_DIR)/engine_test $$e all || bad=1; \
	done; exit $$bad

.PHONY: bench-platform
bench-platform: $(PT_DIR)/platbench
	@for e in $(PT_ENGINES); do \
		echo "# $$e, all CPUs"; $(PT_RUN) $(PT_DIR)/platbench $$e; \
		echo "# $$e, one CPU"; taskset -c 0 $(PT_RUN) $(PT_DIR)/platbench $$e no-spin; done
