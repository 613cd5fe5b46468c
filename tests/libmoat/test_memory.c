/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of memory: what counts, what does not, and who cannot get round it. */
#include "expect.h"

static void
memory(void)
{
	static const char *const hogs[] = {
		/* one that takes it bit by bit, at once, and all that its children have */
		"python3 -c 'x = []\nwhile 1: x.append(bytearray(1 << 20))'",
		"python3 -c 'x = bytearray(1 << 30); x[::4096] = b\"x\" * len(x[::4096]); import "
		"time; "
		"time.sleep(9)'",
		"for i in 1 2 3 4 5 6 7 8; do python3 -c 'x = b\"x\" * (20 << 20)\nimport time\n"
		"time.sleep(9)' & done; wait",
		"head -c 200000000 /dev/zero >/tmp/x; sleep 9",
		"python3 -c 'import mmap\nm = mmap.mmap(-1, 200 << 20)\nfor i in range(0, 200 << "
		"20, 4096): "
		"m[i] = 1\nimport time\ntime.sleep(9)'",
		/* page tables alone: all that is read is one page of zeros */
		"python3 -c 'import mmap, time\nm = mmap.mmap(-1, 512 << 30, mmap.MAP_PRIVATE, "
		"mmap.PROT_READ)\n"
		"for i in range(0, 512 << 30, 2 << 20): m[i]\ntime.sleep(9)'",
		/* its first thread has ended */
		"python3 -c 'import ctypes, threading, time\ndef hog():\n time.sleep(0.3)\n x = "
		"b\"x\" * (150 << 20)\n time.sleep(9)\n"
		"threading.Thread(target=hog).start()\nctypes.CDLL(None).pthread_exit(0)'",
		/* gone before anybody looks */
		"python3 -c 'x = b\"x\" * (150 << 20)'",
	};
	/* Gone in less time than between two looks: alone, a child, by execve, all threads at once.
	 */
	static const char *const quick[] = {
		"exec python3 -c 'x = b\"x\" * (50 << 20)'",
		"python3 -c 'x = b\"x\" * (50 << 20)'; true",
		"python3 -c 'import os\nx = b\"x\" * (50 << 20)\nos.execv(\"/bin/true\", "
		"[\"true\"])'; true",
		"python3 -c 'import os, threading, time\nfor i in range(8): "
		"threading.Thread(target=time.sleep, args=(9,)).start()\nx = b\"x\" * (50 << 20)\n"
		"os._exit(0)'; true",
	};
	struct moat_limits l = {.memory_bytes = 100 * MIB};
	struct moat_result r;

	for (size_t i = 0; i < sizeof hogs / sizeof hogs[0]; i++)
		expect(hogs[i], l, MOAT_LIMIT_MEMORY);
	/* Address space is not memory, and what is shared after fork counts once. */
	expect("python3 -c 'import mmap\nm = mmap.mmap(-1, 8 << 30, mmap.MAP_PRIVATE)'", l,
		MOAT_OK);
	l.memory_bytes = 120 * MIB;
	expect("python3 -c 'x = b\"x\" * (50 << 20)\nimport os, time\nfor i in range(4):\n "
	       "if os.fork() == 0: time.sleep(0.5); os._exit(0)\ntime.sleep(0.5)'",
		l, MOAT_OK);
	for (size_t i = 0; i < sizeof quick / sizeof quick[0]; i++) {
		r = run(SHELL(quick[i]), &l, NULL);
		/* What python3 maps of files only while it ends, a few MiB, is taken off the
		 * high-water mark as well (moat.h). */
		CHECK(r.usage.memory_peak_bytes > 44 * MIB && r.usage.memory_peak_bytes < 75 * MIB);
		moat_result_free(&r);
	}
}

int
main(void)
{
	struct own before = own_now();

	memory();
	own_check(before);
	return 0;
}
