# SPDX-License-Identifier: Apache-2.0
# Programs that embed moat, built as anybody's: of the tree they see include/moat alone.
EXAMPLES := $(patsubst tools/examples/%.c,$(BUILD)/examples/%,$(wildcard tools/examples/*.c))

$(BUILD)/examples/%: tools/examples/%.c $(BUILD)/libmoat.so | $(BUILD)/include/moat
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -g $(OPT) $(WARN) $(SAN) -pthread -I$(BUILD)/include -MMD -MP -MF $@.d -o $@ $< \
		-L$(BUILD) -lmoat -Wl,-rpath,$(abspath $(BUILD))

-include $(EXAMPLES:%=%.d)
all: $(EXAMPLES)
