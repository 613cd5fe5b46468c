# SPDX-License-Identifier: Apache-2.0
# Unit tests of the vfs and the file systems: everything up to level 5, no task and no engine.
VFS_TEST_OBJS = $(filter $(foreach d,vfs fs/tmpfs fs/pseudo fs/pipe fs/dev fs/devpts fs/host fs/overlay sched usermem cred,\
	$(BUILD)/obj/sentry/$(d)/%),$(SENTRY_OBJS)) $(BASE_OBJS) \
	$(BUILD)/obj/platform/host/file.o $(BUILD)/obj/platform/host/fdstat.o
VFS_TEST_SRCS := $(wildcard tests/unit/vfs/*_test.c)
VFS_TESTS := $(VFS_TEST_SRCS:tests/unit/vfs/%.c=$(BUILD)/tests/unit/%)

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/vfs/%.o $$(VFS_TEST_OBJS)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS_ALL)

.PHONY: test-vfs
test-vfs: $(VFS_TESTS)
	@for t in $(VFS_TESTS); do echo "== $$t"; timeout 120 $$t || exit 1; done
test-unit: test-vfs
