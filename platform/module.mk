# SPDX-License-Identifier: Apache-2.0
BASE_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard platform/base/*.c))
HOST_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard platform/host/*.c))
PLAT_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard platform/*.c platform/x86_64/*.c platform/trap/*.c \
	platform/ptrace/*.c)) $(patsubst %.S,$(BUILD)/obj/%.o,$(wildcard platform/trap/*.S platform/ptrace/*.S \
	platform/x86_64/*.S))

# The stub: freestanding, position independent, general registers only, one flat image.
STUB_CFLAGS := -std=gnu17 -O2 -g $(WARN) -ffreestanding -fpic -fvisibility=hidden -mgeneral-regs-only \
	-mno-red-zone -nostdlib -fno-stack-protector -fcf-protection=none -fno-jump-tables \
	-fno-asynchronous-unwind-tables -fno-builtin -Iinclude -I.
STUB_OBJS := $(patsubst %,$(BUILD)/stub/%.o,$(basename $(notdir $(wildcard platform/trap/stub/*.[cS]))))
STUB_BLOB := $(BUILD)/stub/stub.bin

$(BUILD)/stub/%.o: platform/trap/stub/%.c
	@mkdir -p $(@D)
	$(CC) $(STUB_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/stub/%.o: platform/trap/stub/%.S
	@mkdir -p $(@D)
	$(CC) $(STUB_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/stub/stub.elf: $(STUB_OBJS) platform/trap/stub/stub.lds
	$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-T,platform/trap/stub/stub.lds -o $@ $(STUB_OBJS)

$(STUB_BLOB): $(BUILD)/stub/stub.elf
	objcopy -O binary -j .text $< $@

$(BUILD)/obj/platform/trap/blob.o: $(STUB_BLOB)
$(BUILD)/obj/platform/trap/blob.o: CFLAGS_ALL += -DSTUB_BLOB='"$(STUB_BLOB)"'

-include $(wildcard $(BUILD)/stub/*.d)

# It outlives the thread whose thread-local storage its registers point to.
$(addprefix $(BUILD)/obj/platform/host/,keeper_run.o keeper_meter.o): CFLAGS_ALL += -fno-stack-protector -fno-sanitize=all
