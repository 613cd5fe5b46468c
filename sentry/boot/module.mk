# SPDX-License-Identifier: Apache-2.0
$(BUILD)/moat-sentry: $$(SENTRY_OBJS) $$(PLAT_OBJS) $$(WIRE_OBJS) $$(HOST_OBJS) $$(BASE_OBJS)
	$(CC) $(LDFLAGS_PROG) -o $@ $^ $(LIB_PROTO)

all: $(BUILD)/moat-sentry
