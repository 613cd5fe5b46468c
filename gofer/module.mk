# SPDX-License-Identifier: Apache-2.0
# The gofer, the wire, and the build tools that make C from .proto and .def files.
GEN_PROTO := $(BUILD)/gen/gofer.pb-c.c $(BUILD)/gen/control.pb-c.c
WIRE_OBJS := $(GEN_PROTO:.c=.o) $(BUILD)/obj/gofer/proto/wire.o $(BUILD)/obj/gofer/proto/reply.o
GOFER_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard gofer/server/*.c))

$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h &: gofer/proto/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=gofer/proto --c_out=$(BUILD)/gen $<

# Made by protoc-c: our warnings are not for it.
$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c
	$(CC) -std=gnu17 -g $(OPT) $(HARDEN) $(SAN) -I$(BUILD)/gen -c -o $@ $<

$(BUILD)/bin/genfilter: tools/dev/genfilter.c platform/host/hostcalls.def
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -O1 $(WARN) -Wno-missing-field-initializers -I. -o $@ $< -lseccomp

$(BUILD)/gen/hostfilters.h: $(BUILD)/bin/genfilter
	@mkdir -p $(@D)
	$< >$@.tmp && mv $@.tmp $@

# Generated headers have to be there before anything is compiled that may include them.
GEN_HDRS += $(BUILD)/gen/gofer.pb-c.h $(BUILD)/gen/control.pb-c.h $(BUILD)/gen/hostfilters.h

$(BUILD)/moat-gofer: $(GOFER_OBJS) $(WIRE_OBJS) $$(HOST_OBJS) $$(BASE_OBJS)
	$(CC) $(LDFLAGS_PROG) -o $@ $^ $(LIB_PROTO)

all: $(BUILD)/moat-gofer

.PRECIOUS: $(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h
