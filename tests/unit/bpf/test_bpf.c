/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of BPF programs against random ones: what it lets through ends inside itself and
 * reads nothing else, and a number that is "always allowed" is allowed with any arguments. */
#include "lib/suite.h"
#include "sentry/bpf/packet.h"
#include "sentry/bpf/seccomp.h"
#include <stdlib.h>
#include <string.h>

static const uint16_t codes[] = {0x20, 0x80, 0x81, 0x00, 0x01, 0x06, 0x16, 0x04, 0x0c, 0x14, 0x1c,
	0x24, 0x2c, 0x34, 0x3c, 0x54, 0x5c, 0x44, 0x4c, 0xa4, 0xac, 0x64, 0x6c, 0x74, 0x7c, 0x84,
	0x07, 0x87, 0x60, 0x61, 0x02, 0x03, 0x05, 0x15, 0x1d, 0x35, 0x3d, 0x25, 0x2d, 0x45, 0x4d,
	0x28, 0x30, 0x94, 0x0e, 0xffff, 0x40, 0x48, 0x50, 0xb1};

static struct lx_sock_filter
random_insn(size_t left)
{
	struct lx_sock_filter i = {
		.code = codes[(size_t)random() % (sizeof codes / sizeof *codes)]};

	i.jt = (uint8_t)((size_t)random() % (left + 1));
	i.jf = (uint8_t)((size_t)random() % (left + 1));
	switch (random() % 4) {
	case 0:
		i.k = (uint32_t)random() % 20;
		break;
	case 1:
		i.k = (uint32_t)(random() % 18) * 4;
		break;
	case 2:
		i.k = LX_SECCOMP_RET_ALLOW;
		break;
	default:
		i.k = (uint32_t)random() * 2;
		break;
	}
	return i;
}

/* As a socket's: over a packet that is exactly as large as it is. */
static bool
run_as_packet_filter(const struct lx_sock_filter *p, size_t len)
{
	size_t n = (size_t)random() % 40;
	uint8_t *packet = malloc(n ? n : 1);
	struct filter_packet k = {.p = packet, .len = (uint32_t)n, .protocol = 0x800};
	struct sock_filter *f;
	bool taken = sock_filter_new(p, len, &f) == 0;

	for (size_t i = 0; i < n; i++)
		packet[i] = (uint8_t)random();
	if (taken) {
		(void)sock_filter_run(f, &k);
		sock_filter_free(f);
	}
	free(packet);
	return taken;
}

START_TEST(random_programs)
{
	unsigned taken = 0, packet_filters = 0;

	srandom(42);
	for (int round = 0; round < 300000; round++) {
		size_t len = 1 + (size_t)random() % 12;
		/* exactly as large as the program: a sanitizer sees what is read beyond */
		struct lx_sock_filter *p = malloc(len * sizeof *p);
		bool ip;

		for (size_t i = 0; i < len; i++)
			p[i] = random_insn(len - i);
		if (random() % 4)
			p[len - 1].code = random() % 2 ? 0x06 : 0x16;
		if (bpf_check(p, len, &ip) == 0) {
			struct lx_seccomp_data d;

			taken++;
			for (int n = 0; n < 8; n++) {
				uint8_t *b = (uint8_t *)&d;
				bool always;

				for (size_t k = 0; k < sizeof d; k++)
					b[k] = (uint8_t)random();
				d.nr = (int32_t)(random() % 24);
				d.arch = LX_AUDIT_ARCH_X86_64;
				always = bpf_always_allows(p, len, d.nr);
				if (bpf_run(p, &d) != LX_SECCOMP_RET_ALLOW)
					ck_assert(!always);
			}
			ck_assert_uint_ge(bpf_weight(p, len), len);
		}
		packet_filters += run_as_packet_filter(p, len);
		free(p);
	}
	ck_assert_uint_gt(taken, 3000);
	/* these have more instructions, and may read anywhere */
	ck_assert_uint_gt(packet_filters, taken);
}
END_TEST

int
main(void)
{
	TCase *c = tcase_create("bpf");
	int failed;

	tcase_add_test(c, random_programs);
	tcase_set_timeout(c, 60);
	failed = suite_run("bpf", c);
	return failed ? 1 : 0;
}
