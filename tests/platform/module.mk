# SPDX-License-Identifier: Apache-2.0
# Tests of the engines: `make test-platform`. Part of `make test`.
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

# ENGINE-CONFIGURATION; one-cpu: all, bound to one
PT_TESTS := $(foreach e,$(PT_ENGINES),$(foreach c,all no-rewrite no-answers no-spin no-marshal one-cpu,$(e)-$(c)))
EXTRA_TEST_DEPS += $(PT_DIR)/engine_test
EXTRA_TEST_JOBS += for t in $(PT_TESTS); do \
	if [ "$${t\#*-}" = one-cpu ]; then run="taskset -c 0 $(PT_DIR)/engine_test $${t%%-*} all"; \
	else run="$(PT_DIR)/engine_test $${t%%-*} $${t\#*-}"; fi; \
	printf '%s\t%s\t%s\n' "platform/$$t" 300 "$$run"; done;
.PHONY: test-platform
test-platform: tests-clear $(PT_DIR)/engine_test
	@{ $(EXTRA_TEST_JOBS) } | tests/lib/runtests $(RESULTS); tests/lib/summary $(RESULTS)

.PHONY: bench-platform
bench-platform: $(PT_DIR)/platbench
	@for e in $(PT_ENGINES); do \
		echo "# $$e, all CPUs"; $(PT_RUN) $(PT_DIR)/platbench $$e; \
		echo "# $$e, one CPU"; taskset -c 0 $(PT_RUN) $(PT_DIR)/platbench $$e no-spin; done
