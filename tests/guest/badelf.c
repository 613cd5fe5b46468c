/* SPDX-License-Identifier: Apache-2.0 */
/* What execve says to images that are short, wrong or hostile, and to #! lines of all shapes. */
#include "guest.h"
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BASE 0x400000
#define CODE 0x200

struct image {
	Elf64_Ehdr e;
	Elf64_Phdr p[6];
	char pad[CODE - sizeof(Elf64_Ehdr) - 6 * sizeof(Elf64_Phdr)];
	unsigned char code[12]; /* exit(42) */
	char text[0x100 - 12];
} img;

static int *err_seen;

static void
fresh(int phnum)
{
	static const unsigned char code[12] = {0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05};

	memset(&img, 0, sizeof img);
	memcpy(img.e.e_ident, ELFMAG, SELFMAG);
	img.e.e_ident[EI_CLASS] = ELFCLASS64;
	img.e.e_ident[EI_DATA] = ELFDATA2LSB;
	img.e.e_ident[EI_VERSION] = EV_CURRENT;
	img.e.e_type = ET_EXEC;
	img.e.e_machine = EM_X86_64;
	img.e.e_version = EV_CURRENT;
	img.e.e_entry = BASE + CODE;
	img.e.e_phoff = sizeof img.e;
	img.e.e_ehsize = sizeof img.e;
	img.e.e_phentsize = sizeof(Elf64_Phdr);
	img.e.e_phnum = (Elf64_Half)phnum;
	img.p[0] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = BASE,
		.p_filesz = sizeof img,
		.p_memsz = sizeof img,
		.p_align = 0x1000};
	memcpy(img.code, code, sizeof code);
}

static void
put(const char *name, const void *data, size_t len, int mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		printf("cannot write %s\n", name);
	fchmod(fd, (mode_t)mode);
	close(fd);
}

static void
run(const char *file, const char *what)
{
	char *argv[] = {(char *)file, "one", NULL}, *envp[] = {NULL};
	int st;
	pid_t p;

	*err_seen = 0;
	fflush(stdout);
	p = fork();
	if (p == 0) {
		alarm(5);
		execve(file, argv, envp);
		*err_seen = errno;
		_exit(1);
	}
	waitpid(p, &st, 0);
	if (*err_seen)
		printf("%s: %s\n", what, strerrorname_np(*err_seen));
	else if (WIFSIGNALED(st))
		printf("%s: killed by %d\n", what, WTERMSIG(st));
	else
		printf("%s: exit %d\n", what, WEXITSTATUS(st));
}

static void
try_image(const char *what)
{
	put("bad", &img, sizeof img, 0700);
	run("./bad", what);
}

static void
lengths(void)
{
	static const size_t len[] = {0, 1, 2, 3, 4, 5, 15, 16, 17, 18, 20, 24, 32, 40, 54, 56, 58,
		63, 64, 65, 72, 96, 119, 120, 127, 128, 255, 256, 257, 0x1ff, CODE, CODE + 1,
		CODE + 11, CODE + 12, 0x2ff};
	char what[40];

	for (size_t i = 0; i < sizeof len / sizeof *len; i++) {
		fresh(1);
		put("bad", &img, len[i], 0700);
		sprintf(what, "length %zu", len[i]);
		run("./bad", what);
	}
}

