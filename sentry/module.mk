# SPDX-License-Identifier: Apache-2.0
SENTRY_SRCS := $(shell find sentry -name '*.c' | sort)
SENTRY_OBJS := $(SENTRY_SRCS:%.c=$(BUILD)/obj/%.o) $(patsubst %.S,$(BUILD)/obj/%.o,$(shell find sentry -name '*.S'))
