# SPDX-License-Identifier: Apache-2.0
# libmoat (static and shared) and the command line on top of it.
LIBMOAT_SRCS := $(wildcard tools/libmoat/*.c)
# What the library takes along of the lower levels.
LIBMOAT_OBJS := $(LIBMOAT_SRCS:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/platform/host/ns.o \
	$(BUILD)/obj/platform/host/confine_names.o $(BUILD)/obj/platform/host/anchor.o \
	$(BUILD)/obj/platform/host/oom.o $(BUILD)/obj/platform/host/keeper.o $(BUILD)/obj/platform/host/keeper_run.o $(BUILD)/obj/platform/host/keeper_meter.o \
	$(BUILD)/obj/platform/base/json_text.o $(BUILD)/obj/platform/base/cpu_list.o
CLI_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tools/moat/*.c))

PREFIX     ?= /usr/local
MOAT_LIBEXEC ?= $(PREFIX)/libexec/moat
$(BUILD)/obj/tools/libmoat/%.o: CFLAGS_ALL += -DMOAT_LIBEXEC='"$(MOAT_LIBEXEC)"'
$(LIBMOAT_OBJS) $(WIRE_OBJS): HARDEN := -fPIC $(filter-out -fPIE,$(HARDEN)) -fvisibility=hidden

# One object, so that only the API is visible and users need no other library of ours.
$(BUILD)/obj/libmoat.o: $(LIBMOAT_OBJS) $(WIRE_OBJS)
	$(LD) -r -o $@ $^
	objcopy --localize-hidden $@

$(BUILD)/libmoat.a: $(BUILD)/obj/libmoat.o
	rm -f $@
	$(AR) rcs $@ $<

$(BUILD)/libmoat.so.0: $(BUILD)/obj/libmoat.o
	$(CC) -shared -Wl,-soname,libmoat.so.0 -Wl,-z,relro,-z,now $(SAN) -o $@ $< -lprotobuf-c -ljansson -lseccomp

$(BUILD)/libmoat.so: $(BUILD)/libmoat.so.0
	ln -sf libmoat.so.0 $@

$(BUILD)/libmoat.pc: tools/libmoat/libmoat.pc.in tools/module.mk
	@mkdir -p $(@D)
	sed 's|@PREFIX@|$(PREFIX)|' $< >$@

$(BUILD)/moat: $(CLI_OBJS) $(BUILD)/obj/platform/host/confine_names.o $(BUILD)/obj/platform/host/confine.o \
	$(BUILD)/obj/platform/host/confine_seal.o $(BUILD)/obj/platform/host/text.o $(BUILD)/obj/platform/host/oom.o $(BUILD)/obj/platform/base/log.o \
	$(BUILD)/obj/platform/base/json_text.o $(BUILD)/obj/platform/base/cpu_list.o $(WIRE_OBJS) $(BUILD)/libmoat.a
	$(CC) $(LDFLAGS_PROG) -o $@ $^ $(LIB_PROTO) $(if $(SAN),-ljansson -lseccomp,-l:libjansson.a -l:libseccomp.a)

# Apart, because libsystemd comes as a shared library only.
$(BUILD)/moat-systemd: $(BUILD)/obj/tools/systemd/main.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^ -lsystemd

all: $(BUILD)/moat $(BUILD)/moat-systemd $(BUILD)/libmoat.a $(BUILD)/libmoat.so $(BUILD)/libmoat.pc

# Man pages and completions, from what the commands say of themselves.
PUBLIC_HEADERS := include/moat/moat.h $(filter-out include/moat/moat.h,$(wildcard include/moat/*.h))
$(BUILD)/doc/moat.1: tools/dev/mkdocs $(BUILD)/moat $(PUBLIC_HEADERS)
	tools/dev/mkdocs $(BUILD)/moat "$$($(BUILD)/moat --version | sed -n 's/^moat version //p')" $(@D) $(PUBLIC_HEADERS)

all: $(BUILD)/doc/moat.1