#define FIELD(phnum, place, ...)                                                                   \
	do {                                                                                       \
		static const unsigned long v[] = {__VA_ARGS__};                                    \
		char what[80];                                                                     \
		for (size_t i = 0; i < sizeof v / sizeof *v; i++) {                                \
			fresh(phnum);                                                              \
			img.place = (__typeof__(img.place))v[i];                                   \
			sprintf(what, "%s = %lx", #place, v[i]);                                   \
			try_image(what);                                                           \
		}                                                                                  \
	} while (0)

static void
header_fields(void)
{
	FIELD(1, e.e_ident[0], 0, 0x7e);
	FIELD(1, e.e_ident[3], 0, 'f');
	FIELD(1, e.e_ident[EI_CLASS], 0, 1, 3, 255);
	FIELD(1, e.e_ident[EI_DATA], 0, 2, 255);
	FIELD(1, e.e_ident[EI_VERSION], 0, 2);
	FIELD(1, e.e_ident[EI_OSABI], 3, 9, 255);
	FIELD(1, e.e_ident[15], 1, 255);
	FIELD(1, e.e_type, 0, 1, 3, 4, 5, 0xfe00, 0xffff);
	FIELD(1, e.e_machine, 0, 2, 40, 183, 0xffff);
	FIELD(1, e.e_version, 0, 2, 0xffffffff);
	FIELD(1, e.e_entry, 0, 1, BASE, BASE + 0x1000, 0x7ffffffff000, 0x800000000000, -1UL,
		1UL << 63);
	FIELD(1, e.e_phoff, 0, 1, 63, 65, sizeof img - 56, sizeof img - 55, sizeof img, 1UL << 40,
		1UL << 63, -1UL, -8UL, (1UL << 63) - 1);
	FIELD(1, e.e_shoff, 1, -1UL);
	FIELD(1, e.e_flags, 1, 0xffffffff);
	FIELD(1, e.e_ehsize, 0, 0xffff);
	FIELD(1, e.e_phentsize, 0, 1, 32, 55, 57, 0xffff);
	FIELD(1, e.e_phnum, 0, 2, 7, 12, 13, 73, 74, 1170, 1171, 0xffff);
	FIELD(1, e.e_shnum, 0xffff);
}

static void
segment_fields(void)
{
	FIELD(1, p[0].p_type, 0, 2, 3, 6, 7, 0x6474e551, 0x6474e553, 0x70000000, 0xffffffff);
	FIELD(1, p[0].p_flags, 0, 1, 2, 3, 4, 6, 7, 8, 0xffffffff);
	FIELD(1, p[0].p_offset, 1, 0x200, 0x1000, 0x100000, 1UL << 40, 1UL << 62, 1UL << 63,
		(1UL << 63) - 0x1000, -1UL, -0x1000UL);
	FIELD(1, p[0].p_vaddr, 0, 1, 0x1000, BASE + 1, BASE + 0x1000, 0x7fffffffe000,
		0x7ffffffff000, 0x800000000000, 1UL << 63, -0x1000UL, -1UL);
	FIELD(1, p[0].p_paddr, 0, 1, -1UL);
	FIELD(1, p[0].p_filesz, 0, 1, 0x200, 0x301, 0x10000, 1UL << 32, 1UL << 47, 1UL << 63, -1UL,
		-0x1000UL);
	FIELD(1, p[0].p_memsz, 0, 1, sizeof img - 1, 0x1000, 0x100000, 1UL << 46, 1UL << 47,
		1UL << 63, -1UL);
	FIELD(1, p[0].p_align, 0, 1, 3, 0x200000, 1UL << 40, 1UL << 63, -1UL);
}

static void
add_segment(int i, unsigned type, unsigned flags, unsigned long off, unsigned long vaddr,
	unsigned long filesz, unsigned long memsz)
{
	img.p[i] = (Elf64_Phdr){.p_type = type,
		.p_flags = flags,
		.p_offset = off,
		.p_vaddr = vaddr,
		.p_filesz = filesz,
		.p_memsz = memsz,
		.p_align = 0x1000};
}

static void
segment_pairs(void)
{
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, BASE + 0x10000, 0x300, 0x3000);
	try_image("a second segment");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, BASE, 0x300, 0x300);
	try_image("the same place twice, the second not executable");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_X, 0, BASE, 0x300, 0x300);
	try_image("the same place twice");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, BASE - 0x10000, 0x300, 0x300);
	try_image("descending");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, BASE - 0x1000, 0x300, 0x3000);
	try_image("descending, the zeroes over the first");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0x10, BASE + 0x10000, 0x100, 0x100);
	try_image("the second not aligned as its offset");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, BASE + 0x10000, 0x300, 0x200);
	try_image("the second larger in the file");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, 0x7fffffffe000, 0x300, 0x3000);
	try_image("the second across the end");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, BASE + 0x10000, 0, 0);
	try_image("the second empty");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R, 0, BASE + 0x10000, 0x300, 0x3000);
	try_image("zeroes behind a read-only segment");
	fresh(2);
	add_segment(1, PT_LOAD, PF_R | PF_W, 0x300, BASE + 0x10300, 0, 0x2000);
	try_image("zeroes only");
	fresh(2);
	img.e.e_type = ET_DYN;
	img.e.e_entry = CODE;
	img.p[0].p_vaddr = 0;
	add_segment(1, PT_LOAD, PF_R | PF_W, 0, 0x10000, 0x300, 0x3000);
	try_image("a static PIE");
	img.p[1].p_vaddr = 1UL << 46;
	try_image("a static PIE that spans most of the space");
	img.p[1].p_vaddr = -0x10000UL;
	try_image("a static PIE that wraps");
	img.e.e_phnum = 1;
	img.p[0].p_type = PT_NOTE;
	try_image("a PIE without segments");
	fresh(2);
	add_segment(1, PT_GNU_STACK, PF_R | PF_W | PF_X, 0, 0, 0, 0);
	try_image("executable stack");
	fresh(2);
	add_segment(1, PT_TLS, PF_R, -1UL, -1UL, -1UL, -1UL);
	try_image("hostile PT_TLS");
	fresh(2);
	add_segment(1, PT_PHDR, PF_R, -1UL, -1UL, -1UL, -1UL);
	try_image("hostile PT_PHDR");
	fresh(2);
	add_segment(1, PT_GNU_PROPERTY, PF_R, 0x10, -1UL, 7, 7);
	try_image("short PT_GNU_PROPERTY");
}

