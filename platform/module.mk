# SPDX-License-Identifier: Apache-2.0
BASE_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard platform/base/*.c))
HOST_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard platform/host/*.c))
PLAT_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard platform/*.c platform/x86_64/*.c platform/trap/*.c \
	platform/ptrace/*.c)) $(patsubst %.S,$(BUILD)/obj/%.o,$(wildcard platform/trap/*.S platform/x86_64/*.S))