/* PT_INTERP with len bytes at off of the image. */
static void
interp(const char *what, const char *name, size_t len, unsigned long off)
{
	fresh(2);
	img.p[1] = img.p[0];
	add_segment(0, PT_INTERP, PF_R, off, BASE + off, len, len);
	if (name)
		memcpy(img.text, name, strlen(name) + 1);
	try_image(what);
}

static void
interpreters(void)
{
	const unsigned long at = offsetof(struct image, text);
	static char not_elf[300] = "not an image, but of some length";

	interp("interpreter missing", "/nowhere/ld.so", 15, at);
	interp("interpreter is a directory", "/tmp", 5, at);
	interp("interpreter through a file", "/dev/null/x", 12, at);
	interp("interpreter is a device", "/dev/null", 10, at);
	interp("interpreter empty name", "", 1, at);
	interp("interpreter of two zeroes", "", 2, at);
	interp("interpreter without end", "/nowhere", 8, at);
	interp("interpreter name behind the file", "x", 10, sizeof img);
	interp("interpreter name across the end of the file", "x", 100, sizeof img - 50);
	interp("interpreter at a hostile offset", "x", 10, -1UL);
	interp("interpreter at another", "x", 10, 1UL << 63);
	interp("interpreter name of 4096", "x", 4096, at);
	interp("interpreter name of 4097", "x", 4097, at);
	interp("interpreter name of 2^63", "x", 1UL << 63, at);
	put("ld", not_elf, 3, 0700);
	interp("interpreter of 3 bytes", "./ld", 5, at);
	put("ld", not_elf, 64, 0700);
	interp("interpreter of 64 bytes", "./ld", 5, at);
	put("ld", not_elf, 300, 0700);
	interp("interpreter of 300 bytes", "./ld", 5, at);
	put("ld", "#!/bin/true\n", 12, 0700);
	interp("interpreter is a short script", "./ld", 5, at);
	fresh(1);
	img.e.e_machine = EM_AARCH64;
	put("ld", &img, sizeof img, 0700);
	interp("interpreter of another machine", "./ld", 5, at);
	fresh(0);
	put("ld", &img, sizeof img, 0700);
	interp("interpreter without headers", "./ld", 5, at);
	fresh(1);
	img.e.e_phoff = 1UL << 63;
	put("ld", &img, sizeof img, 0700);
	interp("interpreter with headers nowhere", "./ld", 5, at);
	fresh(1);
	img.e.e_type = ET_REL;
	put("ld", &img, sizeof img, 0700);
	interp("interpreter is an object file", "./ld", 5, at);
	fresh(1);
	img.p[0].p_type = PT_NOTE;
	put("ld", &img, sizeof img, 0700);
	interp("interpreter without segments", "./ld", 5, at);
	fresh(1);
	img.p[0].p_filesz = -1UL;
	put("ld", &img, sizeof img, 0700);
	interp("interpreter with a hostile segment", "./ld", 5, at);
	fresh(1);
	img.e.e_type = ET_DYN;
	img.p[0].p_vaddr = 0;
	img.e.e_entry = CODE;
	put("ld", &img, sizeof img, 0700);
	interp("interpreter that works", "./ld", 5, at);
	put("ld", &img, sizeof img, 0600);
	interp("interpreter not executable", "./ld", 5, at);
	img.e.e_entry = -1UL;
}

static void
script(const char *what, const char *text, size_t len)
{
	put("script", text, len, 0700);
	run("./script", what);
}
#define SCRIPT(text) script(#text, text, sizeof text - 1)

static void
scripts(void)
{
	static char line[5000];

	SCRIPT("#!");
	SCRIPT("#!\n");
	SCRIPT("#! \t \n");
	SCRIPT("#!/bin/true");
	SCRIPT("#!/bin/true\n");
	SCRIPT("#!  /bin/true  \nfoo");
	SCRIPT("#!/bin/true\r\n");
	SCRIPT("#!\0/bin/true\n");
	SCRIPT("#!/bin/true\0junk\n");
	SCRIPT("#!/bin/true\0");
	SCRIPT("#! /nowhere/x\n");
	SCRIPT("#!/tmp\n");
	SCRIPT("#!/dev/null\n");
	SCRIPT("#!/dev/null/x\n");
	SCRIPT("#!relative\n");
	SCRIPT("#!./script\n");
	SCRIPT("#!/bin/sh -c exit\n");
	SCRIPT("#!/bin/sh -e\nexit 9\n");
	SCRIPT("#!/bin/sh -e -u\nexit 9\n");
	SCRIPT("#!/bin/sh\t-e\t\nexit $#\n");
	SCRIPT("#!/bin/sh\n[ $0 = ./script ] && exit $((10 + $#))\n");
	SCRIPT("#!/bin/sh");
	SCRIPT("#!/bin/tr");
	SCRIPT(" #!/bin/sh\n");
	SCRIPT("exit 3\n");
	SCRIPT("\x7f"
	       "ELF");
	memset(line, 'x', sizeof line);
	memcpy(line, "#!/", 3);
	for (size_t n = 250; n <= 260; n++) {
		char what[40];

		sprintf(what, "a name of %zu without an end", n);
		script(what, line, n);
		line[n - 1] = '\n';
		sprintf(what, "a name of %zu with a newline", n);
		script(what, line, n);
		line[n - 1] = 'x';
	}
	memset(line, ' ', sizeof line);
	memcpy(line, "#!", 2);
	script("5000 spaces", line, sizeof line);
	memcpy(line + 255 - 9, "/bin/true", 9);
	script("a name up to byte 255", line, sizeof line);
	memset(line, ' ', sizeof line);
	memcpy(line, "#!", 2);
	memcpy(line + 256 - 9, "/bin/true", 9);
	script("a name up to byte 256", line, sizeof line);
	memset(line, 'a', sizeof line);
	memcpy(line, "#!/bin/true ", 12);
	script("a long argument", line, sizeof line);
	/* Scripts of scripts. */
	put("s0", "#!/bin/true\n", 12, 0700);
	for (int i = 1; i < 8; i++) {
		char name[8], text[16];

		sprintf(name, "s%d", i);
		sprintf(text, "#!./s%d\n", i - 1);
		put(name, text, strlen(text), 0700);
		sprintf(name, "./s%d", i);
		run(name, name);
	}
	put("s0", "#!/bin/true\n", 12, 0600);
	run("./s0", "a script not executable");
	run("./s1", "its interpreter not executable");
	for (int i = 0; i < 8; i++) {
		char name[8];

		sprintf(name, "s%d", i);
		unlink(name);
	}
	unlink("script");
}

int
main(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	err_seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fresh(1);
	try_image("as it should be");
	lengths();
	header_fields();
	segment_fields();
	segment_pairs();
	interpreters();
	unlink("bad");
	unlink("ld");
	scripts();
	return 0;
}
